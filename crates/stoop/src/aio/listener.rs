//! Servers of connections.

use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;

use super::{Async, Listener, Pause};
use crate::Policy;
use crate::error::{Error, Operation, Result};
use crate::listener::{Arrival, Connected, Counts, PAUSE_AFTER_FAILURE};
use crate::refusals::Refusals;
use crate::sys::{self, Blocking};

/// Several tasks may accept on one listener. Dropping it unlinks its socket file, which blocks the
/// worker thread while another process of this user works on the same name (a second at most);
/// [`aio::Listener::release`](Async::release) does that elsewhere.
///
/// ```
/// use stoop::{Bind, Policy};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).policy(Policy::same_user()).listen_async().await?;
/// let client = tokio::spawn(stoop::aio::Stream::connect(path));
/// let stream = listener.accept().await?;
/// assert_eq!(stream.peer().pid.known(), Some(&std::process::id()));
/// # client.await??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<C: Connected> Async<crate::Listener<C>> {
    /// Waits for a client that the policy admits. Refused clients are closed and counted. If no
    /// descriptor or memory is free, or the accept of one client fails otherwise
    /// ([`Error::is_transient`]), it counts that, pauses, and tries again without spinning.
    ///
    /// # Errors
    /// Only where the listener itself is broken, or the runtime cannot watch one more socket.
    ///
    /// # Cancel safety
    /// Cancel safe: no client is lost. Dropped in the middle, it leaves the next client in the
    /// queue.
    pub async fn accept(&self) -> Result<Async<C>> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            if let Arrival::Admitted(client) = self.accept_any().await? {
                return Ok(client);
            }
            if refusals.add(self, 1).is_err() {
                refusals = Refusals::of(Operation::Accept);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for the next client and says what became of it. As
    /// [`aio::Listener::accept`](Async::accept) otherwise.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: no client is lost.
    pub async fn accept_any(&self) -> Result<Arrival<Async<C>>> {
        let mut pause = Pause::between(PAUSE_AFTER_FAILURE.0, PAUSE_AFTER_FAILURE.1);
        loop {
            match self.receiving(|listener| listener.accept_as(Blocking::Never)).await {
                Err(error) if error.is_transient() => tokio::time::sleep(pause.next()).await,
                result => return self.drive(result?),
            }
        }
    }

    /// Accepts a client that is waiting now, if the policy admits it. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) where nobody waits; a
    /// [transient](Error::is_transient) one if no descriptor is free or the accept failed
    /// otherwise, and the listener may then stay readable: pause before the next try. Returns after
    /// 16 refused clients in a row, even if more are waiting ([`Error::is_refusal_limit`]); the
    /// listener then stays readable, too.
    pub fn try_accept(&self) -> Result<Async<C>> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            if let Arrival::Admitted(client) = self.try_accept_any()? {
                return Ok(client);
            }
            refusals.add(self, 1)?;
        }
    }

    /// What this listener has seen so far.
    pub fn counts(&self) -> Counts {
        self.get_ref().counts()
    }

    /// Who is admitted from the next client on.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_policy(&mut self, policy: Policy) -> Result<()> {
        self.get_mut().set_policy(policy)
    }

    /// The next client that is waiting now, and what became of it.
    pub(crate) fn try_accept_any(&self) -> Result<Arrival<Async<C>>> {
        self.try_accept_with(drop)
    }

    /// The same, for those who have something to say to a client that the policy refuses.
    pub(crate) fn try_accept_with(&self, mut refused: impl FnMut(OwnedFd)) -> Result<Arrival<Async<C>>> {
        let accept = |listener: &crate::Listener<C>| listener.accept_with(Blocking::Never, &mut refused);
        self.drive(self.try_io(Interest::READABLE, accept)?)
    }

    fn drive(&self, arrival: Arrival<C>) -> Result<Arrival<Async<C>>> {
        Ok(match arrival {
            Arrival::Admitted(client) => Arrival::Admitted(self.adopt(client)?),
            Arrival::Refused { pid, uid, reason } => Arrival::Refused { pid, uid, reason },
        })
    }

    /// The synchronous listener, for changing what is beside its descriptor.
    pub(crate) fn get_mut(&mut self) -> &mut crate::Listener<C> {
        self.main.get_mut().get_mut()
    }

    /// Takes the file away, where it is still ours, and goes on listening for those who have found
    /// it already.
    ///
    /// # Errors
    /// Where the file could not be removed.
    ///
    /// # Cancel safety
    /// Cancel safe: once begun, the file is taken away whether anybody waits for that or not.
    pub async fn release(&mut self) -> Result<()> {
        let Some(file) = self.get_mut().take_file() else { return Ok(()) };
        // It may have to wait for another process's lock.
        super::bind::in_background(move || file.release()).await
    }

    /// Refuses clients from now on; those in the queue can still be accepted (K-ACCEPT-6). For
    /// everybody who has this listener, in whatever process.
    pub(crate) fn refuse_more(&self) -> Result<()> {
        sys::shutdown(self.as_fd(), Shutdown::Read).map_err(crate::socket::configure)
    }
}

impl<C: Connected> TryFrom<crate::Listener<C>> for Async<crate::Listener<C>> {
    type Error = Error;

    /// # Panics
    /// Outside of a runtime.
    fn try_from(listener: crate::Listener<C>) -> Result<Listener<C>> {
        Async::listening(listener)
    }
}

impl<C: Connected> TryFrom<Async<crate::Listener<C>>> for crate::Listener<C> {
    type Error = Error;

    fn try_from(listener: Listener<C>) -> Result<crate::Listener<C>> {
        listener.into_sync()
    }
}
