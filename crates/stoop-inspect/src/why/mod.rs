//! Explains why an operation on a Unix domain socket fails, or predicts that it succeeds, without
//! making the call.
//!
//! This has two steps. [`gather()`] inspects the machine and does all I/O. [`why()`] evaluates
//! these facts in the kernel's own order and is pure: the same [`Facts`] give the same [`Verdict`]
//! on any machine.
//!
//! A question is always about the plain system call, made by the subject with a fresh socket:
//! `connect`, `bind`, or `sendto` of one message. For example, a path of more than 108 bytes fails
//! here because no address holds it, although [`stoop::Connect`] has a way to reach it.
//!
//! What is not visible is not guessed: the outcome is then [`Outcome::Unknown`], and the verdict
//! names what is missing.
//!
//! # Examples
//!
//! ```
//! use stoop::Address;
//! use stoop_inspect::why::{Cause, Errno, Operation, Outcome, Question, Who, gather, why};
//!
//! # let path = std::env::temp_dir().join(format!("stoop-doc-why-{}", std::process::id()));
//! // A server that exited without removing its socket file.
//! drop(std::os::unix::net::UnixListener::bind(&path)?);
//! let question = Question {
//!     operation: Operation::Connect,
//!     kind: None,
//!     address: Address::path(&path)?,
//!     subject: Who::CurrentProcess,
//! };
//! let verdict = why(&gather(&question)?);
//! assert_eq!(verdict.outcome, Outcome::Fails(Errno::CONNREFUSED));
//! assert_eq!(verdict.cause, Cause::Stale);
//! assert_eq!(verdict.why, "the socket file is stale: no socket is bound to it");
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advice;
mod bind;
mod cause;
mod caveats;
pub(crate) mod diagnosis;
#[doc(hidden)]
pub mod facts;
mod gather;
mod lookup;
mod messages;
mod permission;
mod server;
mod service;

use stoop::{Address, Kind};

pub use advice::{Advice, ModeClass, Permission, Site};
pub use cause::Cause;
pub use diagnosis::{Diagnosis, Reason};
pub use facts::Facts;
pub use gather::gather;
#[cfg(feature = "fuzzing")]
pub(crate) use gather::read_anything;
pub(crate) use gather::subject::began;
pub use messages::symbol;
/// An error number of the kernel.
pub use rustix::io::Errno;

/// The call to explain: the operation, the address and the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The system call.
    pub operation: Operation,
    /// The kind of socket that makes it.
    ///
    /// If `None`: a stream socket for a bind, a datagram socket for a send. For a connect, the kind
    /// of the socket found, or else a stream socket.
    pub kind: Option<Kind>,
    /// The address that is passed to it.
    pub address: Address,
    /// The user or process that makes it.
    pub subject: Who,
}

/// A system call that takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `connect`.
    Connect,
    /// `bind`.
    Bind,
    /// `sendto`, of one message, from a socket that is neither bound nor connected and has the
    /// default send buffer.
    Send {
        /// The length of the message in bytes.
        len_bytes: usize,
    },
}

/// The user or process that makes the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This process.
    CurrentProcess,
    /// A fresh login process of this user, given by name or number, in the namespaces and the
    /// working directory of this process.
    User(String),
    /// The process with this pid, with its user, groups, capabilities, root, working directory and
    /// namespaces.
    Process(u32),
}

/// The result of [`why`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the call would return.
    pub outcome: Outcome,
    /// The first check that decides it, in the kernel's order.
    pub cause: Cause,
    /// The position in the path that decided it. `None` if it was decided before the lookup, or
    /// if nothing prevents the call.
    pub stop: Option<Stop>,
    /// The cause, in one sentence without a full stop.
    pub why: String,
    /// The observations that support it, one line each.
    pub seen: Vec<String>,
    /// What may remedy it, or shows more of it, most useful first.
    pub advice: Vec<Advice>,
    /// What was not checked and may change the result, one line each.
    pub caveats: Vec<String>,
}

