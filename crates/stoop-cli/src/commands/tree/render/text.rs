//! Formats the graph for a terminal: groups, their processes, the sockets each serves with their
//! clients, and the sockets it uses. Pure.

use std::fmt::Write as _;

use super::super::graph::{Edge, Graph, GroupKind, Node, Port};

/// The heading for processes that are in no container, unit or session.
const LOOSE: &str = "(no container, unit or session)";

/// Returns the lines.
pub(in crate::commands::tree) fn render(graph: &Graph) -> String {
    let mut text = String::new();
    let mut group = None;
    let mut used: Vec<Vec<&Edge>> = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        used[edge.client].push(edge);
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        if group != Some(node.group) {
            group = Some(node.group);
            if !text.is_empty() {
                text.push('\n');
            }
            let title = &graph.groups[node.group];
            let title = if title.kind == GroupKind::Loose { LOOSE } else { title.full.as_str() };
            let _ = writeln!(text, "{title}");
        }
        push_node(graph, at, &used[at], &mut text);
    }
    text
}

fn push_node(graph: &Graph, at: usize, used: &[&Edge], text: &mut String) {
    let node = &graph.nodes[at];
    let pids = if node.pids.len() > 1 { format!("  ({})", node.pid_words(8)) } else { String::new() };
    let _ = writeln!(text, "  {}{pids}", node.label());
    for (number, port) in node.ports.iter().enumerate() {
        let _ = writeln!(text, "    serves {}", served(port));
        for edge in graph.edges_at(at, Some(number)) {
            let _ = writeln!(text, "      <- {}{}", client(graph, edge, node.group), edge.amount());
        }
    }
    // The sockets that it serves and uses itself are listed above.
    for edge in used.iter().filter(|edge| edge.server != at || edge.port.is_none()) {
        let server = other(graph, edge.server, node.group);
        match edge.port {
            Some(port) => {
                let name = &graph.nodes[edge.server].ports[port].name;
                let _ = writeln!(text, "    uses {name} of {server}{}", edge.amount());
            }
            None => push_pair(edge, &server, text),
        }
    }
    for edge in graph.edges_at(at, None).iter().filter(|edge| edge.client != at) {
        push_pair(edge, &client(graph, edge, node.group), text);
    }
}

fn push_pair(edge: &Edge, other: &str, text: &mut String) {
    let _ = writeln!(text, "    paired with {other}{}", edge.amount());
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

/// Formats another node.
fn other(graph: &Graph, node: usize, group: usize) -> String {
    let node = &graph.nodes[node];
    somewhere(graph, node, group, node.label())
}

/// Appends the group if it differs from that of the node above.
fn somewhere(graph: &Graph, node: &Node, group: usize, name: String) -> String {
    let title = &graph.groups[node.group].title;
    if node.group == group || title.is_empty() { name } else { format!("{name}, in {title}") }
}
