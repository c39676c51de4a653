//! Formats the answer as a JSON line, a stable interface (`STABILITY.md`).

use serde::Serialize;
use stoop::{Kind, escaped};
use stoop_inspect::internal::Probe;
use stoop_inspect::internal::facts::{FileKind, Found, Step};
use stoop_inspect::internal::{Stop, symbol};
use stoop_inspect::why::{Operation, Outcome};

use super::super::prediction::Prediction;
use crate::advice::commands;
use crate::output::{SCHEMA, Text, push_json};

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    event: &'static str,
    address: Text,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    kind: &'static str,
    subject: Subject<'a>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<&'static str>,
    cause: &'static str,
    why: &'a str,
    seen: &'a [String],
    next: Vec<String>,
    cautions: &'a [String],
    walk: Vec<Component>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<Tried<'a>>,
}

/// The subject of the call. Ids are missing for an unknown user or process.
#[derive(Serialize)]
struct Subject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    groups: &'a [u32],
}

/// One component of the path.
#[derive(Serialize)]
struct Component {
    /// The directory in which it is looked up.
    directory: Text,
    name: Text,
    /// `file`, `directory`, `socket`, `link`, …; `nothing`, or `hidden`.
    found: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    /// The position at which the kernel stops: in the directory, or at the file that has the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    stops: Option<&'static str>,
}

#[derive(Serialize)]
struct Tried<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_made: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_predicted: Option<bool>,
    /// What the attempt lacked of the subject: mechanisms that may refuse the subject's own call.
    #[serde(skip_serializing_if = "Option::is_none")]
    without: Option<String>,
    /// What a security mechanism has logged about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'a str>,
    /// That the server closed the connection before it sent anything, and what is seen of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    closed: Vec<String>,
}

/// Formats the answer as a JSON line.
pub(in crate::commands::why) fn line(answer: &Prediction) -> Vec<u8> {
    let (facts, verdict) = (&answer.facts, &answer.verdict);
    let (operation, size) = match facts.question.operation {
        Operation::Connect => ("connect", None),
        Operation::Bind => ("bind", None),
        Operation::Send { len_bytes } => ("send", Some(len_bytes)),
    };
    let (outcome, errno) = match verdict.outcome {
        Outcome::Succeeds => ("succeeds", None),
        Outcome::Waits => ("waits", Some("EAGAIN")),
        Outcome::Fails(errno) => ("fails", Some(symbol(errno))),
        Outcome::Unknown => ("unknown", None),
    };
    let subject = facts.subject.as_ref();
    let steps = facts.walk.as_ref().map_or(&[][..], |walk| &walk.steps);
    let line = Line {
        schema: SCHEMA,
        event: "verdict",
        address: Text::from(&facts.question.address),
        operation,
        size,
        kind: any(facts.question.kind),
        subject: Subject {
            pid: subject.and_then(|subject| subject.pid),
            command: subject.and_then(|subject| subject.command.as_deref()),
            uid: subject.map(|subject| subject.uid),
            gid: subject.map(|subject| subject.gid),
            groups: subject.map_or(&[], |subject| &subject.groups),
        },
        outcome,
        errno,
        cause: verdict.cause.name(),
        why: &verdict.why,
        seen: &verdict.seen,
        next: commands(facts.question.operation, &verdict.advice),
        cautions: &verdict.caveats,
        walk: steps.iter().enumerate().map(|(at, step)| component(answer, at, step)).collect(),
        tried: answer.tried.as_ref().map(|tried| Tried {
            outcome: match tried {
                Probe::Succeeded | Probe::Closed => "succeeded",
                Probe::Failed(_) => "failed",
                Probe::NotMade(_) => "not-made",
            },
            errno: if let Probe::Failed(errno) = tried { Some(symbol(*errno)) } else { None },
            not_made: if let Probe::NotMade(why) = tried { Some(why) } else { None },
            as_predicted: answer.agrees(),
            without: answer.not_imitated(),
            denied: answer.denied.as_deref(),
            closed: answer.refusal(),
        }),
    };
    let mut text = Vec::new();
    push_json(&line, &mut text);
    text
}

fn component(answer: &Prediction, at: usize, step: &Step) -> Component {
    let (file, target) = match &step.found {
        Found::File(file) => (Some(file), None),
        Found::Link { link, target } => (Some(link), Some(Text(escaped(target).to_string()))),
        Found::Magic { link, .. } => (Some(link), None),
        Found::Nothing | Found::Hidden(_) | Found::NotResponding | Found::Failing { .. } => (None, None),
    };
    let found = match (&step.found, file.map(|file| file.kind)) {
        (Found::Nothing, _) => "nothing",
        (Found::Failing { .. }, _) => "failing",
        (Found::NotResponding, _) => "not-responding",
        (_, None) => "hidden",
        (_, Some(FileKind::Socket)) => "socket",
        (_, Some(FileKind::Directory)) => "directory",
        (_, Some(FileKind::Link)) => "link",
        (_, Some(FileKind::Regular)) => "file",
        (_, Some(FileKind::Fifo)) => "fifo",
        (_, Some(FileKind::Device)) => "device",
    };
    let stops = match answer.verdict.stop {
        Some(Stop::In(step)) if step == at => Some("directory"),
        Some(Stop::At(step)) if step == at => Some("name"),
        _ => None,
    };
    Component {
        directory: Text(escaped(step.directory.path.as_os_str().as_encoded_bytes()).to_string()),
        name: Text(escaped(&step.name).to_string()),
        found,
        target,
        mode: file.map(|file| format!("{:04o}", file.mode)),
        uid: file.map(|file| file.uid),
        gid: file.map(|file| file.gid),
        stops,
    }
}

/// Returns the word for a kind, or for any kind.
fn any(kind: Option<Kind>) -> &'static str {
    kind.map_or("any", Kind::word)
}
