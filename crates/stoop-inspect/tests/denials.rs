//! Calls that a security module or a filter denies for real, with the records that the kernel logs.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stoop::{Address, Bind, Error, Stream};
use stoop_inspect::diagnose;
use stoop_inspect::why::{Operation, Outcome, Question, Who, predict};
use stoop_kernel_facts::{Errno, Name, SOON, forbid_and_log_call, libc, without_outer_abstract_sockets};
use stoop_testkit::{Profile, Role, eventually, is_guest, is_root, role, skip, spawn, tempdir};

/// What a diagnosis shows, once the kernel's thread has written the record.
///
/// The kernel writes at most ten records in five seconds to its log: one that is missing would not
/// come later.
fn diagnosed(error: &Error, expected: &[&str]) {
    let mut text = String::new();
    let is_there = || {
        let diagnosis = diagnose(error);
        text = format!("{}; {}", diagnosis.why, diagnosis.seen.join("; "));
        expected.iter().all(|part| text.contains(part))
    };
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually(SOON / 4, is_there)));
    assert!(found.is_ok(), "'{text}' lacks one of {expected:?}; the log:\n{}", recent_records());
    println!("{text}");
}

/// Returns the audit records in the kernel log.
fn recent_records() -> String {
    let log = spawn(Command::new("dmesg").stdout(std::process::Stdio::piped()));
    let output = log.and_then(std::process::Child::wait_with_output).map(|output| output.stdout);
    let text = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    let records: Vec<&str> = text.lines().filter(|line| line.contains("audit")).collect();
    records[records.len().saturating_sub(20)..].join("\n")
}

/// Returns what the kernel lacks of records that name a process by its pid here.
fn lacks_records() -> Option<&'static str> {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap();
    match fs::exists("/proc/self/loginuid") {
        _ if !is_root() => Some("root"),
        Ok(true) => (namespace.to_str() != Some("pid:[4026531836]")).then_some("the initial pid namespace"),
        _ => Some("a kernel that audits"),
    }
}

/// Waits until a record of the connect of this process is there.
fn wait_for_record(path: &Path, pid: u32) {
    let question = Question {
        operation: Operation::Connect,
        kind: None,
        address: Address::path(path).unwrap(),
        subject: Who::Process(pid),
    };
    let denied = format!("(seccomp) denied system call connect to process {pid}");
    eventually(SOON, || predict(&question).unwrap().caveats.iter().any(|line| line.contains(&denied)));
    assert_eq!(predict(&question).unwrap().outcome, Outcome::Unknown);
}

/// Is denied a connect to `SOCKET`, and waits for the end of standard input.
fn be_denied() {
    forbid_and_log_call(libc::SYS_connect, Errno::ACCESS);
    let error = Stream::connect(std::env::var("SOCKET").unwrap()).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ACCESS.raw_os_error()));
    println!("refused");
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new()).unwrap();
}

/// K-DENY-1
#[test]
fn a_bind_that_apparmor_denies_is_explained() {
    const TEST: &str = "a_bind_that_apparmor_denies_is_explained";
    if role().is_some() {
        let path = std::env::var("SOCKET").unwrap();
        let error = Bind::new(&path).listen().unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ACCESS.raw_os_error()));
        let (denied, rule) = (format!("on '{path}' to process"), std::env::var("PROFILE").unwrap());
        return diagnosed(&error, &["AppArmor forbids it", "denied mknod", &denied, &rule]);
    }
    let dir = tempdir();
    let path = dir.path().join("denied.sock");
    let path = path.to_str().unwrap();
    let rules = format!("file, capability, network, unix, ptrace, audit deny {path} wkl,");
    match Profile::load(&rules) {
        Err(missing) => skip!("lacks {missing}"),
        Ok(profile) => confined(&profile, Role::new(TEST, "bind").env("SOCKET", path)),
    }
}

/// Runs a role under the profile.
fn confined(profile: &Profile, role: Role) {
    profile.confine(role.env("PROFILE", profile.name())).run();
}

/// K-DENY-2
#[test]
fn a_connect_that_apparmor_denies_is_explained() {
    const TEST: &str = "a_connect_that_apparmor_denies_is_explained";
    if let Some(role) = role() {
        let address = Address::parse(std::env::var("SOCKET").unwrap().as_str()).unwrap();
        let error = match Stream::connect(address) {
            // Without rules for addresses only the creation of sockets is denied.
            Ok(_) => skip!("lacks an AppArmor that denies connects to sockets by address (Linux 6.17)"),
            Err(error) => error,
        };
        assert_eq!(error.errno(), Some(Errno::ACCESS.raw_os_error()));
        let rule = std::env::var("PROFILE").unwrap();
        let has_address = fs::exists("/sys/kernel/security/apparmor/features/network_v9/af_unix").unwrap();
        let address = if has_address { role.as_str() } else { "" };
        return diagnosed(&error, &["AppArmor forbids it", "denied connect", address, &rule]);
    }
    let dir = tempdir();
    let path = dir.path().join("a server.sock");
    let (_by_path, path) = (UnixListener::bind(&path).unwrap(), path.to_str().unwrap().to_owned());
    let name = format!("stoop-denied-{}", std::process::id());
    let _by_name = Bind::new(Address::abstract_name(name.clone()).unwrap()).listen().unwrap();
    let rules = format!(
        "file, capability, ptrace, unix (create, getattr, setopt, getopt), audit deny \"{path}\" rwkl,"
    );
    match Profile::load(&rules) {
        Err(missing) => skip!("lacks {missing}"),
        Ok(profile) => {
            for (address, shown) in [(path.clone(), path), (format!("@{name}"), name)] {
                confined(&profile, Role::new(TEST, &shown).env("SOCKET", &address));
            }
        }
    }
}

