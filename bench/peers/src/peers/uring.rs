//! The server of a thousand clients on io_uring: one multishot accept, and one multishot receive
//! for each client, into buffers that the kernel takes from a registered ring. A response is sent
//! from the buffer of its request.

#![expect(unsafe_code, reason = "the ring is the kernel's, and its crate leaves that to us")]

use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::Result;
use crate::role::Role;

const ENTRIES: u32 = 2048;
const BUFFERS: u16 = 2048;
const BUFFER_BYTES: usize = 64;
const GROUP: u16 = 0;

/// The meaning of a completion: the lower half of its number holds the file descriptor, and above
/// that, the buffer.
const ACCEPT: u64 = 1 << 56;
const RECEIVE: u64 = 2 << 56;
const SEND: u64 = 3 << 56;

/// Buffers that the kernel selects from.
struct Buffers {
    /// Page-aligned, as the kernel requires; leaked, since the kernel keeps using it.
    ring: *mut BufRingEntry,
    bytes: Vec<u8>,
    tail: u16,
}

impl Buffers {
    fn register(uring: &IoUring) -> Result<Self> {
        let layout = std::alloc::Layout::array::<BufRingEntry>(BUFFERS.into())?.align_to(4096)?;
        // SAFETY: the layout has a size, and zeros are what the kernel expects in a new ring.
        let ring = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<BufRingEntry>();
        // SAFETY: the ring has room for so many entries, and is never freed.
        unsafe { uring.submitter().register_buf_ring_with_flags(ring as u64, BUFFERS, GROUP, 0)? };
        let mut buffers = Self { ring, bytes: vec![0; usize::from(BUFFERS) * BUFFER_BYTES], tail: 0 };
        for id in 0..BUFFERS {
            buffers.give_back(id);
        }
        Ok(buffers)
    }

    fn at(&mut self, id: u16) -> *mut u8 {
        self.bytes[usize::from(id) * BUFFER_BYTES..].as_mut_ptr()
    }

    fn give_back(&mut self, id: u16) {
        let bytes = self.at(id) as u64;
        // SAFETY: the index is within the ring, and the kernel does not read an entry before the tail has passed it.
        let entry = unsafe { &mut *self.ring.add((self.tail % BUFFERS).into()) };
        entry.set_addr(bytes);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring is never freed, and the kernel only reads its tail.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

fn push(uring: &mut IoUring, entry: &squeue::Entry) -> Result<()> {
    // SAFETY: what the entries point to are the registered buffers, which are given back only after the send.
    while unsafe { uring.submission().push(entry) }.is_err() {
        uring.submit()?;
    }
    Ok(())
}

fn receive(fd: RawFd) -> squeue::Entry {
    opcode::RecvMulti::new(Fd(fd), GROUP).build().user_data(RECEIVE | fd as u64)
}

pub fn serve(role: &Role) -> Result<()> {
    let listener = UnixListener::bind(&role.path)?;
    let mut uring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4 * ENTRIES)
        .build(ENTRIES)?;
    let mut buffers = Buffers::register(&uring)?;
    let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).build().user_data(ACCEPT);
    push(&mut uring, &accept)?;
    println!("ready");
    let mut done: Vec<cqueue::Entry> = Vec::new();
    loop {
        uring.submit_and_wait(1)?;
        done.extend(uring.completion());
        for completion in done.drain(..) {
            let data = completion.user_data();
            let (fd, id) = (data as u32 as RawFd, (data >> 32) as u16);
            let more = cqueue::more(completion.flags());
            match data & (0xff << 56) {
                ACCEPT => {
                    if completion.result() >= 0 {
                        push(&mut uring, &receive(completion.result()))?;
                    }
                    if !more {
                        push(&mut uring, &accept)?;
                    }
                }
                RECEIVE => {
                    if let (Some(id), 1..) = (cqueue::buffer_select(completion.flags()), completion.result())
                    {
                        let send = opcode::Send::new(Fd(fd), buffers.at(id), completion.result() as u32);
                        let data = SEND | u64::from(id) << 32 | fd as u64;
                        push(&mut uring, &send.build().user_data(data))?;
                    }
                    let again = completion.result() > 0 || completion.result() == -libc::ENOBUFS;
                    if !more && again {
                        push(&mut uring, &receive(fd))?;
                    }
                }
                _ => buffers.give_back(id),
            }
        }
    }
}
