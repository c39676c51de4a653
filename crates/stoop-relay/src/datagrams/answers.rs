//! Answers to the clients of a datagram socket. All leave one socket, whose send buffer is charged
//! with what any client has not read ([K-DGRAM-23]): it is as large as the system allows, and each
//! client may use only a part of what is left.
//!
//! [K-DGRAM-23]: stoop::kernel_facts#K-DGRAM-23

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::sockopt;
use stoop::{Datagram, Origin, Outgoing, SocketExt};

use super::state::Datagrams;
use crate::carry::Message;
use crate::event::Ended;

/// The send buffer for all answers, as far as the system allows.
const ANSWERS_BYTES: usize = 16 << 20;

impl Datagrams {
    /// Passes an answer on. If the client's queue is full, it is held.
    pub(super) fn answer(&mut self, number: u64, message: Message) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let fds: Vec<BorrowedFd<'_>> = message.1.iter().map(AsFd::as_fd).collect();
        let Origin { address, credentials, .. } = &client.origin;
        let uid = credentials.and_then(|credentials| credentials.known_uid());
        // What its clients leave unread fills the one send buffer from which all are answered.
        let allowed = self.quota.check(&self.front, address, uid, message.0.len());
        let outgoing = Outgoing::new().descriptors(&fds);
        match allowed.and_then(|()| self.front.reply_with(&message.0, &client.origin, &outgoing)) {
            Ok(()) => {
                self.quota.record(address, uid, message.0.len());
                client.last_moved = Instant::now();
                client.moved[1] += message.0.len() as u64;
                self.shared.counters.bytes(false, message.0.len());
                self.shared.counters.message(fds.len());
            }
            Err(error) if error.is_would_block() || error.is_exhausted() => {
                client.held = Some(message);
                self.full.push(number);
                self.register(number);
            }
            Err(_) => {
                self.shared.counters.lost_message();
                self.forget(number, Ended::Closed);
            }
        }
    }

    /// Registers what is waited for on a client's socket to the server: answers, unless one is held
    /// already, and space, if a message waits for it.
    pub(super) fn register(&self, number: u64) {
        let Some(client) = self.clients.get(&number) else { return };
        let waits_for_space = self.held.as_ref().is_some_and(|(held, _)| *held == number);
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, client.takes_answers());
        flags.set(EventFlags::OUT, waits_for_space);
        let _ = epoll::modify(&self.epoll, &client.to_server, EventData::new_u64(number), flags);
    }

    /// Tries the answers that are held.
    pub(super) fn retry(&mut self) {
        for number in std::mem::take(&mut self.full) {
            let held = self.clients.get_mut(&number).and_then(|client| client.held.take());
            if let Some(message) = held {
                self.register(number);
                self.answer(number, message);
            }
        }
    }
}

/// Enlarges the send buffer beyond the system's limit, or else up to it.
pub(super) fn enlarge_send_buffer(front: &Datagram) {
    // The kernel doubles it.
    let bytes = ANSWERS_BYTES / 2;
    if sockopt::set_socket_send_buffer_size_force(front, bytes).is_err() {
        // With a smaller one, fewer clients may leave answers unread.
        let _ = front.set_send_buffer_bytes(bytes);
    }
}