/// What a call would return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeds at once.
    Succeeds,
    /// A blocking call waits until there is space. A nonblocking call fails with `EAGAIN`.
    Waits,
    /// It fails with this error.
    Fails(Errno),
    /// The result cannot be determined by this process.
    Unknown,
}

/// A position in the path, by the index of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The directory in which the step's name is looked up, or would be created.
    In(usize),
    /// The file that has the step's name.
    At(usize),
}

/// Predicts the result of the call from these facts. Does no I/O.
///
/// # Examples
///
/// ```
/// use stoop::Address;
/// use stoop_inspect::why::{Cause, Operation, Outcome, Question, Who, gather, why};
///
/// # let path = std::env::temp_dir().join(format!("stoop-doc-facts-{}", std::process::id()));
/// let server = stoop::Bind::new(&path).listen()?;
/// let question = Question {
///     operation: Operation::Connect,
///     kind: None,
///     address: Address::path(&path)?,
///     subject: Who::CurrentProcess,
/// };
/// let facts = gather(&question)?;
/// drop(server);
/// // A verdict is about the moment at which the facts were gathered.
/// assert_eq!(why(&facts).outcome, Outcome::Succeeds);
/// assert_eq!(why(&gather(&question)?).cause, Cause::Missing);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn why(facts: &Facts) -> Verdict {
    predict(facts, stoop::internal::DIRECT_PATH_MAX_BYTES)
}

/// Predicts the result of a call that reaches paths of this many bytes.
fn predict(facts: &Facts, path_max_bytes: usize) -> Verdict {
    if facts.subject.is_none() {
        return no_such_subject(facts);
    }
    let verdict = before_the_address(facts, path_max_bytes).unwrap_or_else(|| {
        let verdict = match facts.question.operation {
            Operation::Bind => bind::judge(facts),
            Operation::Connect | Operation::Send { .. } => server::judge(facts),
        };
        service::add(facts, at_the_end(facts, unlinked_server(facts, verdict)))
    });
    match verdict.outcome {
        // Other security mechanisms are consulted last, and not at all if the call fails before.
        Outcome::Fails(_) => verdict,
        _ => caveats::add(facts, verdict),
    }
}

/// If no component of the path decided the result, sets the stop to the file at its end.
fn at_the_end(facts: &Facts, verdict: Verdict) -> Verdict {
    let last = facts.walk.as_ref().and_then(|walk| walk.steps.len().checked_sub(1));
    match (verdict.stop, last) {
        (None, Some(last)) if verdict.outcome != Outcome::Succeeds => verdict.stopped(Stop::At(last)),
        _ => verdict,
    }
}

/// Handles a server that is still running, but whose path now refers to another file.
fn unlinked_server(facts: &Facts, verdict: Verdict) -> Verdict {
    let lost = facts.near.iter().find(|near| near.how == facts::Nearness::Unlinked);
    let Some(near) = lost.filter(|_| facts.walk.as_ref().is_some_and(|walk| walk.reached.is_some())) else {
        return verdict;
    };
    let text = "a server bound to this path is still running, but the path refers to another file now: no client reaches it";
    let owners = messages::Messages(facts).owners(&near.socket);
    match verdict.outcome {
        Outcome::Fails(_) => {
            verdict.seen(text).seen_all(owners).advise_all(advice::restart(facts, &near.socket))
        }
        _ => owners.into_iter().fold(verdict.caveat(text), Verdict::caveat),
    }
}

fn no_such_subject(facts: &Facts) -> Verdict {
    let (who, advice) = match &facts.question.subject {
        Who::User(name) => (format!("there is no user '{}'", stoop::escaped(name)), Advice::ListUsers),
        Who::Process(pid) => (format!("no process {pid} is visible from here"), Advice::ListProcesses),
        Who::CurrentProcess => ("this process is not visible in /proc".to_owned(), Advice::CheckProc),
    };
    Verdict { cause: Cause::NoSuchSubject, ..Verdict::unknown(who) }.advise(advice)
}

