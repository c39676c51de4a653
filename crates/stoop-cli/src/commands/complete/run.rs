//! Prints candidates, within a time limit.

use std::collections::HashSet;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use clap::CommandFactory;

use super::args::{Asking, Complete};
use super::machine::Candidate;
use super::slot;
use super::values;
use super::{bash, limits};
use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::output::print;

/// Prints the candidates.
pub(crate) fn run(flags: &Complete) -> Outcome {
    let words: Option<Vec<String>> =
        flags.words.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let mut text = String::new();
    match (flags.shell, words.as_deref()) {
        (Asking::Bash, Some([line, replaced])) => {
            let split = bash::split(line);
            let is_assignment = |word: &&String| word.contains('=');
            let words = split.words.iter().skip_while(is_assignment).skip(1).cloned().collect();
            for candidate in candidates(words) {
                text += &split.insertion(line, replaced, &candidate.value);
                text.push('\n');
            }
        }
        (Asking::Zsh | Asking::Fish, Some(words)) => {
            for Candidate { value, about } in candidates(words.to_vec()) {
                text += &format!("{value}\t{}\n", about.replace(char::is_control, " "));
            }
        }
        _ => {}
    }
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Returns the candidates for the last of these words, without duplicates.
fn candidates(words: Vec<String>) -> Vec<Candidate> {
    let (sender, found) = mpsc::channel();
    let search = thread::spawn(move || {
        let mut cli = Cli::command();
        cli.build();
        if let Some(slot) = slot::find(&cli, &words) {
            values::offer(&cli, &slot, &words, &mut |candidate| {
                // The receiver has gone if this is too late.
                let _ = sender.send(candidate);
            });
        }
    });
    let mut seen = HashSet::new();
    let mut found = within(limits::search(), &found);
    found.retain(|candidate| seen.insert(candidate.value.clone()));
    // One that hangs ends with this process.
    if search.is_finished() {
        let _ = search.join();
    }
    found
}

/// Returns what arrives within the time limit.
fn within<T>(limit: Duration, arriving: &Receiver<T>) -> Vec<T> {
    let end = Instant::now() + limit;
    let next = || arriving.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_hangs_does_not_block() {
        let (sender, found) = mpsc::channel();
        sender.send(1).unwrap();
        // The sender stays, as that of a thread which waits for a file system.
        assert_eq!(within(Duration::from_millis(20), &found), [1]);
        drop(sender);
        assert_eq!(within(Duration::from_secs(60), &found), [0; 0]);
    }

    #[test]
    fn values_are_completed() {
        let values = |line: &[&str]| -> Vec<String> {
            let words = line.iter().map(|word| (*word).to_owned()).collect();
            candidates(words).into_iter().map(|candidate| candidate.value).collect()
        };
        assert_eq!(values(&["cl"]), ["close"]);
        assert_eq!(values(&["ls", "--kind", "s"]), ["stream", "seqpacket"]);
        assert_eq!(values(&["ls", "--columns", "address,ki"]), ["address,kind"]);
        assert_eq!(values(&["ls", "--state=wai"]), ["--state=waiting"]);
        assert_eq!(values(&["ls", "--allo"]), [""; 0]);
        assert_eq!(values(&["serve", "--allow-u"]), ["--allow-uid"]);
        assert_eq!(values(&["serve", "--owner", "roo"]), ["root"]);
        assert_eq!(values(&["serve", "--group=roo"]), ["--group=root"]);
        assert_eq!(values(&["man", "clo"]), ["close"]);
        assert_eq!(values(&["completions", "fi"]), ["fish"]);
        assert_eq!(values(&["who", "dock"]), ["docker"]);
        assert!(values(&["who", &format!("pid:{}", std::process::id())])[0].starts_with("pid:"));
        assert!(!values(&["", ""]).contains(&"complete".to_owned()));
    }

    #[cfg(all(feature = "bench", feature = "grpc", feature = "http"))]
    #[test]
    fn values_of_optional_commands_are_completed() {
        let values = |line: &[&str]| -> Vec<String> {
            let words = line.iter().map(|word| (*word).to_owned()).collect();
            candidates(words).into_iter().map(|candidate| candidate.value).collect()
        };
        assert_eq!(values(&["http", "docker", "DEL"]), ["DELETE"]);
        assert_eq!(values(&["bench", "--transports", "stream,memory-s"]), ["stream,memory-spin"]);
        assert_eq!(values(&["bench", "--workloads", "one"]), ["one-way"]);
        assert_eq!(values(&["grpc", "cri", "lis"]), ["list"]);
        let method = "runtime.v1.RuntimeService/Vers";
        assert_eq!(values(&["grpc", "cri", method]), ["runtime.v1.RuntimeService/Version"]);
    }
}
