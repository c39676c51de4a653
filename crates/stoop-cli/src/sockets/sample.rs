//! A small machine made by hand, for tests of the output: a bus, a database with clients in
//! containers, a log, and names that try to imitate other output.

use stoop::{Address, Kind};
use stoop_inspect::FileId;
use stoop_inspect::{
    Missing, Owner, Pid, Process, Queue, Snapshot, Socket, SocketId, SocketIno, State, What, Workload,
};

pub(crate) const BUS: usize = 0;
pub(crate) const DATABASE: usize = 3;
pub(crate) const WAITING: usize = 8;
pub(crate) const LOG: usize = 9;
pub(crate) const HOSTILE: usize = 12;

/// Returns the machine.
pub(crate) fn machine() -> Snapshot {
    let mut machine = Machine::default();
    let bus = machine.listener("/run/dbus/system_bus_socket", &[(1, 44), (412, 3)], (0, 4096));
    machine.connection(bus, (412, 7), (600, 12));
    let database = machine.listener("/var/run/postgresql/.s.PGSQL.5432", &[(812, 5)], (1, 244));
    assert_eq!((bus, database), (BUS, DATABASE));
    for fd in 8..10 {
        let (server, _) = machine.connection(database, (812, fd), (2040, 10 + fd));
        machine.sockets[server].queue = Some(Queue::Bytes { unread: 120, unsent: 0 });
    }
    let waiting = machine.socket(Kind::Stream, State::Waiting, &[(2040, 30)]);
    assert_eq!(waiting, WAITING);
    machine.sockets[waiting].waits_for = Some(SocketId::new(database));
    machine.sockets[database].waiting = vec![SocketId::new(waiting)];
    let log = machine.socket(Kind::Datagram, State::Bound, &[(1, 30), (300, 3)]);
    assert_eq!(log, LOG);
    machine.sockets[log].name = Address::path("/run/systemd/journal/dev-log").unwrap();
    let sender = machine.socket(Kind::Datagram, State::Connected, &[(600, 4)]);
    machine.sockets[sender].peer = Some(SocketId::new(log));
    let one = machine.socket(Kind::Stream, State::Connected, &[(700, 8)]);
    let hostile = machine.socket(Kind::SeqPacket, State::Listening, &[(666, 3)]);
    assert_eq!(hostile, HOSTILE);
    machine.sockets[hostile].name = Address::abstract_name(b"a b\x1b[2J\n\0\xff".to_vec()).unwrap();
    machine.sockets[hostile].queue = Some(Queue::Backlog { waiting: 9, limit: 8 });
    let other = machine.socket(Kind::Stream, State::Connected, &[(700, 9)]);
    machine.sockets[one].peer = Some(SocketId::new(other));
    machine.sockets[other].peer = Some(SocketId::new(one));
    machine.socket(Kind::Stream, State::Unconnected, &[(700, 11)]);
    machine.finish()
}

/// Returns the same machine, on which the database is hidden.
pub(crate) fn partly_seen() -> Snapshot {
    let mut machine = machine();
    for socket in &mut machine.sockets {
        socket.owners.retain(|owner| owner.pid != Pid(812));
    }
    let what = What::Descriptors(vec![Pid(812)]);
    machine.missing.push(Missing::because(what, "permission denied (EACCES)", Some(13)));
    machine
}

#[derive(Default)]
struct Machine {
    sockets: Vec<Socket>,
}

impl Machine {
    fn socket(&mut self, kind: Kind, state: State, owners: &[(u32, u32)]) -> usize {
        let ino = 1000 + self.sockets.len() as u32;
        let mut socket = Socket::new(SocketIno(ino), kind, state);
        socket.cookie = Some(u64::from(ino) + 0x10_0000);
        socket.uid = Some(0);
        socket.owners = owners.iter().map(|&(pid, fd)| Owner::new(Pid(pid), fd)).collect();
        self.sockets.push(socket);
        self.sockets.len() - 1
    }

    fn listener(&mut self, path: &str, owners: &[(u32, u32)], (waiting, limit): (u32, u32)) -> usize {
        let at = self.socket(Kind::Stream, State::Listening, owners);
        let socket = &mut self.sockets[at];
        socket.name = Address::path(path).unwrap();
        socket.file = Some(FileId { dev: 0x19, ino: 500 + at as u64 });
        socket.queue = Some(Queue::Backlog { waiting, limit });
        at
    }

    fn connection(&mut self, listener: usize, server: (u32, u32), client: (u32, u32)) -> (usize, usize) {
        let server = self.socket(Kind::Stream, State::Connected, &[server]);
        let client = self.socket(Kind::Stream, State::Connected, &[client]);
        let (name, file) = (self.sockets[listener].name.clone(), self.sockets[listener].file);
        let end = &mut self.sockets[server];
        (end.name, end.file) = (name, file);
        (end.peer, end.listener) = (Some(SocketId::new(client)), Some(SocketId::new(listener)));
        self.sockets[client].peer = Some(SocketId::new(server));
        (server, client)
    }

