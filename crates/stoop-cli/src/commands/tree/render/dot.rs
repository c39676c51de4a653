//! Formats the graph in Graphviz's DOT language. Pure.

use std::fmt::Write as _;

use super::super::graph::{Graph, GroupKind};

/// Returns a digraph with a cluster for each group.
pub(in crate::commands::tree) fn render(graph: &Graph) -> String {
    let mut text = String::from(
        "digraph sockets {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    let mut nodes = graph.nodes.iter().enumerate().peekable();
    for (at, group) in graph.groups.iter().enumerate() {
        let is_cluster = group.kind != GroupKind::Loose;
        if is_cluster {
            let _ = writeln!(text, "  subgraph cluster_{at} {{\n    label={};", quoted(&group.title));
        }
        // Nodes are ordered by group.
        while let Some((number, node)) = nodes.next_if(|(_, node)| node.group == at) {
            let tooltip = format!("{} {}", node.name, node.pid_words(64));
            let _ = writeln!(
                text,
                "    n{number} [label={}, tooltip={}];",
                quoted(&node.label()),
                quoted(&tooltip)
            );
        }
        if is_cluster {
            text.push_str("  }\n");
        }
    }
    for edge in &graph.edges {
        let port = edge.port.map(|port| graph.nodes[edge.server].ports[port].name.as_str());
        let label = format!("{}{}", port.unwrap_or_default(), edge.amount());
        let arrow = if port.is_none() { ", dir=none" } else { "" };
        let _ =
            writeln!(text, "  n{} -> n{} [label={}{arrow}];", edge.client, edge.server, quoted(label.trim()));
    }
    text.push_str("}\n");
    text
}

/// Quotes a DOT string, in which only the quote and the backslash are special.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted(r#"a"b\"#), r#""a\"b\\""#);
    }
}
