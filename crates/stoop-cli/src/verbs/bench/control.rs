//! Two processes and what they tell each other: a seqpacket socket pair, one JSON text a message,
//! descriptors beside.
//!
//! The other process is this command again. It ends with this one, however that ends.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stoop::{Allow, Outgoing, SeqPacket};

use super::measure::{Span, Tally};
use super::transport::Transport;
use super::trouble::{Result, Trouble};
use super::wire::Ends;
use super::work::Work;

/// The longest that anybody waits for the other process: it is either busy or broken after that.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The longest text of an order or a report.
const TEXT_BYTES: usize = 4096;

/// The most descriptors that one end of a transport has.
const DESCRIPTORS: usize = 4;

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) transport: Transport,
    pub(super) work: Work,
    pub(super) size: usize,
    pub(super) span: Span,
    /// The processor for the one who gets the order.
    pub(super) pin: Option<usize>,
    pub(super) beside: Beside,
    /// How many ends follow, each in a message of its own.
    pub(super) ends: u16,
}

/// What goes with each message of a one-way work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Beside {
    /// Nothing, by the plainest calls.
    Nothing,
    /// Nothing, by the calls that could carry something.
    Room,
    /// A descriptor.
    Descriptor,
    /// Who sends it.
    Credentials,
}

/// What the other process says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has its ends and waits for messages.
    Ready,
    /// It is done.
    Done(Tally),
    /// It could not.
    Trouble(Trouble),
}

/// Says something, with descriptors.
pub(super) fn say(to: &SeqPacket, what: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let text = serde_json::to_vec(what).map_err(|error| Trouble::failed(error.to_string()))?;
    to.send_with(&[IoSlice::new(&text)], &Outgoing::new().descriptors(descriptors))?;
    Ok(())
}

/// Hears something, with descriptors.
pub(super) fn hear<T: DeserializeOwned>(from: &SeqPacket) -> Result<(T, Vec<OwnedFd>)> {
    let mut text = [0; TEXT_BYTES];
    let came = from.recv_with(&mut [IoSliceMut::new(&mut text)], Allow::descriptors(DESCRIPTORS))?;
    if came.is_end() {
        return Err(Trouble::ended());
    }
    let what = serde_json::from_slice(&text[..came.len]);
    what.map(|what| (what, came.descriptors)).map_err(|error| Trouble::failed(error.to_string()))
}

/// The other process. Killed when dropped, unless it has ended.
pub(super) struct Peer {
    child: Child,
    control: SeqPacket,
}

impl Peer {
    /// Starts it, gives it its order and its ends, and waits until it is ready.
    pub(super) fn start(order: &Order, ends: Vec<Ends>) -> Result<Peer> {
        let (control, theirs) = SeqPacket::pair()?;
        control.set_read_timeout(Some(PATIENCE))?;
        let child = Command::new("/proc/self/exe")
            .args(["bench", "--peer"])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let peer = Peer { child, control };
        say(&peer.control, order, &[])?;
        for end in ends {
            let descriptors: Vec<_> = end.descriptors.iter().map(AsFd::as_fd).collect();
            say(&peer.control, &end.names, &descriptors)?;
        }
        match peer.hear()? {
            Report::Ready => Ok(peer),
            Report::Trouble(trouble) => Err(trouble),
            Report::Done(_) => Err(Trouble::ended()),
        }
    }

    /// Waits for what it counted.
    pub(super) fn tally(&self) -> Result<Tally> {
        match self.hear()? {
            Report::Done(tally) => Ok(tally),
            Report::Trouble(trouble) => Err(trouble),
            Report::Ready => Err(Trouble::failed("the other process is ready twice")),
        }
    }

    /// Whether it has said something within this time.
    pub(super) fn has_spoken(&self, within: Duration) -> Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let limit = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
        Ok(poll(&mut [PollFd::new(&self.control, PollFlags::IN)], Some(&limit))? > 0)
    }

    /// Why a transfer failed: the other process knows it best, where it has said something.
    pub(super) fn blame(&self, ours: Trouble) -> Trouble {
        if matches!(ours, Trouble::NotMeasured(_)) {
            return ours;
        }
        match self.has_spoken(Duration::from_millis(100)).map(|spoken| spoken.then(|| self.tally())) {
            Ok(Some(Err(theirs))) if theirs != Trouble::ended() => theirs,
            _ => ours,
        }
    }

    fn hear(&self) -> Result<Report> {
        hear(&self.control).map(|(report, _)| report)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Once it has reported there is nothing more to lose, and before that we have given up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
