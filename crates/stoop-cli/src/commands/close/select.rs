//! Selects the one connection that the flags refer to. Pure.

use std::collections::HashSet;
use std::ffi::OsStr;

use stoop::Kind;
use stoop_inspect::{Pid, Snapshot, SocketId, State};

use crate::args::{Close, SocketSelector};
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::shell;
use crate::sockets::{Row, Shape, SocketFormatter, format, rows};

/// The maximum number of connections listed if several match.
const LISTED: usize = 10;

/// Returns the only connection of the sockets found.
pub(super) fn one_connection(flags: &Close, found: &[SocketId], snapshot: &Snapshot) -> Result<Row, Failure> {
    let found: HashSet<SocketId> = found.iter().copied().collect();
    let connections = rows(snapshot).into_iter().filter(|row| row.shape == Shape::Connection);
    let is_listening = |id: &SocketId| snapshot[*id].state == State::Listening;
    if let (SocketSelector::Inode(_), Some(&listener)) =
        (&flags.which, found.iter().find(|id| is_listening(id)))
    {
        let its = |row: &Row| row.listener == Some(listener);
        return Err(listener_refused(flags, snapshot, &connections.filter(its).collect::<Vec<_>>()));
    }
    let all: Vec<Row> = connections.filter(|row| is_meant(flags, snapshot, &found, row)).collect();
    let has = |id: SocketId, pid| snapshot[id].owners.iter().any(|owner| owner.pid == Pid(pid));
    let is_with = |row: &Row| flags.pid.is_none_or(|pid| row.ends().any(|id| has(id, pid)));
    let is_datagram = |row: &Row| row.kind(snapshot).is_none_or(|kind| kind == Kind::Datagram);
    let (datagrams, fitting): (Vec<Row>, Vec<Row>) =
        all.iter().copied().filter(is_with).partition(is_datagram);
    match &fitting[..] {
        [row] => Ok(*row),
        [] => Err(none(flags, all.len(), !datagrams.is_empty())),
        several => Err(several_match(flags, snapshot, several)),
    }
}

/// Returns whether a connection is selected. An address stands for the connections of its server.
/// A process and an inode stand for their own ends: other processes may share the listener.
fn is_meant(flags: &Close, snapshot: &Snapshot, found: &HashSet<SocketId>, row: &Row) -> bool {
    let is_found = |id: &SocketId| found.contains(id);
    match flags.which {
        SocketSelector::Inode(_) => row.ends().any(|id| is_found(&id)),
        // A client that waits is connected to whoever has the listener open.
        SocketSelector::Pid(_) => row.sockets().any(|id| is_found(&id)),
        SocketSelector::At(_) => {
            let listener_of = |id: SocketId| snapshot[id].may_be_from().or(snapshot[id].waits_for);
            row.sockets().any(|id| is_found(&id) || listener_of(id).is_some_and(|id| is_found(&id)))
        }
    }
}

/// Formats `/run/app.sock: 2040/psql, inode 12 - 812/postgres, inode 13`.
pub(super) fn shown(snapshot: &Snapshot, row: &Row) -> String {
    let mut formatter = SocketFormatter::new(snapshot);
    let mut text = String::new();
    formatter.address(row, &mut text);
    text.push_str(": ");
    formatter.owner(row.client, &mut text);
    text.push_str(&format!(" (inode {}), connected with ", snapshot[row.subject()].ino));
    match row.server {
        Some(server) => {
            formatter.owner(Some(server), &mut text);
            text.push_str(&format!(" (inode {})", snapshot[server].ino));
        }
        None => {
            formatter.owner(row.listener, &mut text);
            text.push_str(" (not accepted yet)");
        }
    }
    text
}

/// Reports that a listener was named where a connection was expected, even if it has only one: its
/// inode is that of no connection.
fn listener_refused(flags: &Close, snapshot: &Snapshot, its: &[Row]) -> Failure {
    let what = format!("'{}' is a listening socket, not a connection", flags.which);
    let report = Failure::new(Exit::Usage, what);
    if its.is_empty() {
        return report.why("no client is connected to it").next(format!("stoop who {}", flags.which)).into();
    }
    let has = format!("it has {}, each with inodes of its own", format::plural(its.len(), "connection"));
    listed(report.why(has), snapshot, its).into()
}

