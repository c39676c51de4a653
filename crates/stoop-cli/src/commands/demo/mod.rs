//! `stoop demo`: every feature in one run, on sockets in a temporary directory.
//!
//! Nothing is simulated: each step starts this command as real processes, or uses the library, and
//! is checked. If a check fails, the demo exits with 1.
//!
//! | sections | file |
//! |---|---|
//! | streams, datagrams, seqpackets | `kinds.rs` |
//! | peer credentials, passing a file descriptor, permissions | `processes.rs` |
//! | a socket file's life: stale, live, taken over | `socket_file.rs` |
//! | failures with explanations | `failures.rs` |
//! | processes, and where they run | `sandbox.rs` |
//! | output and checks | `transcript.rs` |

mod failures;
mod kinds;
mod processes;
mod sandbox;
mod socket_file;
mod transcript;

use std::time::Instant;

use crate::args::Demo;
use crate::failure::{Failure, Outcome};
use sandbox::Sandbox;
use transcript::Transcript;

/// A section: its title, and the function that runs it.
type Section = (&'static str, fn(&Sandbox, &mut Transcript) -> Result<(), Failure>);

const SECTIONS: [Section; 10] = [
    ("A stream: bytes in order, both ways", kinds::stream),
    ("Datagrams: messages, without a connection", kinds::datagrams),
    ("Seqpackets: messages, over a connection", kinds::seqpackets),
    ("Who is there: the kernel says, not the client", processes::identity),
    ("Passing a descriptor: an open file as part of a message", processes::descriptor),
    ("Permissions: the socket is a file", processes::permissions),
    ("A server is killed: its file stays, and is stale", socket_file::stale),
    ("A server is alive: its name is its own", socket_file::live),
    ("Taking over: the next version, and no client refused", socket_file::takeover),
    ("Failures that explain themselves", failures::explained),
];

/// Runs every section, and counts the checks that passed.
pub(crate) fn run(_flags: &Demo) -> Outcome {
    let started = Instant::now();
    let sandbox = Sandbox::open()?;
    let mut transcript = Transcript::new();
    transcript.title(&format!("Local sockets with stoop, in {}", sandbox.directory().display()))?;
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
