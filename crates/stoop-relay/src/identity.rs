//! Connecting to the server as the client: with its user, its group and its supplementary groups,
//! which belong to the thread that sets them ([K-THREAD-1]).
//!
//! The server's file then decides about the client as if there were no relay, and the server sees
//! the client's ids. Only the process is the relay's.
//!
//! [K-THREAD-1]: stoop::kernel_facts#K-THREAD-1

use std::io;

use rustix::process::{Gid, Uid, getegid, geteuid, getgid, getgroups, getuid};
use rustix::thread::{
    CapabilitySet, capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use stoop::Peer;

/// The ids of a client.
#[derive(Debug)]
pub(crate) struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// The ids of this thread, to return to.
struct Own {
    uid: [Uid; 2],
    gid: [Gid; 2],
    groups: Vec<Gid>,
}

impl Identity {
    /// Returns the ids of a client, if the kernel reports all of them.
    pub(crate) fn of(peer: &Peer) -> io::Result<Identity> {
        let (Some(&uid), Some(&gid), Some(groups)) =
            (peer.uid.known(), peer.gid.known(), peer.groups.known())
        else {
            let what = "the client's ids are not known, so the relay cannot connect as the client";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        };
        let groups = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        Ok(Identity { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups })
    }

    /// Runs `connect` with these ids on this thread.
    ///
    /// # Panics
    /// If the thread cannot get its own ids back. It must not do anything else then.
    pub(crate) fn run<T>(&self, connect: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let own = Own::of_this_thread()?;
        let connected = self.enter(&own).map_err(io::Error::from).and_then(|()| connect());
        own.enter().expect("a thread may always return to its own ids");
        connected
    }

    /// The effective ids are what a server sees, and what decides about access. The others keep the
    /// way back.
    fn enter(&self, own: &Own) -> rustix::io::Result<()> {
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(own.gid[0], self.gid, own.gid[1])?;
        set_thread_res_uid(own.uid[0], self.uid, own.uid[1])
    }
}

impl Own {
    fn of_this_thread() -> io::Result<Own> {
        Ok(Own { uid: [getuid(), geteuid()], gid: [getgid(), getegid()], groups: getgroups()? })
    }

    fn enter(&self) -> rustix::io::Result<()> {
        // The user first: its capabilities come back with it.
        set_thread_res_uid(self.uid[0], self.uid[1], self.uid[1])?;
        set_thread_res_gid(self.gid[0], self.gid[1], self.gid[1])?;
        set_thread_groups(&self.groups)
    }
}

/// Checks that this process may connect as its clients.
pub(crate) fn require_privilege() -> io::Result<()> {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    match capabilities(None)?.effective.contains(needed) {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "connecting as the clients requires CAP_SETUID and CAP_SETGID",
        )),
    }
}
