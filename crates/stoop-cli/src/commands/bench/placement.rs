//! Chooses the processors of the two processes. If the scheduler chose, one run might have both on
//! one processor and the next have them apart. That makes a difference of a factor of ten, so
//! results could not be compared. They are therefore pinned to different cores by default.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity};

/// The placement asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// The scheduler chooses.
    Any,
    /// This process is pinned to the first, the other to the second.
    On(usize, usize),
}

impl Pin {
    /// Parses `any`, or two processors as in `0,1`.
    pub(crate) fn parse(text: &str) -> Result<Pin, String> {
        let usable = |text: &str| text.parse().ok().filter(|&cpu: &usize| cpu < CpuSet::MAX_CPU);
        let two =
            || text.split_once(',').and_then(|(one, other)| Some(Pin::On(usable(one)?, usable(other)?)));
        let pin = if text == "any" { Some(Pin::Any) } else { two() };
        pin.ok_or_else(|| "not two processors, as in 0,1, or any".into())
    }
}

/// Returns the processors of this process and of the other: those asked for, or two cores. `None`
/// leaves the choice to the scheduler.
pub(super) fn place(asked: Option<Pin>) -> Option<(usize, usize)> {
    match asked {
        Some(Pin::Any) => None,
        Some(Pin::On(ours, theirs)) => Some((ours, theirs)),
        None => two_cores(),
    }
}

/// Returns two usable processors, on different cores if possible.
fn two_cores() -> Option<(usize, usize)> {
    let usable = sched_getaffinity(None).ok()?;
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| usable.is_set(cpu)).collect();
    let (&first, rest) = usable.split_first()?;
    let path = format!("/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list");
    let siblings = listed(&fs::read_to_string(path).unwrap_or_default());
    let apart = rest.iter().find(|cpu| !siblings.contains(cpu)).or(rest.first())?;
    Some((first, *apart))
}

/// Parses a processor list as the kernel prints it: `0,4` or `0-1`.
fn listed(text: &str) -> Vec<usize> {
    let number = |text: &str| text.trim().parse().ok().filter(|&cpu: &usize| cpu < CpuSet::MAX_CPU);
    let ranges = text.split(',').filter_map(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(number(low)?..=number(high)?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_parsed() {
        assert_eq!(Pin::parse("0,1"), Ok(Pin::On(0, 1)));
        assert_eq!(Pin::parse("any"), Ok(Pin::Any));
        for wrong in ["", "0", "0,", "0,1,2", "-1,0", "0,99999", "all"] {
            assert!(Pin::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn kernel_cpu_lists_are_parsed() {
        assert_eq!(listed("0,4\n"), [0, 4]);
        assert_eq!(listed("2-4,7\n"), [2, 3, 4, 7]);
        assert!(listed("").is_empty());
    }

    #[test]
    fn the_default_placement_uses_two_cores() {
        let several = std::thread::available_parallelism().unwrap().get() > 1;
        assert_eq!(two_cores().is_some_and(|(one, other)| one != other), several);
        assert_eq!((place(Some(Pin::Any)), place(Some(Pin::On(3, 3)))), (None, Some((3, 3))));
    }
}
