//! Finds the connection, asks for confirmation, and closes it.

use std::io::{self, BufRead, IsTerminal};
use std::os::fd::OwnedFd;

use stoop_inspect::{Inspector, Options, OwnersWanted, Snapshot, Socket, SocketId};

use super::select::{one_connection, shown};
use crate::args::Close;
use crate::exit::Exit;
use crate::failure::{self, Failure, Outcome};
use crate::output::{print, status};
use crate::sockets::{JsonFormatter, ResolvedSelector, Row, format};

/// Closes the selected connection once it was confirmed.
pub(crate) fn run(flags: &Close) -> Outcome {
    // A question has to be seen, with the connection that it is about.
    if flags.yes {
        flags.quiet.apply();
    }
    let wanted = ResolvedSelector::new(&flags.which)?;
    let snapshot = Inspector::new(Options::default()).snapshot();
    let found = wanted.find(&snapshot);
    if found.is_empty() {
        return Err(wanted.not_found(&flags.which, &snapshot, "close"));
    }
    let row = one_connection(flags, &found, &snapshot)?;
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
        Exit::NotPermitted => {
            let report = report.why(
                "it requires permission to trace one of the two processes: as its user, or with CAP_SYS_PTRACE",
            );
            // Root that may not trace has no one to ask.
            match row.ends().next().filter(|_| !rustix::process::geteuid().is_root()) {
                Some(id) => report.next(format!("sudo stoop close inode:{}", snapshot[id].ino.0)),
                None => report,
            }
        }
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
