//! Processes that ask about themselves, as ordinary users do: one without privileges, and one that
//! is root in a user namespace, with capabilities that apply only to its own files.
//!
//! A guest reports three results for each question: that of the real call, the prediction of `why`
//! in that process, and that of a probe. An ordinary user may not see everything, so there may be
//! no prediction, but if there is one it must be correct.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use stoop::{Address, Kind};
use stoop_inspect::internal::{Delivery, Probe, probe};
use stoop_inspect::internal::{gather, why};
use stoop_inspect::why::{Operation, Outcome, Question, Who};
use stoop_testkit::{KillOnDrop, spawn};

use super::case::Call;

/// The time limit of an answer.
const LIMIT: Duration = Duration::from_secs(20);

/// A guest process, as seen by the test.
pub struct Guest {
    pub name: &'static str,
    process: KillOnDrop,
    /// Its pid in our pid namespace.
    pub pid: u32,
}

/// The results that a guest reports.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub real: RawErrno,
    /// `None` if the result could not be predicted.
    pub predicted: Option<RawErrno>,
    /// `None` if the probe was not made.
    pub tried: Option<RawErrno>,
}

/// An outcome: an error number, or 0.
pub type RawErrno = i32;

impl Guest {
    /// Starts a guest that is an ordinary user.
    pub fn user(program: &Path, test: &str) -> Guest {
        let ids = ["--reuid", "1000", "--regid", "1000", "--groups", "2000"];
        Guest::start("an ordinary user", Command::new("setpriv").args(ids), program, test)
    }

    /// Starts a guest that is root in a user namespace that maps one user.
    pub fn rootless(program: &Path, test: &str) -> Guest {
        let ids = ["--reuid", "1000", "--regid", "1000", "--clear-groups"];
        let namespace = ["unshare", "--user", "--map-root-user"];
        let command = &mut Command::new("setpriv");
        Guest::start("root of a user namespace", command.args(ids).args(namespace), program, test)
    }

    fn start(name: &'static str, command: &mut Command, program: &Path, test: &str) -> Guest {
        command
            .arg(program)
            .args(["--exact", test, "--nocapture", "--test-threads=1", "-q"])
            .env("STOOP_ROLE", "guest")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = KillOnDrop(spawn(command).expect("start a guest"));
        process.line("guest ready", LIMIT);
        let pid = process.id();
        Guest { name, process, pid }
    }

    /// Requests the three results for this call.
    pub fn ask(&mut self, call: &Call, kind: Option<Kind>) -> Answer {
        let path = call.address.as_pathname().expect("guests are asked about paths").as_os_str().as_bytes();
        let path: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
        let (operation, size) = match call.operation {
            Operation::Connect => ("connect", 0),
            Operation::Bind => ("bind", 0),
            Operation::Send { len_bytes } => ("send", len_bytes),
        };
        let kind = kind.map_or("any", Kind::word);
        let line = format!("{operation} {} {kind} {size} {path}\n", call.kind.word());
        self.process.stdin.as_mut().expect("it listens").write_all(line.as_bytes()).expect("ask a guest");
        let said = self.process.line("guest says", LIMIT);
        let mut numbers = said.split(' ').map(|word| word.parse::<i32>().ok());
        let mut next = || numbers.next().expect("three answers");
        Answer { real: next().expect("the real call is made"), predicted: next(), tried: next() }
    }
}

/// Answers requests until standard input is closed. Runs in a guest.
pub fn serve() {
    println!("guest ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a question");
        let words: Vec<&str> = line.split(' ').collect();
        let &[operation, real_kind, kind, size, path] = words.as_slice() else {
            panic!("not a question: {line}")
        };
        let path: Vec<u8> = (0..path.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&path[at..at + 2], 16).expect("hex"))
            .collect();
        let address = Address::path(OsString::from_vec(path)).expect("a path");
        let operation = match operation {
            "connect" => Operation::Connect,
            "bind" => Operation::Bind,
            _ => Operation::Send { len_bytes: size.parse().expect("a size") },
        };
        let subject = Who::CurrentProcess;
        let facts =
            gather(&Question { operation, kind: kind.parse().ok(), address: address.clone(), subject });
        let facts = facts.expect("gather the facts");
        let predicted = match why(&facts).outcome {
            Outcome::Succeeds => Some(0),
            Outcome::Waits => Some(Errno::AGAIN.raw_os_error()),
            Outcome::Fails(errno) => Some(errno.raw_os_error()),
            Outcome::Unknown => None,
        };
        let real = Call { operation, kind: real_kind.parse().expect("a kind"), address }.make();
        let tried = match probe(&facts, Delivery::Allowed) {
            Probe::Succeeded | Probe::Closed => Some(0),
            Probe::Failed(errno) => Some(errno.raw_os_error()),
            Probe::NotMade(_) => None,
        };
        let shown = |told: Option<RawErrno>| told.map_or("-".to_owned(), |told| told.to_string());
        let real = real.map_or_else(Errno::raw_os_error, |()| 0);
        println!("guest says {real} {} {}", shown(predicted), shown(tried));
    }
}
