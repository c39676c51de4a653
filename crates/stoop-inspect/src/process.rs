//! Attributes of a process that owns a socket, read from its directory in `/proc`. Reads only what
//! was requested.

use std::collections::HashMap;
use std::ffi::{CStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use crate::model::{Pid, Process, ProcessNamespaces, ProcessState};
use crate::options::Options;
use crate::procfs::ProcessDir;
use crate::workload;

/// The unit of start times in `/proc`: 1/100 s on every architecture of Linux but Alpha.
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// What is known of a process before reading its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) command: OsString,
    pub(crate) uid: u32,
    pub(crate) start: u64,
}

impl Known {
    /// Creates a process that has only these attributes.
    fn alone(self, pid: Pid) -> Process {
        let mut process = Process::new(pid, self.command);
        (process.uid, process.start) = (Some(self.uid), Some(self.start));
        process
    }
}

/// How long the cgroup of a process is cached. A process may be moved to another cgroup without any
/// notification. Usually that happens right after its start, before it executes another program.
const CACHED_FOR: Duration = Duration::from_secs(10);

/// What was read of processes, and when. The next snapshot reuses it: most processes have not
/// changed.
#[derive(Debug, Default)]
pub(crate) struct ProcessCache(HashMap<Pid, (Instant, Process)>);

impl ProcessCache {
    /// Returns the process as it was read, if it is still the same one running the same program and
    /// was read recently.
    fn find(&self, pid: Pid, known: &Known) -> Option<(Instant, Process)> {
        let (read, process) = self.0.get(&pid)?;
        let is_same = process.start == Some(known.start) && process.command == known.command;
        let process = Process { uid: Some(known.uid), ..process.clone() };
        (is_same && read.elapsed() < CACHED_FOR).then_some((*read, process))
    }
}

/// Reads these processes, except those still cached. For a process that has exited, returns what
/// was known before, or nothing.
pub(crate) fn read_all(
    processes: impl IntoIterator<Item = (Pid, Option<Known>)>,
    options: &Options,
    cache: &mut ProcessCache,
) -> HashMap<Pid, Process> {
    let mut buffer = Vec::new();
    // Only the known attributes and the cgroup can be cached: the others change too often.
    let may_keep = !(options.process_states || options.command_lines || options.process_namespaces);
    let mut read_now = HashMap::new();
    let read_one = |(pid, known): (Pid, Option<Known>)| {
        let found = known.as_ref().filter(|_| may_keep).and_then(|known| cache.find(pid, known));
        let (when, process) = found.or_else(|| {
            let directory = ProcessDir::open(pid);
            let process = directory.and_then(|of| read(&of, pid, known.as_ref(), options, &mut buffer)).ok();
            Some((Instant::now(), process.or_else(|| Some(known?.alone(pid)))?))
        })?;
        if may_keep && process.start.is_some() {
            read_now.insert(pid, (when, process.clone()));
        }
        Some((pid, process))
    };
    let read = processes.into_iter().filter_map(read_one).collect();
    cache.0 = read_now;
    read
}

/// Reads one process. What may not be read is `None`.
///
/// Fails if the process has exited, or is not the expected one: its pid may have been reused.
pub(crate) fn read(
    directory: &ProcessDir,
    pid: Pid,
    known: Option<&Known>,
    options: &Options,
    buffer: &mut Vec<u8>,
) -> io::Result<Process> {
    let mut process = Process::new(pid, OsString::new());
    process.uid = known.map(|known| known.uid).or_else(|| directory.uid().ok());
    if options.process_states || known.is_some() {
        directory.read(c"stat", buffer)?;
        let stat = stat(buffer);
        let start = stat.as_ref().and_then(|stat| stat.start);
        if known.is_some_and(|known| Some(known.start) != start) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(stat) = stat {
            process.command = OsString::from_vec(stat.command.to_vec());
            (process.state, process.parent, process.start) = (stat.state, stat.parent, stat.start);
        }
    } else {
        directory.read(c"comm", buffer)?;
        process.command = OsString::from_vec(buffer.strip_suffix(b"\n").unwrap_or(buffer).to_vec());
    }
    if options.workloads && directory.read(c"cgroup", buffer).is_ok() {
        let (workload, path) = workload::from_cgroup(buffer);
        (process.workload, process.cgroup) = (workload, path.map(|path| OsString::from_vec(path.to_vec())));
    }
    if options.command_lines && directory.read(c"cmdline", buffer).is_ok() {
        process.command_line = Some(arguments(buffer));
    }
    if options.process_namespaces {
        let of = |link: &CStr| directory.namespace(link).ok();
        process.namespaces = ProcessNamespaces { net: of(c"ns/net"), mnt: of(c"ns/mnt"), pid: of(c"ns/pid") };
    }
    Ok(process)
}

/// The fields used of `/proc/PID/stat`.
pub(crate) struct Stat<'t> {
    pub(crate) command: &'t [u8],
    /// The state, as the kernel writes it.
    pub(crate) letter: u8,
    state: ProcessState,
    parent: Option<Pid>,
    start: Option<u64>,
}

