//! Each `next:` of `stoop why` is run by the user to whom it is given, in the world that it is
//! about, and must do what it says: the call succeeds then, or gets further, or the command shows
//! what it promises. Nothing that belongs to others may have changed.
//!
//! Worlds are random ([`world`]), or special cases ([`special`]). `STOOP_CASES` sets the number of
//! random ones, `STOOP_SEED=SEED` runs one.
//! Requires root, to create them in a mount namespace of the test, and to be two users.

mod follow;
mod special;
mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stoop::internal::mountinfo::{MountEntry, read};
use stoop_testkit::{KillOnDrop, has_program, is_root, public_tempdir, record_skip, spawn};

use follow::follow;
use special::Special;
use world::World;

const CASES: u64 = 150;
const TEST: &str = "advice_works_for_whoever_gets_it";
/// The time limit per hundred worlds, many times what they usually take.
const LIMIT_PER_HUNDRED: Duration = Duration::from_secs(400);

#[test]
fn advice_works_for_whoever_gets_it() {
    if is_ready(TEST, LIMIT_PER_HUNDRED * (number("STOOP_CASES").unwrap_or(CASES) / 100 + 1) as u32) {
        random_cases();
    }
}

#[test]
fn advice_works_in_special_cases() {
    if is_ready("advice_works_in_special_cases", LIMIT_PER_HUNDRED) {
        special_cases();
    }
}

/// Runs the rest of a test in a mount namespace of its own. Returns whether this is that run.
fn is_ready(test: &str, limit: Duration) -> bool {
    // Not `role()`, whose alarm would end a long run.
    if std::env::var_os("STOOP_ROLE").is_some() {
        return true;
    }
    let missing = ["unshare", "setfacl", "findmnt", "prlimit"].into_iter().find(|name| !has_program(name));
    if let Some(lacks) = missing.or((!is_root()).then_some("root")) {
        record_skip(test, &format!("lacks {lacks}"));
        return false;
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", test, "--nocapture", "--test-threads=1", "-q"])
        .env("STOOP_ROLE", "cases");
    let mut child = KillOnDrop(spawn(&mut command).expect("start the test in a namespace of its own"));
    assert!(child.finish(limit).success(), "see above");
    false
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn random_cases() {
    let only = number("STOOP_SEED");
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64;
    let first = only.unwrap_or(now % 1_000_000_000);
    let count = only.map_or(number("STOOP_CASES").unwrap_or(CASES), |_| 1);
    in_place(|place| {
        for seed in first..first + count {
            place.follow_all(&format!("STOOP_SEED={seed}"), &|base| World::create(base, seed));
        }
    });
}

fn special_cases() {
    in_place(|place| {
        for special in Special::ALL {
            let pieces = place.follow_all(&format!("{special:?}"), &|base| special.create(base));
            if let Err(text) = special::check(special, &pieces) {
                place.wrong.push(format!("{special:?}: {text}"));
            }
        }
    });
}

/// Runs cases, and panics if advice was wrong in any.
fn in_place(cases: impl FnOnce(&mut Place)) {
    let directory = public_tempdir();
    let base = directory.path();
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).expect("set a mode");
    let mut place = Place::new(base);
    cases(&mut place);
    println!("{} worlds, {} pieces of advice", place.worlds, place.followed);
    let wrong = &place.wrong;
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), place.followed, wrong.join("\n"));
}

/// Returns the mounts, without those of other tests: a directory that they remove takes its mounts
/// with it in every namespace.
fn mounts(base: &Path) -> Vec<MountEntry> {
    let mounts = read("/proc/thread-self").expect("read the mounts");
    let is_ours = |mount: &MountEntry| mount.point.starts_with(base) || !mount.point.starts_with("/tmp");
    mounts.into_iter().filter(is_ours).collect()
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
    worlds: usize,
    followed: usize,
    wrong: Vec<String>,
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
        Place { programs, base: base.to_owned(), worlds: 0, followed: 0, wrong: Vec::new() }
    }

    /// Follows each piece of advice that a world gets, each in a new world, and returns them.
    fn follow_all(&mut self, name: &str, create: &dyn Fn(&Path) -> World) -> Vec<String> {
        let base = self.base.clone();
        let world = create(&base);
        let pieces = self.ask(&world).next;
        world.remove(&base);
        self.worlds += 1;
        for index in 0..pieces.len() {
            let world = create(&base);
            // Of the same world: a process has another id in each.
            let piece = self.ask(&world).next.get(index).cloned().unwrap_or_default();
            let mounts = mounts(&base);
            let result = follow(self, &world, &piece);
            world.assert_unharmed(&piece);
            assert_eq!(self::mounts(&base), mounts, "mounts were changed by: {piece}");
            self.followed += 1;
            if let Err(text) = result {
                let asked = world.question();
                self.wrong.push(format!("{name}, {:?}, {asked}\n  next: {piece}\n  {text}", world.last));
            }
            world.remove(&base);
        }
        pieces
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
        command.arg("why").arg(&world.address).args(&world.flags).arg("--json");
        let output = command.output().expect("run stoop");
        let text = String::from_utf8_lossy(&output.stdout);
        let line: serde_json::Value = serde_json::from_str(text.trim())
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let walk = line["walk"].as_array().cloned().unwrap_or_default();
        let next = line["next"].as_array().expect("advice");
        Answer {
            outcome: word("outcome"),
            cause: word("cause"),
            stop: walk.iter().position(|step| step.get("stops").is_some()),
            next: next.iter().map(|text| text.as_str().expect("a text").to_owned()).collect(),
        }
    }
}
