"""Gives a program a terminal that it is to pass on: keys.py end|stop|SIGNAL PROGRAM ARGUMENTS...

The program talks to a server that says "ready", gives every byte back as "<number>", and hangs up after "q". Types Ctrl-C, Ctrl-D, Ctrl-Z and
a key without a line's end; then "q", or the signal; before "q" it may stop the program and let it go on. Fails unless all of that arrived and the terminal is as it was before.
"""

import os
import pty
import select
import signal
import sys
import termios
import time

LIMIT = 15.0


def until(terminal, word):
    """Reads until the word was shown, and gives all that was."""
    seen, end = b"", time.monotonic() + LIMIT
    while word not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{word} was not shown in {seen!r}")
        seen += os.read(terminal, 65536)
    return seen


def modes(terminal):
    attributes = termios.tcgetattr(terminal)
    return attributes[:4]


def raw(terminal):
    return not modes(terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def main():
    how, command = sys.argv[1], sys.argv[2:]
    terminal, theirs = pty.openpty()
    before = modes(theirs)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(terminal)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        os.execv(command[0], command)
    until(terminal, b"ready")
    assert raw(theirs), "the terminal still does something"
    for key in (3, 4, 26, 97, 13, 10):
        os.write(terminal, bytes([key]))
        seen = until(terminal, b"<%d>" % key)
        assert b"\x1b[1m" in seen, f"what it draws is changed: {seen!r}"
    if how == "stop":
        os.kill(child, signal.SIGTSTP)
        os.waitpid(child, os.WUNTRACED)
        assert modes(theirs) == before, "the terminal is not usable meanwhile"
        os.kill(child, signal.SIGCONT)
        until_raw = time.monotonic() + LIMIT
        while not raw(theirs) and time.monotonic() < until_raw:
            time.sleep(0.01)
        os.write(terminal, b"\x03")
        until(terminal, b"<3>")
    if how in ("end", "stop"):
        os.write(terminal, b"q")
    else:
        os.kill(child, getattr(signal, how))
    end = time.monotonic() + LIMIT
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < end:
        time.sleep(0.01)
        if select.select([terminal], [], [], 0)[0]:
            os.read(terminal, 65536)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)
        sys.exit("it did not end")
    expected = 0 if how in ("end", "stop") else -getattr(signal, how)
    assert os.waitstatus_to_exitcode(status) == expected, status
    assert modes(theirs) == before, f"the terminal was {before}, and is {modes(theirs)}"


main()
