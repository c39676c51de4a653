//! Facts about per-thread attributes that are usually attributed to a process: ids, capabilities,
//! root directory.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, UnshareFlags, capabilities, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, is_root, public_tempdir, role, skip, tempdir};

/// Runs `work` on a thread of its own, to completion.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn become_nobody() {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[]).unwrap();
    set_thread_res_gid(gid, gid, gid).unwrap();
    set_thread_res_uid(uid, uid, uid).unwrap();
}

fn refusal(name: &Name) -> Option<Errno> {
    try_client(STREAM, name).err()
}

fn own_file_system_view() {
    #[expect(unsafe_code, reason = "rustix has it as unsafe for the sake of another flag")]
    // SAFETY: a table of descriptors is what must not be unshared; this unshares root, working directory and
    // umask.
    unsafe { unshare_unsafe(UnshareFlags::FS) }.unwrap();
}

/// K-THREAD-1
#[test]
fn ids_and_capabilities_are_the_threads_own() {
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new("ids_and_capabilities_are_the_threads_own", "threads").run();
    }
    let dir = public_tempdir();
    let name = Name::path(dir.path().join("s"));
    let _listener = listener(STREAM, &name, 8);
    fs::set_permissions(dir.path().join("s"), fs::Permissions::from_mode(0o600)).unwrap();
    on_a_thread(|| {
        become_nobody();
        assert_eq!(refusal(&name), Some(Errno::ACCESS), "checked with the thread's ids");
    });
    on_a_thread(|| {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            .unwrap();
        assert_eq!(capabilities(None).unwrap().effective, none);
    });
    assert!(rustix::process::geteuid().is_root());
    assert!(!capabilities(None).unwrap().effective.is_empty());
    assert_eq!(refusal(&name), None);
}

/// K-THREAD-2
#[test]
fn a_thread_can_have_a_root_with_mounts_of_another_namespace() {
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new("a_thread_can_have_a_root_with_mounts_of_another_namespace", "threads").run();
    }
    let dir = tempdir();
    let name = Name::path(dir.path().join("s"));
    let (tell, told) = channel();
    let (end, until_the_end) = channel::<()>();
    let path = dir.path().to_owned();
    let there = name.clone();
    // A mount namespace, for as long as its thread lives.
    let other = std::thread::spawn(move || {
        #[expect(unsafe_code, reason = "rustix has it as unsafe for the sake of another flag")]
        // SAFETY: as above; the thread does nothing else.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        mount("stoop", &path, "tmpfs", MountFlags::empty(), None).unwrap();
        let _listener = listener(STREAM, &there, 8);
        tell.send(rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()).unwrap();
        until_the_end.recv().unwrap_err();
    });
    let root = told.recv_timeout(SOON).unwrap();
    assert_eq!(refusal(&name), Some(Errno::NOENT), "not mounted here");
    on_a_thread(|| {
        own_file_system_view();
        rustix::process::fchdir(root.as_fd()).unwrap();
        rustix::process::chroot(".").unwrap();
        assert_eq!(refusal(&name), None);
    });
    assert_eq!(refusal(&name), Some(Errno::NOENT), "the root of other threads is unchanged");
    drop(end);
    other.join().unwrap();
}

/// K-THREAD-3
#[test]
fn a_thread_that_changes_its_user_makes_the_process_undumpable() {
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new("a_thread_that_changes_its_user_makes_the_process_undumpable", "threads").run();
    }
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    on_a_thread(become_nobody);
    assert_ne!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
}
