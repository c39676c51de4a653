//! Which sockets to capture.

use std::os::unix::ffi::OsStrExt;

use stoop::{Address, Kind};
use stoop_inspect::{Snapshot, Socket, SocketId, State};
use stoop_tap::{Key, Tap, names_of};

use super::kernel_keys::keys;
use crate::args::{Selection, SocketSelector};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sockets::{Filter, format, rows};

/// Returns whether nothing was selected: then everything is meant.
pub(crate) fn is_everything(selection: &Selection) -> bool {
    let words = [selection.user.len(), selection.pid.len(), selection.netns.len(), selection.which.len()];
    let patterns =
        [selection.command.len(), selection.container.len(), selection.unit.len(), selection.peer.len()];
    let globs = [selection.name.len(), selection.service.len()];
    words.iter().chain(&patterns).chain(&globs).sum::<usize>() == 0 && selection.kind.kind.is_none()
}

/// Tells the kernel which sockets are meant, and returns those that there are now.
pub(super) fn select(
    tap: &Tap,
    selection: &Selection,
    snapshot: &Snapshot,
) -> Result<Vec<SocketId>, Failure> {
    let failed = |error| Failure::io("select sockets in the kernel", &error);
    for cookie in snapshot.sockets.iter().filter(|socket| is_own(socket)).filter_map(|socket| socket.cookie) {
        tap.exclude(Key::Cookie(cookie)).map_err(failed)?;
    }
    if is_everything(selection) {
        return Ok(snapshot.iter().map(|(id, _)| id).collect());
    }
    let keys = keys(selection);
    for key in &keys {
        tap.want(*key).map_err(failed)?;
    }
    let chosen = chosen(selection, snapshot, !keys.is_empty())?;
    let processes = selection.which.iter().filter_map(|which| match which {
        SocketSelector::Pid(pid) => Some(*pid),
        _ => None,
    });
    for pid in processes.chain(selection.pid.iter().copied()) {
        tap.want(Key::Process(pid)).map_err(failed)?;
    }
    for cookie in chosen.iter().filter_map(|id| snapshot[*id].cookie) {
        tap.want(Key::Cookie(cookie)).map_err(failed)?;
    }
    let named: Vec<u32> = chosen
        .iter()
        .map(|id| &snapshot[*id])
        .filter(|socket| has_clients(socket))
        .map(|socket| socket.ino.0)
        .collect();
    if !named.is_empty() {
        for name in names_of(&named).map_err(failed)? {
            tap.want(Key::Name(name)).map_err(failed)?;
        }
    }
    Ok(chosen)
}

/// Returns the sockets that are selected now. There may be none if later ones are.
fn chosen(selection: &Selection, snapshot: &Snapshot, may_be_none: bool) -> Result<Vec<SocketId>, Failure> {
    let mut filter = Filter::new(selection)?;
    filter.prepare(snapshot);
    filter.check(snapshot)?;
    let matching = rows(snapshot).into_iter().filter(|row| filter.matches(snapshot, row));
    let mut chosen: Vec<SocketId> = matching.flat_map(|row| row.ends().collect::<Vec<_>>()).collect();
    chosen.sort_unstable_by_key(|id| snapshot[*id].ino);
    chosen.dedup();
    if chosen.is_empty() && !may_be_none {
        let seen = format!("{} on this machine", format::plural(snapshot.sockets.len(), "socket"));
        return Err(Failure::new(Exit::No, "no socket matches")
            .why("only sockets that exist can be selected")
            .seen(seen)
            .next("stoop ls    # which sockets there are")
            .into());
    }
    Ok(chosen)
}

/// Says which listeners have a selected name in the other form, path or abstract name: an X server
/// has both, and its clients prefer the abstract one.
pub(super) fn others_of_that_name(snapshot: &Snapshot, selected: &[SocketId]) -> String {
    let listeners = || snapshot.iter().filter(|(_, socket)| socket.state == State::Listening);
    let (mine, others): (Vec<_>, Vec<_>) = listeners().partition(|(id, _)| selected.contains(id));
    let is_pair =
        |one: &Socket, other: &Socket| is_other_form(&one.name, &other.name) && is_of_one(one, other);
    let note = |other: &Socket| {
        let name = &other.name;
        format!("stoop: its server also listens at '{name}', which 'stoop tap {name}' captures\n")
    };
    let found = others.iter().filter(|(_, other)| mine.iter().any(|(_, one)| is_pair(one, other)));
    found.map(|(_, other)| note(other)).collect()
}

/// Returns whether one process has both.
fn is_of_one(one: &Socket, other: &Socket) -> bool {
    let has_too = |pid| other.owners.iter().any(|owner| owner.pid == pid);
    one.owners.iter().any(|owner| has_too(owner.pid))
}

/// Returns whether one is a path, and the other the abstract name with the same text.
fn is_other_form(one: &Address, other: &Address) -> bool {
    let (path, name) = if one.as_pathname().is_some() { (one, other) } else { (other, one) };
    let path = path.as_pathname().map(|path| path.as_os_str().as_bytes());
    path.is_some() && path == name.as_abstract_name()
}

/// Returns whether other sockets have the name of this one: a listener, or a receiver of datagrams.
fn has_clients(socket: &Socket) -> bool {
    socket.state == State::Listening || socket.kind == Some(Kind::Datagram) && !socket.name.is_unnamed()
}

/// Returns whether this process has the socket: its own output would be captured without end.
fn is_own(socket: &Socket) -> bool {
    socket.owners.iter().any(|owner| owner.pid.0 == std::process::id())
}
