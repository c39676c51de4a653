//! Reads the command line of this process.

use std::ffi::OsString;

use clap::Parser;

use super::{Cli, usage_error};
#[cfg(feature = "grpc")]
use crate::{exit::Exit, failure::Failure};

/// Parses the command line. Exits for `--help` (0) and for usage errors (2).
pub(crate) fn read() -> Cli {
    let words = asked(std::env::args_os().collect());
    #[cfg(feature = "grpc")]
    let words = crate::commands::grpc::grpcurl::translate(words)
        .unwrap_or_else(|refusal| std::process::exit(refused(&refusal).report().code().into()));
    #[cfg(feature = "http")]
    let words = crate::commands::http::command_line::rewrite(words);
    Cli::try_parse_from(&words).unwrap_or_else(|error| usage_error::exit(error, &words))
}

#[cfg(feature = "grpc")]
fn refused(refusal: &crate::commands::grpc::grpcurl::Refusal) -> Failure {
    let what = format!("'stoop grpc' has no '-{}', which is a flag of grpcurl", refusal.flag);
    Failure::new(Exit::Usage, what).why(refusal.why).next("stoop grpc --help").into()
}

/// Rewrites `stoop help` and `stoop help VERB` to `--help`, because that is what people type.
fn asked(words: Vec<OsString>) -> Vec<OsString> {
    match &words[..] {
        [stoop, help, verb @ ..] if help == "help" => {
            let verb = verb.iter().find(|word| *word != "help" && !word.as_encoded_bytes().starts_with(b"-"));
            std::iter::once(stoop).chain(verb).cloned().chain([OsString::from("--help")]).collect()
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_a_verb_too() {
        let asked = |line: &[&str]| {
            let words = asked(line.iter().map(Into::into).collect());
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        for (typed, meant) in [
            (&["stoop", "help"][..], "stoop --help"),
            (&["stoop", "help", "ls"], "stoop ls --help"),
            (&["stoop", "help", "--json", "ls", "x"], "stoop ls --help"),
            (&["stoop", "help", "help"], "stoop --help"),
            (&["stoop", "send", "help"], "stoop send help"),
            (&["stoop"], "stoop"),
        ] {
            assert_eq!(asked(typed), meant);
        }
    }
}
