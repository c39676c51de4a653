//! Formats the report as text tables, and provides the tables for the page.

use std::fmt::Write as _;

use super::units;
use crate::commands::bench::advice::added_us;
use crate::commands::bench::measure::Figures;
use crate::commands::bench::results::{Results, Rows};
use crate::commands::bench::transport::Transport;
use crate::commands::bench::workload::Workload;

/// Shown in place of a missing figure.
const NOTHING: &str = "–";

/// A table: a heading, columns, a line for each transport, and notes about gaps.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) head: Vec<String>,
    pub(super) lines: Vec<Vec<String>>,
    pub(super) notes: Vec<String>,
}

/// A column: its heading, and its text for a transport.
type Column<'a> = (String, Box<dyn Fn(Transport) -> String + 'a>);

/// Returns a table for each workload that was measured.
pub(super) fn tables(report: &Results) -> Vec<Table> {
    let rows = Rows(&report.rows);
    let works = Workload::ALL.into_iter().filter(|&work| !rows.sizes(work).is_empty());
    works.map(|work| table(report, rows, work)).collect()
}

fn table(report: &Results, rows: Rows<'_>, work: Workload) -> Table {
    let columns = columns(rows, work, report.rate.is_some());
    let mut head = vec![String::new()];
    head.extend(columns.iter().map(|(head, _)| head.clone()));
    // Transports that were not measured are in the notes, because a line of dashes says nothing.
    let measured = |transport: &Transport| {
        rows.sizes(work).iter().any(|&size| rows.figures(*transport, work, size).is_some())
    };
    let line = |transport: Transport| {
        let name = std::iter::once(transport.name().to_owned());
        name.chain(columns.iter().map(|(_, show)| show(transport))).collect()
    };
    let lines = rows.transports(work).into_iter().filter(measured).map(line).collect();
    Table { title: title(report, work), head, lines, notes: rows.notes(work) }
}

fn title(report: &Results, work: Workload) -> String {
    match (work, report.rate) {
        (Workload::PingPong, Some(rate)) => {
            format!("{}, at {}, latency from the scheduled time", work.title(), units::rate(rate.into()))
        }
        (Workload::FanIn, _) => format!("{} of {}", work.title(), report.clients),
        _ => work.title().into(),
    }
}

fn columns(rows: Rows<'_>, work: Workload, is_paced: bool) -> Vec<Column<'_>> {
    let sizes = rows.sizes(work);
    let Some((&first, rest)) = sizes.split_first() else { return Vec::new() };
    let column = |head: &str, size: usize, show: fn(&Figures, usize) -> Option<String>| -> Column<'_> {
        let figure = move |transport| rows.figures(transport, work, size).and_then(|found| show(found, size));
        (head.to_owned(), Box::new(move |transport| figure(transport).unwrap_or_else(|| NOTHING.into())))
    };
    let p50 = |found: &Figures, _| found.latency.map(|latency| units::micros(latency.p50_us));
    let p99 = |found: &Figures, _| found.latency.map(|latency| units::micros(latency.p99_us));
    let p999 = |found: &Figures, _| found.latency.map(|latency| units::micros(latency.p999_us));
    let cpu = |found: &Figures, _| found.cpu_us.map(units::micros);
    let rate = |found: &Figures, _| Some(units::rate(found.per_second));
    let bytes = |found: &Figures, size: usize| Some(units::bytes_rate(found.per_second * size as f64));
    let plain = |found: &Figures, _| found.plain_per_second.map(units::rate);
    let added = |found: &Figures, _| added_us(found).map(units::micros);
    let of = |size| units::size(size);
    let mut columns = match work {
        Workload::PingPong => vec![
            column(&format!("{} p50", of(first)), first, p50),
            column("p99", first, p99),
            column("p99.9", first, p999),
            column("cpu", first, cpu),
            (String::from("× stream"), Box::new(move |transport| versus(rows, work, first, transport))),
        ],
        Workload::OneWay => vec![
            column(&of(first), first, rate),
            column("cpu", first, cpu),
            (String::from("× stream"), Box::new(move |transport| versus(rows, work, first, transport))),
        ],
        Workload::FanIn | Workload::Connect => {
            vec![
                column("rate", first, rate),
                column("p50", first, p50),
                column("p99", first, p99),
                column("cpu", first, cpu),
            ]
        }
        Workload::Descriptors | Workload::Credentials => {
            vec![column("with", first, rate), column("without", first, plain), column("adds", first, added)]
        }
    };
    if is_paced {
        // A rate lower than requested means that the transport could not keep up.
        columns.push(column("kept", first, rate));
    }
    for &size in rest {
        columns.push(match work {
            Workload::PingPong => column(&format!("{} p50", of(size)), size, p50),
            _ => column(&of(size), size, bytes),
        });
    }
    columns
}

/// Compares a transport with a plain stream: latency with latency, rate with rate.
fn versus(rows: Rows<'_>, work: Workload, size: usize, transport: Transport) -> String {
    let value = |transport| {
        let figures = rows.figures(transport, work, size)?;
        if work.is_answered() {
            figures.latency.map(|latency| latency.p50_us)
        } else {
            Some(figures.per_second)
        }
    };
    match (value(transport), value(Transport::Stream)) {
        (Some(ours), Some(base)) if base > 0.0 => format!("{:.2}", ours / base),
        _ => NOTHING.into(),
    }
}

/// Formats the report as text.
pub(in crate::commands::bench) fn text(report: &Results) -> String {
    let mut text = String::new();
    for line in report.machine.lines() {
        let _ = writeln!(text, "{line}");
    }
    for table in tables(report) {
        let _ = writeln!(text, "\n{}", table.title);
        text.push_str(&aligned(&table));
        for note in table.notes {
            let _ = writeln!(text, "  ({note})");
        }
    }
    if !report.advice.is_empty() {
        text.push_str("\nRecommendations\n");
    }
    for advice in &report.advice {
        let choose = advice.choose.join(", ");
        let _ = writeln!(text, "  {}\n    {choose}: {}", advice.need, advice.because);
    }
    if let Some(caution) = report.machine.caution() {
        let _ = writeln!(text, "\n{caution}");
    }
    text
}

/// Aligns names to the left and figures to the right.
fn aligned(table: &Table) -> String {
    let width = |column: usize| {
        let cells = std::iter::once(&table.head).chain(&table.lines).filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
    let mut text = String::new();
    for line in std::iter::once(&table.head).chain(&table.lines) {
        let mut row = String::from(" ");
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(row, " {cell:width$}") } else { write!(row, "  {cell:>width$}") };
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn text_matches_the_golden_file() {
        assert_eq!(text(&sample::results()), include_str!("golden.txt"));
    }
}
