//! Formats the details of a socket as a JSON line, a stable interface.

use serde::Serialize;
use stoop_inspect::endpoints::recognise;
use stoop_inspect::internal::ViewDifference;
use stoop_inspect::{Queue, Workload};

use super::super::detail::Detail;
use super::super::file::{FileFacts, FileState};
use super::super::mounted::MountedIn;
use super::super::warnings::warnings;
use crate::output::{Data, SCHEMA, push_json};
use crate::sockets::format::device;
use crate::sockets::json::End;
use crate::sockets::{JsonFormatter, format};
use crate::time;

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    event: &'static str,
    kind: Option<&'static str>,
    state: &'static str,
    socket: End<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    somaxconn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_dgram_qlen: Option<u32>,
    /// The limit of a datagram socket's queue, from its creation: one more message fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<End<'a>>,
    /// The process that opened the connection, if it still runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    opener_pid: Option<u32>,
    /// How old the connection is at most: as old as that process.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
    clients: Vec<Pair<'a>>,
    waiting_clients: Vec<End<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Settings>,
    /// The well-known service that has the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounted_in: Vec<Mounted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<Data>,
    warnings: Vec<Warned>,
}

#[derive(Serialize)]
struct Pair<'a> {
    client: End<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<End<'a>>,
    /// The first bytes that the server has not read, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<Data>,
}

#[derive(Serialize)]
struct File {
    path: String,
    /// `there`, `removed`, `not-there` (removed or moved), `replaced`, `covered` (by a mount),
    /// `moved` or `unknown`.
    fate: &'static str,
    /// The name given to bind, if the path is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
    /// How the view of its process differs: `private-tmp`, `root` or `mounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    /// Octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acl: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

#[derive(Serialize)]
struct Settings {
    send_buffer_bytes: usize,
    passes_credentials: bool,
    passes_pidfd: Option<bool>,
    passes_label: Option<bool>,
    passes_descriptors: Option<bool>,
    /// For a listener the process that called listen, for a connected socket the process that
    /// created the other end, at that time.
    peer_pid: Option<u32>,
    peer_uid: Option<u32>,
    peer_gid: Option<u32>,
}

/// A view of the file system in which the file is, too.
#[derive(Serialize)]
struct Mounted {
    pid: u32,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    path: String,
}

#[derive(Serialize)]
struct Warned {
    code: &'static str,
    text: String,
}

/// Appends one line of text.
pub(in crate::commands::who) fn line(detail: &Detail<'_>, text: &mut Vec<u8>) {
    let mut formatter = JsonFormatter::new(detail.snapshot);
    let socket = detail.socket;
    let (waiting, backlog) = match socket.queue {
        Some(Queue::Backlog { waiting, limit }) => (Some(waiting), Some(limit)),
        _ => (None, None),
    };
    let bytes = |peeked: &Option<Result<Vec<u8>, String>>| match peeked {
        Some(Ok(bytes)) => Some(Data(bytes.clone())),
        _ => None,
    };
    let is_datagram = socket.kind == Some(stoop::Kind::Datagram);
    let clients = detail.clients.iter().map(|client| Pair {
        client: formatter.end(client.client),
        server: client.server.map(|server| formatter.end(server)),
        unread: bytes(&client.peeked),
    });
    let clients = clients.collect();
    let line = Line {
        schema: SCHEMA,
        event: "who",
        kind: socket.kind.map(|kind| kind.word()),
        state: format::state(socket.state),
        socket: formatter.end(detail.id),
        waiting,
        backlog,
        somaxconn: detail.limits.somaxconn.filter(|_| backlog.is_some()),
        max_dgram_qlen: detail.limits.max_dgram_qlen.filter(|_| is_datagram),
        message_limit: socket.messages.map(|messages| messages.limit),
        peer: socket.peer.map(|peer| formatter.end(peer)),
        opener_pid: detail.opener.map(|opener| opener.pid),
        max_age_seconds: detail.opener.map(|opener| opener.age.as_secs()),
        clients,
        waiting_clients: socket.waiting.iter().map(|&id| formatter.end(id)).collect(),
        file: detail.file.as_ref().map(file),
        settings: detail.settings.as_ref().ok().map(settings),
        service: recognise(&socket.name).map(|service| service.label()),
        mounted_in: detail.mounted_in.iter().map(mounted).collect(),
        unread: bytes(&detail.peeked),
        warnings: warnings(detail).into_iter().map(|w| Warned { code: w.code, text: w.text }).collect(),
    };
    push_json(&line, text);
}

fn mounted(view: &MountedIn) -> Mounted {
    let is_known = view.workload != Workload::Unknown;
    Mounted {
        pid: view.pid,
        command: view.command.clone(),
        workload: is_known.then(|| view.workload.to_string()),
        path: format::path(&view.path),
    }
}

fn file(file: &FileFacts) -> File {
    let status = file.status.as_ref();
    File {
        path: format::path(&file.path),
        fate: match file.fate {
            FileState::There => "there",
            FileState::Gone => "removed",
            FileState::NotThere => "not-there",
            FileState::Replaced { .. } => "replaced",
            FileState::Covered => "covered",
            FileState::Unmounted => "unmounted",
            FileState::Moved => "moved",
            FileState::Unknown => "unknown",
        },
        bound_as: file.bound_as.as_deref().map(format::path),
        moved_to: file.moved_to.as_deref().map(format::path),
        view: file.view.map(|view| match view {
            ViewDifference::PrivateTmp => "private-tmp",
            ViewDifference::Root => "root",
            ViewDifference::Mounts => "mounts",
        }),
        device: file.bound.map(|bound| device(bound.dev)),
        inode: file.bound.map(|bound| bound.ino),
        mode: status.map(|status| format!("{:03o}", status.mode)),
        uid: status.map(|status| status.uid),
        gid: status.map(|status| status.gid),
        acl: status.map(|status| status.has_acl),
        made: status.and_then(|status| status.made).map(time::utc),
    }
}

fn settings(settings: &stoop::diag::Settings) -> Settings {
    let peer = settings.peer;
    Settings {
        send_buffer_bytes: settings.send_buffer_bytes,
        passes_credentials: settings.passes_credentials,
        passes_pidfd: settings.passes_pidfd,
        passes_label: settings.passes_label,
        passes_descriptors: settings.passes_descriptors,
        peer_pid: peer.map(|peer| peer.pid).filter(|&pid| pid > 0),
        peer_uid: peer.and_then(|peer| peer.known_uid()),
        peer_gid: peer.map(|peer| peer.gid),
    }
}