/// Checks what the kernel checks before it looks up the address, in the kernel's order.
fn before_the_address(facts: &Facts, path_max_bytes: usize) -> Option<Verdict> {
    let Question { operation, kind, address, .. } = &facts.question;
    let path_len = address.as_pathname().map_or(0, |path| path.as_os_str().len());
    match (operation, kind) {
        _ if path_len > path_max_bytes => return Some(path_too_long(address, path_len)),
        (Operation::Send { .. }, Some(kind @ (Kind::Stream | Kind::SeqPacket))) => {
            return Some(needs_connection(address, *kind));
        }
        (Operation::Bind, _) if address.is_unnamed() => {
            return Some(Verdict::succeeds("the kernel chooses an abstract name of five digits".to_owned()));
        }
        _ if address.is_unnamed() => {
            let why = "an unnamed address refers to no socket".to_owned();
            return Some(Verdict::fails(Errno::INVAL, Cause::NotAnAddress, why));
        }
        _ => {}
    }
    let (Operation::Send { len_bytes }, Some(buffer)) = (operation, facts.limits.wmem_default_bytes) else {
        return None;
    };
    let most = buffer.saturating_sub(MESSAGE_OVERHEAD_BYTES);
    (*len_bytes > most).then(|| message_too_large(*len_bytes, most))
}

/// What the kernel subtracts from the send buffer for each message ([K-DGRAM-6]).
///
/// [K-DGRAM-6]: stoop::kernel_facts#K-DGRAM-6
const MESSAGE_OVERHEAD_BYTES: usize = 32;

fn path_too_long(address: &Address, len_bytes: usize) -> Verdict {
    let why = format!(
        "the path has {len_bytes} bytes, and a socket address holds {}",
        stoop::internal::DIRECT_PATH_MAX_BYTES
    );
    Verdict::fails(Errno::NAMETOOLONG, Cause::PathTooLong, why)
        .seen("libraries reject it before the call, which would fail with EINVAL")
        .advise(Advice::ConnectByLongPath(advice::other_site(address)))
}

fn needs_connection(address: &Address, kind: Kind) -> Verdict {
    let errno = if kind == Kind::Stream { Errno::OPNOTSUPP } else { Errno::NOTCONN };
    let why = format!("a {kind} socket sends over a connection, not to an address");
    Verdict::fails(errno, Cause::NeedsConnection, why)
        .advise(Advice::PredictConnect { address: address.clone(), kind })
}

fn message_too_large(len_bytes: usize, most: usize) -> Verdict {
    Verdict::fails(
        Errno::MSGSIZE,
        Cause::MessageTooLarge,
        "one message must fit into the sender's send buffer".to_owned(),
    )
    .seen(format!("the message has {len_bytes} bytes, and the default send buffer allows {most}"))
    .advise(Advice::ShowSendBufferLimit)
}

impl Verdict {
    fn new(outcome: Outcome, cause: Cause, why: impl Into<String>) -> Verdict {
        let why = why.into();
        Verdict { outcome, cause, stop: None, why, seen: Vec::new(), advice: Vec::new(), caveats: Vec::new() }
    }

    fn fails(errno: Errno, cause: Cause, why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Fails(errno), cause, why)
    }

    fn waits(cause: Cause, why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Waits, cause, why)
    }

    fn succeeds(why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Succeeds, Cause::Nothing, why)
    }

    fn unknown(why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Unknown, Cause::NotVisible, why)
    }

    fn stopped(self, stop: Stop) -> Verdict {
        Verdict { stop: Some(stop), ..self }
    }

    fn seen(mut self, line: impl Into<String>) -> Verdict {
        self.seen.push(line.into());
        self
    }

    fn seen_all(mut self, lines: impl IntoIterator<Item = String>) -> Verdict {
        self.seen.extend(lines);
        self
    }

    fn advise(mut self, advice: Advice) -> Verdict {
        self.advice.push(advice);
        self
    }

    fn advise_all(mut self, advice: impl IntoIterator<Item = Advice>) -> Verdict {
        self.advice.extend(advice);
        self
    }

    fn caveat(mut self, line: impl Into<String>) -> Verdict {
        self.caveats.push(line.into());
        self
    }
}

#[cfg(test)]
mod tests;
