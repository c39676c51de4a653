//! Finds the socket, and shows what was gathered.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use stoop_inspect::internal::{Hindrance, hindrance};
use stoop_inspect::{Inspector, Options, Pid, Queue, Snapshot, SocketId, State};

use super::detail::{self, Client, Common, Detail};
use super::render::{json, text};
use super::traffic::Twice;
use crate::args::Who;
use crate::failure::Outcome;
use crate::output::{color_warnings, print, status};
use crate::sockets::{Completeness, ResolvedSelector, note};

/// The maximum number of sockets shown, unless all are requested.
const SHOWN: usize = 20;
/// How long to observe whether a client is accepted.
const OBSERVATION_TIME: Duration = Duration::from_millis(200);

/// Shows the selected sockets.
pub(crate) fn run(flags: &Who) -> Outcome {
    flags.quiet.apply();
    let wanted = ResolvedSelector::new(&flags.which)?;
    let mut inspector = Inspector::new(options());
    let snapshot = inspector.snapshot();
    let mut found = wanted.find(&snapshot);
    let mut is_by_name = false;
    if found.is_empty() {
        found = wanted.of_that_name(&snapshot);
        is_by_name = true;
    }
    if found.is_empty() {
        status(&note(&snapshot.missing));
        return Err(wanted.not_found(&flags.which, &snapshot, "who"));
    }
    let total = found.len();
    if !flags.json && !flags.all {
        found = most_important(&snapshot, found);
    }
    let asked = (&wanted, is_by_name);
    let mut text = describe(flags, &mut inspector, &snapshot, &found, asked);
    if total > found.len() {
        text.push_str(&format!("\n… and {} more: --all\n", grouped(total - found.len())));
    }
    print(if flags.json { text } else { color_warnings(text) }.as_bytes())?;
    status(&note(&snapshot.missing));
    Ok(Completeness::of(&snapshot).exit())
}

/// Returns the details of these sockets, as text or as JSON lines. `asked` is the selector, and
/// whether it found them by the name they were bound to.
fn describe(
    flags: &Who,
    inspector: &mut Inspector,
    snapshot: &Snapshot,
    found: &[SocketId],
    asked: (&ResolvedSelector, bool),
) -> String {
    let mut clients = detail::clients(snapshot, found);
    let later = later(inspector, snapshot, found, &clients);
    let twice = Twice::new(snapshot, later.as_ref());
    let mut hindrances = Hindrances::default();
    let common = Common::read();
    let (mut pages, mut lines) = (Vec::new(), Vec::new());
    for &id in found {
        let its = clients.remove(&id).unwrap_or_default();
        let mut detail = Detail::of(snapshot, id, its, asked, common, flags.peek);
        detail.traffic = twice.traffic(id, &detail.clients);
        detail.hindrances = hindrances.of(snapshot, id);
        if flags.json {
            json::line(&detail, &mut lines);
        } else {
            pages.push(text::render(&detail, flags.all_clients || flags.all));
        }
    }
    if flags.json { String::from_utf8(lines).unwrap_or_default() } else { pages.join("\n") }
}

/// Returns the sockets to show if there are too many: those that serve first, then those with
/// something in their queue, then those with a name.
fn most_important(snapshot: &Snapshot, mut found: Vec<SocketId>) -> Vec<SocketId> {
    if found.len() <= SHOWN {
        return found;
    }
    found.sort_by_key(|&id| {
        let socket = &snapshot[id];
        let is_busy = match socket.queue {
            Some(Queue::Backlog { waiting, .. }) => waiting > 0,
            _ => socket.unread_bytes().is_some_and(|bytes| bytes > 0),
        };
        (socket.state != State::Listening, !is_busy, socket.name.is_unnamed(), id)
    });
    found.truncate(SHOWN);
    found
}

/// Formats a number with a comma after each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

fn options() -> Options {
    let mut options = Options::default();
    options.process_states = true;
    options.workloads = true;
    options.process_namespaces = true;
    options.memory = true;
    options.in_flight = true;
    options.command_lines = true;
    options
}

