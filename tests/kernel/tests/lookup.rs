//! Facts about path lookup by connect(2) and bind(2), and about the permissions they check.

use std::ffi::c_int;
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, XattrFlags, getxattr, openat2, removexattr,
    setxattr, statx,
};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, close, eventually, is_root, public_tempdir, skip, tempdir};
use tempfile::TempDir;

/// Users other than root and `nobody`.
const ALICE: u32 = 4001;
const BOB: u32 = 4002;

fn at(dir: &TempDir, name: &str) -> Name {
    Name::path(format!("{}/{name}", dir.path().display()))
}

fn mode(dir: &TempDir, name: &str, mode: u32) {
    fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).unwrap();
}

fn try_connect(name: &Name) -> Result<()> {
    connect(&socket(STREAM), name)
}

fn try_bind(name: &Name) -> Result<()> {
    bind(&socket(STREAM), name)
}

/// Runs `work` as this user, in a process of its own; returns its error.
fn as_user(uid: u32, work: impl FnOnce() -> Result<()>) -> Result<()> {
    as_user_with(uid, CapabilitySet::empty(), work)
}

/// The same, with some capabilities retained.
fn as_user_with(uid: u32, kept: CapabilitySet, work: impl FnOnce() -> Result<()>) -> Result<()> {
    answer(|| {
        rustix::thread::set_keep_capabilities(true).expect("keep capabilities");
        become_user(uid, uid);
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).expect("give up capabilities");
        work()
    })
}

/// Runs `work` in a mount namespace of its own.
fn with_own_mounts(work: impl FnOnce() -> Result<()>) -> Result<()> {
    answer(|| {
        unshare(libc::CLONE_NEWNS).expect("take a mount namespace");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).expect("keep mounts to ourselves");
        work()
    })
}

fn answer(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (_, status) = in_child(|| work().map_or_else(Errno::raw_os_error, |()| 0) as c_int);
    match status.code().expect("an exit code") {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}

/// K-LOOKUP-1
#[test]
fn directories_are_checked_before_names_are_looked_up() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::create_dir(dir.path().join("closed")).unwrap();
    mode(&dir, "closed", 0o666);
    let ask = |name: &str| {
        let name = at(&dir, name);
        as_user(NOBODY, move || try_connect(&name))
    };
    for name in ["closed/none", "closed/none/more", "closed/.", "closed/..", "closed/../none"] {
        assert_eq!(ask(name), Err(Errno::ACCESS), "{name}");
    }
    assert_eq!(ask("closed/"), Err(Errno::CONNREFUSED), "a slash at the end needs no lookup in it");
}

/// K-LOOKUP-2
#[test]
fn forty_links_are_followed() {
    let dir = tempdir();
    let _listener = listener(STREAM, &at(&dir, "0"), 8);
    for link in 1..=41 {
        symlink((link - 1).to_string(), dir.path().join(link.to_string())).unwrap();
    }
    // A mount anywhere on the machine, as by another test, may make the kernel repeat a lookup. It then
    // counts the links again, and fewer than 40 are too many.
    eventually(SOON, || try_connect(&at(&dir, "40")) == Ok(()));
    assert_eq!(try_connect(&at(&dir, "41")), Err(Errno::LOOP));
}

/// K-LOOKUP-3
#[test]
fn a_slash_at_the_end_wants_a_directory() {
    let dir = tempdir();
    let _listener = listener(STREAM, &at(&dir, "socket"), 8);
    symlink("socket/", dir.path().join("link")).unwrap();
    symlink("nowhere/", dir.path().join("dangling")).unwrap();
    assert_eq!(try_connect(&at(&dir, "socket/")), Err(Errno::NOTDIR));
    assert_eq!(try_connect(&at(&dir, "socket/.")), Err(Errno::NOTDIR));
    assert_eq!(try_connect(&at(&dir, "link")), Err(Errno::NOTDIR));
    assert_eq!(try_connect(&at(&dir, "dangling")), Err(Errno::NOENT));
    assert_eq!(try_connect(&at(&dir, "none/")), Err(Errno::NOENT));
}

