//! Randomized model tests of `why`: each test case is generated from a seed, `why` predicts the
//! result of a call, and the call is made.
//!
//! A case ([`case`]) consists of a tree of directories, links and mounts on one of several file
//! systems ([`tree`]), or an abstract name; of sockets in every possible state ([`server`]); and of
//! a caller with its own ids, capabilities, root, working directory and network namespace
//! ([`caller`]). Three results must agree on the error and on the component at which the kernel
//! reports it: the prediction, the real call, and an oracle that queries the kernel for one
//! component after the other ([`oracle`]). Then the reported cause is removed ([`repair`]) and the
//! case is checked again, until the call succeeds. A wrong cause would be reported again.
//!
//! Requires root, to create namespaces that isolate the test from the machine. As many cases run as
//! fit in [`BUDGET`]; `STOOP_CASES` sets their number instead. `STOOP_SEED=SEED` runs and prints
//! one case, for example one that failed. To add a cause, add a step or a leaf to [`tree`], or a
//! state to [`server`].

mod acl;
mod caller;
mod case;
mod guest;
mod oracle;
mod repair;
mod rng;
mod server;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::mount::{MountFlags, mount};
use stoop_inspect::internal::facts::{EndpointState, Facts, File, Found, OtherServer, Step};
use stoop_inspect::internal::{Cause, Stop, Verdict, gather, why};
use stoop_inspect::internal::{Delivery, Probe, probe};
use stoop_inspect::why::{Operation, Outcome, Question, Who};
use stoop_testkit::{KillOnDrop, has_program, is_root, role, skip, spawn, tempdir};

use caller::{Actor, in_network, new_network};
use case::{Case, Sandbox};
use guest::Guest;
use oracle::Expected;
use repair::repair;

/// The maximum number of cases, unless it is set.
const CASES: u64 = 3000;

/// How long new cases are begun, unless their number is set. A slow machine runs fewer.
const BUDGET: Duration = Duration::from_secs(40);

/// The time limit per thousand cases if their number is set, many times what they usually take.
const LIMIT_PER_THOUSAND: Duration = Duration::from_secs(600);

/// The time limit of a single case: no measure of speed, since a loaded machine may not run this
/// process for many seconds.
const LONGEST_CASE: Duration = Duration::from_secs(120);

/// The maximum number of causes in one case.
const MOST_CAUSES: usize = 60;

const TEST: &str = "every_prediction_is_what_the_kernel_does";

#[test]
fn every_prediction_is_what_the_kernel_does() {
    match role().as_deref() {
        None => {}
        Some("guest") => return guest::serve(),
        Some(_) => return cases(),
    }
    if !is_root() {
        skip!("lacks root");
    }
    if !has_program("unshare") {
        skip!("lacks unshare");
    }
    // A process in its own namespaces: a small socket table, a small /proc, and private mounts.
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
        .env("STOOP_ROLE", "cases")
        .stdin(Stdio::piped());
    let before = machine();
    let mut child = KillOnDrop(spawn(&mut command).expect("start the test in namespaces of its own"));
    let limit = LIMIT_PER_THOUSAND * (number("STOOP_CASES").unwrap_or(CASES) / 1000 + 1) as u32;
    assert!(child.finish(limit).success(), "see above");
    assert_eq!(machine(), before, "a case has changed the machine");
}

/// Returns what no case may change, although many paths lead there: the mode and the entries of the
/// root directory.
fn machine() -> (u32, Vec<std::ffi::OsString>) {
    let names = fs::read_dir("/").expect("read the root").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    let root = fs::metadata("/").expect("stat the root");
    (std::os::unix::fs::PermissionsExt::mode(&root.permissions()), names)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: '{text}'")))
}

/// The directory of all cases, in a mount namespace of their own.
const BASE: &str = "/srv";

