//! From a frame to entries: what is shown in a line. Pure.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use stoop::Kind;
use stoop_inspect::{Queue, SocketId};
use stoop_tap::top::{Activity, Backlog, Unread};

use super::args::By;
use super::frame::Frame;
use super::labels::Labels;
use crate::sockets::{Row, Shape};

/// What a line is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Identifies it in the next frame.
    pub(super) id: Rc<str>,
    pub(super) name: Rc<str>,
    /// The process that serves, if the entry is an address or a socket.
    pub(super) server: Option<Rc<str>>,
    /// The client, if the entry is a socket.
    pub(super) client: Option<Rc<str>>,
    /// What it did: received and sent by servers, or by the processes. `None` if that is not
    /// counted.
    pub(super) activity: Option<Activity>,
    pub(super) unread: Unread,
    /// `None` if there is no listener.
    pub(super) backlog: Option<Backlog>,
    pub(super) connections: u64,
}

/// Returns the entries of these rows. Closed sockets are counted for entries that exist, and for
/// others that `is_wanted` accepts.
pub(super) fn entries(
    frame: &Frame,
    rows: &[Row],
    by: By,
    is_wanted: impl Fn(&Rc<str>) -> bool,
) -> Vec<Entry> {
    let mut accounts = Accounts::new(frame, by);
    for row in rows {
        match by {
            By::Address => accounts.address(row),
            By::Socket => accounts.socket(row),
            By::Process | By::Container | By::Unit => accounts.ends(row),
        }
    }
    accounts.closed(is_wanted);
    accounts.entries
}

/// Returns the rows that an entry is the sum of.
pub(super) fn members(frame: &Frame, rows: &[Row], by: By, entry: &str) -> Vec<Row> {
    let mut labels = Labels::new(&frame.snapshot);
    let mut is_member = |row: &Row| match by {
        By::Socket => socket_id(frame, row) == entry,
        By::Address => &*labels.address(row) == entry,
        _ => row.ends().any(|end| &**labels.identity(row, end).group(by) == entry),
    };
    rows.iter().filter(|row| is_member(row)).copied().collect()
}

struct Accounts<'f> {
    frame: &'f Frame,
    by: By,
    labels: Labels<'f>,
    entries: Vec<Entry>,
    by_id: HashMap<Rc<str>, usize>,
    /// The sockets that were counted: a receiver of datagrams is in several rows.
    seen: HashSet<SocketId>,
}

