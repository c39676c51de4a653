//! What entries did in the last looks. Pure.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use stoop_tap::top::per_second;

use super::super::accounts::Entry;
use super::super::column::Moment;

/// How many looks are kept.
const LOOKS: usize = 240;
/// How many entries have a history.
const ENTRIES_MAX: usize = 5_000;

/// Bytes and calls a second, of the last looks.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    entries: HashMap<Rc<str>, Series>,
}

/// The same of one entry, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) bytes: VecDeque<u64>,
    pub(super) calls: VecDeque<u64>,
}

impl History {
    /// Adds a look. An entry that is missing is forgotten.
    pub(super) fn add(&mut self, entries: &[Entry], moment: Moment) {
        let mut before = std::mem::take(&mut self.entries);
        for entry in entries.iter().take(ENTRIES_MAX) {
            let Some(activity) = &entry.activity else { continue };
            let mut series = before.remove(&entry.id).unwrap_or_default();
            let rate = |amount| per_second(amount, moment.span).round() as u64;
            push(&mut series.bytes, rate(activity.received.bytes + activity.sent.bytes));
            push(&mut series.calls, rate(activity.received.calls + activity.sent.calls));
            self.entries.insert(entry.id.clone(), series);
        }
    }

    pub(super) fn of(&self, id: &str) -> Option<&Series> {
        self.entries.get(id)
    }
}

fn push(series: &mut VecDeque<u64>, value: u64) {
    if series.len() == LOOKS {
        series.pop_front();
    }
    series.push_back(value);
}
