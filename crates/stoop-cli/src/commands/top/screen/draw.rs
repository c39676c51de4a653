//! Draws the lines. Pure: into a buffer.

use ratatui::Frame as Screen;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::super::accounts::Entry;
use super::super::args::{By, Sort};
use super::super::column::{Column, cell, columns};
use super::view::View;
use super::{detail, help};
use crate::output::{truncate_end, truncate_middle};
use crate::sockets::format;

/// The least width of the first column.
const NAME_MIN: u16 = 20;

/// Draws everything.
pub(super) fn draw(view: &View<'_>, screen: &mut Screen<'_>) {
    let notice = u16::from(notice(view).is_some());
    let detail = if view.state.detail.is_some() { detail::HEIGHT } else { 0 };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(notice),
        Constraint::Length(detail),
        Constraint::Min(1),
        Constraint::Length(1),
    ]);
    let [head, notices, details, lines, foot] = parts.areas(screen.area());
    screen.render_widget(Paragraph::new(title(view, head.width)), head);
    if let Some(text) = self::notice(view) {
        screen.render_widget(Paragraph::new(text).style(view.color(Color::Yellow)), notices);
    }
    if detail > 0 {
        detail::draw(view, screen, details);
    }
    table(view, screen, lines);
    screen.render_widget(Paragraph::new(keys(view, foot.width)), foot);
    if view.state.is_help {
        help::draw(screen, screen.area());
    }
}

/// Returns how many entries fit on a screen of this height.
pub(super) fn page(view: &View<'_>, height: u16) -> usize {
    let notice = u16::from(notice(view).is_some());
    let detail = if view.state.detail.is_some() { detail::HEIGHT } else { 0 };
    height.saturating_sub(3 + notice + detail).max(1).into()
}

const HEAD: &str = "stoop top ";

fn title(view: &View<'_>, width: u16) -> Line<'static> {
    let state = view.state;
    let (long, short) = match &state.detail {
        Some(detail) => (format!("{} {}", detail.by.word(), detail.name), None),
        None => {
            let short = format!("by {}", state.by.word());
            (format!("{short}, sorted by {}", state.sort.word()), Some(short))
        }
    };
    let frozen = if state.is_frozen { "  FROZEN" } else { "" };
    let every = format!("{frozen}  every {}", crate::time::show(state.interval));
    let rest = format!("{every}  {}  {} sockets", view.clock, view.sockets);
    // The longest that fits.
    let short = short.unwrap_or_else(|| long.clone());
    let width = usize::from(width).saturating_sub(HEAD.len());
    let choices = [(&long, &rest), (&short, &rest), (&short, &every)];
    let fits = |(what, rest): &&(&String, &String)| what.chars().count() + rest.chars().count() <= width;
    let (what, rest) = choices.iter().find(fits).unwrap_or(&choices[2]);
    let space = width.saturating_sub(rest.chars().count()).max(10);
    Line::from(vec![Span::styled(HEAD, bold()), Span::raw(truncate_middle(what, space) + rest)])
}

fn notice(view: &View<'_>) -> Option<String> {
    match (view.missing, view.uncounted) {
        (Some(missing), _) => Some(format!("rates not known (-): {}", missing.replace('\n', " "))),
        (None, 0) => None,
        (None, count) => {
            Some(format!("{} not counted in this time", format::plural(count as usize, "event")))
        }
    }
}

fn keys(view: &View<'_>, width: u16) -> Line<'static> {
    let state = view.state;
    if state.is_typing || !state.filter.is_empty() {
        let cursor = if state.is_typing { "_" } else { "" };
        let end = if state.is_typing { "  Enter keep  Esc clear" } else { "  Esc clear" };
        return Line::raw(format!("filter: {}{cursor}{end}", state.filter));
    }
    let text = match (&state.detail, width) {
        (_, ..60) => "? help  q quit  Enter open  b by",
        (Some(_), _) => "Esc back  s sort  r reverse  Space freeze  / filter  ? help  q quit",
        (None, _) => "Enter open  b by  s sort  r reverse  Space freeze  / filter  ? help  q quit",
    };
    Line::styled(text, Style::new().add_modifier(Modifier::DIM))
}

fn table(view: &View<'_>, screen: &mut Screen<'_>, area: Rect) {
    let by = view.state.lines_by();
    let (columns, widths) = fitting(by, area.width);
    let titles = columns.iter().zip(&widths).map(|(column, width)| {
        let is_sorted = sorted_column(view.state.sort) == Some(*column);
        let style = if is_sorted { bold().add_modifier(Modifier::UNDERLINED) } else { bold() };
        Cell::new(aligned(column.title(by), *column, *width)).style(style)
    });
    let shown =
        view.entries.iter().enumerate().skip(view.state.top).take(area.height.saturating_sub(1).into());
    let rows = shown.map(|(at, entry)| {
        let cells = columns.iter().zip(&widths).map(|(column, width)| {
            let text = cell(entry, *column, view.moment);
            Cell::new(aligned(&text, *column, *width)).style(style(view, entry, *column))
        });
        let row = Row::new(cells);
        if at == view.selected { row.style(Style::new().add_modifier(Modifier::REVERSED)) } else { row }
    });
    let constraints = widths.iter().map(|width| Constraint::Length(*width));
    let table = Table::new(rows, constraints).header(Row::new(titles)).column_spacing(1);
    screen.render_widget(table, area);
}

/// Returns the columns that fit, and their widths: the first has what is left.
fn fitting(by: By, width: u16) -> (Vec<Column>, Vec<u16>) {
    let (mut shown, mut widths, mut used) = (Vec::new(), Vec::new(), 0);
    for column in columns(by) {
        let takes = if column == Column::Name { NAME_MIN } else { column.width() + 1 };
        if used + takes > width && !shown.is_empty() {
            continue;
        }
        used += takes;
        shown.push(column);
        widths.push(column.width());
    }
    widths[0] = NAME_MIN + width.saturating_sub(used);
    (shown, widths)
}

fn aligned(text: &str, column: Column, width: u16) -> String {
    let width = usize::from(width);
    match column {
        Column::Name => truncate_middle(text, width),
        _ if column.is_text() => truncate_end(text, width),
        _ => format!("{text:>width$}"),
    }
}

fn style(view: &View<'_>, entry: &Entry, column: Column) -> Style {
    let is_full = entry.backlog.is_some_and(|backlog| backlog.full > 0);
    match column {
        Column::Backlog if is_full => view.color(Color::Red).add_modifier(Modifier::BOLD),
        Column::Errors if entry.activity.as_ref().is_some_and(|activity| activity.errors > 0) => {
            view.color(Color::Yellow)
        }
        _ => Style::new(),
    }
}

fn sorted_column(sort: Sort) -> Option<Column> {
    Some(match sort {
        Sort::Traffic => Column::In,
        Sort::Calls => Column::Calls,
        Sort::Wait => Column::Most,
        Sort::Unread => Column::Unread,
        Sort::Backlog => Column::Backlog,
        Sort::Connects => Column::Connects,
        Sort::Clients => Column::Clients,
        Sort::Errors => Column::Errors,
        Sort::Name => Column::Name,
    })
}

pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}
