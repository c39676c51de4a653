//! Tracks open connections and their limits. Knows nothing of sockets.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::counted::{Counted, Unjoined};
use super::counters::{Counters, Ended};
use super::trace;
use crate::aio::Activity;

/// The limits on clients.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) total: usize,
    pub(super) per_uid: usize,
    pub(super) idle: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
}

impl Limits {
    pub(super) const NONE: Limits =
        Limits { total: usize::MAX, per_uid: usize::MAX, idle: None, lifetime: None };

    /// Returns whether any limit applies to single connections rather than to all together.
    fn apply_to_each(&self) -> bool {
        self.per_uid < usize::MAX || self.idle.is_some() || self.lifetime.is_some()
    }

    /// Returns how often to look for connections to abort: an idle one is aborted at most a
    /// quarter of its time late.
    pub(super) fn sweep_every(&self) -> Option<Duration> {
        let shortest = [self.idle, self.lifetime].into_iter().flatten().min()?;
        Some((shortest / 4).max(Duration::from_millis(1)))
    }
}

/// State of one connection. Kept small, since a server may have very many.
#[derive(Debug)]
struct Entry {
    abort: AbortHandle,
    /// Set if there is an idle timeout.
    activity: Option<Activity>,
    /// The value of `activity` when it last changed. `moved` is when that was noticed.
    seen: u64,
    moved: Moment,
    began: Moment,
    /// The user id, as [`key`] returns it.
    uid: u32,
    /// Why the connection was aborted, if it was.
    aborted_for: Option<Ended>,
}

/// Milliseconds since the server started, modulo 2^32 (seven weeks). Only differences count, and
/// they are computed with wrapping subtraction.
type Moment = u32;

impl Entry {
    fn exceeded(&mut self, limits: &Limits, now: Moment) -> Option<Ended> {
        let over = |limit: Option<Duration>, since: Moment| {
            limit.is_some_and(|limit| Duration::from_millis(now.wrapping_sub(since).into()) >= limit)
        };
        if over(limits.lifetime, self.began) {
            return Some(Ended::Overdue);
        }
        // Relaxed: the count publishes nothing, and a late value only delays the verdict by a sweep.
        let seen = self.activity.as_ref()?.load(Ordering::Relaxed);
        if seen != self.seen {
            (self.seen, self.moved) = (seen, now);
        }
        over(limits.idle, self.moved).then_some(Ended::Idle)
    }
}

/// The connections being served.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    /// The tasks that count their own end, of which the server need not be told one by one.
    unjoined: Arc<Unjoined>,
    /// The state of each task, if any limit needs more than the number of tasks.
    entries: HashMap<Id, Entry>,
    per_uid: HashMap<u32, usize>,
    limits: Limits,
    counters: Counters,
    began: Instant,
}

impl Connections {
    pub(super) fn new(limits: Limits, counters: Counters) -> Connections {
        Connections {
            tasks: JoinSet::new(),
            unjoined: Arc::default(),
            entries: HashMap::new(),
            per_uid: HashMap::new(),
            limits,
            counters,
            began: Instant::now(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limits.total
    }

    /// Returns whether this user has reached its limit. Clients whose user id is unknown share
    /// one.
    pub(super) fn is_full_for(&self, uid: Option<u32>) -> bool {
        self.per_uid.get(&key(uid)).is_some_and(|&count| count >= self.limits.per_uid)
    }

    /// Returns whether the user id of each connection is needed.
    pub(super) fn needs_uid(&self) -> bool {
        self.limits.per_uid < usize::MAX || trace::logs_clients()
    }

    pub(super) fn per_uid_limit(&self) -> usize {
        self.limits.per_uid
    }

    fn now(&self) -> Moment {
        self.began.elapsed().as_millis() as Moment
    }

    /// Returns a counter for the next connection's activity, if there is an idle timeout.
    pub(super) fn new_activity(&self) -> Option<Activity> {
        self.limits.idle.map(|_| Arc::default())
    }

    /// Spawns the handling of one more connection.
    pub(super) fn serve(
        &mut self,
        uid: Option<u32>,
        activity: Option<Activity>,
        handling: impl Future<Output = ()> + Send + 'static,
    ) {
        self.counters.began();
        if !self.limits.apply_to_each() {
            self.join_ended();
            self.tasks.spawn(Counted::new(handling, &self.counters, &self.unjoined));
            return;
        }
        let abort = self.tasks.spawn(handling);
        let (id, now, uid) = (abort.id(), self.now(), key(uid));
        *self.per_uid.entry(uid).or_default() += 1;
        let entry = Entry { abort, activity, seen: 0, moved: now, began: now, uid, aborted_for: None };
        self.entries.insert(id, entry);
    }

    /// Waits until the end of a connection may change what the server does. If no limit depends on
    /// single connections, that is the end of many: each would wake the accept loop, which costs
    /// more than the connection's own end.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn changed(&mut self) {
        if self.limits.apply_to_each() || self.is_full() {
            return self.ended().await;
        }
        self.unjoined.many().await;
        self.join_ended();
    }

    /// Releases the tasks that have ended and counted themselves.
    fn join_ended(&mut self) {
        if self.unjoined.take() > 0 {
            while self.tasks.try_join_next().is_some() {}
        }
    }

    /// Waits until a connection has ended; never completes without one.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn ended(&mut self) {
        let (id, how) = match self.tasks.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => (id, Ended::Finished),
            Some(Err(error)) if error.is_panic() => (JoinError::id(&error), Ended::Panicked),
            Some(Err(error)) => (JoinError::id(&error), Ended::Aborted),
        };
        // Without an entry, it has counted itself.
        let Some(entry) = self.entries.remove(&id) else { return };
        self.leave(entry.uid);
        let how = match entry.aborted_for {
            // The task may have finished at the moment it was aborted. It counts as aborted.
            Some(cut) if how != Ended::Panicked => cut,
            _ => how,
        };
        self.counters.ended(how);
        trace::ended(how);
    }

    fn leave(&mut self, uid: u32) {
        if let Some(count) = self.per_uid.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                self.per_uid.remove(&uid);
            }
        }
    }

    /// Aborts the connections that have exceeded a limit.
    pub(super) fn sweep(&mut self) {
        let now = self.now();
        for entry in self.entries.values_mut().filter(|entry| entry.aborted_for.is_none()) {
            if let Some(why) = entry.exceeded(&self.limits, now) {
                entry.aborted_for = Some(why);
                entry.abort.abort();
            }
        }
    }

    /// Aborts all remaining connections and waits for their tasks to end.
    pub(super) async fn abort(&mut self) {
        self.tasks.abort_all();
        while self.len() > 0 {
            self.ended().await;
        }
    }
}

