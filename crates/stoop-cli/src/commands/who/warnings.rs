//! Problems of a socket that the user may want to know of, without having asked. Pure.

use std::collections::HashSet;

use stoop::Kind;
use stoop_inspect::internal::{self as words, Hindrance, relief};
use stoop_inspect::{Pid, Queue, SocketId, State};

use super::detail::Detail;
use super::file::FileState;
use crate::advice;
use crate::sockets::{Row, SocketFormatter, format};

/// The share of a backlog, in percent, from which it is reported as nearly full.
const NEARLY_FULL: u64 = 80;

/// A warning, with a code for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Warning {
    /// Part of the JSON: its meaning does not change.
    pub(super) code: &'static str,
    pub(super) text: String,
    /// A command that helps, if there is one.
    pub(super) next: Option<String>,
}

impl Warning {
    fn new(code: &'static str, text: impl Into<String>) -> Warning {
        Warning { code, text: text.into(), next: None }
    }
}

/// Returns all warnings, the most severe first.
pub(super) fn warnings(detail: &Detail<'_>) -> Vec<Warning> {
    let mut warnings = hindered(detail);
    warnings.extend(backlog(detail));
    warnings.extend(busy(detail));
    warnings.extend(inherited(detail));
    warnings.extend(traffic(detail));
    warnings.extend(queue(detail));
    warnings.extend(state(detail));
    warnings.extend(clients(detail));
    warnings.extend(file(detail));
    warnings.extend(permissions(detail));
    warnings
}

/// Warns of processes that cannot answer. One control group may freeze many of them.
fn hindered(detail: &Detail<'_>) -> Vec<Warning> {
    let warning = |(pid, hindrance): &(Pid, Hindrance)| {
        let process = detail.snapshot.processes.get(pid);
        let name = process.map_or("?".into(), format::command);
        let code = match hindrance {
            Hindrance::Traced(_) => "owner_traced",
            Hindrance::Frozen(_) => "owner_frozen",
            Hindrance::Exited => "owner_exited",
            Hindrance::OutOfDescriptors { .. } => "out_of_descriptors",
            _ => "owner_stopped",
        };
        let mut text = format!("process {pid} ({name}) {}", words::hindered(hindrance));
        if hindrance.is_total() {
            text.push_str(", and does not respond");
        }
        let uid = process.and_then(|process| process.uid);
        let action = relief(detail.asker, pid.0, uid, hindrance);
        Warning { code, text, next: action.as_ref().map(advice::command) }
    };
    let mut warnings: Vec<Warning> = detail.hindrances.iter().map(warning).collect();
    let mut shown = HashSet::new();
    for warning in &mut warnings {
        warning.next = warning.next.take().filter(|next| shown.insert(next.clone()));
    }
    warnings
}

/// Warns of what goes wrong between the socket and its clients.
fn traffic(detail: &Detail<'_>) -> Vec<Warning> {
    let traffic = &detail.traffic;
    let clients = |count: usize| format::plural(count, "client");
    let blocked = "and was a moment later: a write blocks, or fails with EAGAIN";
    let warnings = [
        (traffic.leaked > 0).then(|| {
            let count = format::plural(traffic.leaked, "accepted connection");
            let verb = if traffic.leaked == 1 { "is" } else { "are" };
            let text = format!(
                "{count} {verb} still open here although closed by the client: the server does not notice"
            );
            Warning::new("connections_leaked", text)
        }),
        (traffic.blocked_clients > 0).then(|| {
            let count = clients(traffic.blocked_clients);
            let text = format!("the server does not read: the send buffer of {count} is full, {blocked}");
            Warning::new("server_not_reading", text)
        }),
        (traffic.unread_by_clients > 0).then(|| {
            let count = clients(traffic.unread_by_clients);
            let text = format!("{count} not reading: the server's send buffer to it is full, {blocked}");
            Warning::new("clients_not_reading", text)
        }),
        traffic.is_blocked.then(|| {
            let text = format!("the other end does not read: the send buffer is full, {blocked}");
            Warning::new("peer_not_reading", text)
        }),
    ];
    warnings.into_iter().flatten().collect()
}

