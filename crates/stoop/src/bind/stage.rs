//! Putting a socket in place without a gap: bound, given its permissions and listening in a private directory beside its
//! name, then moved there in one step.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::binding;
use super::place::{Place, descriptor_path};
use super::release::SocketFile;
use crate::error::Result;
use crate::file_id::FileId;
use crate::socket::Socket;
use crate::sys;

const SUFFIX: &str = ".stoop";

/// The private directory `.NAME.stoop`, made and removed under the lock. What a crash left of it is cleared by the next.
pub(super) struct Stage {
    /// The name to be taken.
    name: OsString,
    /// Where the socket stands meanwhile.
    inside: Place,
    parent: Place,
}

impl Stage {
    pub(super) fn create(place: &Place) -> Result<Stage> {
        let failed = |errno: Errno| binding(errno.into());
        let name = place.sibling(SUFFIX);
        let make = || rustix::fs::mkdirat(&place.directory, &name, Mode::RWXU);
        match make() {
            Err(Errno::EXIST) => {
                clear_left_over(place, &name).map_err(failed)?;
                make().map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
        let directory = open_own(place, &name).map_err(failed)?;
        restore_access(&directory).map_err(failed)?;
        let path = place.path.with_file_name(&name).join(&place.name);
        let mut inside = Place { directory, name: place.name.clone(), path };
        if inside.bindable().is_none() {
            // Too long to be bound under: any short name does until it is moved.
            inside.name = OsString::from("s");
            inside.path = place.path.with_file_name(&name).join("s");
        }
        Ok(Stage { name, inside, parent: place.try_clone().map_err(binding)? })
    }

    /// Binds inside the stage.
    pub(super) fn bind(&self, socket: &Socket) -> Result<SocketFile> {
        let too_long = || binding(std::io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        let bindable = self.inside.bindable().ok_or_else(too_long)?;
        sys::bind(std::os::fd::AsFd::as_fd(socket), &bindable.raw).map_err(binding)?;
        SocketFile::new(&self.inside, self.inside.bound_file(socket)?)
    }

    /// Swaps the staged socket with the one that was seen under the name, and removes that one. Should another file have come
    /// under the name meanwhile, everything is swapped back.
    pub(super) fn publish_over(self, file: SocketFile, place: &Place, seen: FileId) -> Result<SocketFile> {
        let failed = |errno: Errno| binding(errno.into());
        // Before the swap: nothing may fail once the name is ours.
        let published = place.try_clone().map_err(binding)?;
        match self.rename(place, RenameFlags::EXCHANGE) {
            // Gone in the meantime: then it is an ordinary bind.
            Err(Errno::NOENT) => return self.publish_new(file, place),
            // A file system that cannot exchange: a plain rename replaces just as well, without the second look.
            Err(Errno::INVAL | Errno::NOSYS) => self.rename(place, RenameFlags::empty()).map_err(failed)?,
            result => {
                result.map_err(failed)?;
                if self.swapped_out().map_err(failed)? != seen {
                    self.rename(place, RenameFlags::EXCHANGE).map_err(failed)?;
                    return Err(super::taken().with_detail("another server took the name at the same moment"));
                }
            }
        }
        Ok(file.moved_to(published))
    }

    /// Moves the staged socket to a name that is free.
    pub(super) fn publish_new(self, file: SocketFile, place: &Place) -> Result<SocketFile> {
        let published = place.try_clone().map_err(binding)?;
        self.rename(place, RenameFlags::NOREPLACE).map_err(|errno| binding(errno.into()))?;
        Ok(file.moved_to(published))
    }

    fn rename(&self, place: &Place, flags: RenameFlags) -> rustix::io::Result<()> {
        let inside = &self.inside;
        rustix::fs::renameat_with(&inside.directory, &inside.name, &place.directory, &place.name, flags)
    }

    fn swapped_out(&self) -> rustix::io::Result<FileId> {
        let stat = rustix::fs::statat(&self.inside.directory, &self.inside.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileId::of(&stat))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Where that fails something foreign is in there, and the next to stage says so.
        let _ = clear_left_over(&self.parent, &self.name);
    }
}

/// Adds what the umask has cut and we need ourselves. A set-group-id bit stays: the socket is to get its directory's group.
fn restore_access(directory: &OwnedFd) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode & 0o7777);
    match mode.contains(Mode::RWXU) {
        true => Ok(()),
        false => rustix::fs::chmodat(CWD, descriptor_path(directory), mode | Mode::RWXU, AtFlags::empty()),
    }
}

/// Removes what a killed process has left of its stage. Called under the lock, so nobody is using it.
pub(super) fn clear(place: &Place) {
    // Where that fails something foreign is in there, and the next to stage says so.
    let _ = clear_left_over(place, &place.sibling(SUFFIX));
}

/// Removes a stage and what is in it. Only ever a directory of our own user, and of what is in it only what a stage leaves
/// there: in a shared directory the name may lead to something of ours that was moved there. Anything else is left, and the
/// next step says so.
fn clear_left_over(place: &Place, name: &OsStr) -> rustix::io::Result<()> {
    let directory = open_own(place, name)?;
    let entries = rustix::fs::openat(
        &directory,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    for entry in rustix::fs::Dir::read_from(entries)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        match is_of_a_stage(&directory, entry.file_name())? {
            true => rustix::fs::unlinkat(&directory, entry.file_name(), AtFlags::empty())?,
            false => return Err(Errno::NOTEMPTY),
        }
    }
    rustix::fs::unlinkat(&place.directory, name, AtFlags::REMOVEDIR)
}

/// A socket, or its lock, which is empty.
fn is_of_a_stage(directory: &OwnedFd, name: &std::ffi::CStr) -> rustix::io::Result<bool> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => true,
        FileType::RegularFile => stat.st_size == 0,
        _ => false,
    })
}

/// The stage's directory, refused unless it belongs to us.
fn open_own(place: &Place, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(&place.directory, name, flags, Mode::empty())?;
    match rustix::fs::fstat(&directory)?.st_uid == rustix::process::geteuid().as_raw() {
        true => Ok(directory),
        false => Err(Errno::PERM),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_stage_is_left_alone() {
        let directory = stoop_testkit::tempdir();
        let (path, stage) = (directory.path().join("app.sock"), directory.path().join(".app.sock.stoop"));
        std::fs::create_dir(&stage).unwrap();
        std::fs::write(stage.join("data"), "precious").unwrap();
        let listener = crate::Bind::new(&path).listen().unwrap();
        assert!(crate::Bind::new(&path).replace(true).listen().is_err());
        assert!(listener.file().unwrap().is_in_place());
        assert!(stage.join("data").exists());

        std::fs::write(stage.join("data"), "").unwrap();
        crate::Bind::new(&path).replace(true).listen().unwrap();
        assert!(!stage.exists());
    }
}
