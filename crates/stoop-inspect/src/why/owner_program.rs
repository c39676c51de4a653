//! Which program an address belongs to, and how that is started again. Pure.

use super::action::Program;
use super::facts::{Facts, Owner};
use crate::endpoints;
use crate::workload::Workload;

/// Returns how a process is started again.
pub(super) fn of_process(pid: u32, command: &str, workload: &Workload) -> Program {
    let by_hand = || Program::Process { pid, command: command.to_owned() };
    if let Some((signal, name)) = endpoints::recreating_signal(command) {
        return Program::Signal { pid, signal, name };
    }
    match workload {
        Workload::Container { runtime, id, .. } => {
            Program::Container { runtime: runtime.clone(), id: id.clone() }
        }
        Workload::Unit { name, user } if is_restartable(name) => {
            Program::Units { names: vec![name.clone()], of_user: user.is_some() }
        }
        _ => by_hand(),
    }
}

/// Returns how a server is started again, and the user of its process.
pub(super) fn of_server(facts: &Facts, owners: &[Owner]) -> Option<(Program, Option<u32>)> {
    let owner = owners.first()?;
    let of_owner = |owner: &Owner| of_process(owner.pid, &owner.command, &owner.workload);
    let program = match facts.traces.units.first() {
        // What systemd listens on for a service is created by the unit of the socket.
        Some(unit) if unit.name.ends_with(".socket") && facts.traces.has_systemd => {
            let services = owners.iter().filter_map(|owner| match of_owner(owner) {
                Program::Units { names, .. } => names.into_iter().next(),
                _ => None,
            });
            let mut names = vec![unit.name.clone()];
            names.extend(services.filter(|name| name.ends_with(".service")).take(1));
            Program::Units { names, of_user: unit.of_user }
        }
        _ => of_owner(owner),
    };
    Some((program, owner.uid))
}

/// Returns whether a restart of the unit ends no sessions of users.
pub(super) fn is_restartable(unit: &str) -> bool {
    unit.ends_with(".service") && !endpoints::holds_sessions(unit)
}

/// Returns the program that an address without a server belongs to, as far as it is known.
pub(super) fn name(facts: &Facts) -> Option<String> {
    let service = endpoints::recognise(&facts.question.address).map(|service| service.what.to_owned());
    let unit = || facts.traces.units.first().map(|unit| unit.name.clone());
    let lock = || facts.traces.lock.as_ref()?.program.clone();
    service.or_else(unit).or_else(lock)
}
