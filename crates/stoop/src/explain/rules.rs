//! Rules from an error to its cause: one function for each class. Each inspects no more than it
//! needs.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

use super::path::{Lookup, kind_of, look_up, may_write, permissions, quoted};
use super::{Explanation, shell, users};
use crate::bind::{is_alive, staging_path};
use crate::diag::{self, Entry, FileId};
use crate::error::{Error, ErrorKind, Operation};
use crate::owner::{Holder, command_of, owner_of};
use crate::{Address, Kind};

pub(super) fn explain(error: &Error) -> Explanation {
    let Some(address) = error.subject() else { return without_address(error) };
    match (error.operation(), error.kind()) {
        (_, ErrorKind::InvalidAddress) => invalid_address(error),
        (Operation::Bind, ErrorKind::AddressInUse) => taken(error, address),
        (Operation::Bind, ErrorKind::NotFound) => no_directory(address),
        // Without an errno it was this crate that refused, not the kernel.
        (Operation::Bind | Operation::Release, ErrorKind::NotPermitted | ErrorKind::TimedOut)
            if error.errno().is_none() =>
        {
            staging(address).unwrap_or_else(|| without_address(error))
        }
        (Operation::Bind, ErrorKind::PermissionDenied) => may_not_bind(address),
        (_, ErrorKind::NotFound) => not_found(address),
        (_, ErrorKind::Refused) => refused(error, address),
        (_, ErrorKind::WrongKind) => wrong_kind(error, address),
        (_, ErrorKind::PermissionDenied) => may_not_connect(address),
        (Operation::Connect, ErrorKind::TimedOut | ErrorKind::WouldBlock) => backlog_full(address),
        // Without an errno it was this crate that refused, and its detail says why.
        (Operation::Send, ErrorKind::NotPermitted) if error.errno().is_none() => without_address(error),
        (Operation::Connect | Operation::Send, ErrorKind::NotPermitted) => not_permitted(address),
        (Operation::Send, ErrorKind::WouldBlock) => queue_full(address),
        _ => without_address(error),
    }
}

/// Explains the classes that need no address.
fn without_address(error: &Error) -> Explanation {
    let because = |why: &str| Explanation::because(why);
    match error.kind() {
        ErrorKind::MessageTooLarge => because("one message must fit into the sender's send buffer")
            .next("cat /proc/sys/net/core/wmem_max    # the largest send buffer that a program may set; or use a stream socket"),
        ErrorKind::MessageTruncated => because("the receiver's buffer was smaller than the message"),
        ErrorKind::NotConnected => because("the socket has no peer: it was never connected, or its peer has closed"),
        ErrorKind::PeerGone if error.errno() == Some(libc::ECONNRESET) => {
            because("the peer closed or exited before it had read everything we sent, or its server closed before accepting us")
        }
        ErrorKind::PeerGone => because("the peer closed the connection, exited, or was shut down for reading"),
        ErrorKind::OutOfDescriptors => because("no file descriptor is free in this process or on this machine")
            .next("ulimit -n    # the limit of this shell; raise it with: ulimit -n 65536"),
        ErrorKind::TooManyInFlight => {
            because("this user has too many file descriptors in flight, in messages that were not received yet")
        }
        ErrorKind::NotPermitted => {
            because(error.detail().unwrap_or("the kernel does not permit it"))
                .seen(format!("we are {}", users::ourselves()))
        }
        ErrorKind::InvalidAddress => invalid_address(error),
        _ => error.detail().map_or_else(|| because(&error.to_string()), because),
    }
}

fn invalid_address(error: &Error) -> Explanation {
    Explanation::because(error.detail().unwrap_or("this is not the address of a Unix socket"))
        .next("stoop --help    # how addresses are written")
}

fn taken(error: &Error, address: &Address) -> Explanation {
    let at = shell::address(address);
    let Some(holder) = Holder::find(address, error.socket_kind()) else {
        let explanation =
            Explanation::because("only a stale socket file that we own is replaced by a server");
        let Some(path) = address.as_path() else { return explanation };
        return explanation.seen(permissions(path)).next(format!("ls -ld {}", shell::path(path)));
    };
    let explanation = Explanation::because("a live server has that address").seen(holder.to_string());
    let explanation = explanation.next(format!("stoop connect {at}    # talk to it"));
    match address.as_path() {
        Some(_) => explanation
            .next(format!("stoop serve {at} --replace    # take the name over, refusing no client")),
        None => explanation,
    }
}

