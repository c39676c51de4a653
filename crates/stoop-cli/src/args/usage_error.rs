//! Reports usage errors like every other failure: what failed, why, and what to do next. Does not
//! change the meaning of a command line.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::features::{feature_of, is_built};
#[cfg(any(feature = "http", feature = "grpc"))]
use crate::foreign_flags;

/// Reports the error and exits: with 0 for `--help` and `--version`, which are not errors.
pub(super) fn exit(error: clap::Error, words: &[OsString]) -> ! {
    match missing_command(words).or_else(|| elsewhere(&error, words)).or_else(|| invalid_value(&error, words))
    {
        Some(failure) => std::process::exit(failure.report().code().into()),
        None if error.use_stderr() && !is_help(&error) => {
            let failure = in_parts(&with_long_flag(error, words), words);
            std::process::exit(failure.report().code().into())
        }
        None => error.exit(),
    }
}

/// Returns whether it only shows the help, because the command line has nothing else.
fn is_help(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// Converts any other usage error, with clap's words for what is wrong and its tips.
fn in_parts(error: &clap::Error, words: &[OsString]) -> Failure {
    let text = error.to_string();
    let lines = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let (what, rest) = text.split_once("\n\n").unwrap_or((text.as_str(), ""));
    let command = command_of(words);
    let why = match error.kind() {
        ErrorKind::UnknownArgument => format!("'{command}' does not have it"),
        ErrorKind::InvalidSubcommand => "stoop has no command of that name".into(),
        ErrorKind::MissingRequiredArgument => format!("'{command}' cannot do without"),
        ErrorKind::ArgumentConflict => "one excludes the other".into(),
        _ => format!("it is not how '{command}' is called"),
    };
    let mut report = Failure::new(Exit::Usage, lines(what.trim_start_matches("error: "))).why(why);
    for line in rest.lines().map(str::trim) {
        let hint = line.strip_prefix("tip: ").map(str::to_owned);
        let usage = || line.strip_prefix("Usage: ").map(|usage| format!("usage: {usage}"));
        if let Some(seen) = hint.or_else(usage) {
            report = report.seen(seen);
        }
    }
    report.next(format!("{command} --help")).into()
}

/// Returns the command as it is called, as far as it exists.
fn command_of(words: &[OsString]) -> String {
    let command = Cli::command();
    let verb = words.get(1).and_then(|word| command.find_subcommand(word));
    let Some(verb) = verb else { return "stoop".into() };
    match words.iter().skip(2).find_map(|word| verb.find_subcommand(word)) {
        Some(action) => format!("stoop {} {}", verb.get_name(), action.get_name()),
        None => format!("stoop {}", verb.get_name()),
    }
}

/// Explains a command that exists, but not in this build.
fn missing_command(words: &[OsString]) -> Option<Failure> {
    let verb = words.get(1)?.to_str().filter(|verb| !is_built(verb))?;
    let what = format!("this build of stoop has no command '{verb}'");
    let why = format!("it was built without the feature '{}'", feature_of(verb));
    Some(Failure::new(Exit::Unsupported, what).why(why).next("stoop --help    # the commands it has").into())
}

/// Converts an invalid value, with the reason on its own line. Returns `None` for any other error.
fn invalid_value(error: &clap::Error, words: &[OsString]) -> Option<Failure> {
    let text = |kind| text(error, kind);
    let (value, flag) = (text(ContextKind::InvalidValue)?, text(ContextKind::InvalidArg)?);
    let why = match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::ValueValidation, _) => std::error::Error::source(error)?.to_string(),
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) if !value.is_empty() => {
            format!("possible values: {}", valid.join(", "))
        }
        _ => return None,
    };
    let flag = match flag.starts_with('-') {
        true => flag,
        false => flag.trim_matches(['[', ']', '<', '>', '.']),
    };
    let report = Failure::new(Exit::Usage, format!("invalid value '{value}' for '{flag}'")).why(why);
    let report = match text(ContextKind::SuggestedValue) {
        Some(meant) => report.seen(format!("a similar value exists: '{meant}'")),
        None => report,
    };
    Some(report.next(format!("{} --help", command_of(words))).into())
}

/// Returns a text of the error's context.
fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// A flag, why it does not exist, and what does the same.
type Elsewhere<'e> = (&'e str, &'static str, &'static str);

/// Explains a flag of curl or crictl that does not exist here.
#[cfg_attr(
    not(any(feature = "grpc", feature = "http")),
    allow(unused_variables, reason = "for http and cri")
)]
fn elsewhere(error: &clap::Error, words: &[OsString]) -> Option<Failure> {
    let found: Option<Elsewhere<'_>> = match words.get(1)?.to_str()? {
        #[cfg(feature = "http")]
        "http" => of_curl(error),
        #[cfg(feature = "grpc")]
        "cri" => of_crictl(error),
        _ => None,
    };
    let (flag, why, next) = found?;
    let what = format!("'{}' has no {flag}", command_of(words));
    Some(Failure::new(Exit::Usage, what).why(why).next(next).into())
}

#[cfg(feature = "http")]
fn of_curl(error: &clap::Error) -> Option<Elsewhere<'_>> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let flag = text(error, ContextKind::InvalidArg)?;
    let (why, next) = foreign_flags::find(crate::commands::http::command_line::ELSEWHERE, flag)?;
    Some((flag, why, next))
}

#[cfg(feature = "grpc")]
fn of_crictl(error: &clap::Error) -> Option<Elsewhere<'_>> {
    use crate::commands::cri::crictl::{ELSEWHERE, TEMPLATE_FORMAT};

    let is_template = text(error, ContextKind::InvalidValue)
        .is_some_and(|value| value.split('=').next() == Some(TEMPLATE_FORMAT));
    let flag = match error.kind() {
        ErrorKind::UnknownArgument => text(error, ContextKind::InvalidArg)?.split('=').next()?,
        ErrorKind::InvalidValue if is_template => "--template",
        _ => return None,
    };
    let (why, next) = foreign_flags::find(ELSEWHERE, flag)?;
    Some((flag, why, next))
}

