//! Who asks: from the connection to a [`Client`].

use std::{fs, process};

use http::Extensions;
use stoop::{Address, Peer};
use stoop_http::Caller;
use stoop_http::internal::address_of;
use stoop_inspect::Workload;
use stoop_inspect::internal::is_users_own;

use crate::rules::client::Client;

/// Returns the names in the certificate of the client that is behind an address.
pub(super) type Names = Box<dyn Fn(&Address) -> Option<Vec<String>> + Send + Sync>;

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
        client.is_users_own = is_users_own(cgroup.as_bytes());
    }
    client
}

/// Returns the client for which this process has connected, by the address that it connected from.
/// Who connects from another process is not one, whatever its address.
pub(super) fn named(extensions: &Extensions, names: &Names) -> Option<Client> {
    let caller = Caller::of(extensions)?;
    let is_this_process = caller.pid.known() == Some(&process::id());
    let names = names(&address_of(caller)?).filter(|_| is_this_process)?;
    Some(Client { names, ..Client::default() })
}

/// Returns the cgroup of the process that connected. Without a pidfd that is still alive
/// afterwards, the pid may be another process's by now, and nothing is known.
fn cgroup(peer: &Peer) -> Option<String> {
    let pid = peer.pid.known()?;
    if !numbers_processes_as_we_do() {
        return None;
    }
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    (peer.has_ended() == Some(false)).then_some(text)
}

/// Returns whether `/proc` is that of our pid namespace. In a container it may be the host's: there
/// the same number is another process.
fn numbers_processes_as_we_do() -> bool {
    let own = fs::read_link("/proc/self").ok();
    own.is_some_and(|own| own.as_os_str() == process::id().to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_is_that_of_the_peer() {
        let (one, _other) = stoop::Stream::pair().unwrap();
        let peer = one.peer();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        match peer.has_ended() {
            Some(false) => assert_eq!(cgroup(&peer), Some(own)),
            // An old kernel, which has no pidfd of a peer.
            _ => assert_eq!(cgroup(&peer), None),
        }
    }
}