/// Runs all cases, in the child process.
fn cases() {
    let disk = tempdir();
    let (roots, lower) = roots(disk.path());
    let sandbox = Sandbox { roots, lower, other_network: new_network() };
    // As in many containers, queues are shorter there.
    in_network(&sandbox.other_network, || {
        fs::write("/proc/sys/net/unix/max_dgram_qlen", "5").expect("set a limit")
    });
    // A network namespace without a process would be hard to find, and no process could be asked
    // about.
    let _inhabitant = in_network(&sandbox.other_network, || {
        let mut sleeper = Command::new("sleep");
        KillOnDrop(
            spawn(sleeper.arg("infinity").stdout(Stdio::null())).expect("start a process other_network"),
        )
    });
    oracle::protects_links();
    let begun = Instant::now();
    let (mut tally, mut asked, mut mismatches) = (BTreeMap::new(), 0, BTreeMap::new());
    let only = number("STOOP_SEED");
    let first = only.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        now.as_millis() as u64 % 1_000_000_000 * 1000
    });
    let set = only.map(|_| 1).or(number("STOOP_CASES"));
    let progress = Arc::new(Progress::default());
    watch(Arc::clone(&progress));
    let mut count = 0;
    while set.map_or(count < CASES && begun.elapsed() < BUDGET, |set| count < set) {
        let seed = first + count;
        count += 1;
        progress.begin(seed);
        let _seed_on_panic = SeedOnPanic(seed);
        let case = Case::new(seed, &sandbox);
        match outcomes(case, &sandbox, only.is_some(), &mut tally) {
            Ok(questions) => asked += questions,
            Err(wrong) => {
                // Only the first mismatch of each kind is printed, so that one bug does not hide
                // another.
                let sort = wrong.lines().next().unwrap_or_default().to_owned();
                let count: &mut usize = mismatches.entry(sort).or_default();
                *count += 1;
                if *count == 1 {
                    eprintln!(
                        "{wrong}\nto reproduce: STOOP_SEED={seed} cargo test -p stoop-inspect --test model\n"
                    );
                }
            }
        }
    }
    visit(&sandbox, first..first + (count / 10).max(1), &progress, &mut mismatches);
    println!("{count} cases, {asked} questions in {:?}; named: {tally:?}", begun.elapsed());
    assert!(mismatches.is_empty(), "{mismatches:#?}");
}

/// Queries guests about cases generated in the same way, once each.
fn visit(
    sandbox: &Sandbox,
    seeds: Range<u64>,
    progress: &Progress,
    mismatches: &mut BTreeMap<String, usize>,
) {
    // Makes this program reachable for guests that may not search its directory.
    let program = Path::new("/srv/program");
    fs::write(program, "").expect("make a file");
    rustix::mount::mount_bind("/proc/self/exe", program).expect("mount this program");
    let (mut unknown, mut outcomes) = (0, BTreeMap::<i32, usize>::new());
    for mut guest in [Guest::user(program, TEST), Guest::rootless(program, TEST)] {
        for seed in seeds.clone() {
            progress.begin(seed);
            let case = Case::for_guest(seed, sandbox);
            if case.path().is_none_or(|path| !path.starts_with(b"/") || path.len() > 100) {
                continue;
            }
            let question = case.question(Who::Process(guest.pid));
            let facts = gather(&question).expect("gather the facts");
            let verdict = why(&facts);
            let kind = case.kind_at_the_end(&facts);
            let said = guest.ask(&case.call_with(kind), case.kind);
            let predicted = match verdict.outcome {
                Outcome::Succeeds => Some(0),
                Outcome::Waits => Some(rustix::io::Errno::AGAIN.raw_os_error()),
                Outcome::Fails(errno) => Some(errno.raw_os_error()),
                Outcome::Unknown => None,
            };
            unknown += usize::from(said.predicted.is_none());
            *outcomes.entry(said.real).or_default() += 1;
            let fits = |told: Option<i32>| told.is_none_or(|told| told == said.real);
            // After a success there may be no queue space for a second attempt.
            let tried = said.real == 0 || fits(said.tried);
            if predicted != Some(said.real) || !fits(said.predicted) || !tried {
                let name = guest.name;
                let sort =
                    format!("{name}: predicted {predicted:?} ({}), and it reports {said:?}", verdict.cause);
                let count = mismatches.entry(sort.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    eprintln!("case {seed}: {sort}\n{question:?}\n{verdict:?}\n{:?}", facts.subject);
                    facts
                        .walk
                        .iter()
                        .flat_map(|walk| &walk.steps)
                        .for_each(|step| eprint!("{}", short(step)));
                }
            }
        }
    }
    println!("outcomes of guests, of which {unknown} could not be predicted: {outcomes:?}");
}

