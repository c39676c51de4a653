//! Explains an error of the kernel that has no diagnosis of its own: by its number alone. No I/O.

use rustix::io::Errno;

/// What an errno means for a call on a socket or a file, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) why: &'static str,
    /// A command, or a sentence as a comment, if there is one that helps at any address.
    pub(crate) next: Option<&'static str>,
}

/// Explains an errno. Returns `None` for one whose meaning depends on the call.
pub(crate) fn explain(errno: i32) -> Option<Explanation> {
    let of_memory = "free -h    # the memory of the machine; memory.max of the cgroup limits it further";
    // `from_raw_os_error` panics at a number that is not an errno.
    if !(1..4096).contains(&errno) {
        return None;
    }
    let (why, next) = match Errno::from_raw_os_error(errno) {
        Errno::AFNOSUPPORT => (
            "this process may not use Unix sockets: it is confined to other address families, as by \
             RestrictAddressFamilies= of a systemd unit",
            Some("# add AF_UNIX to RestrictAddressFamilies= of the unit, or run it outside of the sandbox"),
        ),
        Errno::PERM => (
            "no rule that is visible from here forbids it: a filter of system calls (seccomp) or a security module may",
            None,
        ),
        Errno::NOSYS => (
            "a filter of system calls (seccomp) refuses the call, or this kernel does not have it",
            Some("uname -r    # the version of the kernel"),
        ),
        Errno::INVAL => ("the state of the socket, or the file system, does not allow this call", None),
        Errno::BUSY => (
            "the file is in use by the kernel: it is a mount point, or belongs to a device",
            Some("findmnt    # the mount points"),
        ),
        Errno::NOSPC => (
            "the file system has no free space, or no free inode",
            Some("df -h; df -i    # the space and the inodes of each file system"),
        ),
        Errno::DQUOT => {
            ("the user's quota on the file system is used up", Some("quota -s    # the quotas of this user"))
        }
        Errno::IO => (
            "the device of the file system, or the server behind it, failed",
            Some("sudo dmesg | tail    # what the kernel reported"),
        ),
        Errno::ROFS => ("the file system is read-only", Some("findmnt -l    # the mounts and their options")),
        Errno::OVERFLOW => (
            "the user or the group of this process has no id on the file system",
            Some("cat /proc/self/uid_map    # the ids of this user namespace"),
        ),
        Errno::NOMEM => ("no memory was free for it", Some(of_memory)),
        Errno::NOBUFS => {
            ("no memory was free for it, or the limit of the socket's buffer is reached", Some(of_memory))
        }
        Errno::MFILE => (
            "all file descriptors of this process are in use",
            Some("ulimit -n    # the limit of this shell; raise it with: ulimit -n 65536"),
        ),
        Errno::NFILE => (
            "all file descriptors of this machine are in use",
            Some("cat /proc/sys/fs/file-nr    # open files, and the limit of the machine"),
        ),
        Errno::NOENT => ("there is no file of that name", None),
        Errno::NOTDIR => ("a part of the path is not a directory", None),
        Errno::ISDIR => ("it is a directory, and a file is needed", None),
        Errno::ACCESS => (
            "this user lacks a permission on the file, or on a directory of its path",
            Some("id    # this user and its groups"),
        ),
        Errno::EXIST => ("a file of that name exists", None),
        Errno::LOOP => ("it leads through too many symbolic links", None),
        Errno::NAMETOOLONG => (
            "a name has 255 bytes at most, and a path 4095",
            Some("# use a shorter path: sockets are usually in /run or \"$XDG_RUNTIME_DIR\""),
        ),
        Errno::NXIO => ("nothing is behind this file: it is a socket, or a device that does not exist", None),
        Errno::PIPE => ("its reader has closed it", None),
        _ => return None,
    };
    Some(Explanation { why, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanations_fit_into_the_parts_of_a_report() {
        let explained: Vec<Explanation> = (1..=133).filter_map(explain).collect();
        assert!(explained.len() >= 20, "{}", explained.len());
        for Explanation { why, next } in explained {
            assert!(!why.contains('\n') && !why.ends_with('.'), "{why}");
            assert!(next.is_none_or(|next| next.contains('#') && !next.contains('\n')), "{next:?}");
        }
        assert!([0, -1, 4096, i32::MAX].iter().all(|&number| explain(number).is_none()));
    }
}
