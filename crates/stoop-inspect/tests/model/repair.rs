//! What it takes to remove one cause, and nothing else: for as long as a world fails, the cause
//! that was named is removed and the world asked again. One that is named wrongly comes back, or
//! leads nowhere.

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
use stoop_inspect::why::{Cause, Operation};

use super::caller::in_network;
use super::oracle::{Entry, Expected, kind_asked};
use super::server::{self, Name, Server};
use super::tree::{self, Mount, set_flag};
use super::world::{Ground, World};

/// Removes the cause; `false` where only another question would.
pub fn repair(world: &mut World, ground: &Ground, cause: Cause, expected: &Expected) -> bool {
    match &expected.entry {
        Some(entry) => repair_at(world, cause, entry, expected.kind_there),
        None => repair_elsewhere(world, ground, cause),
    }
}

fn repair_elsewhere(world: &mut World, ground: &Ground, cause: Cause) -> bool {
    match cause {
        Cause::MessageTooLarge => world.operation = Operation::Send { len_bytes: 1 },
        Cause::PathTooLong | Cause::NeedsConnection => return false,
        Cause::NameTaken => world.servers.clear(),
        // Everything else is about an abstract name: the server that is asked for takes the place of those
        // there.
        _ => {
            world.servers.clear();
            let name = world.address.as_abstract().expect("a name").to_vec();
            let address = SocketAddrUnix::new_abstract_name(&name).expect("a short name");
            let kind = kind_asked(world.operation, world.kind, None);
            let abroad = world.caller.abroad;
            let found_by = Name::Abstract { name, abroad };
            let make = || Server::good(kind, &address, || found_by);
            let server = if abroad { in_network(&ground.abroad, make) } else { make() };
            world.servers.push(server);
        }
    }
    true
}

fn repair_at(world: &mut World, cause: Cause, entry: &Entry, there: Option<Kind>) -> bool {
    let done = repair_really(world, cause, entry, there);
    // What was writable for a moment only.
    world.mounts.iter_mut().for_each(Mount::set);
    done
}

fn repair_really(world: &mut World, cause: Cause, entry: &Entry, there: Option<Kind>) -> bool {
    let name = OsStr::from_bytes(&entry.name);
    let directory = world.past_mounts(seen(&entry.directory));
    let file = directory.join(name);
    // As the caller sees it, where something may be mounted.
    let shown = seen(&entry.directory).join(name);
    let is_dots = entry.name == b"." || entry.name == b"..";
    let kind = kind_asked(world.operation, world.kind, there);
    // It was removed with the caller in it, or a path has climbed out of all worlds: what is there is
    // the machine's.
    if !directory.exists() || ![&directory, &shown].iter().all(|path| path.starts_with(super::BASE)) {
        return false;
    }
    match cause {
        Cause::NoSearch | Cause::NoSearchAcl | Cause::ParentNotWritable | Cause::ParentNotWritableAcl => {
            permit(&directory);
        }
        Cause::NoWrite | Cause::NoWriteAcl => permit(&world.past_mounts(shown)),
        Cause::ProtectedLink => lchown(&file, Some(world.caller.uid), None).expect("give a link away"),
        Cause::LinksNotFollowed => world.remount(&entry.directory, MountFlags::RDONLY),
        Cause::ReadOnly => world.mounts.iter_mut().for_each(|mount| mount.flags -= MountFlags::RDONLY),
        Cause::Immutable => set_flag(&world.past_mounts(shown), IFlags::empty()),
        Cause::ParentImmutable => set_flag(&directory, IFlags::empty()),
        Cause::TakenLive | Cause::TakenStale | Cause::TakenByFile => world.remove(&shown, &file),
        Cause::DirectoryDeleted | Cause::NameTooLong | Cause::NoLastName | Cause::TrailingSlash => {
            return false;
        }
        Cause::NotASocket | Cause::NotASocketReadOnly if entry.wants_directory || is_dots => return false,
        // Whatever is there, something else should be.
        _ => {
            world.remove(&shown, &file);
            if entry.wants_directory { make_directory(&file) } else { serve(world, &file, kind) }
        }
    }
    true
}

/// Removes the working directory, with the caller in it.
pub fn lose_cwd(world: &mut World) {
    world.mounts.iter().for_each(|mount| Mount { flags: MountFlags::empty(), ..mount.clone() }.set());
    remove(&world.caller.cwd);
    world.mounts.iter_mut().for_each(Mount::set);
}

/// Lets everybody do anything; the flag it may have stays.
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

/// Takes a file away, if there is one; the directory can then be changed.
fn remove(path: &Path) {
    set_flag(path.parent().expect("no world is at the root"), IFlags::empty());
    set_flag(path, IFlags::empty());
    match fs::symlink_metadata(path) {
        Ok(file) if file.is_dir() => fs::remove_dir_all(path).expect("remove a directory"),
        Ok(_) => fs::remove_file(path).expect("remove a file"),
        Err(_) => {}
    }
}

/// Starts the server that was asked for.
fn serve(world: &mut World, path: &Path, kind: Kind) {
    let address = SocketAddrUnix::new(path).expect("worlds have short paths");
    world.servers.push(Server::good(kind, &address, || server::file_at(path)));
    permit(path);
}

impl World {
    /// Takes away what is shown there, also where it is mounted.
    fn remove(&mut self, shown: &Path, path: &Path) {
        if let Some(at) = self.mounts.iter().position(|mount| mount.here == shown) {
            tree::clear_mount(&self.mounts.remove(at));
        }
        remove(path);
    }

    /// The path of something past the mounts that may be in the way of a change.
    fn past_mounts(&self, mut path: PathBuf) -> PathBuf {
        while let Some(mount) = self.through(&path) {
            let Some(source) = &mount.source else {
                // It has no other path: its own flags have to go for a moment.
                Mount { flags: MountFlags::empty(), ..mount.clone() }.set();
                break;
            };
            let rest = path.strip_prefix(&mount.here).expect("it starts so");
            path = if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) };
        }
        path
    }

    /// The innermost mount that a path goes through.
    fn through(&self, path: &Path) -> Option<&Mount> {
        let through = self.mounts.iter().filter(|mount| path.starts_with(&mount.here));
        through.max_by_key(|mount| mount.here.as_os_str().len())
    }

    /// Leaves the innermost mount that a directory is seen through no flags but these.
    fn remount(&mut self, directory: &OwnedFd, keep: MountFlags) {
        let path = seen(directory);
        let here = self.through(&path).expect("there is a mount").here.clone();
        let mount = self.mounts.iter_mut().find(|mount| mount.here == here).expect("it is there");
        mount.flags &= keep;
        mount.set();
    }
}

/// Where a descriptor is, as we see it.
fn seen(directory: &OwnedFd) -> PathBuf {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    fs::read_link(link).expect("our own descriptor")
}
