//! Finds the sockets at an address, their owners, and others that may have been meant instead.
//!
//! The kernel's tables list most of it. What they do not list, or only for a namespace that cannot
//! be entered, is determined by probing the socket itself in ways that it does not notice. A
//! datagram socket that connects to a socket of another kind fails harmlessly ([K-PROBE-2]). So
//! does a second connect on a stream that is already connected, whose error comes last of all
//! ([K-PROBE-8]).
//!
//! [K-PROBE-2]: stoop::kernel_facts#K-PROBE-2
//! [K-PROBE-8]: stoop::kernel_facts#K-PROBE-8

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use stoop::diag::FileId;
use stoop::internal::{Elsewhere as Found, responding};
use stoop::{Address, Kind};

use super::subject::SubjectContext;
use super::{elsewhere, other_server, owner};
use crate::file_location::FileLocator;
use crate::free_descriptors;
use crate::hindrance::hindrance;
use crate::model::{Pid, Queue, Snapshot, Socket, SocketId, State, What};
use crate::why::facts::{
    Endpoint, EndpointState, Facts, FileKind, Found as Lookup, Near, Nearness, OtherServer, Owner,
};
use crate::why::{Operation, Question, Who};
use crate::{Inspector, Options};

/// The maximum number of similar names that are shown.
const ALIKE_SHOWN: usize = 3;

/// Fills in what can be determined about the sockets. `reached` is the file that the path led to.
///
/// # Errors
/// Returns an error if this process had no file descriptor left for it.
pub(super) fn inspect(
    facts: &mut Facts,
    context: &SubjectContext,
    reached: Option<OwnedFd>,
) -> io::Result<()> {
    let path =
        |fd: OwnedFd| Some((SocketAddrUnix::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?, fd));
    let reached = reached.filter(|_| file_of(facts).is_some()).and_then(path);
    // A filter that answers in the kernel's place says nothing about a server.
    let asks = facts.security.refusal.is_none();
    facts.alive = reached.as_ref().filter(|_| asks).and_then(|(target, _open)| is_alive(target));
    // The tables of other namespaces take a while to read, and usually the own one has the answer.
    let mut inspector = inspector(context);
    let mut snapshot = inspector.snapshot();
    if !is_enough(facts, context, &snapshot) {
        inspector.widen();
        snapshot = inspector.snapshot();
    }
    // Each namespace takes one for its table.
    let lack = snapshot.missing.iter().find(|missing| free_descriptors::is_lack(missing.errno));
    if let Some(errno) = lack.and_then(|missing| missing.errno) {
        return Err(io::Error::from_raw_os_error(errno));
    }
    let hides = |what: &What| matches!(what, What::Namespaces(_) | What::Table(_));
    facts.hidden_networks = snapshot.missing.iter().any(|missing| hides(&missing.what));
    match facts.question.address.as_abstract_name() {
        Some(name) => {
            let name = name.to_vec();
            by_name(facts, context, &snapshot, &name);
        }
        None => {
            by_file(facts, context, &snapshot, reached.as_ref().map(|(target, _open)| target));
            if let Some((_, file)) = reached.as_ref().filter(|_| asks && has_no_server(facts)) {
                let found = other_server::find(context, file);
                facts.other_server = with_sockets(found, &snapshot);
            }
        }
    }
    Ok(())
}

/// Returns whether no socket is bound to the file by the path that led to it, as far as is known.
fn has_no_server(facts: &Facts) -> bool {
    let is_served = |socket: &Endpoint| socket.state != EndpointState::Accepted;
    facts.alive != Some(true) && !facts.sockets.iter().flatten().any(is_served)
}

/// Adds the sockets to the path that they are bound to.
fn with_sockets(found: Found, snapshot: &Snapshot) -> OtherServer {
    match found {
        Found::Nowhere => OtherServer::Nowhere,
        Found::Possible(doubt) => OtherServer::Possible(doubt),
        Found::Bound(path) => {
            let file = responding::lstat(&path).ok();
            let file = file.map(|stat| FileId { dev: stat.st_dev, ino: stat.st_ino });
            let bound = file.map_or(Vec::new(), |file| bound_to(snapshot, file));
            let sockets = bound.into_iter().map(|id| endpoint(snapshot, id, Some(true)));
            let sockets: Vec<_> = sockets.filter(|it| it.state != EndpointState::Accepted).collect();
            OtherServer::Bound { path, sockets: (!sockets.is_empty()).then_some(sockets) }
        }
    }
}

