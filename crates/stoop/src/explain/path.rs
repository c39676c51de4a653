//! Finds where the kernel stops on a path, in the kernel's own order: each component is looked up
//! from the root on.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, Stat};
use rustix::io::Errno;

use super::users;
use crate::escaped;
use std::os::unix::ffi::OsStrExt;

/// The outcome of a path lookup.
pub(super) enum Lookup {
    /// The lookup reached this file, following symbolic links.
    Found(Stat),
    /// This component does not exist.
    Missing(PathBuf),
    /// This component is a symbolic link whose target does not exist.
    Dangling(PathBuf),
    /// This component has to be a directory but is not.
    NotADirectory(PathBuf),
    /// We have no search permission for this directory.
    NoSearch(PathBuf),
    /// The lookup failed at this component for another reason.
    Other(PathBuf, Errno),
}

pub(super) fn look_up(path: &Path) -> Lookup {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Without a slash at the end, which requires a directory and would spoil the name of the last
    // component.
    let path: PathBuf = absolute.components().collect();
    let wants_directory = absolute.as_os_str().as_bytes().ends_with(b"/");
    let mut last = None;
    let mut components: Vec<&Path> = path.ancestors().collect();
    components.reverse();
    for component in components {
        match rustix::fs::stat(component) {
            Ok(stat) => last = Some(stat),
            Err(errno) => return stopped(component, errno),
        }
    }
    match last {
        Some(stat) if wants_directory && FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
            Lookup::NotADirectory(path)
        }
        Some(stat) => Lookup::Found(stat),
        None => Lookup::Missing(path),
    }
}

fn stopped(component: &Path, errno: Errno) -> Lookup {
    let parent = component.parent().unwrap_or(component).to_owned();
    match errno {
        Errno::NOENT if rustix::fs::lstat(component).is_ok() => Lookup::Dangling(component.to_owned()),
        Errno::NOENT => Lookup::Missing(component.to_owned()),
        Errno::NOTDIR => Lookup::NotADirectory(parent),
        Errno::ACCESS => Lookup::NoSearch(parent),
        errno => Lookup::Other(component.to_owned(), errno),
    }
}

/// Returns whether our effective ids may write to it.
pub(super) fn may_write(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Returns the type of a file in words.
pub(super) fn kind_of(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Socket => "a socket",
        FileType::Fifo => "a FIFO",
        FileType::Symlink => "a symbolic link",
        _ => "a device",
    }
}

/// Formats mode and owner: `'/run/app.sock' has mode 0660, owner root, group app`.
pub(super) fn permissions(path: &Path) -> String {
    let shown = quoted(path);
    match rustix::fs::stat(path) {
        Ok(stat) => format!(
            "{shown} has mode {:04o}, owner {}, group {}",
            stat.st_mode & 0o7777,
            users::user(stat.st_uid),
            users::group(stat.st_gid)
        ),
        Err(_) if rustix::fs::lstat(path).is_ok() => {
            format!("{shown} is a symbolic link whose target does not exist")
        }
        Err(_) => format!("{shown} may not be inspected by us"),
    }
}

/// Formats a path in quotes, safe to print.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", escaped(path.as_os_str().as_bytes()))
}
