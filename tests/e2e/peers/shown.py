"""Runs a program on a terminal of its own and copies what it shows there: shown.py PROGRAM ARGUMENTS..."""

import os
import pty
import sys


def main():
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.argv[1], sys.argv[1:])
    while True:
        try:
            shown = os.read(terminal, 65536)
        except OSError:
            # The other side of the terminal has been closed.
            break
        if not shown:
            break
        os.write(1, shown)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
