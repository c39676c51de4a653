//! A place for a socket, and the command serving there.

use stoop_testkit::{TempDir, public_tempdir};

use crate::{Running, stoop, wait_served};

/// A path that nothing has yet, in a directory of its own that every user may enter.
pub fn place() -> (TempDir, String) {
    let dir = public_tempdir();
    let place = dir.path().join("s").to_str().expect("our own names are text").to_owned();
    (dir, place)
}

/// `stoop serve`, once it serves.
#[track_caller]
pub fn serve(kind: &str, place: &str) -> Running {
    let server = stoop(["serve", place, "--kind", kind]).spawn();
    wait_served(place);
    server
}
