//! Predicts whether the socket at the end of the lookup accepts a connection or a message
//! (`net/unix/af_unix.c`). Pure.

use rustix::io::Errno;
use stoop::Kind;

use super::action::{Action, Site};
use super::advise;
use super::cause::Cause;
use super::facts::{Endpoint, EndpointState, Facts, File, FileKind, Nearness};
use super::lookup::{Lookup, hidden, whole};
use super::messages::{Messages, all_busy, clients_wait, kind_of, plural_messages, quoted, with_article};
use super::other_server;
use super::permission::{Access, By, WRITE, access};
use super::question::Operation;
use super::verdict::Verdict;
use crate::hindrance::Hindrance;

/// Predicts a connect or a send.
pub(super) fn judge(facts: &Facts) -> Verdict {
    match facts.question.address.as_abstract_name() {
        Some(_) => by_name(facts),
        None => match whole(facts) {
            Lookup::Stopped(verdict) => verdict,
            Lookup::Reached(file) => by_file(facts, file),
        },
    }
}

fn by_file(facts: &Facts, file: &File) -> Verdict {
    if let Some(denied) = not_writable(facts, file) {
        return denied;
    }
    if file.kind != FileKind::Socket {
        return Verdict::fails(
            Errno::CONNREFUSED,
            Cause::NotASocket,
            format!("it is {}, not a socket", kind_of(file.kind)),
        )
        .seen(Messages(facts).permissions(file))
        .advise(Action::ShowFile(advise::reached(facts, &file.path)));
    }
    if facts.alive == Some(false) {
        return stale(facts, file);
    }
    let Some(sockets) = &facts.sockets else { return hidden(facts, "whether a socket is bound to the file") };
    match sockets.iter().find(|socket| socket.state != EndpointState::Accepted) {
        Some(socket) => found(facts, socket),
        None if facts.alive == Some(true) => {
            hidden(facts, "the socket bound to the file, in another network namespace,")
        }
        None => stale(facts, file),
    }
}

/// Checks write permission, in the kernel's order, whatever the type of the file.
fn not_writable(facts: &Facts, file: &File) -> Option<Verdict> {
    let messages = Messages(facts);
    let subject = facts.subject.as_ref()?;
    let shown = quoted(&file.path);
    let stored = matches!(file.kind, FileKind::Regular | FileKind::Directory | FileKind::Link);
    if stored && file.mount.file_system_read_only {
        let why = format!("it is {}, not a socket, and on a read-only file system", kind_of(file.kind));
        let verdict = Verdict::fails(Errno::ROFS, Cause::NotASocketReadOnly, why);
        return Some(verdict.advise(Action::ShowFile(advise::reached(facts, &file.path))));
    }
    if file.immutable {
        let why = format!("{shown} has the immutable flag, so no process may write to it");
        return Some(
            Verdict::fails(Errno::PERM, Cause::Immutable, why)
                .advise(Action::ShowFlags(advise::reached(facts, &file.path))),
        );
    }
    let by = match access(file, subject, WRITE) {
        Access::Granted => return None,
        Access::Unknown => return Some(hidden(facts, &messages.undecided(file))),
        Access::Denied(By::Unmapped) => return Some(owner_unmapped(facts, file)),
        Access::Denied(by) => by,
    };
    let cause = if by.is_acl() { Cause::NoWriteAcl } else { Cause::NoWrite };
    let what = if file.kind == FileKind::Socket { "the socket" } else { "what is there" };
    let why = format!("{} write permission on {what}, which connecting requires", messages.lacks());
    let verdict = Verdict::fails(Errno::ACCESS, cause, why)
        .seen(messages.permissions(file))
        .seen(messages.identity())
        .seen(messages.applies(by, file, "write (w)"));
    Some(match file.kind {
        FileKind::Socket => accepted(facts, file, by, verdict),
        kind => verdict
            .seen(format!("it is {}, not a socket", kind_of(kind)))
            .advise(Action::ShowFile(advise::reached(facts, &file.path))),
    })
}

