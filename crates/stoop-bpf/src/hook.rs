//! The places at which the programs that watch sockets run: tracepoints, or before Linux 6.3, which
//! added them, entries and exits of functions (fentry, fexit). Pure.

use crate::asm::{Assembler, Label, Reg, Width};
use crate::btf::{Btf, BtfError, Field, Kind, TypeId};
use crate::stack::step;
use crate::target::Target;

/// What happens to a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// A call that sends ends.
    Sent,
    /// A call that receives ends.
    Received,
    /// A message was put into its queue, or a client has connected to it.
    Ready,
}

/// A place in the kernel's code, and where its arguments are in the context of a program there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    pub(crate) target: Target,
    /// From the first argument to the socket, unless it is the socket itself.
    socket: Option<Field>,
    /// The type of a socket, if those of sequenced packets are left to their own function.
    kind: Option<Field>,
    /// The argument or return value with the result of the call.
    result: i16,
    /// The argument with the flags of the call.
    flags: i16,
}

/// Functions that take a `struct socket`: the name, and how many arguments it has.
type Function = (&'static str, i16);

const SOCK_SEQPACKET: i32 = 5;

const SENT: &str = "btf_trace_sock_send_length";
/// Those of sequenced packets may call those of datagrams, or contain a copy of them: that is the
/// compiler's choice.
const SENDING: &[Function] =
    &[("unix_stream_sendmsg", 3), ("unix_dgram_sendmsg", 3), ("unix_seqpacket_sendmsg", 3)];
/// Used by sendfile(2) and splice(2) over a stream.
const SENDING_PAGES: Function = ("unix_stream_sendpage", 5);

const RECEIVED: &str = "btf_trace_sock_recv_length";
const RECEIVING: &[Function] =
    &[("unix_stream_recvmsg", 4), ("unix_dgram_recvmsg", 4), ("unix_seqpacket_recvmsg", 4)];

const READY: &str = "btf_trace_sk_data_ready";
/// The function that contains this tracepoint.
const WAKING: &str = "sock_def_readable";

/// The types that have to be looked up.
pub(crate) const WANTED: &[(Kind, &str)] = &[
    (Kind::TYPEDEF, SENT),
    (Kind::TYPEDEF, RECEIVED),
    (Kind::TYPEDEF, READY),
    (Kind::FUNC, SENDING[0].0),
    (Kind::FUNC, SENDING[1].0),
    (Kind::FUNC, SENDING[2].0),
    (Kind::FUNC, SENDING_PAGES.0),
    (Kind::FUNC, RECEIVING[0].0),
    (Kind::FUNC, RECEIVING[1].0),
    (Kind::FUNC, RECEIVING[2].0),
    (Kind::FUNC, WAKING),
    (Kind::STRUCT, "sock"),
    (Kind::STRUCT, "socket"),
];

impl Happening {
    /// Returns the places at which it is seen.
    ///
    /// # Errors
    /// Returns an error that names what the kernel lacks.
    pub(crate) fn hooks(self, btf: &Btf<'_>) -> Result<Vec<Hook>, BtfError> {
        match self.tracepoint(btf) {
            Ok(tracepoint) => Ok(vec![Hook::of_socket(Target::tracepoint(tracepoint.0))]),
            // Which function is missing does not matter to anyone: with the tracepoint, none is needed.
            Err(missing) => self.functions(btf).map_err(|_| missing),
        }
    }

    fn tracepoint(self, btf: &Btf<'_>) -> Result<TypeId, BtfError> {
        let name = match self {
            Happening::Sent => SENT,
            Happening::Received => RECEIVED,
            Happening::Ready => READY,
        };
        btf.type_id(Kind::TYPEDEF, name)
    }

    /// Returns the functions at which it is seen in any kernel that lets programs run there.
    fn functions(self, btf: &Btf<'_>) -> Result<Vec<Hook>, BtfError> {
        match self {
            Happening::Sent => {
                let mut hooks = Hook::exits(btf, SENDING)?;
                // Since Linux 6.5 there is no such function.
                hooks.extend(Hook::exit(btf, SENDING_PAGES));
                Ok(hooks)
            }
            Happening::Received => Hook::exits(btf, RECEIVING),
            Happening::Ready => {
                let entry = Target::entry(btf.type_id(Kind::FUNC, WAKING)?.0);
                Ok(vec![Hook::of_socket(entry)])
            }
        }
    }
}

/// Returns the functions for calls that send, for calls that receive, and for arrivals.
#[cfg(test)]
pub(crate) fn functions(types: &[u8]) -> [Vec<Hook>; 3] {
    let btf = Btf::scan(types, WANTED).unwrap();
    let happenings = [Happening::Sent, Happening::Received, Happening::Ready];
    happenings.map(|happening| happening.functions(&btf).unwrap())
}

/// Returns whether what sendfile(2) sends may be added to a message that is in a queue
/// ([K-TAP-13]).
///
/// [K-TAP-13]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-13
pub(crate) fn adds_pages(btf: &Btf<'_>) -> bool {
    btf.type_id(Kind::FUNC, SENDING_PAGES.0).is_ok()
}

impl Hook {
    fn exits(btf: &Btf<'_>, functions: &[Function]) -> Result<Vec<Hook>, BtfError> {
        functions.iter().map(|function| Hook::exit(btf, *function)).collect()
    }

    /// The context of the tracepoints: the socket, the result, the flags.
    fn of_socket(target: Target) -> Hook {
        Hook { target, socket: None, kind: None, result: argument(1), flags: argument(2) }
    }

    /// The end of a function, whose return value follows its arguments. Flags are the last one.
    fn exit(btf: &Btf<'_>, (name, arguments): Function) -> Result<Hook, BtfError> {
        let target = Target::exit(btf.type_id(Kind::FUNC, name)?.0);
        let socket = Some(btf.field("socket", "sk")?);
        let kind = name.starts_with("unix_dgram").then(|| btf.field("sock", "sk_type")).transpose()?;
        Ok(Hook { target, socket, kind, result: argument(arguments), flags: argument(arguments - 1) })
    }

    /// Loads the socket that it is about, or goes to `none`; the context is in `R6`.
    pub(crate) fn load_socket(self, code: &mut Assembler, to: Reg, none: Label) -> Result<(), BtfError> {
        code.load(Width::Eight, to, Reg::R6, argument(0));
        if let Some(field) = self.socket {
            step(code, to, to, field)?;
            // Newer verifiers demand it.
            code.jump_if(to, 0, none);
        }
        if let Some(field) = self.kind {
            step(code, Reg::R1, to, field)?;
            code.jump_if(Reg::R1, SOCK_SEQPACKET, none);
        }
        Ok(())
    }

    /// Loads the result of the call: a number of bytes, or a negated errno.
    pub(crate) fn load_result(self, code: &mut Assembler, to: Reg) {
        code.load(Width::Eight, to, Reg::R6, self.result);
        // Of an `int`, the upper half of the register is arbitrary.
        code.sign_extend(to);
    }

    /// Loads the flags of the call: only of one that receives.
    pub(crate) fn load_flags(self, code: &mut Assembler, to: Reg) {
        code.load(Width::Eight, to, Reg::R6, self.flags);
    }
}

const fn argument(number: i16) -> i16 {
    8 * number
}
