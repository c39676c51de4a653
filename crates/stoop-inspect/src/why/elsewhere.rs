//! Adds live sockets that may have been meant instead of a path at which there is none. Pure.

use stoop::Address;

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
    let is_its_own = |near: &Near| match near.how {
        Nearness::SameName => false,
        Nearness::SimilarName => is_decorated(&facts.question.address, &near.address),
        _ => true,
    };
    if others.iter().any(|near| is_its_own(near)) {
        // The address belongs to a program that has its socket elsewhere.
        verdict.advice.retain(|advice| !advice.is_about_own_server());
    }
    if verdict.cause == Cause::ParentMissing && !others.is_empty() {
        // What was taken for a directory is a socket with something behind its name.
        verdict.advice.retain(|advice| !matches!(advice, Action::CreateDirectory { .. }));
    }
    let look = others.iter().map(|near| Action::SeeElsewhere {
        address: near.address.clone(),
        is_similar: near.how == Nearness::SimilarName && !is_its_own(near),
    });
    verdict.advise_all(look.collect::<Vec<_>>())
}

/// Returns whether a path is that of the socket with something behind it: white space, as from a
/// file with other line ends, or the options and requests of another notation.
fn is_decorated(asked: &Address, socket: &Address) -> bool {
    let Some((asked, socket)) = asked.as_pathname().zip(socket.as_pathname()) else { return false };
    let tail = asked.as_os_str().as_encoded_bytes().strip_prefix(socket.as_os_str().as_encoded_bytes());
    let is_foreign = |byte: &u8| byte.is_ascii_whitespace() || b":,;?|'\"".contains(byte);
    tail.and_then(<[u8]>::first).is_some_and(is_foreign)
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
        Nearness::Inside => Some("a live socket in this directory"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        // A file with other line ends, options of another program, the path of a request.
        for tail in ["\r", " ", ",mode=600", ":/v1"] {
            let mut facts = facts(Operation::Connect);
            let asked = Address::path(format!("/run/app/app.sock{tail}")).unwrap();
            facts.question.address = asked;
            facts.walk.as_mut().unwrap().reached = None;
            facts.walk.as_mut().unwrap().steps.last_mut().unwrap().found = crate::why::facts::Found::Nothing;
            (facts.sockets, facts.alive) = (None, None);
            let address = Address::path("/run/app/app.sock").unwrap();
            facts.near =
                vec![Near { how: Nearness::SimilarName, address: address.clone(), socket: listening() }];
            assert_eq!(why(&facts).advice, [Action::SeeElsewhere { address, is_similar: false }], "{tail:?}");
        }
        let same_service = missing(Nearness::SameService);
        assert!(same_service.advice.iter().all(|advice| !advice.is_about_own_server()), "{same_service:?}");
        assert!(
            missing(Nearness::OtherKind).advice.iter().all(|it| !matches!(it, Action::SeeElsewhere { .. }))
        );
    }
}
