//! Locating the built command.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Returns the `stoop` command, of the same build profile as the running test; builds it first if
/// it is missing or older than its sources. `STOOP_BIN` names another command to test instead.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(built)
}

/// Returns a path to the same through a file descriptor of this process, so that a child can start
/// it as a user who may not enter the build directory. Valid for direct children only: the file
/// descriptor is closed when they have started.
pub(crate) fn binary_for_others() -> &'static Path {
    static BINARY: OnceLock<(File, PathBuf)> = OnceLock::new();
    let (_file, path) = BINARY.get_or_init(|| {
        let file = File::open(binary()).expect("open the stoop command");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        (file, path.into())
    });
    path
}

fn built() -> PathBuf {
    if let Some(given) = std::env::var_os("STOOP_BIN") {
        return given.into();
    }
    let test = std::env::current_exe().expect("own path");
    let profile = test.ancestors().nth(2).expect("target/profile/deps/test").to_owned();
    let stoop = profile.join("stoop");
    let age = fs::metadata(&stoop).and_then(|file| file.modified()).ok();
    if age.is_none_or(|age| age < newest(&crates())) {
        build(&profile);
    }
    stoop
}

fn build(profile: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "stoop-cli"]).arg("--target-dir").arg(profile.join(".."));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().expect("cargo runs").success(), "the package stoop-cli does not build");
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates")
}

/// Returns when a file below `folder` was last changed.
fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.map(|entry| match entry.path() {
        path if path.is_dir() => newest(&path),
        _ => entry.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
