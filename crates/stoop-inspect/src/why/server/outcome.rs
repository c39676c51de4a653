//! A call that succeeds, and advice about the owners of a socket. Pure.

use crate::hindrance::Hindrance;
use crate::why::action::Action;
use crate::why::advise;
use crate::why::facts::{Endpoint, Facts, Owner};
use crate::why::messages::Messages;
use crate::why::question::Operation;
use crate::why::verdict::Verdict;
use stoop::Kind;

/// Nothing prevents the call. What may still change the result becomes a caveat.
pub(super) fn succeeds(facts: &Facts, socket: &Endpoint) -> Verdict {
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

pub(super) fn first_owner(socket: &Endpoint) -> Option<&Owner> {
    socket.owners.as_deref()?.first()
}

pub(super) fn relieves(facts: &Facts, socket: &Endpoint) -> Vec<Action> {
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
pub(super) fn wait_channel(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    if socket.owners.is_none() {
        return Some(advise::ask_about_server(facts));
    }
    let owner = first_owner(socket).filter(|owner| owner.hindrance.is_none())?;
    Some(Action::ShowWaitChannel { pid: owner.pid, as_root: advise::needs_root(facts, owner.uid) })
}
