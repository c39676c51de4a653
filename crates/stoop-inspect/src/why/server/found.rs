//! Predicts a call for the socket that the kernel finds. Pure.

use rustix::io::Errno;
use stoop::Kind;

use super::listener::listener;
use super::receiver::receiver;
use crate::why::action::Action;
use crate::why::advise;
use crate::why::cause::Cause;
use crate::why::facts::{Endpoint, Facts};
use crate::why::lookup_error::hidden;
use crate::why::messages::{Messages, with_article};
use crate::why::question::Operation;
use crate::why::verdict::Verdict;

/// Predicts the result for the socket that the kernel finds. Its kind is checked first, then its
/// state ([K-CONNECT-10]).
///
/// [K-CONNECT-10]: stoop::kernel_facts#K-CONNECT-10
pub(super) fn found(facts: &Facts, socket: &Endpoint) -> Verdict {
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
pub(super) fn asked(facts: &Facts, there: Option<Kind>) -> Kind {
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
