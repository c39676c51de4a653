//! `stoop who`: one socket in full.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | finding it, and showing what was gathered |
//! | `portrait.rs` | everything that is known of one socket: gathered here, shown elsewhere |
//! | `file.rs` | the file it is bound to, and what has become of it |
//! | `warnings.rs` | what a person would want to know: pure |
//! | `text.rs` `json.rs` `bytes.rs` | a portrait for people, for programs, and the unread bytes in it: pure |

mod bytes;
mod file;
mod json;
mod portrait;
mod text;
mod warnings;

use std::thread;
use std::time::Duration;

use stoop_inspect::{Inspector, Options, Snapshot, SocketId};

use crate::args::Who;
use crate::failure::Outcome;
use crate::output::{print, status};
use crate::sockets::{Seen, Wanted, note};
use portrait::Portrait;

/// How long is looked whether anybody is accepted.
const PATIENCE: Duration = Duration::from_millis(200);

/// Shows the sockets that were asked for.
pub(crate) fn run(flags: &Who) -> Outcome {
    let wanted = Wanted::new(&flags.which)?;
    let mut inspector = Inspector::new(options());
    let snapshot = inspector.snapshot();
    let mut found = wanted.find(&snapshot);
    let mut is_by_name = false;
    if found.is_empty() {
        found = wanted.of_that_name(&snapshot);
        is_by_name = true;
    }
    if found.is_empty() {
        status(&note(&snapshot.missing));
        return Err(wanted.nobody(&flags.which, &snapshot));
    }
    let later = later(&mut inspector, &snapshot, &found);
    let mut text = Vec::new();
    for &id in &found {
        let looked_at = if is_by_name { Some(&wanted) } else { None };
        let portrait = Portrait::of(&snapshot, id, later.as_ref(), looked_at, flags.peek);
        if flags.json {
            json::line(&portrait, &mut text);
        } else {
            if !text.is_empty() {
                text.push(b'\n');
            }
            text.extend(text::render(&portrait, flags.all_clients).into_bytes());
        }
    }
    print(&text)?;
    status(&note(&snapshot.missing));
    Ok(Seen::of(&snapshot).exit())
}

fn options() -> Options {
    let mut options = Options::default();
    options.process_states = true;
    options.places = true;
    options.process_namespaces = true;
    options.memory = true;
    options.in_flight = true;
    options
}

/// A second look a moment later, where somebody waits: is anybody accepted?
fn later(inspector: &mut Inspector, snapshot: &Snapshot, found: &[SocketId]) -> Option<Snapshot> {
    if found.iter().all(|&id| snapshot[id].waiting.is_empty()) {
        return None;
    }
    thread::sleep(PATIENCE);
    Some(inspector.snapshot())
}
