//! Receiving into a [`BufMut`], such as a `Vec<u8>` or a `BytesMut`: the bytes are appended, and
//! the spare capacity need not be initialized.

use std::io;
use std::os::fd::AsFd;

use bytes::BufMut;
use tokio::io::{Interest, ReadBuf};

use super::{Datagram, Stream};
use crate::Address;
use crate::error::{Error, Result};
use crate::retry::retry;
use crate::sys;

impl Stream {
    /// Reads the data that is available now, and appends it to `buffer`, without waiting.
    ///
    /// Reads at most as much as the buffer's spare capacity. A `Vec<u8>` without any grows by 64
    /// bytes. Clears the socket's readiness if no data is available.
    ///
    /// # Errors
    /// Returns an error if no data is available ([`io::ErrorKind::WouldBlock`]), or if the read
    /// fails for the same reasons as [`Read::read`](io::Read::read).
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = stoop::aio::Stream::pair()?;
    /// one.try_write(b" world")?;
    /// let mut text = b"hello".to_vec();
    /// assert_eq!(other.try_read_buf(&mut text)?, 6);
    /// assert_eq!(text, b"hello world");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_read_buf<B: BufMut>(&self, buffer: &mut B) -> io::Result<usize> {
        self.attempt(Interest::READABLE, |stream| {
            retry(|| sys::append(buffer, |part| sys::receive_into(stream.as_fd(), part, 0).map(drop)))
                .map(|(len, ())| len)
        })
    }
}

impl Datagram {
    /// Receives one message, appends it to `buffer`, and returns its length.
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer's spare capacity
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); the message is lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// let mut messages = Vec::with_capacity(16);
    /// one.send(b"one, ").await?;
    /// one.send(b"two").await?;
    /// other.recv_buf(&mut messages).await?;
    /// other.recv_buf(&mut messages).await?;
    /// assert_eq!(messages, b"one, two");
    ///
    /// one.send(b"too long for it").await?;
    /// let error = other.recv_buf(&mut messages).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTruncated);
    /// assert_eq!(messages, b"one, two"); // unchanged
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_buf<B: BufMut>(&self, buffer: &mut B) -> Result<usize> {
        self.receiving(|socket| receive(socket, buffer)).await.map(|(len, _)| len)
    }

    /// Receives one message, appends it to `buffer`, and returns its length and the sender's
    /// address.
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer's spare capacity
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); the message is lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    pub async fn recv_buf_from<B: BufMut>(&self, buffer: &mut B) -> Result<(usize, Address)> {
        self.receiving(|socket| receive(socket, buffer)).await
    }

    /// Receives a message if there is one now, and appends it to `buffer`, without waiting.
    ///
    /// # Errors
    /// Returns an error if the queue is empty
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if the message does not fit
    /// the buffer's spare capacity
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); it is lost.
    pub fn try_recv_buf<B: BufMut>(&self, buffer: &mut B) -> Result<usize> {
        self.try_recv_buf_from(buffer).map(|(len, _)| len)
    }

    /// Receives a message if there is one now, appends it to `buffer`, and returns its length and
    /// the sender's address, without waiting.
    ///
    /// # Errors
    /// Returns an error if the queue is empty
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if the message does not fit
    /// the buffer's spare capacity
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); it is lost.
    pub fn try_recv_buf_from<B: BufMut>(&self, buffer: &mut B) -> Result<(usize, Address)> {
        self.attempt(Interest::READABLE, |socket| receive(socket, buffer))
    }
}

fn receive(socket: &crate::Datagram, buffer: &mut impl BufMut) -> Result<(usize, Address)> {
    sys::append(buffer, |part: &mut ReadBuf<'_>| {
        let (len, from) = socket.recv_from(part.initialize_unfilled())?;
        part.advance(len);
        Ok::<_, Error>(from)
    })
}
