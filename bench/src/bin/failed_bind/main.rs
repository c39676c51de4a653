//! What does a bind cost that fails because a live server has the path?
//!
//! ```text
//! cargo run --release -p stoop-bench --bin failed_bind [-- SOCKETS]
//! ```
//!
//! Compares `stoop::Bind` with std's `UnixListener::bind` while this process has SOCKETS other
//! sockets open (1,000 by default), in changing order. stoop also asks whether the server is live,
//! so it needs a few system calls more. Neither may depend on what else runs on the machine.

use std::io;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use stoop_bench::stats::{Summary, order, ratios};

const REPETITIONS: usize = 11;
const BINDS: u32 = 200;

/// The two kinds of server, each as one attempt to bind.
const BINDERS: [(&str, fn(&Path) -> bool); 2] = [
    ("std", |path| UnixListener::bind(path).is_err()),
    ("stoop", |path| stoop::Bind::new(path).listen().is_err_and(|error| error.is_in_use())),
];

fn main() -> ExitCode {
    let sockets = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000);
    stoop_bench::exit_code(measure(sockets))
}

fn measure(sockets: usize) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("app.sock");
    let _server = UnixListener::bind(&path)?;
    let _others = (0..sockets.div_ceil(2)).map(|_| UnixDatagram::pair()).collect::<io::Result<Vec<_>>>()?;
    let mut samples = [const { Vec::new() }; BINDERS.len()];
    for repetition in 0..REPETITIONS {
        for index in order(repetition, BINDERS.len()) {
            samples[index].push(microseconds(BINDERS[index].1, &path)?);
        }
    }
    println!("a bind that fails, microseconds, with {sockets} other sockets: median (range)");
    for ((name, _), samples) in BINDERS.iter().zip(&samples) {
        println!("{name:8}{}", shown(samples));
    }
    println!("{:8}{}", "ratio", shown(&ratios(&samples[1], &samples[0])));
    Ok(())
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

fn shown(samples: &[f64]) -> String {
    Summary::of(samples)
        .map_or(String::new(), |it| format!("{:9.1} ({:.1} to {:.1})", it.median, it.min, it.max))
}
