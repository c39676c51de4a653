//! Formats the report as text, JSON lines, plots and a page. Each gets the same value, and none
//! measures or decides anything.

mod chart;
pub(super) mod html;
pub(super) mod json;
pub(super) mod svg;
pub(super) mod table;
pub(super) mod units;

#[cfg(test)]
mod sample;