/// K-LOOKUP-4
#[test]
fn links_of_others_in_shared_directories_are_not_followed() {
    if !is_root() {
        skip!("lacks root");
    }
    if fs::read("/proc/sys/fs/protected_symlinks").ok().is_none_or(|on| on.first() == Some(&b'0')) {
        skip!("lacks fs.protected_symlinks");
    }
    let dir = public_tempdir();
    mode(&dir, "", 0o1777);
    let _listener = listener(STREAM, &at(&dir, "socket"), 8);
    mode(&dir, "socket", 0o666);
    fs::create_dir(dir.path().join("real")).unwrap();
    let _inner = listener(STREAM, &at(&dir, "real/socket"), 8);
    for (link, to) in [("last", "socket"), ("on-the-way", "real")] {
        let link = dir.path().join(link);
        symlink(to, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(ALICE), None).unwrap();
    }
    assert_eq!(try_connect(&at(&dir, "last")), Err(Errno::ACCESS), "not even root");
    assert_eq!(try_connect(&at(&dir, "on-the-way/socket")), Ok(()));
    let name = at(&dir, "last");
    assert_eq!(as_user(ALICE, || try_connect(&name)), Ok(()), "its owner is allowed");
    std::os::unix::fs::lchown(dir.path().join("last"), Some(0), None).unwrap();
    assert_eq!(
        as_user(BOB, || try_connect(&name)),
        Ok(()),
        "so may all, where it is the directory's owner's"
    );
}

/// K-LOOKUP-5
#[test]
fn nothing_is_found_in_a_removed_directory() {
    let dir = tempdir();
    let held = o_path(dir.path());
    let through = |name: &str| Name::path(format!("{}/{name}", proc_path(&held)));
    drop(dir);
    assert_eq!(try_connect(&through("none")), Err(Errno::NOENT));
    assert_eq!(try_bind(&through("none")), Err(Errno::NOENT));
    assert_eq!(try_connect(&through(".")), Err(Errno::CONNREFUSED));
    assert_eq!(try_connect(&through("..")), Err(Errno::CONNREFUSED));
}

/// K-LOOKUP-6
#[test]
fn a_component_has_255_bytes_at_most() {
    let dir = tempdir();
    for (link, len) in [("long", 255), ("longer", 256)] {
        symlink("n".repeat(len), dir.path().join(link)).unwrap();
    }
    assert_eq!(try_connect(&at(&dir, "long")), Err(Errno::NOENT));
    assert_eq!(try_connect(&at(&dir, "longer")), Err(Errno::NAMETOOLONG));
}

/// K-LOOKUP-7
#[test]
fn a_mount_can_refuse_to_follow_links() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    let _listener = listener(STREAM, &at(&dir, "socket"), 8);
    symlink("socket", dir.path().join("link")).unwrap();
    symlink(".", dir.path().join("here")).unwrap();
    let names = ["link", "here/socket", "socket"].map(|name| at(&dir, name));
    let answers = names.map(|name| {
        with_own_mounts(|| {
            rustix::mount::mount_bind(dir.path(), dir.path()).expect("bind a directory to itself");
            let flags = MountFlags::BIND | MountFlags::NOSYMFOLLOW;
            match rustix::mount::mount_remount(dir.path(), flags, c"") {
                Err(Errno::INVAL) => Err(Errno::NOSYS),
                remounted => remounted.and_then(|()| try_connect(&name)),
            }
        })
    });
    if answers[0] == Err(Errno::NOSYS) {
        skip!("lacks nosymfollow");
    }
    assert_eq!(answers, [Err(Errno::LOOP), Err(Errno::LOOP), Ok(())]);
}

