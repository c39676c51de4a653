//! Assigns received file descriptors to their frames. Pure: generic over the file descriptors it
//! holds.
//!
//! The kernel delivers file descriptors with the read that takes the first byte of the `sendmsg`
//! that carried them. That read does not continue past the bytes of that `sendmsg` ([K-FD-5],
//! [K-FD-6]), but it may begin with older bytes. So all that is known is a range of the stream in
//! which the file descriptors' frame begins.
//!
//! The sender announces file descriptors in the frame's header and attaches them to its first byte.
//! Therefore the next frame that announces some must begin within that range, and no other frame
//! may.
//!
//! [K-FD-5]: crate::kernel_facts#K-FD-5
//! [K-FD-6]: crate::kernel_facts#K-FD-6

use std::collections::VecDeque;
use std::ops::Range;

use super::error::FrameError;

/// The maximum number of waiting batches is two: one for a frame that is still incomplete, and one
/// that arrived with that frame's end and belongs to the next.
const WAITING_MAX: usize = 2;

/// File descriptors that have arrived and whose frame has not been delivered.
#[derive(Debug)]
pub(crate) struct FdQueue<T> {
    waiting: VecDeque<(Range<u64>, Vec<T>)>,
}

impl<T> Default for FdQueue<T> {
    fn default() -> FdQueue<T> {
        FdQueue { waiting: VecDeque::new() }
    }
}

impl<T> FdQueue<T> {
    /// Stores the file descriptors that arrived with a read of this range of the stream.
    pub(crate) fn push(&mut self, range: Range<u64>, batch: Vec<T>) -> Result<(), FrameError> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.waiting.len() == WAITING_MAX {
            return Err(self.stray());
        }
        self.waiting.push_back((range, batch));
        Ok(())
    }

    /// Returns the file descriptors of the frame that begins at `position` and announces
    /// `announced` of them. Call it for every frame, in order.
    pub(crate) fn claim(&mut self, position: u64, announced: usize) -> Result<Vec<T>, FrameError> {
        let Some((range, _)) = self.waiting.front() else {
            return if announced == 0 { Ok(Vec::new()) } else { Err(missing(announced, 0)) };
        };
        // Positions are modulo 2⁶⁴ and may wrap, so compare distances: a range is short.
        let len = range.end.wrapping_sub(range.start);
        let offset = position.wrapping_sub(range.start);
        let is_before = offset > u64::MAX / 2;
        match (announced, is_before) {
            (0, _) if is_before || offset < len => Ok(Vec::new()),
            (0, _) => Err(self.stray()),
            (_, true) => Err(missing(announced, 0)),
            _ if offset >= len => Err(self.stray()),
            _ => {
                let batch = self.waiting.pop_front().map_or_else(Vec::new, |(_, batch)| batch);
                if batch.len() == announced { Ok(batch) } else { Err(missing(announced, batch.len())) }
            }
        }
    }

    /// Returns whether no file descriptors wait for their frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Discards everything: no frame has announced the first batch.
    pub(crate) fn stray(&mut self) -> FrameError {
        let count = self.waiting.front().map_or(0, |(_, batch)| batch.len());
        self.clear();
        FrameError::UnannouncedDescriptors { count }
    }

    /// Discards everything.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

fn missing(announced: usize, received: usize) -> FrameError {
    FrameError::MissingDescriptors { announced, received }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_to_the_frame_that_begins_in_its_range() {
        let mut fds = FdQueue::default();
        fds.push(10..20, vec!['a', 'b']).unwrap();
        assert_eq!(fds.claim(4, 0), Ok(vec![]), "before it");
        assert_eq!(
            fds.claim(11, 0),
            Ok(vec![]),
            "in it, and announces nothing: older bytes of the same read"
        );
        fds.push(20..30, vec!['c']).unwrap();
        assert_eq!(fds.claim(15, 2), Ok(vec!['a', 'b']));
        assert_eq!(fds.claim(20, 1), Ok(vec!['c']));
        assert!(fds.is_empty());
    }

    #[test]
    fn what_was_not_announced_is_noticed() {
        let mut fds = FdQueue::default();
        fds.push(10..20, vec![1]).unwrap();
        assert_eq!(fds.claim(20, 0), Err(FrameError::UnannouncedDescriptors { count: 1 }));
        fds.push(10..20, vec![1]).unwrap();
        fds.push(20..30, vec![2]).unwrap();
        assert_eq!(fds.push(30..40, vec![3]), Err(FrameError::UnannouncedDescriptors { count: 1 }));
        assert!(fds.is_empty(), "nothing is kept");
    }

    #[test]
    fn what_did_not_come_is_noticed() {
        let mut fds = FdQueue::default();
        assert_eq!(fds.claim(0, 1), Err(FrameError::MissingDescriptors { announced: 1, received: 0 }));
        fds.push(10..20, vec![1]).unwrap();
        assert_eq!(fds.claim(9, 1), Err(FrameError::MissingDescriptors { announced: 1, received: 0 }));
        assert_eq!(fds.claim(10, 2), Err(FrameError::MissingDescriptors { announced: 2, received: 1 }));
    }
}
