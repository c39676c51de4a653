//! Removes one cause and nothing else. As long as a case fails, the reported cause is removed and
//! the case is checked again. A wrong cause is reported again, or its removal has no effect.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::IFlags;
use rustix::mount::MountFlags;
use rustix::net::SocketAddrUnix;
use stoop::Kind;
use stoop_inspect::internal::Cause;
use stoop_inspect::why::Operation;

use super::caller::in_network;
use super::case::{Case, Sandbox};
use super::oracle::{Entry, Expected, kind_asked};
use super::server::{self, Name, Server};
use super::tree::{self, Mount, set_flag};

/// Removes the cause. Returns `false` if only a different question would succeed.
pub fn repair(case: &mut Case, sandbox: &Sandbox, cause: Cause, expected: &Expected) -> bool {
    match &expected.entry {
        Some(entry) => repair_at(case, cause, entry, expected.kind_there),
        None => repair_elsewhere(case, sandbox, cause),
    }
}

fn repair_elsewhere(case: &mut Case, sandbox: &Sandbox, cause: Cause) -> bool {
    match cause {
        Cause::MessageTooLarge => case.operation = Operation::Send { len_bytes: 1 },
        Cause::PathTooLong | Cause::NeedsConnection => return false,
        Cause::NameTaken => case.servers.clear(),
        // All other causes concern an abstract name: replace its sockets by the requested server.
        _ => {
            case.servers.clear();
            let name = case.address.as_abstract_name().expect("a name").to_vec();
            let address = SocketAddrUnix::new_abstract_name(&name).expect("a short name");
            let kind = kind_asked(case.operation, case.kind, None);
            let other_network = case.caller.other_network;
            let found_by = Name::Abstract { name, other_network };
            let make = || Server::good(kind, &address, || found_by);
            let server = if other_network { in_network(&sandbox.other_network, make) } else { make() };
            case.servers.push(server);
        }
    }
    true
}

fn repair_at(case: &mut Case, cause: Cause, entry: &Entry, there: Option<Kind>) -> bool {
    let done = repair_really(case, cause, entry, there);
    // Restore the flags of mounts that were made writable.
    case.mounts.iter_mut().for_each(Mount::set);
    done
}

fn repair_really(case: &mut Case, cause: Cause, entry: &Entry, there: Option<Kind>) -> bool {
    let name = OsStr::from_bytes(&entry.name);
    let directory = case.past_mounts(seen(&entry.directory));
    let file = directory.join(name);
    // The file in the caller's view, which may be a mount point.
    let shown = seen(&entry.directory).join(name);
    let is_dots = entry.name == b"." || entry.name == b"..";
    let kind = kind_asked(case.operation, case.kind, there);
    // The directory was removed with the caller in it, or the path leaves the directory of all
    // cases: what is there belongs to the machine.
    if !directory.exists() || ![&directory, &shown].iter().all(|path| path.starts_with(super::BASE)) {
        return false;
    }
    match cause {
        Cause::NoSearch | Cause::NoSearchAcl | Cause::ParentNotWritable | Cause::ParentNotWritableAcl => {
            permit(&directory);
        }
        Cause::NoWrite | Cause::NoWriteAcl => permit(&case.past_mounts(shown)),
        Cause::ProtectedLink => lchown(&file, Some(case.caller.uid), None).expect("give a link away"),
        Cause::LinksNotFollowed => case.remount(&entry.directory, MountFlags::RDONLY),
        Cause::ReadOnly => case.mounts.iter_mut().for_each(|mount| mount.flags -= MountFlags::RDONLY),
        Cause::Immutable => set_flag(&case.past_mounts(shown), IFlags::empty()),
        Cause::ParentImmutable => set_flag(&directory, IFlags::empty()),
        Cause::TakenLive | Cause::TakenStale | Cause::TakenByFile => case.remove(&shown, &file),
        Cause::DirectoryDeleted | Cause::NameTooLong | Cause::NoLastName | Cause::TrailingSlash => {
            return false;
        }
        Cause::NotASocket | Cause::NotASocketReadOnly if entry.wants_directory || is_dots => return false,
        // Replace the file, whatever it is.
        _ => {
            case.remove(&shown, &file);
            if entry.wants_directory { make_directory(&file) } else { serve(case, &file, kind) }
        }
    }
    true
}

/// Removes the working directory while the caller is in it.
pub fn lose_cwd(case: &mut Case) {
    case.mounts.iter().for_each(|mount| Mount { flags: MountFlags::empty(), ..mount.clone() }.set());
    remove(&case.caller.cwd);
    case.mounts.iter_mut().for_each(Mount::set);
}

/// Grants all users all permissions. File flags are kept.
fn permit(path: &Path) {
    let flag = tree::flag(path);
    set_flag(path, IFlags::empty());
    super::acl::clear(path);
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("set a mode");
    set_flag(path, flag);
}

fn make_directory(path: &Path) {
    fs::create_dir(path).expect("make a directory");
    permit(path);
}

/// Removes a file, if there is one, and makes its directory changeable.
fn remove(path: &Path) {
    set_flag(path.parent().expect("no case is at the root"), IFlags::empty());
    set_flag(path, IFlags::empty());
    match fs::symlink_metadata(path) {
        Ok(file) if file.is_dir() => fs::remove_dir_all(path).expect("remove a directory"),
        Ok(_) => fs::remove_file(path).expect("remove a file"),
        Err(_) => {}
    }
}

/// Starts the requested server.
fn serve(case: &mut Case, path: &Path, kind: Kind) {
    let address = SocketAddrUnix::new(path).expect("cases have short paths");
    case.servers.push(Server::good(kind, &address, || server::file_at(path)));
    permit(path);
}

impl Case {
    /// Removes the file shown there, and unmounts it if it is a mount point.
    fn remove(&mut self, shown: &Path, path: &Path) {
        if let Some(at) = self.mounts.iter().position(|mount| mount.here == shown) {
            tree::clear_mount(&self.mounts.remove(at));
        }
        remove(path);
    }

    /// Returns the path of a file without the mounts that may prevent a change.
    fn past_mounts(&self, mut path: PathBuf) -> PathBuf {
        while let Some(mount) = self.through(&path) {
            let Some(source) = &mount.source else {
                // It has no other path: clear its flags temporarily.
                Mount { flags: MountFlags::empty(), ..mount.clone() }.set();
                break;
            };
            let rest = path.strip_prefix(&mount.here).expect("it starts so");
            path = if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) };
        }
        path
    }

    /// Returns the innermost mount that a path goes through.
    fn through(&self, path: &Path) -> Option<&Mount> {
        let through = self.mounts.iter().filter(|mount| path.starts_with(&mount.here));
        through.max_by_key(|mount| mount.here.as_os_str().len())
    }

    /// Clears all flags except `keep` of the innermost mount of a directory.
    fn remount(&mut self, directory: &OwnedFd, keep: MountFlags) {
        let path = seen(directory);
        let here = self.through(&path).expect("there is a mount").here.clone();
        let mount = self.mounts.iter_mut().find(|mount| mount.here == here).expect("it is there");
        mount.flags &= keep;
        mount.set();
    }
}

/// Returns the path of a file descriptor in the view of this process.
fn seen(directory: &OwnedFd) -> PathBuf {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    fs::read_link(link).expect("our own descriptor")
}
