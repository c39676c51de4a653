//! Facts about bind(2) and the file it creates: mode, owner, existing files, renaming and linking.

use std::fs::{self, Metadata, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, RenameFlags, Uid, fchmod, fchown, fstat, renameat_with};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, TempDir, close, is_root, public_tempdir, role, skip, tempdir};

/// The permission bits of a file.
fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A path in the directory, and the name for it.
fn at(dir: &TempDir, name: &str) -> (PathBuf, Name) {
    let path = dir.path().join(name);
    (path.clone(), Name::path(path))
}

/// Whether a connection to `name` reaches `listener`.
fn reaches(name: &Name, listener: &impl AsFd) -> bool {
    nonblocking(listener);
    try_client(STREAM, name).is_ok_and(|_client| accept(listener).is_ok())
}

/// K-BIND-1
#[test]
fn the_file_outlives_the_socket() {
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let socket = bound(STREAM, &name);
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(option(&socket, libc::SO_ACCEPTCONN), Ok(0));
    close(socket);
    assert!(path.exists());
}

/// K-BIND-2
#[test]
fn the_mode_at_creation_is_masked_by_the_umask() {
    let dir = tempdir();
    for umask in [0, 0o022, 0o077, 0o777] {
        let (path, name) = at(&dir, &umask.to_string());
        with_umask(umask, || bound(STREAM, &name));
        assert_eq!(mode(&path), 0o777 & !umask, "umask {umask:o}");
    }
}

/// K-BIND-3
#[test]
fn fchmod_before_bind_sets_the_mode() {
    let dir = tempdir();
    for umask in [0, 0o022, 0o077, 0o777] {
        for wanted in [0o600, 0o660, 0o666] {
            let (path, name) = at(&dir, &format!("{umask}-{wanted}"));
            let socket = socket(STREAM);
            fchmod(&socket, Mode::from_raw_mode(wanted)).unwrap();
            with_umask(umask, || bind(&socket, &name)).unwrap();
            assert_eq!(mode(&path), wanted & !umask, "{wanted:o} with umask {umask:o}");
        }
    }
}

/// K-BIND-4
#[test]
fn fchmod_after_bind_does_nothing() {
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let socket = with_umask(0o022, || bound(STREAM, &name));
    fchmod(&socket, Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(mode(&path), 0o755);
}

/// K-BIND-5
#[test]
fn chmod_through_an_o_path_descriptor_is_exact() {
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let (moved, _) = at(&dir, "moved");
    with_umask(0o777, || bound(STREAM, &name));
    let file = o_path(&path);
    fs::rename(&path, &moved).unwrap();
    fs::write(&path, "a stranger's").unwrap();
    let stranger = mode(&path);
    with_umask(0o777, || fs::set_permissions(proc_path(&file), Permissions::from_mode(0o666)).unwrap());
    assert_eq!(mode(&moved), 0o666);
    assert_eq!(mode(&path), stranger);
}

/// K-BIND-6
#[test]
fn fchown_before_bind_is_ignored() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let socket = socket(STREAM);
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    fchown(&socket, Some(uid), Some(gid)).unwrap();
    assert_eq!(fstat(&socket).unwrap().st_uid, NOBODY);
    bind(&socket, &name).unwrap();
    let file = fs::metadata(path).unwrap();
    assert_eq!((file.uid(), file.gid()), (0, 0));
}

/// K-BIND-7
#[test]
fn a_setgid_directory_gives_its_group() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    chown(dir.path(), None, Some(NOBODY)).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o2755)).unwrap();
    let (path, name) = at(&dir, "socket");
    let _socket = bound(STREAM, &name);
    assert_eq!(fs::metadata(path).unwrap().gid(), NOBODY);
}

