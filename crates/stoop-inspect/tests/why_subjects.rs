//! Compares predictions for a process in its own namespaces with the results of calls that this
//! process makes.

use std::fs;
use std::io::{BufRead, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use stoop::{Address, Bind, Kind};
use stoop_inspect::internal::facts::Facts;
use stoop_inspect::internal::{Action, Cause, Verdict, gather, why};
use stoop_inspect::why::{Errno, Operation, Outcome, Question, Who};
use stoop_testkit::{KillOnDrop, Role, has_program, is_root, public_tempdir, role, skip};

/// A user other than root that the child's user namespace does not map.
const ALICE: u32 = 4001;
const SOON: Duration = Duration::from_secs(20);

/// The operation, the address relative to the test's directory, and the expected cause.
const QUESTIONS: &[(&str, &str, Cause)] = &[
    ("connect", "open", Cause::Nothing),
    ("connect", "root/app", Cause::Nothing),
    ("connect", "shut", Cause::Nothing),
    ("connect", "alice/app", Cause::NoSearch),
    ("connect", "alices", Cause::NoWrite),
    ("connect", "hidden/app", Cause::OtherView),
    ("connect", "hidden/none", Cause::Missing),
    ("connect", "replaced/app", Cause::Stale),
    ("connect", "/proc/self/root/DIR/open", Cause::Nothing),
    ("connect", "/proc/self/root/DIR/hidden/app", Cause::OtherView),
    // A second mount of the root has a parent directory.
    ("connect", "again/../open", Cause::Nothing),
    ("connect", "@NAME", Cause::NameInOtherNamespace),
    ("bind", "@NAME", Cause::Nothing),
    ("bind", "ro/new", Cause::ReadOnly),
    ("bind", "ro/app", Cause::TakenLive),
    ("bind", "hidden/new", Cause::Nothing),
    ("bind", "alice/new", Cause::NoSearch),
];

#[test]
fn a_process_in_namespaces_of_its_own() {
    if role().is_some() {
        return subject();
    }
    if !is_root() || !has_program("unshare") || !has_program("mount") {
        skip!("lacks root, unshare or mount");
    }
    let dir = public_tempdir();
    let name = format!("stoop-why-subject-{}", std::process::id());
    let _servers = build(dir.path(), &name);
    let Some(mut child) = start(dir.path()) else { skip!("lacks user namespaces") };
    child.line("ready", SOON);
    let pid = inner(child.0.id());
    let address = |place: &str| match place.strip_prefix('@') {
        Some(_) => Address::abstract_name(name.clone()).unwrap(),
        None => Address::path(place_of(place, dir.path())).unwrap(),
    };
    let predicted: Vec<(Facts, Verdict)> =
        QUESTIONS.iter().map(|(operation, place, _)| predict(operation, address(place), pid)).collect();
    for ((operation, place, cause), (facts, verdict)) in QUESTIONS.iter().zip(&predicted) {
        writeln!(child.0.stdin.as_mut().unwrap(), "{operation} {}", address(place)).unwrap();
        let errno: i32 = child.line("answer", SOON).parse().unwrap();
        let said = match verdict.outcome {
            Outcome::Succeeds => 0,
            Outcome::Fails(errno) => errno.raw_os_error(),
            Outcome::Waits | Outcome::Unknown => -1,
        };
        assert_eq!(
            (said, verdict.cause),
            (errno, *cause),
            "{operation} {place}: {verdict:#?}\n{:#?}",
            facts.subject
        );
    }
    child.finish(SOON);
}

fn predict(operation: &str, address: Address, pid: u32) -> (Facts, Verdict) {
    let operation = if operation == "bind" { Operation::Bind } else { Operation::Connect };
    let subject = Who::Process(pid);
    let question = Question { operation, kind: Some(Kind::Stream), address, subject };
    let facts = gather(&question).unwrap();
    let verdict = why(&facts);
    (facts, verdict)
}

/// Starts servers of this process, in directories over which the child mounts others or which it
/// may not search.
fn build(dir: &Path, name: &str) -> Vec<stoop::Listener> {
    for directory in ["root", "alice", "hidden", "replaced", "ro", "again"] {
        fs::create_dir(dir.join(directory)).unwrap();
    }
    let serve = |place: &str| Bind::new(dir.join(place)).mode(0o666).listen().unwrap();
    let places = ["open", "root/app", "shut", "alice/app", "alices", "hidden/app", "replaced/app", "ro/app"];
    let mut servers: Vec<_> = places.into_iter().map(serve).collect();
    let named = Bind::new(Address::abstract_name(name.to_owned()).unwrap());
    servers.push(named.listen().unwrap());
    let mode = |place: &str, mode| {
        fs::set_permissions(dir.join(place), fs::Permissions::from_mode(mode)).unwrap();
    };
    for place in ["alice", "alices"] {
        chown(dir.join(place), Some(ALICE), Some(ALICE)).unwrap();
        mode(place, 0o700);
    }
    mode("root", 0o700);
    mode("shut", 0);
    servers
}

/// Starts the child: root in a user namespace that maps no other user, with its own mount, network
/// and pid namespaces.
fn start(dir: &Path) -> Option<KillOnDrop> {
    let namespaces = ["-r", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"];
    let mut probe = std::process::Command::new("unshare");
    probe.args(namespaces).arg("true").stderr(std::process::Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return None;
    }
    let script = "cd \"$DIR\" && mount -t tmpfs none hidden && mount -t tmpfs none replaced \
        && mount --bind ro ro && mount -o remount,bind,ro ro && mount --rbind / again && exec \"$0\" \"$@\"";
    let arguments = [&namespaces[..], &["sh", "-c", script]].concat();
    let role = Role::new("a_process_in_namespaces_of_its_own", "subject").env("DIR", dir.to_str()?);
    Some(role.within("unshare", &arguments).spawn())
}

/// Returns the pid of the child of `unshare`, in our pid namespace.
fn inner(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().expect("a child").parse().unwrap()
}

fn place_of(place: &str, dir: &Path) -> std::path::PathBuf {
    match place.starts_with('/') {
        true => place.replace("/DIR", dir.to_str().unwrap()).into(),
        false => dir.join(place),
    }
}

/// Makes a call for each line, and prints its errno. Runs in the child.
fn subject() {
    let dir = std::env::var("DIR").unwrap();
    // Here the name belongs to a stale socket file.
    drop(std::os::unix::net::UnixListener::bind(format!("{dir}/replaced/app")).unwrap());
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (operation, address) = line.split_once(' ').unwrap();
        println!("answer {}", call(operation, &Address::parse(address).unwrap()));
    }
}

fn call(operation: &str, address: &Address) -> i32 {
    let to = match address.as_abstract_name() {
        Some(name) => SocketAddrUnix::new_abstract_name(name).unwrap(),
        None => SocketAddrUnix::new(address.as_pathname().unwrap()).unwrap(),
    };
    let flags = SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    let done = match operation {
        "bind" => rustix::net::bind(&socket, &to),
        _ => rustix::net::connect(&socket, &to),
    };
    done.map_or_else(Errno::raw_os_error, |()| 0)
}

/// In a pid namespace, the processes outside cannot be seen: a socket without a visible owner has
/// one, as a host's socket in a container has.
#[test]
fn the_owners_outside_of_a_pid_namespace_are_unknown() {
    const TEST: &str = "the_owners_outside_of_a_pid_namespace_are_unknown";
    let question = |path: &Path| Question {
        operation: Operation::Connect,
        kind: None,
        address: Address::path(path).unwrap(),
        subject: Who::CurrentProcess,
    };
    if role().is_some() {
        let facts = gather(&question(Path::new(&std::env::var("SERVER").unwrap()))).unwrap();
        assert_eq!(facts.sockets.as_ref().unwrap()[0].owners, None);
        let verdict = why(&facts);
        assert_eq!(verdict.outcome, Outcome::Succeeds);
        assert_eq!(verdict.seen, ["its owner is not visible from here"]);
        assert!(verdict.caveats.iter().all(|text| !text.contains("no process")), "{:?}", verdict.caveats);
        return;
    }
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let dir = public_tempdir();
    let path = dir.path().join("app.sock");
    let _server = Bind::new(&path).listen().unwrap();
    assert!(gather(&question(&path)).unwrap().sockets.unwrap()[0].owners.is_some());
    let inside = Role::new(TEST, "inside").env("SERVER", path.to_str().unwrap());
    inside.within("unshare", &["--pid", "--fork", "--mount-proc", "--kill-child"]).run();
}

/// Root in a container often has few capabilities. What the rest does not suffice for is not
/// advised, and what is advised works.
///
/// K-PERM-5
#[test]
fn root_without_capabilities_is_advised_what_it_can_do() {
    const TEST: &str = "root_without_capabilities_is_advised_what_it_can_do";
    if let Some(role) = role() {
        return assert_grants(Path::new(&std::env::var("SERVER").unwrap()), role == "owner");
    }
    if let Some(lacking) = ["setpriv", "setfacl"].into_iter().find(|name| !has_program(name)) {
        skip!("lacks {lacking}");
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("app.sock");
    let _server = Bind::new(&path).mode(0o600).listen().unwrap();
    chown(&path, Some(ALICE), Some(ALICE)).unwrap();
    chown(dir.path(), Some(ALICE), Some(ALICE)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (role, lost) in [("none", "-all"), ("owner", "-dac_override,-dac_read_search")] {
        let inside = Role::new(TEST, role).env("SERVER", path.to_str().unwrap());
        inside.within("setpriv", &[&format!("--bounding-set={lost}"), &format!("--inh-caps={lost}")]).run();
    }
}

/// The directory of the path belongs to another user.
fn assert_creates_nothing(path: &Path) {
    let missing = path.parent().unwrap().join("missing");
    assert!(fs::create_dir(&missing).is_err());
    let question = Question {
        operation: Operation::Bind,
        kind: None,
        address: Address::path(missing.join("app.sock")).unwrap(),
        subject: Who::CurrentProcess,
    };
    let verdict = why(&gather(&question).unwrap());
    assert_eq!(verdict.cause, Cause::ParentMissing);
    let creates = |action: &Action| matches!(action, Action::CreateDirectory { .. });
    assert!(!verdict.advice.iter().any(creates), "{:?}", verdict.advice);
}

fn assert_grants(path: &Path, may_change: bool) {
    let address = Address::path(path).unwrap();
    let question =
        Question { operation: Operation::Connect, kind: None, address, subject: Who::CurrentProcess };
    let verdict = why(&gather(&question).unwrap());
    assert_eq!(verdict.cause, Cause::NoWrite);
    let entry = verdict.advice.iter().find_map(|action| match action {
        Action::AddAclEntry { path, user, permissions, as_root: false } => {
            Some((path, format!("u:{user}:{permissions}")))
        }
        _ => None,
    });
    let changed = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    assert_eq!(changed.is_ok(), may_change, "{changed:?}");
    let Some((path, entry)) = entry else {
        assert!(!may_change, "{:?}", verdict.advice);
        return assert_creates_nothing(path);
    };
    assert!(may_change);
    let set = std::process::Command::new("setfacl").args(["-m", &entry]).arg(path).status().unwrap();
    assert!(set.success());
    stoop::Stream::connect(path).unwrap();
}

#[test]
fn a_process_that_has_exited_makes_no_calls() {
    let dir = public_tempdir();
    let mut child = stoop_testkit::spawn(&mut std::process::Command::new("true")).unwrap();
    let question = Question {
        operation: Operation::Connect,
        kind: None,
        address: Address::path(dir.path().join("app.sock")).unwrap(),
        subject: Who::Process(child.id()),
    };
    let judged = || why(&gather(&question).unwrap());
    stoop_testkit::eventually(SOON, || judged().why.contains("has exited and was not reaped"));
    let verdict = judged();
    assert_eq!((verdict.outcome, verdict.cause), (Outcome::Unknown, Cause::NoSuchSubject));
    child.wait().unwrap();
}
