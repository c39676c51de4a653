//! Finds the connection, asks for confirmation, and closes it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, BufRead, IsTerminal};
use std::os::fd::OwnedFd;

use stoop::Kind;
use stoop_inspect::{Inspector, Options, OwnersWanted, Pid, Snapshot, Socket, SocketId};

use crate::args::Close;
use crate::exit::Exit;
use crate::failure::{self, Failure, Outcome};
use crate::output::{print, status};
use crate::shell;
use crate::sockets::{JsonFormatter, ResolvedSelector, Row, Shape, SocketFormatter, format, rows};

/// The maximum number of connections listed if several match.
const LISTED: usize = 10;

/// Closes the selected connection once it was confirmed.
pub(crate) fn run(flags: &Close) -> Outcome {
    // A question has to be seen, with the connection that it is about.
    if flags.yes {
        flags.quiet.apply();
    }
    let wanted = ResolvedSelector::new(&flags.which)?;
    let snapshot = Inspector::new(Options::default()).snapshot();
    let row = one_connection(flags, &wanted, &snapshot)?;
    status(&format!("{}\n", shown(&snapshot, &row)));
    if !flags.yes && !is_confirmed()? {
        status("stoop: not closed\n");
        return Ok(Exit::No);
    }
    let copy = copy_of_an_end(&snapshot, &row)?;
    check_again(&snapshot, &row)?;
    rustix::net::shutdown(&copy, rustix::net::Shutdown::Both)
        .map_err(|error| Failure::io("close the connection", &error.into()))?;
    if flags.json {
        let mut text = Vec::new();
        JsonFormatter::new(&snapshot).closed(&row, &mut text);
        print(&text)?;
    } else {
        status("stoop: closed\n");
    }
    Ok(Exit::Done)
}

/// Returns the only connection that matches.
fn one_connection(flags: &Close, wanted: &ResolvedSelector, snapshot: &Snapshot) -> Result<Row, Failure> {
    let found = wanted.find(snapshot);
    if found.is_empty() {
        return Err(wanted.not_found(&flags.which, snapshot, "close"));
    }
    let found: HashSet<SocketId> = found.into_iter().collect();
    let has = |id: SocketId, pid| snapshot[id].owners.iter().any(|owner| owner.pid == Pid(pid));
    let is_its = |row: &Row| {
        row.shape == Shape::Connection
            && row.sockets().any(|id| {
                found.contains(&id) || listener_of(snapshot, id).is_some_and(|l| found.contains(&l))
            })
    };
    let is_with = |row: &Row| flags.pid.is_none_or(|pid| row.ends().any(|id| has(id, pid)));
    let all: Vec<Row> = rows(snapshot).into_iter().filter(is_its).collect();
    let is_datagram = |row: &Row| row.kind(snapshot).is_none_or(|kind| kind == Kind::Datagram);
    let (datagrams, fitting): (Vec<Row>, Vec<Row>) =
        all.iter().copied().filter(is_with).partition(is_datagram);
    match &fitting[..] {
        [row] => Ok(*row),
        [] if !datagrams.is_empty() => {
            let what = format!("'{}' is not a connection that can be closed", flags.which);
            Err(Failure::new(Exit::Unsupported, what)
                .why("datagram sockets have addresses, not connections")
                .into())
        }
        [] => Err(Failure::new(Exit::No, format!("'{}' has no such connection", flags.which))
            .why(match flags.pid {
                Some(pid) if !all.is_empty() => {
                    format!("process {pid} has no end of its {}", format::plural(all.len(), "connection"))
                }
                _ => "no client is connected".into(),
            })
            .next(format!("stoop who {}", shell::quoted(OsStr::new(&flags.which.to_string()))))
            .into()),
        several => {
            let what =
                format!("'{}' has {} connections, but only one can be closed", flags.which, several.len());
            let mut report = Failure::new(Exit::Usage, what);
            for row in several.iter().take(LISTED) {
                report = report.seen(shown(snapshot, row));
            }
            let first = snapshot[several[0].subject()].ino;
            Err(report.next(format!("stoop close inode:{first}")).into())
        }
    }
}

fn listener_of(snapshot: &Snapshot, id: SocketId) -> Option<SocketId> {
    snapshot[id].may_be_from().or(snapshot[id].waits_for)
}

/// Formats `/run/app.sock: 2040/psql, inode 12 - 812/postgres, inode 13`.
fn shown(snapshot: &Snapshot, row: &Row) -> String {
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

/// Asks for confirmation on a terminal. Without a terminal, nothing is confirmed.
fn is_confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let report = Failure::new(Exit::No, "not confirmed, so nothing was closed");
        return Err(report
            .why("standard input is not a terminal, so nothing can be confirmed")
            .next(format!("{} --yes    # closes it without confirmation", format::command_line()))
            .into());
    }
    status("close this connection? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::io("read the answer", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Duplicates a file descriptor of one of the two sockets.
fn copy_of_an_end(snapshot: &Snapshot, row: &Row) -> Result<OwnedFd, Failure> {
    let mut refused = None;
    for id in row.ends() {
        match snapshot[id].dup_fd() {
            Ok(copy) => return Ok(copy),
            Err(error) => refused = Some(error),
        }
    }
    // A hidden process may have it open.
    let is_hidden = snapshot.missing.iter().any(format::is_about_owners);
    let unseen = if is_hidden { io::ErrorKind::PermissionDenied } else { io::ErrorKind::NotFound };
    let error =
        refused.filter(|error| error.kind() != io::ErrorKind::NotFound).unwrap_or_else(|| unseen.into());
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        io::ErrorKind::Unsupported => Exit::Unsupported,
        _ => Exit::Failed,
    };
    let what = format!("cannot close the connection: {}", failure::describe(&error));
    let report = Failure::new(exit, what);
    Err(match exit {
        Exit::NotPermitted => report.why(
            "it requires permission to trace one of the two processes: as its user, or with CAP_SYS_PTRACE",
        ),
        Exit::Unsupported => report
            .why("the kernel cannot duplicate a file descriptor of another process (pidfd_getfd, Linux 5.6)"),
        _ => report.why("no visible process has either end open any more"),
    }
    .into())
}

/// Checks that both ends are the same sockets as when they were shown.
fn check_again(before: &Snapshot, row: &Row) -> Result<(), Failure> {
    let mut options = Options::default();
    options.owners = OwnersWanted::No;
    options.workloads = false;
    let now = Inspector::new(options).snapshot();
    let same = |one: &Socket, other: &Socket| (one.ino, one.cookie) == (other.ino, other.cookie);
    let find = |id: SocketId| now.sockets.iter().find(|socket| same(&before[id], socket));
    let still = find(row.subject()).is_some_and(|client| match row.server {
        None => true,
        Some(server) => client.peer.is_some_and(|peer| same(&now[peer], &before[server])),
    });
    // A namespace found only by walking all file descriptors is not read by a snapshot without
    // owners. The duplicate itself was checked.
    let is_elsewhere = before.namespace(before[row.subject()].namespace).is_none_or(|n| !n.is_own);
    if still || is_elsewhere {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "the connection no longer exists")
        .why(format!("inode {} was closed or reused after it was shown", before[row.subject()].ino))
        .into())
}
