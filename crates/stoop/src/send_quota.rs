//! Limits on how much of a datagram socket's send buffer each receiver occupies.
//!
//! The kernel charges unread messages to their sender, to one buffer for all receivers
//! ([K-DGRAM-23]). A receiver that is connected to the sender may hold as many messages as fit into
//! it. Once they fill it, the sender cannot send to any receiver. The limit of each receiver
//! therefore shrinks with the space left for all others. One that never reads gets a quarter of the
//! buffer, ten of them together get five sixths, and a receiver that holds nothing still finds
//! space.
//!
//! A sender is not notified of what its receivers have read. This module counts what was sent to
//! each, which is an upper bound. If that exceeds the limit, it reads the kernel's socket table,
//! which shows whether a receiver has anything unread ([K-DIAG-13]). It sends nothing and never
//! blocks.
//!
//! [K-DGRAM-23]: crate::kernel_facts#K-DGRAM-23
//! [K-DIAG-13]: crate::kernel_facts#K-DIAG-13

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::diag::{Show, Table};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::Socket;
use crate::socket_ext::SocketExt;
use crate::{Address, Datagram};

/// While no more than this part (1/16) of the buffer is in use, every message is allowed without
/// reading the table.
const ALWAYS_ALLOWED: usize = 16;

/// What the receivers of one user may hold together, as a multiple of the space left: with 3, three
/// quarters of the buffer. Beyond that, receivers that hold nothing may still get a message, until
/// only this part (1/8) of the buffer is left.
const USER_SHARE: usize = 3;
const RESERVED: usize = 8;

/// What the kernel charges for a message in addition to its bytes. It also rounds the size up: to a
/// power of two for small messages, and to pages for the part above some 16 KiB.
const OVERHEAD_BYTES: usize = 768;
const ROUNDED_BYTES: usize = 20 * 1024;

/// How many receivers are remembered. Those that hold least are forgotten first.
const RECEIVERS_MAX: usize = 1024;

/// The part of its time (1/20) that a server spends on reading the table, and the shortest pause
/// between two reads.
const REFRESH_TIME_PART: u32 = 20;
const REFRESH_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Limits on how much of a datagram socket's send buffer each receiver may hold unread.
///
/// A receiver that does not read gets about a quarter of the buffer, and each further one less, so
/// that space is left for those that read. The receivers of one user get three quarters together,
/// and seven eighths in single messages.
///
/// [`serve::Datagrams`](crate::serve::Datagrams) has such a quota. A server with a loop of its own
/// checks it before it replies:
///
/// ```
/// use stoop::{Bind, Datagram, SendQuota};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Bind::new(&path).datagram()?;
/// let client = Datagram::client(&path)?;
/// let quota = SendQuota::new();
/// loop {
///     client.send(b"hello")?;
///     let (message, from) = server.recv_vec()?;
///     // The client never reads.
///     match quota.check(&server, &from, None, message.len()) {
///         Err(error) if error.is_would_block() => break,
///         checked => checked?,
///     }
///     server.send_to(&message, &from)?;
///     quota.record(&from, None, message.len());
/// }
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// Several threads may share one quota. A quota must be used with one socket only.
#[derive(Debug, Default)]
pub struct SendQuota(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    receivers: HashMap<Address, Held>,
    table: Option<Table>,
    last_refresh: Option<Instant>,
    next_refresh: Option<Instant>,
}

/// What a receiver may hold: as much as was sent to it since it was last known to hold nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    bytes: usize,
    uid: Option<u32>,
    /// Whether a message without bytes was among them, which the table does not show.
    hidden: bool,
}

/// Whether a message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// Not as far as is known, but the receiver may have read since. Ask again at this instant.
    Unsure(Instant),
    /// The receiver, or its user, has more unread than it may.
    Refused,
}

/// The use of a socket's send buffer.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    unsent: usize,
    limit: usize,
}

impl Buffer {
    fn of(socket: &Socket) -> Result<Buffer> {
        Ok(Buffer { unsent: socket.unsent_bytes()?, limit: socket.send_buffer_bytes()? })
    }

    fn left(self) -> usize {
        self.limit.saturating_sub(self.unsent)
    }

    /// Returns what one receiver may hold. It falls with the square of the space left, so the
    /// number of receivers that do not read has to double to halve it.
    fn share(self) -> usize {
        self.left().saturating_mul(self.left()) / self.limit.saturating_mul(2).max(1)
    }
}

impl SendQuota {
    /// Creates a quota for one socket that has sent nothing yet.
    pub fn new() -> SendQuota {
        SendQuota::default()
    }