/// K-DENY-3
#[test]
fn a_connect_that_a_filter_denies_and_logs_is_explained() {
    const TEST: &str = "a_connect_that_a_filter_denies_and_logs_is_explained";
    if role().is_some() {
        return be_denied();
    }
    if let Some(missing) = lacks_records() {
        skip!("lacks {missing}");
    }
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let _server = UnixListener::bind(&path).unwrap();
    let mut client = Role::new(TEST, "connect").env("SOCKET", path.to_str().unwrap()).spawn();
    client.line("refused", SOON);
    // The parent has no filter: only the record tells it of the child's.
    wait_for_record(&path, client.id());
    assert!(client.finish(SOON).success());
}

/// Returns when the kernel denied a process a call, by the record in its log.
fn recorded_at(pid: u32) -> Option<Duration> {
    let records = recent_records();
    let record = records.lines().rev().find(|line| line.contains(&format!(" pid={pid} ")))?;
    let (seconds, rest) = record.split_once("audit(")?.1.split_once('.')?;
    let thousandths = rest.split_once(':')?.0.parse().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?) + Duration::from_millis(thousandths))
}

/// K-DENY-6
#[test]
fn the_time_of_a_record_is_that_of_the_call() {
    const TEST: &str = "the_time_of_a_record_is_that_of_the_call";
    /// The longest time between two ticks of the clock, with the rounding to thousandths.
    const TICK: Duration = Duration::from_millis(11);
    if role().is_some() {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let before = now();
        forbid_and_log_call(libc::SYS_connect, Errno::ACCESS);
        let error = Stream::connect(std::env::var("SOCKET").unwrap()).unwrap_err();
        let after = now();
        assert_eq!(error.errno(), Some(Errno::ACCESS.raw_os_error()));
        let mut recorded = None;
        eventually(SOON, || {
            recorded = recorded_at(std::process::id());
            recorded.is_some()
        });
        let recorded = recorded.unwrap();
        assert!(recorded + TICK >= before && recorded <= after, "{before:?} {recorded:?} {after:?}");
        return;
    }
    if let Some(missing) = lacks_records() {
        skip!("lacks {missing}");
    }
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let _server = UnixListener::bind(&path).unwrap();
    Role::new(TEST, "connect").env("SOCKET", path.to_str().unwrap()).run();
}

/// K-DENY-5
#[test]
fn a_record_has_the_pid_in_the_initial_namespace() {
    const TEST: &str = "a_record_has_the_pid_in_the_initial_namespace";
    if role().is_some() {
        assert_eq!(std::process::id(), 1);
        return be_denied();
    }
    if let Some(missing) = lacks_records() {
        skip!("lacks {missing}");
    }
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let _server = UnixListener::bind(&path).unwrap();
    let client = Role::new(TEST, "connect").env("SOCKET", path.to_str().unwrap());
    let mut client = client.within("unshare", &["--pid", "--fork", "--kill-child"]).spawn();
    client.line("refused", SOON);
    let launcher = client.id();
    let inner = fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).unwrap();
    wait_for_record(&path, inner.trim().parse().unwrap());
    assert!(client.finish(SOON).success());
}

/// K-DENY-4
#[test]
fn a_connect_that_landlock_denies_is_explained() {
    const TEST: &str = "a_connect_that_landlock_denies_is_explained";
    if role().is_some() {
        let name = std::env::var("NAME").unwrap();
        let done = without_outer_abstract_sockets(|| {
            let error = Stream::connect(Address::abstract_name(name.clone()).unwrap()).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::PERM.raw_os_error()));
            diagnosed(
                &error,
                &["Landlock forbids it", "denied scope.abstract_unix_socket", &name, "by domain"],
            );
        });
        return done.expect("the parent saw that there is Landlock");
    }
    if !is_guest() {
        skip!("lacks a guest, in which auditing may be enabled");
    }
    if !stoop_kernel_facts::kernel_at_least(6, 15) {
        skip!("lacks a Landlock that is audited (Linux 6.15)");
    }
    let auditctl = |enabled: &str| {
        spawn(Command::new("auditctl").args(["-e", enabled]).stdout(std::process::Stdio::null()))
    };
    match auditctl("1").and_then(|mut child| child.wait()) {
        Ok(status) if status.success() => {}
        _ => skip!("lacks auditctl"),
    }
    let name = format!("stoop-scoped-{}", std::process::id());
    let _server =
        stoop_kernel_facts::listener(stoop_kernel_facts::STREAM, &Name::abstract_name(name.clone()), 8);
    Role::new(TEST, "connect").env("NAME", &name).run();
    let _ = auditctl("0").and_then(|mut child| child.wait());
}
