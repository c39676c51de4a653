//! File systems that show the files of others, or have no sockets: a server's file is never taken
//! from it through them, and a stale file is replaced if it is known to be stale.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use stoop::{Bind, ErrorKind, Listener, Stream};
use stoop_kernel_facts::SOON;
use stoop_testkit::{
    KillOnDrop, Role, TempDir, close, eventually, has_program, is_guest, is_root, record_skip, role, skip,
    spawn, tempdir,
};

/// Runs the rest of a test in a mount namespace of its own. Returns whether this is that run.
fn has_own_mounts(test: &str) -> bool {
    if role().is_some() {
        return true;
    }
    if !is_root() {
        record_skip(test, "lacks root");
        return false;
    }
    Role::new(test, "mounted").within("unshare", &["--mount"]).run();
    false
}

fn leave_stale(path: &Path) {
    close(UnixListener::bind(path).unwrap());
}

fn serve(path: &Path) -> Listener {
    Bind::new(path).listen().unwrap_or_else(|error| panic!("{error}"))
}

/// A directory with `real`, and `view` through which bindfs shows it.
struct Passed {
    dir: TempDir,
    _bindfs: KillOnDrop,
}

impl Passed {
    fn new() -> Passed {
        let dir = tempdir();
        let [real, view] = ["real", "view"].map(|name| dir.path().join(name));
        fs::create_dir(&real).unwrap();
        fs::create_dir(&view).unwrap();
        let bindfs = spawn(Command::new("bindfs").arg("-f").args([&real, &view])).unwrap();
        let before = fs::metadata(dir.path()).unwrap();
        eventually(SOON, || fs::metadata(&view).is_ok_and(|now| now.dev() != before.dev()));
        Passed { dir, _bindfs: KillOnDrop(bindfs) }
    }

    fn real(&self) -> PathBuf {
        self.dir.path().join("real/app.sock")
    }

    fn view(&self) -> PathBuf {
        self.dir.path().join("view/app.sock")
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        let _ = unmount(self.dir.path().join("view"), UnmountFlags::DETACH);
    }
}

#[test]
fn a_server_behind_a_fuse_mount_keeps_its_file() {
    if !has_own_mounts("a_server_behind_a_fuse_mount_keeps_its_file") {
        return;
    }
    if !has_program("bindfs") {
        skip!("lacks bindfs");
    }
    let passed = Passed::new();
    for (bound, other) in [(passed.real(), passed.view()), (passed.view(), passed.real())] {
        let server = UnixListener::bind(&bound).unwrap();
        for bind in [Bind::new(&other), Bind::new(&other).assume_stale(true)] {
            let error = bind.listen().unwrap_err();
            assert!(error.is_in_use(), "{error}");
            assert!(error.to_string().contains(bound.to_str().unwrap()), "{error}");
        }
        Stream::connect(&bound).unwrap();
        close(server);
        // Now it is stale, and known to be so: the file behind the mount has no server either.
        let next = serve(&other);
        Stream::connect(&other).unwrap();
        close(next);
        // The mount may know of the removal a moment later.
        eventually(SOON, || !bound.exists());
    }
}

/// The inode number of the first file is reused while its server lives.
#[test]
fn a_replaced_server_on_fuse_leaves_its_successor_the_file() {
    if !has_own_mounts("a_replaced_server_on_fuse_leaves_its_successor_the_file") {
        return;
    }
    if !has_program("bindfs") {
        skip!("lacks bindfs");
    }
    let passed = Passed::new();
    let path = passed.view();
    let replaced = || Bind::new(&path).replace(true).listen().unwrap();
    let mut servers: Vec<Listener> = vec![serve(&path)];
    for _ in 0..8 {
        servers.push(replaced());
        close(servers.remove(0));
        assert!(servers[0].file().unwrap().is_in_place());
        Stream::connect(&path).unwrap();
    }
    let last = replaced();
    // Now two have been replaced, one after the other, and exit in the same order.
    servers.push(replaced());
    close(servers.remove(0));
    close(last);
    Stream::connect(&path).unwrap();
    close(servers);
    assert!(!path.exists());
}

