//! Decides when a conversation in datagrams is over. Datagram sockets have no end of stream, so it
//! ends by `--count`, `--idle`, a signal, or because nothing was sent at all.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::Datagram;

use super::upstream::Upstream;
use crate::args::Connect;
use crate::failure::Failure;
use crate::pump::{DISCARD_DESCRIPTORS, Source};
use crate::signals::Signals;

/// The datagrams received until the end of the conversation.
pub(super) struct Conversation<'a> {
    socket: &'a Datagram,
    upstream: &'a Upstream,
    /// A signal ends the conversation in order, so that the client's own socket file is removed.
    signals: Signals,
    idle: Option<Duration>,
    replies: Option<u64>,
    came: u64,
    input_has_ended: bool,
    message: Vec<u8>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        socket: &'a Datagram,
        upstream: &'a Upstream,
        flags: &Connect,
    ) -> Result<Conversation<'a>, Failure> {
        Ok(Conversation {
            socket,
            upstream,
            signals: Signals::catch()?,
            idle: flags.idle,
            replies: flags.count,
            came: 0,
            input_has_ended: false,
            message: Vec::new(),
        })
    }

    fn is_over(&self) -> bool {
        if !self.input_has_ended {
            return false;
        }
        match self.replies {
            Some(replies) => self.came >= replies,
            // A server that has received nothing does not know this client's address.
            None => self.upstream.sent_messages() == 0,
        }
    }

    /// Waits for a datagram. Returns `false` if the conversation is over.
    fn wait(&mut self) -> Result<bool, Failure> {
        while !self.is_over() {
            let mut entries =
                vec![PollFd::new(self.socket, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            if !self.input_has_ended {
                entries.push(PollFd::new(self.upstream, PollFlags::IN));
            }
            let idle = self.idle.filter(|_| self.input_has_ended);
            let idle = idle.and_then(|idle| Timespec::try_from(idle).ok());
            match poll(&mut entries, idle.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(Failure::io("wait for a datagram", &errno.into())),
            }
            let ready: Vec<bool> = entries.iter().map(|entry| !entry.revents().is_empty()).collect();
            if ready[1] {
                return Ok(false);
            }
            if ready[0] {
                return Ok(true);
            }
            self.input_has_ended = ready.get(2).copied().unwrap_or(self.input_has_ended);
            if self.input_has_ended && self.upstream.has_failed() {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

impl Source for Conversation<'_> {
    fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        if !self.wait()? {
            return Ok(None);
        }
        self.message = self.socket.recv_vec_with(DISCARD_DESCRIPTORS)?.0;
        self.came += 1;
        Ok(Some(&self.message))
    }
}
