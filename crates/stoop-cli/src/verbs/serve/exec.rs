//! A program for each client, or for each datagram.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use stoop::{Connection, Peer};

use super::Shared;
use super::answer::{self, Outcome};
use super::crew::Crew;
use crate::failure::Failure;
use crate::output::Who;

/// More than any datagram can hold; a program that prints on for ever is cut off here.
const ANSWER_MAX_BYTES: u64 = 16 << 20;

/// What belongs to this process alone.
const NOT_INHERITED: [&str; 5] =
    ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID", "NOTIFY_SOCKET"];

/// The command, as the shell takes it, with who asked for it in its environment. It has a process group of its own: what is
/// typed at our terminal ends us, not what is in flight.
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
pub(super) fn serve(shared: &Shared, command: &OsStr, client: Connection, peer: &Peer) -> Outcome {
    let failure = run(&shared.crew, command, &client, peer).err();
    if let Some(failure) = &failure {
        shared.trouble.report(None, failure.summary());
    }
    // Until here the connection was kept: closing it with something unread would be a reset to the client.
    answer::linger(&client);
    Outcome { failure, ..Outcome::default() }
}

fn run(crew: &Crew, command: &OsStr, client: &Connection, peer: &Peer) -> Result<(), Failure> {
    let mut shell = shell(command, &Who::from(peer));
    shell.stdin(Stdio::from(copy(client)?)).stdout(Stdio::from(copy(client)?));
    let mut child = shell.spawn().map_err(|error| failed(&error))?;
    let _at_work = crew.employ(child.id());
    // Its copies of the connection are here too, as long as the command is.
    drop(shell);
    child.wait().map(drop).map_err(|error| failed(&error))
}

fn copy(client: &Connection) -> stoop::Result<OwnedFd> {
    Ok(match client {
        Connection::Stream(stream) => stream.try_clone()?.into(),
        Connection::SeqPacket(socket) => socket.try_clone()?.into(),
        Connection::Datagram(socket) => socket.try_clone()?.into(),
    })
}

/// Runs a program that has the message as its standard input, and returns what it prints.
pub(super) fn ask(crew: &Crew, command: &OsStr, message: &[u8], sender: &Who) -> Result<Vec<u8>, Failure> {
    let mut shell = shell(command, sender);
    let input = in_memory(message).map_err(|error| failed(&error))?;
    let mut child = shell.stdin(input).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    let _at_work = crew.employ(child.id());
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_MAX_BYTES).read_to_end(&mut answer).map_err(|error| failed(&error))?;
    }
    child.wait().map_err(|error| failed(&error))?;
    Ok(answer)
}

/// A file without a name: unlike a pipe it holds any message, so that a program that does not read holds up nobody.
fn in_memory(message: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(message)?;
    file.rewind()?;
    Ok(file)
}

fn failed(error: &io::Error) -> Failure {
    Failure::io("run the command", error)
}
