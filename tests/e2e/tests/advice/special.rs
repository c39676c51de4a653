//! Worlds that random ones do not reach: each was once answered with advice that did not work.

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use stoop_testkit::{KillOnDrop, NOBODY, eventually};

use super::follow::SOON;
use super::world::{Last, World, full};
use super::{bind_read_only, mount};

/// A special case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// Nothing is at `dgram:PATH`.
    DatagramAddress,
    /// Nothing is at a path, and a seqpacket socket is asked for.
    SeqPacket,
    /// No datagram socket has an abstract name.
    AbstractDatagram,
    /// The socket is in a directory that is closed to others.
    PrivateDirectory,
    /// The permission is missing on a read-only mount.
    ReadOnlyMount,
    /// A path that is too long, and at which nothing is.
    LongPath,
    /// A stale file in a directory that the user may not write to.
    StaleInForeignDirectory,
    /// A socket file that is mounted, whose server was restarted.
    MountedFile,
    /// A path of a process below `/proc/self`.
    OwnProc,
    /// The file system has no inode left.
    NoInodes,
    /// The server is in a lower layer of an overlay.
    LowerLayer,
    /// The server is stopped, and its backlog is full.
    Stopped,
    /// The server has no file descriptor left, and its backlog is full.
    OutOfDescriptors,
}

impl Special {
    pub const ALL: [Special; 13] = [
        Special::DatagramAddress,
        Special::SeqPacket,
        Special::AbstractDatagram,
        Special::PrivateDirectory,
        Special::ReadOnlyMount,
        Special::LongPath,
        Special::StaleInForeignDirectory,
        Special::MountedFile,
        Special::OwnProc,
        Special::NoInodes,
        Special::LowerLayer,
        Special::Stopped,
        Special::OutOfDescriptors,
    ];

    /// Creates the world in a directory that is the user's own.
    pub fn create(self, base: &Path) -> World {
        let inner = base.join("a/b");
        fs::create_dir_all(&inner).expect("create directories");
        let mut world = World::empty(&inner);
        match self {
            Special::DatagramAddress => world.address = format!("dgram:{}", world.path.display()),
            Special::SeqPacket => world.flags = flags(&["--kind", "seqpacket"]),
            Special::AbstractDatagram => {
                world.address = format!("@stoop-advice-{}", std::process::id());
                world.flags = flags(&["--kind", "dgram"]);
            }
            Special::PrivateDirectory => private_directory(&mut world),
            Special::ReadOnlyMount => read_only_mount(&mut world),
            Special::LongPath => world.asks(inner.join("x".repeat(120))),
            Special::StaleInForeignDirectory => stale_in_foreign_directory(&mut world),
            Special::MountedFile => mounted_file(&mut world),
            Special::OwnProc => own_proc(&mut world),
            Special::NoInodes => no_inodes(&mut world),
            Special::LowerLayer => lower_layer(&mut world),
            Special::Stopped => stopped(&mut world),
            Special::OutOfDescriptors => out_of_descriptors(&mut world),
        }
        world.remember();
        world
    }
}

fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

fn listen(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).expect("bind");
    fs::set_permissions(path, Permissions::from_mode(0o666)).expect("set a mode");
    listener
}

fn private_directory(world: &mut World) {
    let directory = world.path.with_file_name("private");
    fs::create_dir(&directory).expect("create a directory");
    world.asks(directory.join("s.sock"));
    world.holds(Last::Listener, [listen(&world.path).into()]);
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("set a mode");
    world.flags = flags(&["--as", "nobody"]);
}

fn read_only_mount(world: &mut World) {
    let directory = world.path.with_file_name("ro");
    fs::create_dir(&directory).expect("create a directory");
    world.asks(directory.join("s.sock"));
    world.holds(Last::Listener, [listen(&world.path).into()]);
    fs::set_permissions(&world.path, Permissions::from_mode(0o700)).expect("set a mode");
    bind_read_only(&directory);
    world.mounted.push(directory);
    world.is_read_only = true;
    world.flags = flags(&["--as", "nobody"]);
}

fn stale_in_foreign_directory(world: &mut World) {
    drop(listen(&world.path));
    chown(&world.path, Some(NOBODY), Some(NOBODY)).expect("give a file away");
    world.last = Last::Stale;
    world.asker = NOBODY;
}

