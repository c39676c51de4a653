//! Where everything in the picture stands. Pure: numbers in pixels, no text but to measure it.

use std::collections::{BTreeSet, HashMap};

use super::graph::{Graph, GroupKind};
use super::layers::{columns, components};
use crate::output::width_of;

/// The most columns of text that a name in the picture takes.
pub(super) const NAME: usize = 38;
/// The most ports of a node that are shown by themselves; further ones share a line.
pub(super) const PORTS: usize = 10;

/// Height of the line with the name of a node, and of one with a port.
pub(super) const HEAD: f64 = 24.0;
pub(super) const PORT: f64 = 18.0;
/// Below the last line of a node.
const FOOT: f64 = 6.0;
/// Height of a group's title, and the space around its nodes.
pub(super) const TITLE: f64 = 26.0;
const PAD: f64 = 12.0;
/// How wide one column of text is: of the name of a node, and of a port.
const LETTER: f64 = 7.9;
const SMALL_LETTER: f64 = 6.7;
const NARROWEST: f64 = 120.0;
/// Between boxes above each other, and between columns.
const BELOW: f64 = 20.0;
const BESIDE: f64 = 96.0;
/// The lane of an arrow that passes a column.
const LANE: f64 = 10.0;
/// Between parts of the picture that nothing joins.
const APART: f64 = 40.0;
/// How wide a row of such parts becomes before the next one begins.
const ROW: f64 = 1500.0;
/// How often columns are put in order by their neighbours.
const SWEEPS: usize = 24;

/// The picture, from its own top left corner.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) frames: Vec<Frame>,
    /// By node of the graph.
    pub(super) nodes: Vec<Rect>,
    /// By edge of the graph.
    pub(super) paths: Vec<Vec<Point>>,
}

/// The box around a group.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) group: usize,
    pub(super) rect: Rect,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

pub(super) type Point = (f64, f64);

/// A group with its nodes, or a node that is in none: what is moved as one.
struct Brick {
    group: Option<usize>,
    /// Each with how far below the top of the brick it begins.
    nodes: Vec<(usize, f64)>,
    width: f64,
    height: f64,
}

/// All bricks.
struct Wall {
    bricks: Vec<Brick>,
    /// Of each node its brick, and how far below the top of that it begins.
    brick_of: Vec<usize>,
    top: Vec<f64>,
}

/// What stands in a column: a brick, or a lane that leads past it. All edges to the same port share a lane, so that they come together
/// on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Item {
    Brick(usize),
    Lane { server: usize, port: Option<usize>, column: usize, leads_back: bool },
}

/// Places everything. Each box, edge and lane is looked at as often as there are sweeps, and sorted as often.
pub(super) fn layout(graph: &Graph) -> Layout {
    let wall = Wall::new(graph);
    let arrows: Vec<(usize, usize)> =
        graph.edges.iter().map(|edge| (wall.brick_of[edge.client], wall.brick_of[edge.server])).collect();
    let mut layout = Layout {
        nodes: vec![Rect::default(); graph.nodes.len()],
        paths: vec![Vec::new(); graph.edges.len()],
        ..Layout::default()
    };
    let components = components(wall.bricks.len(), &arrows);
    // Of each brick, the component it is in, and its place among the members of that.
    let mut at = vec![(0, 0); wall.bricks.len()];
    for (component, members) in components.iter().enumerate() {
        for (place, &member) in members.iter().enumerate() {
            at[member] = (component, place);
        }
    }
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); components.len()];
    for (edge, (client, _)) in arrows.iter().enumerate() {
        edges[at[*client].0].push(edge);
    }
    let (mut x, mut y, mut row_height) = (0.0, 0.0, 0.0f64);
    for (members, edges) in components.iter().zip(&edges) {
        let own = |&edge: &usize| (at[arrows[edge].0].1, at[arrows[edge].1].1);
        let columns = columns(members.len(), &edges.iter().map(own).collect::<Vec<_>>());
        let part = Part::new(graph, &wall, edges, members, &columns);
        let (width, height) = part.size();
        if x > 0.0 && x + width > ROW.max(layout.width) {
            (x, y, row_height) = (0.0, y + row_height + APART, 0.0);
        }
        part.put(x, y, &mut layout);
        layout.width = layout.width.max(x + width);
        layout.height = layout.height.max(y + height);
        row_height = row_height.max(height);
        x += width + APART;
    }
    layout.frames.sort_by_key(|frame| frame.group);
    layout
}

/// How tall a node is.
pub(super) fn node_height(ports: usize) -> f64 {
    let lines = ports.min(PORTS + 1);
    HEAD + lines as f64 * PORT + if lines > 0 { FOOT } else { 0.0 }
}

fn node_width(graph: &Graph, node: usize) -> f64 {
    let node = &graph.nodes[node];
    let head = width_of(&node.label()).min(NAME) as f64 * LETTER + 44.0;
    let ports =
        node.ports.iter().take(PORTS).map(|port| width_of(&port.name).min(NAME) as f64 * SMALL_LETTER + 70.0);
    ports.fold(head.max(NARROWEST), f64::max)
}

