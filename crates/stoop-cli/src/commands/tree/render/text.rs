//! Formats the graph for a terminal: groups, their processes, and the sockets each serves with
//! their clients. Each connection is shown once, at its server. Pure.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::super::graph::{Edge, Graph, GroupKind, Node, Port};

/// The heading for processes that are in no container, unit or session.
const LOOSE: &str = "(no container, unit or session)";

/// Returns the lines.
pub(in crate::commands::tree) fn render(graph: &Graph) -> String {
    let mut text = String::new();
    let mut group = None;
    let clients: HashSet<usize> = graph.edges.iter().map(|edge| edge.client).collect();
    // A node that only uses sockets is shown at those.
    let has_more = |at: usize| !graph.nodes[at].ports.is_empty() || !graph.edges_at(at, None).is_empty();
    for (at, node) in graph.nodes.iter().enumerate() {
        if clients.contains(&at) && !has_more(at) {
            continue;
        }
        if group != Some(node.group) {
            group = Some(node.group);
            if !text.is_empty() {
                text.push('\n');
            }
            let title = &graph.groups[node.group];
            let title = if title.kind == GroupKind::Loose { LOOSE } else { title.full.as_str() };
            let _ = writeln!(text, "{title}");
        }
        push_node(graph, at, &mut text);
    }
    text
}

fn push_node(graph: &Graph, at: usize, text: &mut String) {
    let node = &graph.nodes[at];
    let pids = if node.pids.len() > 1 { format!("  ({})", node.pid_words(8)) } else { String::new() };
    let _ = writeln!(text, "  {}{pids}", node.label());
    for (number, port) in node.ports.iter().enumerate() {
        let _ = writeln!(text, "    serves {}", served(port));
        for edge in graph.edges_at(at, Some(number)) {
            let _ = writeln!(text, "      <- {}{}", client(graph, edge, node.group), edge.amount());
        }
    }
    for edge in graph.edges_at(at, None) {
        let _ = writeln!(text, "    paired with {}{}", client(graph, edge, node.group), edge.amount());
    }
}

/// Formats `/run/app.sock (stream, 2 waiting, room for 129)`.
fn served(port: &Port) -> String {
    format!("{} ({})", port.name, port.words())
}

/// Formats the client's processes that have connected.
fn client(graph: &Graph, edge: &Edge, group: usize) -> String {
    let node = &graph.nodes[edge.client];
    somewhere(graph, node, group, node.part(&edge.clients))
}

/// Appends the group if it differs from that of the node above.
fn somewhere(graph: &Graph, node: &Node, group: usize, name: String) -> String {
    let title = &graph.groups[node.group].title;
    if node.group == group || title.is_empty() { name } else { format!("{name}, in {title}") }
}