/// The file's owner has no id on the mount, so the kernel lets no user write to it ([K-IDMAP-1]).
///
/// [K-IDMAP-1]: stoop::kernel_facts#K-IDMAP-1
fn owner_unmapped(facts: &Facts, file: &File) -> Verdict {
    let shown = quoted(&file.path);
    let why = format!("no user may write to {shown}: its owner or group has no id on the mount");
    Verdict::fails(Errno::ACCESS, Cause::OwnerUnmapped, why)
        .seen(Messages(facts).permissions(file))
        .advise(Action::ShowMount(advise::reached(facts, &file.path)))
}

/// Adds advice about a socket that the subject may not write to. If no process serves it, no
/// permission helps.
fn accepted(facts: &Facts, file: &File, by: By, verdict: Verdict) -> Verdict {
    let is_dead = facts.alive == Some(false) || facts.sockets.as_ref().is_some_and(Vec::is_empty);
    if is_dead && let Some(seen) = other_server::seen(facts, file) {
        return verdict.seen_all(seen).seen("permission on it would not help");
    }
    match (is_dead, &facts.sockets) {
        _ if facts.alive == Some(true) => verdict.advise_all(server_grants(facts, file, by)),
        (true, _) if file.mount.is_of_file => verdict
            .seen("no socket is bound to it (stale), and it is a mount of a single file: permission would not help")
            .advise(Action::MountAgain { path: file.path.clone() }),
        (true, _) => verdict
            .seen("no socket is bound to it (stale): permission would not help")
            .advise(replaces(facts, file)),
        (false, None) => verdict
            .seen("no server is visible from here: if the file is stale, permission would not help")
            .advise_all(advise::with_more_privileges(facts)),
        (false, Some(_)) => verdict.advise_all(server_grants(facts, file, by)),
    }
}

/// Advises to start a server in place of a stale socket file.
fn replaces(facts: &Facts, file: &File) -> Action {
    let as_root = advise::needs_root(facts, Some(file.uid));
    Action::ReplaceStale(Site { as_root, ..advise::site(facts) })
}

/// Advises how to grant access. The server decides who may connect: a change to the file lasts only
/// until the server creates it again.
fn server_grants(facts: &Facts, file: &File, by: By) -> impl Iterator<Item = Action> {
    advise::grant(facts, file, by, WRITE).into_iter().chain([Action::AllowGroup(advise::site(facts))])
}

fn stale(facts: &Facts, file: &File) -> Verdict {
    if let Some(verdict) = other_server::connect(facts, file) {
        return verdict;
    }
    let why = "the socket file is stale: no socket is bound to it";
    let (device, inode) = file.id;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if file.mount.is_of_file {
        return stale_mount(file);
    }
    let verdict = Verdict::fails(Errno::CONNREFUSED, Cause::Stale, why.to_owned())
        .seen(format!("no socket in the kernel's table is bound to device {major}:{minor} inode {inode}"));
    let verdict = match facts.near.iter().find(|near| near.how == Nearness::OurView) {
        Some(near) => verdict
            .seen("another file has the same path in our view, and its server is running".to_owned())
            .seen_all(Messages(facts).owners(&near.socket))
            .advise_all(advise::other_view(facts, true)),
        None => verdict,
    };
    verdict.advise(replaces(facts, file))
}

/// The file itself is mounted, into a container for example. The mount keeps that inode although
/// the server has made another file at its path ([K-MOUNT-3]).
///
/// [K-MOUNT-3]: stoop::kernel_facts#K-MOUNT-3
fn stale_mount(file: &File) -> Verdict {
    let why = match file.mount.is_unlinked {
        true => {
            "the socket file is mounted here, and was removed since where it came from: the mount keeps the old file"
        }
        false => "the socket file is mounted here and is stale: no socket is bound to it",
    };
    let shown = quoted(&file.path);
    let seen = match file.mount.is_unlinked {
        true => format!("{shown} is a mount of a single file; mountinfo lists that as deleted"),
        false => {
            format!("{shown} is a mount of a single file: a new file of the server does not appear here")
        }
    };
    Verdict::fails(Errno::CONNREFUSED, Cause::StaleMount, why.to_owned())
        .seen(seen)
        .advise(Action::MountAgain { path: file.path.clone() })
}

