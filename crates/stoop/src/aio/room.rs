//! Waiting for room in the queue of a datagram receiver that the sender is not connected to.
//!
//! Two things can be full, and `EAGAIN` does not say which: the receiver's queue, perhaps of
//! others' messages, and our own send buffer. The sender's readiness speaks of its buffer alone,
//! and each failed send announces it anew (K-DGRAM-4): a task that waits for that spins. A socket
//! that *is* connected shows the queue, and is woken when there is room (K-DGRAM-5). So one is made
//! for the wait, and nothing is ever sent on it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{sleep, timeout};

use super::{Async, Datagram};
use crate::connect::ConnectTarget;
use crate::error::{Error, Operation, Result};
use crate::socket::Socket;
use crate::{Address, Connect, Kind, sys};

/// How long to wait at most before looking again where the address leads.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Between two tries where there is nothing to wait for.
const PAUSE: Duration = Duration::from_millis(2);

/// Whose queue is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Receiver<'a> {
    /// Of the socket that this address leads to at the moment.
    At(&'a Address),
    /// Of this one, whatever its name leads to.
    Held(&'a ConnectTarget),
}

impl Receiver<'_> {
    fn connect(self, socket: &Socket) -> Result<()> {
        match self {
            Receiver::At(address) => Connect::new(address).datagram_socket(socket),
            Receiver::Held(target) => sys::connect(socket.as_fd(), &target.raw)
                .map_err(|cause| Error::system(Operation::Connect, cause)),
        }
    }
}

/// Runs a send until it does not say "not now".
pub(super) async fn sending_to<T>(
    sender: &Datagram,
    to: Receiver<'_>,
    mut operation: impl FnMut(&crate::Datagram) -> Result<T>,
) -> Result<T> {
    loop {
        tokio::task::coop::consume_budget().await;
        match operation(sender.get_ref()) {
            Err(error) if error.is_would_block() => wait(sender, to).await,
            result => return sender.noted(result),
        }
    }
}

/// Waits until a send to this address may succeed, or find out that it never will.
pub(crate) async fn wait(sender: &Datagram, to: Receiver<'_>) {
    let Ok(watcher) = watch(to) else {
        // The next send tells why, unless it was for want of a descriptor.
        return sleep(PAUSE).await;
    };
    let _ = match (has_room(watcher.as_fd()), has_room(sender.as_fd())) {
        (false, _) => timeout(LOOK_AGAIN, room_of(&watcher)).await,
        (true, false) => timeout(LOOK_AGAIN, room_of(sender)).await,
        // Somebody made room just now; where that is not so, do not spin on it.
        (true, true) => {
            sleep(PAUSE).await;
            return;
        }
    };
}

async fn room_of(socket: &Datagram) -> io::Result<()> {
    let ask = |socket: &crate::Datagram| match has_room(socket.as_fd()) {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::WouldBlock)),
    };
    socket.sending(ask).await
}

/// A socket whose readiness shows whether there is room in the queue of this receiver.
fn watch(to: Receiver<'_>) -> Result<Datagram> {
    let watcher = Socket::new(Kind::Datagram).map_err(crate::socket::configure)?;
    to.connect(&watcher)?;
    Async::watching_both(crate::Datagram::client(watcher))
}

/// What the kernel says of it at this moment. Asking also makes it tell when that changes.
fn has_room(fd: BorrowedFd<'_>) -> bool {
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(&mut entry, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
