//! Starting a process on one CPU.
//!
//! A child inherits the affinity of the thread that starts it, so that thread moves to the CPU and
//! back again: nothing runs between fork and exec, and a peer in another language is pinned in the
//! same way.

use crate::options::{Flag, Given};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::process::{Child, Command};

/// Returns the first two CPUs that this process may use; `None` if there is only one.
pub fn two_cpus() -> Option<(usize, usize)> {
    let ours = sched_getaffinity(None).ok()?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| ours.is_set(*cpu));
    Some((cpus.next()?, cpus.next()?))
}

/// Starts `command` on `cpu`, or on any CPU that the scheduler chooses.
///
/// # Errors
/// Returns an error if the process cannot be started, or this one may not use the CPU.
pub fn spawn(command: &mut Command, cpu: Option<usize>) -> io::Result<Child> {
    let Some(cpu) = cpu else { return command.spawn() };
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no such CPU: {cpu}")));
    }
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one)?;
    let child = command.spawn();
    sched_setaffinity(None, &before)?;
    child
}

/// The option of programs with two processes.
pub const FLAG: Flag = Flag {
    name: "--pin",
    value: Some("S,C|none"),
    help: "the CPUs of the two processes; `none` leaves them to the scheduler (default: the first two)",
};

/// Returns the CPUs of the two processes, as the option gives them.
///
/// # Errors
/// Returns an error if its value is neither a pair of numbers nor `none`.
pub fn given(given: &Given) -> Result<Option<(usize, usize)>, String> {
    given.value(FLAG.name, two_cpus(), parse)
}

/// Returns the placement of two processes as text.
pub fn described(pin: Option<(usize, usize)>, server: &str, client: &str) -> String {
    match pin {
        Some((first, second)) => format!("{server} on CPU {first}, {client} on CPU {second}"),
        None => "not pinned".to_owned(),
    }
}

/// The outer `None` is for text that is not a placement.
fn parse(text: &str) -> Option<Option<(usize, usize)>> {
    if text == "none" {
        return Some(None);
    }
    let (server, client) = text.split_once(',')?;
    Some(Some((server.parse().ok()?, client.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_is_pinned_and_we_are_not() {
        let before = sched_getaffinity(None).unwrap();
        let mut command = Command::new("cat");
        command.arg("/proc/self/status").stdout(std::process::Stdio::piped());
        let cpu = (0..CpuSet::MAX_CPU).find(|cpu| before.is_set(*cpu)).unwrap();
        let output = spawn(&mut command, Some(cpu)).unwrap().wait_with_output().unwrap();
        let status = String::from_utf8(output.stdout).unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{status}");
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn two_cpus_are_two() {
        let several = std::thread::available_parallelism().unwrap().get() > 1;
        assert_eq!(two_cpus().is_some_and(|(first, second)| first < second), several);
    }

    #[test]
    fn a_placement_is_a_pair_or_none() {
        assert_eq!(parse("3,0"), Some(Some((3, 0))));
        assert_eq!(parse("none"), Some(None));
        for wrong in ["", "1", "0,b", "0,1,2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(described(Some((0, 1)), "server", "client"), "server on CPU 0, client on CPU 1");
    }

    #[test]
    fn a_missing_cpu_is_an_error() {
        assert!(spawn(&mut Command::new("true"), Some(usize::MAX)).is_err());
        assert!(spawn(&mut Command::new("true"), Some(CpuSet::MAX_CPU - 1)).is_err());
    }
}