/// K-BIND-8
#[test]
fn any_file_in_the_way_is_address_in_use() {
    let dir = tempdir();
    let _live = listener(STREAM, &at(&dir, "live").1, 8);
    close(bound(STREAM, &at(&dir, "dead").1));
    fs::write(at(&dir, "file").0, "").unwrap();
    fs::create_dir(at(&dir, "directory").0).unwrap();
    symlink("nothing", at(&dir, "dangling").0).unwrap();
    for name in ["live", "dead", "file", "directory", "dangling"] {
        assert_eq!(bind(&socket(STREAM), &at(&dir, name).1), Err(Errno::ADDRINUSE), "{name}");
    }
    assert!(!at(&dir, "nothing").0.exists(), "no file was created through the link");
}

/// K-BIND-9
#[test]
fn reuse_options_do_not_help() {
    let dir = tempdir();
    let (_, name) = at(&dir, "socket");
    close(bound(STREAM, &name));
    let socket = socket(STREAM);
    assert_eq!(set_option(&socket, libc::SO_REUSEADDR, 1), Ok(()));
    assert_eq!(bind(&socket, &name), Err(Errno::ADDRINUSE));
    let reuse_port = set_option(&socket, libc::SO_REUSEPORT, 1);
    if kernel_at_least(6, 13) {
        assert_eq!(reuse_port, Err(Errno::OPNOTSUPP));
    }
    assert_eq!(bind(&socket, &name), Err(Errno::ADDRINUSE));
}

/// K-BIND-10
#[test]
fn the_descriptor_does_not_know_the_file() {
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let first = bound(STREAM, &name);
    let file = fs::metadata(&path).unwrap();
    let before = fstat(&first).unwrap();
    assert_ne!((before.st_dev, before.st_ino), (file.dev(), file.ino()));

    fs::remove_file(&path).unwrap();
    let second = listener(STREAM, &name, 8);
    let after = fstat(&first).unwrap();
    assert_eq!((after.st_dev, after.st_ino, after.st_nlink), (before.st_dev, before.st_ino, before.st_nlink));
    assert_eq!(local_name(&first), local_name(&second));
    close(first);
    assert!(reaches(&name, &second));
}

/// K-BIND-11
#[test]
fn siocunixfile_finds_the_inode() {
    const TEST: &str = "siocunixfile_finds_the_inode";
    let ordinary = role().is_some() || !is_root();
    let dir = public_tempdir();
    let (path, name) = at(&dir, "socket");
    let socket = bound(STREAM, &name);
    if ordinary {
        assert_eq!(bound_file(&socket).unwrap_err(), Errno::PERM);
        return;
    }
    let identity = |file: Metadata| (file.dev(), file.ino());
    let expected = identity(fs::metadata(&path).unwrap());
    fs::remove_file(&path).unwrap();
    let file = fs::File::from(bound_file(&socket).unwrap());
    assert_eq!(identity(file.metadata().unwrap()), expected);
    assert_eq!(bound_file(&stoop_kernel_facts::socket(STREAM)).unwrap_err(), Errno::NOENT);
    Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
}

/// K-BIND-12
#[test]
fn a_second_bind_is_refused() {
    let dir = tempdir();
    let socket = bound(STREAM, &at(&dir, "first").1);
    assert_eq!(bind(&socket, &at(&dir, "second").1), Err(Errno::INVAL));
    assert!(!at(&dir, "second").0.exists());
}

/// K-BIND-13
#[test]
fn rename_moves_and_replaces() {
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let (staged, staged_name) = at(&dir, "staged");
    let first = listener(STREAM, &name, 8);
    let second = listener(STREAM, &staged_name, 8);
    fs::rename(&staged, &path).unwrap();
    assert!(reaches(&name, &second), "replaced a live socket");
    assert!(!staged.exists());
    close((first, second));

    let third = listener(STREAM, &staged_name, 8);
    fs::rename(&staged, &path).unwrap();
    assert!(reaches(&name, &third), "replaced a dead socket");
}

/// K-BIND-14
#[test]
fn exchange_swaps_two_live_sockets() {
    let dir = tempdir();
    let (left_path, left) = at(&dir, "left");
    let (right_path, right) = at(&dir, "right");
    let first = listener(STREAM, &left, 8);
    let second = listener(STREAM, &right, 8);
    renameat_with(CWD, &left_path, CWD, &right_path, RenameFlags::EXCHANGE).unwrap();
    assert!(reaches(&left, &second));
    assert!(reaches(&right, &first));
}

