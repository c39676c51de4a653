//! Who asks: from the connection to a [`Client`].

use std::fs;

use http::Extensions;
use stoop::Peer;
use stoop_http::Caller;
use stoop_inspect::Workload;

use crate::rules::client::{Client, is_users_own};

/// Returns the client of a request, with its workload if that is wanted.
pub(super) fn client(extensions: &Extensions, wants_workload: bool) -> Client {
    let Some(caller) = Caller::of(extensions) else { return Client::default() };
    let peer: &Peer = caller;
    let mut client = Client {
        pid: peer.pid.known().copied(),
        uid: peer.uid.known().copied(),
        gid: peer.gid.known().copied(),
        groups: peer.groups.known().cloned().unwrap_or_default(),
        ..Client::default()
    };
    if wants_workload && let Some(cgroup) = cgroup(peer) {
        client.workload = Workload::from_cgroup(cgroup.as_bytes());
        client.is_users_own = is_users_own(&cgroup);
    }
    client
}

/// Returns the cgroup of the process that connected. Without a pidfd that is still alive
/// afterwards, the pid may be another process's by now, and nothing is known.
fn cgroup(peer: &Peer) -> Option<String> {
    let pid = peer.pid.known()?;
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    (peer.has_ended() == Some(false)).then_some(text)
}
