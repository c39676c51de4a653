//! Adds live sockets that may have been meant instead of a path at which there is none. Pure.

use super::action::Action;
use super::cause::Cause;
use super::facts::{Facts, Near, Nearness};
use super::messages::{Messages, quoted};
use super::verdict::{Outcome, Verdict};

/// Returns the verdict, with the live sockets that may have been meant.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let is_absent = matches!(
        verdict.cause,
        Cause::Missing | Cause::ParentMissing | Cause::Dangling | Cause::Stale | Cause::NotASocket
    );
    if !is_absent || !matches!(verdict.outcome, Outcome::Fails(_)) {
        return verdict;
    }
    let others: Vec<&Near> = facts.near.iter().filter(|near| what(&near.how).is_some()).collect();
    let mut verdict = others.iter().fold(verdict, |verdict, near| seen(facts, verdict, near));
    let is_its_own = |near: &&Near| !matches!(near.how, Nearness::SameName | Nearness::SimilarName);
    if others.iter().any(is_its_own) {
        // The address belongs to a program that has its socket elsewhere.
        verdict.advice.retain(|advice| !advice.is_about_own_server());
    }
    if verdict.cause == Cause::ParentMissing && !others.is_empty() {
        // What was taken for a directory is a socket with something behind its name.
        verdict.advice.retain(|advice| !matches!(advice, Action::CreateDirectory { .. }));
    }
    let look = others.iter().map(|near| Action::SeeElsewhere {
        address: near.address.clone(),
        is_similar: near.how == Nearness::SimilarName,
    });
    verdict.advise_all(look.collect::<Vec<_>>())
}

fn seen(facts: &Facts, verdict: Verdict, near: &Near) -> Verdict {
    let (Some(what), Some(path)) = (what(&near.how), near.address.as_pathname()) else { return verdict };
    verdict.seen(format!("{what} is at {}", quoted(path))).seen_all(Messages(facts).owners(&near.socket))
}

/// Returns what a socket elsewhere is, or `None` if it is not one.
fn what(how: &Nearness) -> Option<&'static str> {
    match how {
        Nearness::SameService => Some("a live socket of this service"),
        Nearness::SameName => Some("a live socket of the same name"),
        Nearness::SimilarName => Some("a live socket of a similar name"),
        Nearness::WithTail => Some("a live socket whose name this one continues"),
        Nearness::Inside => Some("a live socket in this directory"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop::Address;

    use crate::why::answer::why;
    use crate::why::question::Operation;
    use crate::why::tests::{facts, listening};

    fn missing(how: Nearness) -> Verdict {
        let mut facts = facts(Operation::Connect);
        let walk = facts.walk.as_mut().unwrap();
        walk.reached = None;
        walk.steps.last_mut().unwrap().found = crate::why::facts::Found::Nothing;
        facts.sockets = None;
        facts.alive = None;
        let address = Address::path("/srv/app/app.sock").unwrap();
        facts.near = vec![Near { how, address, socket: listening() }];
        why(&facts)
    }

    #[test]
    fn a_live_socket_elsewhere_comes_first() {
        for how in [Nearness::SameService, Nearness::SameName] {
            let verdict = missing(how);
            let address = Address::path("/srv/app/app.sock").unwrap();
            let expected = Action::SeeElsewhere { address, is_similar: false };
            assert_eq!(verdict.advice[0], expected, "{verdict:?}");
            assert!(
                verdict.seen.iter().any(|line| line.ends_with("is at '/srv/app/app.sock'")),
                "{verdict:?}"
            );
        }
        let similar = missing(Nearness::SimilarName);
        assert!(!matches!(similar.advice[0], Action::SeeElsewhere { .. }), "{similar:?}");
        assert!(matches!(similar.advice.last(), Some(Action::SeeElsewhere { is_similar: true, .. })));
        let address = Address::path("/srv/app/app.sock").unwrap();
        let look = Action::SeeElsewhere { address, is_similar: false };
        assert_eq!(missing(Nearness::WithTail).advice, [look]);
        let same_service = missing(Nearness::SameService);
        assert!(same_service.advice.iter().all(|advice| !advice.is_about_own_server()), "{same_service:?}");
        assert!(
            missing(Nearness::OtherKind).advice.iter().all(|it| !matches!(it, Action::SeeElsewhere { .. }))
        );
    }
}
