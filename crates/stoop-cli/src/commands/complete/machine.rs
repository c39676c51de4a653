//! What the machine offers as candidates: files, processes, users and groups, units and network
//! namespaces.

use std::fs;
use std::path::PathBuf;

/// What may be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The text.
    pub(super) value: String,
    /// What it is, or empty.
    pub(super) about: String,
}

impl Candidate {
    pub(super) fn new(value: impl Into<String>, about: impl Into<String>) -> Candidate {
        Candidate { value: value.into(), about: about.into() }
    }
}

/// Takes candidates, one at a time.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Candidate);

/// The control groups of the machine's units under systemd.
const UNITS: &str = "/sys/fs/cgroup/system.slice";

/// Passes on the names in `/etc/passwd` or `/etc/group`. A directory service is not asked: it may
/// not answer in time.
pub(super) fn entries(path: &str, sink: Sink<'_>) {
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next()) {
            sink(Candidate::new(name, id));
        }
    }
}

/// Calls `each` with the id and the command of every process.
pub(super) fn processes(mut each: impl FnMut(String, String)) {
    for pid in names("/proc").filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        if let Ok(command) = fs::read_to_string(format!("/proc/{pid}/comm")) {
            each(pid, command.trim_end().to_owned());
        }
    }
}

/// Passes on the units that run.
pub(super) fn units(sink: Sink<'_>) {
    const TYPES: [&str; 4] = [".service", ".socket", ".scope", ".mount"];
    let is_unit = |name: &String| TYPES.iter().any(|ending| name.ends_with(ending));
    names(UNITS).filter(is_unit).for_each(|name| sink(Candidate::new(name, "")));
}

/// Passes on the network namespaces that have a name.
pub(super) fn namespaces(sink: Sink<'_>) {
    sink(Candidate::new("own", "the namespace of stoop itself"));
    names("/run/netns").for_each(|name| sink(Candidate::new(name, "")));
}

/// Returns the names in a directory that are UTF-8, in order.
fn names(directory: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.into_iter()
}

/// Passes on directories, and the files that are wanted, below the directory that was typed.
pub(super) fn files(typed: &str, before: &str, is_wanted: impl Fn(&fs::FileType) -> bool, sink: Sink<'_>) {
    let (directory, start) = typed.split_at(typed.rfind('/').map_or(0, |slash| slash + 1));
    let Ok(entries) = fs::read_dir(readable(directory)) else { return };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with(start) || name.starts_with('.') && start.is_empty() {
            continue;
        }
        // Only a symbolic link is followed: looking at a file may take long on a network.
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => fs::metadata(entry.path()).map(|file| file.file_type()),
            kind => kind,
        };
        match kind {
            Ok(kind) if kind.is_dir() => found.push(format!("{before}{directory}{name}/")),
            Ok(kind) if is_wanted(&kind) => found.push(format!("{before}{directory}{name}")),
            _ => {}
        }
    }
    found.sort();
    found.into_iter().for_each(|value| sink(Candidate::new(value, "")));
}

/// Returns the directory to read for what was typed: a shell expands `~` only later.
fn readable(directory: &str) -> PathBuf {
    match (directory.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ if directory.is_empty() => PathBuf::from("."),
        _ => PathBuf::from(directory),
    }
}
