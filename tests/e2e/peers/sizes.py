"""Gives a program a terminal, whose size changes: sizes.py ROWSxCOLUMNS ROWSxCOLUMNS PROGRAM ARGUMENTS...

The first size is there from the start, the second is set once the server has heard the first: it then creates the file 1, and later 2, in
$SIZES_DIRECTORY. Then types "q", and fails unless the program exits with $SIZES_EXPECTED_CODE.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

LIMIT = 20.0


def resize(terminal, size):
    rows, columns = map(int, size.split("x"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def until(terminal, word):
    seen, end = b"", time.monotonic() + LIMIT
    while word not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"{word} was not shown in {seen!r}")
        seen += os.read(terminal, 65536)


def heard(name):
    path, end = os.path.join(os.environ["SIZES_DIRECTORY"], name), time.monotonic() + LIMIT
    while not os.path.exists(path):
        if time.monotonic() > end:
            sys.exit(f"the server did not hear of size {name}")
        time.sleep(0.01)


def main():
    first, second, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    terminal, theirs = pty.openpty()
    resize(terminal, first)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(terminal)
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        os.execv(command[0], command)
    os.close(theirs)
    until(terminal, b"ready")
    heard("1")
    resize(terminal, second)
    heard("2")
    os.write(terminal, b"q")
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if select.select([terminal], [], [], 0.1)[0]:
                os.read(terminal, 65536)
        except OSError:
            pass
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            sys.exit(0 if code == int(os.environ["SIZES_EXPECTED_CODE"]) else f"it exited with {code}")
    os.kill(child, signal.SIGKILL)
    sys.exit("it did not exit")


if __name__ == "__main__":
    main()
