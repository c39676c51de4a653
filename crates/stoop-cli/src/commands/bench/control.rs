//! The control channel between the two processes: a seqpacket socket pair, with one JSON text per
//! message and file descriptors as ancillary data.
//!
//! The other process runs this same command. It exits when this one does, for whatever reason.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stoop::{Allow, Outgoing, SeqPacket};

use super::error::{Error, Result};
use super::measure::{Span, Tally};
use super::transport::Transport;
use super::wire::{Ends, PEER_TIMEOUT};
use super::workload::Workload;

/// The maximum length of an order or a report.
const TEXT_BYTES: usize = 4096;

/// The maximum number of file descriptors at one end of a transport.
const DESCRIPTORS: usize = 4;

/// What the other process has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) transport: Transport,
    pub(super) work: Workload,
    pub(super) size: usize,
    pub(super) span: Span,
    /// The processor to which the other process is pinned.
    pub(super) pin: Option<usize>,
    pub(super) ancillary: Ancillary,
    /// How many ends follow, each in its own message.
    pub(super) ends: u16,
}

/// The ancillary data of each message of a one-way workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ancillary {
    /// None, sent with the simplest calls.
    None,
    /// None, sent with the calls that support ancillary data.
    Empty,
    /// A file descriptor.
    Descriptor,
    /// The sender's credentials.
    Credentials,
}

/// What the other process reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum PeerReport {
    /// It has opened its ends and waits for messages.
    Ready,
    /// It has finished.
    Done(Tally),
    /// It has failed.
    Failed(Error),
}

/// Sends a value, with file descriptors.
pub(super) fn send_json(to: &SeqPacket, what: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let text = serde_json::to_vec(what).map_err(|error| Error::failed(error.to_string()))?;
    to.send_with(&[IoSlice::new(&text)], &Outgoing::new().descriptors(descriptors))?;
    Ok(())
}

/// Receives a value, with file descriptors.
pub(super) fn receive_json<T: DeserializeOwned>(from: &SeqPacket) -> Result<(T, Vec<OwnedFd>)> {
    let mut text = [0; TEXT_BYTES];
    let came = from.recv_with(&mut [IoSliceMut::new(&mut text)], Allow::descriptors(DESCRIPTORS))?;
    if came.is_end() {
        return Err(Error::ended());
    }
    let what = serde_json::from_slice(&text[..came.len]);
    what.map(|what| (what, came.descriptors)).map_err(|error| Error::failed(error.to_string()))
}

/// The other process. Killed on drop, unless it has exited.
pub(super) struct Peer {
    child: Child,
    control: SeqPacket,
}

impl Peer {
    /// Starts it, sends it an order and its ends, and waits until it is ready.
    pub(super) fn start(order: &Order, ends: Vec<Ends>) -> Result<Peer> {
        let (control, theirs) = SeqPacket::pair()?;
        control.set_read_timeout(Some(PEER_TIMEOUT))?;
        let child = Command::new("/proc/self/exe")
            .args(["bench", "--peer"])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let peer = Peer { child, control };
        send_json(&peer.control, order, &[])?;
        for end in ends {
            let descriptors: Vec<_> = end.descriptors.iter().map(AsFd::as_fd).collect();
            send_json(&peer.control, &end.names, &descriptors)?;
        }
        match peer.receive_json()? {
            PeerReport::Ready => Ok(peer),
            PeerReport::Failed(error) => Err(error),
            PeerReport::Done(_) => Err(Error::ended()),
        }
    }

    /// Waits for its result.
    pub(super) fn tally(&self) -> Result<Tally> {
        match self.receive_json()? {
            PeerReport::Done(tally) => Ok(tally),
            PeerReport::Failed(error) => Err(error),
            PeerReport::Ready => Err(Error::failed("the other process reported readiness twice")),
        }
    }

    /// Returns whether it has reported something within this time.
    pub(super) fn has_spoken(&self, within: Duration) -> Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let limit = Timespec { tv_sec: 0, tv_nsec: within.subsec_nanos().into() };
        Ok(poll(&mut [PollFd::new(&self.control, PollFlags::IN)], Some(&limit))? > 0)
    }

    /// Returns why a transfer failed. If the other process has reported a reason, that is more
    /// precise.
    pub(super) fn blame(&self, ours: Error) -> Error {
        if matches!(ours, Error::NotMeasured(_)) {
            return ours;
        }
        match self.has_spoken(Duration::from_millis(100)).map(|spoken| spoken.then(|| self.tally())) {
            Ok(Some(Err(theirs))) if theirs != Error::ended() => theirs,
            _ => ours,
        }
    }

    fn receive_json(&self) -> Result<PeerReport> {
        receive_json(&self.control).map(|(report, _)| report)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // After its report there is nothing to lose, and before that the measurement was given up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
