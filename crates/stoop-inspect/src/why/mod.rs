//! Why an operation on a local socket fails, or that it would not: predicted, without making the
//! call.
//!
//! Two steps. [`facts::gather`] looks at the machine: all input and output is there. [`why`] judges
//! what was seen in the kernel's own order, and is pure: the same [`Facts`] give the same
//! [`Verdict`], on any machine.
//!
//! The question is always about the plain system call, made by the subject with a fresh socket:
//! `connect`, `bind`, or `sendto` of one message. So a path of more than 108 bytes fails here, as
//! no address holds it, although [`stoop::Connect`] has a way to it.
//!
//! What cannot be seen is not guessed: the outcome is then [`Outcome::Unknown`], and the verdict
//! says what is missing.

mod advice;
mod bind;
mod cause;
mod cautions;
pub mod facts;
mod gather;
mod lookup;
mod permission;
mod server;
mod service;
mod words;

use stoop::explain::shell;
use stoop::{Address, Kind};

pub use cause::Cause;
pub use facts::Facts;
#[cfg(feature = "fuzzing")]
pub(crate) use gather::read_anything;
pub(crate) use gather::subject::began;
/// An error number of the kernel.
pub use rustix::io::Errno;
pub use words::symbol;

/// What is to be done, with which address, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The system call.
    pub operation: Operation,
    /// The kind of socket it is made with. `None`: for a bind a stream socket, for a send a
    /// datagram socket, for a connect the kind of the socket that is there, and a stream socket
    /// where none is.
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
    /// `sendto`, of one message from a socket that is neither bound nor connected and has the
    /// default send buffer.
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
    /// A process of this user, fresh from a login, in our namespaces and working directory: a name,
    /// or a number.
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
    /// Where on the path it was decided; `None` where that was before the path, or nothing is in
    /// the way.
    pub stop: Option<Stop>,
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

/// A place on the path, by the number of a step in [`facts::Walk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The directory that the step's name is looked up in, or would be made in.
    In(usize),
    /// What has the step's name.
    At(usize),
}

/// Judges what was seen.
pub fn why(facts: &Facts) -> Verdict {
    if facts.subject.is_none() {
        return no_such_subject(facts);
    }
    let verdict = before_the_address(facts).unwrap_or_else(|| {
        let verdict = match facts.question.operation {
            Operation::Bind => bind::judge(facts),
            Operation::Connect | Operation::Send { .. } => server::judge(facts),
        };
        service::add(facts, at_the_end(facts, lost(facts, verdict)))
    });
    match verdict.outcome {
        // Whatever else has a say comes last, and has none where the call fails before.
        Outcome::Fails(_) => verdict,
        _ => cautions::add(facts, verdict),
    }
}

/// What was not decided on the way is decided by what is at its end.
fn at_the_end(facts: &Facts, verdict: Verdict) -> Verdict {
    let last = facts.walk.as_ref().and_then(|walk| walk.steps.len().checked_sub(1));
    match (verdict.stop, last) {
        (None, Some(last)) if verdict.outcome != Outcome::Succeeds => verdict.stopped(Stop::At(last)),
        _ => verdict,
    }
}

/// A server that lives, and whose name has become another file's.
fn lost(facts: &Facts, verdict: Verdict) -> Verdict {
    let lost = facts.near.iter().find(|near| near.how == facts::Nearness::Unlinked);
    let Some(near) = lost.filter(|_| facts.walk.as_ref().is_some_and(|walk| walk.reached.is_some())) else {
        return verdict;
    };
    let text =
        "a server that was bound to this path lives, but the name is another file's now: nobody reaches it";
    let owners = words::Words(facts).owners(&near.socket);
    match verdict.outcome {
        Outcome::Fails(_) => {
            verdict.seen(text).seen_all(owners).next_all(advice::restart(facts, &near.socket))
        }
        _ => owners.into_iter().fold(verdict.caution(text), Verdict::caution),
    }
}

fn no_such_subject(facts: &Facts) -> Verdict {
    let (who, next) = match &facts.question.subject {
        Who::User(name) => {
            (format!("no user is called '{}'", stoop::escaped(name)), "getent passwd    # who there is")
        }
        Who::Process(pid) => {
            (format!("there is no process {pid}, or it cannot be seen from here"), "ps -e    # who there is")
        }
        Who::Ourselves => ("this process cannot be seen in /proc".to_owned(), "mount | grep proc"),
    };
    Verdict { cause: Cause::NoSuchSubject, ..Verdict::unknown(who) }.next(next.to_owned())
}

/// What the kernel finds out before it looks the address up, in its order.
fn before_the_address(facts: &Facts) -> Option<Verdict> {
    let Question { operation, kind, address, .. } = &facts.question;
    let path_len = address.as_path().map_or(0, |path| path.as_os_str().len());
    match (operation, kind) {
        _ if path_len > stoop::DIRECT_PATH_MAX_BYTES => return Some(path_too_long(address, path_len)),
        (Operation::Send { .. }, Some(kind @ (Kind::Stream | Kind::SeqPacket))) => {
            return Some(needs_connection(address, *kind));
        }
        (Operation::Bind, _) if address.is_unnamed() => {
            return Some(Verdict::succeeds("the kernel chooses an abstract name of five digits".to_owned()));
        }
        _ if address.is_unnamed() => {
            let why = "an address without a name leads to nobody".to_owned();
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

/// What the kernel subtracts from the send buffer for a message (K-DGRAM-6).
const MESSAGE_OVERHEAD_BYTES: usize = 32;

fn path_too_long(address: &Address, len_bytes: usize) -> Verdict {
    let why = format!(
        "the path has {len_bytes} bytes, and the address of a socket holds {}",
        stoop::DIRECT_PATH_MAX_BYTES
    );
    Verdict::fails(Errno::NAMETOOLONG, Cause::PathTooLong, why)
        .seen("programs notice it before they ask the kernel, which would answer EINVAL")
        .next(format!("stoop connect {}    # reaches it all the same", shell::address(address)))
}

fn needs_connection(address: &Address, kind: Kind) -> Verdict {
    let errno = if kind == Kind::Stream { Errno::OPNOTSUPP } else { Errno::NOTCONN };
    let why = format!("a {kind} socket sends over a connection, not to an address");
    Verdict::fails(errno, Cause::NeedsConnection, why).next(format!(
        "stoop why {} --op connect --kind {}",
        shell::address(address),
        kind.word()
    ))
}

fn message_too_large(len_bytes: usize, most: usize) -> Verdict {
    Verdict::fails(
        Errno::MSGSIZE,
        Cause::MessageTooLarge,
        "one message must fit into the sender's send buffer".to_owned(),
    )
    .seen(format!("{len_bytes} bytes were to be sent; with a fresh socket's buffer {most} can be"))
    .next(
        "cat /proc/sys/net/core/wmem_max    # the most that a program may ask for; or send it as a stream"
            .to_owned(),
    )
}

impl Verdict {
    fn new(outcome: Outcome, cause: Cause, why: impl Into<String>) -> Verdict {
        let why = why.into();
        Verdict { outcome, cause, stop: None, why, seen: Vec::new(), next: Vec::new(), cautions: Vec::new() }
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

    fn next(mut self, command: impl Into<String>) -> Verdict {
        self.next.push(command.into());
        self
    }

    fn next_all(mut self, commands: impl IntoIterator<Item = String>) -> Verdict {
        self.next.extend(commands);
        self
    }

    fn caution(mut self, line: impl Into<String>) -> Verdict {
        self.cautions.push(line.into());
        self
    }
}

#[cfg(test)]
mod tests;
