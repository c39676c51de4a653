//! Draws the help. Pure.

use ratatui::Frame as Screen;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

const TEXT: &[&str] = &[
    "up down j k    select     PgUp PgDn g G",
    "Enter          its sockets, and its past",
    "Esc            back, or clear the filter",
    "b              by address, socket, …",
    "s S left right sort by another column",
    "r              reverse the order",
    "/              filter by name or process",
    "Space          freeze, and go on",
    "+ -            look less or more often",
    "Ctrl-L         draw again",
    "q Ctrl-C       quit",
    "",
    "IN, OUT: bytes that servers received, sent",
    "P50 P99: how long messages waited until",
    "  they were received, at most",
    "AGE: the oldest unread one waits so long",
    "BACKLOG: clients not accepted / the limit",
    "-: not known",
];

/// Draws the help over everything else.
pub(super) fn draw(screen: &mut Screen<'_>, area: Rect) {
    let width = 46.min(area.width);
    let height = (TEXT.len() as u16 + 2).min(area.height);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let lines: Vec<Line<'_>> = TEXT.iter().map(|line| Line::raw(*line)).collect();
    screen.render_widget(Clear, place);
    screen.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), place);
}
