//! Randomized model tests of `why`: random worlds are built, `why` predicts what a call does there,
//! and the call is made.
//!
//! A world ([`world`]) is a tree of directories, links and mounts on one of several file systems
//! ([`tree`]), or an abstract name; sockets in all the states there are ([`server`]); and a caller
//! with ids, capabilities, a root, a working directory and a network of its own ([`caller`]). In
//! each, three must agree on the error and on the place where the kernel meets it first: the
//! prediction, the real call, and an oracle that asks the kernel for one component after the other
//! ([`oracle`]). Then the cause that was named is removed ([`repair`]), and all of that is done
//! again, until the call succeeds: a cause that was named wrongly would come back.
//!
//! Needs root, for namespaces of its own in which nothing it does is seen. The number of worlds is
//! `STOOP_WORLDS`; a world that failed is built again, alone, with `STOOP_WORLD=SEED`, and
//! described. To add a cause, add a step or a leaf to [`tree`], or a state to [`server`].

mod acl;
mod caller;
mod guest;
mod oracle;
mod repair;
mod rng;
mod server;
mod tree;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::mount::{MountFlags, mount};
use stoop_inspect::why::facts::{File, Found, Step};
use stoop_inspect::why::{Cause, Facts, Outcome, Question, Stop, Verdict, Who, facts, why};
use stoop_inspect::{Attempt, Delivery, attempt};
use stoop_testkit::{KillOnDrop, has_program, is_root, role, skip, spawn, tempdir};

use caller::{Actor, in_network, new_network};
use guest::Guest;
use oracle::Expected;
use repair::repair;
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
    match role().as_deref() {
        None => {}
        Some("guest") => return guest::serve(),
        Some(_) => return worlds(),
    }
    if !is_root() {
        skip!("lacks root");
    }
    if !has_program("unshare") {
        skip!("lacks unshare");
    }
    let worlds = number("STOOP_WORLDS").unwrap_or(WORLDS);
    // A process whose namespaces are all its own: a small table of sockets, a small /proc, and mounts
    // that nobody else sees.
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
    let before = machine();
    let mut child = KillOnDrop(spawn(&mut command).expect("start the test in namespaces of its own"));
    let limit = LIMIT_PER_THOUSAND * (worlds / 1000 + 1) as u32;
    assert!(child.finish(limit).success(), "see above");
    assert_eq!(machine(), before, "a world has changed the machine that it is on");
}

/// What nothing of a world may change, although many paths lead there: the root's mode and what is
/// in it.
fn machine() -> (u32, Vec<std::ffi::OsString>) {
    let names = fs::read_dir("/").expect("read the root").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    let root = fs::metadata("/").expect("look at the root");
    (std::os::unix::fs::PermissionsExt::mode(&root.permissions()), names)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: '{text}'")))
}

/// Where worlds are, in a mount namespace of their own.
const BASE: &str = "/srv";

/// In the child: all of them.
fn worlds() {
    let disk = tempdir();
    let (places, lower) = places(disk.path());
    let ground = Ground { places, lower, abroad: new_network() };
    // As in many a container: a shorter queue there than here.
    in_network(&ground.abroad, || fs::write("/proc/sys/net/unix/max_dgram_qlen", "5").expect("set a limit"));
    // A network without a process would be hard to find, and nobody's to be asked about.
    let _inhabitant = in_network(&ground.abroad, || {
        let mut sleeper = Command::new("sleep");
        KillOnDrop(spawn(sleeper.arg("infinity").stdout(Stdio::null())).expect("start a process abroad"))
    });
    oracle::protects_links();
    let begun = Instant::now();
    let (mut tally, mut asked, mut mismatches) = (BTreeMap::new(), 0, BTreeMap::new());
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
        let _seed_on_panic = SeedOnPanic(seed);
        let world = World::new(seed, &ground);
        match outcomes(world, &ground, only.is_some(), &mut tally) {
            Ok(questions) => asked += questions,
            Err(wrong) => {
                // The first of each sort is described, so that one flaw does not hide another.
                let sort = wrong.lines().next().unwrap_or_default().to_owned();
                let count: &mut usize = mismatches.entry(sort).or_default();
                *count += 1;
                if *count == 1 {
                    eprintln!(
                        "{wrong}\nthis world again: STOOP_WORLD={seed} cargo test -p stoop-inspect --test model\n"
                    );
                }
            }
        }
    }
    visit(&ground, first..first + (count / 10).max(1), &now, &mut mismatches);
    println!("{count} worlds, {asked} questions in {:?}; named: {tally:?}", begun.elapsed());
    assert!(mismatches.is_empty(), "{mismatches:#?}");
}

