//! Servers of other projects that several tests talk to.

use std::path::PathBuf;

use crate::{Running, program, wait_served};

/// Starts Redis, without a port or a file, and waits until it can be reached.
pub fn redis(place: &str) -> Running {
    let server = program("redis-server", ["--port", "0", "--save", "", "--unixsocket", place]).spawn();
    wait_served(place);
    server
}

/// Returns the directory of the programs of the newest PostgreSQL.
pub fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    found.filter(|bin| bin.join("initdb").exists()).max()
}
