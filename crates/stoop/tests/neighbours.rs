//! Other users who may write to the socket's directory: their files are never removed, changed or
//! waited for, and neither are our own files that they have moved.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, renameat_with};
use stoop::{Bind, ErrorKind, Holder, Stream};
use stoop_kernel_facts::SOON;
use stoop_testkit::{
    NOBODY, Role, TempDir, close, closing, deadline, is_root, public_tempdir, role, skip, tempdir,
};

/// Creates a directory that every user may write to: with the sticky bit, as `/tmp`, or without it.
fn shared(mode: u32) -> TempDir {
    let dir = public_tempdir();
    fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
    dir
}

fn names_in(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn leave_stale(path: &Path) {
    close(UnixListener::bind(path).unwrap());
}

/// Files under names that earlier designs used for locks, and people may use for anything, are
/// nobody's to touch.
#[test]
fn files_next_to_the_socket_are_left_alone() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let names = [".app.sock.lock", ".app.sock.stale", "app.sock.lock", ".app.sock", ".for"];
    for name in names {
        fs::write(dir.path().join(name), format!("precious {name}")).unwrap();
    }
    for round in 0..4 {
        if round % 2 == 0 {
            leave_stale(&path);
        }
        let old = Bind::new(&path).listen().unwrap();
        drop(Bind::new(&path).replace(true).listen().unwrap());
        drop(old);
    }
    for name in names {
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), format!("precious {name}"));
    }
    assert_eq!(names_in(dir.path()).len(), names.len());
}

/// A member of the group moves one of our directories to the name of the staging directory. Its
/// contents are kept.
#[test]
fn a_directory_moved_to_our_staging_name_keeps_its_files() {
    let dir = shared(0o777);
    let (path, staging) = (dir.path().join("app.sock"), dir.path().join(".app.sock.stoop"));
    for mode in [0o755, 0o700] {
        let services = dir.path().join("services");
        fs::DirBuilder::new().mode(mode).create(&services).unwrap();
        let live = UnixListener::bind(services.join("db.sock")).unwrap();
        leave_stale(&services.join("app.sock"));
        fs::write(services.join("enabled"), "").unwrap();
        fs::rename(&services, &staging).unwrap();
        // A free name is taken all the same, and given up again or kept: only the file in question may go.
        let server = Bind::new(&path).listen().unwrap();
        assert_eq!(closing(|| server.close()).unwrap_err().kind(), ErrorKind::NotPermitted);
        for replace in [false, true] {
            let error = Bind::new(&path).replace(replace).listen().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error}");
        }
        assert_eq!(names_in(&staging), ["app.sock", "db.sock", "enabled"]);
        assert_eq!(fs::metadata(&staging).unwrap().mode() & 0o7777, mode);
        std::os::unix::net::UnixStream::connect(staging.join("db.sock")).unwrap();
        live.accept().unwrap();
        fs::remove_dir_all(&staging).unwrap();
        fs::remove_file(&path).unwrap();
    }
}

/// Everything a neighbour may put under the name that we need: each is refused soon, with the
/// reason, and stays.
#[test]
fn a_squatted_name_is_refused_and_not_waited_for() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = shared(0o1777);
    let (path, staging) = (dir.path().join("app.sock"), dir.path().join(".app.sock.stoop"));
    let fifo = |path: &Path| rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let directory = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path).unwrap();
    let socket = |path: &Path| drop(UnixListener::bind(path).unwrap());
    for word in ["a regular file", "a FIFO", "a symbolic link", "a socket", "belongs to user"] {
        match word {
            "a regular file" => fs::write(&staging, "x").unwrap(),
            "a FIFO" => fifo(&staging),
            "a symbolic link" => std::os::unix::fs::symlink("/", &staging).unwrap(),
            "a socket" => socket(&staging),
            _ => directory(&staging),
        }
        std::os::unix::fs::lchown(&staging, Some(NOBODY), Some(NOBODY)).unwrap();
        leave_stale(&path);
        let before = fs::symlink_metadata(&staging).unwrap();
        let bind = Bind::new(&path);
        let error = deadline(SOON, move || bind.listen().unwrap_err());
        assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error}");
        assert!(error.to_string().contains(word), "{error}");
        let after = fs::symlink_metadata(&staging).unwrap();
        assert_eq!((before.ino(), before.mode(), before.uid()), (after.ino(), after.mode(), after.uid()));
        match after.is_dir() {
            true => fs::remove_dir(&staging).unwrap(),
            false => fs::remove_file(&staging).unwrap(),
        }
        // A name that is free is taken whatever stands next to it.
        fs::remove_file(&path).unwrap();
        drop(Bind::new(&path).listen().unwrap());
    }
}