/// K-PERM-1
#[test]
fn a_socket_on_a_read_only_mount_can_be_connected() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    let path = dir.path();
    let inside = |name: &str| at(&dir, name);
    let ask = |name: Name, flags: MountFlags| {
        with_own_mounts(|| {
            rustix::mount::mount("none", path, "tmpfs", MountFlags::empty(), c"").expect("mount a tmpfs");
            let _listener = listener(STREAM, &inside("socket"), 8);
            fs::write(path.join("file"), "").expect("make a file");
            rustix::mount::mount_remount(path, flags | MountFlags::RDONLY, c"").expect("make it read-only");
            try_connect(&name)
        })
    };
    let (mount, whole) = (MountFlags::BIND, MountFlags::empty());
    assert_eq!(ask(inside("socket"), mount), Ok(()));
    assert_eq!(ask(inside("socket"), whole), Ok(()));
    assert_eq!(ask(inside("file"), mount), Err(Errno::CONNREFUSED));
    assert_eq!(ask(inside("file"), whole), Err(Errno::ROFS), "of the file system itself, not of one mount");
    assert_eq!(ask(inside("."), whole), Err(Errno::ROFS));
}

/// An access control list for a file whose mode is similar to `0660`: one user has an entry.
fn set_list(path: &Path, user: u32, entry: u16, mask: u16, other: u16) {
    let none = u32::MAX;
    let entries =
        [(0x01, 7, none), (0x02, entry, user), (0x04, 0, none), (0x10, mask, none), (0x20, other, none)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(permissions));
        bytes.extend(u32::to_le_bytes(id));
    }
    setxattr(path, c"system.posix_acl_access", &bytes, XattrFlags::empty()).expect("set a list");
}

/// K-PERM-2
#[test]
fn the_access_list_applies_to_all_but_the_owner() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("socket");
    let name = at(&dir, "socket");
    let _listener = listener(STREAM, &name, 64);
    std::os::unix::fs::chown(&path, Some(ALICE), Some(ALICE)).unwrap();
    let ask = |uid, entry, mask, other| {
        set_list(&path, uid, entry, mask, other);
        as_user(uid, || try_connect(&name))
    };
    assert_eq!(ask(BOB, 2, 7, 0), Ok(()));
    assert_eq!(ask(BOB, 5, 7, 7), Err(Errno::ACCESS), "the mode for others does not apply");
    assert_eq!(ask(BOB, 7, 5, 7), Err(Errno::ACCESS), "the mask limits the entry");
    assert_eq!(ask(BOB, 7, 0, 7), Ok(()), "an empty mask disables the list");
    assert_eq!(ask(BOB, 7, 0, 5), Err(Errno::ACCESS));
    assert_eq!(ask(ALICE, 0, 7, 0), Ok(()), "the owner has the first digit of the mode");
}

/// K-PERM-4
#[test]
fn a_default_list_of_the_directory_is_the_list_of_a_new_socket_file() {
    let dir = tempdir();
    let list = |name: &str| {
        let mut value = vec![0; 256];
        getxattr(dir.path().join(name), c"system.posix_acl_access", &mut value)
            .map(|len| value[..len].to_vec())
    };
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1u16, 7u16, u32::MAX), (2, 6, BOB), (4, 0, u32::MAX), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)]
    {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    match setxattr(dir.path(), c"system.posix_acl_default", &bytes, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) => skip!("lacks access control lists"),
        set => set.unwrap(),
    }
    let _listener = listener(STREAM, &at(&dir, "socket"), 8);
    assert!(list("socket").is_ok());
    // Through an O_PATH file descriptor it can be read, removed and set again.
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let file = rustix::fs::open(dir.path().join("socket"), flags, Mode::empty()).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    removexattr(&*path, c"system.posix_acl_access").unwrap();
    assert_eq!(list("socket"), Err(Errno::NODATA));
    set_list(Path::new(&path), BOB, 6, 6, 0);
    assert!(list("socket").is_ok());
}

