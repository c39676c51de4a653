//! Other ways to send and receive: several messages at once, gifts to a pipe, io_uring.

use std::ffi::c_int;
use std::os::fd::AsFd;

use io_uring::{IoUring, opcode, squeue, types::Fd};
use libc::iovec;

use crate::{Errno, Result, checked, raw};

/// Calls sendmmsg(2) with `MSG_NOSIGNAL`: returns how many of the messages were sent, and the
/// length of each.
pub fn send_many(fd: &impl AsFd, messages: &[&[u8]]) -> Result<Vec<usize>> {
    let part = |data: &&[u8]| iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut parts: Vec<iovec> = messages.iter().map(part).collect();
    let mut headers = headers(&mut parts);
    let count = headers.len() as u32;
    // SAFETY: the headers point to the parts, and these to the messages, which are only read.
    let sent = unsafe { libc::sendmmsg(raw(fd), headers.as_mut_ptr(), count, libc::MSG_NOSIGNAL as _) };
    let sent = checked(sent as isize)?;
    Ok(headers[..sent].iter().map(|header| header.msg_len as usize).collect())
}

/// Calls recvmmsg(2) with flags: returns what was received, at most `count` times `room` bytes.
pub fn receive_many(fd: &impl AsFd, count: usize, room: usize, flags: c_int) -> Result<Vec<Vec<u8>>> {
    let mut rooms = vec![vec![0_u8; room]; count];
    let part = |room: &mut Vec<u8>| iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut parts: Vec<iovec> = rooms.iter_mut().map(part).collect();
    let mut headers = headers(&mut parts);
    let (at, len) = (headers.as_mut_ptr(), count as u32);
    // SAFETY: the headers point to the parts, and these to the rooms, each with its own length.
    let received = unsafe { libc::recvmmsg(raw(fd), at, len, flags as _, std::ptr::null_mut()) };
    let received = checked(received as isize)?;
    let lengths = headers[..received].iter().map(|header| header.msg_len as usize);
    for (room, len) in rooms.iter_mut().zip(lengths) {
        room.truncate(len);
    }
    rooms.truncate(received);
    Ok(rooms)
}

fn headers(parts: &mut [iovec]) -> Vec<libc::mmsghdr> {
    let header = |part: &mut iovec| {
        // SAFETY: all-zero is a valid `mmsghdr`: null pointers with zero lengths.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header
    };
    parts.iter_mut().map(header).collect()
}

/// Calls vmsplice(2): puts the pages of the bytes into a pipe, uncopied. The bytes must stay as
/// they are until the pipe was read, so they live until the process ends.
pub fn splice_memory(pipe: &impl AsFd, data: &'static [u8]) -> Result<usize> {
    let part = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: the bytes are valid, and not changed, as long as the program runs; without
    // `SPLICE_F_GIFT` they stay this process's.
    checked(unsafe { libc::vmsplice(raw(pipe), &part, 1, 0) })
}

/// An io_uring for one operation at a time.
pub struct Uring(IoUring);

impl Uring {
    /// Creates one. `None` if there is no io_uring, or it is not permitted.
    pub fn new() -> Option<Uring> {
        IoUring::new(1).ok().map(Uring)
    }

    /// Sends with `IORING_OP_SEND`.
    pub fn send(&mut self, fd: &impl AsFd, data: &[u8]) -> Result<usize> {
        let send = opcode::Send::new(Fd(raw(fd)), data.as_ptr(), data.len() as u32);
        // SAFETY: the data live through the call, which only reads them.
        unsafe { self.run(&send.flags(libc::MSG_NOSIGNAL).build()) }
    }

    /// Sends with `IORING_OP_WRITE`.
    pub fn write(&mut self, fd: &impl AsFd, data: &[u8]) -> Result<usize> {
        let write = opcode::Write::new(Fd(raw(fd)), data.as_ptr(), data.len() as u32);
        // SAFETY: the data live through the call, which only reads them.
        unsafe { self.run(&write.build()) }
    }

    /// Receives with `IORING_OP_RECV`.
    pub fn recv(&mut self, fd: &impl AsFd, room: &mut [u8], flags: c_int) -> Result<usize> {
        let recv = opcode::Recv::new(Fd(raw(fd)), room.as_mut_ptr(), room.len() as u32);
        // SAFETY: the room is borrowed exclusively through the call.
        unsafe { self.run(&recv.flags(flags).build()) }
    }

    /// Receives with `IORING_OP_READ`.
    pub fn read(&mut self, fd: &impl AsFd, room: &mut [u8]) -> Result<usize> {
        let read = opcode::Read::new(Fd(raw(fd)), room.as_mut_ptr(), room.len() as u32);
        // SAFETY: the room is borrowed exclusively through the call.
        unsafe { self.run(&read.build()) }
    }

    /// # Safety
    /// What the operation points to must be valid, for what it does with it, through the call.
    unsafe fn run(&mut self, operation: &squeue::Entry) -> Result<usize> {
        // SAFETY: the caller's promise; the call returns once the operation is complete.
        unsafe { self.0.submission().push(operation) }.expect("the queue is empty");
        while let Err(error) = self.0.submit_and_wait(1) {
            assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "submit an operation");
        }
        let result = self.0.completion().next().expect("an operation is complete").result();
        usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-result))
    }
}
