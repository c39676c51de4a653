//! Facts about flock(2) and leases that matter for a lock next to a socket.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, StatxFlags, flock, openat, statx};
use rustix::mount::MountPropagationFlags;
use stoop_kernel_facts::*;
use stoop_testkit::{Role, close, is_root, role, skip, tempdir};

fn open(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

fn try_lock(file: &File) -> Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// K-LOCK-1
#[test]
fn a_lock_on_an_unlinked_file_excludes_no_process() {
    let dir = tempdir();
    let path = dir.path().join("lock");
    let still_named = |file: &File| {
        let (held, named) = (file.metadata().unwrap(), fs::metadata(&path).unwrap());
        (held.dev(), held.ino()) == (named.dev(), named.ino())
    };
    let first = open(&path);
    assert_eq!(try_lock(&first), Ok(()));
    let waiter = open(&path);
    assert_eq!(try_lock(&waiter), Err(Errno::WOULDBLOCK));

    fs::remove_file(&path).unwrap();
    let newcomer = open(&path);
    assert_eq!(try_lock(&newcomer), Ok(()), "locked although the first lock is still held");
    assert!(still_named(&newcomer) && !still_named(&first));

    close(first);
    assert_eq!(try_lock(&waiter), Ok(()), "a lock without any effect");
    assert!(!still_named(&waiter));
}

/// K-LOCK-2
#[test]
fn a_killed_holder_releases_the_lock() {
    if role().is_some() {
        let file = open(Path::new(&std::env::var_os("LOCK").unwrap()));
        try_lock(&file).unwrap();
        println!("locked");
        std::thread::sleep(SOON);
        return;
    }
    let dir = tempdir();
    let path = dir.path().join("lock");
    let file = open(&path);
    let role = Role::new("a_killed_holder_releases_the_lock", "holder").env("LOCK", path.to_str().unwrap());
    let mut holder = role.spawn();
    holder.line("locked", SOON);
    assert_eq!(try_lock(&file), Err(Errno::WOULDBLOCK));
    close(holder);
    assert_eq!(try_lock(&file), Ok(()));

    let inherited = file.try_clone().unwrap();
    close(file);
    assert_eq!(
        try_lock(&open(&path)),
        Err(Errno::WOULDBLOCK),
        "another descriptor of the same opening holds it"
    );
    close(inherited);
    assert_eq!(try_lock(&open(&path)), Ok(()));
}

/// K-LOCK-3
#[test]
fn a_socket_file_cannot_be_locked() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let _socket = bound(STREAM, &Name::path(&path));
    let refused = File::open(&path).unwrap_err();
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::NXIO));
    assert_eq!(try_lock(&File::from(o_path(&path))), Err(Errno::BADF));
}

/// K-LOCK-4
#[test]
fn a_directory_can_be_locked_and_removed_while_it_is() {
    let dir = tempdir();
    let path = dir.path().join("locked");
    fs::create_dir(&path).unwrap();
    let first = File::open(&path).unwrap();
    assert_eq!(try_lock(&first), Ok(()));
    let waiter = File::open(&path).unwrap();
    assert_eq!(try_lock(&waiter), Err(Errno::WOULDBLOCK));

    fs::write(path.join("file"), "").unwrap();
    let refused = fs::remove_dir(&path).unwrap_err();
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::NOTEMPTY));
    fs::remove_file(path.join("file")).unwrap();
    fs::remove_dir(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(try_lock(&File::open(&path).unwrap()), Ok(()), "a new directory has a lock of its own");
    close(first);
    assert_eq!(try_lock(&waiter), Ok(()), "a lock without any effect");
}

/// K-LOCK-5
#[test]
fn a_lease_delays_an_open_but_not_a_stat() {
    let dir = tempdir();
    let path = dir.path().join("leased");
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    set_lease(&file).unwrap();
    let open = |flags: OFlags| openat(CWD, &path, flags | OFlags::CLOEXEC, Mode::empty());
    assert_eq!(open(OFlags::RDONLY | OFlags::NONBLOCK).unwrap_err(), Errno::WOULDBLOCK);
    let looked = open(OFlags::PATH | OFlags::NOFOLLOW).unwrap();
    rustix::fs::fstat(&looked).unwrap();
    let refused = fs::remove_dir(&path).unwrap_err();
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::NOTDIR));
}

/// K-LOCK-6
#[test]
fn a_file_system_that_never_answers_is_statted_without_waiting() {
    const TEST: &str = "a_file_system_that_never_answers_is_statted_without_waiting";
    if role().is_none() {
        if !is_root() || !Path::new("/dev/fuse").exists() {
            skip!("lacks root, or FUSE");
        }
        return Role::new(TEST, "elsewhere").run();
    }
    unshare(libc::CLONE_NEWNS).unwrap();
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let dir = tempdir();
    let path = dir.path().join("mounted");
    fs::create_dir(&path).unwrap();
    let server = mute_mount(&path, 0o40700).unwrap();

    let looked =
        openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let seen = statx(&looked, "", flags, StatxFlags::BASIC_STATS).unwrap();
    assert_eq!((seen.stx_mode, seen.stx_uid), (0o40700, 0), "the mount's mode, without any owner");
    assert_ne!((seen.stx_dev_major, seen.stx_dev_minor), {
        let parent = statx(CWD, dir.path(), AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        (parent.stx_dev_major, parent.stx_dev_minor)
    });

    let stat = std::thread::spawn(move || fs::metadata(&path).map(drop));
    std::thread::sleep(Duration::from_millis(200));
    assert!(!stat.is_finished(), "stat asks the server, and waits");
    close(server);
    assert!(stat.join().unwrap().is_err());
}

/// K-LOCK-7
#[test]
fn a_socket_file_keeps_its_time_of_birth() {
    let dir = tempdir();
    let (path, other) = (dir.path().join("socket"), dir.path().join("other"));
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&other).unwrap();
    let opened = openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
    let seen = || statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::ALL).unwrap();
    let before = seen();
    if before.stx_mask & StatxFlags::BTIME.bits() == 0 {
        skip!("lacks a file system that keeps the time of birth");
    }
    let born = |seen: &rustix::fs::Statx| (seen.stx_ino, seen.stx_btime.tv_sec, seen.stx_btime.tv_nsec);
    rustix::fs::chmod(&path, Mode::RWXU).unwrap();
    rustix::fs::renameat_with(CWD, &path, CWD, &other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
    let old = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 };
    let old = rustix::fs::Timestamps { last_access: old, last_modification: old };
    let through = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
    rustix::fs::utimensat(CWD, through, &old, AtFlags::empty()).unwrap();
    let after = seen();
    assert_eq!((after.stx_mtime.tv_sec, after.stx_atime.tv_sec), (1, 1));
    assert_eq!(born(&before), born(&after));
}