/// K-BIND-15
#[test]
fn noreplace_never_replaces() {
    let dir = tempdir();
    let (staged_path, staged) = at(&dir, "staged");
    let (taken_path, taken) = at(&dir, "taken");
    let (free_path, free) = at(&dir, "free");
    let first = listener(STREAM, &staged, 8);
    let second = listener(STREAM, &taken, 8);
    let publish = |to: &Path| renameat_with(CWD, &staged_path, CWD, to, RenameFlags::NOREPLACE);
    assert_eq!(publish(&taken_path), Err(Errno::EXIST));
    assert!(reaches(&staged, &first) && reaches(&taken, &second));
    assert_eq!(publish(&free_path), Ok(()));
    assert!(reaches(&free, &first));
}

/// K-BIND-16
#[test]
fn link_publishes_without_replacing() {
    let dir = tempdir();
    let (staged_path, staged) = at(&dir, "staged");
    let (free_path, free) = at(&dir, "free");
    let listener = listener(STREAM, &staged, 8);
    fs::hard_link(&staged_path, &free_path).unwrap();
    assert!(reaches(&staged, &listener) && reaches(&free, &listener));
    let clobber = fs::hard_link(&staged_path, &free_path).unwrap_err();
    assert_eq!(Errno::from_io_error(&clobber), Some(Errno::EXIST));
}

/// K-BIND-17
#[test]
fn an_unshared_thread_has_its_own_umask() {
    const TEST: &str = "an_unshared_thread_has_its_own_umask";
    if role().is_none() && is_root() {
        return Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
    }
    let umask = process_umask();
    let directory = std::env::current_dir().unwrap();
    let dir = tempdir();
    let (path, _) = at(&dir, "socket");
    with_umask(0, || {
        rustix::process::chdir(dir.path()).unwrap();
        let socket = socket(STREAM);
        fchmod(&socket, Mode::from_raw_mode(0o666)).unwrap();
        bind(&socket, &Name::path("socket")).unwrap();
    });
    assert_eq!(mode(&path), 0o666);
    assert_eq!(process_umask(), umask);
    assert_eq!(std::env::current_dir().unwrap(), directory);
}

/// K-BIND-18
#[test]
fn queued_clients_stay_with_the_old_listener() {
    let dir = tempdir();
    let (path, name) = at(&dir, "socket");
    let (staged, staged_name) = at(&dir, "staged");
    let old = listener(STREAM, &name, 8);
    let early = client(STREAM, &name);
    let new = listener(STREAM, &staged_name, 8);
    fs::rename(&staged, &path).unwrap();
    let late = client(STREAM, &name);
    send(&early, b"early").unwrap();
    send(&late, b"late").unwrap();
    assert_eq!(recv(&accept(&old).unwrap(), 10).unwrap(), b"early");
    assert_eq!(recv(&accept(&new).unwrap(), 10).unwrap(), b"late");
}

/// K-BIND-22
#[test]
fn the_sticky_bit_means_nothing_on_a_socket() {
    const TEST: &str = "the_sticky_bit_means_nothing_on_a_socket";
    if let Some(path) = std::env::var_os("SOCKET").filter(|_| role().is_some()) {
        assert_eq!(try_client(STREAM, &Name::path(&path)).map(drop), Ok(()));
        fs::remove_file(path).unwrap();
        return;
    }
    let dir = public_tempdir();
    let (path, name) = at(&dir, "socket");
    let socket = socket(STREAM);
    fchmod(&socket, Mode::from_raw_mode(0o1666)).unwrap();
    with_umask(0o022, || bind(&socket, &name)).unwrap();
    assert_eq!(mode(&path), 0o1644);
    fs::set_permissions(&path, Permissions::from_mode(0o1666)).unwrap();
    listen(&socket, 8).unwrap();
    let other = Role::new(TEST, "other").env("SOCKET", path.to_str().unwrap());
    if is_root() {
        other.user(NOBODY, NOBODY).run()
    } else {
        other.run()
    }
    assert!(!path.exists());
}
