//! The positions of everything in the picture, in pixels. Plain data.

/// The layout, relative to the top left corner.
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

/// The frame of a group.
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