/// Warns if a listener that no process serves was inherited: a child that a server has left behind
/// does not know the socket.
fn inherited(detail: &Detail<'_>) -> Option<Warning> {
    let listened = detail.settings.as_ref().ok()?.peer?.pid;
    let has_it = detail.owners().iter().any(|(process, _)| process.pid.0 == listened);
    (detail.traffic.is_nobody_accepted && listened > 0 && !has_it).then(|| {
        let text = format!(
            "process {listened} called listen and no longer has the socket: who inherited it may not accept"
        );
        Warning::new("listener_inherited", text)
    })
}

/// Warns if every worker process has a client while others wait. A single process may serve any
/// number of clients at once.
fn busy(detail: &Detail<'_>) -> Option<Warning> {
    let workers = detail.workers();
    let are_workers = detail.owners().len() > 1 && !workers.is_empty();
    let is_waited_for = detail.traffic.is_nobody_accepted;
    (is_waited_for && are_workers && workers.iter().all(|(_, clients)| *clients > 0)).then(|| {
        let text = match workers.len() {
            1 => "its only worker process serves a client already".to_owned(),
            count => format!("each of its {count} worker processes serves a client already"),
        };
        Warning::new("workers_busy", text)
    })
}

fn backlog(detail: &Detail<'_>) -> Vec<Warning> {
    let Some(Queue::Backlog { waiting, limit }) = detail.socket.queue else { return Vec::new() };
    let mut warnings = Vec::new();
    // One more client than the limit fits (K-CONNECT-1).
    let percent = u64::from(waiting) * 100 / (u64::from(limit) + 1);
    let somaxconn = detail.limits.somaxconn.filter(|&most| limit >= most);
    let most = somaxconn.map(|most| format!("; net.core.somaxconn limits it to {most}")).unwrap_or_default();
    if waiting > limit {
        let text = format!("backlog full, {waiting} waiting: a connect blocks, or fails with EAGAIN{most}");
        warnings.push(Warning::new("backlog_full", text));
    } else if percent >= NEARLY_FULL {
        let text = format!("backlog {percent} % full: {waiting} of {}{most}", u64::from(limit) + 1);
        warnings.push(Warning::new("backlog_nearly_full", text));
    }
    if detail.traffic.is_nobody_accepted {
        let text = "nobody accepts: the client that has waited longest was still waiting a moment later";
        warnings.push(Warning::new("nobody_accepts", text));
    }
    warnings
}

fn queue(detail: &Detail<'_>) -> Option<Warning> {
    if !detail.is_queue_full {
        return None;
    }
    // One more message than the limit fits (K-DGRAM-3).
    let fit = detail.socket.messages.map(|messages| format!(" ({} fit)", u64::from(messages.limit) + 1));
    let reader = Row::process(detail.snapshot, detail.id)
        .map(|pid| SocketFormatter::new(detail.snapshot).process(pid).to_owned());
    let reader = reader.unwrap_or_else(|| "its owner".into());
    let text = format!(
        "queue full: {reader} is not reading its messages{}: a send blocks, or fails with EAGAIN",
        fit.unwrap_or_default()
    );
    Some(Warning::new("queue_full", text))
}

fn state(detail: &Detail<'_>) -> Vec<Warning> {
    let socket = detail.socket;
    let mut warnings = Vec::new();
    if socket.state == State::Listening && socket.shutdown.0 {
        warnings.push(Warning::new("shut_down", "it was shut down for reading, so every connect is refused"));
    }
    if socket.state == State::Bound && socket.kind.is_some_and(Kind::is_connected) {
        warnings.push(Warning::new(
            "not_listening",
            "it is bound but not listening, so every connect is refused",
        ));
    }
    let sees_all = !detail.snapshot.missing.iter().any(format::is_about_owners);
    if socket.owners.is_empty() && sees_all && socket.state != State::Waiting {
        let text = "no process has it open: it is in flight in a message, or held by the kernel (io_uring)";
        warnings.push(Warning::new("no_owner", text));
    }
    warnings.extend(in_flight(detail));
    warnings
}

/// Returns whether it is a named datagram socket that is connected: the kernel lets no socket but
/// its peer send to it ([K-DGRAM-9]).
///
/// [K-DGRAM-9]: stoop::kernel_facts#K-DGRAM-9
fn is_for_its_peer(detail: &Detail<'_>) -> bool {
    let socket = detail.socket;
    socket.kind == Some(Kind::Datagram) && socket.state == State::Connected && !socket.name.is_unnamed()
}