/// K-PERM-3
#[test]
fn capabilities_override_the_mode() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::create_dir(dir.path().join("closed")).unwrap();
    let _listeners = ["closed/open", "shut"].map(|name| listener(STREAM, &at(&dir, name), 64));
    mode(&dir, "closed/open", 0o666);
    for name in ["closed", "shut"] {
        mode(&dir, name, 0);
    }
    let (through, write) = (at(&dir, "closed/open"), at(&dir, "shut"));
    let with = |kept, name: &Name| as_user_with(NOBODY, kept, || try_connect(name));
    assert_eq!(with(CapabilitySet::empty(), &through), Err(Errno::ACCESS));
    assert_eq!(with(CapabilitySet::DAC_READ_SEARCH, &through), Ok(()));
    assert_eq!(with(CapabilitySet::DAC_OVERRIDE, &through), Ok(()));
    assert_eq!(with(CapabilitySet::DAC_READ_SEARCH, &write), Err(Errno::ACCESS));
    assert_eq!(with(CapabilitySet::DAC_OVERRIDE, &write), Ok(()));
    // Root of a user namespace that has no number for the file's owner.
    let inside = || as_user(NOBODY, || unshare(libc::CLONE_NEWUSER).and_then(|()| try_connect(&through)));
    match inside() {
        Err(Errno::PERM | Errno::NOSPC | Errno::INVAL) => skip!("lacks user namespaces"),
        answer => assert_eq!(answer, Err(Errno::ACCESS)),
    }
}

/// K-BIND-19
#[test]
fn existence_is_reported_before_the_directory_is_checked() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::write(dir.path().join("file"), "").unwrap();
    mode(&dir, "", 0o755);
    let (taken, free) = (at(&dir, "file"), at(&dir, "free"));
    assert_eq!(as_user(NOBODY, || try_bind(&taken)), Err(Errno::ADDRINUSE));
    assert_eq!(as_user(NOBODY, || try_bind(&free)), Err(Errno::ACCESS));
    let read_only = |name: &Name| {
        with_own_mounts(|| {
            rustix::mount::mount_bind(dir.path(), dir.path())?;
            rustix::mount::mount_remount(dir.path(), MountFlags::BIND | MountFlags::RDONLY, c"")?;
            as_user(NOBODY, || try_bind(name))
        })
    };
    assert_eq!(read_only(&taken), Err(Errno::ADDRINUSE));
    assert_eq!(read_only(&free), Err(Errno::ROFS), "before the permission is checked");
}

/// K-BIND-20
#[test]
fn a_path_without_a_last_name_is_taken() {
    let dir = tempdir();
    for path in ["", ".", "..", "./"] {
        assert_eq!(try_bind(&at(&dir, path)), Err(Errno::ADDRINUSE), "{path:?}");
    }
    assert_eq!(try_bind(&Name::path("/")), Err(Errno::ADDRINUSE));
    assert_eq!(try_bind(&at(&dir, "free/")), Err(Errno::NOENT));
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    assert_eq!(try_bind(&at(&dir, "dangling/")), Err(Errno::ADDRINUSE));
}

/// K-BIND-21
#[test]
fn some_file_systems_have_no_sockets() {
    assert_eq!(try_bind(&Name::path("/proc/none")), Err(Errno::NOENT));
    if is_root() && Path::new("/sys/kernel").exists() {
        assert_eq!(try_bind(&Name::path("/sys/none")), Err(Errno::PERM));
    }
    if !is_root() {
        skip!("lacks root for the others");
    }
    let dir = tempdir();
    for kind in
        ["cgroup2", "mqueue", "bpf", "securityfs", "binfmt_misc", "tracefs", "debugfs", "fusectl", "pstore"]
    {
        assert_eq!(bind_on(&dir, kind, c""), Err(Errno::PERM), "{kind}");
    }
    for kind in ["tmpfs", "ramfs", "devtmpfs"] {
        assert_eq!(bind_on(&dir, kind, c""), Ok(()), "{kind}");
    }
}

