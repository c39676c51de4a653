//! A page-aligned buffer in safe code: it allocates one page more than needed and begins at a page
//! boundary inside.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The page size assumed, 4 KiB. If the kernel's pages are larger, a multiple of this is still the
/// start of a cache line.
pub const PAGE_BYTES: usize = 4096;

/// A buffer of fixed length that begins on a page boundary, initially all zero.
///
/// Receiving large messages into an unaligned buffer can be several times slower. A large `Vec<u8>`
/// is not page-aligned, because the allocator puts its own header before it. Memory is taken from
/// the system only when it is first written to.
///
/// ```
/// use stoop::internal::{PAGE_BYTES, PageBuffer};
/// let buffer = PageBuffer::new(100_000);
/// assert_eq!(buffer.len(), 100_000);
/// assert!(buffer.as_ptr().addr().is_multiple_of(PAGE_BYTES));
/// ```
pub struct PageBuffer {
    /// One page longer than needed. Never reallocated, because that could move the bytes off the
    /// boundary.
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl PageBuffer {
    /// Creates a buffer of `len_bytes` zeros. If that is zero, nothing is allocated.
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
