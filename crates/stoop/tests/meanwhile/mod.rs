//! Something that goes on in the background for as long as something else takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Does `again_and_again` on a thread of its own until `work` has ended, be it by a panic.
pub fn meanwhile<T>(again_and_again: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
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
                again_and_again();
            }
        });
        let _end = EndOnDrop(&ended);
        work()
    })
}