/// Warns of file descriptors that were sent to the socket, or to the connections of a server, and
/// not received: their senders run into a limit (`ETOOMANYREFS`).
fn in_flight(detail: &Detail<'_>) -> Option<Warning> {
    let of = |id: SocketId| detail.snapshot[id].in_flight.unwrap_or(0) as usize;
    let own = detail.socket.in_flight.unwrap_or(0) as usize;
    let clients: usize = detail.clients.iter().filter_map(|client| client.server).map(of).sum();
    let text = match (own, clients) {
        (0, 0) => return None,
        (own, 0) => format!("{} in messages that it has not received", format::plural(own, "descriptor")),
        (own, clients) => format!(
            "{} in messages of its clients that the server has not received",
            format::plural(own + clients, "descriptor")
        ),
    };
    Some(Warning::new("descriptors_in_flight", text))
}

fn clients(detail: &Detail<'_>) -> Option<Warning> {
    let snapshot = detail.snapshot;
    let mut servers = detail.clients.iter().filter_map(|client| client.server);
    servers.any(|id| snapshot[id].namesake == Some(detail.id)).then(|| {
        let text = "some of these clients may have connected to an earlier server of the same name: only a BPF program can distinguish them";
        Warning::new("clients_uncertain", text)
    })
}

fn file(detail: &Detail<'_>) -> Vec<Warning> {
    let Some(file) = &detail.file else { return Vec::new() };
    let shown = format::path(&file.path);
    let mut warnings = Vec::new();
    if let Some(asked) = &file.asked {
        let text = format!(
            "the file at {} is not this socket's, which was bound to that name but has another file",
            format::path(asked)
        );
        warnings.push(Warning::new("other_file", text));
    }
    let restart = "new clients cannot connect: restart the server";
    let warning = match file.fate {
        FileState::There | FileState::Unknown => return warnings,
        FileState::Gone => Warning::new("file_removed", format!("its file {shown} was removed; {restart}")),
        FileState::NotThere => {
            let text = format!(
                "no file leads to it at {shown}: it was removed or moved, or a mount covers it; root can tell"
            );
            Warning::new("file_not_there", text)
        }
        FileState::Replaced { by_socket: true } => {
            let text =
                format!("the file at {shown} is now another socket's: new clients do not reach this one");
            Warning::new("file_replaced", text)
        }
        FileState::Replaced { by_socket: false } => {
            Warning::new("file_replaced", format!("the file at {shown} is no longer a socket; {restart}"))
        }
        FileState::Unmounted => {
            let text = format!("the file system with its file {shown} was unmounted; {restart}");
            Warning::new("file_unmounted", text)
        }
        FileState::Covered => {
            let text = format!("a mount covers its file {shown}: new clients reach what is mounted there");
            Warning { next: Some(covering(&file.path)), ..Warning::new("file_covered", text) }
        }
        FileState::Moved => match &file.moved_to {
            Some(now) => Warning::new("file_moved", format!("its file was moved to {}", format::path(now))),
            None => Warning::new("file_moved", format!("its file was moved away from {shown}")),
        },
    };
    warnings.push(warning);
    warnings
}

/// Words the command that shows the mount that covers a file.
fn covering(path: &std::path::Path) -> String {
    let directory = path.parent().unwrap_or(path).to_owned();
    advice::command(&words::Action::ShowMount(directory))
}

fn permissions(detail: &Detail<'_>) -> Vec<Warning> {
    let socket = detail.socket;
    if !detail.is_server() || is_for_its_peer(detail) {
        return Vec::new();
    }
    if socket.name.as_abstract_name().is_some() {
        let text = "an abstract name has no permissions: any process in its network namespace can connect. Whether the \
                    server checks credentials cannot be determined from outside";
        return vec![Warning::new("abstract_open", text)];
    }
    let reachable =
        detail.file.as_ref().filter(|file| matches!(file.fate, FileState::There | FileState::Moved));
    let status = reachable.and_then(|file| file.status.as_ref());
    let Some(status) = status else { return Vec::new() };
    let is_roots = detail.owners().iter().any(|(process, _)| process.uid == Some(0)) || socket.uid == Some(0);
    // A directory that other users may not search protects the file, whatever its mode.
    if is_roots && status.mode & 0o002 != 0 && status.others_may_enter == Some(true) {
        let text = format!(
            "every user may connect to this socket of root (mode {:o}). Whether the server checks credentials cannot be \
             determined from outside",
            status.mode & 0o777
        );
        return vec![Warning::new("world_writable", text)];
    }
    Vec::new()
}
