//! Determines the subject of the call: ids, groups, capabilities, namespaces, and file descriptors
//! of its root and working directory.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::users::Users;
use crate::file_location::id_of;
use crate::hindrance::{Hindrance, hindrance};
use crate::model::NamespaceIno;
use crate::procfs::namespace_link;
use crate::why::Who;
use crate::why::facts::{Descriptors, IdRange, Subject, View};

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;

/// The subject, with its root, working directory and namespaces.
pub(super) struct SubjectContext {
    pub(super) subject: Subject,
    /// Its root directory, if it may be opened.
    pub(super) root: Result<OwnedFd, Errno>,
    /// Its working directory, if it may be opened.
    pub(super) working: Result<OwnedFd, Errno>,
    /// The path of the working directory.
    pub(super) working_name: Option<std::path::PathBuf>,
    /// Its network namespace.
    pub(super) network: Option<NamespaceIno>,
    /// The `/proc` directory that lists its mounts.
    pub(super) proc: String,
    /// Its pid in the pid namespace of its own `/proc`, or `None` if it is not a process.
    pub(super) inner_pid: Option<u32>,
    /// Whether it is this process.
    pub(super) is_self: bool,
}

/// Finds the subject, or returns `None` if it does not exist.
///
/// # Errors
/// Returns an error if `/proc` is not mounted.
pub(super) fn find(who: &Who, users: &Users) -> io::Result<Option<SubjectContext>> {
    let proc = match who {
        Who::CurrentProcess | Who::User(_) => "/proc/thread-self".to_owned(),
        Who::Process(pid) => format!("/proc/{pid}"),
    };
    let status = match fs::read(format!("{proc}/status")) {
        Ok(status) => status,
        Err(error) if matches!(who, Who::Process(_)) && fs::exists("/proc/self/status")? => {
            let _ = error;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let Some(mut subject) = from_status(&status) else { return Err(io::ErrorKind::InvalidData.into()) };
    let inner_pid = inner_pid(&status);
    let ours = |name: &str| namespace("/proc/thread-self", name);
    let theirs = |name: &str| namespace(&proc, name);
    let network = theirs("net");
    match who {
        Who::CurrentProcess => {
            subject.began = fs::read("/proc/self/stat").ok().and_then(|stat| began(&stat));
            map_ids(&mut subject, &proc, true);
        }
        Who::User(name) => {
            let Some(user) = users.find(name) else { return Ok(None) };
            (subject.uid, subject.gid, subject.groups) = (user.uid, user.gid, user.groups);
            let bounding = hex(&status, "CapBnd:").filter(|_| user.uid == 0).unwrap_or(0);
            set_capabilities(&mut subject, bounding);
            (subject.pid, subject.command) = (None, None);
            map_ids(&mut subject, &proc, true);
        }
        Who::Process(pid) => {
            subject.pid = Some(*pid);
            subject.began = fs::read(format!("{proc}/stat")).ok().and_then(|stat| began(&stat));
            map_ids(&mut subject, &proc, theirs("user").is_some() && theirs("user") == ours("user"));
            subject.descriptors = descriptors(*pid);
            subject.has_exited = hindrance(*pid) == Some(Hindrance::Exited);
            subject.view = View {
                other_files: theirs("mnt") != ours("mnt") || other_root(*pid),
                other_network: network != ours("net"),
            };
        }
    }
    subject.account_groups = users.groups_of(subject.uid);
    let (root, working) = match who {
        Who::Process(pid) => (open(&format!("/proc/{pid}/root")), open(&format!("/proc/{pid}/cwd"))),
        _ => (open("/"), open("/proc/thread-self/cwd")),
    };
    let working_name = fs::read_link(format!("{proc}/cwd")).ok();
    let inner_pid = inner_pid.filter(|_| !matches!(who, Who::User(_)));
    let is_self = matches!(who, Who::CurrentProcess);
    Ok(Some(SubjectContext { subject, root, working, working_name, network, proc, inner_pid, is_self }))
}

fn open(path: &str) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn namespace(proc: &str, name: &str) -> Option<NamespaceIno> {
    namespace_link(fs::read_link(format!("{proc}/ns/{name}")).ok()?.as_os_str().as_encoded_bytes())
}

/// Returns whether its root is another directory than that of this process.
fn other_root(pid: u32) -> bool {
    // Not through `stat`: its file system may not respond.
    let id = |path: &str| open(path).ok().and_then(id_of);
    id(&format!("/proc/{pid}/root")) != id("/")
}

/// Counts the file descriptors of a process that are below its limit.
fn descriptors(pid: u32) -> Option<Descriptors> {
    let limit = soft_limit(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)?;
    let numbers = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.map_while(Result::ok);
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    Some(Descriptors { open: numbers.filter(|number| *number < limit).count() as u64, limit })
}

/// Parses the soft limit of open files in `/proc/PID/limits`. Pure.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Parses `/proc/PID/status`. Pure.
pub(super) fn from_status(status: &[u8]) -> Option<Subject> {
    // The fourth number is the id for file access.
    let id = |key| numbers(status, key).nth(3);
    let mut subject = Subject {
        pid: numbers(status, "Tgid:").next(),
        began: None,
        has_exited: false,
        command: line(status, "Name:").map(|name| String::from_utf8_lossy(name).into_owned()),
        uid: id("Uid:")?,
        gid: id("Gid:")?,
        groups: numbers(status, "Groups:").collect(),
        account_groups: None,
        dac_override: false,
        dac_read_search: false,
        mapped_uids: None,
        mapped_gids: None,
        descriptors: None,
        view: View::default(),
    };
    set_capabilities(&mut subject, hex(status, "CapEff:")?);
    Some(subject)
}

impl Subject {
    /// Returns whether its user and group have ids in its user namespace.
    pub(super) fn has_mapped_ids(&self) -> bool {
        let has = |ranges: &Option<Vec<IdRange>>, id: u32| {
            ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(id)))
        };
        has(&self.mapped_uids, self.uid) && has(&self.mapped_gids, self.gid)
    }
}