    /// Checks whether a message of this length in bytes may be sent to a receiver.
    ///
    /// `uid` is the receiver's user, if known. While almost nothing is unread, every length is
    /// allowed. Never blocks. May read the kernel's socket table, for at most a twentieth of the
    /// time.
    ///
    /// # Errors
    /// Returns an error if the message would let the receiver, or its user, hold more of the
    /// socket's send buffer than it may ([`ErrorKind::WouldBlock`]), or if the file descriptor is
    /// invalid.
    pub fn check(&self, socket: &Datagram, to: &Address, uid: Option<u32>, bytes: usize) -> Result<()> {
        match self.ask(socket.as_ref(), to, uid, bytes, Instant::now())? {
            Verdict::Allowed => Ok(()),
            Verdict::Unsure(_) | Verdict::Refused => {
                let detail = "unread messages of this receiver fill its share of the send buffer";
                Err(Error::new(Operation::Send, ErrorKind::WouldBlock, detail).on(to))
            }
        }
    }

    /// Checks like [`SendQuota::check`], for callers that can wait for a better answer.
    ///
    /// `since` is the instant from which the message was ready to be sent. An answer is final if
    /// the table was read after it.
    pub(crate) fn ask(
        &self,
        socket: &Socket,
        to: &Address,
        uid: Option<u32>,
        bytes: usize,
        since: Instant,
    ) -> Result<Verdict> {
        let buffer = Buffer::of(socket)?;
        let mut state = self.locked();
        if buffer.unsent <= buffer.limit / ALWAYS_ALLOWED {
            state.receivers.clear();
            return Ok(Verdict::Allowed);
        }
        let allows = |state: &State| state.allows(buffer, to, uid, charge(bytes));
        if allows(&state) || (state.refresh(socket, Instant::now()) && allows(&state)) {
            return Ok(Verdict::Allowed);
        }
        match state.next_refresh {
            Some(next) if state.last_refresh.is_none_or(|last| last < since) => Ok(Verdict::Unsure(next)),
            _ => Ok(Verdict::Refused),
        }
    }