/// Without the directory behind it, nothing is known of the file's other users.
#[test]
fn a_file_that_others_may_share_is_replaced_only_if_told() {
    if !has_own_mounts("a_file_that_others_may_share_is_replaced_only_if_told") {
        return;
    }
    if !has_program("bindfs") {
        skip!("lacks bindfs");
    }
    let passed = Passed::new();
    let path = passed.view();
    for told in [Bind::new(&path).assume_stale(true), Bind::new(&path).replace(true)] {
        leave_stale(&path);
        mount("none", passed.dir.path().join("real"), "tmpfs", MountFlags::empty(), None).unwrap();
        let error = Bind::new(&path).listen().unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::LivenessUnknown, Some(98)), "{error}");
        assert!(error.to_string().contains("fuse"), "{error}");
        let server: Listener = told.listen().unwrap();
        Stream::connect(&path).unwrap();
        // A live server is seen, and kept.
        assert!(Bind::new(&path).assume_stale(true).listen().unwrap_err().is_in_use());
        close(server);
        unmount(passed.dir.path().join("real"), UnmountFlags::empty()).unwrap();
        assert!(!path.exists());
    }
}

#[test]
fn stale_files_of_every_layer_of_an_overlay_are_replaced() {
    if !has_own_mounts("stale_files_of_every_layer_of_an_overlay_are_replaced") {
        return;
    }
    let dir = tempdir();
    let base = dir.path();
    mount("none", base, "tmpfs", MountFlags::empty(), None).unwrap();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(base.join(name)).unwrap();
    }
    let at = |directory: &str, name: &str| base.join(directory).join(name);
    leave_stale(&at("lower", "low"));
    leave_stale(&at("upper", "up"));
    let host = UnixListener::bind(at("lower", "live")).unwrap();
    let options = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", base.join(name).display()));
    let options = std::ffi::CString::new(options.join(",")).unwrap();
    if mount("overlay", base.join("merged"), "overlay", MountFlags::empty(), &*options).is_err() {
        skip!("lacks overlayfs");
    }
    leave_stale(&at("merged", "new"));
    let servers = ["low", "up", "new"].map(|name| serve(&at("merged", name)));
    servers.iter().for_each(|server| drop(Stream::connect(server.file().unwrap().path()).unwrap()));
    // A layer's server keeps its file, and so does a server of the overlay asked for in its layer.
    assert!(Bind::new(at("merged", "live")).listen().unwrap_err().is_in_use());
    assert!(Bind::new(at("upper", "new")).listen().unwrap_err().is_in_use());
    Stream::connect(at("lower", "live")).unwrap();
    close(host);
}

#[test]
fn a_mount_point_is_not_replaced() {
    if !has_own_mounts("a_mount_point_is_not_replaced") {
        return;
    }
    let dir = tempdir();
    let [stale, over] = ["stale", "over"].map(|name| dir.path().join(name));
    leave_stale(&stale);
    leave_stale(&over);
    mount_bind(&stale, &over).unwrap();
    for replace in [false, true] {
        let error = Bind::new(&over).replace(replace).listen().unwrap_err();
        assert!(error.is_in_use() && error.to_string().contains("mounted there"), "{error}");
    }
    let _server = serve(&stale);
}

#[test]
fn a_file_system_without_sockets_is_named() {
    let error = Bind::new("/proc/none").listen().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("the file system (proc) does not support sockets"), "{error}");
    if !has_own_mounts("a_file_system_without_sockets_is_named") {
        return;
    }
    let dir = tempdir();
    for fs_type in ["sysfs", "mqueue", "bpf", "cgroup2", "tracefs", "debugfs", "fusectl", "pstore"] {
        if mount("none", dir.path(), fs_type, MountFlags::empty(), None).is_err() {
            continue;
        }
        let error = Bind::new(dir.path().join("app.sock")).listen().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(fs_type), "{error}");
        unmount(dir.path(), UnmountFlags::empty()).unwrap();
    }
}

