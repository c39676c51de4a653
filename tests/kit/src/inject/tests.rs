//! The injector on children of its own: this test binary in other roles.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Signal;

use super::{Injector, lacking, mark};
use crate::{Role, role, skip, tempdir};

const SOON: Duration = Duration::from_secs(20);

/// A child that makes two directories, from its mark on.
fn directories(test: &'static str) -> (Role, tempfile::TempDir) {
    let dir = tempdir();
    let role = Role::new(&format!("inject::tests::{test}"), "child").env("DIR", dir.path().to_str().unwrap());
    (role, dir)
}

fn make_directories() {
    assert!(mark());
    let dir = std::path::PathBuf::from(std::env::var("DIR").unwrap());
    for name in ["one", "two"] {
        if let Err(error) = std::fs::create_dir(dir.join(name)) {
            println!("failed {:?}", error.raw_os_error());
        }
    }
    println!("done");
}

fn made(dir: &tempfile::TempDir) -> Vec<bool> {
    ["one", "two"].map(|name| dir.path().join(name).exists()).into()
}

const MKDIR: &str = if cfg!(target_arch = "x86_64") { "mkdir" } else { "mkdirat" };

#[test]
fn calls_are_counted_from_the_mark() {
    if role().is_some() {
        return make_directories();
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    let injector = Injector::new();
    injector.begin_at_mark();
    let (role, dir) = directories("calls_are_counted_from_the_mark");
    role.watched(&injector).run();
    let calls = injector.calls();
    let made_here: Vec<_> = calls.iter().filter(|call| call.name == MKDIR).collect();
    assert_eq!(made_here.iter().map(|call| call.occurrence).collect::<Vec<_>>(), [0, 1]);
    assert!(calls.iter().enumerate().all(|(index, call)| call.index == index));
    assert!(!calls.iter().any(|call| call.name == "execve" || call.name == "prctl"));
    assert_eq!(made(&dir), [true, true]);
    injector.check();
}

#[test]
fn a_call_fails_once_and_is_not_made() {
    if role().is_some() {
        return make_directories();
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    let injector = Injector::new();
    injector.begin_at_mark();
    injector.fail(MKDIR, 1, Errno::DQUOT);
    let (role, dir) = directories("a_call_fails_once_and_is_not_made");
    let mut child = role.watched(&injector).spawn();
    assert_eq!(child.line("failed", SOON), format!("Some({})", Errno::DQUOT.raw_os_error()));
    child.line("done", SOON);
    assert!(child.finish(SOON).success());
    assert_eq!(injector.disarm().map(|call| (call.name, call.occurrence)), Some((MKDIR, 1)));
    assert_eq!(made(&dir), [true, false]);
}

#[test]
fn a_child_is_killed_before_its_call_happens() {
    if role().is_some() {
        return make_directories();
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    let counted = Injector::new();
    counted.begin_at_mark();
    directories("a_child_is_killed_before_its_call_happens").0.watched(&counted).run();
    let calls = counted.calls();
    let of_second = calls.iter().position(|call| call.name == MKDIR && call.occurrence == 1).unwrap();
    for (index, expected) in [(of_second, [true, false]), (of_second + 1, [true, true])] {
        let injector = Injector::new();
        injector.begin_at_mark();
        injector.kill_at(index);
        let (role, dir) = directories("a_child_is_killed_before_its_call_happens");
        let status = role.watched(&injector).spawn().finish(SOON);
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        assert_eq!(injector.hit().unwrap().index, index);
        assert_eq!(made(&dir), expected);
    }
}

/// A shell's trap, and what a process started by the shell does.
#[test]
fn signals_are_sent_at_a_call_and_children_are_watched_too() {
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    let injector = Injector::new();
    injector.signal_at(Signal::TERM, |call| call.name == "write" && call.arguments[0] == 1);
    let mut command = Command::new("sh");
    command.args(["-c", "trap 'echo caught' TERM; echo first; (exec mkdir -- /proc/none); echo last"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    injector.attach(&mut command).unwrap();
    let mut child = crate::spawn(&mut command).unwrap();
    let mut heard = String::new();
    child.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    child.wait().unwrap();
    assert!(heard.starts_with("first\ncaught\n") && heard.ends_with("last\n"), "{heard}");
    assert!(injector.calls().iter().any(|call| call.name == MKDIR), "the shell's child was watched");
    std::io::stdout().flush().unwrap();
}

#[test]
fn a_command_that_cannot_be_started_blocks_no_thread() {
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    let injector = Injector::new();
    let mut command = Command::new("/nothing/of/this/name");
    injector.attach(&mut command).unwrap();
    let error = crate::spawn(&mut command).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn without_a_supervisor_a_mark_has_no_effect() {
    assert!(!mark());
}
