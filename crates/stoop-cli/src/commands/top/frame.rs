//! What was seen at one time.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use stoop_inspect::{Snapshot, SocketId};
use stoop_tap::top::Activity;

use super::args::By;

/// What was seen at one time, and what was counted since the last.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) snapshot: Snapshot,
    /// What each socket did, by its cookie. `None` if that is not counted.
    pub(super) activities: Option<HashMap<u64, Activity>>,
    /// What sockets did that have been closed.
    pub(super) closed: Vec<Closed>,
    /// The time since the last frame.
    pub(super) span: Duration,
    /// The clock of the counters.
    pub(super) now_ns: u64,
    /// How many events were not counted since the last frame.
    pub(super) uncounted: u64,
}

/// What a closed socket did in its last moments.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) cookie: u64,
    pub(super) identity: Identity,
    pub(super) activity: Activity,
}

/// What a socket is counted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The address of its server.
    pub(super) address: Rc<str>,
    /// Whether it is the server's end.
    pub(super) serves: bool,
    pub(super) process: Rc<str>,
    pub(super) container: Rc<str>,
    pub(super) unit: Rc<str>,
}

impl Frame {
    /// Returns what a socket did. A socket that was not seen to do anything did nothing.
    pub(super) fn activity(&self, id: SocketId) -> Option<Activity> {
        let activities = self.activities.as_ref()?;
        Some(activities.get(&self.snapshot[id].cookie?).cloned().unwrap_or_default())
    }
}

impl Identity {
    /// Returns what it is counted for in this view. Sockets are counted each.
    pub(super) fn group(&self, by: By) -> &Rc<str> {
        match by {
            By::Address | By::Socket => &self.address,
            By::Process => &self.process,
            By::Container => &self.container,
            By::Unit => &self.unit,
        }
    }
}