/// Explains that the private directory next to the socket cannot be used.
fn staging(address: &Address) -> Option<Explanation> {
    let directory = staging_path(&std::path::absolute(address.as_path()?).ok()?)?;
    directory.symlink_metadata().ok()?;
    let why = format!(
        "a file that has the name is removed or replaced through the private directory {}, which must be owned by us and closed to others",
        quoted(&directory)
    );
    let explanation = Explanation::because(why).seen(permissions(&directory));
    Some(explanation.seen(format!("we are {}", users::ourselves())).next(format!(
        "ls -ldn {}    # its owner; it can be moved away while no process of that user starts or stops a server here",
        shell::path(&directory)
    )))
}

/// Explains a lookup that stopped before its end; `None` if it reached the end.
fn stopped(lookup: &Lookup) -> Option<Explanation> {
    let because = Explanation::because;
    Some(match lookup {
        Lookup::Found(_) => return None,
        Lookup::Missing(path) => because(format!("the directory {} does not exist", quoted(path)))
            .next(format!("mkdir -p {}", shell::path(path))),
        Lookup::Dangling(path) => {
            because(format!("{} is a symbolic link whose target does not exist", quoted(path)))
                .next(format!("readlink -f {}", shell::path(path)))
        }
        Lookup::NotADirectory(path) => because(format!("{} is not a directory", quoted(path)))
            .next(format!("ls -ld {}", shell::path(path))),
        Lookup::NoSearch(path) => {
            because(format!("the directory {} may not be searched by us", quoted(path)))
                .seen(permissions(path))
                .seen(format!("we are {}", users::ourselves()))
                .next(format!(
                    "namei -l {}    # every component's permissions; 'x' is what is missing",
                    shell::path(path)
                ))
        }
        Lookup::Other(path, errno) => because(format!("{} cannot be looked up: {errno}", quoted(path))),
    })
}

fn not_found(address: &Address) -> Explanation {
    let Some(path) = address.as_path() else { return no_longer_reproducible(address) };
    let lookup = look_up(path);
    if let Lookup::Missing(missing) = &lookup
        && std::path::absolute(path).is_ok_and(|path| path == *missing)
    {
        return missing_file(address, path);
    }
    stopped(&lookup).unwrap_or_else(|| no_longer_reproducible(address))
}

fn missing_file(address: &Address, path: &Path) -> Explanation {
    let at = shell::address(address);
    // Compared as bytes: Rust considers paths equal if their components are, regardless of slashes.
    let is_bound =
        |socket: &Entry| socket.name.as_path().is_some_and(|name| name.as_os_str() == path.as_os_str());
    let orphan = diag::all()
        .into_iter()
        .find(|socket| is_bound(socket) && (socket.is_listening || matches!(socket.peer, None | Some(0))));
    if let Some(orphan) = orphan.filter(|socket| socket.file.is_some()) {
        return Explanation::because(
            "its server is running, but the socket file was removed: no client can reach it",
        )
        .seen(owner_text(&orphan))
        .next("# restart that server: it creates a new socket file".to_string());
    }
    Explanation::because("no server has created this file: none was started, or it has exited and removed it")
        .seen(format!(
            "the directory exists and has no entry {}",
            quoted(path.file_name().map_or(path, Path::new))
        ))
        .next(format!("stoop serve {at}    # start one"))
        .next(format!("stoop connect {at} --wait 10s    # or wait until one starts"))
}

fn refused(error: &Error, address: &Address) -> Explanation {
    match address.as_path() {
        Some(path) => refused_path(address, path),
        None => refused_name(error, address),
    }
}