/// Opening a file under a lease blocks (K-LOCK-5), so no foreign file in the directory is opened.
#[test]
fn a_lease_holds_nobody_up() {
    if role().is_some() {
        let path = std::env::var("LEASED").unwrap();
        let file = fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
        stoop_kernel_facts::set_lease(&file).unwrap();
        println!("leased");
        std::thread::sleep(SOON);
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = shared(0o1777);
    let path = dir.path().join("app.sock");
    for name in [".app.sock.stoop", ".app.sock.lock", "app.sock"] {
        let leased = dir.path().join(name);
        let mut holder = Role::new("a_lease_holds_nobody_up", "holder")
            .env("LEASED", leased.to_str().unwrap())
            .user(NOBODY, NOBODY)
            .spawn();
        holder.line("leased", SOON);
        if name != "app.sock" {
            leave_stale(&path);
        }
        for replace in [false, true] {
            let bind = Bind::new(&path).replace(replace);
            // Whether it serves or refuses: it does so soon.
            drop(deadline(Duration::from_secs(5), move || bind.listen()));
        }
        assert!(leased.exists());
        close(holder);
        fs::remove_file(&leased).unwrap();
        let _ = fs::remove_file(&path);
    }
}

/// A file system of another user that never answers delays no bind.
#[test]
fn a_mount_that_never_answers_holds_nobody_up() {
    const TEST: &str = "a_mount_that_never_answers_holds_nobody_up";
    if role().is_none() {
        if !is_root() || !Path::new("/dev/fuse").exists() {
            skip!("lacks root, or FUSE");
        }
        return Role::new(TEST, "elsewhere").run();
    }
    stoop_kernel_facts::unshare(stoop_kernel_facts::libc::CLONE_NEWNS).unwrap();
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
    let dir = shared(0o1777);
    let (path, staging) = (dir.path().join("app.sock"), dir.path().join(".app.sock.stoop"));
    fs::create_dir(&staging).unwrap();
    let over_staging = stoop_kernel_facts::mute_mount(&staging, 0o40700).unwrap();
    leave_stale(&path);
    let bind = Bind::new(&path);
    let error = deadline(SOON, move || bind.listen().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error}");
    assert!(error.to_string().contains("another file system"), "{error}");
    fs::remove_file(&path).unwrap();

    fs::write(&path, "").unwrap();
    let over_name = stoop_kernel_facts::mute_mount(&path, 0o100_666).unwrap();
    let bind = Bind::new(&path).replace(true);
    let error = deadline(SOON, move || bind.listen().unwrap_err());
    assert!(error.is_in_use(), "{error}");
    drop((over_staging, over_name));
}

/// A socket file is mounted into a container. Replacing the name that it is mounted on, from
/// outside, would take the mount away ([K-MOUNT-2]).
///
/// [K-MOUNT-2]: stoop::kernel_facts#K-MOUNT-2
#[test]
fn a_file_that_is_mounted_in_another_namespace_is_left_alone() {
    const TEST: &str = "a_file_that_is_mounted_in_another_namespace_is_left_alone";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "container").run();
    }
    let own_mounts = || {
        stoop_kernel_facts::unshare(stoop_kernel_facts::libc::CLONE_NEWNS).unwrap();
        let private =
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
    };
    own_mounts();
    let dir = tempdir();
    let (source, place) = (dir.path().join("source"), dir.path().join("place"));
    fs::write(&place, "").unwrap();
    let live = UnixListener::bind(&source).unwrap();
    rustix::mount::mount_bind(&source, &place).unwrap();
    let is_mounted = || fs::metadata(&place).unwrap().ino() == fs::symlink_metadata(&source).unwrap().ino();
    let through = format!("/proc/{}/root{}", rustix::thread::gettid().as_raw_nonzero(), place.display());
    let refused = || {
        let (_, status) = stoop_kernel_facts::in_child(|| {
            own_mounts();
            rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).unwrap();
            let is_refusal = |replace| {
                let error = Bind::new(&through).replace(replace).listen().unwrap_err();
                error.is_in_use() && error.to_string().contains("mounted")
            };
            i32::from(is_refusal(false) && is_refusal(true))
        });
        status.code() == Some(1) && is_mounted()
    };
    assert!(refused(), "a live one");
    close(live);
    assert!(refused(), "a stale one");
}

