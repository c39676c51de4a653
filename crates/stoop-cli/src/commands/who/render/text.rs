//! Formats the details of a socket as text. Pure, except for the names of users and groups.

use std::fmt::Write as _;

use stoop_inspect::endpoints::recognise;
use stoop_inspect::internal::ViewDifference;
use stoop_inspect::{Process, Queue, Snapshot, SocketId, State, Workload};

use super::super::detail::{Client, Detail};
use super::super::file::FileState;
use super::super::warnings::warnings;
use super::hexdump::dump;
use super::phrases::{descriptor_words, merged, status_line, unread, user};
use crate::sockets::format::{self, plural};
use crate::time;

/// The maximum number of clients shown, unless all are requested.
const CLIENTS: usize = 20;

/// Returns the lines of text.
pub(in crate::commands::who) fn render(detail: &Detail<'_>, all_clients: bool) -> String {
    let mut page = Page { text: String::new(), detail };
    page.heading();
    page.owners();
    page.peer();
    page.opener();
    page.queue();
    page.service();
    page.file();
    page.mounted_in();
    page.settings();
    page.clients(all_clients);
    page.waiting(all_clients);
    page.peeked();
    for warning in warnings(detail) {
        let _ = writeln!(page.text, "  ! {}", warning.text);
        if let Some(next) = warning.next {
            let _ = writeln!(page.text, "    {next}");
        }
    }
    page.text
}

struct Page<'a> {
    text: String,
    detail: &'a Detail<'a>,
}

