//! `stoop ls --watch`: sockets that appear, disappear or change between two snapshots.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop_inspect::{Inspector, NamespaceIno, Snapshot, SocketId, SocketIno, State};

use super::render;
use super::select::choose;
use crate::args::{Column, Ls};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{print, status};
use crate::signals::Signals;
use crate::sockets::{
    Change, Filter, JsonFormatter, Row, Shape, SocketFormatter, format, note, report_files,
};
use crate::time;

/// Identifies a socket of the machine.
type SocketKey = (NamespaceIno, SocketIno, Option<u64>);

/// Identifies a line: a socket of the machine, by more than an inode, which may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    subject: SocketKey,
    peer: Option<SocketIno>,
}

/// The lines of one snapshot.
struct View {
    snapshot: Snapshot,
    rows: Vec<Row>,
}

/// Prints changes until a signal arrives.
pub(super) fn run(flags: &Ls, filter: &mut Filter<'_>, inspector: &mut Inspector) -> Outcome {
    let signals = Signals::catch()?;
    let mut before = take(flags, filter, inspector);
    filter.check(&before.snapshot)?;
    report_files(filter, &before.snapshot);
    status(&note(&before.snapshot.missing));
    let (count, every) = (before.rows.len(), time::show(flags.interval));
    status(&format!("stoop: {count} present now; checking every {every}, press Ctrl-C to stop\n"));
    while !is_interrupted(&signals, flags.interval)? {
        let now = take(flags, filter, inspector);
        print(&changes(flags, &before, &now))?;
        before = now;
    }
    Ok(Exit::Done)
}

fn take(flags: &Ls, filter: &mut Filter<'_>, inspector: &mut Inspector) -> View {
    let snapshot = inspector.snapshot();
    filter.prepare(&snapshot);
    let mut rows = choose(flags, filter, &snapshot);
    if !flags.all && flags.state.is_empty() && !flags.json {
        rows.retain(|row| !row.is_minor(&snapshot));
    }
    View { snapshot, rows }
}

/// Waits for the next snapshot. Returns true if a signal arrived.
fn is_interrupted(signals: &Signals, interval: Duration) -> Result<bool, Failure> {
    let span = Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
    match poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&span)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Failure::io("wait for signals", &error.into())),
    }
}

/// A line of the current snapshot, and what it was before, as far as it existed.
type Pair<'a> = (&'a Row, Option<&'a Row>);

/// Formats the changes between two snapshots.
fn changes(flags: &Ls, before: &View, now: &View) -> Vec<u8> {
    let time = time::utc_millis(now.snapshot.taken);
    let (gone, pairs) = compare(before, now);
    let mut text = Vec::new();
    let mut printer = Printer::new(flags, before, &time);
    gone.into_iter().for_each(|row| printer.push(row, ("-", "gone"), None, &mut text));
    let mut printer = Printer::new(flags, now, &time);
    for (row, _) in pairs.iter().filter(|(_, old)| old.is_none()) {
        printer.push(row, ("+", "appeared"), None, &mut text);
    }
    for (row, old) in pairs {
        let Some(old) = old else { continue };
        if old.state(&before.snapshot) != row.state(&now.snapshot) {
            printer.push(row, ("~", "changed"), Some((before, old)), &mut text);
        }
    }
    text
}

/// Returns the lines that disappeared, and each current line with what it was before.
///
/// If the client of a connection closes, the line of the server's end remains: the connection has
/// changed, and has not been replaced by another socket.
fn compare<'a>(before: &'a View, now: &'a View) -> (Vec<&'a Row>, Vec<Pair<'a>>) {
    let (mut old, current) = (before.keys(), now.keys());
    let mut by_server: HashMap<SocketKey, Key> = HashMap::new();
    for (key, row) in old.iter().filter(|(key, _)| !current.contains_key(key)) {
        by_server.extend(row.server.map(|server| (before.socket_key(server), *key)));
    }
    let mut pair = |row: &'a Row| {
        let key = now.key(row);
        let is_left = row.shape == Shape::Socket && row.state(&now.snapshot) == State::PeerClosed;
        let was = if is_left { by_server.get(&key.subject) } else { None };
        (row, old.remove(&key).or_else(|| old.remove(was?)))
    };
    let pairs = now.rows.iter().map(&mut pair).collect();
    (before.rows.iter().filter(|row| old.contains_key(&before.key(row))).collect(), pairs)
}

