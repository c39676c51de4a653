//! Each `next:` of `stoop why` is run by the user to whom it is given, in the world that it is
//! about, and must do what it says: the call succeeds then, or gets further, or the command shows
//! what it promises. Nothing that belongs to others may have changed.
//!
//! Worlds are random ([`world`]). `STOOP_CASES` sets their number, `STOOP_SEED=SEED` runs one.
//! Requires root, to create them in a mount namespace of the test, and to be two users.

mod follow;
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stoop_testkit::{KillOnDrop, has_program, is_root, public_tempdir, skip, spawn};

use follow::follow;
use world::World;

const CASES: u64 = 150;
const TEST: &str = "advice_works_for_whoever_gets_it";
/// The time limit per hundred worlds, many times what they usually take.
const LIMIT_PER_HUNDRED: Duration = Duration::from_secs(150);

#[test]
fn advice_works_for_whoever_gets_it() {
    // Not `role()`, whose alarm would end a long run.
    if std::env::var_os("STOOP_ROLE").is_some() {
        return cases();
    }
    if !is_root() {
        skip!("lacks root");
    }
    for name in ["unshare", "setfacl", "findmnt"] {
        if !has_program(name) {
            skip!("lacks {name}");
        }
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", TEST, "--nocapture", "--test-threads=1", "-q"])
        .env("STOOP_ROLE", "cases");
    let mut child = KillOnDrop(spawn(&mut command).expect("start the test in a namespace of its own"));
    let limit = LIMIT_PER_HUNDRED * (number("STOOP_CASES").unwrap_or(CASES) / 100 + 1) as u32;
    assert!(child.finish(limit).success(), "see above");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs the cases, in a mount namespace of their own.
fn cases() {
    let directory = public_tempdir();
    let base = directory.path();
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).expect("set a mode");
    let place = Place::new(base);
    let only = number("STOOP_SEED");
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64;
    let first = only.unwrap_or(now % 1_000_000_000);
    let count = only.map_or(number("STOOP_CASES").unwrap_or(CASES), |_| 1);
    let (mut followed, mut wrong) = (0, Vec::new());
    for seed in first..first + count {
        let world = World::create(base, seed);
        let pieces = place.ask(&world).next;
        world.remove(base);
        for piece in pieces {
            let world = World::create(base, seed);
            let mounts = mounts();
            let result = follow(&place, &world, &piece);
            world.assert_unharmed(&piece);
            assert_eq!(self::mounts(), mounts, "mounts were changed by: {piece}");
            followed += 1;
            if let Err(text) = result {
                let asked = world.question();
                wrong
                    .push(format!("STOOP_SEED={seed}, {:?}, {asked}\n  next: {piece}\n  {text}", world.last));
            }
            world.remove(base);
        }
    }
    println!("{count} worlds, {followed} pieces of advice");
    assert!(wrong.is_empty(), "{} of {followed} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("read the mounts")
}

/// Mounts a directory on itself, read-only.
fn bind_read_only(directory: &Path) {
    mount(&["mount", "--bind"], &[directory, directory]);
    mount(&["mount", "-o", "remount,bind,ro"], &[directory]);
}

fn unmount(directory: &Path) {
    mount(&["umount", "--lazy"], &[directory]);
}

fn mount(command: &[&str], paths: &[&Path]) {
    let status = Command::new(command[0]).args(&command[1..]).args(paths).status().expect("run mount");
    assert!(status.success(), "{command:?} {paths:?}");
}

/// The directories of the command, open to every user.
struct Place {
    programs: PathBuf,
    base: PathBuf,
}

/// An answer of `stoop why`.
#[derive(Debug)]
struct Answer {
    outcome: String,
    cause: String,
    /// The component that decides, if one does.
    stop: Option<usize>,
    next: Vec<String>,
}

impl Place {
    fn new(base: &Path) -> Place {
        let programs = base.join("bin");
        fs::create_dir(&programs).expect("create a directory");
        fs::copy(stoop_e2e::binary(), programs.join("stoop")).expect("copy the command");
        Place { programs, base: base.to_owned() }
    }

    /// Returns a command of this user.
    fn command(&self, uid: u32, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env_remove("XDG_RUNTIME_DIR").env_remove("HOME").current_dir(&self.base);
        command.stdin(Stdio::null());
        if uid != 0 {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Asks the question of a world.
    fn ask(&self, world: &World) -> Answer {
        let mut command = self.command(world.asker, "stoop");
        command.arg("why").arg(&world.path).args(&world.flags).arg("--json");
        let output = command.output().expect("run stoop");
        let text = String::from_utf8_lossy(&output.stdout);
        let line: serde_json::Value = serde_json::from_str(text.trim())
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let walk = line["walk"].as_array().expect("a walk");
        let next = line["next"].as_array().expect("advice");
        Answer {
            outcome: word("outcome"),
            cause: word("cause"),
            stop: walk.iter().position(|step| step.get("stops").is_some()),
            next: next.iter().map(|text| text.as_str().expect("a text").to_owned()).collect(),
        }
    }
}