/// Predicts the result for the socket that the kernel finds. Its kind is checked first, then its
/// state ([K-CONNECT-10]).
///
/// [K-CONNECT-10]: stoop::kernel_facts#K-CONNECT-10
fn found(facts: &Facts, socket: &Endpoint) -> Verdict {
    let asked = asked(facts, socket.kind);
    let Some(kind) = socket.kind else { return hidden(facts, "the kind of the socket there") };
    if kind != asked {
        return wrong_kind(facts, socket, kind, asked);
    }
    match kind {
        Kind::Datagram => receiver(facts, socket),
        _ => listener(facts, socket),
    }
}

/// Returns the kind of the socket that makes the call.
fn asked(facts: &Facts, there: Option<Kind>) -> Kind {
    let usual = match facts.question.operation {
        Operation::Send { .. } => Kind::Datagram,
        Operation::Connect => there.unwrap_or(Kind::Stream),
        Operation::Bind => Kind::Stream,
    };
    facts.question.kind.unwrap_or(usual)
}

fn wrong_kind(facts: &Facts, socket: &Endpoint, kind: Kind, asked: Kind) -> Verdict {
    let why = format!(
        "the socket there is {} socket, and this was tried with {} socket",
        with_article(kind),
        with_article(asked)
    );
    Verdict::fails(Errno::PROTOTYPE, Cause::WrongKind, why)
        .seen_all(Messages(facts).owners(socket))
        .advise(Action::Connect { at: advise::site(facts), kind: Some(kind) })
}

fn listener(facts: &Facts, socket: &Endpoint) -> Verdict {
    let messages = Messages(facts);
    let refused = |cause, why: &str| {
        Verdict::fails(Errno::CONNREFUSED, cause, why.to_owned()).seen_all(messages.owners(socket))
    };
    match socket.state {
        EndpointState::Bound => {
            return refused(
                Cause::NotListening,
                "a process has bound the socket, but does not listen on it (yet)",
            )
            .advise_all(wait(facts));
        }
        EndpointState::Connected | EndpointState::Accepted => {
            return refused(
                Cause::IsAClient,
                "the socket there is a client with a name: it accepts no connections",
            )
            .advise_all(advise::its_server(facts, socket));
        }
        EndpointState::Listening if socket.shut_down => {
            return refused(
                Cause::ListenerShutDown,
                "its server has shut down the listener and accepts no more clients",
            )
            .advise_all(advise::restart(facts, socket));
        }
        EndpointState::Listening => {}
    }
    match socket.backlog {
        None => hidden(facts, "the listener's queue"),
        Some((waiting, limit)) if waiting > limit => backlog_full(facts, socket, waiting, limit),
        Some((waiting, limit)) => {
            let verdict = succeeds(facts, socket);
            let note = format!("{} for an accept; {} fit", clients_wait(waiting), u64::from(limit) + 1);
            let verdict = if waiting > 0 { verdict.caveat(note) } else { verdict };
            let slow = socket.busy_workers().map(all_busy).into_iter().chain(inherited(socket));
            slow.filter(|_| waiting > 0).fold(verdict, Verdict::caveat)
        }
    }
}

fn wait(facts: &Facts) -> Option<Action> {
    (facts.question.operation == Operation::Connect)
        .then(|| Action::WaitForServer { at: advise::site(facts), is_bound: true })
}

fn backlog_full(facts: &Facts, socket: &Endpoint, waiting: u32, limit: u32) -> Verdict {
    let messages = Messages(facts);
    let why = "the server's backlog is full: it does not accept its clients fast enough, or not at all";
    let verdict = Verdict::waits(Cause::BacklogFull, why.to_owned())
        .seen_all(messages.owners(socket))
        .seen(format!("{}; the limit is {limit}, and the kernel allows one more", clients_wait(waiting)));
    let verdict = verdict.seen_all(socket.busy_workers().map(all_busy)).seen_all(inherited(socket));
    let verdict = match facts.limits.somaxconn {
        Some(most) if limit == most => {
            verdict.seen(format!("the limit is that of the machine: net.core.somaxconn is {most}"))
        }
        _ => verdict,
    };
    verdict
        .advise_all(relieves(facts, socket))
        .advise_all(socket.owners.is_some().then(|| Action::ShowServer(advise::site(facts))))
        .advise_all(wait_channel(facts, socket))
}

