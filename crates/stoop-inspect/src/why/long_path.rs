//! A path that is too long for a socket address. Pure.

use rustix::io::Errno;
use stoop::internal::DIRECT_PATH_MAX_BYTES;

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::{Facts, Nearness};
use super::messages::{Messages, quoted};
use super::question::Operation;
use super::verdict::{Outcome, Verdict};
use super::{bind, server};

/// Returns the verdict on a call with such a path.
pub(super) fn too_long(facts: &Facts, len_bytes: usize) -> Verdict {
    let why = format!("the path has {len_bytes} bytes, and a socket address holds {DIRECT_PATH_MAX_BYTES}");
    let verdict = Verdict::fails(Errno::NAMETOOLONG, Cause::PathTooLong, why)
        .seen("libraries reject it before the call, which would fail with EINVAL");
    // What a call would meet that reaches paths of any length.
    let beyond = match facts.question.operation {
        Operation::Bind => bind::judge(facts),
        Operation::Connect | Operation::Send { .. } => server::judge(facts),
    };
    match (truncated(facts, verdict), beyond.outcome) {
        (Ok(verdict), _) => verdict,
        (Err(verdict), Outcome::Succeeds) => verdict.advise_all(by_directory(facts)),
        (Err(verdict), _) => verdict.seen(beyond.why).advise_all(beyond.advice),
    }
}

/// Adds a server whose program has silently truncated the path, if there is one.
fn truncated(facts: &Facts, verdict: Verdict) -> Result<Verdict, Verdict> {
    let Some(near) = facts.near.iter().find(|near| near.how == Nearness::Truncated) else {
        return Err(verdict);
    };
    let path = near.address.as_pathname().unwrap_or("".as_ref());
    let seen = format!(
        "a live server has the first {} bytes of this path, {}: its program truncated it",
        path.as_os_str().len(),
        quoted(path)
    );
    let client = Action::Connect { at: advise::other_site(&near.address), kind: None };
    Ok(verdict.seen(seen).seen_all(Messages(facts).owners(&near.socket)).advise(client))
}

/// Returns how a path of any length is reached by way of its directory.
fn by_directory(facts: &Facts) -> Vec<Action> {
    let at = advise::site(facts);
    let Operation::Bind = facts.question.operation else { return vec![Action::ConnectByLongPath(at)] };
    let path = facts.question.address.as_pathname().map(|path| advise::reached(facts, path));
    let parts = path.as_deref().and_then(|path| Some((path.parent()?, path.file_name()?)));
    let enter = parts.map(|(directory, name)| Action::EnterDirectory {
        directory: directory.to_owned(),
        name: name.to_owned(),
    });
    std::iter::once(Action::BindByLongPath(at)).chain(enter).collect()
}
