//! What is seen of a server that closed a connection before it sent anything. It may have refused
//! the client by a policy of its own, which only the server knows.

use stoop::internal::Place;
use stoop::{Address, escaped};
use stoop_inspect::internal::facts::{EndpointState, Facts, Owner};
use stoop_inspect::internal::gather;
use stoop_inspect::why::{Operation, Question, Who};

use crate::endpoint::Endpoint;
use crate::names;

/// Returns what is seen of the server at this endpoint, one line each.
pub(crate) fn seen(endpoint: &Endpoint) -> Vec<String> {
    match endpoint {
        Endpoint::At(target) => match &target.place {
            Place::Address(address) => seen_at(address),
            _ => Vec::new(),
        },
        Endpoint::Named(_) => Vec::new(),
    }
}

/// Returns what is seen of the server at this address, one line each.
pub(crate) fn seen_at(address: &Address) -> Vec<String> {
    let question = Question {
        operation: Operation::Connect,
        kind: None,
        address: address.clone(),
        subject: Who::CurrentProcess,
    };
    gather(&question).map_or(Vec::new(), |facts| lines(&facts))
}

/// Describes the server and both users.
pub(crate) fn lines(facts: &Facts) -> Vec<String> {
    let mut sockets = facts.sockets.iter().flatten();
    let listener = sockets.find(|socket| socket.state == EndpointState::Listening);
    let owners = listener.and_then(|socket| socket.owners.as_deref()).unwrap_or_default();
    // A service manager keeps the listeners of its services.
    let Some(server) = owners.iter().find(|owner| owner.pid != 1).or(owners.first()) else {
        return Vec::new();
    };
    let own = (server.command == "stoop").then(|| {
        "a server of stoop refuses who is not named by its --allow-uid or --allow-gid, and at an abstract name, \
         without these, every other user"
            .to_owned()
    });
    std::iter::once(users(facts, server)).chain(own).collect()
}

fn users(facts: &Facts, server: &Owner) -> String {
    let name = |uid: u32| match names::user(uid) {
        Some(name) => escaped(&name).to_string(),
        None => format!("user {uid}"),
    };
    let client = facts.subject.as_ref().map_or(facts.asker_uid, |subject| subject.uid);
    let who = if client == facts.asker_uid { "this user" } else { "the client" };
    let process = format!("the server is process {} ({})", server.pid, escaped(&server.command));
    match server.uid {
        None => process,
        Some(uid) if uid == client => format!("{process} of {who}, {}", name(uid)),
        Some(uid) => format!("{process} of {}, and {who} is {}", name(uid), name(client)),
    }
}
