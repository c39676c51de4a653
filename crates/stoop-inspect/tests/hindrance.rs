//! What keeps a server from answering, made for real: signals, tracers, control groups, limits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stoop::Address;
use stoop_inspect::internal::{Action, AskerRights, Hindrance, gather, hindrance, relief, why};
use stoop_inspect::why::{Operation, Question, Who};
use stoop_testkit::{Role, TempDir, eventually, has_program, is_root, role, skip, tempdir};

const LIMIT: Duration = Duration::from_secs(20);

/// A process that is killed at the end.
struct Process(Child);

impl Process {
    /// Runs a program, and waits for its first line.
    fn start(program: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = stoop_testkit::spawn(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Process(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that accepts no client, and does something after it has bound its socket.
fn idle(path: &Path, then: &str) -> Process {
    let script = format!(
        "import resource, socket, sys, time\n\
         s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)\n\
         {then}\n\
         print('ready', flush=True); time.sleep(600)"
    );
    Process::start("python3", &["-c", &script, path.to_str().unwrap()])
}

fn server() -> (TempDir, PathBuf, Process) {
    let directory = tempdir();
    let path = directory.path().join("s");
    let server = idle(&path, "");
    (directory, path, server)
}

/// Returns the first advice about a connect, and whether a caveat says that no process answers.
fn advice(path: &Path) -> (Option<Action>, bool) {
    let address = Address::path(path).unwrap();
    let question =
        Question { operation: Operation::Connect, kind: None, address, subject: Who::CurrentProcess };
    let verdict = why(&gather(&question).unwrap());
    let is_said = verdict.caveats.iter().any(|line| line.contains("none would answer"));
    (verdict.advice.into_iter().next(), is_said)
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap().success());
}

/// K-STUCK-1
#[test]
fn a_process_that_a_signal_has_stopped_is_resumed_by_one() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (_directory, path, server) = server();
    assert_eq!(hindrance(server.pid()), None);
    assert_eq!(advice(&path), (None, false));
    signal("STOP", server.pid());
    eventually(LIMIT, || hindrance(server.pid()) == Some(Hindrance::Stopped));
    let resume = Action::Resume { pid: server.pid(), as_root: false };
    assert_eq!(advice(&path), (Some(resume), true));
    signal("CONT", server.pid());
    eventually(LIMIT, || hindrance(server.pid()).is_none());
}

/// Starts a process that stops another and traces it, with these options. It is not python's own
/// parent, so Yama has to permit it.
fn tracer_of(pid: u32, options: u32) -> Option<Process> {
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if !is_root() && yama.is_ok_and(|scope| scope.trim() != "0") {
        return None;
    }
    // PTRACE_SEIZE and PTRACE_INTERRUPT.
    let script = format!(
        "import ctypes, os, time\n\
         ptrace = ctypes.CDLL(None).ptrace\n\
         ok = ptrace(0x4206, {pid}, 0, {options}) == 0 and ptrace(0x4207, {pid}, 0, 0) == 0\n\
         print('ready' if ok else 'refused', flush=True); time.sleep(600)"
    );
    Some(Process::start("python3", &["-c", &script]))
}

/// K-STUCK-6
#[test]
fn a_tracer_may_take_the_process_with_it() {
    const PTRACE_O_EXITKILL: u32 = 1 << 20;
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (_directory, _path, server) = server();
    let Some(tracer) = tracer_of(server.pid(), PTRACE_O_EXITKILL) else { skip!("may not trace") };
    eventually(LIMIT, || matches!(hindrance(server.pid()), Some(Hindrance::Traced(_))));
    signal("TERM", tracer.pid());
    eventually(LIMIT, || matches!(hindrance(server.pid()), Some(Hindrance::Exited)));
}

/// K-STUCK-2
#[test]
fn a_traced_process_is_resumed_by_its_tracer_alone() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (_directory, path, server) = server();
    let Some(tracer) = tracer_of(server.pid(), 0) else { skip!("may not trace") };
    let is_traced = || matches!(hindrance(server.pid()), Some(Hindrance::Traced(_)));
    eventually(LIMIT, is_traced);
    signal("CONT", server.pid());
    assert!(is_traced(), "a signal does not resume it");
    let (first, is_said) = advice(&path);
    assert!(is_said);
    let Some(Action::Detach { pid, tracer: named, .. }) = first else { panic!("{first:?}") };
    assert_eq!((pid, named.pid, named.is_parent), (server.pid(), tracer.pid(), false));
    assert_eq!(named.command, "python3");
    signal("TERM", tracer.pid());
    eventually(LIMIT, || hindrance(server.pid()).is_none());
}

/// The mounted hierarchies that can freeze, with the file that does it and its words.
fn freezers() -> Vec<(PathBuf, &'static str, &'static str, &'static str)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let freezer = |line: &str| {
        let place = PathBuf::from(line.split(' ').nth(4)?);
        match line.split_once(" - ")?.1.split(' ').collect::<Vec<_>>()[..] {
            ["cgroup2", ..] => Some((place, "cgroup.freeze", "1", "0")),
            ["cgroup", _, options] if options.split(',').any(|one| one == "freezer") => {
                Some((place, "freezer.state", "FROZEN", "THAWED"))
            }
            _ => None,
        }
    };
    mounts.lines().filter_map(freezer).collect()
}

