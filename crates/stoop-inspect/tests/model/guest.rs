//! Processes of their own that ask about themselves, as ordinary users do: one with nothing but its
//! ids, and one that is root in a user namespace, with capabilities that hold for its own files
//! alone.
//!
//! A guest answers three things to each question: what the real call does, what `why` tells *it*,
//! and what an attempt comes to. An ordinary user may not see everything, so `why` may not know;
//! what it says has to be true.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use stoop::{Address, Kind};
use stoop_inspect::why::{Operation, Outcome, Question, Who, facts, why};
use stoop_inspect::{Attempt, Delivery, attempt};
use stoop_testkit::{KillOnDrop, spawn};

use super::world::Call;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A guest, as its host sees it.
pub struct Guest {
    pub name: &'static str,
    process: KillOnDrop,
    /// What its user, group and groups are, in our numbers.
    pub pid: u32,
}

/// What a guest says.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub real: RawErrno,
    /// `None`: it cannot tell.
    pub predicted: Option<RawErrno>,
    /// `None`: it was not made.
    pub tried: Option<RawErrno>,
}

/// An outcome: an error number, or 0.
pub type RawErrno = i32;

impl Guest {
    /// An ordinary user.
    pub fn user(program: &Path, test: &str) -> Guest {
        let ids = ["--reuid", "1000", "--regid", "1000", "--groups", "2000"];
        Guest::start("an ordinary user", Command::new("setpriv").args(ids), program, test)
    }

    /// Root in a user namespace that maps one user.
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

    /// Has it make the call, and ask.
    pub fn ask(&mut self, call: &Call, kind: Option<Kind>) -> Answer {
        let path = call.address.as_path().expect("guests are asked about paths").as_os_str().as_bytes();
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

/// In a guest: answers until nobody asks.
pub fn serve() {
    println!("guest ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a question");
        let words: Vec<&str> = line.split(' ').collect();
        let &[operation, real_kind, kind, size, path] = words.as_slice() else {
            panic!("no question: {line}")
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
        let subject = Who::Ourselves;
        let facts = facts::gather(&Question {
            operation,
            kind: kind.parse().ok(),
            address: address.clone(),
            subject,
        });
        let facts = facts.expect("look at the machine");
        let predicted = match why(&facts).outcome {
            Outcome::Succeeds => Some(0),
            Outcome::Waits => Some(Errno::AGAIN.raw_os_error()),
            Outcome::Fails(errno) => Some(errno.raw_os_error()),
            Outcome::Unknown => None,
        };
        let real = Call { operation, kind: real_kind.parse().expect("a kind"), address }.make();
        let tried = match attempt(&facts, Delivery::Allowed) {
            Attempt::Succeeded => Some(0),
            Attempt::Failed(errno) => Some(errno.raw_os_error()),
            Attempt::NotMade(_) => None,
        };
        let shown = |told: Option<RawErrno>| told.map_or("-".to_owned(), |told| told.to_string());
        let real = real.map_or_else(Errno::raw_os_error, |()| 0);
        println!("guest says {real} {} {}", shown(predicted), shown(tried));
    }
}