/// Asks guests about worlds of the same sort, once each.
fn visit(ground: &Ground, seeds: Range<u64>, now: &AtomicU64, mismatches: &mut BTreeMap<String, usize>) {
    // A way to this program for those who may not go where it is.
    let program = Path::new("/srv/program");
    fs::write(program, "").expect("make a file");
    rustix::mount::mount_bind("/proc/self/exe", program).expect("mount this program");
    let (mut unknown, mut outcomes) = (0, BTreeMap::<i32, usize>::new());
    for mut guest in [Guest::user(program, TEST), Guest::rootless(program, TEST)] {
        for seed in seeds.clone() {
            // The same seeds again, and none twice in a row.
            now.store(seed, Ordering::Relaxed);
            let world = World::for_guest(seed, ground);
            if world.path().is_none_or(|path| !path.starts_with(b"/") || path.len() > 100) {
                continue;
            }
            let question = world.question(Who::Process(guest.pid));
            let facts = facts::gather(&question).expect("look at the machine");
            let verdict = why(&facts);
            let kind = world.kind_at_the_end(&facts);
            let said = guest.ask(&world.call_with(kind), world.kind);
            let predicted = match verdict.outcome {
                Outcome::Succeeds => Some(0),
                Outcome::Waits => Some(rustix::io::Errno::AGAIN.raw_os_error()),
                Outcome::Fails(errno) => Some(errno.raw_os_error()),
                Outcome::Unknown => None,
            };
            unknown += usize::from(said.predicted.is_none());
            *outcomes.entry(said.real).or_default() += 1;
            let fits = |told: Option<i32>| told.is_none_or(|told| told == said.real);
            // After a success there may be no room for a second one.
            let tried = said.real == 0 || fits(said.tried);
            if predicted != Some(said.real) || !fits(said.predicted) || !tried {
                let name = guest.name;
                let sort =
                    format!("{name}: {predicted:?} ({}) was predicted, and it says {said:?}", verdict.cause);
                let count = mismatches.entry(sort.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    eprintln!("world {seed}: {sort}\n{question:?}\n{verdict:?}\n{:?}", facts.subject);
                    facts
                        .walk
                        .iter()
                        .flat_map(|walk| &walk.steps)
                        .for_each(|step| eprint!("{}", short(step)));
                }
            }
        }
    }
    println!("guests had these outcomes, and could not tell {unknown} of them: {outcomes:?}");
}

/// Says, where a world does not end well, how it can be built again.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this world again: STOOP_WORLD={} cargo test -p stoop-inspect --test model", self.0);
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

/// Directories on a file system in memory, on one on disk, and on layers; and the lower one of
/// those.
fn places(disk: &Path) -> (Vec<PathBuf>, Option<PathBuf>) {
    let base = Path::new(BASE);
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
    let has_layers = mount("stoop", &layered, "overlay", MountFlags::empty(), &*options).is_ok();
    places.extend(Some(layered).filter(|_| has_layers));
    (places, Some(lower).filter(|_| has_layers))
}

/// Asks, repairs and asks again until it succeeds; how often it was asked, or what does not agree.
fn outcomes(
    mut world: World,
    ground: &Ground,
    aloud: bool,
    tally: &mut BTreeMap<&'static str, usize>,
) -> Result<usize, String> {
    world.log_in();
    let actor = Actor::new(&world.caller, &ground.abroad);
    if world.cwd_gone {
        repair::lose_cwd(&mut world);
    }
    for asked in 1..=MOST_CAUSES {
        let observed;
        (world, observed) = Observed::of(world, &actor);
        if aloud {
            println!("{}", observed.describe(&world));
        }
        let cause = observed.judge().map_err(|wrong| format!("{wrong}\n{}", observed.describe(&world)))?;
        *tally.entry(cause.name()).or_default() += 1;
        if cause == Cause::Nothing || !repair(&mut world, ground, cause, &observed.expected) {
            return Ok(asked);
        }
    }
    let (world, observed) = Observed::of(world, &actor);
    Err(format!("still not repaired\n{}", observed.describe(&world)))
}