/// Takes a second snapshot a moment later, if something may be wrong that lasts.
fn later(
    inspector: &mut Inspector,
    snapshot: &Snapshot,
    found: &[SocketId],
    clients: &HashMap<SocketId, Vec<Client>>,
) -> Option<Snapshot> {
    Twice::is_needed(snapshot, found, clients).then(|| {
        thread::sleep(OBSERVATION_TIME);
        inspector.snapshot()
    })
}

/// Finds what keeps processes from answering, each process once.
#[derive(Default)]
struct Hindrances(HashMap<Pid, Option<Hindrance>>);

impl Hindrances {
    fn of(&mut self, snapshot: &Snapshot, id: SocketId) -> Vec<(Pid, Hindrance)> {
        let pids = snapshot.processes_of(id).map(|process| process.pid);
        let mut find = |pid: Pid| self.0.entry(pid).or_insert_with(|| hindrance(pid.0)).clone();
        pids.filter_map(|pid| Some((pid, find(pid)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::detail::{Limits, Traffic};
    use super::super::file::{FileFacts, FileState, Status};
    use super::super::warnings::warnings;
    use super::*;
    use crate::sockets::Now;
    use crate::sockets::opener::Opener;
    use crate::sockets::sample;
    use stoop_inspect::Socket;
    use stoop_inspect::internal::AskerRights;

    /// Gathers a socket of the sample, with everything that root could see.
    fn detail(snapshot: &Snapshot, at: usize) -> Detail<'_> {
        let (id, socket) = (SocketId::new(at), &snapshot.sockets[at]);
        let of_it = snapshot.connections().filter(|connection| connection.listener == Some(id));
        let clients = of_it.filter(|connection| connection.server.is_some());
        let clients = clients.map(|c| Client { client: c.client, server: c.server, peeked: None });
        let status = Status {
            mode: 0o777,
            uid: 0,
            gid: 0,
            has_acl: true,
            made: Some(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
            others_may_enter: Some(true),
        };
        let file = socket.name.as_pathname().map(|path| FileFacts {
            path: path.to_owned(),
            bound_as: None,
            bound: socket.file,
            fate: FileState::There,
            status: Some(status),
            moved_to: None,
            view: None,
            asked: None,
        });
        Detail {
            snapshot,
            id,
            socket,
            clients: clients.collect(),
            traffic: Traffic::default(),
            hindrances: Vec::new(),
            asker: (0, AskerRights::ALL),
            is_queue_full: false,
            mounted_in: Vec::new(),
            file,
            settings: Err("operation not permitted (EPERM)".into()),
            peeked: None,
            opener: None,
            limits: Limits { somaxconn: Some(4096), max_dgram_qlen: Some(10) },
            now: Now { since_boot: Duration::from_secs(100_000), ticks_per_second: 100 },
        }
    }

    #[test]
    fn details_match_the_golden_files() {
        let mut machine = sample::machine();
        let database = machine.processes.get_mut(&Pid(812)).unwrap();
        database.start = Some(5_000_000);
        let mut of_database = detail(&machine, sample::DATABASE);
        of_database.traffic = Traffic { is_nobody_accepted: true, leaked: 2, ..Traffic::default() };
        of_database.hindrances = vec![(Pid(812), Hindrance::Stopped)];
        of_database.clients[0].peeked = Some(Ok(b"SELECT \x1b\xff".to_vec()));
        let mut of_bus = detail(&machine, sample::BUS);
        let file = of_bus.file.as_mut().unwrap();
        (file.fate, file.moved_to) = (FileState::Moved, Some("/run/dbus/old name".into()));
        let mut text = String::new();
        let mut json = Vec::new();
        let waiting = detail(&machine, sample::WAITING);
        let mut hostile = detail(&machine, sample::HOSTILE);
        hostile.opener = Some(Opener { pid: 4711, age: Duration::from_secs(7_260) });
        for detail in [&of_database, &of_bus, &waiting, &hostile] {
            text.push_str(&text::render(detail, false));
            text.push('\n');
            json::line(detail, &mut json);
        }
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        sample::golden("who.txt", &text);
        sample::golden("who.json", std::str::from_utf8(&json).unwrap());
    }

    #[test]
    fn each_file_state_has_its_warning() {
        let machine = sample::machine();
        let codes = |fate: FileState| {
            let mut detail = detail(&machine, sample::BUS);
            detail.file.as_mut().unwrap().fate = fate;
            warnings(&detail).iter().map(|warning| warning.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(FileState::There), ["world_writable"]);
        assert_eq!(codes(FileState::Gone), ["file_removed"]);
        assert_eq!(codes(FileState::Replaced { by_socket: true }), ["file_replaced"]);
        assert_eq!(codes(FileState::Moved), ["file_moved", "world_writable"]);
        assert_eq!(codes(FileState::Covered), ["file_covered"]);
        assert_eq!(codes(FileState::Unmounted), ["file_unmounted"]);
        assert_eq!(codes(FileState::NotThere), ["file_not_there"]);
        assert_eq!(codes(FileState::Unknown), [""; 0]);
    }

    #[test]
    fn each_socket_problem_has_its_warning() {
        let machine = sample::machine();
        let codes = |at: usize, adjust: &dyn Fn(&mut Socket), is_full: bool| {
            let mut socket = machine.sockets[at].clone();
            adjust(&mut socket);
            let detail = Detail { socket: &socket, is_queue_full: is_full, ..detail(&machine, at) };
            warnings(&detail).iter().map(|warning| warning.code).collect::<Vec<_>>()
        };
        let plain = |_: &mut Socket| {};
        assert_eq!(codes(sample::BUS, &plain, false), ["world_writable"]);
        assert_eq!(codes(sample::LOG, &plain, true), ["queue_full", "world_writable"]);
        assert_eq!(codes(sample::BUS, &|bus| bus.shutdown.0 = true, false), ["shut_down", "world_writable"]);
        assert_eq!(codes(sample::BUS, &|bus| bus.state = State::Bound, false), ["not_listening"]);
        assert_eq!(codes(sample::BUS, &|bus| bus.owners.clear(), false), ["no_owner", "world_writable"]);
        let in_flight = |bus: &mut Socket| bus.in_flight = Some(2);
        assert_eq!(codes(sample::BUS, &in_flight, false), ["descriptors_in_flight", "world_writable"]);
        let nearly = |bus: &mut Socket| bus.queue = Some(Queue::Backlog { waiting: 4, limit: 4 });
        assert_eq!(codes(sample::BUS, &nearly, false), ["backlog_nearly_full", "world_writable"]);
        let full = |bus: &mut Socket| bus.queue = Some(Queue::Backlog { waiting: 5, limit: 4 });
        assert_eq!(codes(sample::BUS, &full, false), ["backlog_full", "world_writable"]);
        assert_eq!(codes(sample::HOSTILE, &plain, false), ["backlog_full", "abstract_open"]);
    }

    #[test]
    fn of_many_sockets_the_most_important_are_shown() {
        let machine = sample::busy();
        let all: Vec<SocketId> = machine.iter().map(|(id, _)| id).collect();
        assert!(all.len() > 5 * SHOWN);
        let shown = most_important(&machine, all);
        assert_eq!(shown.len(), SHOWN);
        assert!(shown.iter().all(|&id| machine[id].state == State::Listening));
        assert_eq!(most_important(&machine, shown.clone()), shown, "few are in their order");
    }

    #[test]
    fn large_numbers_are_grouped() {
        let table = [(0, "0"), (980, "980"), (17_980, "17,980"), (1_000_000, "1,000,000")];
        for (number, text) in table {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn long_client_lists_are_truncated() {
        let machine = sample::busy();
        let text = text::render(&detail(&machine, 0), false);
        assert!(text.contains("more (--all-clients)"), "{text}");
        assert!(!text::render(&detail(&machine, 0), true).contains("more ("));
    }
}