/// Few flags have a short form. For an unknown short flag, suggests the long flag that was probably
/// meant, instead of clap's advice to pass it as a positional value.
fn with_long_flag(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some(letter) = flag.strip_prefix('-').filter(|letter| letter.len() == 1) else { return error };
    let command = Cli::command();
    let verb = words.get(1).and_then(|verb| command.find_subcommand(verb));
    let longs = verb.into_iter().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
    let meant: Vec<_> =
        longs.filter(|long| long.starts_with(letter)).map(|long| format!("--{long}")).collect();
    if !meant.is_empty() {
        error.remove(ContextKind::Suggested);
        error.insert(ContextKind::SuggestedArg, ContextValue::Strings(meant));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn wrong(line: &[&str]) -> (clap::Error, Vec<OsString>) {
        let words: Vec<OsString> = line.iter().map(Into::into).collect();
        (Cli::try_parse_from(&words).unwrap_err(), words)
    }

    #[test]
    fn unknown_short_flags_suggest_long_flags() {
        let tip = |line: &[&str]| {
            let (error, words) = wrong(line);
            with_long_flag(error, &words).to_string()
        };
        let wait = tip(&["stoop", "connect", "./x", "-w", "3s"]);
        assert!(wait.contains("'--wait'") && !wait.contains("-- -w"), "{wait}");
        // No flag starts with this letter: it may have been meant as the message.
        assert!(tip(&["stoop", "send", "./x", "-z"]).contains("-- -z"));
    }

    #[test]
    fn usage_errors_are_reported_in_parts() {
        let told = |line: &[&str]| {
            let (error, words) = wrong(line);
            match in_parts(&error, &words) {
                Failure::Report(report) => report.text(),
                other => other.summary(),
            }
        };
        let flag = told(&["stoop", "ls", "--frob"]);
        let expected = "error: unexpected argument '--frob' found\n  why:  'stoop ls' does not have it\n";
        assert!(flag.starts_with(expected) && flag.ends_with("  next: stoop ls --help\n"), "{flag}");
        assert!(flag.contains("usage: stoop ls [OPTIONS]"), "{flag}");
        let verb = told(&["stoop", "serv"]);
        assert!(verb.contains("similar subcommand exists: 'serve'"), "{verb}");
        #[cfg(feature = "grpc")]
        assert!(
            told(&["stoop", "cri", "-t", "2s", "ps", "--frob"]).ends_with("  next: stoop cri ps --help\n")
        );
        let missing = told(&["stoop", "connect"]);
        assert!(
            missing.starts_with("error: the following required arguments were not provided: <ADDR>"),
            "{missing}"
        );
    }

    #[test]
    fn a_command_that_was_not_built_is_explained() {
        for verb in ["grpc", "http", "bench"] {
            let failure = missing_command(&["stoop".into(), verb.into()]);
            assert_eq!(failure.is_some(), !is_built(verb), "{verb}");
        }
        assert!(missing_command(&["stoop".into(), "nosuch".into()]).is_none());
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn flags_of_crictl_are_explained() {
        let told = |line: &[&str]| {
            let (error, words) = wrong(line);
            elsewhere(&error, &words).map(|failure| match failure {
                Failure::Report(report) => report.text(),
                other => other.summary(),
            })
        };
        let expected = "error: 'stoop cri inspect' has no --template\n  why:  there are no Go templates: programs \
                        for JSON select fields\n  next: stoop cri inspect ID | jq -r .status.state\n";
        for line in [
            &["stoop", "cri", "inspect", "--template", "{{.status.state}}", "web"][..],
            &["stoop", "cri", "inspect", "--template={{.status.state}}", "web"],
            &["stoop", "cri", "inspect", "-o", "go-template", "web"],
            &["stoop", "cri", "inspect", "-o", "go-template={{.status.state}}", "web"],
        ] {
            assert_eq!(told(line).as_deref(), Some(expected), "{line:?}");
        }
        assert!(told(&["stoop", "cri", "-D", "ps"]).unwrap().contains("next: stoop tap cri"));
        for other in [&["stoop", "cri", "ps", "--frob"][..], &["stoop", "cri", "ps", "-o", "wide"]] {
            assert_eq!(told(other), None, "{other:?}");
        }
    }

    #[test]
    fn invalid_values_are_reported_in_parts() {
        let told = |line: &[&str]| {
            let (error, words) = wrong(line);
            invalid_value(&error, &words).map(|failure| match failure {
                Failure::Report(report) => report.text(),
                other => other.summary(),
            })
        };
        let pattern = told(&["stoop", "ls", "--name", "["]).unwrap();
        let expected = "error: invalid value '[' for '--name <GLOB>'\n  why:  unclosed '['; write \\[ to match the \
                        character itself\n  next: stoop ls --help\n";
        assert_eq!(pattern, expected);
        let column = told(&["stoop", "ls", "--columns", "adress"]).unwrap();
        assert!(
            column.contains("possible values: address, path, service, kind")
                && column.contains("exists: 'address'"),
            "{column}"
        );
        let address = told(&["stoop", "ls", "tcp:x"]).unwrap();
        assert!(address.starts_with("error: invalid value 'tcp:x' for 'ADDR'\n"), "{address}");
        for other in [&["stoop", "ls", "--columns"][..], &["stoop", "ls", "--nosuch"], &["stoop", "nosuch"]] {
            assert_eq!(told(other), None, "{other:?}");
        }
    }
}
