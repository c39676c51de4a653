//! Looks at what waits in the queues of sockets.
//!
//! The look is captured like any other call that peeks: what it sees comes in order with what is
//! received, and is not shown again when it is received.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use stoop_inspect::{Socket, State};

use crate::failure::Failure;
use crate::sockets::format;

/// How much of a queue is looked at.
const QUEUE_MAX: usize = 4 << 20;

/// A thread that looks, and whose events are captured.
#[derive(Debug)]
pub(super) struct Looker {
    thread: u32,
    sockets: SyncSender<OwnedFd>,
    handle: JoinHandle<usize>,
}

impl Looker {
    /// Starts the thread.
    pub(super) fn start() -> Result<Looker, Failure> {
        let (sockets, waiting) = sync_channel(1);
        let (says, thread) = sync_channel(1);
        let run = move || {
            _ = says.send(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
            look(&waiting)
        };
        let handle = std::thread::Builder::new().name("unread".to_owned()).spawn(run);
        let handle = handle.map_err(|error| Failure::io("start a thread", &error))?;
        let thread =
            thread.recv().map_err(|_| Failure::io("start a thread", &std::io::ErrorKind::Other.into()))?;
        Ok(Looker { thread, sockets, handle })
    }

    /// Returns the id of the thread.
    pub(super) fn thread(&self) -> u32 {
        self.thread
    }

    /// Looks at these sockets, and returns a note about those that it could not look at.
    pub(super) fn look<'s>(self, sockets: impl Iterator<Item = &'s Socket>) -> String {
        let mut hidden = 0;
        for socket in sockets.filter(|socket| socket.state != State::Listening && !socket.owners.is_empty()) {
            match socket.dup_fd() {
                Ok(copy) => _ = self.sockets.send(copy),
                // It was closed meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => hidden += 1,
            }
        }
        drop(self.sockets);
        hidden += self.handle.join().unwrap_or(0);
        match hidden {
            0 => String::new(),
            hidden => format!(
                "stoop: the queues of {} could not be looked at: without permission, or with a peek offset or an error\n",
                format::plural(hidden, "socket")
            ),
        }
    }
}

/// Looks at each socket, and returns at how many it could not.
fn look(sockets: &Receiver<OwnedFd>) -> usize {
    let mut buffer = vec![0; QUEUE_MAX];
    sockets.iter().filter(|socket| is_hidden(socket, &mut buffer)).count()
}

/// Returns whether what waits in a socket could not be looked at.
fn is_hidden(socket: &OwnedFd, buffer: &mut [u8]) -> bool {
    match stoop::diag::peek(socket, buffer) {
        Ok(_) => false,
        // Without a peer, there is nothing.
        Err(error) => error.kind() != std::io::ErrorKind::NotConnected,
    }
}
