//! Looks for traces of the program that an address belongs to: systemd's units, a lock or pid file
//! next to the socket, and what is at the place itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stoop::internal::responding;

use super::units;
use super::users::Users;
use crate::Workload;
use crate::why::Who;
use crate::why::facts::{Exhausted, Facts, FileKind, Lock, Near, Nearness, Traces};

/// The number of files in a directory that has a socket to itself and what belongs to it.
const FEW: usize = 8;

/// Looks for them. Units are searched only if no server is known to be bound.
pub(super) fn find(facts: &Facts, users: &Users) -> Traces {
    let home = users.home_of(facts.asker_uid);
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    let mut traces = Traces {
        subject_workload: match facts.question.subject {
            Who::Process(pid) => workload(pid),
            _ => Workload::Unknown,
        },
        has_systemd,
        has_manager: has_systemd || Path::new("/run/openrc").is_dir(),
        runtime_dir: runtime_dir.filter(|path| path.is_absolute() && path.is_dir()),
        home,
        ..Traces::default()
    };
    let responds = |path: &PathBuf| responding::check(path).is_ok();
    let Some(path) = place(facts).filter(responds) else { return traces };
    traces.units = units::naming(&path, traces.home.as_deref(), traces.runtime_dir.as_deref());
    traces.lock = lock(&path);
    traces.is_of_stoop = staging(&path).is_some_and(|directory| directory.is_dir());
    traces.interposed = staging(&path).and_then(|directory| interposed(facts, &directory));
    traces.is_empty_directory = is_empty_directory(facts, &path);
    traces.exhausted = path.parent().and_then(exhausted);
    traces
}

/// Returns the container, unit or session of a process.
pub(super) fn workload(pid: u32) -> Workload {
    fs::read(format!("/proc/{pid}/cgroup")).map_or(Workload::Unknown, |text| Workload::from_cgroup(&text))
}

/// Returns the absolute path of the socket, in the view of this process, if it is not another in
/// the subject's.
fn place(facts: &Facts) -> Option<PathBuf> {
    let is_elsewhere = facts.subject.as_ref().is_some_and(|subject| subject.view.other_files);
    let path = facts.question.address.as_pathname().filter(|_| !is_elsewhere)?;
    let last = facts.walk.as_ref()?.steps.last()?;
    match path.is_absolute() {
        true => Some(path.to_owned()),
        false => Some(last.directory.path.join(path.file_name()?)),
    }
}

/// Returns the owner of the private directory if the file of a server that was bound to the path is
/// in there.
fn interposed(facts: &Facts, staging: &Path) -> Option<u32> {
    let is_inside = |near: &Near| match &near.how {
        Nearness::WasBoundTo(location) => {
            location.here.as_deref().and_then(Path::parent).is_some_and(|parent| parent == staging)
        }
        _ => false,
    };
    let owner = || Some(fs::symlink_metadata(staging).ok()?.uid());
    facts.near.iter().any(is_inside).then(owner)?
}

fn staging(path: &Path) -> Option<PathBuf> {
    let name = [".".as_ref(), path.file_name()?, ".stoop".as_ref()];
    Some(path.with_file_name(name.into_iter().collect::<std::ffi::OsString>()))
}

/// Finds the lock or pid file of a server: one that has the name of the socket, or the only one in
/// a small directory.
fn lock(path: &Path) -> Option<Lock> {
    let (directory, name) = (path.parent()?, path.file_name()?.to_str()?);
    let stem = path.file_stem()?.to_str()?;
    let own = [format!("{name}.lock"), format!("{name}.pid"), format!("{stem}.pid"), format!(".{name}.lock")];
    let own = own.iter().map(|name| directory.join(name)).find(|path| path.is_file());
    let path = own.or_else(|| only_pid_file(directory))?;
    Some(Lock { program: program(&path), path })
}

fn only_pid_file(directory: &Path) -> Option<PathBuf> {
    let entries: Vec<_> = fs::read_dir(directory).ok()?.take(FEW + 1).flatten().collect();
    let mut files = entries.iter().map(fs::DirEntry::path).filter(|path| {
        matches!(path.extension().and_then(std::ffi::OsStr::to_str), Some("pid" | "lock")) && path.is_file()
    });
    let first = files.next()?;
    (entries.len() <= FEW && files.next().is_none()).then_some(first)
}

/// Returns the program that a lock or pid file names: the process in it, if it still runs, or else
/// the name of the file.
fn program(path: &Path) -> Option<String> {
    let pid = fs::read_to_string(path).ok().and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
    let command = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
    // Numbers are used again: an unlike name is that of another program.
    let stem = path.file_name()?.to_str()?.split(".pid").next()?.split(".lock").next()?;
    let stem = stem.trim_start_matches('.').split(".sock").next()?;
    match stem.starts_with("s.PGSQL") {
        true => Some("PostgreSQL".to_owned()),
        false => {
            let is_like = |command: &String| !stem.is_empty() && command.contains(stem);
            Some(
                command.map(|text| text.trim().to_owned()).filter(is_like).unwrap_or_else(|| stem.to_owned()),
            )
        }
    }
    .filter(|name| !name.is_empty())
}

fn is_empty_directory(facts: &Facts, path: &Path) -> bool {
    let reached = facts.walk.as_ref().and_then(|walk| walk.reached.as_ref());
    reached.is_some_and(|file| file.kind == FileKind::Directory)
        && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Returns what the file system lacks for another file. One that reports no inodes at all creates
/// them as needed.
fn exhausted(directory: &Path) -> Option<Exhausted> {
    let about = rustix::fs::statvfs(directory).ok()?;
    match about {
        about if about.f_files > 0 && about.f_favail == 0 => Some(Exhausted::Inodes),
        about if about.f_blocks > 0 && about.f_bfree == 0 => Some(Exhausted::Blocks),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_testkit::tempdir;

    #[test]
    fn the_file_beside_a_socket_names_its_program() {
        let directory = tempdir();
        let named = |socket: &str, file: &str| {
            let path = directory.path().join(file);
            fs::write(&path, "999999999\n").unwrap();
            let lock = lock(&directory.path().join(socket));
            fs::remove_file(path).unwrap();
            lock.and_then(|lock| lock.program)
        };
        assert_eq!(named(".s.PGSQL.5432", ".s.PGSQL.5432.lock").as_deref(), Some("PostgreSQL"));
        assert_eq!(named("mysqld.sock", "mysqld.sock.lock").as_deref(), Some("mysqld"));
        assert_eq!(named("supervisor.sock", "supervisord.pid").as_deref(), Some("supervisord"));
        assert_eq!(named("app.sock", "app.txt"), None);
    }

    #[test]
    fn a_file_system_has_space_or_not() {
        assert_eq!(exhausted(tempdir().path()), None);
        assert_eq!(exhausted(Path::new("/proc")), None, "it counts nothing");
    }
}