/// Returns the id of the socket file that the path led to.
fn file_of(facts: &Facts) -> Option<FileId> {
    let file = facts.walk.as_ref()?.reached.as_ref().filter(|file| file.kind == FileKind::Socket)?;
    Some(FileId { dev: file.id.0, ino: file.id.1 })
}

/// Returns an inspector of the subject's network namespace and of the own one.
fn inspector(context: &SubjectContext) -> Inspector {
    let options =
        Options { process_states: true, workloads: false, all_namespaces: false, ..Options::default() };
    match context.network {
        Some(ino) => Inspector::new(options).also_in(ino, format!("{}/ns/net", context.proc).into()),
        None => Inspector::new(options),
    }
}

/// Returns whether other namespaces have nothing to add.
fn is_enough(facts: &Facts, context: &SubjectContext, snapshot: &Snapshot) -> bool {
    let Question { address, kind, .. } = &facts.question;
    let is_it = |(id, socket): (SocketId, &Socket)| {
        Some(socket.namespace) == context.network
            && socket.name == *address
            && kind.is_none_or(|kind| socket.kind == Some(kind))
            && endpoint(snapshot, id, None).state != EndpointState::Accepted
    };
    match file_of(facts) {
        Some(file) => facts.alive == Some(false) || !bound_to(snapshot, file).is_empty(),
        None => snapshot.iter().any(is_it),
    }
}

fn by_file(
    facts: &mut Facts,
    context: &SubjectContext,
    snapshot: &Snapshot,
    target: Option<&SocketAddrUnix>,
) {
    let file = file_of(facts);
    if let (Some(file), Some(target)) = (file, target) {
        let bound = bound_to(snapshot, file);
        facts.sockets = match (bound.is_empty(), facts.alive) {
            (false, alive) => {
                let bound = bound.into_iter().map(|id| endpoint(snapshot, id, alive));
                // If the kernel finds no bound socket, the one with the same inode is bound to
                // another file, for example in a lower layer of an overlay.
                let is_it = |it: &Endpoint| alive != Some(false) || it.state == EndpointState::Accepted;
                Some(bound.filter(is_it).collect())
            }
            (true, Some(true)) => query(target).map(|socket| vec![socket]),
            (true, Some(false)) => Some(Vec::new()),
            (true, None) => is_whole(snapshot).then(Vec::new),
        };
        let receivers = facts.sockets.iter_mut().flatten();
        let mut receivers = receivers.filter(|socket| socket.kind == Some(Kind::Datagram)).peekable();
        if facts.question.operation != Operation::Bind && receivers.peek().is_some() {
            let full = datagram().and_then(|socket| is_full(socket, target));
            receivers.for_each(|socket| socket.queue_full = full);
        }
    }
    near_files(facts, context, snapshot, file);
    let near = |(how, id): (Nearness, SocketId)| Near {
        how,
        address: snapshot[id].name.clone(),
        socket: endpoint(snapshot, id, Some(true)),
    };
    facts.near.extend(elsewhere::find(facts, snapshot).into_iter().map(near));
}

/// Returns whether every table was read. Only then is a socket that no table lists known not to
/// exist.
fn is_whole(snapshot: &Snapshot) -> bool {
    let hides = |what: &What| {
        matches!(what, What::Table(_) | What::Unsteady(_) | What::Namespaces(_) | What::Sockets(_))
    };
    !snapshot.missing.iter().any(|missing| hides(&missing.what))
}

/// Returns the sockets bound to this file. On some file systems the table has a device other than
/// the one `stat` returns. If any socket has the same device, only such sockets count.
fn bound_to(snapshot: &Snapshot, file: FileId) -> Vec<SocketId> {
    let may_be = |socket: &Socket| socket.file.filter(|bound| bound.may_be(file));
    let same: Vec<(SocketId, FileId)> =
        snapshot.iter().filter_map(|(id, socket)| Some((id, may_be(socket)?))).collect();
    let exact = same.iter().any(|(_, bound)| bound.dev == file.dev);
    same.into_iter().filter(|(_, bound)| !exact || bound.dev == file.dev).map(|(id, _)| id).collect()
}

fn endpoint(snapshot: &Snapshot, id: SocketId, alive: Option<bool>) -> Endpoint {
    let socket = &snapshot[id];
    let state = state(snapshot, socket, alive);
    Endpoint {
        inode: socket.ino.0,
        kind: socket.kind,
        state,
        is_bound_itself: socket.is_bound_itself,
        shut_down: socket.shutdown.0,
        backlog: match socket.queue {
            Some(Queue::Backlog { waiting, limit }) => Some((waiting, limit)),
            _ => None,
        },
        queue_full: None,
        messages: socket.messages,
        owners: owners(snapshot, id, state),
        listened: (state == EndpointState::Listening).then(|| listened(snapshot, id)).flatten(),
        server: server(snapshot, socket),
    }
}

