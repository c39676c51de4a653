//! Runs the sections in order.

use std::time::Instant;

use super::render::Transcript;
use super::sandbox::Sandbox;
use super::{failures, kinds, processes, socket_file};
use crate::args::Demo;
use crate::failure::{Failure, Outcome};

/// A section: its title, and the function that runs it.
type Section = (&'static str, fn(&Sandbox, &mut Transcript) -> Result<(), Failure>);

const SECTIONS: [Section; 10] = [
    ("Streams: bytes in order, in both directions", kinds::stream),
    ("Datagrams: messages, without a connection", kinds::datagrams),
    ("Seqpackets: messages, over a connection", kinds::seqpackets),
    ("Peer credentials: from the kernel, not from the client", processes::identity),
    ("Passing a file descriptor: an open file as part of a message", processes::descriptor),
    ("Permissions: the socket is a file", processes::permissions),
    ("A killed server: its file remains, and is stale", socket_file::stale),
    ("A live server: its address is its own", socket_file::live),
    ("Taking over: the next version, without refusing a client", socket_file::takeover),
    ("Failures that explain themselves", failures::explained),
];

/// Runs every section, and counts the checks that passed.
pub(crate) fn run(flags: &Demo) -> Outcome {
    let started = Instant::now();
    let sandbox = Sandbox::open()?;
    let mut transcript = Transcript::new(flags.json);
    transcript.title(&format!("Unix sockets with stoop, in {}", sandbox.directory().display()))?;
    for (number, (title, play)) in (1..).zip(SECTIONS) {
        transcript.heading(number, title)?;
        match play(&sandbox, &mut transcript) {
            Err(Failure::OutputClosed) => return Err(Failure::OutputClosed),
            Err(failure) => transcript.check(false, &failure.summary())?,
            Ok(()) => {}
        }
    }
    transcript.finish(started.elapsed())
}
