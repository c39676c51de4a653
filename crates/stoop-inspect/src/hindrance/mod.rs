//! What keeps a process from answering: it is stopped, traced, frozen, has exited, or cannot accept
//! for want of a file descriptor. Pure: `gather` does the reading.

mod gather;

use std::path::{Path, PathBuf};

use stoop::internal::mountinfo::MountEntry;

use crate::Workload;

pub use gather::hindrance;

/// What keeps a process from answering its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hindrance {
    /// A signal has stopped all of its threads.
    Stopped,
    /// A tracer holds it ([K-STUCK-2]).
    ///
    /// [K-STUCK-2]: stoop::kernel_facts#K-STUCK-2
    Traced(Option<Tracer>),
    /// Its control group is frozen ([K-STUCK-3]).
    ///
    /// [K-STUCK-3]: stoop::kernel_facts#K-STUCK-3
    Frozen(FrozenGroup),
    /// All of its threads have exited, and it was not reaped yet.
    Exited,
    /// Every file descriptor below this limit is in use, so that `accept` fails with `EMFILE`
    /// ([K-STUCK-4]).
    ///
    /// [K-STUCK-4]: stoop::kernel_facts#K-STUCK-4
    OutOfDescriptors {
        /// The limit (`RLIMIT_NOFILE`).
        limit: u32,
        /// The highest limit that the process may set itself. `None` if there is none.
        hard: Option<u32>,
    },
}

/// The process that traces another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracer {
    /// Its id.
    pub pid: u32,
    /// Its command name.
    pub command: String,
    /// Its effective user id.
    pub uid: Option<u32>,
    /// Whether it is the parent of the traced process. If not, it has attached to a process that
    /// was running before.
    pub is_parent: bool,
}

/// A frozen control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenGroup {
    /// The file that freezes it: `cgroup.freeze`, or `freezer.state` in a hierarchy of version 1.
    pub switch: PathBuf,
    /// What the group belongs to, by its name.
    pub workload: Workload,
}

impl FrozenGroup {
    /// Returns whether the group is in a hierarchy of version 1, whose file takes other words.
    pub fn is_version_1(&self) -> bool {
        self.switch.ends_with(STATE_V1)
    }
}

impl Hindrance {
    /// Returns whether the process does nothing at all, as opposed to being unable to accept.
    pub fn is_total(&self) -> bool {
        !matches!(self, Hindrance::OutOfDescriptors { .. })
    }
}

/// The file that freezes a control group of version 1.
const STATE_V1: &str = "freezer.state";

/// What the threads of a process do, by the letters of `/proc/PID/task/TID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    Stopped,
    Traced,
    Exited,
    /// At least one may run.
    Alive,
}

impl Threads {
    /// The first thread may have exited while others run ([K-PROC-3]).
    ///
    /// [K-PROC-3]: stoop::kernel_facts#K-PROC-3
    fn of(letters: &[u8]) -> Threads {
        let alive: Vec<u8> =
            letters.iter().copied().filter(|letter| !matches!(letter, b'Z' | b'X')).collect();
        match () {
            () if letters.is_empty() => Threads::Alive,
            () if alive.is_empty() => Threads::Exited,
            () if !alive.iter().all(|letter| matches!(letter, b'T' | b't')) => Threads::Alive,
            () if alive.contains(&b't') => Threads::Traced,
            () => Threads::Stopped,
        }
    }
}

/// Finds a line `name:` in `/proc/PID/status`, and returns its first number.
fn status_number(status: &[u8], name: &str) -> Option<u32> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()))?;
    let digits = line.strip_prefix(b":")?.trim_ascii();
    let digits = digits.split(u8::is_ascii_whitespace).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the soft and the hard limit of open files from `/proc/PID/limits`. `None` if the soft
/// one is unlimited.
fn open_files_limits(limits: &[u8]) -> Option<(u32, Option<u32>)> {
    let line = limits.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Max open files"))?;
    let mut words = std::str::from_utf8(line).ok()?.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()))
}

