//! The effect of adaptive waiting on round trips between two threads: sleeping at once, and
//! spinning for up to 50 µs first.
//!
//! ```text
//! cargo run --release -p stoop --example spin
//! ```

use std::io::{Read, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use stoop::{SocketExt, Stream};

const ROUNDS: u32 = 2000;

fn main() -> ExitCode {
    for (what, budget) in [("asleep", Duration::ZERO), ("trying", Duration::from_micros(50))] {
        match round_trip(budget) {
            Ok(median) => println!("{what}: {:.1} µs a round trip", median.as_secs_f64() * 1e6),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn round_trip(budget: Duration) -> std::io::Result<Duration> {
    let (mut ours, mut theirs) = Stream::pair()?;
    // Both sides wait, so both spin. The setting lasts until it is changed.
    ours.set_spin(budget);
    theirs.set_spin(budget);
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 64];
        for _ in 0..ROUNDS {
            theirs.read_exact(&mut buffer)?;
            theirs.write_all(&buffer)?;
        }
        Ok(())
    });

    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let (question, mut answer) = ([round as u8; 64], [0; 64]);
        let started = Instant::now();
        ours.write_all(&question)?;
        ours.read_exact(&mut answer)?;
        times.push(started.elapsed());
        assert_eq!(answer, question);
    }
    echo.join().expect("it does not panic")?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
