//! The columns, and an entry's cells in them. Pure.

use std::time::Duration;

use stoop_tap::top::{Activity, per_second, percentile_ns};

use super::accounts::Entry;
use super::args::By;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    In,
    Out,
    Calls,
    Half,
    Most,
    Unread,
    Age,
    Backlog,
    Connects,
    Clients,
    Errors,
    Server,
    Client,
}

/// When an entry was seen: what its cells are computed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) span: Duration,
    pub(super) now_ns: u64,
}

const UNKNOWN: &str = "-";
/// All columns. Those at the end are left out first, if there is no space.
const ALL: [Column; 14] = [
    Column::Name,
    Column::In,
    Column::Out,
    Column::Calls,
    Column::Half,
    Column::Most,
    Column::Unread,
    Column::Backlog,
    Column::Age,
    Column::Server,
    Column::Client,
    Column::Clients,
    Column::Connects,
    Column::Errors,
];

/// Returns the columns of a view.
pub(super) fn columns(by: By) -> impl Iterator<Item = Column> {
    ALL.into_iter().filter(move |column| match column {
        Column::Server => matches!(by, By::Address | By::Socket),
        Column::Client => by == By::Socket,
        Column::Clients => by != By::Socket,
        _ => true,
    })
}

impl Column {
    pub(super) fn title(self, by: By) -> &'static str {
        match self {
            Column::Name => match by {
                By::Address | By::Socket => "ADDRESS",
                By::Process => "PROCESS",
                By::Container => "CONTAINER",
                By::Unit => "UNIT",
            },
            Column::In => "IN/s",
            Column::Out => "OUT/s",
            Column::Calls => "CALLS/s",
            Column::Half => "P50",
            Column::Most => "P99",
            Column::Unread => "UNREAD",
            Column::Age => "AGE",
            Column::Backlog => "BACKLOG",
            Column::Connects => "CONN/s",
            Column::Clients => "CONNS",
            Column::Errors => "ERRORS",
            Column::Server => "SERVER",
            Column::Client => "CLIENT",
        }
    }

    /// Returns the width on a screen; 0 for the one that takes what is left.
    pub(super) fn width(self) -> u16 {
        match self {
            Column::Name => 0,
            Column::Server | Column::Client => 16,
            Column::Backlog => 8,
            Column::Calls | Column::Unread | Column::In | Column::Out => 7,
            _ => 6,
        }
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Column::Name | Column::Server | Column::Client)
    }
}

/// Returns the text of a cell.
pub(super) fn cell(entry: &Entry, column: Column, moment: Moment) -> String {
    let activity = entry.activity.as_ref();
    let rate =
        |amount: fn(&Activity) -> u64| activity.map(|activity| per_second(amount(activity), moment.span));
    let wait = |share: f64| percentile_ns(&activity?.latencies, share).map(span);
    let text = match column {
        Column::Name => Some(entry.name.to_string()),
        Column::In => rate(|activity| activity.received.bytes).map(bytes),
        Column::Out => rate(|activity| activity.sent.bytes).map(bytes),
        Column::Calls => rate(|activity| activity.received.calls + activity.sent.calls).map(number),
        Column::Half => wait(0.5),
        Column::Most => wait(0.99),
        Column::Unread => unread(entry),
        Column::Age => age(entry, moment).map(span),
        Column::Backlog => entry.backlog.map(|backlog| format!("{}/{}", backlog.waiting, backlog.limit)),
        Column::Connects => rate(|activity| activity.connects).map(number),
        Column::Clients => Some(entry.connections.to_string()),
        Column::Errors => activity.map(|activity| activity.errors.to_string()),
        Column::Server => entry.server.as_ref().map(|server| server.to_string()),
        Column::Client => entry.client.as_ref().map(|client| client.to_string()),
    };
    text.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Returns how long the oldest unread message has been waiting, at least.
pub(super) fn age(entry: &Entry, moment: Moment) -> Option<u64> {
    Some(moment.now_ns.saturating_sub(entry.activity.as_ref()?.unread_since_ns?))
}

fn unread(entry: &Entry) -> Option<String> {
    let more = if entry.unread.is_complete { "" } else { "+" };
    match (entry.unread.bytes, entry.unread.is_complete) {
        (0, false) => None,
        (count, _) => Some(bytes(count as f64) + more),
    }
}

/// Formats bytes with at most five characters: `0`, `512`, `1.2K`, `34M`.
pub(super) fn bytes(amount: f64) -> String {
    scaled(amount, 1024.0, &["", "K", "M", "G", "T", "P", "E"])
}

/// Formats a number with at most five characters: `0`, `0.5`, `812`, `34k`.
pub(super) fn number(amount: f64) -> String {
    scaled(amount, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
}

fn scaled(mut amount: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while amount >= step * 0.9995 && unit + 1 < units.len() {
        amount /= step;
        unit += 1;
    }
    let text = if amount > 0.0 && amount < 9.95 && (unit > 0 || amount.fract() != 0.0) {
        format!("{amount:.1}")
    } else {
        format!("{amount:.0}")
    };
    text + units[unit]
}

/// Formats a time with at most five characters: `512ns`, `33us`, `1.0ms`, `12s`, `3m`.
pub(super) fn span(ns: u64) -> String {
    let value = ns as f64;
    let (value, unit) = match ns {
        0..1_000 => (value, "ns"),
        1_000..1_000_000 => (value / 1e3, "us"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        1_000_000_000..120_000_000_000 => (value / 1e9, "s"),
        120_000_000_000..7_200_000_000_000 => (value / 60e9, "m"),
        _ => (value / 3600e9, "h"),
    };
    let is_small = ns >= 1_000 && value < 9.95;
    if is_small { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let shown = [0.0, 0.25, 5.0, 512.0, 1023.0, 1024.0, 10_240.0, 1e6, 5e9].map(bytes);
        assert_eq!(shown, ["0", "0.2", "5", "512", "1023", "1.0K", "10K", "977K", "4.7G"]);
        let shown = [0.5, 9.96, 999.0, 999.9, 12_345.0, 1e9].map(number);
        assert_eq!(shown, ["0.5", "10", "999", "1.0k", "12k", "1.0G"]);
    }

    #[test]
    fn times_are_short() {
        let shown =
            [0, 512, 1024, 33_554, 1_048_576, 722_000_000, 61_000_000_000, 1_000_000_000_000].map(span);
        assert_eq!(shown, ["0ns", "512ns", "1.0us", "34us", "1.0ms", "722ms", "61s", "17m"]);
    }
}
