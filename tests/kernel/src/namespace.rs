//! User namespaces with given maps, and mounts that map ids.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use stoop_testkit::eventually;

use crate::{Errno, Result, SOON, checked, owned, raw};

/// A user namespace, which a waiting process keeps until this is dropped.
#[derive(Debug)]
pub struct UserNamespace {
    child: Child,
    /// The namespace.
    pub file: OwnedFd,
}

impl UserNamespace {
    /// Creates one with these maps, as `/proc/PID/uid_map` and `gid_map` take them. `None` if this
    /// process may not.
    pub fn new(uids: &str, gids: &str) -> Option<UserNamespace> {
        let mut child = Command::new("unshare")
            .args(["-U", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let proc = format!("/proc/{}", child.id());
        let namespace = |proc: &str| std::fs::read_link(format!("{proc}/ns/user")).ok();
        let ours = namespace("/proc/self");
        eventually(SOON, || {
            child.try_wait().is_ok_and(|status| status.is_some()) || namespace(&proc) != ours
        });
        std::fs::write(format!("{proc}/uid_map"), uids).ok()?;
        std::fs::write(format!("{proc}/gid_map"), gids).ok()?;
        let file = std::fs::File::open(format!("{proc}/ns/user")).ok()?.into();
        Some(UserNamespace { child, file })
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Mounts a directory at another place, with the ids mapped by the user namespace
/// (`mount_setattr(2)`, Linux 5.12).
pub fn mount_with_ids(from: &Path, to: &Path, namespace: &UserNamespace) -> Result<()> {
    const CLONE: u32 = 1;
    const EMPTY_PATH: u32 = 0x1000;
    const MOVE_EMPTY_PATH: u32 = 4;
    const ATTR_IDMAP: u64 = 0x10_0000;
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL);
    let (from, to) = (path(from)?, path(to)?);
    // SAFETY: the path is a C string that lives through the call.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, from.as_ptr(), CLONE) };
    let tree = owned(tree as i32)?;
    let attributes = [ATTR_IDMAP, 0, 0, raw(&namespace.file) as u64];
    let size = size_of_val(&attributes);
    let set = unsafe {
        // SAFETY: the attributes live through the call, and their size is given.
        libc::syscall(
            libc::SYS_mount_setattr,
            raw(&tree),
            c"".as_ptr(),
            EMPTY_PATH,
            attributes.as_ptr(),
            size,
        )
    };
    checked(set as isize)?;
    let moved = unsafe {
        // SAFETY: the paths are C strings that live through the call.
        libc::syscall(
            libc::SYS_move_mount,
            raw(&tree),
            c"".as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            MOVE_EMPTY_PATH,
        )
    };
    checked(moved as isize).map(drop)
}

/// Calls statmount(2) for the mount with this unique id, and returns what it writes.
pub fn stat_mount(mount: u64, mask: u64) -> Result<Vec<u8>> {
    let (request, mut answer) = ([32_u64, mount, mask, 0], vec![0_u8; 4096]);
    // SAFETY: the request has the size that it states, and the buffer its length.
    let done = unsafe { libc::syscall(457, request.as_ptr(), answer.as_mut_ptr(), answer.len(), 0) };
    checked(done as isize).map(|_| answer)
}

/// Calls lsm_list_modules(2).
pub fn security_modules() -> Result<Vec<u64>> {
    let (mut ids, mut size) = (vec![0_u64; 64], 512_u32);
    // SAFETY: the buffer has the size that is stated.
    let count = unsafe { libc::syscall(461, ids.as_mut_ptr(), &raw mut size, 0) };
    ids.truncate(checked(count as isize)?);
    Ok(ids)
}