/// Returns the user id, or the kernel's invalid id `(uid_t)-1`, which no user has.
fn key(uid: Option<u32>) -> u32 {
    uid.unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::counted::MANY;
    use super::*;

    fn async_test(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    fn connections(limits: Limits) -> (Connections, Counters) {
        let counters = Counters::default();
        (Connections::new(limits, counters.clone()), counters)
    }

    #[test]
    fn room_in_total_and_for_each_user_comes_back() {
        async_test(async {
            let (mut all, counters) = connections(Limits { total: 2, per_uid: 1, ..Limits::NONE });
            let (end, ended) = tokio::sync::oneshot::channel::<()>();
            all.serve(Some(7), None, async move { drop(ended.await) });
            assert!(all.is_full_for(Some(7)) && !all.is_full_for(Some(8)) && !all.is_full_for(None));
            all.serve(None, None, std::future::pending());
            assert!(all.is_full() && all.is_full_for(None));
            drop(end);
            all.ended().await;
            assert!(!all.is_full() && !all.is_full_for(Some(7)) && all.per_uid.len() == 1);
            let seen = counters.snapshot();
            assert_eq!((seen.accepted, seen.active, seen.peak, seen.finished), (2, 1, 2, 1));
        });
    }

    #[test]
    fn the_end_of_many_is_noticed_at_once_and_of_each_in_time() {
        async_test(async {
            let (mut all, counters) = connections(Limits::NONE);
            all.serve(None, None, async {});
            assert!(tokio::time::timeout(Duration::from_millis(20), all.changed()).await.is_err());
            assert_eq!((counters.snapshot().active, counters.snapshot().finished, all.len()), (0, 1, 1));
            // The next client releases it.
            all.serve(None, None, async {});
            assert_eq!(all.len(), 1);
            for _ in 0..100 {
                all.serve(None, None, std::future::ready(()));
            }
            let before = all.len();
            all.changed().await;
            assert!(all.len() <= before - MANY, "{} of {before} are left", all.len());
        });
    }

    #[test]
    fn a_full_server_notices_each_end() {
        async_test(async {
            let (mut all, _) = connections(Limits { total: 1, ..Limits::NONE });
            all.serve(None, None, async {});
            all.changed().await;
            assert!(!all.is_full());
        });
    }

    #[test]
    fn a_panic_is_counted_and_ends_nothing_else() {
        async_test(async {
            let (mut all, counters) = connections(Limits::NONE);
            all.serve(None, None, async { panic!("a handler's panic, as the test wants it") });
            all.ended().await;
            assert_eq!(counters.snapshot().panicked, 1);
        });
    }

    #[test]
    fn only_what_does_not_move_is_idle() {
        async_test(async {
            let idle = Some(Duration::from_millis(40));
            let (mut all, counters) = connections(Limits { idle, ..Limits::NONE });
            let moving = all.new_activity();
            all.serve(None, moving.clone(), std::future::pending());
            let still = all.new_activity();
            all.serve(None, still, std::future::pending());
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                moving.as_ref().unwrap().fetch_add(1, Ordering::Relaxed);
                all.sweep();
            }
            all.ended().await;
            assert_eq!((counters.snapshot().idle, all.len()), (1, 1));
            all.abort().await;
            assert_eq!((counters.snapshot().aborted, all.len()), (1, 0));
        });
    }

    #[test]
    fn nothing_lasts_longer_than_its_time() {
        async_test(async {
            let lifetime = Some(Duration::from_millis(10));
            let (mut all, counters) = connections(Limits { lifetime, ..Limits::NONE });
            all.serve(None, None, std::future::pending());
            tokio::time::sleep(Duration::from_millis(15)).await;
            all.sweep();
            all.ended().await;
            assert_eq!(counters.snapshot().overdue, 1);
        });
    }
}
