//! Judges the facts about a call in the kernel's own order. Pure.

use rustix::io::Errno;
use stoop::{Address, Kind};

use super::action::Action;
use super::cause::Cause;
use super::facts::{Facts, Refusal};
use super::question::{Operation, Question, Who};
use super::verdict::{Outcome, Stop, Verdict};
use super::{
    advise, bind, bound_elsewhere, caveats, denials, elsewhere, long_path, messages, server, service,
};

/// Predicts the result of a call that reaches paths of this many bytes. Its advice was not yet made
/// to suit its reader.
pub(super) fn judge(facts: &Facts, path_max_bytes: usize) -> Verdict {
    match &facts.subject {
        None => return no_such_subject(facts),
        Some(subject) if subject.has_exited => return exited(facts),
        Some(_) => {}
    }
    let verdict = before_the_address(facts, path_max_bytes).unwrap_or_else(|| {
        let verdict = match facts.question.operation {
            Operation::Bind => bind::judge(facts),
            Operation::Connect | Operation::Send { .. } => server::judge(facts),
        };
        elsewhere::add(facts, service::add(facts, at_the_end(facts, bound_elsewhere::add(facts, verdict))))
    });
    match verdict.outcome {
        // Other security mechanisms are consulted last, and not at all if the call fails before.
        Outcome::Fails(_) => verdict,
        Outcome::Succeeds | Outcome::Waits if denials::of_subject(facts).is_some() => {
            caveats::denied_before(facts, verdict)
        }
        Outcome::Succeeds if caveats::may_be_scoped(facts) => caveats::scoped(facts, verdict),
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

fn no_such_subject(facts: &Facts) -> Verdict {
    let (who, advice) = match &facts.question.subject {
        Who::User(name) => (format!("there is no user '{}'", stoop::escaped(name)), Action::ListUsers),
        Who::Process(pid) => (format!("no process {pid} is visible from here"), Action::ListProcesses),
        Who::CurrentProcess => ("this process is not visible in /proc".to_owned(), Action::CheckProc),
    };
    Verdict { cause: Cause::NoSuchSubject, ..Verdict::unknown(who) }.advise(advice)
}

fn exited(facts: &Facts) -> Verdict {
    let whom = messages::Messages(facts).who();
    let why = format!("{whom} has exited and was not reaped by its parent: it makes no calls");
    Verdict { cause: Cause::NoSuchSubject, ..Verdict::unknown(why) }.advise(Action::ListProcesses)
}

/// Checks what the kernel checks before it looks up the address, in the kernel's order.
fn before_the_address(facts: &Facts, path_max_bytes: usize) -> Option<Verdict> {
    if let Some(verdict) = no_socket(facts) {
        return Some(verdict);
    }
    let Question { operation, kind, address, .. } = &facts.question;
    let path_len = address.as_pathname().map_or(0, |path| path.as_os_str().len());
    match (operation, kind) {
        _ if path_len > path_max_bytes => return Some(long_path::too_long(facts, path_len)),
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

/// Checks what keeps the process from creating a socket, or its filter from making the call.
fn no_socket(facts: &Facts) -> Option<Verdict> {
    if let Some(Refusal { call, errno }) = facts.security.refusal {
        let why = format!(
            "a system call filter (seccomp) of this process answers {call} with {}: the kernel never sees the call",
            messages::symbol(errno)
        );
        let seen = "/proc/self/status has 'Seccomp: 2'; the filter comes from what started the process, such as its unit (SystemCallFilter=, RestrictAddressFamilies=), container or sandbox";
        return Some(Verdict::fails(errno, Cause::Filtered, why).seen(seen).advise(Action::AllowCall(call)));
    }
    let descriptors = facts.subject.as_ref()?.descriptors?;
    (descriptors.open >= descriptors.limit).then(|| {
        let whom = messages::Messages(facts).whom();
        let why = format!("no file descriptor is free in {whom}: its limit is reached");
        Verdict::fails(Errno::MFILE, Cause::OutOfDescriptors, why)
            .seen(format!("{} are open, and RLIMIT_NOFILE is {}", descriptors.open, descriptors.limit))
            .advise_all(facts.subject.as_ref().and_then(|subject| subject.pid).map(|pid| {
                let as_root = advise::needs_root(facts, facts.subject.as_ref().map(|subject| subject.uid));
                Action::ShowDescriptors { pid, as_root }
            }))
    })
}

/// What the kernel subtracts from the send buffer for each message ([K-DGRAM-6]).
///
/// [K-DGRAM-6]: stoop::kernel_facts#K-DGRAM-6
const MESSAGE_OVERHEAD_BYTES: usize = 32;

fn needs_connection(address: &Address, kind: Kind) -> Verdict {
    let errno = if kind == Kind::Stream { Errno::OPNOTSUPP } else { Errno::NOTCONN };
    let why = format!("a {kind} socket sends over a connection, not to an address");
    Verdict::fails(errno, Cause::NeedsConnection, why)
        .advise(Action::PredictConnect { address: address.clone(), kind })
}

fn message_too_large(len_bytes: usize, most: usize) -> Verdict {
    Verdict::fails(
        Errno::MSGSIZE,
        Cause::MessageTooLarge,
        "one message must fit into the sender's send buffer".to_owned(),
    )
    .seen(format!("the message has {len_bytes} bytes, and the default send buffer allows {most}"))
    .advise(Action::ShowSendBufferLimit)
}