/// A step of the walk on a line.
fn short(step: &Step) -> String {
    let file = |file: &File| {
        let flags = [
            (file.immutable, " immutable"),
            (file.mount.read_only, " ro"),
            (file.mount.no_links, " nosymfollow"),
        ];
        let flags: String = flags.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flag)| flag).collect();
        format!("{:?} {:o} {}:{} {:?}{flags}", file.kind, file.mode, file.uid, file.gid, file.acl)
    };
    let found = match &step.found {
        Found::File(found) => file(found),
        Found::Link { link, target } => format!("{} -> {}", file(link), target.escape_ascii()),
        other => format!("{other:?}"),
    };
    format!("step: {}  {}  {found}\n", step.directory.path.display(), step.name.escape_ascii())
}

/// One question and all that was said to it.
struct Observed {
    question: Question,
    facts: Facts,
    verdict: Verdict,
    expected: Expected,
    real: Result<(), rustix::io::Errno>,
    attempt: Attempt,
}

impl Observed {
    fn of(world: World, actor: &Actor) -> (World, Observed) {
        let question = world.question(world.subject(actor.tid));
        let facts = facts::gather(&question).expect("look at the machine");
        let verdict = why(&facts);
        let (world, expected, real) = actor.run(move || {
            let expected = world.expected();
            let real = world.call(&expected).make();
            (world, expected, real)
        });
        if real.is_ok() {
            // The next one is to find the same room.
            world.servers.iter().for_each(server::Server::drain);
        }
        let attempt = attempt(&facts, Delivery::Allowed);
        (world, Observed { question, facts, verdict, expected, real, attempt })
    }

    /// The cause that all agree on.
    fn judge(&self) -> Result<Cause, String> {
        let said = match self.verdict.outcome {
            Outcome::Succeeds => None,
            Outcome::Waits => Some(rustix::io::Errno::AGAIN),
            Outcome::Fails(errno) => Some(errno),
            Outcome::Unknown => return Err(format!("why could not tell: {}", self.verdict.why)),
        };
        if self.real.err() != self.expected.errno {
            return Err(format!("the oracle is wrong about the kernel: {:?}", self.real));
        }
        if said != self.expected.errno {
            return Err(format!(
                "why says {said:?} ({}), and it is {:?}",
                self.verdict.cause, self.expected.causes
            ));
        }
        if !self.expected.causes.contains(&self.verdict.cause) {
            return Err(format!("why names {}, and it is {:?}", self.verdict.cause, self.expected.causes));
        }
        match &self.attempt {
            Attempt::Succeeded if self.expected.errno.is_none() => {}
            Attempt::Failed(errno) if Some(*errno) == self.expected.errno => {}
            Attempt::NotMade(_) if self.verdict.cause == Cause::PathTooLong => {}
            // What is made in such a directory cannot be removed.
            Attempt::NotMade(why) if why.starts_with("names can only be added") => {}
            other => return Err(format!("the attempt says {other:?}, and it is {:?}", self.expected.errno)),
        }
        if !self.is_in_place() {
            return Err(format!("why stops at another place for {}", self.verdict.cause));
        }
        Ok(self.verdict.cause)
    }

    /// Whether it stops at the component at which the kernel does.
    fn is_in_place(&self) -> bool {
        let walk = self.facts.walk.iter().flat_map(|walk| &walk.steps);
        match (&self.expected.entry, self.verdict.stop) {
            // Of a path of nothing but slashes there is no component.
            (Some(entry), _) if entry.is_root => true,
            (Some(entry), Some(Stop::In(number) | Stop::At(number))) if self.expected.errno.is_some() => {
                let step = walk.clone().nth(number).expect("a step of the walk");
                entry.is(step.directory.id, &step.name)
            }
            (Some(_), None) => self.expected.errno.is_none(),
            _ => true,
        }
    }

    fn describe(&self, world: &World) -> String {
        let Observed { question, facts, verdict, expected, real, .. } = self;
        let tree = Command::new("ls").arg("-lanR").arg(&world.top).output().expect("list a directory");
        let mut text = format!(
            "question: {question:?}\ncaller: {:?}\nreal: {real:?}\nexpected: {expected:?}\n",
            world.caller
        );
        text += &format!("verdict: {verdict:?}\nsubject: {:?}\n", facts.subject);
        for step in facts.walk.iter().flat_map(|walk| &walk.steps) {
            text += &short(step);
        }
        text += &format!("sockets: {:?}, alive: {:?}, near: {:?}\n", facts.sockets, facts.alive, facts.near);
        for server in &world.servers {
            text += &format!("server: {} {:?} {:?}\n", server.kind, server.state, server.name);
        }
        format!("{text}mounts: {:?}\n{}", world.mounts, String::from_utf8_lossy(&tree.stdout))
    }
}
