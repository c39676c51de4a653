//! Sorts and filters entries. Pure.

use std::cmp::{Ordering, Reverse};

use stoop_tap::top::percentile_ns;

use super::accounts::Entry;
use super::args::Sort;

/// Sorts entries; of equal ones, by name.
pub(super) fn sort(entries: &mut [Entry], by: Sort, reversed: bool) {
    if by == Sort::Name {
        entries.sort_by(|one, other| directed(reversed, (&one.name, &one.id).cmp(&(&other.name, &other.id))));
        return;
    }
    entries.sort_by_cached_key(|entry| (Reverse(weight(entry, by)), entry.name.clone(), entry.id.clone()));
    if reversed {
        entries.reverse();
    }
}

fn directed(reversed: bool, order: Ordering) -> Ordering {
    if reversed { order.reverse() } else { order }
}

/// Returns what entries are compared by. What is not known is less than zero.
fn weight(entry: &Entry, by: Sort) -> Option<u64> {
    let activity = entry.activity.as_ref();
    let backlog = entry.backlog.map(|backlog| backlog.waiting);
    match by {
        Sort::Traffic => activity.map(|activity| activity.received.bytes + activity.sent.bytes),
        Sort::Calls => activity.map(|activity| activity.received.calls + activity.sent.calls),
        Sort::Wait => percentile_ns(&activity?.latencies, 0.99),
        Sort::Unread => Some(entry.unread.bytes),
        Sort::Backlog => backlog,
        Sort::Connects => activity.map(|activity| activity.connects),
        Sort::Clients => Some(entry.connections),
        Sort::Errors => activity.map(|activity| activity.errors),
        Sort::Name => None,
    }
}

/// Keeps the entries whose name or process contains a text, in any case.
pub(super) fn filter(entries: &mut Vec<Entry>, text: &str) {
    if text.is_empty() {
        return;
    }
    let text = text.to_lowercase();
    let contains = |word: &str| word.to_lowercase().contains(&text);
    entries.retain(|entry| {
        let processes = [&entry.server, &entry.client];
        contains(&entry.name) || processes.into_iter().flatten().any(|word| contains(word))
    });
}
