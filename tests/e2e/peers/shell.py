"""Types into a shell that a program gives a terminal: shell.py PROGRAM ARGUMENTS...

Asks the shell for the size of its terminal, before and after a change, and ends it with code 7. What was right is printed; fails if an answer does
not come.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

LIMIT = 20.0


def until(terminal, word):
    """Reads until the word was shown."""
    seen, end = b"", time.monotonic() + LIMIT
    while word not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{word} was not shown in {seen!r}")
        seen += os.read(terminal, 65536)


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def size_is(terminal, rows, columns):
    """Asks again and again: a change arrives a moment later."""
    end = time.monotonic() + LIMIT
    wanted = b"size:%d %d:" % (rows, columns)
    while True:
        os.write(terminal, b"echo size:$(/bin/busybox stty size):\r")
        seen = b""
        while b"size:%d" % rows not in seen:
            if not select.select([terminal], [], [], 1.0)[0]:
                break
            seen += os.read(terminal, 65536)
        if wanted in seen or b"size:%d %d" % (rows, columns) in seen:
            return
        if time.monotonic() > end:
            sys.exit(f"{wanted} was not shown in {seen!r}")


def main():
    terminal, theirs = pty.openpty()
    resize(terminal, 33, 77)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(terminal)
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        os.execv(sys.argv[1], sys.argv[1:])
    until(terminal, b"# ")
    size_is(terminal, 33, 77)
    print("size at the start")
    resize(terminal, 44, 99)
    size_is(terminal, 44, 99)
    print("size after a change")
    os.write(terminal, b"exit 7\r")
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code != 7:
                sys.exit(f"it ended with {code}")
            attributes = termios.tcgetattr(theirs)
            if not attributes[3] & termios.ECHO:
                sys.exit("the terminal was not restored")
            print("exit code")
            return
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)
    sys.exit("the program did not end")


main()