/// Returns the address of the server that a client is connected to, or waits for: that of the
/// socket at the other end, if it leads this process to the same file.
fn server(snapshot: &Snapshot, client: &Socket) -> Option<Address> {
    let other = &snapshot[client.peer.or(client.waits_for)?];
    match other.name.as_pathname() {
        Some(path) => {
            let file = responding::stat(path).ok()?;
            let is_there = other.file?.may_be(FileId { dev: file.st_dev, ino: file.st_ino });
            is_there.then(|| other.name.clone())
        }
        None => other.name.as_abstract_name().map(|_| other.name.clone()),
    }
}

/// Returns the socket's state. An accepted socket keeps its listener's name indefinitely, and is
/// not the one that a lookup finds.
fn state(snapshot: &Snapshot, socket: &Socket, alive: Option<bool>) -> EndpointState {
    match (socket.state, socket.kind) {
        (State::Listening, _) => EndpointState::Listening,
        (State::Bound | State::Unconnected, _) => EndpointState::Bound,
        (State::Connected | State::PeerClosed, Some(Kind::Datagram)) => EndpointState::Connected,
        (State::Waiting, _) => EndpointState::Connected,
        _ if socket.is_bound_itself == Some(true) => EndpointState::Connected,
        (State::Connected | State::PeerClosed, _) => {
            let peer = socket.peer.map(|peer| &snapshot[peer]);
            let came_to_a_listener =
                peer.is_some_and(|peer| peer.may_be_from().is_some() || !peer.name.is_unnamed());
            match socket.may_be_from().is_none() && came_to_a_listener && alive != Some(false) {
                true => EndpointState::Connected,
                false => EndpointState::Accepted,
            }
        }
    }
}

/// Returns the owners of a socket. Those of accepted sockets, of which there may be thousands, are
/// not examined further: no call reaches them.
fn owners(snapshot: &Snapshot, id: SocketId, state: EndpointState) -> Option<Vec<Owner>> {
    let is_reached = state != EndpointState::Accepted;
    let owner = |process: &crate::Process| Owner {
        hindrance: is_reached.then(|| hindrance(process.pid.0)).flatten(),
        clients: if is_reached { clients_of(snapshot, id, process.pid) } else { 0 },
        ..owner::of(process)
    };
    let owners: Vec<Owner> = snapshot.processes_of(id).map(owner).collect();
    // In a pid namespace, a process outside may have it.
    let hides = |what: &What| matches!(what, What::Descriptors(_) | What::Processes);
    let hidden = snapshot.missing.iter().any(|missing| hides(&missing.what));
    (!owners.is_empty() || !hidden).then_some(owners)
}

/// Returns the process that called `listen`, if it no longer has the socket open. The kernel only
/// tells through a file descriptor of the socket ([K-CRED-2]).
///
/// [K-CRED-2]: stoop::kernel_facts#K-CRED-2
fn listened(snapshot: &Snapshot, id: SocketId) -> Option<u32> {
    let copy = snapshot[id].dup_fd().ok()?;
    let peer = stoop::diag::Settings::of(copy).ok()?.peer?;
    let has_it = snapshot[id].owners.iter().any(|owner| owner.pid.0 == peer.pid);
    (peer.pid > 0 && !has_it).then_some(peer.pid)
}

/// Returns how many connections that were accepted from a listener a process has open, to clients
/// that have not closed them.
fn clients_of(snapshot: &Snapshot, listener: SocketId, pid: Pid) -> usize {
    let is_served = |socket: &&Socket| {
        socket.listener == Some(listener)
            && socket.state == State::Connected
            && socket.owners.iter().any(|owner| owner.pid == pid)
    };
    snapshot.sockets.iter().filter(is_served).count()
}

/// Returns whether any socket is bound to the file, or `None` if the kernel may not be queried.
fn is_alive(target: &SocketAddrUnix) -> Option<bool> {
    match connect_datagram(target)? {
        Ok(()) | Err(Errno::PROTOTYPE | Errno::PERM) => Some(true),
        Err(Errno::CONNREFUSED) => Some(false),
        Err(_) => None,
    }
}

/// Connects a datagram socket, and disconnects it at once: otherwise the receiver would look
/// connected indefinitely ([K-PROBE-9]).
///
/// [K-PROBE-9]: stoop::kernel_facts#K-PROBE-9
fn connect_datagram(receiver: &SocketAddrUnix) -> Option<Result<(), Errno>> {
    let socket = datagram()?;
    let connected = rustix::net::connect(&socket, receiver);
    if connected.is_ok() {
        let _ = rustix::net::connect_unspec(&socket);
    }
    Some(connected)
}

