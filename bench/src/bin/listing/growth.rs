//! The cost of inspecting machines of several sizes: whether time and memory grow with the number
//! of sockets, and no faster.
//!
//! The memory is the peak resident size, which the kernel reports only to the parent of an exited
//! program; so each program is run by a process that runs nothing else.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use stoop_bench::Result;
use stoop_bench::stats::Summary;

use crate::machine::{Processes, Size};
use crate::{Tool, run};

/// The role of a process that runs one program and reports its peak memory.
const PEAK_MEMORY: &str = "peak-memory";
/// Sockets of each process, in tenths of the requested number.
const TENTHS: [usize; 3] = [1, 10, 50];

/// The cost of a machine of one size.
pub struct Grown {
    sockets: usize,
    millis: Vec<f64>,
    peak_kib: u64,
}

/// Measures the memory of a program, if that is the role.
pub fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        [PEAK_MEMORY, program, ref args @ ..] => Some(peak_memory(program, args)),
        _ => None,
    }
}

fn peak_memory(program: &str, args: &[&str]) -> Result {
    let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    if status.success() { Ok(()) } else { Err("the program failed".into()) }
}

/// Runs the program on machines of all sizes.
///
/// # Errors
/// Returns an error if building a machine or running the program fails.
pub fn measure(size: Size, reps: usize, tool: &Tool, scratch: &Path) -> Result<Vec<Grown>> {
    let of = |tenths: usize| {
        let size = Size { sockets: (size.sockets * tenths / 10).max(3), ..size };
        let _processes = Processes::start(size, scratch)?;
        run(tool, size)?;
        let millis = (0..reps).map(|_| Ok(run(tool, size)?.0.millis)).collect::<Result<_>>()?;
        let mut command = stoop_bench::role(&[PEAK_MEMORY])?;
        let output = command.args(&tool.command).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(format!("{} failed", tool.name).into());
        }
        let peak_kib = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        Ok(Grown { sockets: size.sockets_in_all(), millis, peak_kib })
    };
    TENTHS.into_iter().map(of).collect()
}

/// Formats the table: each size compared with the first.
pub fn markdown(name: &str, grown: &[Grown]) -> String {
    let mut text = format!(
        "\n`{name}` on machines of several sizes, compared with the smallest; memory is the peak resident set:\n\n\
         | sockets | × the sockets | × the time | × the memory | bytes per additional socket |\n| ---: | ---: | ---: | ---: | ---: |\n"
    );
    let Some(first) = grown.first() else { return String::new() };
    let median = |one: &Grown| Summary::of(&one.millis).map_or(0.0, |millis| millis.median);
    for one in grown {
        let more = (one.peak_kib.saturating_sub(first.peak_kib) * 1024)
            .checked_div((one.sockets - first.sockets) as u64)
            .map_or(String::new(), |bytes| bytes.to_string());
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.1} | {:.1} | {more} |",
            one.sockets,
            one.sockets as f64 / first.sockets as f64,
            median(one) / median(first),
            one.peak_kib as f64 / first.peak_kib as f64,
        );
    }
    text
}

/// Returns the same values as JSON.
pub fn to_json(grown: &[Grown]) -> Value {
    let one = |one: &Grown| {
        let millis = Summary::of(&one.millis).map(|millis| millis.to_json());
        json!({"sockets": one.sockets, "milliseconds": millis, "peak_kib": one.peak_kib})
    };
    grown.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_is_compared_with_the_first() {
        let grown = |sockets, millis, peak_kib| Grown { sockets, millis: vec![millis], peak_kib };
        let text = markdown("stoop ls", &[grown(100, 2.0, 1000), grown(1000, 11.0, 1900)]);
        assert!(text.ends_with("| 100 | 1 | 1.0 | 1.0 |  |\n| 1000 | 10 | 5.5 | 1.9 | 1024 |\n"), "{text}");
    }
}
