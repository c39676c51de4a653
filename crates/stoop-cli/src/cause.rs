//! Explains why an operation failed, with the same prediction as `stoop why`. The prediction is
//! made after the failure, and used only if it predicts the very error that occurred. The library
//! itself explains everything else: what is not about a plain call, and what has changed meanwhile.

use stoop::explain::Explanation;
use stoop::{ErrorKind, Operation as Tried};
use stoop_inspect::why::{Advice, Cause, Operation, Outcome, Question, Verdict, Who, facts, why};

/// Returns the cause, as far as it can be determined.
pub(crate) fn of(error: &stoop::Error) -> Explanation {
    predicted(error).unwrap_or_else(|| error.explain())
}

fn predicted(error: &stoop::Error) -> Option<Explanation> {
    let question = question(error)?;
    let verdict = why(&facts::gather(&question).ok()?);
    if !predicts(&verdict, error) {
        return None;
    }
    let mut explanation = Explanation::default();
    let next = crate::advice::commands(&verdict.advice);
    explanation.next = next.into_iter().chain(show_path(verdict.cause, &question)).collect();
    explanation.why = verdict.why;
    explanation.seen = verdict.seen.into_iter().chain(verdict.caveats).collect();
    Some(explanation)
}

/// Returns the call that failed, if it was a plain call with an address.
fn question(error: &stoop::Error) -> Option<Question> {
    let operation = match (error.operation(), error.kind()) {
        (Tried::Connect, _) => Operation::Connect,
        // Only the process that tried knows why a stale file was not replaced, and who has the
        // name.
        (Tried::Bind, ErrorKind::AddressInUse) => return None,
        (Tried::Bind, _) => Operation::Bind,
        // Only the sender knows the size of the message.
        (Tried::Send, ErrorKind::MessageTooLarge) => return None,
        (Tried::Send, _) => Operation::Send { len_bytes: 1 },
        _ => return None,
    };
    let address = error.subject().filter(|address| !address.is_unnamed())?.clone();
    Some(Question { operation, kind: error.socket_kind(), address, subject: Who::CurrentProcess })
}

fn predicts(verdict: &Verdict, error: &stoop::Error) -> bool {
    match verdict.outcome {
        Outcome::Fails(errno) => Some(errno.raw_os_error()) == error.errno(),
        Outcome::Waits => error.is_would_block() || error.is_timed_out(),
        Outcome::Succeeds | Outcome::Unknown => false,
    }
}

/// Returns where to see more: the command that shows the path, if something in it is the cause.
fn show_path(cause: Cause, question: &Question) -> Option<String> {
    let tells_more = matches!(
        cause,
        Cause::NoSearch
            | Cause::NoSearchAcl
            | Cause::NoWrite
            | Cause::NoWriteAcl
            | Cause::ParentNotWritable
            | Cause::ParentNotWritableAcl
            | Cause::ParentMissing
            | Cause::NotADirectory
            | Cause::Dangling
            | Cause::LinkLoop
            | Cause::LinksNotFollowed
            | Cause::ProtectedLink
            | Cause::ReadOnly
    );
    let (address, operation) = (question.address.clone(), question.operation);
    tells_more.then(|| crate::advice::command(&Advice::ShowPath { address, operation }))
}
