//! The processes at both ends: their credentials, what they can pass to each other, and their
//! permissions.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::Stdio;

use stoop::{Allow, Bind, escaped};

use super::render::Transcript;
use super::sandbox::{Finished, Sandbox};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names;

/// A client sends nothing about itself, and the server knows its credentials.
pub(super) fn identity(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript
        .text("A client cannot hide or forge its identity: the kernel records its process and user.")?;
    let listener = Bind::new(sandbox.path("door.sock")).listen_seqpacket()?;
    let args = ["send", "door.sock", "guess who"];
    transcript.command("stoop send door.sock 'guess who'")?;
    let mut child = sandbox.spawn(sandbox.stoop(&args).stdin(Stdio::null()))?;
    let (client, _) = listener.accept()?;
    let message = client.recv_vec()?.unwrap_or_default();
    let peer = client.peer();
    sandbox.wait(&mut child)?;

    let uid = peer.uid.known().copied();
    let user = uid.and_then(names::user).map(|name| format!(" ({})", escaped(&name))).unwrap_or_default();
    let number = |id: Option<u32>| id.map_or("unknown".into(), |id| id.to_string());
    let pid = peer.pid.known().copied();
    transcript.output(&format!(
        "'{}' from process {}, uid {}{user}",
        escaped(&message),
        number(pid),
        number(uid)
    ))?;
    transcript.check(
        pid == Some(child.id()),
        "it is the process that was started, and no other can claim to be it",
    )?;
    let own = rustix::process::geteuid().as_raw();
    transcript.check(
        uid == Some(own),
        "and the user is correct: a server can allow users, before the first byte",
    )?;
    transcript.suggest("stoop serve ./door.sock --mode 666 --allow-uid root    # only root is served")
}

/// One process opens a file and another reads it, after it was unlinked.
pub(super) fn descriptor(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.picture(
        r"
   sender: open(letter.txt) = 3 --- mail.sock ---> receiver: 7, the same open file",
    )?;
    let listener = Bind::new(sandbox.path("mail.sock")).listen_seqpacket()?;
    let letter = sandbox.path("letter.txt");
    let text = "written before it was sent\n";
    std::fs::write(&letter, text).map_err(|error| Failure::io("write a letter", &error))?;
    sandbox.run(transcript, &["send", "mail.sock", "see enclosed", "--fd", "letter.txt"], "")?;
    transcript.command("rm letter.txt")?;
    std::fs::remove_file(&letter).map_err(|error| Failure::io("remove the letter", &error))?;

    let (message, received) = listener.accept()?.0.recv_vec_with(Allow::descriptors(1))?;
    let mut read = String::new();
    let files: Vec<File> = received.descriptors.into_iter().map(File::from).collect();
    for mut file in &files {
        file.rewind()
            .and_then(|()| file.read_to_string(&mut read))
            .map_err(|error| Failure::io("read", &error))?;
    }
    transcript.output(&format!("'{}', with {} file descriptor", escaped(&message), files.len()))?;
    transcript.check(
        read == text,
        "the receiver never opened the file, its name was removed, and it still reads:",
    )?;
    transcript.output(&read)?;
    transcript.suggest("stoop recv ./mail.sock --descriptors 1    # and: stoop send ./mail.sock hi --fd FILE")
}

/// Write permission on the socket file decides who may connect.
pub(super) fn permissions(sandbox: &Sandbox, transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.text(
        "Connecting requires write permission on the file. --mode sets it exactly, whatever the umask.",
    )?;
    let refused = if rustix::process::geteuid().is_root() {
        let _server = sandbox.serve(transcript, &["private.sock", "--mode", "600"])?;
        sandbox.run_as_nobody(transcript, &["connect", "private.sock"])?
    } else {
        let _server = sandbox.serve(transcript, &["private.sock", "--mode", "000"])?;
        sandbox.run(transcript, &["connect", "private.sock"], "")?
    };
    let named = |ran: &Finished| ran.stderr.contains("mode");
    transcript.check(
        refused.explains(Exit::NotPermitted) && named(&refused),
        "refused, with the user and the mode in the message",
    )?;
    transcript.suggest("stoop serve ./private.sock --mode 660 --group users")
}
