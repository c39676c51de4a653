//! Waiting for room in the queue of a datagram receiver that the sender is not connected to.
//!
//! Two queues can be full, and `EAGAIN` does not say which: the receiver's queue, perhaps with
//! other senders' messages, or our own send buffer. The sender's readiness reflects its send buffer
//! alone, and each failed send produces another event ([K-DGRAM-4]), so a task that waits for it
//! spins. A *connected* socket's readiness does reflect the receiver's queue, and it is woken when
//! there is room ([K-DGRAM-5]). So such a socket is created for the wait. Nothing is ever sent on
//! it.
//!
//! [K-DGRAM-4]: crate::kernel_facts#K-DGRAM-4
//! [K-DGRAM-5]: crate::kernel_facts#K-DGRAM-5

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{sleep, timeout};

use super::{Async, Datagram};
use crate::connect::attempt::{Attempts, ConnectTarget};
use crate::error::{Error, Operation, Result};
use crate::socket::Socket;
use crate::{Address, Kind, sys};

/// How long to wait at most before the address is resolved again: another socket may be bound to
/// it.
const RESOLVE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The pause between two attempts when there is nothing to wait for.
const PAUSE: Duration = Duration::from_millis(2);

/// The receiver whose queue is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Receiver<'a> {
    /// The socket that this address leads to at the moment.
    At(&'a Address),
    /// This socket, whatever its name leads to by now.
    Held(&'a ConnectTarget),
}

impl Receiver<'_> {
    fn connect(self, socket: &Socket) -> Result<()> {
        match self {
            Receiver::At(address) => Attempts::new(address).connect_existing(socket),
            Receiver::Held(target) => sys::connect(socket.as_fd(), &target.raw)
                .map_err(|cause| Error::system(Operation::Connect, cause)),
        }
    }
}

/// Runs a send until it returns something other than "would block".
pub(super) async fn send_when_ready<T>(
    sender: &Datagram,
    to: Receiver<'_>,
    mut operation: impl FnMut(&crate::Datagram) -> Result<T>,
) -> Result<T> {
    loop {
        tokio::task::coop::consume_budget().await;
        match operation(sender.get_ref()) {
            Err(error) if error.is_would_block() => wait(sender, to).await,
            result => return sender.recorded(result),
        }
    }
}

/// Waits until a send may succeed, or fail for good.
pub(crate) async fn wait(sender: &Datagram, to: Receiver<'_>) {
    let Ok(watcher) = watch(to) else {
        // The next send reports the reason, unless it was a lack of file descriptors.
        return sleep(PAUSE).await;
    };
    // Wait for the queue that is full: first the receiver's, then our own send buffer.
    let _ = match (has_room(watcher.as_fd()), has_room(sender.as_fd())) {
        (false, _) => timeout(RESOLVE_AGAIN_AFTER, wait_writable(&watcher)).await,
        (true, false) => timeout(RESOLVE_AGAIN_AFTER, wait_writable(sender)).await,
        // There is room by now. If that is wrong, the pause keeps the caller from spinning.
        (true, true) => {
            sleep(PAUSE).await;
            return;
        }
    };
}

async fn wait_writable(socket: &Datagram) -> io::Result<()> {
    let check = |socket: &crate::Datagram| match has_room(socket.as_fd()) {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::WouldBlock)),
    };
    socket.sending(check).await
}

/// Creates a socket whose readiness shows whether this receiver's queue has room.
fn watch(to: Receiver<'_>) -> Result<Datagram> {
    let watcher = Socket::new(Kind::Datagram).map_err(crate::socket::configure)?;
    to.connect(&watcher)?;
    Async::registered_duplex(crate::Datagram::from_socket(watcher))
}

/// Returns whether `poll` reports room at this moment. The call also arms the wake-up: the kernel
/// queues a connected sender on the receiver's wait queue only when it is polled.
fn has_room(fd: BorrowedFd<'_>) -> bool {
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(&mut entry, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