fn datagram() -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()
}

/// Creates a datagram socket in the subject's network namespace, with a thread that enters it and
/// exits.
fn datagram_of(context: &SubjectContext) -> Option<OwnedFd> {
    if !context.subject.view.other_network {
        return datagram();
    }
    let namespace = std::fs::File::open(format!("{}/ns/net", context.proc)).ok()?;
    let enter = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
        datagram()
    };
    std::thread::scope(|scope| std::thread::Builder::new().spawn_scoped(scope, enter).ok()?.join().ok()?)
}

/// Returns whether a receiver's queue is full: a connected sender is then not writable
/// ([K-DGRAM-5]).
///
/// [K-DGRAM-5]: stoop::kernel_facts#K-DGRAM-5
fn is_full(socket: OwnedFd, receiver: &SocketAddrUnix) -> Option<bool> {
    rustix::net::connect(&socket, receiver).ok()?;
    let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
    let full = !polled[0].revents().contains(PollFlags::OUT);
    let _ = rustix::net::connect_unspec(&socket);
    Some(full)
}

/// Probes a socket that is in no readable table, and returns what that reveals.
fn query(target: &SocketAddrUnix) -> Option<Endpoint> {
    let bare = |kind, state, backlog| Endpoint {
        inode: 0,
        kind: Some(kind),
        state,
        is_bound_itself: None,
        shut_down: false,
        backlog,
        queue_full: None,
        messages: None,
        owners: None,
        listened: None,
        server: None,
    };
    match connect_datagram(target)? {
        Ok(()) => return Some(bare(Kind::Datagram, EndpointState::Bound, None)),
        Err(Errno::PERM) => return Some(bare(Kind::Datagram, EndpointState::Connected, None)),
        Err(Errno::PROTOTYPE) => {}
        Err(_) => return None,
    }
    [(Kind::Stream, SocketType::STREAM), (Kind::SeqPacket, SocketType::SEQPACKET)].into_iter().find_map(
        |(kind, raw)| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let (connected, _peer) = rustix::net::socketpair(AddressFamily::UNIX, raw, flags, None).ok()?;
            match rustix::net::connect(&connected, target) {
                Err(Errno::ISCONN) => Some(bare(kind, EndpointState::Listening, Some((0, 0)))),
                Err(Errno::AGAIN) => Some(bare(kind, EndpointState::Listening, Some((1, 0)))),
                Err(Errno::CONNREFUSED) => Some(bare(kind, EndpointState::Bound, None)),
                _ => None,
            }
        },
    )
}

/// Records servers that were bound to the path and have their file elsewhere, and the one that has
/// the path in the view of this process but not in the subject's.
fn near_files(facts: &mut Facts, context: &SubjectContext, snapshot: &Snapshot, reached: Option<FileId>) {
    let Some(path) = facts.question.address.as_pathname().map(PathBuf::from) else { return };
    let absolute = context.working_name.as_deref().unwrap_or(Path::new("")).join(&path);
    let ours = responding::stat(&path).ok().map(|stat| FileId { dev: stat.st_dev, ino: stat.st_ino });
    let at = |file: Option<FileId>| file.map_or(Vec::new(), |file| bound_to(snapshot, file));
    let found = [at(reached), at(ours)].concat();
    let mut locator = FileLocator::new();
    let lost = snapshot.iter().filter_map(|(id, _)| {
        let was_bound = || snapshot.was_bound_to(id, &absolute) || may_be_relative(snapshot, id, &absolute);
        let is_lost = !found.contains(&id) && was_bound();
        Some((Nearness::WasBoundTo(is_lost.then(|| locator.locate(snapshot, id))??), id))
    });
    let mut lost: Vec<_> = lost.filter(|(how, _)| !leads_there(how, &absolute)).collect();
    if lost.is_empty() && is_missing(facts) {
        let seen = locator.at_path_in_other_views(snapshot, &absolute).into_iter();
        lost.extend(seen.map(|(id, location)| (Nearness::WasBoundTo(location), id)));
    }
    // Only another process may have another view of the files.
    let is_other = matches!(facts.question.subject, Who::Process(_)) && facts.walk.is_some();
    let elsewhere = ours.filter(|ours| Some(*ours) != reached && is_other);
    let elsewhere = elsewhere.into_iter().flat_map(|ours| bound_to(snapshot, ours));
    let near = |(how, id): (Nearness, SocketId)| {
        let alive = (how == Nearness::OurView).then_some(true);
        Near { how, address: snapshot[id].name.clone(), socket: endpoint(snapshot, id, alive) }
    };
    let elsewhere = elsewhere.map(|id| (Nearness::OurView, id));
    facts.near = lost.into_iter().chain(elsewhere).map(near).collect();
    facts.near.retain(|near| near.socket.state != EndpointState::Accepted);
}