/// Binds on a new mount of this file system. One that this kernel lacks gives the error that
/// `EPERM` means elsewhere, and one that can be bound on is left as it was.
fn bind_on(dir: &TempDir, kind: &str, options: &std::ffi::CStr) -> Result<()> {
    with_own_mounts(|| {
        let (flags, lacks) =
            (MountFlags::empty(), |_| if kind.ends_with("tmpfs") { Errno::NODEV } else { Errno::PERM });
        rustix::mount::mount("x", dir.path(), kind, flags, Some(options)).map_err(lacks)?;
        let bound = try_bind(&at(dir, "socket"));
        let _ = fs::remove_file(dir.path().join("socket"));
        bound
    })
}

/// K-BIND-30
#[test]
fn a_socket_file_takes_an_inode() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    // The root directory takes the first.
    assert_eq!(bind_on(&dir, "tmpfs", c"nr_inodes=1"), Err(Errno::NOSPC));
    assert_eq!(bind_on(&dir, "tmpfs", c"nr_inodes=2"), Ok(()));
    // Blocks do not matter there.
    let full = with_own_mounts(|| {
        rustix::mount::mount("x", dir.path(), "tmpfs", MountFlags::empty(), Some(c"size=4k"))?;
        fs::write(dir.path().join("file"), [1; 4096]).expect("fill the only block");
        try_bind(&at(&dir, "socket"))
    });
    assert_eq!(full, Ok(()));
}

/// K-LOOKUP-8
#[test]
fn an_open_socket_is_no_socket_file() {
    let dir = tempdir();
    let listener = listener(STREAM, &at(&dir, "socket"), 8);
    assert_eq!(try_connect(&Name::path(proc_path(&listener))), Err(Errno::CONNREFUSED));
    // Through a file descriptor of the file itself, it is reached.
    let file = o_path(&dir.path().join("socket"));
    assert_eq!(try_connect(&Name::path(proc_path(&file))), Ok(()));
}

/// K-FUSE-1
#[test]
fn a_fuse_mount_without_allow_other_is_for_its_user_alone() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip!("lacks root or FUSE");
    }
    let dir = tempdir();
    let answers = [StatxFlags::BASIC_STATS, StatxFlags::empty()].map(|wanted| {
        with_own_mounts(|| {
            let _server = mount_fuse(dir.path(), 0o40777, "user_id=4001,group_id=4001")?;
            assert_eq!(try_connect(&at(&dir, "socket")), Err(Errno::ACCESS), "for root, too");
            let root = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let stat = statx(&root, "", AtFlags::EMPTY_PATH, wanted)?;
            assert_ne!(stat.stx_mask & StatxFlags::MNT_ID.bits(), 0);
            Ok(())
        })
    });
    assert_eq!(answers, [Err(Errno::ACCESS), Ok(())]);
}

/// K-FUSE-2
#[test]
fn a_fuse_mount_whose_server_has_exited_is_not_connected() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip!("lacks root or FUSE");
    }
    let dir = tempdir();
    let answers = [true, false].map(|has_answered| {
        with_own_mounts(|| {
            let server = mount_fuse(dir.path(), 0o40777, "user_id=0,group_id=0,allow_other")?;
            if has_answered {
                start_fuse(&server);
            }
            drop(server);
            try_connect(&at(&dir, "socket"))
        })
    });
    let unanswered = if kernel_at_least(7, 2) { Errno::CONNREFUSED } else { Errno::NOTCONN };
    assert_eq!(answers, [Err(Errno::NOTCONN), Err(unanswered)]);
}

/// Answers the first request of a FUSE file system, after which others follow.
fn start_fuse(server: &OwnedFd) {
    let mut request = vec![0; 64 * 1024];
    rustix::io::read(server, &mut request).unwrap();
    // The length, no error, the number of the request; version 7.31, and limits.
    let mut reply = [80_u32.to_ne_bytes(), [0; 4]].concat();
    reply.extend(&request[8..16]);
    for number in [7_u32, 31, 4096, 0, 0x0009_000c, 4096, 1] {
        reply.extend(number.to_ne_bytes());
    }
    reply.resize(80, 0);
    assert_eq!(rustix::io::write(server, &reply), Ok(80));
}

fn wait_readable(server: &OwnedFd) {
    let mut entry = [PollFd::from_borrowed_fd(server.as_fd(), PollFlags::IN)];
    let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut entry, Some(&limit)), Ok(1), "a request");
}

