//! Predicts whether the socket at the end of the lookup accepts a connection or a message
//! (`net/unix/af_unix.c`). Pure.

mod file;
mod found;
mod listener;
mod name;
mod outcome;
mod receiver;

use super::facts::Facts;
use super::lookup::{Lookup, whole};
use super::verdict::Verdict;
use file::by_file;
use name::by_name;

/// Predicts a connect or a send.
pub(super) fn judge(facts: &Facts) -> Verdict {
    match facts.question.address.as_abstract_name() {
        Some(_) => by_name(facts),
        None => match whole(facts) {
            Lookup::Stopped(verdict) => verdict,
            Lookup::Reached(file) => by_file(facts, file),
        },
    }
}
