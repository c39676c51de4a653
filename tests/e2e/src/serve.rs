//! A path for a socket, and the command serving there.

use stoop_testkit::{TempDir, public_tempdir};

use crate::{Running, stoop, wait_served};

/// Returns an unused path, in a directory of its own that every user may enter.
pub fn socket_path() -> (TempDir, String) {
    let dir = public_tempdir();
    let path = dir.path().join("s").to_str().expect("a temporary path is UTF-8").to_owned();
    (dir, path)
}

/// Starts `stoop serve`, and waits until it serves.
#[track_caller]
pub fn serve(kind: &str, path: &str) -> Running {
    let server = stoop(["serve", path, "--kind", kind]).spawn();
    wait_served(path);
    server
}
