//! Measures the boxes of the picture. Each group with its nodes, or a node that is in no group, is
//! a cluster. Pure.

use super::super::graph::{Graph, GroupKind};
use crate::output::width_of;

/// The maximum width of a name in the picture, in text columns.
pub(super) const NAME: usize = 38;
/// The maximum number of ports of a node that are shown by themselves. Others share a line.
pub(super) const PORTS: usize = 10;

/// The height of the line with the name of a node, and of a line with a port.
pub(super) const HEAD: f64 = 24.0;
pub(super) const PORT: f64 = 18.0;
/// The space below the last line of a node.
const FOOT: f64 = 6.0;
/// The height of a group's title, and the space around its nodes.
pub(super) const TITLE: f64 = 26.0;
pub(super) const PAD: f64 = 12.0;
/// The width of one text column: in the name of a node, and in a port.
const CHAR_WIDTH: f64 = 7.9;
const SMALL_CHAR_WIDTH: f64 = 6.7;
const NODE_WIDTH_MIN: f64 = 120.0;

/// A group with its nodes, or a node that is in no group. It is placed as one.
pub(super) struct Cluster {
    pub(super) group: Option<usize>,
    /// The nodes, each with its distance from the top of the cluster.
    pub(super) nodes: Vec<(usize, f64)>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// All clusters.
pub(super) struct Metrics {
    pub(super) clusters: Vec<Cluster>,
    /// For each node its cluster, and its distance from the top of the cluster.
    pub(super) cluster_of: Vec<usize>,
    pub(super) top: Vec<f64>,
}

/// Returns the height of a node.
pub(super) fn node_height(ports: usize) -> f64 {
    let lines = ports.min(PORTS + 1);
    HEAD + lines as f64 * PORT + if lines > 0 { FOOT } else { 0.0 }
}

fn node_width(graph: &Graph, node: usize) -> f64 {
    let node = &graph.nodes[node];
    let head = width_of(&node.label()).min(NAME) as f64 * CHAR_WIDTH + 44.0;
    let ports = node
        .ports
        .iter()
        .take(PORTS)
        .map(|port| width_of(&port.name).min(NAME) as f64 * SMALL_CHAR_WIDTH + 70.0);
    ports.fold(head.max(NODE_WIDTH_MIN), f64::max)
}

impl Metrics {
    pub(super) fn new(graph: &Graph) -> Metrics {
        let clusters = clusters(graph);
        let (mut cluster_of, mut top) = (vec![0; graph.nodes.len()], vec![0.0; graph.nodes.len()]);
        for (at, cluster) in clusters.iter().enumerate() {
            for &(node, below) in &cluster.nodes {
                (cluster_of[node], top[node]) = (at, below);
            }
        }
        Metrics { clusters, cluster_of, top }
    }
}

fn clusters(graph: &Graph) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let height = node_height(node.ports.len());
        if graph.groups[node.group].kind == GroupKind::Loose {
            let width = node_width(graph, at);
            clusters.push(Cluster { group: None, nodes: vec![(at, 0.0)], width, height });
            continue;
        }
        if clusters.last().is_none_or(|cluster| cluster.group != Some(node.group)) {
            let title = width_of(&graph.groups[node.group].title).min(NAME) as f64 * CHAR_WIDTH + 2.0 * PAD;
            clusters.push(Cluster {
                group: Some(node.group),
                nodes: Vec::new(),
                width: title,
                height: TITLE,
            });
        }
        let cluster = clusters.last_mut().expect("just made");
        cluster.nodes.push((at, cluster.height));
        cluster.width = cluster.width.max(node_width(graph, at) + 2.0 * PAD);
        cluster.height += height + PAD;
    }
    clusters
}
