//! Converts a snapshot to a graph of processes in groups and their connections. Pure, except for
//! user names.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use stoop::Kind;
use stoop_inspect::{Pid, Process, Queue, Snapshot, SocketId, State, Workload};

use super::merge::Merged;
use crate::sockets::{Row, Shape, SocketFormatter, format};

/// Groups of processes, and their connections.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Ordered by title.
    pub(super) groups: Vec<Group>,
    /// Ordered by group and name.
    pub(super) nodes: Vec<Node>,
    /// Ordered by server, port and client.
    pub(super) edges: Vec<Edge>,
}

/// A container, a unit or a session, or the processes that are in none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group {
    pub(super) kind: GroupKind,
    pub(super) title: String,
    /// The full title.
    pub(super) full: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum GroupKind {
    Container,
    Unit,
    Session,
    /// Nothing is known that groups these processes.
    Loose,
}

/// A node: a process, several that are alike, or a hidden process.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) group: usize,
    /// The command, or the user in brackets for a hidden process.
    pub(super) name: String,
    /// In ascending order. Empty for a hidden process.
    pub(super) pids: Vec<Pid>,
    /// The sockets it serves, by name.
    pub(super) ports: Vec<Port>,
}

/// An address that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    /// The present path of its file, if that is not its name.
    pub(super) path: Option<String>,
    pub(super) kind: Option<Kind>,
    /// For a listener: the number of waiting clients, and the limit.
    pub(super) backlog: Option<(u32, u32)>,
    /// The number of connections to it, including those waiting.
    pub(super) connections: u32,
}

/// All connections from one node to one port of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) client: usize,
    pub(super) server: usize,
    /// `None` for unnamed sockets created in pairs.
    pub(super) port: Option<usize>,
    pub(super) connections: u32,
    /// The number of these that have not been accepted yet.
    pub(super) waiting: u32,
    /// The client's processes that have connected, in ascending order.
    pub(super) clients: Vec<Pid>,
}

/// Identifies a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    group: Group,
    name: String,
    /// The first of the processes that are merged. `None` for a hidden one.
    pid: Option<Pid>,
}

/// Creates the graph of these lines. With `each`, no two processes are merged into one node. With
/// `paths` are the present paths of files that are not at their names. With
/// `all`, sockets without clients and unconnected sockets are included.
pub(super) fn graph(
    snapshot: &Snapshot,
    rows: &[Row],
    paths: &HashMap<SocketId, PathBuf>,
    each: bool,
    all: bool,
) -> Graph {
    let merged = if each { Merged::default() } else { Merged::of(snapshot, rows) };
    let (formatter, nodes, edges) = (SocketFormatter::new(snapshot), BTreeMap::new(), BTreeMap::new());
    let mut builder = Builder { snapshot, paths, merged, formatter, nodes, edges };
    for row in rows {
        builder.add(row);
    }
    builder.finish(all)
}

#[derive(Clone, Debug, Default)]
struct NodeBuilder {
    pids: BTreeSet<Pid>,
    ports: BTreeMap<String, Port>,
}

/// The server, port and client of an edge.
type EdgeKey = (Key, Option<String>, Key);

struct Builder<'a> {
    snapshot: &'a Snapshot,
    paths: &'a HashMap<SocketId, PathBuf>,
    merged: Merged,
    formatter: SocketFormatter<'a>,
    nodes: BTreeMap<Key, NodeBuilder>,
    edges: BTreeMap<EdgeKey, EdgeBuilder>,
}

/// The attributes of an edge.
#[derive(Debug, Default)]
struct EdgeBuilder {
    connections: u32,
    waiting: u32,
    clients: BTreeSet<Pid>,
}

