//! Runs a program for each client, or for each datagram.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{DupFlags, Errno, dup3};
use stoop::Peer;
use stoop::internal::Connection;

use super::shared::Shared;
use crate::failure::Failure;
use crate::output::PeerInfo;
use crate::pump::descriptor;

/// More than any datagram can hold. Output of a program that prints endlessly is truncated here.
const ANSWER_MAX_BYTES: u64 = 16 << 20;

/// The delay before a program is started again after the system lacked resources for it.
const PAUSE: Duration = Duration::from_millis(50);

/// Environment variables that belong to this process alone.
const NOT_INHERITED: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID", "NOTIFY_SOCKET"];

/// File descriptors for the program of the next client. They are reserved before the client is
/// accepted. If they are not available, the client stays in the backlog: an accepted client whose
/// program cannot be started could only be dropped.
pub(super) struct FdReserve([OwnedFd; 2]);

impl FdReserve {
    /// Reserves them, as duplicates of an open file descriptor.
    pub(super) fn take(open: impl AsFd) -> io::Result<FdReserve> {
        let spare = || open.as_fd().try_clone_to_owned();
        Ok(FdReserve([spare()?, spare()?]))
    }

    /// Turns them into the program's input and output. Uses no other file descriptor, not even
    /// temporarily.
    fn into_ends(self, client: &Connection) -> io::Result<[Stdio; 2]> {
        // dup3 replaces the reserved file descriptors in place, so this cannot fail with `EMFILE`.
        let FdReserve([mut input, mut output]) = self;
        dup3(descriptor(client), &mut input, DupFlags::CLOEXEC)?;
        dup3(descriptor(client), &mut output, DupFlags::CLOEXEC)?;
        Ok([input.into(), output.into()])
    }
}

/// Returns the command for the shell, with the client's credentials in its environment. It gets its
/// own process group: Ctrl-C on the terminal of the server ends the server, but not programs in
/// progress.
fn shell(command: &OsStr, who: &PeerInfo) -> Command {
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

/// Runs a program whose standard input and output are the connection, and returns its exit status.
/// Reports a status that is not 0.
pub(super) fn serve(
    shared: &Shared,
    command: &OsStr,
    client: &Connection,
    peer: &Peer,
    reserve: Option<FdReserve>,
) -> Result<i32, Failure> {
    let result = run(shared, command, client, peer, reserve).map_err(|error| failed(&error));
    match &result {
        // As JSON, the status is in the event of the closed connection.
        Ok(status) if !shared.output.is_json() => report_status(shared, *status),
        Ok(_) => {}
        Err(failure) => shared.errors.report(None, failure.summary()),
    }
    result.map(shell_status)
}

fn run(
    shared: &Shared,
    command: &OsStr,
    client: &Connection,
    peer: &Peer,
    reserve: Option<FdReserve>,
) -> io::Result<ExitStatus> {
    let reserve = reserve.map_or_else(|| FdReserve::take(&shared.workers), Ok)?;
    let [input, output] = reserve.into_ends(client)?;
    let mut shell = shell(command, &PeerInfo::from(peer));
    shell.stdin(input).stdout(output);
    let mut child = started(shared, || shell.spawn())?;
    let _registered = shared.workers.register_child(child.id());
    // The command holds duplicates of the connection too, so it is dropped here.
    drop(shell);
    child.wait()
}

/// Returns the exit status, or 128 + the signal, as a shell does.
fn shell_status(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or_default()
}

/// Reports a command that failed.
fn report_status(shared: &Shared, status: ExitStatus) {
    match (status.code(), status.signal()) {
        (Some(0), _) => {}
        (_, Some(signal)) => shared.errors.report(None, format!("a command was ended by signal {signal}")),
        (code, None) => {
            let code = code.unwrap_or_default();
            shared.errors.report(None, format!("a command exited with status {code}"));
        }
    }
}

/// Starts a program once the system has the resources: file descriptors, processes, memory.
fn started(shared: &Shared, mut start: impl FnMut() -> io::Result<Child>) -> io::Result<Child> {
    loop {
        match start() {
            Err(error) if is_exhausted(&error) => {
                shared.errors.report(None, failed(&error).summary());
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM))
}

/// Runs a program with the message as its standard input, and returns its output.
pub(super) fn ask(
    shared: &Shared,
    command: &OsStr,
    message: &[u8],
    sender: &PeerInfo,
) -> Result<Vec<u8>, Failure> {
    answer(shared, command, message, sender).map_err(|error| failed(&error))
}

fn answer(shared: &Shared, command: &OsStr, message: &[u8], sender: &PeerInfo) -> io::Result<Vec<u8>> {
    // If one part is not available, all are released for others to use.
    let start = || shell(command, sender).stdin(in_memory(message)?).stdout(Stdio::piped()).spawn();
    let mut child = started(shared, start)?;
    let _registered = shared.workers.register_child(child.id());
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    }
    report_status(shared, child.wait()?);
    Ok(answer)
}

/// Creates a file without a name that contains the message. Unlike a pipe it holds any message, so
/// a program that does not read blocks nothing.
fn in_memory(message: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(message)?;
    file.rewind()?;
    Ok(file)
}

fn failed(error: &io::Error) -> Failure {
    Failure::io("run the command", error)
}
