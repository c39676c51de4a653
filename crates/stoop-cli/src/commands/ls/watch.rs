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
use crate::sockets::{Change, Filter, JsonFormatter, Row, SocketFormatter, note, report_files};
use crate::time;

/// Identifies a line: a socket of the machine, by more than an inode, which may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    subject: (NamespaceIno, SocketIno, Option<u64>),
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

/// Formats the changes between two snapshots.
fn changes(flags: &Ls, before: &View, now: &View) -> Vec<u8> {
    let time = time::utc(now.snapshot.taken);
    let mut text = Vec::new();
    let (old, new) = (before.keys(), now.keys());
    let gone = before.rows.iter().filter(|row| !new.contains_key(&before.key(row)));
    before.push_lines(flags, gone, ("-", "gone"), &time, &mut text);
    let state_before = |row: &Row| old.get(&now.key(row)).map(|row| row.state(&before.snapshot));
    let appeared = now.rows.iter().filter(|row| state_before(row).is_none());
    now.push_lines(flags, appeared, ("+", "appeared"), &time, &mut text);
    let has_changed = |row: &&Row| state_before(row).is_some_and(|state| state != row.state(&now.snapshot));
    now.push_lines(flags, now.rows.iter().filter(has_changed), ("~", "changed"), &time, &mut text);
    text
}

impl View {
    fn key(&self, row: &Row) -> Key {
        let socket = &self.snapshot[row.subject()];
        // A client keeps its line when it is accepted, so the server's end is not part of the key.
        // A datagram socket that connects to another peer gets a new line.
        let was_accepted = |id: SocketId| self.snapshot[id].may_be_from().is_some();
        let peer = row.server.filter(|&id| socket.state == State::Connected && !was_accepted(id));
        let ino = |id: SocketId| self.snapshot[id].ino;
        Key { subject: (socket.namespace, socket.ino, socket.cookie), peer: peer.map(ino) }
    }

    fn keys(&self) -> HashMap<Key, &Row> {
        self.rows.iter().map(|row| (self.key(row), row)).collect()
    }

    fn push_lines<'a>(
        &self,
        flags: &Ls,
        rows: impl Iterator<Item = &'a Row>,
        (sign, word): (&str, &'static str),
        time: &str,
        text: &mut Vec<u8>,
    ) {
        let mut formatter = SocketFormatter::new(&self.snapshot);
        let mut json = JsonFormatter::new(&self.snapshot);
        for row in rows {
            if flags.json {
                json.line(row, Some(&Change { change: word, time }), text);
            } else {
                text.extend(line(flags, &self.snapshot, row, &mut formatter, sign, time).as_bytes());
            }
        }
    }
}

/// Formats `+ 22:10:03 connection /run/app.sock stream connected 812/postgres 900/psql`. Columns
/// cannot be aligned with lines that are yet to come.
fn line(
    flags: &Ls,
    snapshot: &Snapshot,
    row: &Row,
    formatter: &mut SocketFormatter<'_>,
    sign: &str,
    time: &str,
) -> String {
    let usual =
        [Column::Address, Column::Kind, Column::State, Column::Server, Column::Client, Column::ClientIn];
    let columns = if flags.columns.is_empty() { &usual[..] } else { &flags.columns[..] };
    let mut line = format!("{sign} {time}");
    for &column in columns {
        let mut cell = String::new();
        render::write(column, row, snapshot, formatter, &mut cell);
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
    line.push('\n');
    line
}
