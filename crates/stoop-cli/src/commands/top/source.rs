//! Counters and snapshots, one frame after the other.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stoop_inspect::{Inspector, Missing, Options, Snapshot, What};
use stoop_tap::top::{Activity, Ledger};
use stoop_tap::{Counters, SocketCounts, Unavailable};

use super::frame::{Closed, Frame, Identity};
use super::labels::{CLOSED, Labels, PAIRS};
use crate::failure::Failure;
use crate::sockets::rows;

/// Reads what sockets do, again and again.
pub(super) struct Source {
    counters: Result<Counters, Unavailable>,
    inspector: Inspector,
    ledger: Ledger,
    /// What the sockets of the last frame that did something are counted for.
    identities: HashMap<u64, Identity>,
    last: Instant,
    uncounted: u64,
}

impl Source {
    /// Starts to count, if that is permitted.
    pub(super) fn start() -> Source {
        let mut options = Options::default();
        options.sure = false;
        options.workloads = true;
        Source {
            counters: Counters::load(),
            inspector: Inspector::new(options),
            ledger: Ledger::default(),
            identities: HashMap::new(),
            last: Instant::now(),
            uncounted: 0,
        }
    }

    /// Returns why nothing is counted.
    pub(super) fn missing(&self) -> Option<&Unavailable> {
        self.counters.as_ref().err()
    }

    /// Returns what happened since the last frame.
    pub(super) fn frame(&mut self) -> Result<Frame, Failure> {
        let failed = |error| Failure::io("read the counters", &error);
        let (now, now_ns) = (Instant::now(), now_ns());
        let span = now.duration_since(std::mem::replace(&mut self.last, now));
        let Ok(counters) = &mut self.counters else { return Ok(self.without_counters(span, now_ns)) };
        let mut counts = Vec::new();
        counters.read(&mut counts).map_err(failed)?;
        // A socket that is in the counters and not in a later snapshot has been closed.
        let snapshot = self.inspector.snapshot();
        let uncounted = counters.uncounted().map_err(failed)?;
        let total = uncounted.no_space + uncounted.missed;
        let uncounted = total - std::mem::replace(&mut self.uncounted, total);
        let is_whole = snapshot.missing.iter().all(has_all_sockets);
        let open: HashSet<u64> = snapshot.sockets.iter().filter_map(|socket| socket.cookie).collect();
        let is_closed = |counts: &SocketCounts| is_whole && !open.contains(&counts.cookie);
        let mut last_counts = Vec::new();
        for counts in counts.iter_mut().filter(|counts| is_closed(counts)) {
            if let Some(last) = counters.take(counts.cookie).map_err(failed)? {
                *counts = last.clone();
                last_counts.push(last);
            }
        }
        let mut activities = self.ledger.update(counts);
        let closed = self.closed(&snapshot, last_counts, &mut activities);
        self.remember(&snapshot, &activities);
        Ok(Frame { snapshot, activities: Some(activities), closed, span, now_ns, uncounted })
    }

    fn without_counters(&mut self, span: Duration, now_ns: u64) -> Frame {
        let snapshot = self.inspector.snapshot();
        Frame { snapshot, activities: None, closed: Vec::new(), span, now_ns, uncounted: 0 }
    }

    /// Finds out what closed sockets are counted for: as in the last frame, else by the names that
    /// they shared with sockets that are still open.
    fn closed(
        &mut self,
        snapshot: &Snapshot,
        counts: Vec<SocketCounts>,
        activities: &mut HashMap<u64, Activity>,
    ) -> Vec<Closed> {
        let mut labels = Labels::new(snapshot);
        let names = self.names(snapshot, &mut labels);
        let mut closed = Vec::new();
        for counts in counts {
            let cookie = counts.cookie;
            self.ledger.forget(cookie);
            let Some(activity) = activities.remove(&cookie) else { continue };
            let identity = self.identities.remove(&cookie).unwrap_or_else(|| {
                let key = counts.name.or(counts.peer_name);
                let address = match key {
                    Some(key) => names.get(&key).cloned().unwrap_or_else(|| CLOSED.into()),
                    None => PAIRS.into(),
                };
                let process = counts.process.as_ref().map(|(pid, command)| (*pid, command.as_bytes()));
                labels.of_process(address, counts.name.is_some(), process)
            });
            closed.push(Closed { cookie, identity, activity });
        }
        closed
    }

    /// Returns the addresses of names, from the open sockets that were counted.
    fn names<'s>(
        &self,
        snapshot: &'s Snapshot,
        labels: &mut Labels<'s>,
    ) -> HashMap<stoop_tap::NameKey, Rc<str>> {
        let named = snapshot.iter().filter(|(_, socket)| !socket.name.is_unnamed());
        let mut names = HashMap::new();
        for (id, socket) in named {
            let counts = socket.cookie.and_then(|cookie| self.ledger.get(cookie));
            if let Some(key) = counts.and_then(|counts| counts.name) {
                names.entry(key).or_insert_with(|| labels.name(id));
            }
        }
        names
    }

    fn remember(&mut self, snapshot: &Snapshot, activities: &HashMap<u64, Activity>) {
        let mut labels = Labels::new(snapshot);
        self.identities.clear();
        for row in rows(snapshot) {
            for end in row.ends() {
                let cookie = snapshot[end].cookie.filter(|cookie| activities.contains_key(cookie));
                if let Some(cookie) = cookie {
                    self.identities.entry(cookie).or_insert_with(|| labels.identity(&row, end));
                }
            }
        }
    }
}

/// Returns whether no socket is missing because of this: owners may be.
fn has_all_sockets(missing: &Missing) -> bool {
    matches!(missing.what, What::Descriptors(_) | What::Processes)
}

/// Returns the clock of the counters.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