fn refused_path(address: &Address, path: &Path) -> Explanation {
    let at = shell::address(address);
    let lookup = look_up(path);
    let Lookup::Found(stat) = lookup else {
        return stopped(&lookup).unwrap_or_else(|| no_longer_reproducible(address));
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Explanation::because(format!("it is {}, not a socket", kind_of(&stat)))
            .seen(permissions(path))
            .next(format!("ls -ld {}", shell::path(path)));
    }
    let alive = open_path(path).and_then(|file| is_alive(&file).ok());
    let bound = diag::bound_to(FileId::of(&stat));
    match (alive, bound.first()) {
        (Some(false), _) => Explanation::because("the socket file is stale: no socket is bound to it")
            .seen(format!("no socket in the kernel's table is bound to {}", inode(&stat)))
            .next(format!("stoop serve {at}    # replaces a stale socket safely")),
        (_, Some(socket)) if socket.shutdown & 1 != 0 => {
            Explanation::because("its server has shut down the listener and accepts no more clients")
                .seen(owner_text(socket))
        }
        (_, Some(socket)) if socket.kind.is_some_and(Kind::is_connected) && !socket.is_listening => {
            Explanation::because("a process has bound the socket, but does not listen on it (yet)")
                .seen(owner_text(socket))
                .next(format!("stoop connect {at} --wait 10s    # wait until it listens"))
        }
        (Some(true), None) => Explanation::because(
            "a process in another network namespace has bound the socket, but does not listen on it",
        )
        .seen(format!("a socket is bound to {}, and not one of this network namespace", inode(&stat))),
        _ => no_longer_reproducible(address),
    }
}

fn refused_name(error: &Error, address: &Address) -> Explanation {
    let at = shell::address(address);
    let name = address.as_abstract().unwrap_or_default();
    if let Some(other) = diag::named(name).first() {
        return match other.kind {
            Some(kind) if Some(kind) != error.socket_kind() => Explanation::because(format!(
                "that name belongs to a {kind} socket; abstract names are looked up by kind"
            ))
            .seen(owner_text(other))
            .next(format!("stoop connect {}:{at}", kind.word())),
            _ => Explanation::because("a process has bound the socket, but does not listen on it (yet)")
                .seen(owner_text(other)),
        };
    }
    let explanation = Explanation::because("no socket in this network namespace has that abstract name");
    let trimmed = |name: &[u8]| name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let near = diag::all().into_iter().find(|socket| {
        socket.name.as_abstract().is_some_and(|other| other[..trimmed(other)] == name[..trimmed(name)])
    });
    match near {
        Some(near) => {
            let near = near.name;
            explanation
                .seen(format!("'{near}' differs only in trailing NUL bytes, which are significant"))
                .next(format!("stoop connect {near}"))
        }
        None => explanation.next(format!("stoop serve {at}    # start a server there")),
    }
}

fn wrong_kind(error: &Error, address: &Address) -> Explanation {
    let asked = error.socket_kind().map_or("this", |kind| match kind {
        Kind::Stream => "a stream",
        Kind::Datagram => "a datagram",
        Kind::SeqPacket => "a seqpacket",
    });
    let found = address
        .as_path()
        .and_then(|path| rustix::fs::stat(path).ok())
        .map(|stat| diag::bound_to(FileId::of(&stat)))
        .and_then(|bound| bound.into_iter().next());
    let Some((found, kind)) = found.and_then(|socket| socket.kind.map(|kind| (socket, kind))) else {
        return Explanation::because(format!("the socket there is of another kind than {asked} socket"))
            .next(format!("stoop connect {}    # finds the kind by itself", shell::address(address)));
    };
    Explanation::because(format!(
        "the socket there is a {kind} socket, and this was tried with {asked} socket"
    ))
    .seen(owner_text(&found))
    .next(format!("stoop connect {} --kind {}", shell::address(address), kind.word()))
}

fn may_not_connect(address: &Address) -> Explanation {
    let Some(path) = address.as_path() else { return no_longer_reproducible(address) };
    let lookup = look_up(path);
    if let Some(explanation) = stopped(&lookup) {
        return explanation;
    }
    if may_write(path) {
        return no_longer_reproducible(address);
    }
    Explanation::because("connecting requires write permission on the socket, which we lack")
        .seen(permissions(path))
        .seen(format!("we are {}", users::ourselves()))
        .next(format!(
            "stoop serve {} --mode 660 --group GROUP    # the server decides: this allows a group of users",
            shell::address(address)
        ))
}

