"""Types into a program on a terminal of its own: terminal.py PROGRAM ARGUMENTS...

The program talks to a server that answers "got WORD." to each line. Types a word and waits for the answer, then brings it back with the arrow key, then
corrects a slip with backspace, then ends the input. What was seen each time is printed; fails if an answer does not come.
"""

import os
import pty
import select
import sys
import time

LIMIT = 15.0


def until(terminal, word):
    """Reads until the word was shown."""
    seen, end = b"", time.monotonic() + LIMIT
    while word not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{word} was not shown in {seen!r}")
        seen += os.read(terminal, 65536)


def main():
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[1], sys.argv[1:])
    os.write(terminal, b"marmalade\r")
    until(terminal, b"got marmalade.")
    print("echo of first")
    os.write(terminal, b"\x1b[A\r")
    until(terminal, b"got marmalade.")
    print("echo of history")
    os.write(terminal, b"honeyx\x7f\r")
    until(terminal, b"got honey.")
    print("echo of edit")
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            sys.exit(os.waitstatus_to_exitcode(status))
        # Again and again: one that is typed while no line is being edited is lost. An ending program may wait for its
        # last words to be taken.
        try:
            os.write(terminal, b"\x04")
            if select.select([terminal], [], [], 0.2)[0]:
                os.read(terminal, 65536)
        except OSError:
            pass
    sys.exit("it did not end at the end of its input")


main()
