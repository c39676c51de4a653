//! Draws one entry: its rates over time, and what it did. Pure.

use ratatui::Frame as Screen;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Color;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Sparkline};

use super::super::column::{bytes, number};
use super::view::View;

/// How many lines it takes.
pub(super) const HEIGHT: u16 = 4;

/// Draws a sparkline of bytes, one of calls, and their present values.
pub(super) fn draw(view: &View<'_>, screen: &mut Screen<'_>, area: Rect) {
    let Some(detail) = &view.state.detail else { return };
    let [labels, lines] = Layout::horizontal([Constraint::Length(18), Constraint::Min(1)]).areas(area);
    let series = view.history.of(&detail.id);
    let Some(series) = series.filter(|series| !series.bytes.is_empty()) else {
        return screen.render_widget(Paragraph::new("no rates are known yet"), area);
    };
    let [upper, lower] = Layout::vertical([Constraint::Length(2), Constraint::Length(2)]).areas(lines);
    let amounts = [
        ("bytes/s", &series.bytes, upper, bytes as fn(f64) -> String),
        ("calls/s", &series.calls, lower, number as fn(f64) -> String),
    ];
    let mut said = Vec::new();
    for (what, values, place, format) in amounts {
        let now = values.back().copied().unwrap_or_default() as f64;
        let max = values.iter().max().copied().unwrap_or_default();
        said.push(Line::raw(format!("{:>6} {what}", format(now))));
        said.push(Line::raw(format!("{:>6} most", format(max as f64))));
        let skipped = values.len().saturating_sub(place.width.into());
        let shown: Vec<u64> = values.iter().skip(skipped).copied().collect();
        let sparkline = Sparkline::default().data(&shown).max(max.max(1)).style(view.color(Color::Cyan));
        screen.render_widget(sparkline, place);
    }
    screen.render_widget(Paragraph::new(said), labels);
}
