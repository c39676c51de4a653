//! Selects the lines that the flags ask for. Pure.

use stoop_inspect::{Snapshot, State};

use crate::args::{Ls, StateWord};
use crate::sockets::{Filter, Row, rows};

/// Returns the selected lines.
pub(super) fn choose(flags: &Ls, filter: &Filter<'_>, snapshot: &Snapshot) -> Vec<Row> {
    let mut chosen = rows(snapshot);
    chosen.retain(|row| has_state(flags, snapshot, row) && filter.matches(snapshot, row));
    chosen
}

fn has_state(flags: &Ls, snapshot: &Snapshot, row: &Row) -> bool {
    let state = row.state(snapshot);
    if flags.listening {
        return row.is_served(snapshot);
    }
    let word = match state {
        State::Listening => StateWord::Listening,
        State::Connected => StateWord::Connected,
        State::Waiting => StateWord::Waiting,
        State::PeerClosed => StateWord::Gone,
        State::Bound => StateWord::Bound,
        _ => StateWord::Unconnected,
    };
    flags.state.is_empty() || flags.state.contains(&word)
}
