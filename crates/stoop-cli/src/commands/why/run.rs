//! Creates the question from the flags, and the exit code from the verdict.

use stoop::Place;
use stoop_inspect::why::{Facts, Operation, Outcome, Question, Verdict, Who, gather, why};
use stoop_inspect::{Delivery, Probe, probe};

use super::render::{json, text};
use crate::args::{Op, Why};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome as Ended};
use crate::output::print;
use crate::target::kind_of;

/// The complete answer.
pub(super) struct Prediction {
    pub(super) facts: Facts,
    pub(super) verdict: Verdict,
    /// The result of `--try`.
    pub(super) tried: Option<Probe>,
    /// How a server that was given by name was found.
    pub(super) found: Option<String>,
}

/// Answers the question given by the flags.
pub(crate) fn run(flags: &Why) -> Ended {
    let (question, found) = question(flags)?;
    let facts = gather(&question)
        .map_err(|error| Failure::io(format_args!("inspect '{}'", question.address), &error))?;
    let verdict = why(&facts);
    let delivery = if flags.deliver { Delivery::Allowed } else { Delivery::Withheld };
    let tried = flags.attempt.then(|| probe(&facts, delivery));
    let answer = Prediction { facts, verdict, tried, found };
    print(&if flags.json { json::line(&answer) } else { text::render(&answer) })?;
    Ok(answer.exit())
}

/// Creates the question, and says how its address was found if a name was given.
fn question(flags: &Why) -> Result<(Question, Option<String>), Failure> {
    let (target, found) = flags.address.target()?;
    let Place::Address(address) = &target.place else {
        return Err(Failure::usage(format!("'{target}' is not an address that a call can be made with")));
    };
    let kind = kind_of(&target, flags.kind.kind)?;
    let operation = match flags.operation {
        Op::Connect => Operation::Connect,
        Op::Bind => Operation::Bind,
        Op::Send => Operation::Send { len_bytes: flags.size },
    };
    match (flags.operation, flags.attempt, flags.deliver) {
        (Op::Send, true, false) => {
            return Err(Failure::usage(
                "--try would send a message that is delivered: add --deliver to allow that",
            ));
        }
        (Op::Connect | Op::Bind, _, true) => {
            return Err(Failure::usage("--deliver requires --op send"));
        }
        _ => {}
    }
    let subject = match (&flags.user, flags.process) {
        (Some(user), _) => Who::User(user.clone()),
        (None, Some(pid)) => Who::Process(pid),
        (None, None) => Who::CurrentProcess,
    };
    Ok((Question { operation, kind, address: address.clone(), subject }, found))
}

impl Prediction {
    /// Returns whether the attempt agrees with the prediction, or `None` if there was no attempt.
    pub(super) fn agrees(&self) -> Option<bool> {
        let predicted = self.verdict.outcome;
        match self.tried.as_ref()? {
            Probe::NotMade(_) => None,
            _ if predicted == Outcome::Unknown => None,
            Probe::Succeeded => Some(predicted == Outcome::Succeeds),
            Probe::Failed(errno) => Some(match predicted {
                Outcome::Fails(said) => said == *errno,
                Outcome::Waits => *errno == rustix::io::Errno::AGAIN,
                _ => false,
            }),
        }
    }

    /// Determines the exit code: by the attempt if there was one, else by the prediction.
    fn exit(&self) -> Exit {
        match (&self.tried, self.verdict.outcome) {
            _ if self.agrees() == Some(false) => Exit::Failed,
            (Some(Probe::Succeeded), _) => Exit::Done,
            (Some(Probe::Failed(_)), _) => Exit::No,
            (Some(Probe::NotMade(_)), _) | (None, Outcome::Unknown) => Exit::Partial,
            (None, Outcome::Succeeds) => Exit::Done,
            (None, _) => Exit::No,
        }
    }
}
