//! Facts about mounts of single files, and about naming the same file in several mount namespaces.

use std::ffi::c_int;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags, statx};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use stoop_kernel_facts::*;
use stoop_testkit::{Role, is_root, role, skip, tempdir};
use tempfile::TempDir;

/// A directory with a bound socket `real`, and an empty file `place`.
fn directory() -> (TempDir, OwnedFd) {
    let dir = tempdir();
    let socket = listener(STREAM, &Name::path(dir.path().join("real")), 8);
    fs::write(dir.path().join("place"), "").unwrap();
    (dir, socket)
}

/// Runs `work` in a process with a mount namespace of its own, in which `real` is mounted over
/// `place`. Returns its result.
fn with_mounted(dir: &Path, work: impl FnOnce(&Path) -> bool) -> bool {
    let (_, status) = in_child(|| {
        unshare(libc::CLONE_NEWNS).expect("take a mount namespace");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("keep mounts to ourselves");
        mount_bind(dir.join("real"), dir.join("place")).expect("mount a file");
        c_int::from(work(&dir.join("place")))
    });
    status.code().expect("an exit code") == 1
}

fn is_mount_root(path: &Path) -> bool {
    let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).expect("stat a file");
    stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

/// The lines of mountinfo for mounts at this path.
fn mounts_at(path: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    let is_at = |line: &&str| line.split(' ').nth(4) == path.to_str();
    text.lines().filter(is_at).map(str::to_owned).collect()
}

/// K-MOUNT-1
#[test]
fn a_mounted_file_is_the_root_of_its_mount() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _socket) = directory();
    assert!(!is_mount_root(&dir.path().join("place")) && !is_mount_root(&dir.path().join("real")));
    assert!(with_mounted(dir.path(), |place| is_mount_root(place)
        && !is_mount_root(&place.with_file_name("real"))));
}

/// K-MOUNT-2
#[test]
fn replacing_the_name_of_a_mount_of_others_detaches_it() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _socket) = directory();
    fs::write(dir.path().join("new"), "").unwrap();
    let busy = Some(Errno::BUSY.raw_os_error());
    // In its own namespace the name is busy; from another it is replaced, and the mount goes.
    assert!(with_mounted(dir.path(), |place| {
        let rename = || fs::rename(place.with_file_name("new"), place);
        let own = [fs::remove_file(place), rename()].map(|result| result.unwrap_err().raw_os_error());
        let before = mounts_at(place).len();
        let (_, status) = in_child(|| {
            unshare(libc::CLONE_NEWNS).expect("take a mount namespace");
            rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH).expect("unmount here");
            c_int::from(rename().is_ok())
        });
        own == [busy, busy] && before == 1 && status.code() == Some(1) && mounts_at(place).is_empty()
    }));
}

/// K-MOUNT-3
#[test]
fn a_mount_keeps_a_file_that_was_unlinked() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _socket) = directory();
    let inode = fs::metadata(dir.path().join("real")).unwrap().ino();
    assert!(with_mounted(dir.path(), |place| {
        let root = || mounts_at(place)[0].split(' ').nth(3).unwrap().to_owned();
        let before = root();
        fs::remove_file(place.with_file_name("real")).expect("unlink the file");
        fs::write(place.with_file_name("real"), "").expect("create another");
        let after = root();
        let is_kept = fs::metadata(place).expect("stat").ino() == inode;
        !before.contains("//deleted") && after == format!("{before}//deleted") && is_kept
    }));
}

/// K-MOUNT-5
#[test]
fn the_path_of_an_open_file_leads_below_mounts() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _socket) = directory();
    fs::create_dir(dir.path().join("over")).unwrap();
    assert!(with_mounted(dir.path(), |place| {
        let (dir, real) = (place.parent().unwrap(), place.with_file_name("real"));
        let file = rustix::fs::open(&real, OFlags::PATH, Mode::empty()).expect("open a path");
        let path = || fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("read a link");
        mount_bind(dir.join("over"), dir).expect("mount a directory");
        let is_covered = !real.exists() && path() == real;
        rustix::mount::unmount(dir, rustix::mount::UnmountFlags::DETACH).expect("unmount");
        fs::hard_link(&real, dir.join("second")).expect("link");
        fs::remove_file(&real).expect("unlink");
        is_covered && path().to_str() == Some(&format!("{} (deleted)", real.display()))
    }));
}

/// K-MOUNT-4
#[test]
fn the_table_has_the_device_of_the_mount() {
    let (dir, _socket) = directory();
    let path = dir.path().join("real");
    let stat = statx(CWD, &path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::MNT_ID).unwrap();
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        skip!("lacks mount ids in statx");
    }
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let id = stat.stx_mnt_id.to_string();
    let line = text.lines().find(|line| line.split(' ').next() == Some(&id)).expect("the mount is listed");
    let (one, two) = line.split(' ').nth(2).unwrap().split_once(':').unwrap();
    let device = one.parse::<u32>().unwrap() << 20 | two.parse::<u32>().unwrap();
    let inode = stat.stx_ino as u32;
    assert!(dump().iter().any(|socket| socket.file == Some((device, inode))));
}

/// K-MOUNT-6
#[test]
#[expect(clippy::disallowed_methods, reason = "a process of its own, whose working directory is the point")]
fn a_relative_layer_of_an_overlay_is_listed_as_such() {
    const TEST: &str = "a_relative_layer_of_an_overlay_is_listed_as_such";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "mounted").within("unshare", &["--mount"]).run();
    }
    let dir = tempdir();
    let base = dir.path();
    mount("none", base, "tmpfs", MountFlags::empty(), None).unwrap();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(base.join(name)).unwrap();
    }
    let _server = listener(STREAM, &Name::path(base.join("lower/socket")), 8);
    std::env::set_current_dir(base).unwrap();
    let options = c"lowerdir=lower,upperdir=upper,workdir=work";
    if mount("overlay", "merged", "overlay", MountFlags::empty(), options).is_err() {
        skip!("lacks overlayfs");
    }
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let point = format!(" {} ", base.join("merged").display());
    let line = table.lines().find(|line| line.contains(&point)).expect("the overlay");
    assert!(line.contains("lowerdir=lower,"), "{line}");
    let changed = |name: &str| {
        let file = fs::symlink_metadata(base.join(name).join("socket")).unwrap();
        (file.ctime(), file.ctime_nsec())
    };
    assert_eq!(changed("merged"), changed("lower"));
}
