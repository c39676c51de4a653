//! Facts about users and groups without an id: on idmapped mounts, on file systems of user
//! namespaces, and in the caller's own namespace; and about the security modules in use.

use std::ffi::c_int;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::mount::MountPropagationFlags;
use stoop_kernel_facts::*;
use stoop_testkit::{KillOnDrop, has_program, is_root, public_tempdir, skip};

/// The mount shows user 0 as 2000, user 1000 as 3000, and no other.
const MAP: &str = "0 2000 1\n1000 3000 1\n";
const OVERFLOW: u32 = 65534;

/// Runs `work` in a child with a mount namespace of its own, in which `dir/mapped` is `dir/real`
/// with mapped ids. Returns its error, or `None` if the kernel cannot map ids.
fn with_mapped(dir: &Path, work: impl FnOnce() -> Result<()>) -> Option<Result<()>> {
    const UNABLE: c_int = 255;
    for name in ["real", "mapped"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    let namespace = UserNamespace::new(MAP, MAP)?;
    let (_, status) = in_child(|| {
        unshare(libc::CLONE_NEWNS).expect("take a mount namespace");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).expect("keep mounts to ourselves");
        match mount_with_ids(&dir.join("real"), &dir.join("mapped"), &namespace) {
            Ok(()) => work().map_or_else(Errno::raw_os_error, |()| 0),
            Err(_) => UNABLE,
        }
    });
    match status.code().expect("an exit code") {
        UNABLE => None,
        0 => Some(Ok(())),
        errno => Some(Err(Errno::from_raw_os_error(errno))),
    }
}

fn connect_as(uid: u32, path: &Path) -> Result<()> {
    if uid != 0 {
        become_user(uid, uid);
    }
    connect(&socket(STREAM), &Name::path(path))
}

/// K-IDMAP-1
#[test]
fn no_user_may_write_to_a_file_whose_owner_is_not_mapped() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::create_dir(dir.path().join("real")).unwrap();
    let path = |name: &str| dir.path().join(name);
    let _servers = ["real/root", "real/other"].map(|name| {
        let server = listener(STREAM, &Name::path(path(name)), 64);
        fs::set_permissions(path(name), Permissions::from_mode(0o777)).unwrap();
        server
    });
    chown(path("real/other"), Some(7), Some(7)).unwrap();
    let mapped = |name: &'static str, uid| {
        with_mapped(dir.path(), || {
            let file = fs::metadata(dir.path().join(name)).expect("a file");
            let shown = if name.ends_with("root") { 2000 } else { OVERFLOW };
            assert_eq!(file.uid(), shown);
            connect_as(uid, &dir.path().join(name))
        })
    };
    let Some(answer) = mapped("mapped/root", 7) else { skip!("lacks idmapped mounts (5.12)") };
    assert_eq!(answer, Ok(()));
    for uid in [0, 7, 2000] {
        assert_eq!(mapped("mapped/other", uid), Some(Err(Errno::ACCESS)), "{uid}");
    }
}

/// K-IDMAP-2
#[test]
fn a_new_file_needs_an_owner_with_an_id() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    for name in ["real", "real/others"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o777)).unwrap();
    }
    chown(dir.path().join("real/others"), Some(7), Some(7)).unwrap();
    let bind_as = |uid: u32, name: &'static str| {
        with_mapped(dir.path(), || {
            if uid != 0 {
                become_user(uid, uid);
            }
            bind(&socket(STREAM), &Name::path(dir.path().join(name)))
        })
    };
    let Some(answer) = bind_as(2000, "mapped/a") else { skip!("lacks idmapped mounts (5.12)") };
    assert_eq!(answer, Ok(()));
    for uid in [0, 7, 55] {
        assert_eq!(bind_as(uid, "mapped/b"), Some(Err(Errno::OVERFLOW)), "{uid}");
    }
    // That is checked before the directory, whose owner is not mapped either.
    assert_eq!(bind_as(2000, "mapped/others/a"), Some(Err(Errno::ACCESS)));
    assert_eq!(bind_as(7, "mapped/others/a"), Some(Err(Errno::OVERFLOW)));
}

/// K-IDMAP-3
#[test]
fn statmount_tells_the_ids_of_a_mount() {
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    if !is_root() || !kernel_at_least(6, 15) {
        skip!("lacks root or Linux 6.15");
    }
    let dir = public_tempdir();
    let told = with_mapped(dir.path(), || {
        let stat = statx(CWD, dir.path().join("mapped"), AtFlags::empty(), UNIQUE)?;
        let answer = stat_mount(stat.stx_mnt_id, 0x6000)?;
        let count = u32::from_ne_bytes(answer[152..156].try_into().unwrap());
        assert!(count == 2 && answer[512..].starts_with(b"0 2000 1\x001000 3000 1\0"));
        Ok(())
    });
    let Some(told) = told else { skip!("lacks idmapped mounts (5.12)") };
    assert_eq!(told, Ok(()));
}

/// K-IDMAP-4
#[test]
fn a_file_system_of_a_user_namespace_has_only_its_ids() {
    if !is_root() || !has_program("setpriv") || !has_program("unshare") {
        skip!("lacks root, setpriv or unshare");
    }
    let dir = public_tempdir();
    // Root of the namespace is user 100000 outside, and no other user has an id in it.
    let inside = format!("mount -t tmpfs -o mode=777 x '{}' && echo ready; cat", dir.path().display());
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "100000",
        "--regid",
        "100000",
        "--clear-groups",
        "unshare",
        "-r",
        "-m",
        "sh",
        "-c",
    ]);
    let child =
        command.arg(inside).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = KillOnDrop(child.unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line != "ready\n" {
        skip!("lacks user namespaces for other users");
    }
    let path = format!("/proc/{}/root{}/socket", child.0.id(), dir.path().display());
    assert_eq!(bind(&socket(STREAM), &Name::path(&path)), Err(Errno::OVERFLOW));
    let (_, status) = in_child(|| {
        become_user(100_000, 100_000);
        bind(&socket(STREAM), &Name::path(&path)).map_or_else(Errno::raw_os_error, |()| 0)
    });
    // That user may not follow the link of a process with more capabilities than its own, but its
    // namespace has an id for it.
    assert_ne!(status.code(), Some(Errno::OVERFLOW.raw_os_error()));
}

/// K-LSM-1
#[test]
fn the_kernel_lists_its_security_modules_without_a_mount() {
    if !kernel_at_least(6, 8) {
        skip!("lacks Linux 6.8");
    }
    let Ok(ids) = security_modules() else { skip!("lacks security modules") };
    // Capabilities are always in use.
    assert!(ids.contains(&100), "{ids:?}");
    let Ok(listed) = fs::read_to_string("/sys/kernel/security/lsm") else {
        skip!("lacks securityfs");
    };
    assert_eq!(listed.trim().split(',').count(), ids.len());
}