/// Says that the owners of a listener may not be its server: a child that a server has left behind
/// does not know the socket that it inherited.
fn inherited(socket: &Endpoint) -> Option<String> {
    let listened = socket.listened?;
    Some(format!(
        "process {listened} called listen and no longer has the socket: who inherited it may not accept"
    ))
}

fn receiver(facts: &Facts, socket: &Endpoint) -> Verdict {
    let messages = Messages(facts);
    let is_send = matches!(facts.question.operation, Operation::Send { .. });
    if socket.state == EndpointState::Connected {
        let why = "the receiver is connected to another peer and receives only from that peer";
        return Verdict::fails(Errno::PERM, Cause::ConnectedElsewhere, why.to_owned())
            .seen_all(messages.owners(socket));
    }
    if is_send && socket.shut_down {
        let why = "the receiver was shut down for reading: it accepts no more messages";
        return Verdict::fails(Errno::PIPE, Cause::ReceiverShutDown, why.to_owned())
            .seen_all(messages.owners(socket))
            .advise_all(advise::restart(facts, socket));
    }
    if is_send && socket.inode == 0 {
        // A receiver that is shut down can only be detected by sending it a message.
        let room = if socket.queue_full == Some(true) { "is full" } else { "is not full" };
        return hidden(facts, "whether the receiver, in another network namespace, was shut down")
            .seen(format!("it exists, and its queue {room}"));
    }
    match socket.queue_full {
        Some(true) if is_send => queue_full(facts, socket),
        None if is_send => {
            hidden(facts, "whether the receiver's queue is full").seen_all(messages.owners(socket))
        }
        Some(true) => succeeds(facts, socket)
            .caveat("the receiver's queue is full: a message would have to wait".to_owned()),
        _ => succeeds(facts, socket),
    }
}

fn queue_full(facts: &Facts, socket: &Endpoint) -> Verdict {
    let why = "the receiver's queue is full: it does not read its messages fast enough";
    let limit = match (socket.messages, facts.limits.max_dgram_qlen) {
        (Some(messages), _) => Some(format!(
            "{} wait; {} fit, by net.unix.max_dgram_qlen when the socket was created",
            plural_messages(messages.count),
            u64::from(messages.limit) + 1
        )),
        (None, Some(most)) => Some(format!(
            "a queue holds one message more than net.unix.max_dgram_qlen when it was created; now that is {most}"
        )),
        (None, None) => None,
    };
    Verdict::waits(Cause::QueueFull, why.to_owned())
        .seen_all(Messages(facts).owners(socket))
        .seen_all(limit)
        .advise_all(relieves(facts, socket))
        .advise_all(wait_channel(facts, socket))
}

/// Nothing prevents the call. What may still change the result becomes a caveat.
fn succeeds(facts: &Facts, socket: &Endpoint) -> Verdict {
    let done = match facts.question.operation {
        Operation::Send { .. } => "nothing prevents it: the message would be queued at the receiver",
        _ if socket.kind == Some(Kind::Datagram) => {
            "nothing prevents it: the receiver would become the destination of messages"
        }
        _ => "nothing prevents it: the server's backlog has space for the connection",
    };
    let verdict = Verdict::succeeds(done.to_owned()).seen_all(Messages(facts).owners(socket));
    let verdict = match socket.owners.as_deref() {
        Some([]) => verdict.caveat(
            "no process has the socket open: no process would answer before one receives it".to_owned(),
        ),
        _ => verdict,
    };
    match nobody_answers(socket) {
        Some(why) => verdict.caveat(why.to_owned()).advise_all(relieves(facts, socket)),
        None => verdict,
    }
}

/// Returns why no process would answer, if each that serves clients is kept from it.
fn nobody_answers(socket: &Endpoint) -> Option<&'static str> {
    let mut hindrances = socket.workers().map(|worker| worker.hindrance.as_ref()).peekable();
    hindrances.peek()?;
    let hindrances: Vec<_> = hindrances.collect::<Option<_>>()?;
    Some(match () {
        () if hindrances.iter().all(|one| matches!(one, Hindrance::OutOfDescriptors { .. })) => {
            "no process can accept it before file descriptors are closed or the limit is raised"
        }
        () if hindrances.iter().all(|one| matches!(one, Hindrance::Stopped)) => {
            "every process that has the socket is stopped: none would answer"
        }
        () => "no process that has the socket can run now: none would answer",
    })
}

