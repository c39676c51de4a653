//! Draws the graph as a self-contained SVG: without scripts, external fonts or images, and light or
//! dark as the viewer prefers. Pure.

use std::fmt::Write as _;

use super::super::graph::{Edge, Graph, GroupKind, Node};
use super::geometry::{Layout, Point, Rect};
use super::layout::layout;
use super::metrics::{HEAD, NAME, PORT, PORTS, TITLE};
use crate::output::{escape, truncate_middle};
use crate::sockets::format::plural;

const STYLE: &str = include_str!("tree.css");

/// The margin, and the height of the heading.
const MARGIN: f64 = 32.0;
const HEADING: f64 = 64.0;
/// The minimum width for a heading.
const NODE_WIDTH_MIN: f64 = 560.0;
/// How far an arrow within a group extends beyond its side.
const BULGE: f64 = 30.0;
const TIP: f64 = 7.0;

/// Returns the whole file.
pub(in crate::commands::tree) fn render(graph: &Graph) -> String {
    let layout = layout(graph);
    let (width, height) =
        (layout.width.max(NODE_WIDTH_MIN) + 2.0 * MARGIN, layout.height + HEADING + 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n<title>Unix sockets</title>\n<style>{STYLE}{}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        hover(graph)
    );
    push_heading(graph, &mut text);
    let _ = writeln!(text, "<g transform=\"translate({MARGIN} {:.0})\">", MARGIN + HEADING);
    for frame in &layout.frames {
        let group = &graph.groups[frame.group];
        let Rect { x, y, width, height } = frame.rect;
        let _ = writeln!(
            text,
            "<g class=\"{}\"><title>{}</title><rect class=\"frame\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"12\"/>\
             <text class=\"title\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            class(group.kind),
            escape(&group.full),
            x + 14.0,
            y + TITLE - 8.0,
            escape(&truncate_middle(&group.title, NAME)),
        );
    }
    // SVG has no depth: what is written later covers what was written before. Arrows lie over the
    // frames, and boxes over the arrows.
    for (at, edge) in graph.edges.iter().enumerate() {
        push_edge(graph, edge, &layout.paths[at], &mut text);
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        push_node(graph, at, node, &layout, &mut text);
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// Returns the style that fades all arrows but a node's own while the pointer is over the node.
fn hover(graph: &Graph) -> String {
    let mut rules = String::new();
    for at in 0..graph.nodes.len() {
        // `:has` lets the style of one element depend on another, without a script.
        let _ = writeln!(rules, "svg:has(#n{at}:hover) .edge:not(.n{at}) {{ opacity: .1; }}");
    }
    rules
}

fn push_heading(graph: &Graph, text: &mut String) {
    let processes = plural(graph.nodes.iter().map(|node| node.pids.len()).sum(), "process");
    let connections = graph.edges.iter().map(|edge| edge.connections as usize).sum();
    let connections = plural(connections, "connection");
    let _ = writeln!(
        text,
        "<text class=\"head\" x=\"{MARGIN}\" y=\"{}\">Unix sockets</text>\
         <text class=\"soft\" x=\"{MARGIN}\" y=\"{}\">{processes}, {connections}; arrows lead from clients to servers</text>",
        MARGIN + 16.0,
        MARGIN + 38.0
    );
    let mut x = MARGIN + 150.0;
    for (kind, word) in
        [(GroupKind::Container, "container"), (GroupKind::Unit, "unit"), (GroupKind::Session, "session")]
    {
        if graph.groups.iter().any(|group| group.kind == kind) {
            let _ = writeln!(
                text,
                "<g class=\"{}\"><rect class=\"frame\" x=\"{x}\" y=\"{}\" width=\"14\" height=\"14\" rx=\"4\"/><text class=\"soft\" x=\"{}\" y=\"{}\">{word}</text></g>",
                class(kind),
                MARGIN + 4.0,
                x + 20.0,
                MARGIN + 15.0
            );
            x += 96.0;
        }
    }
}

fn class(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Container => "container",
        GroupKind::Unit => "unit",
        GroupKind::Session => "session",
        GroupKind::Loose => "loose",
    }
}

fn push_node(graph: &Graph, at: usize, node: &Node, layout: &Layout, text: &mut String) {
    let Rect { x, y, width, height } = layout.nodes[at];
    let group = &graph.groups[node.group];
    let pids =
        if node.pids.is_empty() { "hidden processes".into() } else { format!("pid {}", node.pid_words(40)) };
    let within = if group.full.is_empty() { String::new() } else { format!("\nin {}", group.full) };
    let _ = writeln!(
        text,
        "<g class=\"{}\" id=\"n{at}\"><title>{}</title>\
         <rect class=\"card\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"7\"/>\
         <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        class(group.kind),
        escape(&format!("{}\n{pids}{within}", node.name)),
        x + 12.0,
        y + HEAD - 8.0,
        escape(&truncate_middle(&node.name, NAME)),
    );
    let number = match &node.pids[..] {
        [] => String::new(),
        [pid] => pid.to_string(),
        pids => format!("×{}", pids.len()),
    };
    let _ = writeln!(
        text,
        "<text class=\"soft\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{number}</text>",
        x + width - 10.0,
        y + HEAD - 8.0
    );
    push_ports(node, (x, y), width, text);
    text.push_str("</g>\n");
}

fn push_ports(node: &Node, (x, y): Point, width: f64, text: &mut String) {
    for (number, port) in node.ports.iter().enumerate().take(PORTS + 1) {
        let middle = y + HEAD + number as f64 * PORT + PORT / 2.0;
        if number == PORTS {
            let rest: Vec<&str> = node.ports[PORTS..].iter().map(|port| port.name.as_str()).collect();
            let _ = writeln!(
                text,
                "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\"><title>{}</title>and {} more</text>",
                x + 16.0,
                middle + 4.0,
                escape(&rest.join("\n")),
                rest.len()
            );
            return;
        }
        let tip = format!("{}\n{}", port.name, port.words());
        let _ = write!(
            text,
            "<g><title>{}</title><circle class=\"dot\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"3.5\"/>\
             <text class=\"port\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            escape(&tip),
            x + 12.0,
            middle + 4.0,
            escape(&truncate_middle(&port.name, NAME)),
        );
        let (class, note) = match port.backlog {
            Some((waiting @ 1.., limit)) => ("port alarm", format!("{waiting}/{}", u64::from(limit) + 1)),
            _ if port.connections > 1 => ("soft", format!("×{}", port.connections)),
            _ => ("soft", String::new()),
        };
        let _ = write!(
            text,
            "<text class=\"{class}\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{note}</text>",
            x + width - 10.0,
            middle + 4.0
        );
        text.push_str("</g>\n");
    }
}

fn push_edge(graph: &Graph, edge: &Edge, points: &[Point], text: &mut String) {
    let [.., end] = points else { return };
    let (client, server) = (&graph.nodes[edge.client], &graph.nodes[edge.server]);
    let name = edge.port.map_or("an unnamed pair", |port| server.ports[port].name.as_str());
    let is_pair = if edge.port.is_none() { " pair" } else { "" };
    let waits = if edge.waiting > 0 { " waiting" } else { "" };
    let _ = write!(
        text,
        "<g class=\"edge n{} n{}{is_pair}{waits}\"><title>{}</title><path d=\"{}\" stroke-width=\"{:.1}\"/>",
        edge.client,
        edge.server,
        escape(&format!("{} → {}\n{name}{}", client.part(&edge.clients), server.label(), edge.amount())),
        curve(points),
        // Ten times as many connections add one pixel.
        1.5 + f64::from(edge.connections.max(1)).log10()
    );
    let leads_left = points.len() > 1 && points[points.len() - 2].0 > end.0;
    if edge.port.is_some() {
        // The tip is a path of its own: a marker would scale with the width of the line.
        let back = if leads_left { TIP } else { -TIP };
        let (x, y) = (if leads_left { end.0 + 4.0 } else { end.0 - 4.0 }, end.1);
        let _ = write!(text, "<path class=\"tip\" d=\"M{x:.1} {y:.1}l{back:.1} -4v8z\"/>",);
    }
    text.push_str("</g>\n");
}

/// Draws curves from column to column that start and end horizontally, with straight lanes. Within
/// a group, goes around its side.
fn curve(points: &[Point]) -> String {
    let mut path = String::new();
    let [first, rest @ ..] = points else { return path };
    let _ = write!(path, "M{:.1} {:.1}", first.0, first.1);
    if let [end] = rest
        && (end.0 - first.0).abs() < 1.0
    {
        // Both control points lie to the left at the heights of the ends: a loop around the side.
        let side = first.0 - BULGE;
        // A pair within one node starts above its line and ends below it.
        let apart = if first == end { 10.0 } else { 0.0 };
        let _ = write!(
            path,
            "C{side:.1} {:.1} {side:.1} {:.1} {:.1} {:.1}",
            first.1 - apart,
            end.1 + apart,
            end.0,
            end.1
        );
        return path;
    }
    let mut from = first;
    for to in rest {
        if (from.1 - to.1).abs() < 0.5 {
            let _ = write!(path, "H{:.1}", to.0);
        } else {
            let half = (from.0 + to.0) / 2.0;
            let _ = write!(path, "C{half:.1} {:.1} {half:.1} {:.1} {:.1} {:.1}", from.1, to.1, to.0, to.1);
        }
        from = to;
    }
    path
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::commands::tree::graph::graph;
    use crate::sockets::{rows, sample};

    /// Every element has its own end tag, and no text contains markup.
    fn is_well_formed(text: &str) {
        let mut open = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>') || open.last() == Some(&"style"), "{}", &rest[..start]);
            let end = start + rest[start..].find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            match tag {
                _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
                _ if tag.ends_with('/') => {}
                _ => open.push(name),
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_svg_is_well_formed_for_any_name() {
        let mut machine = sample::busy();
        let hostile =
            ["<script>alert(1)</script>", "a\"b' onload=", "]]>&amp;<!--", "\u{1b}\u{0}\u{202e}", "日本語"];
        for (process, name) in machine.processes.values_mut().zip(hostile.iter().cycle()) {
            process.command = (*name).into();
        }
        let text = render(&graph(&machine, &rows(&machine), &HashMap::new(), true, true));
        is_well_formed(&text);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        assert!(!text.contains("<script") && !text.contains("href") && !text.contains("http://e"));
        is_well_formed(&render(&Graph::default()));
    }

    #[test]
    fn nothing_overlaps_or_is_outside() {
        let machine = sample::busy();
        let graph = graph(&machine, &rows(&machine), &HashMap::new(), true, true);
        let layout = layout(&graph);
        let is_apart = |one: &Rect, other: &Rect| {
            one.x + one.width <= other.x
                || other.x + other.width <= one.x
                || one.y + one.height <= other.y
                || other.y + other.height <= one.y
        };
        let frames: Vec<Rect> = layout.frames.iter().map(|frame| frame.rect).collect();
        for all in [&layout.nodes, &frames] {
            for (at, one) in all.iter().enumerate() {
                assert!(all[..at].iter().all(|other| is_apart(one, other)), "{one:?}");
                assert!(one.x >= 0.0 && one.y >= 0.0, "{one:?}");
                let (right, bottom) = (layout.width + 0.1, layout.height + 0.1);
                assert!(one.x + one.width <= right && one.y + one.height <= bottom, "{one:?}");
            }
        }
        for points in &layout.paths {
            assert!(points.len() >= 2 && points.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
        }
    }
}