/// Mounts a new file system of this type, from an image in the directory, or says what is missing.
fn mount_image(dir: &Path, fs_type: &str) -> Result<PathBuf, String> {
    let [image, view] = ["image", "view"].map(|name| dir.join(name));
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    fs::create_dir(&view).unwrap();
    run(Command::new(format!("mkfs.{fs_type}")).arg(&image))?;
    run(Command::new("mount").args(["-t", fs_type, "-o", "loop"]).args([&image, &view]))?;
    Ok(view)
}

/// Runs a program, or says how it failed.
fn run(command: &mut Command) -> Result<(), String> {
    // A program that stays as a daemon keeps a pipe open, so it writes into a file.
    let said = tempdir();
    let said = said.path().join("said");
    command.stdout(std::process::Stdio::null()).stderr(fs::File::create(&said).unwrap());
    match spawn(command).and_then(|mut child| child.wait()) {
        Ok(status) if status.success() => Ok(()),
        ended => {
            let said = fs::read_to_string(said).unwrap_or_default();
            Err(format!("{:?} ({ended:?}: {})", command.get_program(), said.trim()))
        }
    }
}

#[test]
fn file_systems_of_other_systems_have_no_sockets() {
    if !has_own_mounts("file_systems_of_other_systems_have_no_sockets") {
        return;
    }
    for fs_type in ["vfat", "exfat"] {
        let dir = tempdir();
        let view = match mount_image(dir.path(), fs_type) {
            Ok(view) => view,
            Err(missing) => {
                record_skip(
                    "file_systems_of_other_systems_have_no_sockets",
                    &format!("{fs_type} lacks {missing}"),
                );
                continue;
            }
        };
        let error = Bind::new(view.join("app.sock")).listen().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(fs_type), "{error}");
        assert_eq!(fs::read_dir(&view).unwrap().count(), 0, "something is left in {fs_type}");
        unmount(&view, UnmountFlags::empty()).unwrap();
    }
}

/// Exports a directory to this machine with the kernel's NFS server, and mounts it.
fn mount_nfs(dir: &Path) -> Result<PathBuf, String> {
    let [real, view] = ["real", "view"].map(|name| dir.join(name));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&view).unwrap();
    // An overlay cannot be exported.
    mount("none", &real, "tmpfs", MountFlags::empty(), None).unwrap();
    run(Command::new("mount").args(["-t", "nfsd", "nfsd", "/proc/fs/nfsd"]))?;
    fs::write("/proc/fs/nfsd/nfsv4gracetime", "10").map_err(|error| error.to_string())?;
    let export = format!("127.0.0.1:{}", real.display());
    run(Command::new("exportfs")
        .args(["-o", "rw,no_root_squash,insecure,fsid=0,no_subtree_check"])
        .arg(export))?;
    run(Command::new("rpc.mountd").args(["-N", "2", "-N", "3"]))?;
    run(Command::new("rpc.nfsd").args(["-N", "3", "-U", "1"]))?;
    run(Command::new("mount").args(["-t", "nfs4", "-o", "vers=4.2", "127.0.0.1:/"]).arg(&view))?;
    Ok(view)
}

/// Nothing is known of the file's other users, except what this machine's own sockets show.
fn assert_is_replaced_only_if_told(view: &Path, fs_type: &str) {
    let path = view.join("app.sock");
    let fresh = serve(&path);
    Stream::connect(&path).unwrap();
    for next in [Bind::new(&path), Bind::new(&path).assume_stale(true)] {
        assert!(next.listen().unwrap_err().is_in_use(), "{fs_type}");
    }
    close(fresh);
    assert!(!path.exists(), "{fs_type}");
    leave_stale(&path);
    let error = Bind::new(&path).listen().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LivenessUnknown, "{error}");
    assert!(error.to_string().contains(fs_type), "{error}");
    let told = Bind::new(&path).assume_stale(true).listen().unwrap();
    Stream::connect(&path).unwrap();
    close(told);
    assert!(!path.exists(), "{fs_type}");
}

