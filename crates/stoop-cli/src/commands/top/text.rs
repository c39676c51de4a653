//! Entries as a table, or as sentences. Pure.

use std::fmt::Write as _;

use stoop_tap::top::per_second;

use super::accounts::Entry;
use super::args::By;
use super::column::{Column, Moment, bytes, cell, columns, number};
use crate::output::{self, Table, Truncate};

/// Formats a table.
pub(super) fn table(entries: &[Entry], by: By, moment: Moment, width: Option<usize>) -> String {
    let columns: Vec<Column> = columns(by).collect();
    let mut table =
        Table::new(columns.iter().enumerate().map(|(at, column)| layout(at, *column, by)).collect());
    for entry in entries {
        for column in &columns {
            table.cell(|text| text.push_str(&cell(entry, *column, moment)));
        }
    }
    let order: Vec<(usize, String)> = (0..entries.len()).map(|at| (at, String::new())).collect();
    let mut text = String::new();
    table.render(width, &order, &mut text);
    text
}

fn layout(at: usize, column: Column, by: By) -> output::Column {
    let truncate = match column {
        Column::Name => Truncate::Middle(20),
        _ if column.is_text() => Truncate::End(12),
        _ => Truncate::Never,
    };
    let spare = if at < 8 { 0 } else { at as u8 };
    output::Column { title: column.title(by), truncate, spare }
}

/// Formats each entry as a sentence. Those that did nothing and have nothing waiting are left out.
pub(super) fn sentences(entries: &[Entry], moment: Moment) -> String {
    let mut text = String::new();
    for entry in entries {
        let said = said(entry, moment);
        if !said.is_empty() {
            let _ = writeln!(text, "{}: {}.", entry.name, said.join(", "));
        }
    }
    text
}

fn said(entry: &Entry, moment: Moment) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(activity) = &entry.activity {
        let calls = activity.received.calls + activity.sent.calls;
        if calls > 0 {
            let rate = |amount| bytes(per_second(amount, moment.span));
            said.push(format!("{} calls a second", number(per_second(calls, moment.span))));
            said.push(format!("{} bytes in", rate(activity.received.bytes)));
            said.push(format!("{} bytes out", rate(activity.sent.bytes)));
        }
        if activity.latencies.count() > 0 {
            said.push(format!("99 of 100 messages waited up to {}", cell(entry, Column::Most, moment)));
        }
        if activity.errors > 0 {
            said.push(format!("{} failed calls", activity.errors));
        }
    }
    if entry.unread.bytes > 0 {
        said.push(format!("{} bytes unread", cell(entry, Column::Unread, moment)));
    }
    if let Some(backlog) = entry.backlog.filter(|backlog| backlog.waiting > 0) {
        said.push(format!("{} clients wait to be accepted, limit {}", backlog.waiting, backlog.limit));
    }
    said
}
