//! Finds live sockets that may have been meant instead of a path at which there is none: of the
//! same service, of the same file name, or in the directory that was named.
//!
//! A bound name counts only if it leads this process to that very socket: another process may see
//! other files under the name.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stoop::Address;
use stoop::diag::FileId;
use stoop::internal::{DIRECT_PATH_MAX_BYTES, responding};

use crate::endpoints;
use crate::model::{Snapshot, Socket, SocketId, State};
use crate::why::Operation;
use crate::why::facts::{Facts, FileKind, Found, Nearness};
use stoop::Kind;

/// The maximum number that is shown.
const SHOWN: usize = 3;

/// Returns the live sockets that may have been meant, if there is none at the path.
pub(super) fn find(facts: &Facts, snapshot: &Snapshot) -> Vec<(Nearness, SocketId)> {
    let Some(asked) = facts.question.address.as_pathname() else { return Vec::new() };
    let is_bind = facts.question.operation == Operation::Bind;
    if is_bind || facts.sockets.as_ref().is_some_and(|sockets| !sockets.is_empty()) {
        return Vec::new();
    }
    let like = Like::of(facts, asked);
    let serving = snapshot.iter().filter(|(_, socket)| serves(socket));
    let mut found: Vec<(Nearness, SocketId)> = serving
        .filter_map(|(id, socket)| Some((like.nearness(snapshot, id)?, id, socket)))
        .filter(|(_, _, socket)| is_reached(socket))
        .map(|(how, id, _)| (how, id))
        .collect();
    // The same service first, then by name, for the same output on every run.
    let rank = |how: &Nearness| match how {
        Nearness::SameService => 0,
        Nearness::SimilarName => 2,
        _ => 1,
    };
    found.sort_by_key(|(how, id)| (rank(how), snapshot[*id].name.to_string()));
    found.truncate(SHOWN);
    found
}

fn serves(socket: &Socket) -> bool {
    match socket.state {
        State::Listening => !socket.shutdown.0,
        State::Bound | State::Unconnected => socket.kind == Some(Kind::Datagram),
        _ => false,
    }
}

/// What a socket has to resemble.
struct Like<'a> {
    path: &'a Path,
    service: Option<&'static endpoints::Service>,
    /// The directory that was named, by device and inode.
    directory: Option<(u64, u64)>,
    /// The directory that exists and has no file of the name.
    parent: Option<(u64, u64)>,
    /// The first component that does not exist, and the directory in which it does not.
    missing: Option<((u64, u64), Vec<u8>)>,
}

impl Like<'_> {
    fn of<'a>(facts: &Facts, path: &'a Path) -> Like<'a> {
        let reached = facts.walk.as_ref().and_then(|walk| walk.reached.as_ref());
        let directory = reached.filter(|file| file.kind == FileKind::Directory).map(|file| file.id);
        let step = facts.walk.as_ref().and_then(|walk| walk.steps.last());
        let missing = step.filter(|step| matches!(step.found, Found::Nothing));
        let missing = missing.map(|step| (step.directory.id, step.name.clone()));
        let parent = step.filter(|step| step.last).and(missing.as_ref()).map(|(directory, _)| *directory);
        Like { path, service: endpoints::recognise(&facts.question.address), directory, parent, missing }
    }

    fn nearness(&self, snapshot: &Snapshot, id: SocketId) -> Option<Nearness> {
        let name = &snapshot[id].name;
        let path = name.as_pathname().filter(|path| path.is_absolute())?;
        if let Some(directory) = self.directory {
            return is_in(path, directory).then_some(Nearness::Inside);
        }
        if self.service.is_some_and(|service| is_of(service, snapshot, id, name)) {
            return Some(Nearness::SameService);
        }
        if is_truncation(path, self.path) {
            return Some(Nearness::Truncated);
        }
        if let Some((directory, missing)) = &self.missing
            && has_tail(missing, path.file_name()?.as_bytes())
            && is_in(path, *directory)
        {
            return Some(Nearness::WithTail);
        }
        let (asked, name) = (self.path.file_name()?.as_bytes(), path.file_name()?.as_bytes());
        if asked == name {
            return says_whose_it_is(name).then_some(Nearness::SameName);
        }
        let is_beside = || self.parent.is_some_and(|parent| is_in(path, parent));
        (is_similar(asked, name) && is_beside()).then_some(Nearness::SimilarName)
    }
}

/// Returns whether two file names differ in case, in what surrounds them, or in a typing error.
/// Pure.
fn is_similar(one: &[u8], other: &[u8]) -> bool {
    let plain = |name: &[u8]| -> Vec<u8> {
        let is_around = |byte: u8| byte.is_ascii_whitespace() || b"'\";,".contains(&byte);
        let start = name.iter().position(|&byte| !is_around(byte)).unwrap_or(name.len());
        let end = name.iter().rposition(|&byte| !is_around(byte)).map_or(start, |at| at + 1);
        name[start..end].to_ascii_lowercase()
    };
    let (one, other) = (plain(one), plain(other));
    one == other || distance(&one, &other) <= errors_max(stem(&one), stem(&other))
}

/// Returns the number of typing errors by which two names may differ, given what precedes their
/// endings, which are much the same for all sockets: of a short name, another one is another name.
/// Pure.
fn errors_max(one: &[u8], other: &[u8]) -> usize {
    match one.len().min(other.len()) {
        _ if one == other => 2,
        6.. => 2,
        3.. => 1,
        _ => 0,
    }
}