/// Parses `PID (command) S …`. The command may hold any bytes, so it ends at the *last* closing
/// parenthesis. Pure.
pub(crate) fn stat(text: &[u8]) -> Option<Stat<'_>> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')').filter(|&close| close > open)?;
    let mut fields = text[close + 1..].split(|&byte| byte == b' ').skip(1);
    let letter = fields.next()?;
    let state = match letter {
        b"R" => ProcessState::Running,
        b"S" | b"I" => ProcessState::Sleeping,
        b"D" => ProcessState::Blocked,
        b"T" | b"t" => ProcessState::Stopped,
        b"Z" | b"X" => ProcessState::Zombie,
        _ => ProcessState::Unknown,
    };
    // The state is field 3, the parent field 4, the start time field 22. A parent in another pid
    // namespace is 0.
    let parent = fields.next().and_then(crate::procfs::number).filter(|&pid| pid > 0).map(Pid);
    let start = fields.nth(17).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    Some(Stat { command: &text[open + 1..close], letter: *letter.first()?, state, parent, start })
}

/// Splits the arguments in `/proc/PID/cmdline`. They are separated by NULs, and the last one ends
/// with a NUL unless the process has overwritten it. Pure.
pub(crate) fn arguments(text: &[u8]) -> Vec<OsString> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_command_may_look_like_the_fields_behind_it() {
        let mut text = b"12 (a) S 1 (b)) T".to_vec();
        text.extend((4..=21).flat_map(|field| format!(" {field}").into_bytes()));
        text.extend(b" 8812 0 0\n");
        let stat = stat(&text).unwrap();
        assert_eq!(
            (stat.command, stat.letter, stat.state, stat.parent, stat.start),
            (&b"a) S 1 (b)"[..], b'T', ProcessState::Stopped, Some(Pid(4)), Some(8812))
        );
    }

    #[test]
    fn arguments_are_split() {
        assert_eq!(arguments(b"a\0\0b\0"), ["a", "", "b"]);
        assert_eq!(arguments(b"written over"), ["written over"]);
        assert!(arguments(b"").is_empty());
    }

    #[test]
    fn this_process_is_read() {
        let pid = Pid(std::process::id());
        let options = Options {
            process_states: true,
            command_lines: true,
            process_namespaces: true,
            ..Options::default()
        };
        let process = read(&ProcessDir::open(pid).unwrap(), pid, None, &options, &mut Vec::new()).unwrap();
        assert_eq!(process.uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(process.command_line, Some(std::env::args_os().collect()));
        assert_eq!(process.parent, rustix::process::getppid().map(|pid| Pid(pid.as_raw_pid() as u32)));
        assert!(process.start.is_some() && process.namespaces.mnt.is_some());
        assert!(!process.command.is_empty() && process.state != ProcessState::Unknown);
    }

    #[test]
    fn a_successor_with_the_same_number_is_another_process() {
        let pid = Pid(std::process::id());
        let options = Options { process_states: true, command_lines: true, ..Options::default() };
        let now = read(&ProcessDir::open(pid).unwrap(), pid, None, &options, &mut Vec::new()).unwrap();
        let before = |start| Known { command: "before".into(), uid: 7, start };
        let read_one = |start| {
            read_all([(pid, Some(before(start)))], &options, &mut ProcessCache::default())
                .remove(&pid)
                .unwrap()
        };
        assert_eq!(read_one(now.start.unwrap()).command_line, now.command_line);
        let gone = read_one(now.start.unwrap() - 1);
        assert_eq!((gone.command.to_str(), gone.uid), (Some("before"), Some(7)));
        assert_eq!((gone.command_line, gone.workload), (None, crate::Workload::Unknown));
    }

    #[test]
    fn what_is_still_so_is_not_read_again() {
        let pid = Pid(std::process::id());
        let options = Options { process_states: true, ..Options::default() };
        let own = read(&ProcessDir::open(pid).unwrap(), pid, None, &options, &mut Vec::new()).unwrap();
        let known = Known { command: own.command.clone(), uid: 7, start: own.start.unwrap() };
        let mut cache = ProcessCache::default();
        let again = |cache: &mut ProcessCache, known: &Known, options: &Options| {
            read_all([(pid, Some(known.clone()))], options, cache).remove(&pid).unwrap()
        };
        let plain = Options::default();
        again(&mut cache, &known, &plain);
        // A marker that reading the process again would overwrite.
        let mark = |cache: &mut ProcessCache| cache.0.get_mut(&pid).unwrap().1.cgroup = Some("marked".into());
        let is_marked = |process: &Process| process.cgroup.as_deref() == Some("marked".as_ref());
        mark(&mut cache);
        let same = again(&mut cache, &known, &plain);
        assert!(is_marked(&same) && same.uid == Some(7));
        let other_program = Known { command: "other".into(), ..known.clone() };
        assert!(!is_marked(&again(&mut cache, &other_program, &plain)));
        mark(&mut cache);
        cache.0.get_mut(&pid).unwrap().0 -= CACHED_FOR;
        assert!(!is_marked(&again(&mut cache, &known, &plain)), "it may have moved");
        mark(&mut cache);
        assert!(!is_marked(&again(&mut cache, &known, &options)), "more is wanted");
        again(&mut cache, &known, &plain);
        mark(&mut cache);
        let successor = Known { start: known.start + 1, ..known };
        assert!(!is_marked(&again(&mut cache, &successor, &plain)), "the pid was reused");
        read_all([], &plain, &mut cache);
        assert!(cache.0.is_empty(), "exited processes are dropped");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = stat(&text);
            let _ = arguments(&text);
        }
    }
}
