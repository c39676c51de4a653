//! Candidates for `cri`: the containers, pods and images that the runtime has now.

use super::machine::{Candidate, Sink};
use super::{limits, live};
use crate::args::Verb;
use crate::commands::cri::{Known, known};

/// Passes on names, and ids once something is typed. `words` precede the action.
pub(super) fn offer(words: &[String], sort: Known, typed: &str, sink: Sink<'_>) {
    // Any action completes the command.
    let words = [words, &["version".to_owned()]].concat();
    let Some(Verb::Cri(flags)) = live::parsed(&words) else { return };
    if !live::is_reachable(&flags.endpoint) {
        return;
    }
    for item in known(&flags, sort, limits::server()).unwrap_or_default() {
        sink(Candidate::new(item.name, item.about.clone()));
        if !typed.is_empty() {
            sink(Candidate::new(item.id, item.about));
        }
    }
}
