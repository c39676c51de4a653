//! The truth of `why`: random worlds are built, `why` predicts what a call does there, and the call is made.
//!
//! A world ([`world`]) is a tree of directories, links and mounts on one of several file systems ([`tree`]), or an abstract
//! name; sockets in all the states there are ([`server`]); and a caller with ids, capabilities, a root, a working directory
//! and a network of its own ([`caller`]). In each, three must agree on the error and on the place where the kernel meets it
//! first: the prediction, the real call, and an oracle that asks the kernel for one component after the other ([`truth`]). Then
//! the cause that was named is removed ([`repair`]), and all of that is done again, until the call succeeds: a cause that was
//! named wrongly would come back.
//!
//! Needs root, for namespaces of its own in which nothing it does is seen. The number of worlds is `STOOP_WORLDS`; a world that
//! failed is built again, alone, with `STOOP_WORLD=SEED`, and described. To add a cause, add a step or a leaf to [`tree`], or a
//! state to [`server`].

mod acl;
mod caller;
mod dice;
mod repair;
mod server;
mod tree;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::mount::{MountFlags, mount};
use stoop_inspect::why::{Cause, Facts, Outcome, Question, Verdict, Who, facts, why};
use stoop_testkit::{KillOnDrop, has_program, is_root, role, skip, spawn, tempdir};

use caller::{Actor, new_network};
use repair::repair;
use truth::Truth;
use world::{Ground, World};

/// How many worlds, where nobody says otherwise.
const WORLDS: u64 = 3000;

/// How long they may take, per thousand: many times what they do take.
const LIMIT_PER_THOUSAND: Duration = Duration::from_secs(100);

/// How long a single one may take.
const LONGEST_WORLD: Duration = Duration::from_secs(10);

/// How many causes a world has at most, one behind the other.
const MOST_CAUSES: usize = 60;

const TEST: &str = "every_prediction_is_what_the_kernel_does";

#[test]
fn every_prediction_is_what_the_kernel_does() {
    if role().is_some() {
        return worlds();
    }
    if !is_root() {
        skip!("lacks root");
    }
    if !has_program("unshare") {
        skip!("lacks unshare");
    }
    let worlds = number("STOOP_WORLDS").unwrap_or(WORLDS);
    // A process whose namespaces are all its own: a small table of sockets, a small /proc, and mounts that nobody else sees.
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
        ])
        .arg(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", TEST, "--nocapture", "--test-threads=1", "-q"])
        .env("STOOP_ROLE", "worlds")
        .stdin(Stdio::piped());
    let mut child = KillOnDrop(spawn(&mut command).expect("start the test in namespaces of its own"));
    let limit = LIMIT_PER_THOUSAND * (worlds / 1000 + 1) as u32;
    assert!(child.finish(limit).success(), "see above");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: '{text}'")))
}

/// In the child: all of them.
fn worlds() {
    let disk = tempdir();
    let ground = Ground { places: places(disk.path()), abroad: new_network() };
    truth::protects_links();
    let begun = Instant::now();
    let (mut tally, mut asked) = (BTreeMap::new(), 0);
    let only = number("STOOP_WORLD");
    let first = only.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        now.as_millis() as u64 % 1_000_000_000 * 1000
    });
    let count = only.map_or(number("STOOP_WORLDS").unwrap_or(WORLDS), |_| 1);
    let now = Arc::new(AtomicU64::new(first));
    watch(Arc::clone(&now));
    for seed in first..first + count {
        now.store(seed, Ordering::Relaxed);
        let _told = Told(seed);
        let world = World::new(seed, &ground);
        asked += outcomes(world, &ground, only.is_some(), &mut tally).unwrap_or_else(|mismatch| {
            panic!("{mismatch}\nagain: STOOP_WORLD={seed} cargo test -p stoop-inspect --test worlds")
        });
    }
    println!("{count} worlds, {asked} questions in {:?}; named: {tally:?}", begun.elapsed());
}

/// Says, where a world does not end well, how it can be built again.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this world again: STOOP_WORLD={} cargo test -p stoop-inspect --test worlds", self.0);
        }
    }
}

/// Ends a run that hangs, and says in which world.
fn watch(now: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut last = u64::MAX;
        loop {
            std::thread::sleep(LONGEST_WORLD);
            let seed = now.load(Ordering::Relaxed);
            if seed == last {
                eprintln!("a world hangs: STOOP_WORLD={seed}");
                std::process::exit(1);
            }
            last = seed;
        }
    });
}