/// The mount keeps the file of the server that has ended.
fn mounted_file(world: &mut World) {
    let (source, target) = (world.path.with_file_name("app.sock"), world.path.clone());
    let first = listen(&source);
    fs::write(&target, "").expect("create a file");
    mount(&["mount", "--bind"], &[&source, &target]);
    world.mounted.push(target);
    drop(first);
    fs::remove_file(&source).expect("unlink");
    world.holds(Last::Stale, [listen(&source).into()]);
}

fn own_proc(world: &mut World) {
    let directory = world.path.with_file_name("w");
    fs::create_dir(&directory).expect("create a directory");
    let child = Command::new("sleep")
        .arg("1000")
        .current_dir(&directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("start sleep");
    world.asks("/proc/self/cwd/sub/s.sock".into());
    world.flags = vec!["--pid".into(), child.id().to_string()];
    world.last = Last::NoDirectory;
    world.children.push(KillOnDrop(child));
}

fn no_inodes(world: &mut World) {
    let directory = world.path.with_file_name("full");
    fs::create_dir(&directory).expect("create a directory");
    mount(&["mount", "-t", "tmpfs", "-o", "nr_inodes=2", "none"], &[&directory]);
    let filler = directory.join("filler");
    fs::write(&filler, "").expect("take the last inode");
    world.asks(directory.join("s.sock"));
    world.filler = Some(filler);
    world.mounted.push(directory);
}

fn lower_layer(world: &mut World) {
    let directory = world.path.with_file_name("layers");
    fs::create_dir(&directory).expect("create a directory");
    // An overlay may not be a layer.
    mount(&["mount", "-t", "tmpfs", "none"], &[&directory]);
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| directory.join(name));
    for directory in [&lower, &upper, &work, &merged] {
        fs::create_dir(directory).expect("create a directory");
    }
    let listener = listen(&lower.join("s.sock"));
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mount(&["mount", "-t", "overlay", "-o", &options, "overlay"], &[&merged]);
    world.asks(merged.join("s.sock"));
    world.holds(Last::Listener, [listener.into()]);
    world.mounted.extend([directory, merged]);
}

/// A program that has a listener with a full backlog. Its standard input stays open and empty.
fn with_server(world: &mut World, program: &str, arguments: &[&str]) -> u32 {
    let (listener, clients) = full(listen(&world.path));
    let (input, other_end) = UnixStream::pair().expect("make a pair");
    let mut command = Command::new(program);
    command.args(arguments).stdin(OwnedFd::from(input)).stdout(OwnedFd::from(listener)).stderr(Stdio::null());
    let child = command.spawn().expect("start a server");
    let pid = child.id();
    world.children.push(KillOnDrop(child));
    world.holds(Last::Full, clients.into_iter().chain([other_end]).map(OwnedFd::from));
    pid
}

fn stopped(world: &mut World) {
    let pid = with_server(world, "cat", &[]);
    signal(pid, "STOP");
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat"));
    eventually(SOON, || stat().is_ok_and(|stat| stat.contains(") T ")));
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.expect("run kill").success());
}

/// All file descriptors below the limit are in use, and the limit is lowered last.
fn out_of_descriptors(world: &mut World) {
    let script = "for fd in 2 3 4 5 6 7 8 9; do eval \"exec $fd<&0\"; done; ulimit -S -n 10; read x";
    let pid = with_server(world, "sh", &["-c", script]);
    let limits = || fs::read_to_string(format!("/proc/{pid}/limits"));
    let is_low = |line: &str| line.split_whitespace().nth(3) == Some("10");
    eventually(SOON, || {
        limits().is_ok_and(|text| text.lines().any(|line| line.starts_with("Max open files") && is_low(line)))
    });
}

/// Checks what one piece of advice alone does not show.
pub fn check(special: Special, pieces: &[String]) -> Result<(), String> {
    let first = pieces.first().map(String::as_str).unwrap_or_default();
    let is_right = match special {
        // What is granted to one user is not granted to all.
        Special::PrivateDirectory => first.starts_with("setfacl -m u:nobody:x "),
        Special::ReadOnlyMount => pieces.iter().all(|it| !it.contains("chmod") && !it.contains("setfacl")),
        Special::MountedFile => first.contains("mount the directory") && !first.contains("stoop serve"),
        Special::OwnProc => first.starts_with("mkdir ") && !first.contains("/proc/self"),
        Special::Stopped => first.starts_with("kill -CONT "),
        Special::OutOfDescriptors => first.starts_with("prlimit "),
        Special::LowerLayer => first.contains("/lower/s.sock"),
        _ => !pieces.is_empty(),
    };
    if is_right { Ok(()) } else { Err(format!("not what helps first: {pieces:?}")) }
}
