//! Who is connected, whether there is room for more, and who has to go. Knows nothing of sockets.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::counters::{Counters, Ended};
use super::trace;
use crate::aio::Activity;

/// What clients may take.
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

    /// How often to look for connections that have to go: an idle one is cut at most a quarter of its time late.
    pub(super) fn sweep_every(&self) -> Option<Duration> {
        let shortest = [self.idle, self.lifetime].into_iter().flatten().min()?;
        Some((shortest / 4).max(Duration::from_millis(1)))
    }
}

#[derive(Debug)]
struct Entry {
    uid: Option<u32>,
    abort: AbortHandle,
    activity: Activity,
    /// What `activity` said when it was last seen to move, and when that was.
    seen: u64,
    moved: Instant,
    began: Instant,
    /// Why we cut it, if we did.
    cut: Option<Ended>,
}

impl Entry {
    fn verdict(&mut self, limits: &Limits, now: Instant) -> Option<Ended> {
        let seen = self.activity.load(Ordering::Relaxed);
        if seen != self.seen {
            (self.seen, self.moved) = (seen, now);
        }
        let over = |limit: Option<Duration>, since: Instant| limit.is_some_and(|limit| now - since >= limit);
        if over(limits.lifetime, self.began) {
            return Some(Ended::Overdue);
        }
        over(limits.idle, self.moved).then_some(Ended::Idle)
    }
}

/// The connections being served.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    entries: HashMap<Id, Entry>,
    per_uid: HashMap<u32, usize>,
    limits: Limits,
    counters: Counters,
}

impl Connections {
    pub(super) fn new(limits: Limits, counters: Counters) -> Connections {
        Connections {
            tasks: JoinSet::new(),
            entries: HashMap::new(),
            per_uid: HashMap::new(),
            limits,
            counters,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limits.total
    }

    /// Whether this user has as many as one may. Users the kernel does not know share one place.
    pub(super) fn is_full_for(&self, uid: Option<u32>) -> bool {
        self.per_uid.get(&key(uid)).is_some_and(|&count| count >= self.limits.per_uid)
    }

    pub(super) fn per_uid_limit(&self) -> usize {
        self.limits.per_uid
    }

    /// Serves one more. `activity` moves whenever a byte does.
    pub(super) fn serve(
        &mut self,
        uid: Option<u32>,
        activity: Activity,
        handling: impl Future<Output = ()> + Send + 'static,
    ) {
        let abort = self.tasks.spawn(handling);
        let now = Instant::now();
        *self.per_uid.entry(key(uid)).or_default() += 1;
        let id = abort.id();
        let seen = activity.load(Ordering::Relaxed);
        self.entries.insert(id, Entry { uid, abort, activity, seen, moved: now, began: now, cut: None });
        self.counters.began();
    }

    /// Waits until one has ended; for ever where there is none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn ended(&mut self) {
        let (id, panicked) = match self.tasks.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => (id, false),
            Some(Err(error)) => (JoinError::id(&error), error.is_panic()),
        };
        let Some(entry) = self.entries.remove(&id) else { return };
        self.leave(entry.uid);
        let how = match entry.cut {
            _ if panicked => Ended::Panicked,
            // It may have finished just when it was cut; it is gone either way.
            cut => cut.unwrap_or(Ended::Finished),
        };
        self.counters.ended(how);
        trace::ended(how);
    }

    fn leave(&mut self, uid: Option<u32>) {
        if let Some(count) = self.per_uid.get_mut(&key(uid)) {
            *count -= 1;
            if *count == 0 {
                self.per_uid.remove(&key(uid));
            }
        }
    }

    /// Cuts those whose time is up.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        for entry in self.entries.values_mut().filter(|entry| entry.cut.is_none()) {
            if let Some(why) = entry.verdict(&self.limits, now) {
                entry.cut = Some(why);
                entry.abort.abort();
            }
        }
    }

    /// Cuts all that are left, and waits until they are gone.
    pub(super) async fn abort(&mut self) {
        for entry in self.entries.values_mut() {
            entry.cut.get_or_insert(Ended::Aborted);
            entry.abort.abort();
        }
        while self.len() > 0 {
            self.ended().await;
        }
    }
}

/// The kernel's own word for "nobody" is no user's id.
fn key(uid: Option<u32>) -> u32 {
    uid.unwrap_or(u32::MAX)
}

/// A count that nothing moves yet.
pub(super) fn new_activity() -> Activity {
    Arc::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_tokio(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    fn connections(limits: Limits) -> (Connections, Counters) {
        let counters = Counters::default();
        (Connections::new(limits, counters.clone()), counters)
    }

    #[test]
    fn room_in_total_and_for_each_user_comes_back() {
        on_tokio(async {
            let (mut all, counters) = connections(Limits { total: 2, per_uid: 1, ..Limits::NONE });
            let (end, ended) = tokio::sync::oneshot::channel::<()>();
            all.serve(Some(7), new_activity(), async move { drop(ended.await) });
            assert!(all.is_full_for(Some(7)) && !all.is_full_for(Some(8)) && !all.is_full_for(None));
            all.serve(None, new_activity(), std::future::pending());
            assert!(all.is_full() && all.is_full_for(None));
            drop(end);
            all.ended().await;
            assert!(!all.is_full() && !all.is_full_for(Some(7)) && all.per_uid.len() == 1);
            let seen = counters.snapshot();
            assert_eq!((seen.accepted, seen.active, seen.peak, seen.finished), (2, 1, 2, 1));
        });
    }

    #[test]
    fn a_panic_is_counted_and_ends_nothing_else() {
        on_tokio(async {
            let (mut all, counters) = connections(Limits::NONE);
            all.serve(None, new_activity(), async { panic!("a handler's panic, as the test wants it") });
            all.ended().await;
            assert_eq!(counters.snapshot().panicked, 1);
        });
    }

    #[test]
    fn only_what_does_not_move_is_idle() {
        on_tokio(async {
            let idle = Some(Duration::from_millis(40));
            let (mut all, counters) = connections(Limits { idle, ..Limits::NONE });
            let moving = new_activity();
            all.serve(None, moving.clone(), std::future::pending());
            all.serve(None, new_activity(), std::future::pending());
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                moving.fetch_add(1, Ordering::Relaxed);
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
        on_tokio(async {
            let lifetime = Some(Duration::from_millis(10));
            let (mut all, counters) = connections(Limits { lifetime, ..Limits::NONE });
            let moving = new_activity();
            all.serve(None, moving.clone(), std::future::pending());
            tokio::time::sleep(Duration::from_millis(15)).await;
            moving.fetch_add(1, Ordering::Relaxed);
            all.sweep();
            all.ended().await;
            assert_eq!(counters.snapshot().overdue, 1);
        });
    }
}
