//! Creates the question from the flags, and answers it.

use std::time::Duration;

use stoop::internal::Place;
use stoop_inspect::internal::{Cause, Delivery, Probe, denial_of_probe, gather, probe_and_listen, why};
use stoop_inspect::why::{Errno, Operation, Question, Who};

use super::prediction::Prediction;
use super::render::{json, text};
use crate::args::{Op, Why};
use crate::descriptor_limit;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;
use crate::target::kind_of;

/// How long `--try` waits for a server that refuses its client.
const PATIENCE: Duration = Duration::from_millis(300);

/// Answers the question given by the flags.
pub(crate) fn run(flags: &Why) -> Outcome {
    let (question, found) = question(flags)?;
    let facts = gather(&question).map_err(|error| not_inspected(&question, &error))?;
    let verdict = why(&facts);
    let delivery = if flags.deliver { Delivery::Allowed } else { Delivery::Withheld };
    // A lookup that does not return would not return to the attempt, either.
    let may_try = flags.attempt && verdict.cause != Cause::NotResponding;
    let tried = may_try.then(|| probe_and_listen(&facts, delivery, PATIENCE));
    let is_refused = matches!(tried, Some(Probe::Failed(Errno::PERM | Errno::ACCESS)));
    let denied = is_refused.then(|| denial_of_probe(&facts)).flatten();
    let answer = Prediction { facts, verdict, tried, denied, found };
    print(&if flags.json { json::line(&answer) } else { text::render(&answer) })?;
    Ok(answer.exit())
}

/// Without `/proc`, nothing is known of any process, not even of this one.
fn not_inspected(question: &Question, error: &std::io::Error) -> Failure {
    if descriptor_limit::is_reached(error.raw_os_error()) {
        return Failure::new(Exit::Partial, format!("cannot inspect '{}'", question.address))
            .why("this process has too few free file descriptors: what it could not open would look absent")
            .seen(descriptor_limit::words())
            .next(descriptor_limit::command())
            .into();
    }
    if error.kind() != std::io::ErrorKind::NotFound {
        return Failure::io(format_args!("inspect '{}'", question.address), error);
    }
    Failure::new(Exit::Failed, format!("cannot inspect '{}'", question.address))
        .why("/proc is not mounted here, so it is not known what a process may access")
        .next("sudo mount -t proc proc /proc    # in the mounts and the root directory of this shell")
        .into()
}

/// Creates the question, and says how its address was found if a name was given.
fn question(flags: &Why) -> Result<(Question, Option<String>), Failure> {
    let (target, found) = flags.address.target()?;
    let Place::Address(address) = &target.place else {
        return Err(Failure::usage(
            format!("'{target}' is not an address that a call can be made with"),
            "a path, or an abstract name such as '@name', is needed",
        ));
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
                "--try cannot be used with --op send alone",
                "it sends a message that is delivered: add --deliver to allow that",
            ));
        }
        (Op::Connect | Op::Bind, _, true) => {
            return Err(Failure::usage("--deliver cannot be used here", "only --op send delivers a message"));
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
