//! Formats the graph: as text, as JSON lines, for Graphviz, and as a picture with a layout of its
//! own. Pure.

mod component;
pub(super) mod dot;
mod geometry;
pub(super) mod json;
mod layers;
mod layout;
mod metrics;
pub(super) mod svg;
pub(super) mod text;