    fn finish(self) -> Snapshot {
        let unit = |name: &str| Workload::Unit { name: name.into(), user: None };
        let id = "0123456789abcdef".repeat(4);
        let container = Workload::Container { runtime: "docker".into(), id, pod: None };
        let processes = [
            (1, "systemd", unit("init.scope")),
            (300, "systemd-journal", unit("systemd-journald.service")),
            (412, "dbus-daemon", unit("dbus.service")),
            (600, "NetworkManager", unit("NetworkManager.service")),
            (666, "evil )\x1b]0;x\n", Workload::Unknown),
            (700, "containerd", unit("containerd.service")),
            (812, "postgres", unit("postgresql@15-main.service")),
            (2040, "web app", container),
        ];
        let processes = processes.map(|(pid, command, place)| {
            let mut process = Process::new(Pid(pid), command);
            process.workload = place;
            process.uid = Some(0);
            process
        });
        Snapshot::of(self.sockets, processes)
    }
}

/// Returns the machine of the README's picture: a web site whose workers wait for its database.
pub(crate) fn web_site() -> Snapshot {
    let unit = |name: &str| Workload::Unit { name: format!("{name}.service"), user: None };
    let container =
        |digit: &str| Workload::Container { runtime: "docker".into(), id: digit.repeat(16), pod: None };
    let (site, jobs) = (container("4f1c"), container("9e07"));
    let processes = [
        (700, "nginx", unit("nginx")),
        (812, "postgres", unit("postgresql")),
        (910, "redis-server", unit("redis-server")),
        (2040, "gunicorn", site.clone()),
        (2041, "gunicorn", site),
        (2100, "worker", jobs),
    ];
    let mut machine = Machine::default();
    let app = machine.listener("/run/app/gunicorn.sock", &[(2040, 5), (2041, 5)], (0, 2048));
    let database = machine.listener("/run/postgresql/.s.PGSQL.5432", &[(812, 5)], (2, 244));
    let cache = machine.listener("/run/redis/redis.sock", &[(910, 6)], (0, 511));
    for fd in 20..32 {
        machine.connection(app, (2040 + fd % 2, fd), (700, fd));
    }
    for (client, server, listener, connections) in
        [(2040, 812, database, 4), (2041, 812, database, 4), (2041, 910, cache, 2), (2100, 910, cache, 1)]
    {
        for fd in 40..40 + connections {
            machine.connection(listener, (server, fd), (client, fd));
        }
    }
    for fd in 60..62 {
        let waiting = machine.socket(Kind::Stream, State::Waiting, &[(2100, fd)]);
        machine.sockets[waiting].waits_for = Some(SocketId::new(database));
        machine.sockets[database].waiting.push(SocketId::new(waiting));
    }
    let processes = processes.map(|(pid, command, workload)| {
        let mut process = Process::new(Pid(pid), command);
        process.workload = workload;
        process
    });
    Snapshot::of(machine.sockets, processes)
}

/// Compares a text with the file of this name in `golden`. With `STOOP_GOLDEN=write`, writes the
/// file instead.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("STOOP_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{name} is not what is expected, but\n{text}");
}

/// Returns a machine as busy as a real one: units and containers that use each other's sockets,
/// some in cycles.
pub(crate) fn busy() -> Snapshot {
    let units = [
        "dbus",
        "systemd-logind",
        "NetworkManager",
        "polkit",
        "avahi",
        "cups",
        "docker",
        "containerd",
        "postgresql",
        "redis",
        "nginx",
        "php-fpm",
    ];
    let mut machine = Machine::default();
    let mut processes = Vec::new();
    let mut listeners = Vec::new();
    for (number, unit) in units.iter().enumerate() {
        let pid = 400 + number as u32;
        let mut process = Process::new(Pid(pid), *unit);
        process.workload = Workload::Unit { name: format!("{unit}.service"), user: None };
        processes.push(process);
        let sockets = if *unit == "docker" { 3 } else { 1 };
        for socket in 0..sockets {
            let path = format!("/run/{unit}/{}.sock", ["main", "metrics", "control"][socket]);
            listeners.push((machine.listener(&path, &[(pid, 3)], (0, 128)), pid));
        }
    }
    for container in 0..8u32 {
        let id = format!("{container:x}").repeat(64);
        for process in 0..3u32 {
            let pid = 2000 + container * 10 + process;
            let mut made = Process::new(Pid(pid), ["app", "sidecar", "logger"][process as usize]);
            made.workload = Workload::Container { runtime: "containerd".into(), id: id.clone(), pod: None };
            processes.push(made);
        }
        let pid = 2000 + container * 10;
        let own =
            machine.listener(&format!("/pod/{container}/api.sock"), &[(pid, 3)], (container / 7 * 3, 16));
        machine.connection(own, (pid, 7), (pid + 1, 5));
        listeners.push((own, pid));
    }
    for (number, (listener, server)) in listeners.clone().into_iter().enumerate() {
        for client in (0..processes.len()).filter(|client| (client * 7 + number * 13) % 23 < 2) {
            let pid = processes[client].pid.0;
            for _ in 0..=(client + number) % 4 {
                machine.connection(listener, (server, 9), (pid, 9));
            }
        }
        if number < 3 {
            for client in &processes {
                machine.connection(listener, (server, 9), (client.pid.0, 9));
            }
        }
    }
    Snapshot::of(machine.sockets, processes)
}