impl Wall {
    fn new(graph: &Graph) -> Wall {
        let bricks = bricks(graph);
        let (mut brick_of, mut top) = (vec![0; graph.nodes.len()], vec![0.0; graph.nodes.len()]);
        for (at, brick) in bricks.iter().enumerate() {
            for &(node, below) in &brick.nodes {
                (brick_of[node], top[node]) = (at, below);
            }
        }
        Wall { bricks, brick_of, top }
    }
}

fn bricks(graph: &Graph) -> Vec<Brick> {
    let mut bricks: Vec<Brick> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let height = node_height(node.ports.len());
        if graph.groups[node.group].kind == GroupKind::Loose {
            let width = node_width(graph, at);
            bricks.push(Brick { group: None, nodes: vec![(at, 0.0)], width, height });
            continue;
        }
        if bricks.last().is_none_or(|brick| brick.group != Some(node.group)) {
            let title = width_of(&graph.groups[node.group].title).min(NAME) as f64 * LETTER + 2.0 * PAD;
            bricks.push(Brick { group: Some(node.group), nodes: Vec::new(), width: title, height: TITLE });
        }
        let brick = bricks.last_mut().expect("just made");
        brick.nodes.push((at, brick.height));
        brick.width = brick.width.max(node_width(graph, at) + 2.0 * PAD);
        brick.height += height + PAD;
    }
    bricks
}

/// One part of the picture that hangs together.
struct Part<'a> {
    graph: &'a Graph,
    wall: &'a Wall,
    /// The edges within it.
    edges: &'a [usize],
    /// The column of each brick in it.
    column: HashMap<usize, usize>,
    /// From left to right, each from top to bottom.
    columns: Vec<Vec<Item>>,
    /// Where each column begins, and how wide it is.
    spans: Vec<(f64, f64)>,
    top: HashMap<Item, f64>,
}

