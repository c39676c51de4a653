//! Predicts whether the socket at the end of the lookup accepts a connection or a message
//! (`net/unix/af_unix.c`). Pure.

mod file;
mod listener;
mod name;
mod receiver;

use rustix::io::Errno;
use stoop::Kind;

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::{Endpoint, Facts, Owner};
use super::lookup::{Lookup, hidden, whole};
use super::messages::{Messages, with_article};
use super::question::Operation;
use super::verdict::Verdict;
use crate::hindrance::Hindrance;
use file::by_file;
use listener::listener;
use name::by_name;
use receiver::receiver;

/// Predicts a connect or a send.
pub(super) fn judge(facts: &Facts) -> Verdict {
    match facts.question.address.as_abstract_name() {
        Some(_) => by_name(facts),
        None => match whole(facts) {
            Lookup::Stopped(verdict) => verdict,
            Lookup::Reached(file) => by_file(facts, file),
        },
    }
}

/// Predicts the result for the socket that the kernel finds. Its kind is checked first, then its
/// state ([K-CONNECT-10]).
///
/// [K-CONNECT-10]: stoop::kernel_facts#K-CONNECT-10
fn found(facts: &Facts, socket: &Endpoint) -> Verdict {
    let asked = asked(facts, socket.kind);
    let Some(kind) = socket.kind else { return hidden(facts, "the kind of the socket there") };
    if kind != asked {
        return wrong_kind(facts, socket, kind, asked);
    }
    match kind {
        Kind::Datagram => receiver(facts, socket),
        _ => listener(facts, socket),
    }
}

/// Returns the kind of the socket that makes the call.
fn asked(facts: &Facts, there: Option<Kind>) -> Kind {
    let usual = match facts.question.operation {
        Operation::Send { .. } => Kind::Datagram,
        Operation::Connect => there.unwrap_or(Kind::Stream),
        Operation::Bind => Kind::Stream,
    };
    facts.question.kind.unwrap_or(usual)
}

fn wrong_kind(facts: &Facts, socket: &Endpoint, kind: Kind, asked: Kind) -> Verdict {
    let why = format!(
        "the socket there is {} socket, and this was tried with {} socket",
        with_article(kind),
        with_article(asked)
    );
    Verdict::fails(Errno::PROTOTYPE, Cause::WrongKind, why)
        .seen_all(Messages(facts).owners(socket))
        .advise(Action::Connect { at: advise::site(facts), kind: Some(kind) })
}

/// Nothing prevents the call. What may still change the result becomes a caveat.
fn succeeds(facts: &Facts, socket: &Endpoint) -> Verdict {
    let done = match facts.question.operation {
        Operation::Send { .. } => "nothing prevents it: the message would be queued at the receiver",
        _ if socket.kind == Some(Kind::Datagram) => {
            "nothing prevents it: the receiver would become the destination of messages"
        }
        _ => "nothing prevents it: the server's backlog has space for the connection",
    };
    let verdict = Verdict::succeeds(done.to_owned()).seen_all(Messages(facts).owners(socket));
    let verdict = match socket.owners.as_deref() {
        Some([]) => verdict.caveat(
            "no process has the socket open: no process would answer before one receives it".to_owned(),
        ),
        _ => verdict,
    };
    match nobody_answers(socket) {
        Some(why) => verdict.caveat(why.to_owned()).advise_all(relieves(facts, socket)),
        None => verdict,
    }
}

/// Returns why no process would answer, if each that serves clients is kept from it.
fn nobody_answers(socket: &Endpoint) -> Option<&'static str> {
    let mut hindrances = socket.workers().map(|worker| worker.hindrance.as_ref()).peekable();
    hindrances.peek()?;
    let hindrances: Vec<_> = hindrances.collect::<Option<_>>()?;
    Some(match () {
        () if hindrances.iter().all(|one| matches!(one, Hindrance::OutOfDescriptors { .. })) => {
            "no process can accept it before file descriptors are closed or the limit is raised"
        }
        () if hindrances.iter().all(|one| matches!(one, Hindrance::Stopped)) => {
            "every process that has the socket is stopped: none would answer"
        }
        () => "no process that has the socket can run now: none would answer",
    })
}

fn first_owner(socket: &Endpoint) -> Option<&Owner> {
    socket.owners.as_deref()?.first()
}

fn relieves(facts: &Facts, socket: &Endpoint) -> Vec<Action> {
    let mut advice: Vec<Action> = Vec::new();
    for action in socket.workers().filter_map(|owner| advise::relieve(facts, owner)) {
        // One control group may freeze all of them.
        if !advice.contains(&action) {
            advice.push(action);
        }
    }
    advice
}

/// Advises to check what a process that neither accepts nor reads is doing.
fn wait_channel(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    if socket.owners.is_none() {
        return advise::with_more_privileges(facts);
    }
    let owner = first_owner(socket).filter(|owner| owner.hindrance.is_none())?;
    Some(Action::ShowWaitChannel { pid: owner.pid, as_root: advise::needs_root(facts, owner.uid) })
}
