//! The control socket on which a successor requests the listener: what [`handover::Server`] does,
//! driven by tokio.

use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::aio::{self, Async};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::handover::{CLIENTS, CONTROL, Item, Successors};
use crate::{Connected, Listener, SeqPacket, handover, sys};

/// The control listener, and the successors that have connected.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: aio::Listener<SeqPacket>,
    /// The last process that was refused as untrusted.
    declined: Option<OwnedFd>,
    successors: Successors<aio::SeqPacket>,
}

impl ControlSocket {
    pub(super) fn new(listener: Listener<SeqPacket>, timeout: Duration) -> Result<ControlSocket> {
        Ok(ControlSocket {
            listener: Async::try_from(listener)?,
            declined: None,
            successors: Successors::new(timeout),
        })
    }

    /// Waits until [`ControlSocket::handle`] has something to do: a new successor, a message from
    /// one, or a timeout.
    ///
    /// # Cancel safety
    /// This method is cancel safe. It removes nothing from a queue.
    pub(super) async fn ready(control: Option<&ControlSocket>) {
        let Some(ControlSocket { listener, successors, .. }) = control else {
            return std::future::pending().await;
        };
        let pause = successors.throttle.pause(Instant::now());
        let mut connecting = pin!(async {
            match pause {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => readable(listener).await,
            }
        });
        let mut late = pin!(async {
            match successors.end() {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        });
        // One future for each successor that is waited for: there are few.
        let mut messages: Vec<_> =
            successors.awaited().map(|successor| Box::pin(readable(successor))).collect();
        poll_fn(|cx| {
            let has_message = messages.iter_mut().any(|word| word.as_mut().poll(cx).is_ready());
            match has_message || late.as_mut().poll(cx).is_ready() || connecting.as_mut().poll(cx).is_ready()
            {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Handles one event. Returns whether a successor has taken over, the listener `clients`
    /// included.
    pub(super) fn handle<C: Connected>(&mut self, clients: &mut Listener<C>) -> Result<bool> {
        if self.successors.is_ready() {
            let mut items =
                [Item::listener(CLIENTS, clients), Item::listener(CONTROL, self.listener.get_mut())];
            return self.successors.step(&mut items);
        }
        let began = Instant::now();
        if self.successors.throttle.pause(began).is_some() {
            return Ok(false);
        }
        let declined = &mut self.declined;
        let arrival = self.listener.try_accept_with(|refused| *declined = Some(handover::decline(refused)));
        self.successors.accepted(arrival, began).map(|()| false)
    }
}

/// Waits until the socket is really readable. The readiness that the reactor remembers may be
/// stale, and a step of the hand-over would block on it.
async fn readable<S: AsFd + AsRef<crate::socket::Socket>>(socket: &Async<S>) {
    let check = |socket: &S| match sys::is_readable(socket.as_fd()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(Operation::HandOver, ErrorKind::WouldBlock, "no message yet")),
        Err(cause) => Err(Error::system(Operation::HandOver, cause)),
    };
    // An error shows again when the step is taken.
    let _ = socket.receiving(check).await;
}
