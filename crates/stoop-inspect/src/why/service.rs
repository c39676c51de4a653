//! Adds what is known about the default address of a well-known service: who creates that socket,
//! and whom it allows. Pure.

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::Facts;
use super::question::Operation;
use super::verdict::Verdict;
use crate::endpoints::{self, Service};

/// Returns the verdict, with advice that suits the service better than general advice about
/// sockets.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let question = &facts.question;
    match endpoints::recognise(&question.address) {
        Some(service) if question.operation == Operation::Connect => {
            let advice = advice_on(facts, service, verdict.cause);
            let mut verdict = verdict.seen(format!("this is the default address of {}", service.what));
            if let Some(why) = service.obsolete {
                verdict.advice.retain(|advice| !advice.is_about_own_server());
                return verdict.seen(why);
            }
            if !advice.is_empty() {
                // Another server at that address would be pointless.
                verdict.advice.retain(|advice| !advice.is_about_own_server());
                verdict.advice.splice(0..0, advice);
                // What ends a hindrance costs nothing, and a restart does.
                verdict.advice.sort_by_key(|advice| !advice.is_relief());
            }
            verdict
        }
        _ => verdict,
    }
}

fn advice_on(facts: &Facts, service: &'static Service, cause: Cause) -> Vec<Action> {
    let address = &facts.question.address;
    let of_user = address.as_pathname().is_some_and(|path| path.starts_with("/run/user"));
    let use_it = || Action::UseService { service, address: address.clone() };
    match cause {
        Cause::Missing | Cause::ParentMissing | Cause::Dangling | Cause::Stale => {
            let start = service.unit.map(|_| Action::StartUnit { service, of_user });
            start.into_iter().chain([use_it()]).collect()
        }
        Cause::Unlinked | Cause::ListenerShutDown | Cause::NotListening | Cause::BacklogFull => {
            match service.unit {
                Some(_) => vec![Action::RestartUnit { service, of_user }, Action::ShowJournal(service)],
                None => Vec::new(),
            }
        }
        Cause::NoWrite | Cause::NoSearch => join_group(facts, service).into_iter().collect(),
        Cause::Nothing => vec![use_it()],
        _ => Vec::new(),
    }
}

/// Advises to join the group whose members may connect. A user who controls a container runtime
/// effectively has root.
fn join_group(facts: &Facts, service: &Service) -> Option<Action> {
    let (group, subject) = (service.group?, facts.subject.as_ref()?);
    Some(advise::join_group(facts, subject.uid, group.to_owned(), service.group_is_root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::Outcome;
    use crate::why::judge::why;
    use crate::why::tests::{connect, facts};
    use stoop::Address;

    #[test]
    fn dockers_socket_has_advice_of_its_own() {
        let docker = Address::path("/var/run/docker.sock").unwrap();
        let closed = connect(|facts| {
            facts.question.address = docker.clone();
            facts.walk.as_mut().unwrap().reached.as_mut().unwrap().mode = 0o660;
        });
        let (user, group) = ("alice".to_owned(), "docker".to_owned());
        assert_eq!(closed.advice[0], Action::JoinGroup { user, group, is_root: true, as_root: false });
        assert!(closed.advice.iter().all(|advice| !advice.is_about_own_server()), "{closed:?}");
        assert!(closed.seen.iter().any(|line| line == "this is the default address of the Docker daemon"));
        let mut open = facts(Operation::Connect);
        open.question.address = docker.clone();
        let open = why(&open);
        assert_eq!(open.outcome, Outcome::Succeeds);
        let service = endpoints::recognise(&docker).unwrap();
        assert_eq!(open.advice, [Action::UseService { service, address: docker }]);
    }
}