/// Directories on a file system in memory, on one on disk, and on layers.
fn places(disk: &Path) -> Vec<PathBuf> {
    let base = Path::new("/srv");
    mount("stoop", base, "tmpfs", MountFlags::empty(), c"mode=755").expect("mount a file system in memory");
    let made = |name: &str| {
        let path = base.join(name);
        fs::create_dir(&path).expect("make a directory");
        path
    };
    let (memory, on_disk, layered) = (made("m"), made("d"), made("o"));
    fs::set_permissions(disk, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("open a directory");
    rustix::mount::mount_bind(disk, &on_disk).expect("mount a directory");
    let (lower, upper, work) = (made("l"), made("u"), made("w"));
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let options = std::ffi::CString::new(options).expect("no NUL");
    let mut places = vec![memory, on_disk];
    if mount("stoop", &layered, "overlay", MountFlags::empty(), &*options).is_ok() {
        places.push(layered);
    }
    places
}

/// Asks, repairs and asks again until it succeeds; how often it was asked, or what does not agree.
fn outcomes(
    mut world: World,
    ground: &Ground,
    aloud: bool,
    tally: &mut BTreeMap<&'static str, usize>,
) -> Result<usize, String> {
    let actor = Actor::new(&world.caller, &ground.abroad);
    for asked in 1..=MOST_CAUSES {
        let seen;
        (world, seen) = Seen::of(world, &actor);
        if aloud {
            println!("{}", seen.describe(&world));
        }
        let cause = seen.judge().map_err(|wrong| format!("{wrong}\n{}", seen.describe(&world)))?;
        *tally.entry(cause.name()).or_default() += 1;
        if cause == Cause::Nothing || !repair(&mut world, ground, cause, &seen.truth) {
            return Ok(asked);
        }
    }
    let (world, seen) = Seen::of(world, &actor);
    Err(format!("still not repaired\n{}", seen.describe(&world)))
}

/// One question and all that was said to it.
struct Seen {
    question: Question,
    facts: Option<Facts>,
    verdict: Option<Verdict>,
    truth: Truth,
    real: Result<(), rustix::io::Errno>,
}

impl Seen {
    fn of(world: World, actor: &Actor) -> (World, Seen) {
        let question = Question {
            operation: world.operation,
            kind: world.kind,
            address: world.address.clone(),
            subject: Who::Process(actor.tid),
        };
        let facts = facts::gather(&question).ok();
        let verdict = facts.as_ref().map(why);
        let (world, truth, real) = actor.run(move || {
            let truth = world.truth();
            let real = world.call(&truth).make();
            (world, truth, real)
        });
        if real.is_ok() {
            world.servers.iter().for_each(server::Server::drain);
        }
        (world, Seen { question, facts, verdict, truth, real })
    }

    /// The cause that all agree on.
    fn judge(&self) -> Result<Cause, String> {
        let Some(verdict) = &self.verdict else {
            if self.real.err() != self.truth.errno {
                return Err("the oracle is wrong about the kernel".into());
            }
            return Ok(self.truth.causes[0]);
        };
        let said = match verdict.outcome {
            Outcome::Succeeds => None,
            Outcome::Waits => Some(rustix::io::Errno::AGAIN),
            Outcome::Fails(errno) => Some(errno),
            Outcome::Unknown => return Err("why could not tell".into()),
        };
        if self.real.err() != self.truth.errno {
            return Err("the oracle is wrong about the kernel".into());
        }
        if said != self.truth.errno {
            return Err("why is wrong about the outcome".into());
        }
        if !self.truth.causes.contains(&verdict.cause) {
            return Err("why names another cause".into());
        }
        Ok(verdict.cause)
    }

    fn describe(&self, world: &World) -> String {
        let tree = Command::new("ls").arg("-lanR").arg(&world.top).output().expect("list a directory");
        format!(
            "question: {:?}\ncaller: {:?}\nreal: {:?}\ntruth: {:?}\nverdict: {:#?}\nwalk: {:#?}\nsockets: {:?}, alive: {:?}, \
             subject: {:?}\nservers: {:?}\nmounts: {:?}\n{}",
            self.question,
            world.caller,
            self.real,
            self.truth,
            self.verdict,
            self.facts.as_ref().map(|facts| &facts.walk),
            self.facts.as_ref().map(|facts| &facts.sockets),
            self.facts.as_ref().map(|facts| facts.alive),
            self.facts.as_ref().map(|facts| &facts.subject),
            world.servers.iter().map(|server| (server.kind, &server.state, &server.name)).collect::<Vec<_>>(),
            world.mounts,
            String::from_utf8_lossy(&tree.stdout),
        )
    }
}
