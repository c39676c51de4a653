//! Predicts a call for a datagram socket, by its peer and its queue. Pure.

use rustix::io::Errno;

use super::outcome::{relieves, succeeds, wait_channel};
use crate::why::advise;
use crate::why::cause::Cause;
use crate::why::facts::{Endpoint, EndpointState, Facts};
use crate::why::lookup_error::hidden;
use crate::why::messages::{Messages, plural_messages};
use crate::why::question::Operation;
use crate::why::verdict::Verdict;

pub(super) fn receiver(facts: &Facts, socket: &Endpoint) -> Verdict {
    let messages = Messages(facts);
    let is_send = matches!(facts.question.operation, Operation::Send { .. });
    if socket.state == EndpointState::Connected {
        let why = "the receiver is connected to another peer and receives only from that peer";
        return Verdict::fails(Errno::PERM, Cause::ConnectedElsewhere, why.to_owned())
            .seen_all(messages.owners(socket))
            .advise(advise::show_server(facts));
    }
    if is_send && socket.shut_down {
        let why = "the receiver was shut down for reading: it accepts no more messages";
        return Verdict::fails(Errno::PIPE, Cause::ReceiverShutDown, why.to_owned())
            .seen_all(messages.owners(socket))
            .advise_all(advise::restart(facts, socket));
    }
    if is_send && socket.inode == 0 {
        // A receiver that is shut down can only be detected by sending it a message.
        let room = if socket.queue_full == Some(true) { "is full" } else { "is not full" };
        return hidden(facts, "whether the receiver, in another network namespace, was shut down")
            .seen(format!("it exists, and its queue {room}"));
    }
    match socket.queue_full {
        Some(true) if is_send => queue_full(facts, socket),
        None if is_send => {
            hidden(facts, "whether the receiver's queue is full").seen_all(messages.owners(socket))
        }
        Some(true) => succeeds(facts, socket)
            .caveat("the receiver's queue is full: a message would have to wait".to_owned()),
        _ => succeeds(facts, socket),
    }
}

fn queue_full(facts: &Facts, socket: &Endpoint) -> Verdict {
    let why = "the receiver's queue is full: it does not read its messages fast enough";
    let limit = match (socket.messages, facts.limits.max_dgram_qlen) {
        (Some(messages), _) => Some(format!(
            "{} wait; {} fit, by net.unix.max_dgram_qlen when the socket was created",
            plural_messages(messages.count),
            u64::from(messages.limit) + 1
        )),
        (None, Some(most)) => Some(format!(
            "a queue holds one message more than net.unix.max_dgram_qlen when it was created; now that is {most}"
        )),
        (None, None) => None,
    };
    Verdict::waits(Cause::QueueFull, why.to_owned())
        .seen_all(Messages(facts).owners(socket))
        .seen_all(limit)
        .advise_all(relieves(facts, socket))
        .advise_all(wait_channel(facts, socket))
}