/// A file there may belong to a server of another machine.
#[test]
fn a_file_on_nfs_is_replaced_only_if_told() {
    if !is_guest() {
        skip!("lacks a guest, whose NFS server may be started");
    }
    if !has_own_mounts("a_file_on_nfs_is_replaced_only_if_told") {
        return;
    }
    let dir = tempdir();
    let view = match mount_nfs(dir.path()) {
        Ok(view) => view,
        Err(missing) => skip!("lacks {missing}"),
    };
    assert_is_replaced_only_if_told(&view, "nfs");
    // A server of the machine that has the directory.
    let [behind, path] = [dir.path().join("real"), view.clone()].map(|at| at.join("app.sock"));
    let server = UnixListener::bind(&behind).unwrap();
    // The client may still take the file for missing, on some kernels for minutes (K-BIND-31): only
    // a bind asks the server.
    for _ in 0..2 {
        let error = Bind::new(&path).listen().unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::LivenessUnknown, Some(98)), "{error}");
        assert!(path.exists());
    }
    Stream::connect(&behind).unwrap();
    close(server);
    unmount(&view, UnmountFlags::DETACH).unwrap();
    let _ = run(Command::new("rpc.nfsd").arg("0"));
    let _ = run(Command::new("exportfs").arg("-ua"));
}

/// Mounts the directory that the guest shares with its host.
fn mount_shared(dir: &Path, fs_type: &str) -> Result<PathBuf, String> {
    let view = dir.join("view");
    fs::create_dir(&view).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", fs_type]).arg(format!("shared-{fs_type}")).arg(&view);
    if fs_type == "9p" {
        mount.args(["-o", "trans=virtio,version=9p2000.L"]);
    }
    run(&mut mount)?;
    Ok(view)
}

/// A file there may belong to a server of the host, or of another guest.
#[test]
fn a_file_that_a_guest_shares_is_replaced_only_if_told() {
    const TEST: &str = "a_file_that_a_guest_shares_is_replaced_only_if_told";
    if !is_guest() {
        skip!("lacks a guest, which shares a directory with its host");
    }
    if !has_own_mounts(TEST) {
        return;
    }
    for fs_type in ["virtiofs", "9p"] {
        let dir = tempdir();
        match mount_shared(dir.path(), fs_type) {
            Ok(view) => {
                assert_is_replaced_only_if_told(&view, fs_type);
                unmount(&view, UnmountFlags::DETACH).unwrap();
            }
            Err(missing) => record_skip(TEST, &format!("{fs_type} lacks {missing}")),
        }
    }
}

/// A file system that was mounted in a user namespace, seen from outside through its process.
#[test]
fn servers_on_a_file_system_of_a_user_namespace_are_known() {
    const TEST: &str = "servers_on_a_file_system_of_a_user_namespace_are_known";
    if role().is_some() {
        let path = PathBuf::from(std::env::var("DIR").unwrap());
        if mount("none", &path, "tmpfs", MountFlags::empty(), None).is_err() {
            return println!("lacks a tmpfs of its own");
        }
        leave_stale(&path.join("stale.sock"));
        let own = serve(&path.join("stale.sock"));
        close(own);
        leave_stale(&path.join("stale.sock"));
        let _live = serve(&path.join("live.sock"));
        println!("ready");
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new()).unwrap();
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    let inside = Role::new(TEST, "inside").env("DIR", dir.path().to_str().unwrap());
    let mut inside = inside.within("unshare", &["--user", "--map-root-user", "--mount"]).spawn();
    inside.line("ready", SOON);
    let root = PathBuf::from(format!("/proc/{}/root", inside.id()));
    let seen = |name: &str| root.join(dir.path().strip_prefix("/").unwrap()).join(name);
    assert!(Bind::new(seen("live.sock")).listen().unwrap_err().is_in_use());
    Stream::connect(seen("live.sock")).unwrap();
    let next = serve(&seen("stale.sock"));
    Stream::connect(seen("stale.sock")).unwrap();
    close(next);
    assert!(!seen("stale.sock").exists());
    assert!(inside.finish(SOON).success());
}
