//! Runs the command under a filter of system calls, which lets one call fail.

use stoop_e2e::{Output, stoop};

/// The numbers of system calls on x86-64.
const SOCKET: u32 = 41;
const CONNECT: u32 = 42;
const BIND: u32 = 49;
const LISTEN: u32 = 50;

/// A system call, the errno it fails with, and a command line that calls it.
pub const CASES: &[(u32, u32, &str)] = &[
    (SOCKET, 97, "connect {}/silent"),
    (SOCKET, 97, "serve {}/new"),
    (SOCKET, 97, "send {}/silent x"),
    (SOCKET, 97, "http {}/h1 /"),
    (SOCKET, 97, "grpc {}/h1 list"),
    (SOCKET, 1, "connect {}/silent"),
    (SOCKET, 13, "connect {}/silent"),
    (SOCKET, 24, "connect {}/silent"),
    (SOCKET, 23, "connect {}/silent"),
    (SOCKET, 105, "connect {}/silent"),
    (SOCKET, 38, "connect {}/silent"),
    (CONNECT, 1, "connect {}/silent"),
    (CONNECT, 12, "connect {}/silent"),
    (CONNECT, 22, "connect {}/silent"),
    (BIND, 1, "serve {}/new"),
    (BIND, 5, "serve {}/new"),
    (BIND, 12, "serve {}/new"),
    (BIND, 13, "serve {}/new"),
    (BIND, 16, "serve {}/new"),
    (BIND, 22, "serve {}/new"),
    (BIND, 28, "serve {}/new"),
    (BIND, 30, "serve {}/new"),
    (BIND, 75, "serve {}/new"),
    (BIND, 95, "serve {}/new"),
    (BIND, 122, "serve {}/new"),
    (LISTEN, 22, "serve {}/new"),
];

/// Runs the command with these arguments, one of whose system calls fails.
pub fn run(call: u32, errno: u32, arguments: Vec<String>) -> Output {
    let (call, errno) = (call.to_string(), errno.to_string());
    stoop(arguments).under("python3", ["-c", FILTER, &call, &errno]).run()
}

/// Installs a filter and runs the program. Written in Python, so that no test needs unsafe code.
const FILTER: &str = r"
import ctypes, os, struct, sys
call, errno = int(sys.argv[1]), int(sys.argv[2])
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
FAIL, ALLOW = 0x00050000, 0x7fff0000
program = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, call), (RETURN, 0, 0, FAIL | errno), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in program))
class Filter(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('code', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Filter(len(program), ctypes.addressof(code)))) == 0
os.execv(sys.argv[3], sys.argv[3:])
";