    /// Records that a message of this length in bytes was sent to a receiver.
    pub fn record(&self, to: &Address, uid: Option<u32>, bytes: usize) {
        let mut state = self.locked();
        if state.receivers.len() >= RECEIVERS_MAX && !state.receivers.contains_key(to) {
            state.evict();
        }
        let held = state.receivers.entry(to.clone()).or_default();
        held.bytes = held.bytes.saturating_add(charge(bytes));
        held.uid = uid.or(held.uid);
        held.hidden |= bytes == 0;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the most that the kernel charges for a message. Too low a count would let a receiver
/// hold more than its share.
fn charge(bytes: usize) -> usize {
    bytes.saturating_add(bytes.min(ROUNDED_BYTES)).saturating_add(OVERHEAD_BYTES)
}

impl State {
    fn allows(&self, buffer: Buffer, to: &Address, uid: Option<u32>, bytes: usize) -> bool {
        let user_is_over = uid.is_some() && self.is_over(buffer, uid);
        // No receiver can hold more than everything that is unread.
        match self.receivers.get(to).map_or(0, |held| held.bytes.min(buffer.unsent)) {
            0 if user_is_over => bytes <= buffer.left().saturating_sub(buffer.limit / RESERVED),
            0 => bytes <= buffer.left(),
            holds => !user_is_over && holds.saturating_add(bytes) <= buffer.share(),
        }
    }

    /// Returns whether this user's receivers hold more than they may together.
    fn is_over(&self, buffer: Buffer, uid: Option<u32>) -> bool {
        let most = buffer.left().saturating_mul(USER_SHARE);
        let held = self.receivers.values().filter(|held| held.uid == uid).map(|held| held.bytes);
        buffer.unsent > most && held.sum::<usize>() > most
    }

    /// Reads the table and forgets the receivers that have read everything. Returns false if the
    /// table was not read.
    fn refresh(&mut self, socket: &Socket, now: Instant) -> bool {
        if self.next_refresh.is_some_and(|next| now < next) {
            return false;
        }
        let unread = self.unread(socket);
        let pause = (now.elapsed() * REFRESH_TIME_PART).max(REFRESH_PAUSE_MIN);
        self.next_refresh = Instant::now().checked_add(pause);
        self.last_refresh = Some(now);
        let Some(unread) = unread else { return false };
        self.receivers.retain(|name, held| match unread.get(name) {
            Some(&any) => any || held.hidden,
            // An abstract name that is missing belongs to a closed socket: the table is that of our
            // network namespace, and so is the name. A path may lead to a socket of another
            // namespace.
            None => name.as_pathname().is_some(),
        });
        true
    }

    /// Returns, for each name in the table, whether a socket with it has unread data. `None` if the
    /// table is unavailable, or belongs to another network namespace than the socket.
    fn unread(&mut self, socket: &Socket) -> Option<HashMap<Address, bool>> {
        let own = rustix::fs::fstat(socket.as_fd()).ok()?.st_ino as u32;
        if self.table.is_none() {
            self.table = Some(Table::open().ok()?);
        }
        let mut found = Vec::new();
        let _ = self.table.as_mut()?.dump(Show::NAME | Show::QUEUE, &mut found).ok()?;
        if !found.iter().any(|entry| entry.ino == own) {
            return None;
        }
        let mut unread = HashMap::new();
        for entry in found.into_iter().filter(|entry| self.receivers.contains_key(&entry.name)) {
            *unread.entry(entry.name).or_default() |= entry.queue.is_none_or(|(bytes, _)| bytes > 0);
        }
        Some(unread)
    }

    fn evict(&mut self) {
        let mut sizes: Vec<usize> = self.receivers.values().map(|held| held.bytes).collect();
        let middle = sizes.len() / 2;
        let (_, &mut median, _) = sizes.select_nth_unstable(middle);
        let mut left = middle;
        self.receivers.retain(|_, held| {
            let stays = held.bytes >= median && left > 0;
            left -= usize::from(stays);
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Datagram;
    use stoop_testkit::deadline;

    /// Sends while the quota and the socket allow it. Returns how many messages were sent.
    fn fill(server: &Datagram, quota: &SendQuota, to: &Address, uid: Option<u32>, message: &[u8]) -> usize {
        let mut sent = 0;
        while quota.check(server, to, uid, message.len()).is_ok() && server.send_to(message, to).is_ok() {
            quota.record(to, uid, message.len());
            sent += 1;
        }
        sent
    }

    fn client(of: &Datagram) -> (Datagram, Address) {
        let client = Datagram::client(of.local_addr().unwrap()).unwrap();
        let address = client.local_addr().unwrap();
        (client, address)
    }

    fn server() -> Datagram {
        let server = Datagram::autobind().unwrap();
        server.set_nonblocking(true).unwrap();
        server
    }

    #[test]
    fn receivers_that_do_not_read_leave_space_for_others() {
        deadline(Duration::from_secs(30), || {
            let (server, quota) = (server(), SendQuota::new());
            let mut silent = Vec::new();
            for message in [&b"x"[..], b"", &[0; 3000], &[0; 60_000]] {
                for _ in 0..3 {
                    let (socket, address) = client(&server);
                    let sent = fill(&server, &quota, &address, None, message);
                    assert!(quota.check(&server, &address, None, message.len()).is_err());
                    silent.push((socket, address, sent));
                }
            }
            let (reader, address) = client(&server);
            for _ in 0..300 {
                while quota.check(&server, &address, None, 5).is_err() {
                    std::thread::sleep(REFRESH_PAUSE_MIN);
                }
                server.send_to(b"reply", &address).unwrap();
                quota.record(&address, None, 5);
                assert_eq!(reader.recv(&mut [0; 8]).unwrap(), 5);
            }
            let mut holding = silent.iter().filter(|(_, _, sent)| *sent > 0);
            assert!(holding.all(|(_, address, _)| quota.check(&server, address, None, 5_000).is_err()));
            stoop_testkit::close(silent);
            assert!(quota.check(&server, &address, None, 5).is_ok() && quota.locked().receivers.is_empty());
        });
    }

    #[test]
    fn a_user_with_many_receivers_leaves_space_for_other_users() {
        deadline(Duration::from_secs(30), || {
            let (server, quota) = (server(), SendQuota::new());
            let silent: Vec<_> = (0..400).map(|_| client(&server)).collect();
            let sent: usize =
                silent.iter().map(|(_, address)| fill(&server, &quota, address, Some(7), b"x")).sum();
            assert!(sent > 100);
            let (_client, address) = client(&server);
            assert!(fill(&server, &quota, &address, Some(8), b"x") > 0);
            assert!(quota.check(&server, &silent[399].1, Some(7), 1).is_err());
        });
    }

    #[test]
    fn eviction_keeps_the_largest() {
        let mut state = State::default();
        let address = |number: usize| Address::abstract_name(number.to_string()).unwrap();
        for number in 0..100 {
            state.receivers.insert(address(number), Held { bytes: number, ..Held::default() });
        }
        state.evict();
        assert_eq!(state.receivers.len(), 50);
        assert!((50..100).all(|number| state.receivers.contains_key(&address(number))));
    }
}
