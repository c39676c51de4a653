//! Adds what is known about the default address of a well-known service: who creates that socket,
//! and whom it allows. Pure.

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::Facts;
use super::owner_program;
use super::question::Operation;
use super::verdict::Verdict;
use crate::endpoints::{self, Service};

/// Returns the verdict, with advice that suits the service better than general advice about
/// sockets.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let question = &facts.question;
    match endpoints::recognise(&question.address) {
        Some(service) if question.operation == Operation::Connect => {
            let verdict = verdict.seen(format!("this is the default address of {}", service.what));
            match service.obsolete {
                Some(why) => {
                    let mut verdict = verdict.seen(why);
                    verdict.advice.retain(|advice| !advice.is_about_own_server());
                    verdict
                }
                None => advise_on(facts, service, verdict),
            }
        }
        _ => verdict,
    }
}

fn advise_on(facts: &Facts, service: &'static Service, mut verdict: Verdict) -> Verdict {
    // A user who controls a container runtime effectively has root.
    for action in &mut verdict.advice {
        if let Action::JoinGroup { group, is_root, .. } = action {
            *is_root = service.group_is_root && Some(group.as_str()) == service.group;
        }
    }
    let is_managed = facts.traces.has_manager;
    let address = &facts.question.address;
    let of_user = address.as_pathname().is_some_and(|path| path.starts_with("/run/user"));
    match verdict.cause {
        Cause::Missing | Cause::ParentMissing | Cause::Dangling | Cause::Stale
            if (facts.traces.units.is_empty() || !facts.traces.has_systemd) && service.unit.is_some() =>
        {
            let as_root = !of_user && advise::needs_root(facts, None);
            verdict.advise(Action::StartUnit { service, of_user, is_managed, as_root })
        }
        Cause::Unlinked | Cause::ListenerShutDown | Cause::NotListening | Cause::BacklogFull
            if is_managed && service.unit.is_some() =>
        {
            let restarts = |action: &Action| matches!(action, Action::Restart { .. });
            let is_harmless = service.unit.is_some_and(owner_program::is_restartable);
            if is_harmless && !verdict.advice.iter().any(restarts) {
                verdict.advice.push(Action::RestartUnit { service, of_user });
            }
            verdict.advise(Action::ShowJournal(service))
        }
        Cause::Nothing => {
            let address = facts.question.address.clone();
            verdict.advise(Action::UseService { service, address })
        }
        _ => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::Outcome;
    use crate::why::answer::why;
    use crate::why::tests::{connect, facts};
    use stoop::Address;

    #[test]
    fn a_restart_of_the_bus_is_not_advised() {
        let full = |address: &str| {
            connect(|facts| {
                facts.question.address = Address::path(address).unwrap();
                facts.traces.has_manager = true;
                facts.sockets.as_mut().unwrap()[0].backlog = Some((9, 8));
            })
            .advice
        };
        let restarts = |advice: &[Action]| advice.iter().any(|it| matches!(it, Action::RestartUnit { .. }));
        let bus = full("/run/dbus/system_bus_socket");
        assert!(!restarts(&bus) && matches!(bus.last(), Some(Action::ShowJournal(_))), "{bus:?}");
        assert!(restarts(&full("/run/docker.sock")));
    }

    #[test]
    fn dockers_socket_has_advice_of_its_own() {
        let docker = Address::path("/var/run/docker.sock").unwrap();
        let closed = connect(|facts| {
            facts.question.address = docker.clone();
            facts.names.groups.insert(70, "docker".into());
            let file = facts.walk.as_mut().unwrap().reached.as_mut().unwrap();
            (file.mode, file.gid) = (0o660, 70);
        });
        let (user, group) = ("alice".to_owned(), "docker".to_owned());
        assert_eq!(closed.advice[0], Action::JoinGroup { user, group, is_root: true, as_root: false });
        assert!(closed.seen.iter().any(|line| line == "this is the default address of the Docker daemon"));
        let mut open = facts(Operation::Connect);
        open.question.address = docker.clone();
        let open = why(&open);
        assert_eq!(open.outcome, Outcome::Succeeds);
        let service = endpoints::recognise(&docker).unwrap();
        assert_eq!(open.advice, [Action::UseService { service, address: docker }]);
    }
}
