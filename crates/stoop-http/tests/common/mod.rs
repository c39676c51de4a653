//! Shared by the tests of this crate and of `stoop-grpc`.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod faults;
pub mod slow;

/// Returns a directory, and the path of a socket in it.
pub fn place() -> (stoop_testkit::TempDir, String) {
    let dir = stoop_testkit::tempdir();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    (dir, path)
}
