//! Credentials that name nobody: the ids that the kernel gives for a user or group without a number here. Reads `/proc`, and
//! nothing else.

use std::sync::OnceLock;

use crate::control::Credentials;

impl Credentials {
    /// Whether this names a process. For a message sent before the receiver asked for credentials the kernel fills in pid
    /// 0 and the overflow user and group (K-CRED-8); a sender from another pid namespace has pid 0 and a user of its own. Where that
    /// user and group have no numbers here either, it is not told from nobody.
    ///
    /// Which ids these are is read from `/proc/sys/kernel/overflowuid` and `overflowgid` when a pid is first 0; without `/proc` they
    /// are taken to be 65534.
    pub fn is_known(self) -> bool {
        self.pid != 0 || (self.uid, self.gid) != ids()
    }
}

/// The user that stands for all who have no number here. It names no one, and equals no one.
pub(crate) fn overflow_uid() -> u32 {
    ids().0
}

/// What they are unless the machine was set up otherwise.
const USUAL: u32 = 65534;

/// The user and the group, as this machine has them (`kernel.overflowuid`, `kernel.overflowgid`) when they are first asked for; the usual
/// ones where `/proc` is not to be seen.
fn ids() -> (u32, u32) {
    static IDS: OnceLock<(u32, u32)> = OnceLock::new();
    *IDS.get_or_init(|| (read("/proc/sys/kernel/overflowuid"), read("/proc/sys/kernel/overflowgid")))
}

fn read(path: &str) -> u32 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim_ascii_end().parse().ok()).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
    use stoop_kernel_facts::{libc, unshare};
    use stoop_testkit::{Role, is_root, role, skip, tempdir};

    use crate::Credentials;

    #[test]
    fn nobody_is_whom_the_machine_says() {
        const TEST: &str = "nobody::tests::nobody_is_whom_the_machine_says";
        let early = |uid, gid| !Credentials { pid: 0, uid, gid }.is_known();
        if role().is_some() {
            let directory = tempdir();
            let file = directory.path().join("7");
            std::fs::write(&file, "7\n").unwrap();
            unshare(libc::CLONE_NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            mount_bind(&file, "/proc/sys/kernel/overflowuid").unwrap();
            assert!(early(7, 65534) && !early(65534, 65534));
            rustix::mount::unmount("/proc/sys/kernel/overflowuid", rustix::mount::UnmountFlags::DETACH)
                .unwrap();
            return;
        }
        assert!(early(65534, 65534) && !early(65534, 0) && !early(0, 0));
        if !is_root() {
            skip!("lacks root");
        }
        Role::new(TEST, "elsewhere").run();
    }
}
