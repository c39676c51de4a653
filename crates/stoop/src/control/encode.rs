//! Encoding control messages.

use std::fmt;

use super::{Credentials, HEADER_BYTES, space};

/// Encodes control messages one after another into a buffer owned by the caller.
pub struct Encoder<'a> {
    buffer: &'a mut [u8],
    used_bytes: usize,
}

impl<'a> Encoder<'a> {
    /// Creates an encoder that writes from the start of `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Encoder<'a> {
        Encoder { buffer, used_bytes: 0 }
    }

    /// Adds file descriptors (`SCM_RIGHTS`). If there are none, adds nothing.
    ///
    /// # Errors
    /// Returns an error if the buffer is too small (`NoRoom`). The buffer is then unchanged.
    pub fn descriptors(&mut self, numbers: impl ExactSizeIterator<Item = i32>) -> Result<(), NoRoom> {
        if numbers.len() == 0 {
            return Ok(());
        }
        let data = self.message(libc::SCM_RIGHTS, numbers.len() * 4)?;
        for (to, number) in data.chunks_exact_mut(4).zip(numbers) {
            to.copy_from_slice(&number.to_ne_bytes());
        }
        Ok(())
    }

    /// Adds credentials (`SCM_CREDENTIALS`).
    ///
    /// # Errors
    /// Returns an error if the buffer is too small (`NoRoom`). The buffer is then unchanged.
    pub fn credentials(&mut self, credentials: Credentials) -> Result<(), NoRoom> {
        self.message(libc::SCM_CREDENTIALS, Credentials::BYTES)?.copy_from_slice(&credentials.to_bytes());
        Ok(())
    }

    /// Returns the encoded control messages.
    pub fn finish(self) -> &'a [u8] {
        &self.buffer[..self.used_bytes]
    }

    /// Writes a header and returns the buffer for its data. The padding after it is zero.
    fn message(&mut self, kind: i32, data_len_bytes: usize) -> Result<&mut [u8], NoRoom> {
        let start = self.used_bytes;
        let message = self.buffer.get_mut(start..start + space(data_len_bytes)).ok_or(NoRoom)?;
        self.used_bytes += message.len();
        let (header, data) = message.split_at_mut(HEADER_BYTES);
        let (len, rest) = header.split_at_mut(size_of::<usize>());
        len.copy_from_slice(&(HEADER_BYTES + data_len_bytes).to_ne_bytes());
        rest[..4].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        rest[4..].copy_from_slice(&kind.to_ne_bytes());
        data.fill(0);
        Ok(&mut data[..data_len_bytes])
    }
}

/// The error returned if the buffer is too small for another control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("buffer too small for another control message")
    }
}

impl std::error::Error for NoRoom {}