/// A hierarchy of control groups that can freeze, as it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    mounted_at: PathBuf,
    is_version_1: bool,
}

/// Returns the hierarchy of a mount, if it can freeze.
fn hierarchy(mount: MountEntry) -> Option<Hierarchy> {
    let is_version_1 = match mount.file_system.as_str() {
        "cgroup2" => false,
        "cgroup" if mount.has_file_system_option("freezer") => true,
        _ => return None,
    };
    // A part of a hierarchy, mounted into a container, has other paths than `/proc/PID/cgroup`.
    let is_whole = mount.root == Path::new("/");
    is_whole.then_some(Hierarchy { mounted_at: mount.point, is_version_1 })
}

/// Returns the path of a process's group in a hierarchy, from the text of `/proc/PID/cgroup`.
///
/// The root, which cannot be frozen, and groups outside our control group namespace have none.
fn group_in<'t>(cgroups: &'t str, hierarchy: &Hierarchy) -> Option<&'t Path> {
    let is_it = |controllers: &str| match hierarchy.is_version_1 {
        true => controllers.split(',').any(|controller| controller == "freezer"),
        false => controllers.is_empty(),
    };
    let path = cgroups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        is_it(controllers).then_some(path)
    })?;
    let path = Path::new(path.strip_prefix('/')?);
    let is_inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (is_inside && path != Path::new("")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_stopped_if_all_that_is_left_of_it_is() {
        let cases: [(&[u8], Threads); 9] = [
            (b"T", Threads::Stopped),
            (b"TTT", Threads::Stopped),
            (b"ZT", Threads::Stopped),
            (b"tT", Threads::Traced),
            (b"tS", Threads::Alive),
            (b"ZS", Threads::Alive),
            (b"TR", Threads::Alive),
            (b"ZX", Threads::Exited),
            (b"", Threads::Alive),
        ];
        for (letters, expected) in cases {
            assert_eq!(Threads::of(letters), expected, "{}", letters.escape_ascii());
        }
    }

    #[test]
    fn numbers_are_found_by_name() {
        let status = b"Name:\ta\nTgid:\t12\nPPid:\t1\nTracerPid:\t0\nUid:\t7\t8\t9\t9\n";
        assert_eq!(status_number(status, "Tgid"), Some(12));
        assert_eq!(status_number(status, "PPid"), Some(1));
        assert_eq!(status_number(status, "Uid"), Some(7));
        assert_eq!(status_number(status, "Pid"), None);
        let limits = b"Limit   Soft Limit  Hard Limit  Units\nMax open files            20   4096   files\n";
        assert_eq!(open_files_limits(limits), Some((20, Some(4096))));
        assert_eq!(open_files_limits(b"Max open files   unlimited unlimited files\n"), None);
    }

    #[test]
    fn control_groups_are_found_in_both_versions() {
        let mounts = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n\
             38 31 0:34 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
             39 31 0:34 /part /mnt/part rw - cgroup cgroup rw,freezer\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n";
        let found: Vec<_> = stoop::internal::mountinfo::parse(mounts).filter_map(hierarchy).collect();
        let [old, new] = &found[..] else { panic!() };
        assert!(old.is_version_1 && old.mounted_at == Path::new("/sys/fs/cgroup/freezer"));
        assert!(!new.is_version_1 && new.mounted_at == Path::new("/sys/fs/cgroup/unified"));
        let groups = "6:cpu,freezer:/a/b\n2:cpuset:/\n0::/system.slice/x:y.service\n";
        assert_eq!(group_in(groups, old), Some(Path::new("a/b")));
        assert_eq!(group_in(groups, new), Some(Path::new("system.slice/x:y.service")));
        for none in ["0::/\n", "0::/../other\n", "0::/..\n", ""] {
            assert_eq!(group_in(none, new), None, "{none}");
        }
    }
}