/// The owner of the parent exchanges the directory that is being created for a private one of
/// root.
#[test]
fn create_parents_gives_no_other_directory_a_mode() {
    const TEST: &str = "create_parents_gives_no_other_directory_a_mode";
    if role().is_some() {
        let dir = std::env::var("DIRECTORY").unwrap();
        let at = |name: &str| Path::new(&dir).join(name);
        println!("swapping");
        loop {
            let swap = || renameat_with(CWD, at("private"), CWD, at("a"), RenameFlags::EXCHANGE);
            if swap().is_ok() {
                let _ = swap();
                let _ = fs::remove_file(at("a/app.sock"));
                let _ = fs::remove_dir(at("a"));
            }
        }
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = shared(0o755);
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let private = dir.path().join("private");
    fs::DirBuilder::new().mode(0o700).create(&private).unwrap();
    let inode = fs::metadata(&private).unwrap().ino();
    let mut neighbour = Role::new(TEST, "neighbour")
        .env("DIRECTORY", dir.path().to_str().unwrap())
        .user(NOBODY, NOBODY)
        .spawn();
    neighbour.line("swapping", SOON);
    for mode in [0o755, 0o777].into_iter().cycle().take(1000) {
        let _ = Bind::new(dir.path().join("a/app.sock")).create_parents(mode).listen();
    }
    close(neighbour);
    let ours = ["private", "a"].map(|name| fs::metadata(dir.path().join(name)));
    let ours = ours.into_iter().flatten().find(|stat| stat.ino() == inode).unwrap();
    assert_eq!(ours.mode() & 0o7777, 0o700);
}

/// A directory with the mode that was asked for, under every umask, and nothing left next to it.
#[test]
fn parents_have_their_exact_mode() {
    const TEST: &str = "parents_have_their_exact_mode";
    if role().is_some() {
        set_umask(std::env::var("MASK").unwrap().parse().unwrap());
        let dir = public_tempdir();
        for mode in [0o755, 0o700, 0o777, 0o1777, 0o750] {
            let path = dir.path().join(format!("{mode:o}/below/app.sock"));
            let server = Bind::new(&path).create_parents(mode).listen().unwrap();
            for made in path.ancestors().skip(1).take(2) {
                assert_eq!(fs::metadata(made).unwrap().mode() & 0o7777, mode, "{}", made.display());
            }
            drop(server);
            assert_eq!(names_in(path.parent().unwrap()), [""; 0]);
        }
        assert_eq!(names_in(dir.path()).len(), 5);
        return;
    }
    for mask in [0, 0o022, 0o077, 0o777_u32] {
        let child = || Role::new(TEST, "child").env("MASK", &mask.to_string());
        child().run();
        if is_root() {
            child().user(NOBODY, NOBODY).run();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, whose umask is the point")]
fn set_umask(mask: u32) {
    rustix::process::umask(Mode::from_raw_mode(mask));
}

/// A server killed while it replaced another one had the old one's file in its hands: the next one
/// gives it back.
#[test]
fn what_a_killed_replacement_held_is_given_back() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let old = Bind::new(&path).listen().unwrap();
    let staging = dir.path().join(".app.sock.stoop");
    fs::DirBuilder::new().mode(0o700).create(&staging).unwrap();
    std::os::unix::fs::symlink("app.sock", staging.join(".for")).unwrap();
    leave_stale(&staging.join("app.sock"));
    renameat_with(CWD, staging.join("app.sock"), CWD, &path, RenameFlags::EXCHANGE).unwrap();
    assert!(Stream::connect(&path).unwrap_err().is_refused());

    let error = Bind::new(&path).listen().unwrap_err();
    assert!(error.is_in_use() && Holder::find(error.subject().unwrap(), None).is_some(), "{error}");
    Stream::connect(&path).unwrap();
    old.accept().unwrap();
    old.close().unwrap();
    assert_eq!(names_in(dir.path()), [""; 0]);
}