impl Builder<'_> {
    fn add(&mut self, row: &Row) {
        let snapshot = self.snapshot;
        let server = row.serving().and_then(|id| self.node(id));
        match row.shape {
            Shape::Listener | Shape::Socket => {
                if let Some(key) = server.filter(|_| row.is_served(snapshot)) {
                    self.port(&key, row, 0);
                }
            }
            Shape::Connection => {
                let client = row.client.and_then(|id| self.node(id));
                let (Some(server), Some(client)) = (server, client) else { return };
                let named = row.named(snapshot);
                let port =
                    if snapshot[named].name.is_unnamed() { None } else { Some(self.port(&server, row, 1)) };
                let joined = self.edges.entry((server, port, client)).or_default();
                joined.connections += 1;
                joined.waiting += u32::from(row.state(snapshot) == State::Waiting);
                joined.clients.extend(row.client.and_then(|id| Row::process(snapshot, id)));
            }
        }
    }

    /// Returns the node of a socket's owner, or `None` if no process has it open.
    fn node(&mut self, id: SocketId) -> Option<Key> {
        let snapshot = self.snapshot;
        let Some(pid) = Row::process(snapshot, id) else {
            let mut name = String::new();
            self.formatter.owner(Some(id), &mut name);
            let key = Key { group: Group::loose(), name, pid: None };
            return (key.name != format::NOTHING).then(|| {
                self.nodes.entry(key.clone()).or_default();
                key
            });
        };
        let process = snapshot.processes.get(&pid);
        let name = process.map_or_else(|| "?".into(), format::command);
        let group = process.map_or_else(Group::loose, Group::of);
        let key = Key { group, name, pid: Some(self.merged.first(pid)) };
        self.nodes.entry(key.clone()).or_default().pids.insert(pid);
        Some(key)
    }

    /// Records an address that a node serves, and returns its name.
    fn port(&mut self, key: &Key, row: &Row, connections: u32) -> String {
        let snapshot = self.snapshot;
        let name = format::address(&snapshot[row.named(snapshot)].name);
        let backlog = match row.serving().and_then(|id| snapshot[id].queue) {
            Some(Queue::Backlog { waiting, limit }) => Some((waiting, limit)),
            _ => None,
        };
        let path = self.paths.get(&row.named(snapshot)).map(|path| format::path(path));
        let fresh = Port { name: name.clone(), path, kind: row.kind(snapshot), backlog, connections: 0 };
        let ports = &mut self.nodes.entry(key.clone()).or_default().ports;
        let port = ports.entry(name.clone()).or_insert(fresh);
        port.connections += connections;
        port.backlog = port.backlog.or(backlog);
        name
    }

    fn finish(mut self, all: bool) -> Graph {
        if !all {
            self.edges.retain(|(server, port, client), _| port.is_some() || server != client);
            for node in self.nodes.values_mut() {
                node.ports.retain(|_, port| port.connections > 0);
            }
            let ends = self.edges.keys().flat_map(|(server, _, client)| [server, client]);
            let joined: HashSet<Key> = ends.cloned().collect();
            self.nodes.retain(|key, _| joined.contains(key));
        }
        let mut graph = Graph::default();
        let mut at = HashMap::new();
        for (key, making) in self.nodes {
            if graph.groups.last() != Some(&key.group) {
                graph.groups.push(key.group.clone());
            }
            at.insert(key.clone(), graph.nodes.len());
            let group = graph.groups.len() - 1;
            let ports = making.ports.into_values().collect();
            let pids = making.pids.into_iter().collect();
            graph.nodes.push(Node { group, name: key.name, pids, ports });
        }
        for ((server, port, client), joined) in self.edges {
            let (server, client) = (at[&server], at[&client]);
            let ports = &graph.nodes[server].ports;
            let port = port.and_then(|name| ports.binary_search_by(|port| port.name.cmp(&name)).ok());
            let EdgeBuilder { connections, waiting, clients } = joined;
            let clients = clients.into_iter().collect();
            graph.edges.push(Edge { client, server, port, connections, waiting, clients });
        }
        graph
    }
}

impl Graph {
    /// Returns the edges to one port of a server, or with `None` those of its unnamed pairs.
    pub(super) fn edges_at(&self, server: usize, port: Option<usize>) -> &[Edge] {
        let key = |edge: &Edge| (edge.server, edge.port);
        let start = self.edges.partition_point(|edge| key(edge) < (server, port));
        let end = self.edges.partition_point(|edge| key(edge) <= (server, port));
        &self.edges[start..end]
    }
}

impl Group {
    fn loose() -> Group {
        Group { kind: GroupKind::Loose, title: String::new(), full: String::new() }
    }

    fn of(process: &Process) -> Group {
        let title = process.workload.to_string();
        let (kind, full) = match &process.workload {
            Workload::Container { runtime, id, pod } => {
                let id = format::word(id.as_bytes());
                let pod = pod
                    .as_ref()
                    .map(|pod| format!(", pod {}", format::word(pod.as_bytes())))
                    .unwrap_or_default();
                (GroupKind::Container, format!("{runtime}:{id}{pod}"))
            }
            Workload::Unit { user: Some(user), .. } => (GroupKind::Unit, format!("{title} of user {user}")),
            Workload::Unit { .. } => (GroupKind::Unit, title.clone()),
            Workload::Session { .. } => (GroupKind::Session, title.clone()),
            _ => return Group::loose(),
        };
        Group { kind, title, full }
    }
}

impl Node {
    /// Formats `812/postgres`, `postgres (3 processes)` or `(root)`.
    pub(super) fn label(&self) -> String {
        match &self.pids[..] {
            [] => self.name.clone(),
            [pid] => format!("{pid}/{}", self.name),
            pids => format!("{} ({})", self.name, format::plural(pids.len(), "process")),
        }
    }

    /// Formats the same for some of its processes.
    pub(super) fn part(&self, pids: &[Pid]) -> String {
        match pids {
            [] => self.label(),
            pids if pids.len() == self.pids.len() => self.label(),
            [pid] => format!("{pid}/{}", self.name),
            pids => format!("{} ({} of {} processes)", self.name, pids.len(), self.pids.len()),
        }
    }

    /// Formats its process ids, at most `most` of them.
    pub(super) fn pid_words(&self, most: usize) -> String {
        let shown: Vec<String> = self.pids.iter().take(most).map(Pid::to_string).collect();
        let more = if self.pids.len() > shown.len() { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}

impl Port {
    /// Formats `stream, 2 waiting, room for 129`: one more client than the limit fits
    /// ([K-CONNECT-1]).
    ///
    /// [K-CONNECT-1]: stoop::kernel_facts#K-CONNECT-1
    pub(super) fn words(&self) -> String {
        let kind = self.kind.map_or("unknown", |kind| kind.word());
        let path = self.path.as_ref().map_or(String::new(), |path| format!(", now at {path}"));
        match self.backlog {
            Some((waiting @ 1.., limit)) => {
                format!("{kind}, {waiting} waiting, capacity {}{path}", u64::from(limit) + 1)
            }
            _ => format!("{kind}{path}"),
        }
    }
}

impl Edge {
    /// Formats ` ×12, 3 waiting`. Empty for a single connection.
    pub(super) fn amount(&self) -> String {
        let times = if self.connections > 1 { format!(" ×{}", self.connections) } else { String::new() };
        match self.waiting {
            0 => times,
            waiting => format!("{times}, {waiting} waiting"),
        }
    }
}
