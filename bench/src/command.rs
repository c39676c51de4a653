//! The start and the exit of every benchmark program. A program runs a role as a child of itself,
//! prints its usage, or measures and reports.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::options::{Given, Program, Request};
use crate::section;

/// A failure of a benchmark: nothing is reported then.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The first argument of a program that runs a role for another one.
const ROLE: &str = "--role";

/// The version of the JSON of all programs.
const SCHEMA: u32 = 1;

/// The results of a measurement.
pub struct Report {
    /// The title of the section.
    pub title: &'static str,
    /// What was measured and how, in sentences that follow "Measured on … with N repetitions".
    pub text: String,
    /// The tables, as Markdown.
    pub tables: String,
    /// The same values, with a member `results`.
    pub json: Value,
    /// What could not be measured. The rest is reported, and the program fails.
    pub failures: Vec<String>,
}

/// Runs a program. If it was started by itself for a role, `run_role` runs it; otherwise `read`
/// checks the options, and `measure` takes the measurements with this number of repetitions.
pub fn command<O>(
    program: &Program,
    run_role: impl FnOnce(&[&str]) -> Option<Result>,
    read: impl FnOnce(&Given) -> std::result::Result<O, String>,
    measure: impl FnOnce(&O, usize) -> Result<Report>,
) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((ROLE, role)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let role: Vec<&str> = role.iter().map(String::as_str).collect();
        return exit_code(run_role(&role).unwrap_or_else(|| Err("invalid role".into())));
    }
    let given = match program.parse(&args) {
        Ok(Request::Help) => {
            print!("{}", program.usage());
            return ExitCode::SUCCESS;
        }
        Ok(Request::Measure(given)) => read(&given).map(|options| (options, given)),
        Err(error) => Err(error),
    };
    match given {
        Ok((options, given)) => {
            let reps = given.reps.unwrap_or(program.reps);
            exit_code(measure(&options, reps).and_then(|report| publish(program, &given, reps, &report)))
        }
        Err(error) => {
            eprint!("error: {error}\n\n{}", program.usage());
            ExitCode::from(2)
        }
    }
}

/// Returns a command that runs a role of this program.
///
/// # Errors
/// Returns an error if the path of this program is unknown.
pub fn role(args: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ROLE).args(args);
    Ok(command)
}

/// Shows on a terminal which repetition is running.
pub fn progress(rep: usize, reps: usize) {
    if io::stderr().is_terminal() {
        eprint!("\rrepetition {rep} of {reps}\r");
    }
}

/// Prints a report, and writes it into its section of a file.
fn publish(program: &Program, given: &Given, reps: usize, report: &Report) -> Result {
    let machine = Machine::here();
    let markdown = markdown(&machine, reps, report);
    match given.json {
        true => println!("{:#}", to_json(program, &machine, reps, report)),
        false => print!("{markdown}"),
    }
    if let Some(path) = &given.out {
        let error = |error| format!("cannot access '{}': {error}", path.display());
        let old = match std::fs::read_to_string(path) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(error)?,
        };
        std::fs::write(path, section::put(&old, program.name, &machine.model, &markdown)).map_err(error)?;
    }
    match report.failures.is_empty() {
        true => Ok(()),
        false => Err(format!("not measured:\n{}", report.failures.join("\n")).into()),
    }
}

fn markdown(machine: &Machine, reps: usize, report: &Report) -> String {
    let Report { title, text, tables, .. } = report;
    format!("## {title}\n\nMeasured on {machine}; {reps} repetitions. {text}\n\n{}\n", tables.trim())
}

fn to_json(program: &Program, machine: &Machine, reps: usize, report: &Report) -> Value {
    let mut json = json!({
        "schema": SCHEMA,
        "program": program.name,
        "machine": {"kernel": machine.kernel, "cpus": machine.cpus, "model": machine.model},
        "repetitions": reps,
    });
    if let (Some(all), Some(own)) = (json.as_object_mut(), report.json.as_object()) {
        all.extend(own.clone());
    }
    json
}

fn exit_code(done: Result) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_processor() {
        let machine = Machine { kernel: "6.18".into(), cpus: 2, model: "Some CPU".into() };
        let report = Report {
            title: "Something",
            text: "One core each.".into(),
            tables: "| a |\n".into(),
            json: json!({"results": [1]}),
            failures: Vec::new(),
        };
        assert_eq!(
            markdown(&machine, 3, &report),
            "## Something\n\nMeasured on Linux 6.18, 2 CPUs, Some CPU; 3 repetitions. One core each.\n\n| a |\n"
        );
        let program = Program { name: "some", about: "", reps: 9, flags: &[] };
        assert_eq!(
            to_json(&program, &machine, 3, &report),
            json!({"schema": 1, "program": "some", "repetitions": 3, "results": [1],
                "machine": {"kernel": "6.18", "cpus": 2, "model": "Some CPU"}})
        );
    }
}
