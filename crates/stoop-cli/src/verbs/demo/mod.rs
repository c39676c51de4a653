//! `stoop demo`: the whole idea in one run, on sockets in a temporary directory.
//!
//! Nothing is acted: each step starts the command itself as real processes, or uses the library,
//! and is checked. A check that fails makes the demo end with 1.
//!
//! | sections | file |
//! |---|---|
//! | streams, datagrams, seqpackets | `kinds.rs` |
//! | who is there, passing a descriptor, permissions | `people.rs` |
//! | a name's life: stale, live, taken over | `names.rs` |
//! | failures that explain themselves | `failures.rs` |
//! | processes, and where they run | `stage.rs` |
//! | what it looks like | `paper.rs` |

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

/// One section: what it is about, and what happens in it.
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

/// Plays every section, and counts what held.
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
