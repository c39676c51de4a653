//! Lays out one connected component of the picture: the order in its columns, and the position of
//! everything in them. Pure.

use std::collections::{BTreeSet, HashMap};

use super::super::graph::Graph;
use super::geometry::{Frame, Layout, Point, Rect};
use super::metrics::{HEAD, Metrics, PAD, PORT, PORTS, node_height};

/// The space between boxes, and between columns. It grows with the number of arrows that pass, up
/// to a limit.
pub(super) const ROW_GAP: f64 = 20.0;
const COLUMN_GAP: f64 = 96.0;
const COLUMN_GAP_MAX: f64 = 180.0;
const COLUMN_GAP_PER_EDGE: f64 = 0.5;
/// The height of the lane for an arrow that passes a column.
const LANE: f64 = 10.0;
/// How often columns are ordered by their neighbours.
const SWEEPS: usize = 24;

/// An item in a column: a cluster, or a lane that leads past it. All edges to the same port share a
/// lane, so that they merge on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Item {
    Cluster(usize),
    Lane { server: usize, port: Option<usize>, column: usize, leads_back: bool },
}

/// A connected component of the picture.
pub(super) struct Component<'a> {
    graph: &'a Graph,
    metrics: &'a Metrics,
    /// The edges within the component.
    edges: &'a [usize],
    /// The column of each of its clusters.
    column: HashMap<usize, usize>,
    /// The columns from left to right, each from top to bottom.
    columns: Vec<Vec<Item>>,
    /// The position and the width of each column.
    spans: Vec<(f64, f64)>,
    top: HashMap<Item, f64>,
}

