//! Operations shared by datagram and seqpacket sockets. They send and receive whole messages, and
//! report truncation as an error.

use std::io::IoSliceMut;
use std::os::fd::AsFd;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::message::{Allow, Received, truncation};
use crate::retry::retry;
use crate::socket::Socket;
use crate::socket_ext::SocketExt;
use crate::sys::{self, RawAddress};

pub(crate) fn sending(socket: &Socket, cause: std::io::Error) -> Error {
    let error = Error::system(Operation::Send, cause).of_kind(socket.kind());
    if error.kind() != ErrorKind::MessageTooLarge {
        return error;
    }
    let limit = socket.send_buffer_bytes().unwrap_or(0);
    error.with_detail(format!("the message is larger than the send buffer of {limit} bytes allows"))
}

pub(crate) fn receiving(socket: &Socket, cause: std::io::Error) -> Error {
    Error::system(Operation::Receive, cause).of_kind(socket.kind())
}

/// Returns an error for an empty message, which a receiver would mistake for the end.
pub(crate) fn refuse_empty(message: &[u8]) -> Result<()> {
    if message.is_empty() {
        let detail = "an empty seqpacket message looks like the end of the connection";
        return Err(Error::new(Operation::Send, ErrorKind::Unsupported, detail));
    }
    Ok(())
}

/// Sends one message. The kernel accepts all of it or nothing.
pub(crate) fn send(socket: &Socket, message: &[u8], to: Option<&RawAddress>) -> Result<()> {
    retry(|| match to {
        Some(to) => sys::send_to(socket.as_fd(), message, to),
        None => sys::send(socket.as_fd(), message),
    })
    .map(drop)
    .map_err(|cause| sending(socket, cause))
}

/// Receives one message. Returns an error if it is longer than the buffer.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> Result<usize> {
    let len =
        retry(|| socket.spin().wait(|flags| sys::receive(socket.as_fd(), buffer, libc::MSG_TRUNC | flags)))
            .map_err(|cause| receiving(socket, cause))?;
    whole(len, buffer.len())
}

/// Receives one message like [`receive`], and returns its sender's address as well.
pub(crate) fn receive_from(socket: &Socket, buffer: &mut [u8]) -> Result<(usize, RawAddress)> {
    let (len, from) = retry(|| {
        socket.spin().wait(|flags| sys::receive_from(socket.as_fd(), buffer, libc::MSG_TRUNC | flags))
    })
    .map_err(|cause| receiving(socket, cause))?;
    Ok((whole(len, buffer.len())?, from))
}

fn whole(len_bytes: usize, buffer_bytes: usize) -> Result<usize> {
    if len_bytes <= buffer_bytes {
        return Ok(len_bytes);
    }
    let detail = truncation(len_bytes, buffer_bytes);
    Err(Error::new(Operation::Receive, ErrorKind::MessageTruncated, detail).with_received(buffer_bytes))
}

/// Returns the length of the next message, which stays in the queue.
///
/// The buffer is empty: with `MSG_TRUNC` the kernel returns the true length all the same, and with
/// `MSG_PEEK` it keeps the message.
pub(crate) fn next_len(socket: &Socket) -> Result<usize> {
    let ask = libc::MSG_PEEK | libc::MSG_TRUNC;
    retry(|| socket.spin().wait(|flags| sys::receive(socket.as_fd(), &mut [], ask | flags)))
        .map_err(|cause| receiving(socket, cause))
}

/// Copies the next message into `buffer` like [`receive`]. The message stays in the queue.
pub(crate) fn peek(socket: &Socket, buffer: &mut [u8]) -> Result<usize> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC;
    let len = retry(|| socket.spin().wait(|more| sys::receive(socket.as_fd(), buffer, flags | more)))
        .map_err(|cause| receiving(socket, cause))?;
    whole(len, buffer.len())
}

/// Copies the next message like [`peek`], and returns its sender's address as well.
pub(crate) fn peek_from(socket: &Socket, buffer: &mut [u8]) -> Result<(usize, RawAddress)> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC;
    let (len, from) =
        retry(|| socket.spin().wait(|more| sys::receive_from(socket.as_fd(), buffer, flags | more)))
            .map_err(|cause| receiving(socket, cause))?;
    Ok((whole(len, buffer.len())?, from))
}

/// Receives one message of any length.
///
/// If several threads receive on one socket, another may take the message whose length was seen. A
/// longer message that follows is then truncated, and reported as an error.
pub(crate) fn receive_whole(socket: &Socket, allow: Allow) -> Result<(Vec<u8>, Received)> {
    let mut message = vec![0; next_len(socket)?];
    let received = socket.receive_message(&mut [IoSliceMut::new(&mut message)], allow)?;
    message.truncate(received.len);
    Ok((message, received))
}
