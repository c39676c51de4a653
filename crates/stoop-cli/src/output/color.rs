//! Colors of errors and warnings, on terminals that want them.
//!
//! Text is colored after it was formatted, by how its lines begin. Nothing that came from another
//! process can begin a line.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use clap::ValueEnum;

/// When to use colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set, CLICOLOR is 0, or TERM is dumb
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

static WHEN: OnceLock<ColorWhen> = OnceLock::new();

/// Sets when to use colors, for the rest of the process.
pub(crate) fn set_color(when: ColorWhen) {
    let _ = WHEN.set(when);
}

const ERROR: &str = "\x1b[1;31m";
const WARNING: &str = "\x1b[1;33m";
const LABEL: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How lines begin, and the color of that beginning.
const REPORT: [(&str, &str); 5] =
    [("error:", ERROR), ("warning:", WARNING), ("  why:", LABEL), ("  seen:", LABEL), ("  next:", LABEL)];
const DETAILS: [(&str, &str); 1] = [("  !", WARNING)];

/// Colors a report for standard error.
pub(super) fn report(text: String) -> String {
    colored(text, &REPORT, is_wanted(io::stderr().is_terminal()))
}

/// Colors the warnings in the details of a socket, for standard output.
pub(crate) fn color_warnings(text: String) -> String {
    colored(text, &DETAILS, is_wanted(io::stdout().is_terminal()))
}

fn colored(text: String, beginnings: &[(&str, &str)], is_wanted: bool) -> String {
    if !is_wanted {
        return text;
    }
    let line = |line: &str| {
        let found =
            beginnings.iter().find_map(|(start, color)| Some((start, color, line.strip_prefix(start)?)));
        match found {
            Some((start, color, rest)) => {
                let indented = start.trim_start();
                let indent = &start[..start.len() - indented.len()];
                format!("{indent}{color}{indented}{PLAIN}{rest}")
            }
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Returns whether standard output is to have colors.
#[cfg(feature = "top")]
pub(crate) fn has_color() -> bool {
    is_wanted(io::stdout().is_terminal())
}

fn is_wanted(is_terminal: bool) -> bool {
    match WHEN.get() {
        Some(ColorWhen::Always) => true,
        Some(ColorWhen::Never) => false,
        _ => is_automatic(|name| std::env::var_os(name).filter(|value| !value.is_empty()), is_terminal),
    }
}

/// Decides by the environment, as most programs do: <https://no-color.org>,
/// <https://bixense.com/clicolors>.
fn is_automatic(variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    let is = |name, value: &str| variable(name).is_some_and(|set| set == value);
    if variable("NO_COLOR").is_some() {
        return false;
    }
    if variable("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0") {
        return true;
    }
    is_terminal && !is("CLICOLOR", "0") && variable("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        type Variables = &'static [(&'static str, &'static str)];
        let table: [(Variables, bool, bool); 8] = [
            (&[("TERM", "xterm")], true, true),
            (&[("TERM", "xterm")], false, false),
            (&[("TERM", "dumb")], true, false),
            (&[], true, false),
            (&[("TERM", "xterm"), ("NO_COLOR", "1")], true, false),
            (&[("TERM", "xterm"), ("CLICOLOR", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true, false),
        ];
        for (set, is_terminal, expected) in table {
            let variable =
                |name: &str| set.iter().find(|(one, _)| *one == name).map(|(_, value)| value.into());
            assert_eq!(is_automatic(variable, is_terminal), expected, "{set:?}");
        }
    }

    #[test]
    fn only_beginnings_are_colored() {
        let text = "error: no warning: x\n  why:  it is\n        so\n";
        let expected =
            format!("{ERROR}error:{PLAIN} no warning: x\n  {LABEL}why:{PLAIN}  it is\n        so\n");
        assert_eq!(colored(text.into(), &REPORT, true), expected);
        assert_eq!(colored(text.into(), &REPORT, false), text);
    }
}