fn may_not_bind(address: &Address) -> Explanation {
    let Some(path) = address.as_path() else { return no_longer_reproducible(address) };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    // If directories had to be created on the way, the last existing one denies permission.
    let directory = parent.ancestors().find(|directory| directory.is_dir()).unwrap_or(parent);
    let lookup = look_up(parent);
    if let Lookup::NoSearch(_) | Lookup::NotADirectory(_) = lookup {
        return stopped(&lookup).unwrap_or_default();
    }
    if may_write(directory) {
        return Explanation::because(
            "the directory is writable, but we may not change the file that has the name",
        )
        .seen(permissions(&absolute))
        .seen(format!("we are {}", users::ourselves()));
    }
    Explanation::because(format!(
        "creating {} requires write permission on the directory {}",
        if directory == parent { "a socket" } else { "a directory" },
        quoted(directory)
    ))
    .seen(permissions(directory))
    .seen(format!("we are {}", users::ourselves()))
    .next("stoop serve \"$XDG_RUNTIME_DIR/app.sock\"    # a directory that is private to us".to_string())
}

fn no_directory(address: &Address) -> Explanation {
    let Some(path) = address.as_path() else { return no_longer_reproducible(address) };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = absolute.parent().unwrap_or(Path::new("/"));
    let lookup = match look_up(parent) {
        Lookup::Found(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
            Lookup::NotADirectory(parent.to_owned())
        }
        lookup => lookup,
    };
    stopped(&lookup).unwrap_or_else(|| {
        Explanation::because("the cause no longer exists, or is not visible from here")
            .next(format!("stoop serve {}    # try again", shell::address(address)))
    })
}

fn backlog_full(address: &Address) -> Explanation {
    let Some(listener) = bound(address) else { return no_longer_reproducible(address) };
    let (waiting, limit) = listener.queue.unwrap_or_default();
    let clients = if waiting == 1 { "1 client waits".to_owned() } else { format!("{waiting} clients wait") };
    Explanation::because(
        "the server's backlog is full: it does not accept its clients fast enough, or not at all",
    )
    .seen(owner_text(&listener))
    .seen(format!("{clients}; the limit is {limit}, and the kernel allows one more"))
    .seen(process_state(&listener))
}

fn queue_full(address: &Address) -> Explanation {
    let explanation =
        Explanation::because("the receiver's queue is full: it does not read its messages fast enough")
            .next("cat /proc/sys/net/unix/max_dgram_qlen    # messages that may wait, and one more");
    match bound(address) {
        Some(receiver) => explanation.seen(owner_text(&receiver)).seen(process_state(&receiver)),
        None => explanation,
    }
}

fn not_permitted(address: &Address) -> Explanation {
    match bound(address) {
        Some(receiver) if !matches!(receiver.peer, None | Some(0)) => {
            Explanation::because("the receiver is connected to another peer and receives only from that peer")
                .seen(owner_text(&receiver))
        }
        receiver => {
            let explanation = Explanation::because(
                "the receiver accepts no file descriptors, we may not send these credentials, or a security module forbids it",
            );
            let seen = receiver.map(|receiver| owner_text(&receiver));
            seen.into_iter()
                .fold(explanation, Explanation::seen)
                .seen(format!("we are {}", users::ourselves()))
        }
    }
}

/// Explains an error whose cause no longer exists.
fn no_longer_reproducible(address: &Address) -> Explanation {
    Explanation::because("the cause no longer exists, or is not visible from here")
        .next(format!("stoop connect {}    # try again", shell::address(address)))
}

/// Returns the socket that is bound to this address now, if it is in the table.
fn bound(address: &Address) -> Option<Entry> {
    let found = match address.as_path() {
        Some(path) => diag::bound_to(FileId::of(&rustix::fs::stat(path).ok()?)),
        None => diag::named(address.as_abstract()?),
    };
    // Accepted sockets have the name and file of their listener, so prefer the listener.
    let listener = found.iter().position(|socket| socket.is_listening).unwrap_or(0);
    found.into_iter().nth(listener)
}

fn owner_text(socket: &Entry) -> String {
    Holder::of(socket).to_string()
}