/// K-FUSE-3
#[test]
#[expect(clippy::zombie_processes, reason = "a wait without a limit need not return here")]
fn a_lookup_that_a_fuse_server_has_read_outlives_a_kill() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip!("lacks root or FUSE");
    }
    let dir = tempdir();
    let answer = with_own_mounts(|| {
        let server = mount_fuse(dir.path(), 0o40777, "user_id=0,group_id=0,allow_other")?;
        start_fuse(&server);
        let look_up = || {
            let child = Command::new("stat").arg(dir.path().join("x")).stderr(Stdio::null()).spawn();
            wait_readable(&server);
            child.unwrap()
        };
        let mut unread = look_up();
        unread.kill().unwrap();
        eventually(SOON, || unread.try_wait().unwrap().is_some());

        let mut read = look_up();
        rustix::io::read(&server, &mut vec![0; 64 * 1024])?;
        read.kill().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(read.try_wait().unwrap(), None, "it waits for the answer");
        close(server);
        eventually(SOON, || read.try_wait().unwrap().is_some());
        Ok(())
    });
    assert_eq!(answer, Ok(()));
}

/// K-FUSE-4
#[test]
fn the_process_that_serves_a_fuse_mount_is_known() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip!("lacks root or FUSE");
    }
    let dir = tempdir();
    let answer = with_own_mounts(|| {
        let server = mount_fuse(dir.path(), 0o40777, "user_id=0,group_id=0,allow_other")?;
        let root = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let stat = statx(&root, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE)?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", raw(&server))).unwrap();
        let shown =
            info.lines().find_map(|line| line.strip_prefix("fuse_connection:")).ok_or(Errno::NOSYS)?;
        assert_eq!(shown.trim().parse(), Ok((stat.stx_dev_major << 20) | stat.stx_dev_minor));
        Ok(())
    });
    match answer {
        Err(Errno::NOSYS) => skip!("lacks the line, which older kernels do not write"),
        answer => assert_eq!(answer, Ok(())),
    }
}

/// K-FUSE-5
#[test]
fn a_cached_lookup_asks_no_file_system() {
    let open = |path: &Path| {
        openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).map(drop)
    };
    let local = tempdir();
    fs::write(local.path().join("file"), "").unwrap();
    if open(&local.path().join("file")) == Err(Errno::INVAL) {
        skip!("lacks RESOLVE_CACHED");
    }
    assert_eq!(open(&local.path().join("file")), Ok(()));
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip!("lacks root or FUSE");
    }
    let dir = tempdir();
    let answer = with_own_mounts(|| {
        let server = mount_fuse(dir.path(), 0o40777, "user_id=0,group_id=0,allow_other")?;
        start_fuse(&server);
        assert_eq!(open(&dir.path().join("x")), Err(Errno::AGAIN));
        let mut entry = [PollFd::from_borrowed_fd(server.as_fd(), PollFlags::IN)];
        assert_eq!(poll(&mut entry, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0), "no request");
        Ok(())
    });
    assert_eq!(answer, Ok(()));
}