/// Returns a file name without its ending. Pure.
fn stem(name: &[u8]) -> &[u8] {
    name.iter().rposition(|&byte| byte == b'.').map_or(name, |dot| &name[..dot])
}

/// Returns whether a name is that of a socket with what belongs to no address behind it: white
/// space or a quotation mark, as from a file, or the options or the request of another notation.
/// Pure.
fn has_tail(asked: &[u8], name: &[u8]) -> bool {
    let is_foreign = |byte: &u8| byte.is_ascii_whitespace() || b":,;?|'\"".contains(byte);
    asked.strip_prefix(name).and_then(<[u8]>::first).is_some_and(is_foreign)
}

/// Returns how many bytes have to be inserted, deleted or replaced to make one of the other. Pure.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, left) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// Returns whether a file name says something of the program: many use names such as `app.sock`.
fn says_whose_it_is(name: &[u8]) -> bool {
    const OF_ANY: [&[u8]; 20] = [
        b"admin", b"agent", b"api", b"app", b"control", b"ctl", b"daemon", b"grpc", b"http", b"local",
        b"main", b"rpc", b"run", b"server", b"service", b"socket", b"stream", b"test", b"web", b"worker",
    ];
    let endings = [&b".sock"[..], b".socket"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(*ending)).unwrap_or(name);
    stem.len() > 2 && !OF_ANY.iter().any(|word| stem.eq_ignore_ascii_case(word))
}

/// Returns whether the socket is that of the service: at one of its addresses, or of its command
/// with a file name that ends as its own do.
fn is_of(service: &endpoints::Service, snapshot: &Snapshot, id: SocketId, name: &Address) -> bool {
    if endpoints::recognise(name).is_some_and(|other| service.is_akin(other)) {
        return true;
    }
    snapshot.processes_of(id).any(|process| service.is_run_as(&process.command))
        && name.as_pathname().is_some_and(|path| service.has_file_like(path))
}

/// Returns whether the bound path is what an address holds of the asked one, with or without a NUL
/// at its end.
fn is_truncation(bound: &Path, asked: &Path) -> bool {
    let (bound, asked) = (bound.as_os_str().as_bytes(), asked.as_os_str().as_bytes());
    let is_full = (DIRECT_PATH_MAX_BYTES - 1..=DIRECT_PATH_MAX_BYTES).contains(&bound.len());
    is_full && asked.len() > bound.len() && asked.starts_with(bound)
}

fn is_in(path: &Path, directory: (u64, u64)) -> bool {
    let parent = path.parent().and_then(|parent| responding::stat(parent).ok());
    parent.is_some_and(|parent| (parent.st_dev, parent.st_ino) == directory)
}

/// Returns whether the name of a socket leads this process to its file.
fn is_reached(socket: &Socket) -> bool {
    let stat = socket.name.as_pathname().and_then(|path| responding::stat(path).ok());
    let file = stat.map(|stat| FileId { dev: stat.st_dev, ino: stat.st_ino });
    file.zip(socket.file).is_some_and(|(file, bound)| bound.may_be(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_differ_little_are_similar() {
        for (one, other) in [
            ("app.socket", "app.sock"),
            ("App.sock", "app.sock"),
            ("app.sock ", "app.sock"),
            ("'a.s';", "a.s"),
            ("mysqld.sock", "mysql.sock"),
            ("dokcer.sock", "docker.sock"),
        ] {
            assert!(is_similar(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
        for (one, other) in [
            ("a.sock", "b12.sock"),
            ("a.s", "b.s"),
            ("app.sock", "web.sock"),
            ("", "x"),
            // Most of these names is their ending.
            ("mv.sock", "un.sock"),
            ("rm.socket", "un.socket"),
        ] {
            assert!(!is_similar(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn a_name_with_a_tail_of_another_notation() {
        for asked in ["a.sock,mode=600", "a.sock:", "a.sock:/v1", "a.sock|fcgi", "a.sock\r", "a.sock '"] {
            assert!(has_tail(asked.as_bytes(), b"a.sock"), "{asked}");
        }
        assert!(!has_tail(b"a.sock.lock", b"a.sock") && !has_tail(b"a.sock", b"a.sock"));
    }

    proptest! {
        #[test]
        fn a_distance_is_one_of_a_metric(one in "[ab]{0,6}", other in "[ab]{0,6}", third in "[ab]{0,6}") {
            let [one, other, third] = [one.as_bytes(), other.as_bytes(), third.as_bytes()];
            prop_assert_eq!(distance(one, other) == 0, one == other);
            prop_assert_eq!(distance(one, other), distance(other, one));
            prop_assert!(distance(one, third) <= distance(one, other) + distance(other, third));
            prop_assert!(distance(one, other) <= one.len().max(other.len()));
        }
    }

    #[test]
    fn names_that_any_program_uses_say_nothing() {
        for name in ["s", "app.sock", "API.sock", "socket", "x.sock", ".", "server"] {
            assert!(!says_whose_it_is(name.as_bytes()), "{name}");
        }
        for name in ["mysqld.sock", "php8.2-fpm.sock", ".s.PGSQL.5432", "docker.sock", "csi.sock"] {
            assert!(says_whose_it_is(name.as_bytes()), "{name}");
        }
    }
}