fn by_name(facts: &Facts) -> Verdict {
    let Some(sockets) = &facts.sockets else {
        return hidden(facts, "the table of sockets of that network namespace");
    };
    let servers = || sockets.iter().filter(|socket| socket.state != EndpointState::Accepted);
    // Each kind has its own abstract names. A connect without a kind tries them one after the
    // other.
    let kinds = match (facts.question.kind, facts.question.operation) {
        (Some(kind), _) => vec![kind],
        (None, Operation::Connect) => Kind::ALL.to_vec(),
        (None, _) => vec![asked(facts, None)],
    };
    let of_kind = |kind: &Kind| servers().find(|socket| socket.kind == Some(*kind));
    if let Some(socket) = kinds.iter().find_map(of_kind) {
        return found(facts, socket);
    }
    no_such_name(facts, servers().next())
}

fn no_such_name(facts: &Facts, other: Option<&Endpoint>) -> Verdict {
    let refused = |cause, why: String| Verdict::fails(Errno::CONNREFUSED, cause, why);
    let messages = Messages(facts);
    if let Some((socket, kind)) = other.and_then(|socket| Some((socket, socket.kind?))) {
        let why = format!(
            "that name belongs to {} socket; abstract names are looked up by kind",
            with_article(kind)
        );
        return refused(Cause::NameOfOtherKind, why)
            .seen_all(messages.owners(socket))
            .advise(Action::Connect { at: advise::site(facts), kind: Some(kind) });
    }
    let near = |how| facts.near.iter().find(|near| near.how == how);
    let here = match facts.subject.as_ref().is_some_and(|subject| subject.view.other_network) {
        true => format!("no socket in the network namespace of {} has that abstract name", messages.whom()),
        false => "no socket in this network namespace has that abstract name".to_owned(),
    };
    if let Some(near) = near(Nearness::OtherNamespace) {
        return refused(Cause::NameInOtherNamespace, here)
            .seen("a socket in another network namespace has it: each network namespace has its own abstract names".to_owned())
            .seen_all(messages.owners(&near.socket))
            .advise_all(enter(facts, &near.socket));
    }
    if let Some(near) = near(Nearness::Padded) {
        return refused(Cause::NamePadded, here)
            .seen(format!("'{}' differs only in trailing NUL bytes, which are significant", near.address))
            .advise(Action::Connect { at: advise::other_site(&near.address), kind: None });
    }
    let alike = facts.near.iter().filter(|near| near.how == Nearness::Alike);
    let unseen = facts.hidden_networks.then(|| {
        "other network namespaces have their own abstract names, and cannot be seen from here".to_owned()
    });
    let more = if unseen.is_some() { advise::with_more_privileges(facts) } else { None };
    refused(Cause::NoSuchName, here)
        .seen_all(unseen)
        .advise_all(more)
        .seen_all(alike.map(|near| format!("there is '{}'", near.address)))
        .advise(advise::start_server(facts))
}

/// Advises to connect in the network namespace that has the name.
fn enter(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    let (netns_of, address) = (Some(first_owner(socket)?.pid), facts.question.address.clone());
    let kind = socket.kind.or(facts.question.kind);
    let at = Site { address, netns_of, kind, as_root: advise::needs_root(facts, None) };
    Some(Action::Connect { at, kind: None })
}

fn first_owner(socket: &Endpoint) -> Option<&super::facts::Owner> {
    socket.owners.as_deref()?.first()
}

fn relieves(facts: &Facts, socket: &Endpoint) -> Vec<Action> {
    let mut advice: Vec<Action> = Vec::new();
    for action in socket.workers().filter_map(|owner| advise::relieve(facts, owner)) {
        // One control group may freeze all of them.
        if !advice.contains(&action) {
            advice.push(action);
        }
    }
    advice
}

/// Advises to check what a process that neither accepts nor reads is doing.
fn wait_channel(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    if socket.owners.is_none() {
        return advise::with_more_privileges(facts);
    }
    let owner = first_owner(socket).filter(|owner| owner.hindrance.is_none())?;
    Some(Action::ShowWaitChannel { pid: owner.pid, as_root: advise::needs_root(facts, owner.uid) })
}
