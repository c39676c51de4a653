//! Measures the iterator on this machine: the time to load it and to read it, in milliseconds, the
//! best of a few rounds.

use std::time::{Duration, Instant};

use stoop_bpf::TaskFiles;

const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut best = [Duration::MAX; 3];
    let mut sockets = 0;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let program = TaskFiles::load()?;
        let loaded = begin.elapsed();
        sockets = program.read()?.len();
        let whole = begin.elapsed();
        for (best, took) in best.iter_mut().zip([loaded, whole - loaded, whole]) {
            *best = took.min(*best);
        }
    }
    let [load, read, whole] = best.map(|took| took.as_secs_f64() * 1e3);
    println!("{sockets} file descriptors: load {load:.2} ms, read {read:.2} ms, both {whole:.2} ms");
    if std::env::args().any(|argument| argument == "--list") {
        for record in TaskFiles::load()?.read()? {
            println!("{record:?}");
        }
    }
    Ok(())
}
