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
    let cli = Cli::try_parse_from(&words).unwrap_or_else(|error| usage_error::exit(error, &words));
    #[cfg(feature = "grpc")]
    let cli = without_address(cli);
    cli
}

#[cfg(feature = "grpc")]
fn without_address(mut cli: Cli) -> Cli {
    if let super::Verb::Grpc(flags) = &mut cli.verb {
        flags.without_address();
    }
    cli
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

    #[cfg(feature = "grpc")]
    #[test]
    fn definitions_in_files_need_no_address() {
        let read = |line: &str| {
            let cli = without_address(Cli::try_parse_from(line.split(' ')).unwrap());
            let crate::args::Verb::Grpc(flags) = cli.verb else { panic!("grpc") };
            (flags.endpoint.to_string(), flags.action.clone(), flags.data.clone())
        };
        let words = |address: &str, action: &str, data: Option<&str>| {
            let action = Some(action.to_owned()).filter(|action| !action.is_empty());
            (address.to_owned(), action, data.map(str::to_owned))
        };
        for (line, expected) in [
            ("stoop grpc --proto x list", words("ADDR", "list", None)),
            ("stoop grpc --proto x list S", words("ADDR", "list", Some("S"))),
            ("stoop grpc --descriptor-set x describe S", words("ADDR", "describe", Some("S"))),
            ("stoop grpc --proto x ./list", words("./list", "", None)),
            ("stoop grpc --proto x list list", words("list", "list", None)),
            ("stoop grpc --proto x list S {}", words("list", "S", Some("{}"))),
            ("stoop grpc list", words("list", "", None)),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

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