fn several_match(flags: &Close, snapshot: &Snapshot, several: &[Row]) -> Failure {
    let what = format!("'{}' has {} connections, but only one can be closed", flags.which, several.len());
    let report = Failure::new(Exit::Usage, what).why("which of them is meant is only known by its inode");
    listed(report, snapshot, several).into()
}

/// Adds the connections to choose from.
fn listed(report: Report, snapshot: &Snapshot, several: &[Row]) -> Report {
    let mut report =
        several.iter().take(LISTED).fold(report, |report, row| report.seen(shown(snapshot, row)));
    if several.len() > LISTED {
        report = report.seen(format!("and {} more", several.len() - LISTED));
    }
    report.next(format!("stoop close inode:{}", snapshot[several[0].subject()].ino))
}

/// Reports that nothing can be closed. `all` is the number of connections regardless of `--pid`.
fn none(flags: &Close, all: usize, is_datagram: bool) -> Failure {
    if is_datagram {
        let what = format!("'{}' is not a connection that can be closed", flags.which);
        let why = "datagram sockets have addresses, not connections";
        return Failure::new(Exit::Unsupported, what).why(why).into();
    }
    Failure::new(Exit::No, format!("'{}' has no such connection", flags.which))
        .why(match flags.pid {
            Some(pid) if all > 0 => {
                format!("process {pid} has no end of its {}", format::plural(all, "connection"))
            }
            _ => "no client is connected".into(),
        })
        .next(format!("stoop who {}", shell::quoted(OsStr::new(&flags.which.to_string()))))
        .into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Verb};
    use crate::sockets::sample;
    use stoop_inspect::SocketIno;

    /// Returns the inode of the client's end, or the summary of the failure.
    fn chosen(snapshot: &Snapshot, which: &str) -> Result<u32, String> {
        let Verb::Close(flags) = Cli::try_parse_from(["stoop", "close", which]).unwrap().verb else {
            panic!("close")
        };
        let is_found = |id: &SocketId| match flags.which {
            SocketSelector::Inode(ino) => snapshot[*id].ino == SocketIno(ino),
            SocketSelector::Pid(pid) => snapshot[*id].owners.iter().any(|owner| owner.pid == Pid(pid)),
            SocketSelector::At(_) => false,
        };
        let found: Vec<SocketId> = snapshot.iter().map(|(id, _)| id).filter(is_found).collect();
        one_connection(&flags, &found, snapshot)
            .map(|row| snapshot[row.subject()].ino.0)
            .map_err(|failure| failure.summary())
    }

    #[test]
    fn a_listener_is_never_its_only_connection() {
        let machine = sample::machine();
        let of_listener = |id: &SocketId| machine[*id].state == State::Listening;
        let listeners: Vec<SocketId> = machine.iter().map(|(id, _)| id).filter(of_listener).collect();
        assert!(listeners.len() > 2);
        for id in listeners {
            let refused = chosen(&machine, &format!("inode:{}", machine[id].ino)).unwrap_err();
            assert!(refused.ends_with("is a listening socket, not a connection"), "{refused}");
        }
    }

    #[test]
    fn either_end_of_a_connection_selects_it() {
        let machine = sample::machine();
        let connections: Vec<Row> =
            rows(&machine).into_iter().filter(|row| row.shape == Shape::Connection).collect();
        let streams = connections.iter().filter(|row| row.kind(&machine) != Some(Kind::Datagram));
        for row in streams {
            for id in row.ends() {
                let ino = machine[row.subject()].ino.0;
                assert_eq!(chosen(&machine, &format!("inode:{}", machine[id].ino)), Ok(ino));
            }
        }
    }

    #[test]
    fn a_worker_stands_for_its_own_connections_only() {
        let site = sample::web_site();
        // Two workers share a listener, and have six connections each; nginx has all ends.
        for pid in [2040, 2041] {
            let refused = chosen(&site, &format!("pid:{pid}")).unwrap_err();
            assert!(refused.contains(if pid == 2040 { "has 10 conn" } else { "has 12 conn" }), "{refused}");
        }
    }
}
