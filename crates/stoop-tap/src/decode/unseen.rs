//! What may be the rest of something whose begin was not seen. Pure.

use super::text::is_text;
use crate::follow::Side;

/// How long the rest may be: of a frame of HTTP/2 whose length was not agreed on, with compressed
/// headers.
const REST_MAX: usize = 1 << 14;

/// How many bytes of each direction may go on with what was not seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unseen {
    is_joined: bool,
    left: [usize; 2],
}

impl Unseen {
    /// Returns the state of a connection that began before.
    pub(super) fn joined() -> Unseen {
        Unseen { is_joined: true, left: [REST_MAX; 2] }
    }

    /// Returns whether the connection began before, and has shown no protocol since.
    pub(super) fn is_joined(self) -> bool {
        self.is_joined
    }

    /// Takes bytes that show no protocol, and returns how many of them may go on with what was not
    /// seen. Text does not: no compressed headers are text.
    pub(super) fn take(&mut self, from: Side, bytes: &[u8]) -> usize {
        let left = &mut self.left[from.index()];
        if *left == 0 || is_text(bytes) {
            return 0;
        }
        let taken = bytes.len().min(*left);
        *left -= taken;
        taken
    }
}
