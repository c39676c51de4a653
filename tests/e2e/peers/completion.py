"""Types into a shell on a terminal of its own: completion.py SHELL HOME LINE=EXPECTED...

HOME has the shell's start-up files, which print "READY" as the prompt. Of each line, LINE is typed, then Tab and Enter; the command then started must print
EXPECTED. Fails at the first one that does not.
"""

import os
import pty
import select
import sys
import time

LIMIT = 60.0


def until(terminal, word, seen=bytearray()):
    """Reads until the word was shown. What follows it is kept for the next call."""
    end = time.monotonic() + LIMIT
    while word not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{word} was not shown in {bytes(seen)!r}")
        seen += os.read(terminal, 65536)
    del seen[: seen.index(word) + len(word)]


def main():
    shell, home = sys.argv[1:3]
    arguments = {"bash": ["--rcfile", home + "/bashrc", "-i"], "zsh": ["-i"], "fish": ["-i"]}[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(shell, [shell, *arguments])
    for case in sys.argv[3:]:
        line, expected = case.split(" => ")
        until(terminal, b"READY")
        os.write(terminal, line.encode() + b"\t")
        # A newline that is typed at once may be taken for a part of pasted text.
        os.write(terminal, b"\r")
        until(terminal, expected.encode())
        print("completed", line, flush=True)
    os.write(terminal, b"exit\r")
    end = time.monotonic() + LIMIT
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > end:
            sys.exit("the shell did not end")
        try:
            if select.select([terminal], [], [], 0.05)[0]:
                os.read(terminal, 65536)
        except OSError:
            pass


main()
