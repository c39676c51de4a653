//! `msgget`, `msgsnd`, `msgrcv`, `msgctl`: System V message queues.

use std::io;
use std::mem::zeroed;

use libc::{c_int, c_long};

/// A `struct msgbuf`: the type, then the bytes of the message.
#[derive(Debug)]
pub(crate) struct MessageBuffer {
    /// The type, followed by space for the bytes.
    words: Vec<c_long>,
    room_bytes: usize,
}

/// The only message type used here; it must be positive.
const TYPE: c_long = 1;

impl MessageBuffer {
    pub(crate) fn new(room_bytes: usize) -> MessageBuffer {
        let words = vec![TYPE; 1 + room_bytes.div_ceil(size_of::<c_long>())];
        MessageBuffer { words, room_bytes }
    }

    /// Returns the space for the bytes.
    fn room(&mut self) -> &mut [u8] {
        let start = self.words[1..].as_mut_ptr().cast();
        // SAFETY: `new` allocated at least this many bytes behind the first word. They are
        // initialized, bytes have no alignment, and `self` stays borrowed.
        unsafe { std::slice::from_raw_parts_mut(start, self.room_bytes) }
    }
}

/// Creates a queue that only this user may use (`msgget` with `IPC_PRIVATE`).
pub(crate) fn create() -> io::Result<c_int> {
    // SAFETY: takes plain numbers.
    check(unsafe { libc::msgget(libc::IPC_PRIVATE, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) })
}

/// Removes a queue (`msgctl` with `IPC_RMID`). Waiting processes wake with `EIDRM`.
pub(crate) fn remove(id: c_int) -> io::Result<()> {
    // SAFETY: takes plain numbers; the pointer is ignored.
    check(unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) }).map(drop)
}

/// Returns how many bytes all messages of the queue together may have (`msgctl` with `IPC_STAT`).
pub(crate) fn capacity_bytes(id: c_int) -> io::Result<usize> {
    // SAFETY: all-zero is a valid `msqid_ds`: it contains only numbers.
    let mut status: libc::msqid_ds = unsafe { zeroed() };
    // SAFETY: `status` is ours, and what the kernel fills in has its type.
    check(unsafe { libc::msgctl(id, libc::IPC_STAT, &raw mut status) })?;
    match status.msg_qbytes {
        // No usable queue has a capacity of zero: the kernel did not write an answer.
        0 => Err(io::Error::from_raw_os_error(libc::EPROTO)),
        bytes => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
    }
}

/// Sends a message (`msgsnd`); blocks while the queue is full. The message must fit into the
/// buffer.
pub(crate) fn send(id: c_int, message: &[u8], buffer: &mut MessageBuffer) -> io::Result<()> {
    buffer.room()[..message.len()].copy_from_slice(message);
    buffer.words[0] = TYPE;
    // SAFETY: the buffer starts with a type, and as many bytes as are passed lie behind it, as
    // `room` has just shown.
    check(unsafe { libc::msgsnd(id, buffer.words.as_ptr().cast(), message.len(), 0) }).map(drop)
}

/// Receives a message (`msgrcv`); blocks while the queue is empty. If the next message does not fit
/// into the buffer, it stays in the queue (`E2BIG`).
pub(crate) fn receive(id: c_int, buffer: &mut MessageBuffer) -> io::Result<&[u8]> {
    let room_bytes = buffer.room_bytes;
    // SAFETY: the buffer is exclusively borrowed, and has space for a type and `room_bytes` behind
    // it.
    let len = unsafe { libc::msgrcv(id, buffer.words.as_mut_ptr().cast(), room_bytes, 0, 0) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    let message: &[u8] = buffer.room();
    message.get(..len).ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))
}

fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