impl<'a> Part<'a> {
    fn new(
        graph: &'a Graph,
        wall: &'a Wall,
        edges: &'a [usize],
        members: &[usize],
        at: &[usize],
    ) -> Part<'a> {
        let column: HashMap<usize, usize> = members.iter().copied().zip(at.iter().copied()).collect();
        let mut columns = vec![Vec::new(); at.iter().max().map_or(0, |last| last + 1)];
        for (&member, &at) in members.iter().zip(at) {
            columns[at].push(Item::Brick(member));
        }
        let mut part = Part { graph, wall, edges, column, columns, spans: Vec::new(), top: HashMap::new() };
        part.add_lanes();
        part.measure();
        part.arrange();
        part
    }

    /// A lane in each column that an edge passes.
    fn add_lanes(&mut self) {
        let lanes: BTreeSet<Item> = self.edges.iter().flat_map(|&edge| self.lanes(edge)).collect();
        for lane in lanes {
            let column = self.column_of(lane);
            self.columns[column].push(lane);
        }
    }

    /// The lanes that an edge takes, from the client to the server.
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

    /// The columns of an edge's client and server.
    fn columns_of(&self, edge: usize) -> (usize, usize) {
        let edge = &self.graph.edges[edge];
        let column = |node: usize| self.column[&self.wall.brick_of[node]];
        (column(edge.client), column(edge.server))
    }

    fn measure(&mut self) {
        let mut x = 0.0;
        for column in &self.columns {
            let width = column.iter().map(|item| self.width(*item)).fold(0.0, f64::max);
            self.spans.push((x, width));
            x += width + BESIDE;
        }
    }

    fn width(&self, item: Item) -> f64 {
        match item {
            Item::Brick(brick) => self.wall.bricks[brick].width,
            Item::Lane { .. } => 0.0,
        }
    }

    fn height(&self, item: Item) -> f64 {
        match item {
            Item::Brick(brick) => self.wall.bricks[brick].height + BELOW,
            Item::Lane { .. } => LANE,
        }
    }

    /// Puts each column in the order of what it is joined with, and everything as near to that as there is room.
    fn arrange(&mut self) {
        let joints = self.joints();
        for column in 0..self.columns.len() {
            let tops = vec![0.0; self.columns[column].len()];
            self.settle(column, tops);
        }
        let last = self.columns.len().saturating_sub(1);
        for sweep in 0..SWEEPS {
            for step in 0..=last {
                // To and fro, each time by what stands on the side that was just put in order; at the end by both.
                let column = if sweep % 2 == 0 { step } else { last - step };
                let side = if sweep + 4 >= SWEEPS { None } else { Some(sweep % 2 == 0) };
                self.order(column, side, &joints);
            }
        }
        let top = self.top.values().copied().fold(f64::INFINITY, f64::min);
        self.top.values_mut().for_each(|y| *y -= top);
    }

    fn order(&mut self, column: usize, from_left: Option<bool>, joints: &HashMap<Item, Vec<Joint>>) {
        let wish = |item: &Item| {
            let joints = joints.get(item).map(Vec::as_slice).unwrap_or_default();
            let looked_at = joints.iter().filter(|joint| from_left.is_none_or(|left| joint.is_left == left));
            let wishes: Vec<f64> = looked_at
                .map(|joint| self.top[&joint.other] + joint.other_offset - joint.own_offset)
                .collect();
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

    /// Gives everything in a column a place as near as possible to where it wishes to be, in order and without overlap: what wishes to
    /// be in one place forms a block around the mean of its wishes.
    fn settle(&mut self, column: usize, wishes: Vec<f64>) {
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

    /// What each item is joined with in the columns beside it.
    fn joints(&self) -> HashMap<Item, Vec<Joint>> {
        let mut joints: HashMap<Item, Vec<Joint>> = HashMap::new();
        for &edge in self.edges {
            let Some(stops) = self.stops(edge) else { continue };
            for pair in stops.windows(2) {
                let [(one, one_offset), (other, other_offset)] = [pair[0], pair[1]];
                let is_left = self.column_of(other) < self.column_of(one);
                joints.entry(one).or_default().push(Joint {
                    other,
                    is_left,
                    own_offset: one_offset,
                    other_offset,
                });
                joints.entry(other).or_default().push(Joint {
                    other: one,
                    is_left: !is_left,
                    own_offset: other_offset,
                    other_offset: one_offset,
                });
            }
        }
        joints
    }

    fn column_of(&self, item: Item) -> usize {
        match item {
            Item::Brick(brick) => self.column[&brick],
            Item::Lane { column, .. } => column,
        }
    }

    /// The items that an edge comes by, each with how far below its top it does; `None` for one within a brick.
    fn stops(&self, edge: usize) -> Option<Vec<(Item, f64)>> {
        let joined = &self.graph.edges[edge];
        let client = Item::Brick(self.wall.brick_of[joined.client]);
        let server = Item::Brick(self.wall.brick_of[joined.server]);
        if client == server {
            return None;
        }
        let mut stops = vec![(client, self.offset(joined.client, None))];
        stops.extend(self.lanes(edge).into_iter().map(|lane| (lane, LANE / 2.0)));
        stops.push((server, self.offset(joined.server, joined.port)));
        Some(stops)
    }

    /// How far below the top of its brick the line of a node's port is, or of its name.
    fn offset(&self, node: usize, port: Option<usize>) -> f64 {
        self.wall.top[node]
            + match port {
                Some(port) => HEAD + port.min(PORTS) as f64 * PORT + PORT / 2.0,
                None => HEAD / 2.0,
            }
    }

    fn size(&self) -> (f64, f64) {
        let width = self.spans.last().map_or(0.0, |(x, width)| x + width);
        let bottom = self.top.iter().map(|(item, top)| top + self.height(*item));
        (width, bottom.fold(0.0, f64::max) - BELOW)
    }

    /// Moves it to its place in the picture.
    fn put(&self, left: f64, above: f64, layout: &mut Layout) {
        for &member in self.column.keys() {
            let brick = &self.wall.bricks[member];
            let (x, y) = self.corner(member);
            let rect = Rect { x: left + x, y: above + y, width: brick.width, height: brick.height };
            let inset = if brick.group.is_some() { PAD } else { 0.0 };
            if let Some(group) = brick.group {
                layout.frames.push(Frame { group, rect });
            }
            for &(node, top) in &brick.nodes {
                let height = node_height(self.graph.nodes[node].ports.len());
                layout.nodes[node] =
                    Rect { x: rect.x + inset, y: rect.y + top, width: rect.width - 2.0 * inset, height };
            }
        }
        for &edge in self.edges {
            layout.paths[edge] = self.path(edge, layout, left, above);
        }
    }

    /// A brick stands in the middle of its column.
    fn corner(&self, brick: usize) -> Point {
        let (x, width) = self.spans[self.column[&brick]];
        (x + (width - self.wall.bricks[brick].width) / 2.0, self.top[&Item::Brick(brick)])
    }

    /// The points of an edge: out of the client's side, along its lanes, into the server's side.
    fn path(&self, edge: usize, layout: &Layout, left: f64, above: f64) -> Vec<Point> {
        let joined = &self.graph.edges[edge];
        let [client, server] = [layout.nodes[joined.client], layout.nodes[joined.server]];
        let line = |node: usize, port: Option<usize>| {
            above + self.top[&Item::Brick(self.wall.brick_of[node])] + self.offset(node, port)
        };
        let (start, end) = (line(joined.client, None), line(joined.server, joined.port));
        let Some(stops) = self.stops(edge) else {
            // Within a group: around its left side.
            return vec![(client.x, start), (server.x, end)];
        };
        let leads_back = client.x > server.x;
        let side = |rect: Rect, right: bool| if right { rect.x + rect.width } else { rect.x };
        let mut points = vec![(side(client, !leads_back), start)];
        for (item, offset) in &stops[1..stops.len() - 1] {
            let (x, width) = self.spans[self.column_of(*item)];
            let y = above + self.top[item] + offset;
            let (near, far) = if leads_back { (x + width, x) } else { (x, x + width) };
            points.extend([(left + near, y), (left + far, y)]);
        }
        points.push((side(server, leads_back), end));
        points
    }
}

/// A way from one item to one in the column beside it.
struct Joint {
    other: Item,
    is_left: bool,
    own_offset: f64,
    other_offset: f64,
}
