//! A program for each client, or for each datagram.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{DupFlags, Errno, dup3};
use stoop::{Connection, Peer};

use super::Shared;
use super::answer::{self, Outcome};
use crate::failure::Failure;
use crate::output::Who;
use crate::pump::descriptor;

/// More than any datagram can hold; a program that prints on for ever is cut off here.
const ANSWER_MAX_BYTES: u64 = 16 << 20;

/// How long to wait before a program is started again where the system had not enough of something
/// for it.
const PAUSE: Duration = Duration::from_millis(50);

/// What belongs to this process alone.
const NOT_INHERITED: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID", "NOTIFY_SOCKET"];

/// Descriptors for the program of a client that is about to be accepted. Taken before the client
/// is, which else stays in the queue: a client that is in, with no way to start its program, could
/// only be dropped.
pub(super) struct Reserve([OwnedFd; 2]);

impl Reserve {
    /// Takes them, as copies of a descriptor that is open anyway.
    pub(super) fn take(open: impl AsFd) -> io::Result<Reserve> {
        let spare = || open.as_fd().try_clone_to_owned();
        Ok(Reserve([spare()?, spare()?]))
    }

    /// Makes them the program's input and output. Takes no other descriptor, not for an instant.
    fn into_ends(self, client: &Connection) -> io::Result<[Stdio; 2]> {
        let Reserve([mut input, mut output]) = self;
        dup3(descriptor(client), &mut input, DupFlags::CLOEXEC)?;
        dup3(descriptor(client), &mut output, DupFlags::CLOEXEC)?;
        Ok([input.into(), output.into()])
    }
}

/// The command, as the shell takes it, with who asked for it in its environment. It has a process
/// group of its own: what is typed at our terminal ends us, not what is in flight.
fn shell(command: &OsStr, who: &Who) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).process_group(0);
    for name in NOT_INHERITED {
        shell.env_remove(name);
    }
    for (name, id) in [("STOOP_PEER_PID", who.pid), ("STOOP_PEER_UID", who.uid), ("STOOP_PEER_GID", who.gid)]
    {
        match id {
            Some(id) => shell.env(name, id.to_string()),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Runs a program that has the connection as its standard input and output.
pub(super) fn serve(
    shared: &Shared,
    command: &OsStr,
    client: Connection,
    peer: &Peer,
    reserve: Option<Reserve>,
) -> Outcome {
    let failure = run(shared, command, &client, peer, reserve).map_err(|error| failed(&error)).err();
    if let Some(failure) = &failure {
        shared.trouble.report(None, failure.summary());
    }
    // Until here the connection was kept: closing it with something unread would be a reset to the
    // client.
    answer::linger(&client);
    Outcome { failure, ..Outcome::default() }
}

fn run(
    shared: &Shared,
    command: &OsStr,
    client: &Connection,
    peer: &Peer,
    reserve: Option<Reserve>,
) -> io::Result<()> {
    let reserve = reserve.map_or_else(|| Reserve::take(&shared.crew), Ok)?;
    let [input, output] = reserve.into_ends(client)?;
    let mut shell = shell(command, &Who::from(peer));
    shell.stdin(input).stdout(output);
    let mut child = started(shared, || shell.spawn())?;
    let _at_work = shared.crew.employ(child.id());
    // Its copies of the connection are here too, as long as the command is.
    drop(shell);
    child.wait().map(drop)
}

/// Starts a program, when the system has what that takes: descriptors, processes, memory.
fn started(shared: &Shared, mut start: impl FnMut() -> io::Result<Child>) -> io::Result<Child> {
    loop {
        match start() {
            Err(error) if is_exhausted(&error) => {
                shared.trouble.report(None, failed(&error).summary());
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM))
}

/// Runs a program that has the message as its standard input, and returns what it prints.
pub(super) fn ask(
    shared: &Shared,
    command: &OsStr,
    message: &[u8],
    sender: &Who,
) -> Result<Vec<u8>, Failure> {
    answer(shared, command, message, sender).map_err(|error| failed(&error))
}

fn answer(shared: &Shared, command: &OsStr, message: &[u8], sender: &Who) -> io::Result<Vec<u8>> {
    // Where a part cannot be had, all are given back for others to use.
    let start = || shell(command, sender).stdin(in_memory(message)?).stdout(Stdio::piped()).spawn();
    let mut child = started(shared, start)?;
    let _at_work = shared.crew.employ(child.id());
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    }
    child.wait()?;
    Ok(answer)
}

/// A file without a name: unlike a pipe it holds any message, so that a program that does not read
/// holds up nobody.
fn in_memory(message: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(message)?;
    file.rewind()?;
    Ok(file)
}

fn failed(error: &io::Error) -> Failure {
    Failure::io("run the command", error)
}
