//! Neighbours who do at random, and as fast as they can, whatever they may do to the names next to
//! a socket, while root starts, replaces, stops and kills servers there. What is root's stays as it
//! is, and nothing takes long.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, renameat_with};
use stoop::Bind;
use stoop_kernel_facts::SOON;
use stoop_testkit::{KillOnDrop, NOBODY, Role, close, is_root, public_tempdir, role, skip};

const TEST: &str = "racing_neighbours_change_nothing_of_ours";

/// How long each kind of directory is fought over.
const FIGHT: Duration = Duration::from_secs(3);

/// No start waits longer than this: five seconds for a lock of our own, and what a busy machine
/// adds.
const LONGEST_START: Duration = Duration::from_secs(15);

const NAMES: [&str; 9] = [
    "app.sock",
    ".app.sock.lock",
    ".app.sock.stoop",
    ".app.sock.stoop/app.sock",
    ".app.sock.stoop/.for",
    "other",
    "another",
    "sub",
    "sub/app.sock",
];

/// Root's files, which links of the neighbours lead to.
const CANARIES: [&str; 5] = ["secret", "empty", "private", "live", "dead"];

#[test]
fn racing_neighbours_change_nothing_of_ours() {
    match role().as_deref() {
        Some("neighbour") => return be_a_neighbour(),
        Some(_) => return churn(),
        None => {}
    }
    if !is_root() {
        skip!("lacks root");
    }
    for (mode, owner) in [(0o1777, 0), (0o777, 0), (0o755, NOBODY)] {
        let (dir, canaries) = (public_tempdir(), public_tempdir());
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        chown(dir.path(), Some(owner), Some(owner)).unwrap();
        let _live = make_canaries(canaries.path());
        let before = look(canaries.path());
        fight(dir.path(), canaries.path());
        assert_eq!(look(canaries.path()), before, "mode {mode:o}");
    }
}

fn make_canaries(dir: &Path) -> UnixListener {
    let file = |name: &str, text: &str| {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    file("secret", "of root's");
    file("empty", "");
    fs::DirBuilder::new().mode(0o700).create(dir.join("private")).unwrap();
    close(UnixListener::bind(dir.join("dead")).unwrap());
    let live = UnixListener::bind(dir.join("live")).unwrap();
    fs::set_permissions(dir.join("live"), Permissions::from_mode(0o700)).unwrap();
    live
}

/// Inode, mode, owner, and contents of each canary.
fn look(dir: &Path) -> Vec<(u64, u32, u32, Vec<u8>)> {
    CANARIES
        .map(|name| {
            let stat = fs::symlink_metadata(dir.join(name)).unwrap();
            let text = fs::read(dir.join(name)).unwrap_or_default();
            (stat.ino(), stat.mode(), stat.uid(), text)
        })
        .to_vec()
}

fn fight(dir: &Path, canaries: &Path) {
    let start = |role: &str, seed: u64, uid: u32| {
        Role::new(TEST, role)
            .env("DIRECTORY", dir.to_str().unwrap())
            .env("CANARIES", canaries.to_str().unwrap())
            .env("SEED", &seed.to_string())
            .user(uid, uid)
            .spawn()
    };
    let mut neighbours: Vec<KillOnDrop> = (1..=2).map(|seed| start("neighbour", seed, NOBODY)).collect();
    neighbours.iter_mut().for_each(|neighbour| drop(neighbour.line("racing", SOON)));
    let end = Instant::now() + FIGHT;
    let mut round = 0;
    while Instant::now() < end {
        round += 1;
        let mut victim = start("churn", round, 0);
        victim.line("churning", SOON);
        thread::sleep(Duration::from_millis(round * 37 % 300));
        assert!(victim.try_wait().unwrap().is_none(), "a start took too long, or panicked");
        close(victim);
    }
    close(neighbours);
}

fn told(name: &str) -> PathBuf {
    std::env::var_os(name).expect("set by the parent").into()
}

/// Starts, replaces and stops servers until it is killed.
fn churn() {
    println!("\nchurning");
    let dir = told("DIRECTORY");
    let seed: u32 = std::env::var("SEED").unwrap().parse().unwrap();
    for round in seed.. {
        let path = dir.join(if round % 5 == 0 { "sub/app.sock" } else { "app.sock" });
        let mut bind = Bind::new(path).mode([0o600, 0o666][round as usize % 2]).replace(round % 3 == 0);
        if round % 5 == 0 {
            bind = bind.create_parents(0o775);
        }
        if round % 7 == 0 {
            bind = bind.owner(NOBODY);
        }
        let started = Instant::now();
        drop(bind.listen());
        assert!(started.elapsed() < LONGEST_START);
    }
}

/// Performs random operations in an endless loop.
fn be_a_neighbour() {
    println!("\nracing");
    let (dir, canaries) = (told("DIRECTORY"), told("CANARIES"));
    let mut state: u64 = std::env::var("SEED").unwrap().parse().unwrap();
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut held = Vec::new();
    loop {
        let [one, other] = [0; 2].map(|_| dir.join(NAMES[random(NAMES.len())]));
        let canary = canaries.join(CANARIES[random(CANARIES.len())]);
        // What fails, fails: most of it may not be done.
        let _ = match random(11) {
            0 => fs::remove_file(&one),
            1 => symlink(&canary, &one),
            2 => fs::hard_link(&canary, &one),
            3 | 4 => fs::rename(&one, &other),
            5 => renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).map_err(std::io::Error::from),
            6 => fs::create_dir(&one),
            7 => fs::remove_dir(&one),
            8 => UnixListener::bind(&one).map(|socket| held.push(socket)),
            9 => fs::write(&one, "theirs"),
            _ => rustix::fs::mknodat(CWD, &one, FileType::Fifo, Mode::RWXU, 0).map_err(std::io::Error::from),
        };
        held.truncate(if random(3) == 0 { 0 } else { 16 });
    }
}
