//! What is drawn. Pure.

use ratatui::style::{Color, Style};

use super::super::accounts::Entry;
use super::super::column::Moment;
use super::history::History;
use super::state::State;

/// What is drawn, and how.
pub(super) struct View<'v> {
    pub(super) state: &'v State,
    pub(super) entries: &'v [Entry],
    pub(super) selected: usize,
    pub(super) moment: Moment,
    pub(super) history: &'v History,
    pub(super) clock: &'v str,
    /// How many sockets there are on the machine.
    pub(super) sockets: usize,
    pub(super) uncounted: u64,
    /// Why nothing is counted.
    pub(super) missing: Option<&'v str>,
    pub(super) has_color: bool,
}

impl View<'_> {
    pub(super) fn color(&self, color: Color) -> Style {
        if self.has_color { Style::new().fg(color) } else { Style::new() }
    }
}