/// Prints how to reproduce a case if it panics.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to reproduce: STOOP_SEED={} cargo test -p stoop-inspect --test model", self.0);
        }
    }
}

/// How many cases have begun, and the last of them.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    seed: AtomicU64,
}

impl Progress {
    fn begin(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends a run in which no case has begun for too long.
fn watch(progress: Arc<Progress>) {
    std::thread::spawn(move || {
        let mut last = 0;
        loop {
            std::thread::sleep(LONGEST_CASE);
            let begun = progress.begun.load(Ordering::Relaxed);
            if begun == last {
                eprintln!("a case hangs: STOOP_SEED={}", progress.seed.load(Ordering::Relaxed));
                std::process::exit(1);
            }
            last = begun;
        }
    });
}

/// Returns directories on a file system in memory, on one on disk and on an overlay, and the lower
/// layer of the overlay.
fn roots(disk: &Path) -> (Vec<PathBuf>, Option<PathBuf>) {
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
    let mut roots = vec![memory, on_disk];
    let has_layers = mount("stoop", &layered, "overlay", MountFlags::empty(), &*options).is_ok();
    roots.extend(Some(layered).filter(|_| has_layers));
    (roots, Some(lower).filter(|_| has_layers))
}

/// Checks and repairs the case until the call succeeds. Returns how often it was checked.
///
/// # Errors
/// Returns an error that describes what does not agree.
fn outcomes(
    mut case: Case,
    sandbox: &Sandbox,
    aloud: bool,
    tally: &mut BTreeMap<&'static str, usize>,
) -> Result<usize, String> {
    case.log_in();
    let actor = Actor::new(&case.caller, &sandbox.other_network);
    if case.cwd_gone {
        repair::lose_cwd(&mut case);
    }
    for asked in 1..=MOST_CAUSES {
        let observed;
        (case, observed) = Observed::of(case, &actor);
        if aloud {
            println!("{}", observed.describe(&case));
        }
        let cause = observed.judge().map_err(|wrong| format!("{wrong}\n{}", observed.describe(&case)))?;
        *tally.entry(cause.name()).or_default() += 1;
        if cause == Cause::Nothing || !repair(&mut case, sandbox, cause, &observed.expected) {
            return Ok(asked);
        }
    }
    let (case, observed) = Observed::of(case, &actor);
    Err(format!("still not repaired\n{}", observed.describe(&case)))
}

/// Formats a step of the walk as one line.
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

/// A question and all answers to it.
struct Observed {
    question: Question,
    facts: Facts,
    verdict: Verdict,
    expected: Expected,
    real: Result<(), rustix::io::Errno>,
    probe: Probe,
}

impl Observed {
    fn of(case: Case, actor: &Actor) -> (Case, Observed) {
        let question = case.question(case.subject(actor.tid));
        let facts = gather(&question).expect("gather the facts");
        let verdict = why(&facts);
        let (case, expected, real) = actor.run(move || {
            let expected = case.expected();
            let real = case.call(&expected).make();
            (case, expected, real)
        });
        if real.is_ok() {
            // The next call must find the same queue space.
            case.servers.iter().for_each(server::Server::drain);
        }
        let probe = probe(&facts, Delivery::Allowed);
        (case, Observed { question, facts, verdict, expected, real, probe })
    }

    /// Returns the cause that all agree on.
    fn judge(&self) -> Result<Cause, String> {
        let said = match self.verdict.outcome {
            Outcome::Succeeds => None,
            Outcome::Waits => Some(rustix::io::Errno::AGAIN),
            Outcome::Fails(errno) => Some(errno),
            // Which of the two it is, only the kernel's own structures say (K-NAME-16).
            Outcome::Unknown if self.is_name_that_connected_sockets_show() => return Ok(Cause::Nothing),
            Outcome::Unknown => return Err(format!("why has no prediction: {}", self.verdict.why)),
        };
        if self.real.err() != self.expected.errno {
            return Err(format!("the oracle disagrees with the kernel: {:?}", self.real));
        }
        if said != self.expected.errno {
            return Err(format!(
                "why says {said:?} ({}), and it is {:?}",
                self.verdict.cause, self.expected.causes
            ));
        }
        let named = self.cause_of_any_file();
        if !self.expected.causes.contains(&named) {
            return Err(format!("why names {}, and it is {:?}", self.verdict.cause, self.expected.causes));
        }
        match &self.probe {
            Probe::Succeeded if self.expected.errno.is_none() => {}
            Probe::Failed(errno) if Some(*errno) == self.expected.errno => {}
            Probe::NotMade(_) if self.verdict.cause == Cause::PathTooLong => {}
            // A file created in such a directory cannot be removed.
            Probe::NotMade(why) if why.starts_with("the directory is append-only") => {}
            other => return Err(format!("the probe reports {other:?}, and it is {:?}", self.expected.errno)),
        }
        if !self.is_in_place() {
            return Err(format!("why stops at another component for {}", self.verdict.cause));
        }
        Ok(named)
    }

    /// Returns whether only sockets that look accepted have the abstract name that is bound.
    fn is_name_that_connected_sockets_show(&self) -> bool {
        let mut sockets = self.facts.sockets.iter().flatten();
        let is_bind =
            self.question.operation == Operation::Bind && self.question.address.as_abstract_name().is_some();
        is_bind && sockets.all(|socket| socket.state == EndpointState::Accepted)
    }

    /// Returns the cause, without what the oracle does not know: files that are themselves mount
    /// points, and servers that are bound to the file in another layer.
    fn cause_of_any_file(&self) -> Cause {
        let reached = self.facts.walk.as_ref().and_then(|walk| walk.reached.as_ref());
        let is_mounted = reached.is_some_and(|file| file.mount.is_of_file);
        let is_layered = reached.is_some_and(|file| file.mount.file_system == "overlay");
        let is_elsewhere = is_layered
            && matches!(self.facts.other_server, OtherServer::Bound { .. } | OtherServer::Possible(_));
        match self.verdict.cause {
            Cause::StaleMount if is_mounted => Cause::Stale,
            Cause::TakenByMount if is_mounted => Cause::TakenStale,
            Cause::ServedElsewhere if is_elsewhere => Cause::Stale,
            Cause::TakenLive | Cause::TakenBySocket if is_elsewhere => Cause::TakenStale,
            cause => cause,
        }
    }

    /// Returns whether the prediction stops at the component at which the kernel does.
    fn is_in_place(&self) -> bool {
        let walk = self.facts.walk.iter().flat_map(|walk| &walk.steps);
        match (&self.expected.entry, self.verdict.stop) {
            // A path of slashes alone has no component.
            (Some(entry), _) if entry.is_root => true,
            (Some(entry), Some(Stop::In(number) | Stop::At(number))) if self.expected.errno.is_some() => {
                let step = walk.clone().nth(number).expect("a step of the walk");
                entry.is(step.directory.id, &step.name)
            }
            (Some(_), None) => self.expected.errno.is_none(),
            _ => true,
        }
    }

    fn describe(&self, case: &Case) -> String {
        let Observed { question, facts, verdict, expected, real, .. } = self;
        let tree = Command::new("ls").arg("-lanR").arg(&case.top).output().expect("list a directory");
        let mut text = format!(
            "question: {question:?}\ncaller: {:?}\nreal: {real:?}\nexpected: {expected:?}\n",
            case.caller
        );
        text += &format!("verdict: {verdict:?}\nsubject: {:?}\n", facts.subject);
        for step in facts.walk.iter().flat_map(|walk| &walk.steps) {
            text += &short(step);
        }
        text += &format!("sockets: {:?}, alive: {:?}, near: {:?}\n", facts.sockets, facts.alive, facts.near);
        for server in &case.servers {
            text += &format!("server: {} {:?} {:?}\n", server.kind, server.state, server.name);
        }
        format!("{text}mounts: {:?}\n{}", case.mounts, String::from_utf8_lossy(&tree.stdout))
    }
}
