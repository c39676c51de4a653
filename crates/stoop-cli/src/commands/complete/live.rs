//! Asks the server that was typed, within a short time: it is connected to only for the arguments
//! of a verb that connects to it.

#[cfg(feature = "http")]
use std::time::Instant;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::endpoint::Endpoint;

/// Parses the words before the one that is completed, as far as they are a command.
pub(super) fn parsed(words: &[String]) -> Option<Verb> {
    let words = words.iter().map(|word| expanded(word));
    Cli::try_parse_from(std::iter::once("stoop".to_owned()).chain(words)).ok().map(|cli| cli.verb)
}

/// Returns a word with the home directory in place of `~`, which a shell expands only later.
fn expanded(word: &str) -> String {
    match (word.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => word.to_owned(),
    }
}

/// Returns whether a server can be asked: an inherited socket belongs to the command itself.
pub(super) fn is_reachable(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Named(_) => true,
        Endpoint::At(target) => matches!(target.place, stoop::internal::Place::Address(_)),
    }
}

/// Runs a future to its end, or until this time.
#[cfg(feature = "http")]
pub(super) fn until<T>(end: Instant, asking: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = crate::runtime::start().ok()?;
    runtime.block_on(async { tokio::time::timeout_at(end.into(), asking).await.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parsed_as_far_as_they_are_a_command() {
        let parsed = |line: &str| {
            parsed(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).map(|verb| format!("{verb:?}"))
        };
        assert!(parsed("ls --all").is_some_and(|verb| verb.starts_with("Ls")));
        assert_eq!(parsed("ls --nosuch"), None);
        assert_eq!(parsed("nosuch"), None);
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_server_that_hangs_is_given_up() {
        let end = Instant::now() + std::time::Duration::from_millis(20);
        assert_eq!(until(end, std::future::pending::<Option<()>>()), None);
        assert!(Instant::now() >= end);
        assert_eq!(until(Instant::now() + std::time::Duration::from_secs(60), async { Some(1) }), Some(1));
    }
}
