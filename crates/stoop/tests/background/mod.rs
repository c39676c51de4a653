//! A background thread that repeats an action while the test does something else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Repeats `action` on a thread of its own until `work` has returned or panicked.
pub fn while_repeating<T>(action: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
    struct EndOnDrop<'a>(&'a AtomicBool);

    impl Drop for EndOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                action();
            }
        });
        let _end = EndOnDrop(&ended);
        work()
    })
}