/// Describes the state of the process that owns a socket: whether it can run at all.
fn process_state(socket: &Entry) -> String {
    let Some(pid) = owner_of(socket.ino) else { return "its owner is not visible from here".into() };
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()));
    let name = command_of(pid).unwrap_or_default();
    let name = crate::escaped(&name);
    match state {
        Some('T' | 't') => format!("process {pid} ({name}) is stopped; continue it with: kill -CONT {pid}"),
        Some('Z') => format!("process {pid} ({name}) has exited and was not reaped yet"),
        Some('D') => format!("process {pid} ({name}) is in an uninterruptible wait"),
        _ => format!("process {pid} ({name}) runs"),
    }
}

fn open_path(path: &Path) -> Option<std::os::fd::OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn inode(stat: &Stat) -> String {
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    format!("device {major}:{minor} inode {}", stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bind, Connect, Stream};
    use std::time::Duration;

    fn why(error: Error) -> String {
        error.explain().why
    }

    #[test]
    fn connect_by_cause() {
        let directory = stoop_testkit::tempdir();
        let path = |name: &str| directory.path().join(name);
        let connect = |name: &str| Stream::connect(path(name)).unwrap_err();
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("gone"), path("link")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("stale")).unwrap());
        let _datagram = Bind::new(path("dgram")).datagram().unwrap();

        assert!(why(connect("none")).starts_with("no server has created this file"));
        assert!(why(connect("no/where")).contains("/no' does not exist"));
        assert!(why(connect("file/x")).contains("/file' is not a directory"));
        assert!(why(connect("dgram/")).contains("/dgram' is not a directory"));
        assert!(why(connect("link")).contains("symbolic link"));
        assert_eq!(why(connect("file")), "it is a regular file, not a socket");
        assert!(why(connect("stale")).starts_with("the socket file is stale"));
        let wrong = connect("dgram").explain();
        assert!(
            wrong.why.contains("is a datagram socket, and this was tried with a stream socket"),
            "{wrong:?}"
        );
        assert!(wrong.next[0].ends_with("--kind dgram"));
    }

    #[test]
    fn a_removed_file_with_a_live_server_is_detected() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let _listener = Bind::new(&path).listen().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(
            why(Stream::connect(&path).unwrap_err())
                .starts_with("its server is running, but the socket file was removed")
        );
    }

    #[test]
    fn a_full_backlog_is_counted() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let _listener = Bind::new(&path).backlog(0).listen().unwrap();
        let _waiting = Stream::connect(&path).unwrap();
        let error = Connect::new(&path).timeout(Duration::from_millis(20)).stream().unwrap_err();
        assert!(error.is_timed_out());
        let explanation = error.explain();
        assert!(
            explanation.seen.iter().any(|line| line.starts_with("1 client waits; the limit is 0")),
            "{explanation:?}"
        );
    }

    #[test]
    fn abstract_names_by_cause() {
        let name = format!("stoop-explain-{}", std::process::id());
        let _server = Bind::new(Address::abstract_name(name.clone()).unwrap()).datagram().unwrap();
        let connect =
            |name: &str| Stream::connect(Address::abstract_name(name).unwrap()).unwrap_err().explain();
        assert!(connect(&name).why.starts_with("that name belongs to a datagram socket"));
        assert!(connect(&format!("{name}\0")).seen[0].contains("differs only in trailing NUL bytes"));
        assert!(connect(&format!("{name}x")).why.starts_with("no socket in this network namespace"));
    }

    #[test]
    fn bind_by_cause() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let _listener = Bind::new(&path).listen().unwrap();
        let taken = Bind::new(&path).listen().unwrap_err().explain();
        assert_eq!(taken.why, "a live server has that address");
        assert!(taken.next.iter().any(|command| command.contains("--replace")));
        let missing = Bind::new(directory.path().join("no/app.sock")).listen().unwrap_err();
        assert!(why(missing).contains("/no' does not exist"));
        std::fs::write(directory.path().join("file"), "").unwrap();
        let inside = Bind::new(directory.path().join("file/app.sock")).listen().unwrap_err();
        assert!(why(inside).ends_with("/file' is not a directory"));
    }

    #[test]
    fn a_refused_send_by_cause() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let receiver = Bind::new(&path).datagram().unwrap();
        let partner = crate::Datagram::unbound().unwrap();
        receiver.connect_to(partner.local_addr().unwrap()).unwrap();
        let elsewhere = crate::Datagram::connect(&path).unwrap_err();
        assert!(why(elsewhere).starts_with("the receiver is connected to another peer"));
    }
}