/// Returns whether the path leads to nothing in the view of the subject.
fn is_missing(facts: &Facts) -> bool {
    let last = facts.walk.as_ref().filter(|walk| walk.reached.is_none()).and_then(|walk| walk.steps.last());
    last.is_some_and(|step| matches!(step.found, Lookup::Nothing))
}

/// Returns whether a socket may be bound to the path by a relative name: it is the end of that
/// path, and no process is visible whose working directory could tell.
fn may_be_relative(snapshot: &Snapshot, id: SocketId, path: &Path) -> bool {
    let name = snapshot[id].name.as_pathname().filter(|name| name.is_relative());
    name.is_some_and(|name| path.ends_with(name)) && snapshot.processes_of(id).next().is_none()
}

/// Returns whether the file is at the path after all.
fn leads_there(how: &Nearness, path: &Path) -> bool {
    matches!(how, Nearness::WasBoundTo(location) if location.here.as_deref() == Some(path))
}

fn by_name(facts: &mut Facts, context: &SubjectContext, snapshot: &Snapshot, name: &[u8]) {
    let here =
        context.network.filter(|ino| snapshot.namespace(*ino).is_some_and(|namespace| namespace.is_read));
    let Some(here) = here else { return };
    let named = snapshot.iter().filter(|(_, socket)| socket.name.as_abstract_name() == Some(name));
    let (ours, theirs): (Vec<_>, Vec<_>) = named.partition(|(_, socket)| socket.namespace == here);
    let mut sockets: Vec<Endpoint> = ours.into_iter().map(|(id, _)| endpoint(snapshot, id, None)).collect();
    let receivers = sockets.iter_mut().filter(|socket| socket.kind == Some(Kind::Datagram));
    let full =
        SocketAddrUnix::new_abstract_name(name).ok().and_then(|to| is_full(datagram_of(context)?, &to));
    receivers.for_each(|socket| socket.queue_full = full);
    facts.sockets = Some(sockets);
    let near = |how, id: SocketId| Near {
        how,
        address: snapshot[id].name.clone(),
        socket: endpoint(snapshot, id, None),
    };
    facts.near = theirs.into_iter().map(|(id, _)| near(Nearness::OtherNamespace, id)).collect();
    let local = snapshot.iter().filter(|(_, socket)| socket.namespace == here);
    let others =
        local.filter_map(|(id, socket)| Some((id, likeness(name, socket.name.as_abstract_name()?)?)));
    facts.near.extend(others.map(|(id, how)| near(how, id)));
    facts.near.retain(|near| near.socket.state != EndpointState::Accepted);
    let mut alike = 0;
    facts.near.retain(|near| {
        alike += usize::from(near.how == Nearness::Alike);
        near.how != Nearness::Alike || alike <= ALIKE_SHOWN
    });
}

/// Returns how another abstract name resembles the one asked for.
fn likeness(name: &[u8], other: &[u8]) -> Option<Nearness> {
    let trimmed = |name: &[u8]| name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let same_start = other[..trimmed(other)] == name[..trimmed(name)];
    match (name == other, same_start) {
        (true, _) => None,
        (false, true) => Some(Nearness::Padded),
        _ => is_alike(name, other).then_some(Nearness::Alike),
    }
}

/// Returns whether one name contains the other, or they differ only in case. Names of a few bytes
/// are not compared.
fn is_alike(name: &[u8], other: &[u8]) -> bool {
    let holds =
        |long: &[u8], short: &[u8]| short.len() >= 4 && long.windows(short.len()).any(|part| part == short);
    name.eq_ignore_ascii_case(other) || holds(name, other) || holds(other, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_near() {
        assert_eq!(likeness(b"app", b"app"), None);
        assert_eq!(likeness(b"app", b"app\0\0"), Some(Nearness::Padded));
        assert_eq!(likeness(b"app\0", b"app"), Some(Nearness::Padded));
        assert_eq!(likeness(b"App", b"app"), Some(Nearness::Alike));
        assert_eq!(likeness(b"com.example", b"com.example.2"), Some(Nearness::Alike));
        assert_eq!(likeness(b"app", b"apple"), None);
    }
}
