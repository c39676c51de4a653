//! Formats the graph as JSON lines, a stable interface: a `node` for each box, then an `edge` for
//! each arrow.

use serde::Serialize;
use stoop_inspect::Snapshot;

use super::super::graph::Graph;
use crate::output::{SCHEMA, push_json};
use crate::sockets::missing_json;

#[derive(Serialize)]
struct Node<'a> {
    schema: u32,
    event: &'static str,
    /// The number by which edges refer to it, valid only within one output.
    node: usize,
    name: &'a str,
    pids: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    serves: Vec<Served<'a>>,
}

#[derive(Serialize)]
struct Served<'a> {
    address: &'a str,
    /// The present path of its file, if that is not the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u32>,
}

#[derive(Serialize)]
struct Edge<'a> {
    schema: u32,
    event: &'static str,
    client: usize,
    server: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    connections: u32,
    waiting: u32,
}

/// Returns all lines.
pub(in crate::commands::tree) fn render(graph: &Graph, snapshot: &Snapshot) -> String {
    let mut text = Vec::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        let serves = node.ports.iter().map(|port| Served {
            address: &port.name,
            path: port.path.as_deref(),
            kind: port.kind.map(|kind| kind.word()),
            waiting: port.backlog.map(|(waiting, _)| waiting),
            backlog: port.backlog.map(|(_, limit)| limit),
        });
        let group = Some(graph.groups[node.group].full.as_str()).filter(|full| !full.is_empty());
        let line = Node {
            schema: SCHEMA,
            event: "node",
            node: number,
            name: &node.name,
            pids: node.pids.iter().map(|pid| pid.0).collect(),
            group,
            serves: serves.collect(),
        };
        push_json(&line, &mut text);
    }
    for edge in &graph.edges {
        let line = Edge {
            schema: SCHEMA,
            event: "edge",
            client: edge.client,
            server: edge.server,
            address: edge.port.map(|port| graph.nodes[edge.server].ports[port].name.as_str()),
            connections: edge.connections,
            waiting: edge.waiting,
        };
        push_json(&line, &mut text);
    }
    missing_json(&snapshot.missing, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