impl Page<'_> {
    /// Appends a line with a label, or without one as a continuation.
    fn line(&mut self, label: &str, what: impl AsRef<str>) {
        let _ = writeln!(self.text, "  {label:<10} {}", what.as_ref());
    }

    fn heading(&mut self) {
        let socket = self.detail.socket;
        let name =
            if socket.name.is_unnamed() { "unnamed socket".into() } else { format::address(&socket.name) };
        let kind = socket.kind.map_or("unknown", |kind| kind.word());
        let state = format::state(socket.state);
        let mut namespace = String::new();
        format::SocketFormatter::new(self.detail.snapshot).namespace(socket.namespace, &mut namespace);
        let namespace =
            if namespace == "own" { String::new() } else { format!(", network namespace {namespace}") };
        let _ = writeln!(self.text, "{name}: {kind}, {state}, inode {}{namespace}", socket.ino);
    }

    fn owners(&mut self) {
        let owners = self.detail.owners();
        let mut label = if self.detail.is_server() { "served by" } else { "open in" };
        for (process, descriptors) in &owners {
            let line = format!("{}, {}", self.process(process), descriptor_words(descriptors));
            self.line(label, line);
            label = "";
            if let Some(title) = format::title(process, None) {
                self.line("", format!("as {title}"));
            }
        }
        if owners.is_empty() {
            let by =
                self.detail.socket.uid.map(|uid| format!("; created by {}", user(uid))).unwrap_or_default();
            self.line(label, format!("no visible process{by}"));
        }
        self.then();
    }

    /// Adds the credentials that the kernel recorded when the connection was made, or when listen
    /// was called. The current owner may be another process.
    fn then(&mut self) {
        let (snapshot, socket) = (self.detail.snapshot, self.detail.socket);
        let Some(peer) = self.detail.settings.as_ref().ok().and_then(|settings| settings.peer) else {
            return;
        };
        let (label, now) = match (socket.state, socket.peer) {
            (State::Listening, _) => ("listen by", Some(self.detail.id)),
            (State::Connected, Some(other)) => ("peer then", Some(other)),
            _ => return,
        };
        let pid = Some(peer.pid).filter(|&pid| pid > 0);
        let has_it = |id| snapshot.processes_of(id).any(|process| Some(process.pid.0) == pid);
        if now.is_some_and(has_it) {
            return;
        }
        let process = pid.map_or("a process that is not visible".into(), |pid| format!("process {pid}"));
        self.line(
            label,
            format!(
                "{process} of {}, which no longer has it open",
                peer.known_uid().map_or("an unknown user".into(), user)
            ),
        );
    }

    /// Formats `812/postgres (root), in postgresql.service, started 3d ago`.
    fn process(&self, process: &Process) -> String {
        let mut text = format!("{}/{}", process.pid, format::command(process));
        if let Some(uid) = process.uid {
            let _ = write!(text, " ({})", user(uid));
        }
        if process.workload != Workload::Unknown {
            let _ = write!(text, ", in {}", process.workload);
        }
        if let Some(age) = self.detail.now.age(process) {
            let _ = write!(text, ", started {} ago", time::about(age));
        }
        text
    }

    fn owner_words(&self, id: SocketId) -> String {
        let snapshot: &Snapshot = self.detail.snapshot;
        let mut processes = snapshot.processes_of(id);
        match (processes.next(), processes.count()) {
            (None, _) => match snapshot[id].uid {
                Some(uid) => format!("a process of {}", user(uid)),
                None => "an unknown process".into(),
            },
            (Some(process), 0) => self.process(process),
            (Some(process), others) => {
                format!("{}, and {}", self.process(process), plural(others, "more process"))
            }
        }
    }

    /// Adds the other end of a connection.
    fn peer(&mut self) {
        let socket = self.detail.socket;
        let Some(peer) = socket.peer else {
            if let Some(listener) = socket.waits_for {
                let name = format::address(&self.detail.snapshot[listener].name);
                let by = self.owner_words(listener);
                self.line("waits for", format!("{name}, served by {by}"));
            }
            return;
        };
        let other = &self.detail.snapshot[peer];
        let name = if other.name.is_unnamed() {
            String::new()
        } else {
            format!("{}, ", format::address(&other.name))
        };
        let line = self.titled(peer, format!("{name}inode {}, {}", other.ino, self.owner_words(peer)));
        self.line("other end", line);
        if let (None, Some(_)) = (other.peer, socket.may_be_from()) {
            self.line("", "which is not connected to this socket");
        }
    }

    /// Adds how old a connection is at most.
    fn opener(&mut self) {
        if let Some(opener) = self.detail.opener {
            let age = time::about(opener.age);
            self.line("opened", format!("at most {age} ago, by process {}, which started then", opener.pid));
        }
    }

    fn queue(&mut self) {
        match self.detail.socket.queue {
            Some(Queue::Backlog { waiting, limit }) => {
                let fit = u64::from(limit) + 1;
                self.line("backlog", format!("{waiting} waiting, limit {limit} ({fit} fit)"));
            }
            Some(Queue::Bytes { unsent, .. }) => {
                let mut line = unread(self.detail.socket);
                let limit = self.detail.socket.memory.map(|memory| memory.send_limit_bytes);
                if let Some(limit) = limit {
                    let _ = write!(line, "; {unsent} of {limit} bytes of the send buffer used");
                }
                self.line("queue", line);
                if self.detail.socket.kind == Some(stoop::Kind::Datagram) {
                    self.message_limit();
                }
            }
            None => {}
        }
        let shut = match self.detail.socket.shutdown {
            (false, false) => return,
            (true, false) => "for reading",
            (false, true) => "for writing",
            (true, true) => "for reading and writing",
        };
        self.line("shut down", shut);
    }

    /// Adds how many messages fit. Only the BPF program reports the limit of the socket itself.
    fn message_limit(&mut self) {
        // One more message than the limit fits (K-DGRAM-3).
        let fit = |limit: u32| plural(limit as usize + 1, "message");
        match (self.detail.socket.messages, self.detail.limits.max_dgram_qlen) {
            (Some(messages), _) => {
                let fit = fit(messages.limit);
                self.line("", format!("{fit} fit, of senders that are not connected to it alone"));
            }
            (None, Some(most)) => {
                let fit = fit(most);
                self.line("", format!("{fit} fit if it was created with today's max_dgram_qlen, {most}"));
            }
            (None, None) => {}
        }
    }

    fn file(&mut self) {
        let Some(file) = &self.detail.file else { return };
        let fate = match file.fate {
            FileState::There => "",
            FileState::Gone => ", removed",
            FileState::NotThere => ", removed or moved",
            FileState::Replaced { .. } => ", replaced by another file",
            FileState::Covered => ", covered by a mount",
            FileState::Unmounted => ", unmounted",
            FileState::Moved => ", moved",
            FileState::Unknown => ", not accessible from here",
        };
        let view = match file.view {
            None => "",
            Some(ViewDifference::PrivateTmp) => ", in the private /tmp of its process",
            Some(ViewDifference::Root) => ", below the root directory of its process",
            Some(ViewDifference::Mounts) => ", in the mount namespace of its process",
        };
        // The view is that of the name. The path, if it is another one, leads there from here.
        match &file.bound_as {
            None => self.line("file", format!("{}{fate}{view}", format::path(&file.path))),
            Some(name) => {
                self.line("file", format!("{}{fate}", format::path(&file.path)));
                self.line("", format!("bound as {}{view}", format::path(name)));
            }
        }
        if let Some(now) = &file.moved_to {
            self.line("", format!("now {}", format::path(now)));
        }
        if let Some(line) = status_line(file) {
            self.line("", line);
        }
    }

    /// Adds the containers and other views of the file system that have the file.
    fn mounted_in(&mut self) {
        let mut label = "mounted in";
        for view in &self.detail.mounted_in {
            let place = match &view.workload {
                Workload::Unknown => String::new(),
                place => format!("{place}, "),
            };
            let command = stoop::escaped(&view.command);
            let path = format::path(&view.path);
            self.line(label, format!("{place}process {}/{command}, at {path}", view.pid));
            label = "";
        }
    }

    /// Adds the well-known service that has the address.
    fn service(&mut self) {
        if let Some(service) = recognise(&self.detail.socket.name) {
            self.line("service", service.what);
        }
    }

    fn settings(&mut self) {
        let settings = match &self.detail.settings {
            Ok(settings) => settings,
            Err(_) if self.detail.socket.owners.is_empty() => return,
            Err(why) => return self.line("options", format!("unknown: {why}")),
        };
        let options = [
            (settings.passes_credentials, "senders' credentials"),
            (settings.passes_pidfd == Some(true), "senders' pidfds"),
            (settings.passes_label == Some(true), "senders' labels"),
        ];
        let on: Vec<&str> = options.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
        let mut line = format!("send buffer {} bytes", settings.send_buffer_bytes);
        if !on.is_empty() {
            let _ = write!(line, "; messages carry {}", on.join(", "));
        }
        if settings.passes_descriptors == Some(false) {
            line.push_str("; file descriptors are refused");
        }
        if let Some(offset) = settings.peek_offset {
            let _ = write!(line, "; peek offset {offset}");
        }
        self.line("options", line);
    }

    fn clients(&mut self, all: bool) {
        let clients = &self.detail.clients;
        if clients.is_empty() {
            if self.detail.is_server() {
                self.line("clients", "none");
            }
            return;
        }
        let lines = merged(clients.iter().map(|client| self.client(client)));
        self.list("clients", clients.len(), lines, all);
        for client in clients {
            if let Some(peeked) = &client.peeked {
                let title = format!("unread of inode {}", self.detail.snapshot[client.client].ino);
                self.bytes(&title, peeked);
            }
        }
    }

    fn client(&self, client: &Client) -> String {
        let snapshot = self.detail.snapshot;
        let unread = |id: SocketId| snapshot[id].unread_bytes().unwrap_or(0);
        let mut line = self.owner_words(client.client);
        let server = client.server.map_or(0, unread);
        if server > 0 {
            let _ = write!(line, "; server has not read {}", plural(server as usize, "byte"));
        }
        if unread(client.client) > 0 {
            let _ = write!(line, "; client has not read {}", plural(unread(client.client) as usize, "byte"));
        }
        let differs = client.server.filter(|&end| {
            let pid = |id| crate::sockets::Row::process(snapshot, id);
            pid(end).is_some() && pid(end) != pid(self.detail.id)
        });
        if let Some(end) = differs {
            let _ = write!(line, "; served by {}", self.owner_words(end));
        }
        self.titled(client.client, line)
    }

    /// Appends the command line of the process that has a socket, last because it may be any text.
    fn titled(&self, id: SocketId, mut line: String) -> String {
        let process = self.detail.snapshot.processes_of(id).next();
        if let Some(title) = process.and_then(|process| format::title(process, Some(format::TITLE))) {
            let _ = write!(line, ", as {title}");
        }
        line
    }

    fn waiting(&mut self, all: bool) {
        let waiting = &self.detail.socket.waiting;
        if waiting.is_empty() {
            return;
        }
        let lines = merged(waiting.iter().map(|&id| self.titled(id, self.owner_words(id))));
        self.list("waiting", waiting.len(), lines, all);
    }

    /// Adds a list of lines, truncated unless `all` is set.
    fn list(&mut self, label: &str, count: usize, lines: Vec<(String, usize)>, all: bool) {
        self.line(label, count.to_string());
        let shown = if all { lines.len() } else { CLIENTS };
        for (line, times) in lines.iter().take(shown) {
            let times = if *times > 1 { format!("  ×{times}") } else { String::new() };
            let _ = writeln!(self.text, "    {line}{times}");
        }
        let rest: usize = lines.iter().skip(shown).map(|(_, times)| times).sum();
        if rest > 0 {
            let _ = writeln!(self.text, "    and {rest} more (--all-clients)");
        }
    }

    fn peeked(&mut self) {
        if let Some(peeked) = &self.detail.peeked {
            self.bytes("unread", peeked);
        }
    }

    fn bytes(&mut self, title: &str, peeked: &Result<Vec<u8>, String>) {
        match peeked {
            Ok(bytes) => {
                let _ = writeln!(self.text, "    {title}, first {}:", plural(bytes.len(), "byte"));
                self.text.push_str(&dump(bytes, "      "));
            }
            Err(why) => drop(writeln!(self.text, "    {title}: unknown: {why}")),
        }
    }
}