impl<'a> Component<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        metrics: &'a Metrics,
        edges: &'a [usize],
        members: &[usize],
        at: &[usize],
    ) -> Component<'a> {
        let column: HashMap<usize, usize> = members.iter().copied().zip(at.iter().copied()).collect();
        let mut columns = vec![Vec::new(); at.iter().max().map_or(0, |last| last + 1)];
        for (&member, &at) in members.iter().zip(at) {
            columns[at].push(Item::Cluster(member));
        }
        let mut component =
            Component { graph, metrics, edges, column, columns, spans: Vec::new(), top: HashMap::new() };
        component.add_lanes();
        component.measure();
        component.arrange();
        component
    }

    /// Adds a lane to each column that an edge passes.
    fn add_lanes(&mut self) {
        let lanes: BTreeSet<Item> = self.edges.iter().flat_map(|&edge| self.lanes(edge)).collect();
        for lane in lanes {
            let column = self.column_of(lane);
            self.columns[column].push(lane);
        }
    }

    /// Returns the lanes of an edge, from the client to the server.
    fn lanes(&self, edge: usize) -> Vec<Item> {
        let (from, to) = self.columns_of(edge);
        let joined = &self.graph.edges[edge];
        let (server, port, leads_back) = (joined.server, joined.port, to < from);
        let passed = from.min(to) + 1..from.max(to);
        let mut lanes: Vec<Item> =
            passed.map(|column| Item::Lane { server, port, column, leads_back }).collect();
        if leads_back {
            lanes.reverse();
        }
        lanes
    }

    /// Returns the columns of an edge's client and server.
    fn columns_of(&self, edge: usize) -> (usize, usize) {
        let edge = &self.graph.edges[edge];
        let column = |node: usize| self.column[&self.metrics.cluster_of[node]];
        (column(edge.client), column(edge.server))
    }

    fn measure(&mut self) {
        let mut passing = vec![0; self.columns.len()];
        for &edge in self.edges {
            let (from, to) = self.columns_of(edge);
            passing[from.min(to)..from.max(to)].iter_mut().for_each(|count| *count += 1);
        }
        let mut x = 0.0;
        for (column, passing) in self.columns.iter().zip(passing) {
            let width = column.iter().map(|item| self.width(*item)).fold(0.0, f64::max);
            self.spans.push((x, width));
            x += width + (COLUMN_GAP + COLUMN_GAP_PER_EDGE * f64::from(passing)).min(COLUMN_GAP_MAX);
        }
    }

    fn width(&self, item: Item) -> f64 {
        match item {
            Item::Cluster(cluster) => self.metrics.clusters[cluster].width,
            Item::Lane { .. } => 0.0,
        }
    }

    fn height(&self, item: Item) -> f64 {
        match item {
            Item::Cluster(cluster) => self.metrics.clusters[cluster].height + ROW_GAP,
            Item::Lane { .. } => LANE,
        }
    }

    /// Orders each column by what its items are connected to (the barycenter heuristic of layered
    /// graph drawing), and moves everything as close to that as the space allows.
    fn arrange(&mut self) {
        let links = self.links();
        for column in 0..self.columns.len() {
            let tops = vec![0.0; self.columns[column].len()];
            self.settle(column, tops);
        }
        let last = self.columns.len().saturating_sub(1);
        for sweep in 0..SWEEPS {
            for step in 0..=last {
                // Sweeps alternate in direction, each ordering by the side that was ordered just
                // before. The last sweeps use both sides.
                let column = if sweep % 2 == 0 { step } else { last - step };
                let side = if sweep + 4 >= SWEEPS { None } else { Some(sweep % 2 == 0) };
                self.order(column, side, &links);
            }
        }
        let top = self.top.values().copied().fold(f64::INFINITY, f64::min);
        self.top.values_mut().for_each(|y| *y -= top);
    }

    fn order(&mut self, column: usize, from_left: Option<bool>, links: &HashMap<Item, Vec<Link>>) {
        let wish = |item: &Item| {
            let links = links.get(item).map(Vec::as_slice).unwrap_or_default();
            let looked_at = links.iter().filter(|link| from_left.is_none_or(|left| link.is_left == left));
            let wishes: Vec<f64> =
                looked_at.map(|link| self.top[&link.other] + link.other_offset - link.own_offset).collect();
            match wishes.len() {
                0 => self.top[item],
                count => wishes.iter().sum::<f64>() / count as f64,
            }
        };
        let mut wished: Vec<(f64, Item)> =
            self.columns[column].iter().map(|item| (wish(item), *item)).collect();
        let middle = |&(top, item): &(f64, Item)| top + self.height(item) / 2.0;
        wished.sort_by(|one, other| middle(one).total_cmp(&middle(other)));
        self.columns[column] = wished.iter().map(|(_, item)| *item).collect();
        self.settle(column, wished.into_iter().map(|(top, _)| top).collect());
    }

    /// Places the items of a column as close as possible to their desired positions, in order and
    /// without overlap. Items that compete for one position form a block around the mean of their
    /// desired positions.
    fn settle(&mut self, column: usize, wishes: Vec<f64>) {
        // Pool adjacent violators. With the heights of the items above it subtracted from each wish,
        // "no overlap" becomes "not decreasing". A wish below the mean of the block above it violates
        // that, so the two are pooled into one block with their common mean, which has the least
        // squared distance from all its wishes.
        let items = self.columns[column].clone();
        let mut offset = 0.0;
        let mut blocks: Vec<(f64, usize)> = Vec::new();
        let mut offsets = Vec::with_capacity(items.len());
        for (item, wish) in items.iter().zip(wishes) {
            offsets.push(offset);
            let mut block = (wish - offset, 1);
            while let Some(&(mean, count)) = blocks.last().filter(|(mean, _)| *mean > block.0) {
                let sum = mean * count as f64 + block.0 * block.1 as f64;
                block = (sum / (count + block.1) as f64, count + block.1);
                blocks.pop();
            }
            blocks.push(block);
            offset += self.height(*item);
        }
        let places = blocks.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean, count));
        for ((item, offset), place) in items.iter().zip(offsets).zip(places) {
            self.top.insert(*item, place + offset);
        }
    }

    /// Returns what each item is connected to in the neighbouring columns.
    fn links(&self) -> HashMap<Item, Vec<Link>> {
        let mut links: HashMap<Item, Vec<Link>> = HashMap::new();
        for &edge in self.edges {
            let Some(stops) = self.stops(edge) else { continue };
            for pair in stops.windows(2) {
                let [(one, one_offset), (other, other_offset)] = [pair[0], pair[1]];
                let is_left = self.column_of(other) < self.column_of(one);
                links.entry(one).or_default().push(Link {
                    other,
                    is_left,
                    own_offset: one_offset,
                    other_offset,
                });
                links.entry(other).or_default().push(Link {
                    other: one,
                    is_left: !is_left,
                    own_offset: other_offset,
                    other_offset: one_offset,
                });
            }
        }
        links
    }

    fn column_of(&self, item: Item) -> usize {
        match item {
            Item::Cluster(cluster) => self.column[&cluster],
            Item::Lane { column, .. } => column,
        }
    }

    /// Returns the items that an edge passes, each with the distance from its top, or `None` for an
    /// edge within a cluster.
    fn stops(&self, edge: usize) -> Option<Vec<(Item, f64)>> {
        let joined = &self.graph.edges[edge];
        let client = Item::Cluster(self.metrics.cluster_of[joined.client]);
        let server = Item::Cluster(self.metrics.cluster_of[joined.server]);
        if client == server {
            return None;
        }
        let mut stops = vec![(client, self.offset(joined.client, None))];
        stops.extend(self.lanes(edge).into_iter().map(|lane| (lane, LANE / 2.0)));
        stops.push((server, self.offset(joined.server, joined.port)));
        Some(stops)
    }

    /// Returns the distance of a port's line, or of the node's name, from the top of the cluster.
    fn offset(&self, node: usize, port: Option<usize>) -> f64 {
        self.metrics.top[node]
            + match port {
                Some(port) => HEAD + port.min(PORTS) as f64 * PORT + PORT / 2.0,
                None => HEAD / 2.0,
            }
    }

    /// Returns its width and height.
    pub(super) fn size(&self) -> (f64, f64) {
        let width = self.spans.last().map_or(0.0, |(x, width)| x + width);
        let bottom = self.top.iter().map(|(item, top)| top + self.height(*item));
        (width, bottom.fold(0.0, f64::max) - ROW_GAP)
    }

    /// Places it in the picture.
    pub(super) fn put(&self, left: f64, above: f64, layout: &mut Layout) {
        for &member in self.column.keys() {
            let cluster = &self.metrics.clusters[member];
            let (x, y) = self.corner(member);
            let rect = Rect { x: left + x, y: above + y, width: cluster.width, height: cluster.height };
            let inset = if cluster.group.is_some() { PAD } else { 0.0 };
            if let Some(group) = cluster.group {
                layout.frames.push(Frame { group, rect });
            }
            for &(node, top) in &cluster.nodes {
                let height = node_height(self.graph.nodes[node].ports.len());
                layout.nodes[node] =
                    Rect { x: rect.x + inset, y: rect.y + top, width: rect.width - 2.0 * inset, height };
            }
        }
        for &edge in self.edges {
            layout.paths[edge] = self.path(edge, layout, left, above);
        }
    }

    /// Returns the corner of a cluster, which is centred in its column.
    fn corner(&self, cluster: usize) -> Point {
        let (x, width) = self.spans[self.column[&cluster]];
        (x + (width - self.metrics.clusters[cluster].width) / 2.0, self.top[&Item::Cluster(cluster)])
    }

    /// Returns the points of an edge: out of the client's side, along its lanes, and into the
    /// server's side.
    fn path(&self, edge: usize, layout: &Layout, left: f64, above: f64) -> Vec<Point> {
        let joined = &self.graph.edges[edge];
        let [client, server] = [layout.nodes[joined.client], layout.nodes[joined.server]];
        let line = |node: usize, port: Option<usize>| {
            above + self.top[&Item::Cluster(self.metrics.cluster_of[node])] + self.offset(node, port)
        };
        let (start, end) = (line(joined.client, None), line(joined.server, joined.port));
        let Some(stops) = self.stops(edge) else {
            // Within a group: around its left side.
            return vec![(client.x, start), (server.x, end)];
        };
        let leads_back = client.x > server.x;
        let side = |rect: Rect, right: bool| if right { rect.x + rect.width } else { rect.x };
        let edge_of = |node: usize, right: bool| {
            let (x, width) = self.spans[self.column[&self.metrics.cluster_of[node]]];
            left + if right { x + width } else { x }
        };
        // Horizontal up to the edge of the column, because the items above and below may be wider.
        let mut points =
            vec![(side(client, !leads_back), start), (edge_of(joined.client, !leads_back), start)];
        for (item, offset) in &stops[1..stops.len() - 1] {
            let (x, width) = self.spans[self.column_of(*item)];
            let y = above + self.top[item] + offset;
            let (near, far) = if leads_back { (x + width, x) } else { (x, x + width) };
            points.extend([(left + near, y), (left + far, y)]);
        }
        points.extend([(edge_of(joined.server, leads_back), end), (side(server, leads_back), end)]);
        points
    }
}

/// A connection from one item to one in a neighbouring column.
struct Link {
    other: Item,
    is_left: bool,
    own_offset: f64,
    other_offset: f64,
}
