//! Counting semaphores keyed by owner: the same limit for each of many owners.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A limit that applies to each owner separately.
#[derive(Debug)]
pub(super) struct KeyedSemaphore<K> {
    limit: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// A permit, which is released on drop.
#[derive(Debug)]
pub(super) struct KeyedPermit<K: Hash + Eq> {
    semaphore: Arc<KeyedSemaphore<K>>,
    owner: K,
}

impl<K: Hash + Eq + Clone> KeyedSemaphore<K> {
    pub(super) fn new(limit: usize) -> Arc<KeyedSemaphore<K>> {
        Arc::new(KeyedSemaphore { limit, taken: Mutex::default() })
    }

    pub(super) fn is_used_up(&self, owner: &K) -> bool {
        self.limit < usize::MAX && self.locked().get(owner).is_some_and(|&taken| taken >= self.limit)
    }

    /// Acquires a permit for this owner, or returns `None` if its limit is reached.
    pub(super) fn take(self: &Arc<Self>, owner: &K) -> Option<KeyedPermit<K>> {
        let mut all = self.locked();
        let taken = all.entry(owner.clone()).or_default();
        if *taken >= self.limit {
            return None;
        }
        *taken += 1;
        Some(KeyedPermit { semaphore: self.clone(), owner: owner.clone() })
    }
}

impl<K> KeyedSemaphore<K> {
    pub(super) fn is_limited(&self) -> bool {
        self.limit < usize::MAX
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for KeyedPermit<K> {
    fn drop(&mut self) {
        let mut all = self.semaphore.locked();
        if let Some(taken) = all.get_mut(&self.owner) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_and_gives_it_back() {
        let semaphore = KeyedSemaphore::new(2);
        let (one, two) = (semaphore.take(&'a').unwrap(), semaphore.take(&'a').unwrap());
        assert!(semaphore.take(&'a').is_none() && semaphore.is_used_up(&'a') && !semaphore.is_used_up(&'b'));
        let other = semaphore.take(&'b').unwrap();
        drop(one);
        assert!(!semaphore.is_used_up(&'a'));
        drop((two, other));
        assert!(semaphore.locked().is_empty());
    }
}
