//! `stoop demo`: every feature in one run, on sockets in a temporary directory.
//!
//! Nothing is simulated: each step starts this command as real processes, or uses the library, and
//! is checked. If a check fails, the demo exits with 1.
//!
//! | sections | file |
//! |---|---|
//! | streams, datagrams, seqpackets | `kinds.rs` |
//! | peer credentials, passing a file descriptor, permissions | `people.rs` |
//! | a socket file's life: stale, live, taken over | `names.rs` |
//! | failures with explanations | `failures.rs` |
//! | processes, and where they run | `stage.rs` |
//! | output and checks | `paper.rs` |

mod failures;
mod kinds;
mod names;
mod paper;
mod people;
mod stage;

use std::time::Instant;

use crate::args::Demo;
use crate::failure::{Failure, Outcome};
use paper::Paper;
use stage::Stage;

/// A section: its title, and the function that runs it.
type Section = (&'static str, fn(&Stage, &mut Paper) -> Result<(), Failure>);

const SECTIONS: [Section; 10] = [
    ("A stream: bytes in order, both ways", kinds::stream),
    ("Datagrams: messages, without a connection", kinds::datagrams),
    ("Seqpackets: messages, over a connection", kinds::seqpackets),
    ("Who is there: the kernel says, not the client", people::identity),
    ("Passing a descriptor: an open file as part of a message", people::descriptor),
    ("Permissions: the socket is a file", people::permissions),
    ("A server is killed: its file stays, and is stale", names::stale),
    ("A server is alive: its name is its own", names::live),
    ("Taking over: the next version, and no client refused", names::takeover),
    ("Failures that explain themselves", failures::explained),
];

/// Runs every section, and counts the checks that passed.
pub(crate) fn run(_flags: &Demo) -> Outcome {
    let started = Instant::now();
    let stage = Stage::open()?;
    let mut paper = Paper::new();
    paper.title(&format!("Local sockets with stoop, in {}", stage.directory().display()))?;
    for (number, (title, play)) in (1..).zip(SECTIONS) {
        paper.heading(number, title)?;
        match play(&stage, &mut paper) {
            Err(Failure::OutputClosed) => return Err(Failure::OutputClosed),
            Err(failure) => paper.check(false, &failure.summary())?,
            Ok(()) => {}
        }
    }
    paper.sum(started.elapsed())
}
