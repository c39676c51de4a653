//! Reads what keeps a process from answering. What cannot be read is taken for no hindrance.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{
    FrozenGroup, Hierarchy, Hindrance, STATE_V1, Threads, Tracer, group_in, hierarchy, open_files_limits,
    status_number,
};
use crate::{Workload, process};
use stoop::internal::mountinfo;

/// How often a process must be seen held by its tracer. `strace` holds each call for an instant.
const TRACED_LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Returns what keeps a process from answering, as far as it is visible.
pub fn hindrance(pid: u32) -> Option<Hindrance> {
    match threads(pid) {
        Threads::Stopped => return Some(Hindrance::Stopped),
        Threads::Exited => return Some(Hindrance::Exited),
        Threads::Traced if is_held(pid) => return Some(Hindrance::Traced(tracer(pid))),
        Threads::Traced | Threads::Alive => {}
    }
    frozen(pid).map(Hindrance::Frozen).or_else(|| out_of_descriptors(pid))
}

fn threads(pid: u32) -> Threads {
    let letter = |stat: &[u8]| process::stat(stat).map(|stat| stat.letter);
    let leader = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| letter(&stat));
    // If the first thread runs, the others need not be read.
    if !matches!(leader, Some(b'T' | b't' | b'Z' | b'X')) {
        return Threads::Alive;
    }
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Threads::Alive };
    let stats = tasks.flatten().filter_map(|task| fs::read(task.path().join("stat")).ok());
    let letters: Vec<u8> = stats.filter_map(|stat| letter(&stat)).collect();
    Threads::of(&letters)
}

fn is_held(pid: u32) -> bool {
    (1..TRACED_LOOKS).all(|_| {
        thread::sleep(BETWEEN_LOOKS);
        threads(pid) == Threads::Traced
    })
}

/// Returns the process that traces one of the threads.
fn tracer(pid: u32) -> Option<Tracer> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let statuses = tasks.flatten().filter_map(|task| fs::read(task.path().join("status")).ok());
    // A tracer in another pid namespace has the number 0.
    let traced = |status: &Vec<u8>| status_number(status, "TracerPid").filter(|&tracer| tracer > 0);
    let (thread, parent) =
        statuses.into_iter().find_map(|status| Some((traced(&status)?, status_number(&status, "PPid"))))?;
    let status = fs::read(format!("/proc/{thread}/status")).ok()?;
    let tracer = status_number(&status, "Tgid")?;
    let command = fs::read(format!("/proc/{tracer}/comm")).ok()?;
    Some(Tracer {
        pid: tracer,
        command: String::from_utf8_lossy(command.trim_ascii_end()).into_owned(),
        uid: status_number(&status, "Uid"),
        is_parent: parent == Some(tracer),
    })
}

/// Returns the control group that has frozen the process: its own, or one above.
fn frozen(pid: u32) -> Option<FrozenGroup> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mounts = mountinfo::read("/proc/self").ok()?;
    mounts.into_iter().filter_map(hierarchy).find_map(|hierarchy| {
        let group = group_in(&groups, &hierarchy)?;
        if hierarchy.is_version_1 { frozen_v1(&hierarchy, group) } else { frozen_v2(&hierarchy, group) }
    })
}

fn frozen_v2(hierarchy: &Hierarchy, group: &Path) -> Option<FrozenGroup> {
    let at = |group: &Path, file: &str| hierarchy.mounted_at.join(group).join(file);
    let events = fs::read_to_string(at(group, "cgroup.events")).ok()?;
    if !events.lines().any(|line| line == "frozen 1") {
        return None;
    }
    let freezes = |group: &&Path| {
        fs::read_to_string(at(group, "cgroup.freeze")).is_ok_and(|text| text.trim_ascii() == "1")
    };
    let group = group.ancestors().find(freezes)?;
    Some(named(group, at(group, "cgroup.freeze")))
}

fn frozen_v1(hierarchy: &Hierarchy, group: &Path) -> Option<FrozenGroup> {
    let read =
        |group: &Path, file: &str| fs::read_to_string(hierarchy.mounted_at.join(group).join(file)).ok();
    if read(group, STATE_V1)?.trim_ascii() != "FROZEN" {
        return None;
    }
    let freezes =
        |group: &&Path| read(group, "freezer.self_freezing").is_some_and(|text| text.trim_ascii() == "1");
    let group = group.ancestors().find(freezes)?;
    Some(named(group, hierarchy.mounted_at.join(group).join(STATE_V1)))
}

fn named(group: &Path, switch: std::path::PathBuf) -> FrozenGroup {
    let workload = Workload::from_cgroup(format!("0::/{}\n", group.display()).as_bytes());
    FrozenGroup { switch, workload }
}

/// Returns the limit if all file descriptors below it are in use.
fn out_of_descriptors(pid: u32) -> Option<Hindrance> {
    let (limit, hard) = open_files_limits(&fs::read(format!("/proc/{pid}/limits")).ok()?)?;
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let below = |name: std::ffi::OsString| name.to_str()?.parse::<u32>().ok().filter(|&fd| fd < limit);
    let used = open.flatten().filter_map(|entry| below(entry.file_name())).count();
    (used >= limit as usize).then_some(Hindrance::OutOfDescriptors { limit, hard })
}