fn set_capabilities(subject: &mut Subject, effective: u64) {
    subject.dac_override = effective & CAP_DAC_OVERRIDE != 0;
    subject.dac_read_search = effective & CAP_DAC_READ_SEARCH != 0;
}

/// Parses the start time in `/proc/PID/stat`: field 22. Fields are counted after the command name,
/// which may hold any bytes. Pure.
pub(crate) fn began(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = stat[name_end + 1..].trim_ascii().split(|&byte| byte == b' ');
    std::str::from_utf8(fields.nth(19)?).ok()?.parse().ok()
}

/// Returns the pid in the innermost pid namespace.
fn inner_pid(status: &[u8]) -> Option<u32> {
    numbers(status, "NSpid:").last().or_else(|| numbers(status, "Tgid:").next())
}

fn line<'t>(status: &'t [u8], key: &str) -> Option<&'t [u8]> {
    let mut lines = status.split(|&byte| byte == b'\n');
    lines.find_map(|line| line.strip_prefix(key.as_bytes())).map(<[u8]>::trim_ascii)
}

fn numbers<'t>(status: &'t [u8], key: &str) -> impl Iterator<Item = u32> + 't {
    let words = line(status, key).unwrap_or_default().split(u8::is_ascii_whitespace);
    words.filter_map(|word| std::str::from_utf8(word).ok()?.parse().ok())
}

fn hex(status: &[u8], key: &str) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(line(status, key)?).ok()?, 16).ok()
}

/// Reads which ids the subject's user namespace maps, as seen from this process's user namespace.
/// The second column of a map is relative to the reader's user namespace. For a reader in the same
/// namespace it is relative to the parent, so the first column is used (`user_namespaces(7)`).
fn map_ids(subject: &mut Subject, proc: &str, same_namespace: bool) {
    let read = |name: &str| fs::read_to_string(format!("{proc}/{name}")).ok();
    subject.mapped_uids = ranges(read("uid_map"), same_namespace);
    subject.mapped_gids = ranges(read("gid_map"), same_namespace);
}

/// Parses an id map. Returns `None` if all ids are mapped, and also if the map is unreadable: then
/// the process itself may not be inspected at all.
pub(super) fn ranges(map: Option<String>, same_namespace: bool) -> Option<Vec<IdRange>> {
    let map = map?;
    let range = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(IdRange { first: if same_namespace { inside } else { outside }, count })
    };
    let ranges: Vec<IdRange> = map.lines().filter_map(range).collect();
    (ranges != [IdRange { first: 0, count: u32::MAX }]).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &[u8] =
        b"Name:\tnginx: w\nTgid:\t12\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nNSpid:\t12\t3\n\
        CapEff:\t0000000000000004\nCapBnd:\t000001ffffffffff\n";

    #[test]
    fn a_status_is_read() {
        let subject = from_status(STATUS).unwrap();
        assert_eq!((subject.uid, subject.gid, &subject.groups[..]), (4, 8, &[9, 10][..]));
        assert_eq!((subject.dac_override, subject.dac_read_search), (false, true));
        assert_eq!(subject.command.as_deref(), Some("nginx: w"));
        assert_eq!(inner_pid(STATUS), Some(3));
    }

    #[test]
    fn a_process_is_told_from_one_with_its_number() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2\n";
        assert_eq!(began(stat), Some(4711));
        assert_eq!((began(b"7 (a) S"), began(b"")), (None, None));
    }

    #[test]
    fn maps_are_read_in_our_numbers() {
        let map = || Some("         0     100000      65536\n".to_owned());
        assert_eq!(ranges(map(), false), Some(vec![IdRange { first: 100_000, count: 65_536 }]));
        assert_eq!(ranges(map(), true), Some(vec![IdRange { first: 0, count: 65_536 }]));
        assert_eq!(ranges(Some("0 0 4294967295\n".to_owned()), true), None);
    }

    #[test]
    fn the_soft_limit_is_read() {
        let limits =
            "Limit          Soft Limit   Hard Limit   Units\nMax open files   1024      4096     files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files   unlimited  unlimited  files"), Some(u64::MAX));
        assert_eq!(soft_limit(""), None);
        let own = descriptors(std::process::id()).unwrap();
        assert!(own.open > 0 && own.open < own.limit, "{own:?}");
    }

    #[test]
    fn this_process_is_found() {
        let context = find(&Who::CurrentProcess, &Users::default()).unwrap().unwrap();
        assert_eq!(context.subject.uid, rustix::process::geteuid().as_raw());
        assert_eq!(context.subject.pid, Some(std::process::id()));
        assert!(context.root.is_ok() && context.network.is_some());
        assert!(find(&Who::Process(u32::MAX), &Users::default()).unwrap().is_none());
        assert!(find(&Who::User("nobody-of-that-name".into()), &Users::default()).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_status_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_status(&text);
            let _ = inner_pid(&text);
        }
    }
}