impl<'f> Accounts<'f> {
    fn new(frame: &'f Frame, by: By) -> Accounts<'f> {
        let labels = Labels::new(&frame.snapshot);
        let (entries, by_id, seen) = (Vec::new(), HashMap::new(), HashSet::new());
        Accounts { frame, by, labels, entries, by_id, seen }
    }

    /// Returns the entry, created if it is new.
    fn entry(&mut self, id: &Rc<str>, name: &Rc<str>) -> &mut Entry {
        let at = *self.by_id.entry(id.clone()).or_insert_with(|| {
            self.entries.push(Entry {
                id: id.clone(),
                name: name.clone(),
                server: None,
                client: None,
                activity: self.frame.activities.as_ref().map(|_| Activity::default()),
                unread: Unread::default(),
                backlog: None,
                connections: 0,
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    /// Counts the server's end of a row for its address.
    fn address(&mut self, row: &Row) {
        let Some(serving) = row.serving() else { return };
        let (name, server) = (self.labels.address(row), self.labels.process(serving));
        let entry = self.entry(&name, &name);
        entry.connections += u64::from(row.shape == Shape::Connection);
        entry.server.get_or_insert(server);
        if let Some(end) = row.server.filter(|end| self.counts_here(row, *end)) {
            self.add(&name, end);
        }
    }

    /// Returns whether a server's end is counted with this row, and not with its own.
    fn counts_here(&self, row: &Row, server: SocketId) -> bool {
        let snapshot = &self.frame.snapshot;
        row.shape != Shape::Connection
            || row.kind(snapshot) != Some(Kind::Datagram)
            || snapshot[server].peer == row.client
    }

    /// Makes an entry of a row, as its server sees it.
    fn socket(&mut self, row: &Row) {
        let id: Rc<str> = socket_id(self.frame, row).into();
        let name = self.labels.address(row);
        let server = row.serving().map(|end| self.labels.process(end));
        let client = row.client.map(|end| self.labels.process(end));
        let entry = self.entry(&id, &name);
        (entry.server, entry.client) = (server, client);
        entry.connections = u64::from(row.shape == Shape::Connection);
        let server = row.server.filter(|end| self.counts_here(row, *end));
        if let Some(end) = server {
            self.add(&id, end);
        }
        match (server, row.client) {
            (Some(_), Some(client)) => self.add_unread(&id, client),
            (None, Some(client)) => self.add_as_server(&id, client),
            _ => {}
        }
    }

    /// Counts both ends for their processes.
    fn ends(&mut self, row: &Row) {
        for end in row.ends() {
            if !self.seen.insert(end) {
                continue;
            }
            let group = self.labels.identity(row, end).group(self.by).clone();
            let entry = self.entry(&group, &group);
            entry.connections += u64::from(row.shape == Shape::Connection);
            self.add(&group, end);
        }
    }

    /// Adds what a socket did, and what waits there.
    fn add(&mut self, id: &Rc<str>, end: SocketId) {
        let activity = self.frame.activity(end);
        let queue = self.frame.snapshot[end].queue;
        let Some(entry) = self.by_id.get(id).map(|at| &mut self.entries[*at]) else { return };
        if let (Some(sum), Some(activity)) = (&mut entry.activity, activity) {
            sum.add(&activity);
        }
        match queue {
            Some(Queue::Backlog { waiting, limit }) => {
                entry.backlog.get_or_insert_default().add(waiting.into(), limit.into());
            }
            _ => self.add_unread(id, end),
        }
    }

    fn add_unread(&mut self, id: &Rc<str>, end: SocketId) {
        let unread = self.frame.snapshot[end].unread_bytes().map(u64::from);
        if let Some(at) = self.by_id.get(id) {
            self.entries[*at].unread.add(unread);
        }
    }

    /// Adds what a client did, as its server sees it: what the client sent came in.
    fn add_as_server(&mut self, id: &Rc<str>, client: SocketId) {
        let activity = self.frame.activity(client);
        let Some(entry) = self.by_id.get(id).map(|at| &mut self.entries[*at]) else { return };
        if let (Some(sum), Some(mut activity)) = (&mut entry.activity, activity) {
            std::mem::swap(&mut activity.sent, &mut activity.received);
            sum.add(&activity);
        }
        self.add_unread(id, client);
    }

    fn closed(&mut self, is_wanted: impl Fn(&Rc<str>) -> bool) {
        let (frame, by) = (self.frame, self.by);
        for closed in &frame.closed {
            if !closed.identity.serves && matches!(self.by, By::Address | By::Socket) {
                continue;
            }
            let group = closed.identity.group(self.by).clone();
            let id = match self.by {
                By::Socket => format!("closed {}", closed.cookie).into(),
                _ => group.clone(),
            };
            if !self.by_id.contains_key(&id) && !is_wanted(&group) {
                continue;
            }
            let entry = self.entry(&id, &group);
            if by == By::Socket {
                entry.server = Some(closed.identity.process.clone());
                entry.client = Some("(closed)".into());
            }
            if let Some(sum) = &mut entry.activity {
                sum.add(&closed.activity);
                // Nobody will receive what is left.
                sum.unread_since_ns = sum.unread_since_ns.filter(|_| by != By::Socket);
            }
        }
    }
}

fn socket_id(frame: &Frame, row: &Row) -> String {
    let socket = &frame.snapshot[row.subject()];
    format!("{}:{}", socket.namespace, socket.ino)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::frame::{Closed, Identity};
    use super::super::sample;
    use super::*;
    use crate::sockets::{rows, sample as machines};

    fn all(by: By) -> Vec<Entry> {
        let frame = sample::frame(machines::machine());
        entries(&frame, &rows(&frame.snapshot), by, |_| true)
    }

    fn received(entries: &[Entry]) -> u64 {
        entries.iter().map(|entry| entry.activity.as_ref().unwrap().received.calls).sum()
    }

    fn named<'e>(entries: &'e [Entry], name: &str) -> &'e Entry {
        entries.iter().find(|entry| &*entry.name == name).unwrap_or_else(|| panic!("{name} in {entries:?}"))
    }

    #[test]
    fn every_socket_is_counted_once_for_its_process() {
        let sockets = machines::machine().sockets.len() as u64;
        for by in [By::Process, By::Container, By::Unit] {
            assert_eq!(received(&all(by)), 10 * sockets, "{by:?}");
        }
    }

    #[test]
    fn an_address_is_what_its_servers_did() {
        let entries = all(By::Address);
        let database = named(&entries, "/var/run/postgresql/.s.PGSQL.5432");
        // The listener and two accepted sockets; the clients are not counted.
        assert_eq!(database.activity.as_ref().unwrap().received.calls, 30);
        assert_eq!((database.connections, database.unread.bytes), (3, 240));
        assert_eq!(database.backlog, Some(Backlog { waiting: 1, limit: 244, full: 0 }));
        assert_eq!(database.server.as_deref(), Some("812/postgres"));
        // A receiver of datagrams is counted once, and its sender is a connection.
        let log = named(&entries, "/run/systemd/journal/dev-log");
        assert_eq!((log.activity.as_ref().unwrap().received.calls, log.connections), (10, 1));
    }

    #[test]
    fn a_client_of_a_datagram_socket_is_seen_from_its_server() {
        let mut frame = sample::frame(machines::machine());
        let rows = rows(&frame.snapshot);
        let sender = rows
            .iter()
            .find(|row| row.shape == Shape::Connection && row.kind(&frame.snapshot) == Some(Kind::Datagram));
        let cookie = frame.snapshot[sender.unwrap().client.unwrap()].cookie.unwrap();
        frame.activities.as_mut().unwrap().get_mut(&cookie).unwrap().sent.calls = 77;
        let entries = entries(&frame, &[*sender.unwrap()], By::Socket, |_| true);
        assert_eq!(entries[0].activity.as_ref().unwrap().received.calls, 77);
    }

    #[test]
    fn closed_sockets_are_counted_for_what_they_were() {
        let mut frame = sample::frame(machines::machine());
        let identity = Identity {
            address: "/var/run/postgresql/.s.PGSQL.5432".into(),
            serves: true,
            process: "812/postgres".into(),
            container: "(none)".into(),
            unit: "(unknown)".into(),
        };
        let client = Identity { serves: false, process: "9/gone".into(), ..identity.clone() };
        frame.closed = vec![
            Closed { cookie: 1, identity, activity: sample::activity(5, 5) },
            Closed { cookie: 2, identity: client, activity: sample::activity(7, 7) },
        ];
        let rows = rows(&frame.snapshot);
        let calls = |by, name: &str| {
            let entries = entries(&frame, &rows, by, |_| true);
            named(&entries, name).activity.as_ref().unwrap().received.calls
        };
        assert_eq!(calls(By::Address, "/var/run/postgresql/.s.PGSQL.5432"), 35);
        assert_eq!((calls(By::Process, "812/postgres"), calls(By::Process, "9/gone")), (35, 7));
        let selected = entries(&frame, &rows, By::Process, |_| false);
        assert!(selected.iter().all(|entry| &*entry.name != "9/gone"), "it was not selected");
        assert_eq!(frame.span, Duration::from_secs(2));
    }

    #[test]
    fn the_members_of_an_entry_are_its_rows() {
        let frame = sample::frame(machines::machine());
        let rows = rows(&frame.snapshot);
        let count = |by, name: &str| members(&frame, &rows, by, name).len();
        assert_eq!(count(By::Address, "/var/run/postgresql/.s.PGSQL.5432"), 4);
        assert_eq!(count(By::Process, "812/postgres"), 3);
        for entry in entries(&frame, &rows, By::Socket, |_| true) {
            assert_eq!(count(By::Socket, &entry.id), 1);
        }
    }
}