impl View {
    fn socket_key(&self, id: SocketId) -> SocketKey {
        let socket = &self.snapshot[id];
        (socket.namespace, socket.ino, socket.cookie)
    }

    fn key(&self, row: &Row) -> Key {
        let socket = &self.snapshot[row.subject()];
        // A client keeps its line when it is accepted, so the server's end is not part of the key.
        // A datagram socket that connects to another peer gets a new line.
        let was_accepted = |id: SocketId| self.snapshot[id].may_be_from().is_some();
        let peer = row.server.filter(|&id| socket.state == State::Connected && !was_accepted(id));
        let ino = |id: SocketId| self.snapshot[id].ino;
        Key { subject: self.socket_key(row.subject()), peer: peer.map(ino) }
    }

    fn keys(&self) -> HashMap<Key, &Row> {
        self.rows.iter().map(|row| (self.key(row), row)).collect()
    }
}

/// Formats lines of one snapshot.
struct Printer<'a> {
    flags: &'a Ls,
    snapshot: &'a Snapshot,
    time: &'a str,
    formatter: SocketFormatter<'a>,
    json: JsonFormatter<'a>,
}

impl<'a> Printer<'a> {
    fn new(flags: &'a Ls, view: &'a View, time: &'a str) -> Printer<'a> {
        let snapshot = &view.snapshot;
        let (formatter, json) = (SocketFormatter::new(snapshot), JsonFormatter::new(snapshot));
        let json = json.with_ages(flags.columns.contains(&Column::MaxAge));
        Printer { flags, snapshot, time, formatter, json }
    }

    /// Appends a line. `old` is what it was before, if it has changed.
    fn push(&mut self, row: &Row, how: (&str, &'static str), old: Option<(&View, &Row)>, text: &mut Vec<u8>) {
        if self.flags.json {
            let state_before = old.map(|(view, row)| format::state(row.state(&view.snapshot)));
            let change = Change { change: how.1, time: self.time, state_before };
            return self.json.line(row, Some(&change), text);
        }
        let mut line = self.line(how.0, row);
        if let Some((view, old)) = old {
            line.push_str(&was(view, old, row));
        }
        line.push('\n');
        text.extend(line.into_bytes());
    }

    /// Formats `+ 22:10:03.250 /run/app.sock stream connected 812/postgres 900/psql`. Columns
    /// cannot be aligned with lines that are yet to come.
    fn line(&mut self, sign: &str, row: &Row) -> String {
        let usual =
            [Column::Address, Column::Kind, Column::State, Column::Server, Column::Client, Column::ClientIn];
        let columns = if self.flags.columns.is_empty() { &usual[..] } else { &self.flags.columns[..] };
        let mut line = format!("{sign} {}", self.time);
        for &column in columns {
            let mut cell = String::new();
            render::write(column, row, self.snapshot, &mut self.formatter, &mut cell);
            let least = match column {
                Column::Address => 28,
                Column::Server | Column::Client => 18,
                Column::Kind => 6,
                Column::State => 9,
                _ => 0,
            };
            let _ = write!(line, "  {cell:least$}");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Formats what a line was before: `  (was connected, with 900/psql)`.
fn was(view: &View, old: &Row, now: &Row) -> String {
    let mut text = format!("  (was {}", format::state(old.state(&view.snapshot)));
    let left = [(old.client, now.client), (old.server, now.server)];
    if let Some((end, _)) = left.into_iter().find(|(before, now)| before.is_some() && now.is_none()) {
        text.push_str(", with ");
        SocketFormatter::new(&view.snapshot).owner(end, &mut text);
    }
    text.push(')');
    text
}
