//! Predicts a connect to a socket of connections, by its state and its backlog. Pure.

use rustix::io::Errno;

use super::outcome::{relieves, succeeds, wait_channel};
use crate::why::action::Action;
use crate::why::advise;
use crate::why::cause::Cause;
use crate::why::facts::{Endpoint, EndpointState, Facts};
use crate::why::lookup_error::hidden;
use crate::why::messages::{Messages, all_busy, clients_wait, inherited};
use crate::why::question::Operation;
use crate::why::verdict::Verdict;

pub(super) fn listener(facts: &Facts, socket: &Endpoint) -> Verdict {
    let messages = Messages(facts);
    let refused = |cause, why: &str| {
        Verdict::fails(Errno::CONNREFUSED, cause, why.to_owned()).seen_all(messages.owners(socket))
    };
    match socket.state {
        EndpointState::Bound => {
            return refused(
                Cause::NotListening,
                "a process has bound the socket, but does not listen on it (yet)",
            )
            .advise_all(wait(facts));
        }
        EndpointState::Connected | EndpointState::Accepted => {
            return refused(
                Cause::IsAClient,
                "the socket there is a client with a name: it accepts no connections",
            )
            .advise(advise::its_server(facts, socket).unwrap_or_else(|| advise::show_server(facts)));
        }
        EndpointState::Listening if socket.shut_down => {
            return refused(
                Cause::ListenerShutDown,
                "its server has shut down the listener and accepts no more clients",
            )
            .advise_all(advise::restart(facts, socket));
        }
        EndpointState::Listening => {}
    }
    match socket.backlog {
        None => hidden(facts, "the listener's queue"),
        Some((waiting, limit)) if waiting > limit => backlog_full(facts, socket, waiting, limit),
        Some((waiting, limit)) => {
            let verdict = succeeds(facts, socket);
            let note = format!("{} for an accept; {} fit", clients_wait(waiting), u64::from(limit) + 1);
            let verdict = if waiting > 0 { verdict.caveat(note) } else { verdict };
            let slow = socket.busy_workers().map(all_busy).into_iter().chain(inherited(socket));
            slow.filter(|_| waiting > 0).fold(verdict, Verdict::caveat)
        }
    }
}

fn wait(facts: &Facts) -> Option<Action> {
    (facts.question.operation == Operation::Connect)
        .then(|| Action::WaitForServer { at: advise::site(facts), is_bound: true })
}

fn backlog_full(facts: &Facts, socket: &Endpoint, waiting: u32, limit: u32) -> Verdict {
    let messages = Messages(facts);
    let why = "the server's backlog is full: it does not accept its clients fast enough, or not at all";
    let figures =
        || format!("{}; the limit is {limit}, and the kernel allows one more", clients_wait(waiting));
    let verdict = Verdict::waits(Cause::BacklogFull, why.to_owned())
        .seen_all(messages.owners(socket))
        .seen_all((!socket.is_probed()).then(figures));
    let verdict = verdict.seen_all(socket.busy_workers().map(all_busy)).seen_all(inherited(socket));
    let verdict = match facts.limits.somaxconn {
        Some(most) if limit == most && !socket.is_probed() => {
            verdict.seen(format!("the limit is that of the machine: net.core.somaxconn is {most}"))
        }
        _ => verdict,
    };
    verdict
        .advise_all(relieves(facts, socket))
        .advise_all(socket.owners.is_some().then(|| Action::ShowServer(advise::site(facts))))
        .advise_all(wait_channel(facts, socket))
}
