//! The measurement of commands that run to completion, above all of `stoop`.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::options::{Flag, Given};

/// The option that names the command to measure.
pub const STOOP: Flag =
    Flag { name: "--stoop", value: Some("PATH"), help: "measure this command instead of building one" };

/// Returns the path of the command to measure: the one that [`STOOP`] names, or one that is built
/// as it is distributed.
///
/// # Errors
/// Returns an error if it cannot be built.
pub fn stoop(given: Option<&str>) -> io::Result<String> {
    given.map_or_else(build_stoop, |path| Ok(path.to_owned()))
}

/// Returns the value of [`STOOP`].
pub fn given(given: &Given) -> Option<String> {
    given.all(STOOP.name).last().map(str::to_owned)
}

/// The cost of one run, and what it printed.
#[derive(Debug)]
pub struct Run {
    /// Milliseconds until it had exited and its output was read.
    pub millis: f64,
    /// Milliseconds of processor time.
    pub cpu_millis: f64,
    /// Its exit status and output.
    pub output: Output,
}

/// Runs a command. No other child may exit meanwhile.
///
/// # Errors
/// Returns an error if it cannot be run. Its exit status is in the output.
pub fn run(command: &mut Command) -> io::Result<Run> {
    let cpu_before = cpu_millis()?;
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    let program = command.get_program().display();
    let output =
        output.map_err(|error| io::Error::new(error.kind(), format!("cannot run {program}: {error}")))?;
    Ok(Run { millis, cpu_millis: cpu_millis()? - cpu_before, output })
}

/// Returns the resource usage of all exited children.
fn cpu_millis() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let millis = |time: TimeVal| time.num_microseconds() as f64 / 1e3;
    Ok(millis(usage.user_time()) + millis(usage.system_time()))
}

/// Returns the path of the command, built with the profile of this program.
fn build_stoop() -> io::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(["build", "-q", "--profile", "dist", "-p", "stoop-cli"]).status()?;
    if !status.success() {
        return Err(io::Error::other("cannot build the command"));
    }
    Ok(std::env::current_exe()?.with_file_name("stoop").display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_its_time_its_output_and_its_status() {
        let run = |script: &str| run(Command::new("sh").args(["-c", script])).unwrap();
        let slow = run("sleep 0.05; echo done");
        assert!(slow.millis >= 50.0 && slow.cpu_millis >= 0.0, "{slow:?}");
        assert_eq!(slow.output.stdout, b"done\n");
        assert!(!run("exit 3").output.status.success());
        assert_eq!(stoop(Some("/bin/stoop")).unwrap(), "/bin/stoop");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/tool")).unwrap_err();
        assert!(error.to_string().starts_with("cannot run /nowhere/tool: "), "{error}");
    }
}
