//! Adds what is known about the default address of a well-known service: who creates that socket,
//! and whom it allows. Pure.

use stoop::explain::shell;

use super::facts::Facts;
use super::messages::Messages;
use super::{Cause, Operation, Verdict};
use crate::endpoints::{self, Service};

/// Returns the verdict, with advice that suits the service better than general advice about
/// sockets.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let question = &facts.question;
    match endpoints::recognise(&question.address) {
        Some(service) if question.operation == Operation::Connect => {
            let is_of_user = question.address.as_path().is_some_and(|path| path.starts_with("/run/user"));
            let next = commands(facts, service, verdict.cause, is_of_user);
            let mut verdict = verdict.seen(format!("this is the default address of {}", service.what));
            if !next.is_empty() {
                // A stoop server makes no sense at that address.
                verdict.next.retain(|command| !command.starts_with("stoop "));
                verdict.next.splice(0..0, next);
            }
            verdict
        }
        _ => verdict,
    }
}

fn commands(facts: &Facts, service: &Service, cause: Cause, is_of_user: bool) -> Vec<String> {
    let systemctl = if is_of_user { "systemctl --user" } else { "systemctl" };
    match cause {
        Cause::Missing | Cause::ParentMissing | Cause::Dangling | Cause::Stale => vec![
            format!("{systemctl} start {}    # {} creates it", service.unit, service.what),
            format!("{}    # finds it as its own clients do", service.talk),
        ],
        Cause::Unlinked | Cause::ListenerShutDown | Cause::NotListening | Cause::BacklogFull => {
            vec![
                format!("{systemctl} restart {}", service.unit),
                format!("journalctl -u {} -e", service.unit),
            ]
        }
        Cause::NoWrite | Cause::NoSearch => admission(facts, service).into_iter().collect(),
        Cause::Nothing => vec![service.talk.to_owned()],
        _ => Vec::new(),
    }
}

/// Describes who may connect: members of the service's group. A user who controls a container
/// runtime effectively has root.
fn admission(facts: &Facts, service: &Service) -> Option<String> {
    let (group, subject) = (service.group?, facts.subject.as_ref()?);
    let user = facts.names.users.get(&subject.uid).map_or(subject.uid.to_string(), shell::word);
    let whom = Messages(facts).whom();
    Some(format!(
        "{}usermod -aG {group} {user}    # from the next login on; gives {whom} the power of root on this machine",
        super::advice::sudo(facts, None)
    ))
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
        assert!(closed.next[0].starts_with("usermod -aG docker alice    # "), "{closed:?}");
        assert!(closed.next.iter().all(|command| !command.starts_with("stoop serve")), "{closed:?}");
        assert!(closed.seen.iter().any(|line| line == "this is the default address of the Docker daemon"));
        let mut open = facts(Operation::Connect);
        open.question.address = docker;
        let open = why(&open);
        assert_eq!(
            (open.outcome, &open.next[..]),
            (Outcome::Succeeds, &["stoop http docker /version".to_owned()][..])
        );
    }
}
