//! Predicts a call for an abstract name. Pure.

use rustix::io::Errno;
use stoop::Kind;

use super::found::{asked, found};
use super::outcome::first_owner;
use crate::why::action::{Action, Site};
use crate::why::advise;
use crate::why::cause::Cause;
use crate::why::facts::{Endpoint, EndpointState, Facts, Nearness};
use crate::why::lookup_error::hidden;
use crate::why::messages::{Messages, with_article};
use crate::why::question::Operation;
use crate::why::verdict::Verdict;

pub(super) fn by_name(facts: &Facts) -> Verdict {
    let Some(sockets) = &facts.sockets else {
        return hidden(facts, "the table of sockets of that network namespace");
    };
    let servers = || sockets.iter().filter(|socket| socket.state != EndpointState::Accepted);
    // Each kind has its own abstract names. A connect without a kind tries them one after the
    // other.
    let kinds = match (facts.question.kind, facts.question.operation) {
        (Some(kind), _) => vec![kind],
        (None, Operation::Connect) => Kind::ALL.to_vec(),
        (None, _) => vec![asked(facts, None)],
    };
    let of_kind = |kind: &Kind| servers().find(|socket| socket.kind == Some(*kind));
    if let Some(socket) = kinds.iter().find_map(of_kind) {
        return found(facts, socket);
    }
    no_such_name(facts, servers().next())
}

fn no_such_name(facts: &Facts, other: Option<&Endpoint>) -> Verdict {
    let refused = |cause, why: String| Verdict::fails(Errno::CONNREFUSED, cause, why);
    let messages = Messages(facts);
    if let Some((socket, kind)) = other.and_then(|socket| Some((socket, socket.kind?))) {
        let why = format!(
            "that name belongs to {} socket; abstract names are looked up by kind",
            with_article(kind)
        );
        return refused(Cause::NameOfOtherKind, why)
            .seen_all(messages.owners(socket))
            .advise(Action::Connect { at: advise::site(facts), kind: Some(kind) });
    }
    let near = |how| facts.near.iter().find(|near| near.how == how);
    let here = match facts.subject.as_ref().is_some_and(|subject| subject.view.other_network) {
        true => format!("no socket in the network namespace of {} has that abstract name", messages.whom()),
        false => "no socket in this network namespace has that abstract name".to_owned(),
    };
    if let Some(near) = near(Nearness::OtherNamespace) {
        return refused(Cause::NameInOtherNamespace, here)
            .seen("a socket in another network namespace has it: each network namespace has its own abstract names".to_owned())
            .seen_all(messages.owners(&near.socket))
            .advise_all(enter(facts, &near.socket));
    }
    if let Some(near) = near(Nearness::Padded) {
        return refused(Cause::NamePadded, here)
            .seen(format!("'{}' differs only in trailing NUL bytes, which are significant", near.address))
            .advise(Action::Connect { at: advise::other_site(&near.address), kind: None });
    }
    let alike = || facts.near.iter().filter(|near| near.how == Nearness::Alike);
    let meant = alike().map(|near| Action::SeeElsewhere { address: near.address.clone(), is_similar: true });
    let unseen = facts.hidden_networks.then(|| {
        "other network namespaces have their own abstract names, and cannot be seen from here".to_owned()
    });
    let more = unseen.is_some().then(|| advise::ask_about_server(facts));
    refused(Cause::NoSuchName, here)
        .seen_all(unseen)
        .advise_all(more)
        .seen_all(alike().map(|near| format!("there is '{}'", near.address)))
        .advise(advise::start_server(facts))
        .advise_all(meant)
}

/// Advises to connect in the network namespace that has the name.
fn enter(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    let (netns_of, address) = (Some(first_owner(socket)?.pid), facts.question.address.clone());
    let kind = socket.kind.or(facts.question.kind);
    let at = Site { address, netns_of, kind, as_root: advise::needs_root(facts, None) };
    Some(Action::Connect { at, kind: None })
}
