//! The whole answer: the verdict, with advice that suits its reader. Pure.

use super::facts::Facts;
use super::verdict::Verdict;
use super::{judge, suit};

/// Predicts the result of the call from these facts. Does no I/O.
pub fn why(facts: &Facts) -> Verdict {
    reaching(facts, stoop::internal::DIRECT_PATH_MAX_BYTES)
}

/// Predicts the result of a call that reaches paths of this many bytes.
pub(super) fn reaching(facts: &Facts, path_max_bytes: usize) -> Verdict {
    suit::suit(facts, judge::judge(facts, path_max_bytes))
}
