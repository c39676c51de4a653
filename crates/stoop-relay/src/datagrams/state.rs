//! What is known of a datagram socket that is relayed, and of its clients.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stoop::{Address, Datagram, Origin, SendQuota};

use crate::admission::Owner;
use crate::carry::Message;
use crate::interpose::Interposition;
use crate::pair::SERVER;
use crate::shared::Shared;
use crate::upstream::Upstream;
use crate::waiting::Waiting;

/// How often idle clients are looked for.
pub(super) const IDLE_CHECK: Duration = Duration::from_millis(500);

/// The events of the client side and of the wake-up descriptor; a client has its number, from 1.
pub(super) const FRONT: u64 = 0;
pub(super) const WAKE: u64 = u64::MAX;

/// The relay of one datagram socket.
pub(crate) struct Datagrams {
    pub(super) shared: Arc<Shared>,
    pub(super) front: Datagram,
    pub(super) epoll: OwnedFd,
    pub(super) clients: HashMap<u64, Client>,
    pub(super) numbers: HashMap<Address, u64>,
    /// A message for the server, and whose it is, that the server's queue did not take.
    pub(super) held: Option<(u64, Message)>,
    pub(super) quota: SendQuota,
    /// Clients whose queues were full.
    pub(super) full: Vec<u64>,
    /// Clients with messages that wait until they are due.
    pub(super) waiting: BTreeSet<u64>,
    pub(super) last_idle_check: Instant,
    pub(super) name: Option<Interposition>,
}

/// A client, known by its address.
pub(super) struct Client {
    pub(super) origin: Origin,
    pub(super) to_server: Upstream,
    /// An answer that its queue did not take.
    pub(super) held: Option<Message>,
    pub(super) started: Instant,
    pub(super) last_moved: Instant,
    pub(super) moved: [u64; 2],
    pub(super) owners: Vec<Owner>,
    /// From it, and from the server.
    pub(super) waiting: [Waiting; 2],
}

impl Client {
    /// Returns whether another answer may be read: none is held, and it would not go too fast.
    pub(super) fn takes_answers(&self) -> bool {
        self.held.is_none() && !self.waiting[SERVER].holds_back()
    }

    pub(super) fn has_waiting(&self) -> bool {
        self.held.is_some() || self.waiting.iter().any(|waiting| waiting.len() > 0)
    }
}
