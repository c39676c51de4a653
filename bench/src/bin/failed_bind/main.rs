//! What does a bind cost that fails because a live server has the path?
//!
//! ```text
//! cargo xtask bench failed_bind [--reps 11] [--sockets 1000] [--json]
//! ```
//!
//! Compares `stoop::Bind` with std's `UnixListener::bind` while this process has other sockets
//! open, in changing order. stoop also asks whether the server is live, so it needs a few system
//! calls more. Neither may depend on what else runs on the machine.

use std::io;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::stats::{Summary, order, ratios};
use stoop_bench::{Report, Result};

const PROGRAM: Program = Program {
    name: "failed_bind",
    about: "What does a bind cost that fails because a live server has the path?",
    reps: 11,
    flags: &[Flag {
        name: "--sockets",
        value: Some("N"),
        help: "other sockets of this process (default 1000)",
    }],
};

const BINDS: u32 = 200;

/// A library, and whether its bind of this path fails as it should.
type Binder = (&'static str, fn(&Path) -> bool);

const BINDERS: [Binder; 2] = [
    ("std", |path| UnixListener::bind(path).is_err()),
    ("stoop", |path| stoop::Bind::new(path).listen().is_err_and(|error| error.is_in_use())),
];

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, |_| None, read, measure)
}

fn read(given: &Given) -> std::result::Result<usize, String> {
    given.number("--sockets", 1_000)
}

fn measure(sockets: &usize, reps: usize) -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("app.sock");
    let _server = UnixListener::bind(&path)?;
    let _others = (0..sockets.div_ceil(2)).map(|_| UnixDatagram::pair()).collect::<io::Result<Vec<_>>>()?;
    let mut samples = [const { Vec::new() }; BINDERS.len()];
    for rep in 0..reps {
        for index in order(rep, BINDERS.len()) {
            samples[index].push(microseconds(BINDERS[index].1, &path)?);
        }
        stoop_bench::progress(rep + 1, reps);
    }
    let mut tables = String::from("| library | µs | time relative to std |\n| --- | ---: | ---: |\n");
    let mut results = Vec::new();
    for ((name, _), own) in BINDERS.iter().zip(&samples) {
        let summary = |all: &[f64]| Summary::of(all).ok_or("nothing was measured");
        let (microseconds, ratio) = (summary(own)?, summary(&ratios(own, &samples[0]))?);
        tables.push_str(&format!("| {name} | {} | {} |\n", microseconds.shown(1), ratio.shown(1)));
        results.push(json!({
            "library": name,
            "microseconds": microseconds.to_json(),
            "ratio_to_std": ratio.to_json(),
        }));
    }
    Ok(Report {
        title: "A failed bind",
        text: format!("A bind of the path of a live server, with {sockets} other sockets."),
        tables,
        json: json!({"sockets": sockets, "results": results}),
        failures: Vec::new(),
    })
}

/// Returns the time of one failed bind.
fn microseconds(fails: fn(&Path) -> bool, path: &Path) -> io::Result<f64> {
    let started = Instant::now();
    for _ in 0..BINDS {
        if !fails(path) {
            return Err(io::Error::other("a bind of a name in use succeeded"));
        }
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(BINDS))
}