/// K-SERVED-1
#[test]
fn a_socket_is_not_reached_through_a_served_file_system() {
    if !is_root() || !stoop_testkit::has_program("bindfs") || !Path::new("/dev/fuse").exists() {
        skip!("lacks root, bindfs or FUSE");
    }
    let dir = tempdir();
    for name in ["real", "view"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let _listener = listener(STREAM, &at(&dir, "real/socket"), 8);
    let view = dir.path().join("view");
    let child =
        std::process::Command::new("bindfs").arg("-f").arg(dir.path().join("real")).arg(&view).spawn();
    let mut child = stoop_testkit::KillOnDrop(child.unwrap());
    eventually(SOON, || view.join("socket").exists());
    let answers = ["real", "view"].map(|name| try_connect(&at(&dir, &format!("{name}/socket"))));
    let made = bind(&socket(STREAM), &at(&dir, "view/new"));
    let _ = rustix::mount::unmount(&view, rustix::mount::UnmountFlags::DETACH);
    let _ = child.0.wait();
    assert_eq!(answers, [Ok(()), Err(Errno::CONNREFUSED)]);
    // The server decides whether a socket can be created.
    assert_eq!(made, Ok(()));
}

/// K-SERVED-2
#[test]
fn an_inode_number_is_reused_on_a_served_file_system() {
    if !is_root() || !stoop_testkit::has_program("bindfs") || !Path::new("/dev/fuse").exists() {
        skip!("lacks root, bindfs or FUSE");
    }
    let dir = tempdir();
    for name in ["real", "view"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let [real, view] = ["real", "view"].map(|name| dir.path().join(name));
    let child = std::process::Command::new("bindfs").arg("-f").args([&real, &view]).spawn();
    let mut child = stoop_testkit::KillOnDrop(child.unwrap());
    let outside = fs::metadata(dir.path()).unwrap().dev();
    eventually(SOON, || fs::metadata(&view).is_ok_and(|view| view.dev() != outside));
    let old = listener(STREAM, &at(&dir, "view/socket"), 8);
    let file = rustix::fs::open(view.join("socket"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let links = || {
        let cached = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        statx(&file, "", cached, StatxFlags::BASIC_STATS).unwrap().stx_nlink
    };
    let id = |path: &str| fs::metadata(view.join(path)).unwrap().ino();
    let (number, before) = (id("socket"), links());
    let new = listener(STREAM, &at(&dir, "view/new"), 8);
    fs::rename(view.join("new"), view.join("socket")).unwrap();
    let after = links();
    // Some file system gives the number to the next file, or to one of the next.
    let reused = (0..64).any(|index| {
        fs::File::create(view.join(format!("{index}"))).unwrap();
        id(&format!("{index}")) == number
    });
    // They keep the mount in use.
    drop((file, old, new));
    let _ = rustix::mount::unmount(&view, rustix::mount::UnmountFlags::DETACH);
    let _ = child.0.wait();
    assert_eq!((before, after), (1, 0), "the file descriptor shows that the file is replaced");
    if !reused {
        skip!("lacks a file system below that reuses inode numbers");
    }
}

/// K-DGRAM-19
#[test]
fn a_send_is_measured_before_its_address_is_looked_up() {
    let dir = tempdir();
    let sender = socket(DATAGRAM);
    let most = option(&sender, libc::SO_SNDBUF).unwrap() as usize - 32;
    assert_eq!(send_to(&sender, &vec![0; most + 1], &at(&dir, "none")), Err(Errno::MSGSIZE));
    assert_eq!(send_to(&sender, &vec![0; most], &at(&dir, "none")), Err(Errno::NOENT));
    assert_eq!(send_to(&socket(STREAM), b"x", &at(&dir, "none")), Err(Errno::OPNOTSUPP));
    assert_eq!(send_to(&socket(SEQPACKET), b"x", &at(&dir, "none")), Err(Errno::NOTCONN));
}

/// K-DGRAM-20
#[test]
fn a_receiver_refuses_in_this_order() {
    let dir = tempdir();
    let (name, other) = (at(&dir, "receiver"), at(&dir, "other"));
    let receiver = bound(DATAGRAM, &name);
    let _other = bound(DATAGRAM, &other);
    let sender = socket(DATAGRAM);
    nonblocking(&sender);
    while send_to(&sender, b"x", &name).is_ok() {}
    assert_eq!(send_to(&sender, b"x", &name), Err(Errno::AGAIN));
    shutdown(&receiver, libc::SHUT_RD);
    assert_eq!(send_to(&sender, b"x", &name), Err(Errno::PIPE), "shut down is checked before full");
    assert_eq!(connect(&socket(DATAGRAM), &name), Ok(()), "connect checks neither");
    connect(&receiver, &other).unwrap();
    assert_eq!(send_to(&sender, b"x", &name), Err(Errno::PERM), "connected elsewhere is checked before both");
}
