//! Which descriptors belong to which frame. Pure: it never looks at what it holds.
//!
//! Descriptors come with the read that takes the first byte they were sent with, and that read goes
//! no further than the bytes of that one send (K-FD-5, K-FD-6). It may begin with older bytes, so
//! all that is known is a stretch of the stream in which they begin. A frame announces its
//! descriptors and was sent with them from its first byte; so the next frame that announces some
//! must begin within that stretch, and nothing else may.

use std::collections::VecDeque;
use std::ops::Range;

use super::error::FrameError;

/// At most two batches wait: one for a frame that has not come whole, one that came with its end
/// and belongs to the next.
const WAITING_MAX: usize = 2;

/// Descriptors that have come and whose frame has not been given out.
#[derive(Debug)]
pub(crate) struct Beside<T> {
    waiting: VecDeque<(Range<u64>, Vec<T>)>,
}

impl<T> Default for Beside<T> {
    fn default() -> Beside<T> {
        Beside { waiting: VecDeque::new() }
    }
}

impl<T> Beside<T> {
    /// These came with a read of that stretch of the stream.
    pub(crate) fn came(&mut self, stretch: Range<u64>, batch: Vec<T>) -> Result<(), FrameError> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.waiting.len() == WAITING_MAX {
            return Err(self.stray());
        }
        self.waiting.push_back((stretch, batch));
        Ok(())
    }

    /// Those of the frame that begins at `position` and announces so many. Frames are asked about
    /// in order.
    pub(crate) fn claim(&mut self, position: u64, announced: usize) -> Result<Vec<T>, FrameError> {
        let Some((stretch, _)) = self.waiting.front() else {
            return if announced == 0 { Ok(Vec::new()) } else { Err(missing(announced, 0)) };
        };
        // Positions may wrap; a stretch is short.
        let len = stretch.end.wrapping_sub(stretch.start);
        let offset = position.wrapping_sub(stretch.start);
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

    /// Whether descriptors are waiting for their frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets all go: no frame has announced the first.
    pub(crate) fn stray(&mut self) -> FrameError {
        let count = self.waiting.front().map_or(0, |(_, batch)| batch.len());
        self.clear();
        FrameError::StrayDescriptors { count }
    }

    /// Lets all go.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

fn missing(announced: usize, came: usize) -> FrameError {
    FrameError::MissingDescriptors { announced, came }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_to_the_frame_that_begins_in_its_stretch() {
        let mut beside = Beside::default();
        beside.came(10..20, vec!['a', 'b']).unwrap();
        assert_eq!(beside.claim(4, 0), Ok(vec![]), "before it");
        assert_eq!(
            beside.claim(11, 0),
            Ok(vec![]),
            "in it, and announces nothing: older bytes of the same read"
        );
        beside.came(20..30, vec!['c']).unwrap();
        assert_eq!(beside.claim(15, 2), Ok(vec!['a', 'b']));
        assert_eq!(beside.claim(20, 1), Ok(vec!['c']));
        assert!(beside.is_empty());
    }

    #[test]
    fn what_was_not_announced_is_noticed() {
        let mut beside = Beside::default();
        beside.came(10..20, vec![1]).unwrap();
        assert_eq!(beside.claim(20, 0), Err(FrameError::StrayDescriptors { count: 1 }));
        beside.came(10..20, vec![1]).unwrap();
        beside.came(20..30, vec![2]).unwrap();
        assert_eq!(beside.came(30..40, vec![3]), Err(FrameError::StrayDescriptors { count: 1 }));
        assert!(beside.is_empty(), "nothing is kept");
    }

    #[test]
    fn what_did_not_come_is_noticed() {
        let mut beside = Beside::default();
        assert_eq!(beside.claim(0, 1), Err(FrameError::MissingDescriptors { announced: 1, came: 0 }));
        beside.came(10..20, vec![1]).unwrap();
        assert_eq!(beside.claim(9, 1), Err(FrameError::MissingDescriptors { announced: 1, came: 0 }));
        assert_eq!(beside.claim(10, 2), Err(FrameError::MissingDescriptors { announced: 2, came: 1 }));
    }
}
