//! The control address at which a successor asks for the listener: [`handover::Server`](crate::handover::Server), driven by tokio.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::time::Instant;

use crate::aio::{self, Async};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::handover::{CLIENTS, CONTROL, Item, Offering};
use crate::listener::PAUSE_AFTER_FAILURE;
use crate::{Arrival, Connected, Listener, SeqPacket, handover, sys};

/// Where successors knock, and the one that has.
#[derive(Debug)]
pub(super) struct Control {
    listener: aio::Listener<SeqPacket>,
    asking: Option<(aio::SeqPacket, Offering)>,
    /// For each step.
    timeout: Duration,
    /// Where the last one could not be accepted: when to try again. The listener may stay readable until then.
    resume: Option<Instant>,
    /// The last process that was told that it is not trusted.
    declined: Option<OwnedFd>,
}

impl Control {
    pub(super) fn new(listener: Listener<SeqPacket>, timeout: Duration) -> Result<Control> {
        Ok(Control {
            listener: Async::try_from(listener)?,
            asking: None,
            timeout,
            resume: None,
            declined: None,
        })
    }

    /// Waits until [`Control::hear`] has something to do: a successor, its next word, or the end of our patience with it.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub(super) async fn knock(control: Option<&Control>) {
        let Some(control) = control else { return std::future::pending().await };
        match &control.asking {
            None => {
                if let Some(resume) = control.resume {
                    tokio::time::sleep_until(resume).await;
                }
                readable(&control.listener).await;
            }
            Some((successor, offering)) => match offering.end {
                None => readable(successor).await,
                Some(end) => drop(tokio::time::timeout_at(end.into(), readable(successor)).await),
            },
        }
    }

    /// True when the successor has taken over, `clients` included.
    pub(super) fn hear<C: Connected>(&mut self, clients: &mut Listener<C>) -> Result<bool> {
        let Some((successor, mut offering)) = self.asking.take() else {
            self.resume = None;
            let declined = &mut self.declined;
            let decline = |refused| *declined = Some(handover::decline(refused));
            let arrival = self.listener.try_accept_with(decline).inspect_err(|error| {
                self.resume = error.is_transient().then(|| Instant::now() + PAUSE_AFTER_FAILURE.1);
            });
            if let Arrival::Admitted(successor) = arrival? {
                let offering = Offering::begin(successor.get_ref(), self.timeout)?;
                self.asking = Some((successor, offering));
            }
            return Ok(false);
        };
        let mut items = [Item::listener(CLIENTS, clients), Item::listener(CONTROL, self.listener.get_mut())];
        let over = offering.step(successor.get_ref(), &mut items)?;
        if !over {
            self.asking = Some((successor, offering));
        }
        Ok(over)
    }
}

/// Waits until there is really something there: what the reactor remembers may be out of date, and a step of the hand-over
/// would block on that.
async fn readable<S: AsFd + std::ops::Deref<Target = crate::Socket>>(socket: &Async<S>) {
    let look = |socket: &S| match sys::is_readable(socket.as_fd()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(Operation::HandOver, ErrorKind::WouldBlock, "not a word yet")),
        Err(cause) => Err(Error::system(Operation::HandOver, cause)),
    };
    // An error shows again when the step is taken.
    let _ = socket.receiving(look).await;
}
