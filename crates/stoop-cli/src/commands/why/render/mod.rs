//! Formats the answer. Pure.

pub(super) mod json;
mod listing;
pub(super) mod text;
