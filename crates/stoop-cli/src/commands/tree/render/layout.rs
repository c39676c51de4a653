//! Computes the position of everything in the picture, in pixels. Pure: text is only measured.

use super::super::graph::Graph;
use super::component::{Component, ROW_GAP};
use super::geometry::{Layout, Rect};
use super::layers::{Arrow, columns, components};
use super::metrics::Metrics;

/// The space between components of the picture.
const COMPONENT_GAP: f64 = 40.0;
/// The width of a row of components after which the next row begins.
const ROW: f64 = 1500.0;
/// The minimum height limit of a column, the typical width of a column, and the aspect ratio of a
/// large picture.
const ENOUGH: f64 = 900.0;
const TYPICAL: f64 = 340.0;
const WIDER: f64 = 1.6;

/// Places everything. Each box and each stop of an arrow is visited and sorted once per sweep, so
/// the time grows with what is drawn.
pub(super) fn layout(graph: &Graph) -> Layout {
    let metrics = Metrics::new(graph);
    let arrows: Vec<Arrow> = graph
        .edges
        .iter()
        .map(|edge| (metrics.cluster_of[edge.client], metrics.cluster_of[edge.server]))
        .collect();
    let mut layout = Layout {
        nodes: vec![Rect::default(); graph.nodes.len()],
        paths: vec![Vec::new(); graph.edges.len()],
        ..Layout::default()
    };
    let (mut x, mut y, mut row_height) = (0.0, 0.0, 0.0f64);
    for members in members(metrics.clusters.len(), &arrows) {
        let heights: Vec<f64> =
            members.clusters.iter().map(|&cluster| metrics.clusters[cluster].height + ROW_GAP).collect();
        let columns = columns(&heights, tallest(&heights), &members.arrows);
        let component = Component::new(graph, &metrics, &members.edges, &members.clusters, &columns);
        let (width, height) = component.size();
        // Components stand in rows, like words. The first and largest may be wider than a row; the
        // rows below it may then be as wide.
        if x > 0.0 && x + width > ROW.max(layout.width) {
            (x, y, row_height) = (0.0, y + row_height + COMPONENT_GAP, 0.0);
        }
        component.put(x, y, &mut layout);
        layout.width = layout.width.max(x + width);
        layout.height = layout.height.max(y + height);
        row_height = row_height.max(height);
        x += width + COMPONENT_GAP;
    }
    layout.frames.sort_by_key(|frame| frame.group);
    layout
}

/// A connected component of clusters, with the edges between them.
#[derive(Debug, Default)]
struct Members {
    clusters: Vec<usize>,
    edges: Vec<usize>,
    /// The same edges, as indices into these clusters.
    arrows: Vec<Arrow>,
}

fn members(clusters: usize, arrows: &[Arrow]) -> Vec<Members> {
    // For each cluster, its component and its index there.
    let mut at = vec![(0, 0); clusters];
    let mut all = Vec::new();
    for clusters in components(clusters, arrows) {
        for (place, &cluster) in clusters.iter().enumerate() {
            at[cluster] = (all.len(), place);
        }
        all.push(Members { clusters, ..Members::default() });
    }
    for (edge, &(client, server)) in arrows.iter().enumerate() {
        let members = &mut all[at[client].0];
        members.edges.push(edge);
        members.arrows.push((at[client].1, at[server].1));
    }
    all
}

/// Returns the maximum height of a column, such that the whole is somewhat wider than tall.
fn tallest(heights: &[f64]) -> f64 {
    // The boxes cover an area of (sum of heights) × TYPICAL. A picture of that area which is WIDER
    // times as wide as tall has this height.
    (heights.iter().sum::<f64>() * TYPICAL / WIDER).sqrt().max(ENOUGH)
}
