//! Formats the answer for people: the question, the walk, the cause.

use stoop::escaped;
use stoop_inspect::internal::Probe;
use stoop_inspect::internal::symbol;
use stoop_inspect::why::{Operation, Outcome, Who};

use super::super::prediction::Prediction;
use super::listing::listing;
use crate::advice::commands;
use crate::failure::parts;

/// Formats the answer as text: the question, the walk, the cause.
pub(in crate::commands::why) fn render(answer: &Prediction) -> Vec<u8> {
    let verdict = &answer.verdict;
    let mut text = format!("{}: {}\n\n", asked(answer), outcome(verdict.outcome));
    let listing = listing(&answer.facts, verdict);
    if !listing.is_empty() {
        text += &listing;
        text.push('\n');
    }
    let seen: Vec<String> = verdict.seen.iter().cloned().chain(answer.found.clone()).collect();
    let why = std::slice::from_ref(&verdict.why);
    let tried = answer.tried.iter().map(|tried| compared(answer, tried));
    let tried: Vec<String> = tried.chain(answer.denied.clone()).chain(answer.refusal()).collect();
    text += &parts(&[
        ("why:", why),
        ("seen:", &seen),
        ("note:", &verdict.caveats),
        ("next:", &commands(answer.facts.question.operation, &verdict.advice)),
        ("tried:", &tried),
    ]);
    text.into_bytes()
}

/// Formats `connect to '/run/app.sock' as alice`.
fn asked(answer: &Prediction) -> String {
    let question = &answer.facts.question;
    let what = match question.operation {
        Operation::Connect => format!("connect to '{}'", question.address),
        Operation::Bind => format!("bind '{}'", question.address),
        Operation::Send { len_bytes: 1 } => format!("send 1 byte to '{}'", question.address),
        Operation::Send { len_bytes } => format!("send {len_bytes} bytes to '{}'", question.address),
    };
    let command = answer.facts.subject.as_ref().and_then(|subject| subject.command.as_ref());
    match &question.subject {
        Who::CurrentProcess => what,
        Who::User(user) => format!("{what} as {}", escaped(user)),
        Who::Process(pid) => {
            let command = command.map_or(String::new(), |name| format!(" ({})", escaped(name)));
            format!("{what} by process {pid}{command}")
        }
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Succeeds => "would succeed".into(),
        Outcome::Waits => "would block, or fail with EAGAIN if nonblocking".into(),
        Outcome::Fails(errno) => format!("would fail with {}", symbol(errno)),
        Outcome::Unknown => "cannot be determined from here".into(),
    }
}

/// Formats the result of the attempt, and whether it agrees with the prediction.
fn compared(answer: &Prediction, tried: &Probe) -> String {
    let came = match tried {
        Probe::Succeeded | Probe::Closed => "it succeeded".to_owned(),
        Probe::Failed(errno) => format!("it failed with {}", symbol(*errno)),
        Probe::NotMade(why) => return format!("not made: {why}"),
    };
    if let Some(lacks) = answer.not_imitated() {
        return format!(
            "{came} for a thread with the user, groups, capabilities, files and network of the process, \
             but without its {lacks}"
        );
    }
    match answer.agrees() {
        Some(false) if answer.may_be_refused() => {
            format!("{came}: one of the mechanisms in the notes, which are not consulted, refuses it")
        }
        Some(true) => format!("{came}, as predicted"),
        Some(false) => format!(
            "{came}, which was not predicted: please report this, with the output of the same command with --json \
             (unless something changed meanwhile: run it again)"
        ),
        None => came,
    }
}