/// A control group, thawed and removed at the end.
struct Group(PathBuf, &'static str, &'static str);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join(self.1), self.2);
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// K-STUCK-3
#[test]
fn a_frozen_process_is_thawed_by_its_control_group() {
    if !has_program("python3") || !is_root() {
        skip!("lacks root or python3");
    }
    let mut count = 0;
    for (mounted_at, file, freeze, thaw) in freezers() {
        let outer = mounted_at.join(format!("stoop-test-{}", std::process::id()));
        if fs::create_dir(&outer).is_err() {
            continue;
        }
        let _outer = Group(outer.clone(), file, thaw);
        let inner = outer.join("inner");
        fs::create_dir(&inner).unwrap();
        let _inner = Group(inner.clone(), file, thaw);
        let (_directory, path, server) = server();
        fs::write(inner.join("cgroup.procs"), server.pid().to_string()).unwrap();
        assert_eq!(hindrance(server.pid()), None);
        // Its own group, and one above.
        for group in [&inner, &outer] {
            fs::write(group.join(file), freeze).unwrap();
            eventually(LIMIT, || matches!(hindrance(server.pid()), Some(Hindrance::Frozen(_))));
            let (first, is_said) = advice(&path);
            assert!(is_said);
            let Some(Action::Thaw { group: frozen, .. }) = first else { panic!("{first:?}") };
            assert_eq!(frozen.switch, group.join(file));
            fs::write(&frozen.switch, thaw).unwrap();
            eventually(LIMIT, || hindrance(server.pid()).is_none());
        }
        drop(server);
        count += 1;
    }
    if count == 0 {
        skip!("lacks a control group that can freeze");
    }
}

/// K-STUCK-4
#[test]
fn a_process_without_file_descriptors_gets_more() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let directory = tempdir();
    let path = directory.path().join("s");
    let exhaust = "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 30)); held = []\n\
                   while len(held) < 20:\n\
                   \x20   try: held.append(open('/dev/null'))\n\
                   \x20   except OSError: break\n";
    let server = idle(&path, exhaust);
    let expected = Hindrance::OutOfDescriptors { limit: 20, hard: Some(30) };
    assert_eq!(hindrance(server.pid()), Some(expected.clone()));
    let uid = rustix::process::geteuid().as_raw();
    let raise = relief((uid, AskerRights::read()), server.pid(), Some(uid), &expected).unwrap();
    assert_eq!(advice(&path).0.as_ref(), Some(&raise));
    let Action::RaiseLimitOf { pid, to, is_beyond_hard, .. } = raise else { panic!("{raise:?}") };
    assert_eq!((to, is_beyond_hard), (30, false));
    if has_program("prlimit") {
        let raised =
            Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={to}:")]).status();
        assert!(raised.unwrap().success());
        assert_eq!(hindrance(server.pid()), None);
    }
}

/// A server whose hard limit is reached, too.
fn at_its_hard_limit(path: &Path) -> Process {
    let exhaust = "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)); held = []\n\
                   while len(held) < 20:\n\
                   \x20   try: held.append(open('/dev/null'))\n\
                   \x20   except OSError: break\n";
    idle(path, exhaust)
}

/// What is advised works for whom it is advised to, and what would not work is not advised.
///
/// K-STUCK-7
#[test]
fn a_hard_limit_is_exceeded_by_who_has_the_capability() {
    const TEST: &str = "a_hard_limit_is_exceeded_by_who_has_the_capability";
    if role().is_some() {
        return assert_advice_about_a_limit(&PathBuf::from(std::env::var("SERVER").unwrap()));
    }
    if let Some(lacking) = ["python3", "prlimit", "setpriv"].into_iter().find(|name| !has_program(name)) {
        skip!("lacks {lacking}");
    }
    if !is_root() {
        skip!("lacks root");
    }
    let directory = tempdir();
    let path = directory.path().join("s");
    for (role, within, arguments) in [
        ("root", "env", &[][..]),
        ("without", "setpriv", &["--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]),
        ("inside", "unshare", &["--user", "--map-root-user"]),
    ] {
        let server = at_its_hard_limit(&path);
        let pid = server.pid().to_string();
        let role = Role::new(TEST, role).env("SERVER", path.to_str().unwrap()).env("PID", &pid);
        role.within(within, arguments).run();
        drop(server);
        fs::remove_file(&path).unwrap();
    }
}

fn assert_advice_about_a_limit(path: &Path) {
    let pid: u32 = std::env::var("PID").unwrap().parse().unwrap();
    let prlimit = |limit: &str| {
        Command::new("prlimit").arg(format!("--pid={pid}")).arg(format!("--nofile={limit}")).status().unwrap()
    };
    let advised = advice(path).0;
    // Even root may lack the capability.
    let rights = AskerRights::read();
    assert_eq!(rights.in_initial_namespace, role().as_deref() != Some("inside"));
    let may = rights.limits && rights.in_initial_namespace;
    assert!(!may || role().as_deref() == Some("root"));
    match advised {
        Some(Action::RaiseLimitOf { to, is_beyond_hard, as_root, .. }) => {
            assert_eq!((may, is_beyond_hard, as_root), (true, true, false));
            assert!(prlimit(&format!("{to}:{to}")).success());
            assert_eq!(hindrance(pid), None);
        }
        other => {
            assert_eq!((other, may), (None, false));
            assert!(!prlimit("20:40").success());
        }
    }
}
