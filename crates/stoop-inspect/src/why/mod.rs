//! Why an operation on a local socket fails, or that it would not: predicted, without making the call.
//!
//! Two steps. [`facts::gather`] looks at the machine: all input and output is there. [`why`] judges what was seen in the
//! kernel's own order, and is pure: the same [`Facts`] give the same [`Verdict`], on any machine.
//!
//! The question is always about the plain system call, made by the subject with a fresh socket: `connect`, `bind`, or
//! `sendto` of one message. So a path of more than 108 bytes fails here, although [`stoop::Connect`] has a way to it.
//!
//! What cannot be seen is not guessed: the outcome is then [`Outcome::Unknown`], and the verdict says what is missing.

pub mod facts;

use stoop::{Address, Kind};

pub use facts::Facts;
/// An error number of the kernel.
pub use rustix::io::Errno;

/// What is to be done, with which address, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The system call.
    pub operation: Operation,
    /// The kind of socket it is made with. `None`: for a bind a stream socket, for a send a datagram socket, for a connect
    /// the kind of the socket that is there, and a stream socket where none is.
    pub kind: Option<Kind>,
    /// The address it is made with.
    pub address: Address,
    /// Who makes it.
    pub subject: Who,
}

/// A system call that takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `connect`.
    Connect,
    /// `bind`.
    Bind,
    /// `sendto`, of one message from a socket that is neither bound nor connected and has the default send buffer.
    Send {
        /// The bytes of the message.
        len_bytes: usize,
    },
}

/// By whom the call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This process.
    Ourselves,
    /// A process of this user, fresh from a login, in our namespaces and working directory: a name, or a number.
    User(String),
    /// This process, with its user, groups, capabilities, root, working directory and namespaces.
    Process(u32),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the call would return.
    pub outcome: Outcome,
    /// The first thing that decides it, in the kernel's own order.
    pub cause: Cause,
    /// The cause, in one sentence without a full stop.
    pub why: String,
    /// What was seen that says so, a line each.
    pub seen: Vec<String>,
    /// What to do about it: commands that can be run, each perhaps with a `# comment`.
    pub next: Vec<String>,
    /// What could not be consulted, or may change the answer, a line each.
    pub cautions: Vec<String>,
}

/// What a call would return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Success, at once.
    Succeeds,
    /// A blocking call waits until there is room; one that does not block fails with `EAGAIN`.
    Waits,
    /// This error.
    Fails(Errno),
    /// It cannot be told from here.
    Unknown,
}

/// Judges what was seen.
pub fn why(facts: &Facts) -> Verdict {
    let _ = facts;
    Verdict {
        outcome: Outcome::Unknown,
        cause: Cause::NotVisible,
        why: "it cannot be told from here".to_owned(),
        seen: Vec::new(),
        next: Vec::new(),
        cautions: Vec::new(),
    }
}

mod cause;
pub use cause::Cause;
