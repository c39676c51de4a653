//! Adds what is known about the default address of a well-known service: who creates that socket,
//! and whom it allows. Pure.

use super::facts::Facts;
use super::{Advice, Cause, Operation, Verdict, advice};
use crate::endpoints::{self, Service};

/// Returns the verdict, with advice that suits the service better than general advice about
/// sockets.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let question = &facts.question;
    match endpoints::recognise(&question.address) {
        Some(service) if question.operation == Operation::Connect => {
            let advice = advice_on(facts, service, verdict.cause);
            let mut verdict = verdict.seen(format!("this is the default address of {}", service.what));
            if !advice.is_empty() {
                // Another server at that address would be pointless.
                verdict.advice.retain(|advice| !advice.is_about_own_server());
                verdict.advice.splice(0..0, advice);
            }
            verdict
        }
        _ => verdict,
    }
}

fn advice_on(facts: &Facts, service: &'static Service, cause: Cause) -> Vec<Advice> {
    let address = &facts.question.address;
    let of_user = address.as_pathname().is_some_and(|path| path.starts_with("/run/user"));
    let use_it = || Advice::UseService { service, address: address.clone() };
    match cause {
        Cause::Missing | Cause::ParentMissing | Cause::Dangling | Cause::Stale => {
            vec![Advice::StartUnit { service, of_user }, use_it()]
        }
        Cause::Unlinked | Cause::ListenerShutDown | Cause::NotListening | Cause::BacklogFull => {
            vec![Advice::RestartUnit { service, of_user }, Advice::ShowJournal(service)]
        }
        Cause::NoWrite | Cause::NoSearch => join_group(facts, service).into_iter().collect(),
        Cause::Nothing => vec![use_it()],
        _ => Vec::new(),
    }
}

/// Advises to join the group whose members may connect. A user who controls a container runtime
/// effectively has root.
fn join_group(facts: &Facts, service: &Service) -> Option<Advice> {
    let (group, subject) = (service.group?, facts.subject.as_ref()?);
    Some(advice::join_group(facts, subject.uid, group.to_owned(), true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::tests::{connect, facts};
    use crate::why::{Outcome, why};
    use stoop::Address;

    #[test]
    fn dockers_socket_has_advice_of_its_own() {
        let docker = Address::path("/var/run/docker.sock").unwrap();
        let closed = connect(|facts| {
            facts.question.address = docker.clone();
            facts.walk.as_mut().unwrap().reached.as_mut().unwrap().mode = 0o660;
        });
        let (user, group) = ("alice".to_owned(), "docker".to_owned());
        assert_eq!(closed.advice[0], Advice::JoinGroup { user, group, is_root: true, as_root: false });
        assert!(closed.advice.iter().all(|advice| !advice.is_about_own_server()), "{closed:?}");
        assert!(closed.seen.iter().any(|line| line == "this is the default address of the Docker daemon"));
        let mut open = facts(Operation::Connect);
        open.question.address = docker.clone();
        let open = why(&open);
        assert_eq!(open.outcome, Outcome::Succeeds);
        let service = endpoints::recognise(&docker).unwrap();
        assert_eq!(open.advice, [Advice::UseService { service, address: docker }]);
    }
}
