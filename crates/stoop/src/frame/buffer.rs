//! Bytes that begin on a page boundary, in safe code: it takes a page more than it needs and starts
//! where one begins.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// What the kernel's pages are taken for: 4 KiB. Where they are larger, a multiple of this still
/// begins on a cache line.
pub const PAGE_BYTES: usize = 4096;

/// A buffer of fixed length that begins on a page boundary, all zero at first.
///
/// Receiving large messages into a buffer that does not can be several times slower, and a large
/// `Vec<u8>` does not: the allocator puts its own note in front of it. Memory is taken from the
/// system when it is first written to.
///
/// ```
/// use stoop::frame::{PAGE_BYTES, PageBuffer};
/// let buffer = PageBuffer::new(100_000);
/// assert_eq!(buffer.len(), 100_000);
/// assert!(buffer.as_ptr().addr().is_multiple_of(PAGE_BYTES));
/// ```
pub struct PageBuffer {
    /// A page longer than needed. Never reallocated, since that could move the bytes off the
    /// boundary.
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl PageBuffer {
    /// A buffer of `len_bytes` zeros. Without any, nothing is allocated.
    pub fn new(len_bytes: usize) -> PageBuffer {
        if len_bytes == 0 {
            return PageBuffer { bytes: Vec::new(), start: 0, len: 0 };
        }
        let bytes = vec![0; len_bytes + PAGE_BYTES];
        let start = bytes.as_ptr().align_offset(PAGE_BYTES);
        PageBuffer { bytes, start, len: len_bytes }
    }
}

impl Default for PageBuffer {
    fn default() -> PageBuffer {
        PageBuffer::new(0)
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for PageBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

impl fmt::Debug for PageBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageBuffer({} bytes)", self.len)
    }
}
