"""Types one line into a program on a terminal of its own: type_line.py echo|-echo LINE PROGRAM ARGUMENTS...

Prints all that the terminal showed until the program ended, and exits as the program did.
"""

import os
import pty
import select
import sys
import termios
import time

LIMIT = 15.0
LOCAL_MODES = 3


def main():
    child, terminal = pty.fork()
    if child == 0:
        if sys.argv[1] == "-echo":
            modes = termios.tcgetattr(0)
            modes[LOCAL_MODES] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, modes)
        os.write(1, b"ready\n")
        os.execv(sys.argv[3], sys.argv[3:])
    seen, typed, end = b"", False, time.monotonic() + LIMIT
    while True:
        if b"ready" in seen and not typed:
            typed = True
            os.write(terminal, sys.argv[2].encode() + b"\r")
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            sys.exit(f"the program did not end: {seen!r}")
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # The program has closed its side.
            break
        if not piece:
            break
        seen += piece
    print(seen.decode(errors="replace"))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
