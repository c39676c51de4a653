//! A path for a socket, and the command serving there.

use stoop_testkit::{TempDir, public_tempdir};

use crate::{Running, stoop, wait_served};

/// Returns an unused path, in a directory of its own that every user may enter.
pub fn place() -> (TempDir, String) {
    let dir = public_tempdir();
    let place = dir.path().join("s").to_str().expect("our own names are text").to_owned();
    (dir, place)
}

/// Starts `stoop serve`, and waits until it serves.
#[track_caller]
pub fn serve(kind: &str, place: &str) -> Running {
    let server = stoop(["serve", place, "--kind", kind]).spawn();
    wait_served(place);
    server
}
