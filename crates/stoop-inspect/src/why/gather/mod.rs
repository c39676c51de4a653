//! Inspects the machine for the facts of a verdict. The only part of `why` that does I/O.
//!
//! Files are looked up in the subject's view: from its root or its working directory, in its
//! mounts. What this process may not read is recorded as unknown. This module draws no conclusions.

pub(crate) mod denials;
mod elsewhere;
mod file;
mod id_maps;
mod mounts;
mod other_server;
mod owner;
pub(crate) mod settings;
mod silent;
mod sockets;
pub(crate) mod subject;
mod traces;
mod units;
mod users;
mod walk;

use std::io;
use std::path::Path;
use std::time::Duration;

use stoop::internal::responding;

use super::facts::{Facts, File, Found, Names, OtherServer, Security, Traces, Walk};
use super::question::{Operation, Question, Who};
use crate::asker::AskerRights;
use crate::free_descriptors;

/// Gathers all facts that the verdict on this question is based on.
///
/// This takes some milliseconds. It blocks only on the file system and on `/proc`, and does not
/// disturb servers: a socket that is probed does not notice it ([K-PROBE-2], [K-PROBE-8]).
///
/// # Errors
/// Returns an error if not even `/proc` can be read, or if this process has too few free file
/// descriptors. What is merely hidden is recorded in the facts as unknown.
///
/// [K-PROBE-2]: stoop::kernel_facts#K-PROBE-2
/// [K-PROBE-8]: stoop::kernel_facts#K-PROBE-8
pub fn gather(question: &Question) -> io::Result<Facts> {
    gather_at(question, denials::now())
}

fn is_shut_out(question: &Question) -> bool {
    let is_relative = question.address.as_pathname().is_some_and(Path::is_relative);
    let found = || std::env::current_dir().and_then(std::fs::metadata);
    is_relative && found().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Gathers all facts for a question that was asked at a time.
fn gather_at(question: &Question, asked_at: Duration) -> io::Result<Facts> {
    free_descriptors::check()?;
    let mut facts = Facts {
        question: question.clone(),
        subject: None,
        asker_uid: rustix::process::geteuid().as_raw(),
        asker_rights: AskerRights::read(),
        asker_is_shut_out: is_shut_out(question),
        walk: None,
        not_responding: None,
        sockets: None,
        alive: None,
        other_server: OtherServer::Unexamined,
        near: Vec::new(),
        hidden_networks: false,
        limits: settings::limits(),
        security: Security { asked_at, ..settings::security(question) },
        names: Names::default(),
        traces: Traces::default(),
    };
    let users = users::Users::read();
    let Some(found) = subject::find(&question.subject, &users)? else { return Ok(facts) };
    look(&mut facts, &found)?;
    if has_appeared(&facts) {
        look(&mut facts, &found)?;
    }
    read_denials(&mut facts);
    facts.names = users.names_for(&ids(&found.subject, facts.walk.as_ref()));
    id_maps::Shown::read().retain_known(&mut facts.names);
    facts.subject = Some(found.subject);
    facts.traces = traces::find(&facts, &users);
    Ok(facts)
}

/// Gathers what the address leads to.
fn look(facts: &mut Facts, found: &subject::SubjectContext) -> io::Result<()> {
    let mut reached = None;
    if let Some(path) = facts.question.address.as_pathname() {
        let walked = walk::walk(path, found, facts.question.operation == Operation::Bind);
        facts.not_responding = walked.not_responding.map(silent::mount);
        (facts.walk, reached) = (walked.walk, walked.reached);
    }
    sockets::inspect(facts, found, reached)
}

/// Returns whether a file has appeared at a path while this process looked elsewhere: a server may
/// be starting.
fn has_appeared(facts: &Facts) -> bool {
    let is_ours = !matches!(facts.question.subject, Who::Process(_));
    let last = facts.walk.as_ref().and_then(|walk| walk.steps.last());
    let is_missing = last.is_some_and(|step| matches!(step.found, Found::Nothing));
    is_ours
        && is_missing
        && facts.question.address.as_pathname().is_some_and(|path| responding::stat(path).is_ok())
}

/// Reads what was denied. Not every mechanism that denies calls is visible: one that was set by a
/// single thread, or Landlock.
pub(crate) fn read_denials(facts: &mut Facts) {
    let recent = denials::recent();
    facts.security.denials_hidden = recent.is_none() && super::caveats::may_deny(&facts.security);
    facts.security.denials = recent.unwrap_or_default();
    facts.security.booted_at = denials::booted_at();
}

#[cfg(feature = "fuzzing")]
/// Parses arbitrary bytes as file attributes and as texts of `/proc`, for the fuzzer.
pub(crate) fn read_anything(data: &[u8]) {
    let _ = (file::entries(data), subject::from_status(data), id_maps::parse(data));
    let _ = super::audit_record::denials(String::from_utf8_lossy(data).lines());
    let _ = subject::ranges(std::str::from_utf8(data).ok().map(str::to_owned), true);
}

/// Returns every id that a text may mention: users, then groups.
fn ids(subject: &super::facts::Subject, walk: Option<&Walk>) -> (Vec<u32>, Vec<u32>) {
    let mut users = vec![subject.uid];
    let mut groups = subject.groups.clone();
    groups.extend(subject.account_groups.iter().flatten());
    groups.push(subject.gid);
    let failing = walk.iter().flat_map(|walk| &walk.steps).filter_map(|step| match &step.found {
        Found::Failing { mount, .. } => mount.only_user,
        _ => None,
    });
    users.extend(failing.map(|user| user.uid));
    for file in walk.into_iter().flat_map(files) {
        users.push(file.uid);
        users.extend(file.mount.only_user.map(|user| user.uid));
        groups.push(file.gid);
        for entry in file.acl.iter().flatten() {
            match entry.who {
                super::facts::AclWho::User(uid) => users.push(uid),
                super::facts::AclWho::Group(gid) => groups.push(gid),
                _ => {}
            }
        }
    }
    (users, groups)
}

fn files(walk: &Walk) -> impl Iterator<Item = &File> {
    walk.steps
        .iter()
        .flat_map(|step| {
            let found = match &step.found {
                Found::File(file) | Found::Link { link: file, .. } | Found::Magic { link: file, .. } => {
                    Some(file)
                }
                Found::Nothing | Found::Hidden(_) | Found::NotResponding | Found::Failing { .. } => None,
            };
            std::iter::once(&step.directory).chain(found)
        })
        .chain(&walk.reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::denials::just_denied;
    use crate::why::facts::{Denial, Mechanism};
    use crate::why::tests::facts;
    use stoop::Address;

    /// On a loaded machine, or one with many sockets, the inspection takes longer than a denial is
    /// held against a call that has just failed.
    #[test]
    fn a_denial_is_as_old_as_when_the_question_was_asked() {
        let question = Question {
            operation: Operation::Connect,
            kind: None,
            address: Address::path("/run/none/app.sock").unwrap(),
            subject: Who::CurrentProcess,
        };
        let denied_at = denials::now() - Duration::from_secs(60);
        let denial = Denial {
            at: denied_at,
            by: Mechanism::AppArmor,
            pid: None,
            command: None,
            what: "connect".into(),
            path: Some(b"/run/none/app.sock".to_vec()),
            ino: None,
            rule: None,
        };
        let said = |asked_at: Duration| {
            let mut facts = gather_at(&question, asked_at).unwrap();
            facts.security.denials = vec![denial.clone()];
            just_denied(&facts)
        };
        assert!(said(denied_at + Duration::from_secs(1)).unwrap().contains("connect"));
        assert_eq!(said(denials::now()), None);
    }

    #[test]
    fn a_file_that_has_appeared_is_noticed() {
        let dir = stoop_testkit::tempdir();
        let path = dir.path().join("app.sock");
        let mut missing = facts(Operation::Connect);
        missing.question.address = Address::path(&path).unwrap();
        missing.walk.as_mut().unwrap().steps.last_mut().unwrap().found = Found::Nothing;
        assert!(!has_appeared(&missing));
        std::fs::write(&path, "").unwrap();
        assert!(has_appeared(&missing));
        // Another process may have another view of the files.
        missing.question.subject = Who::Process(1);
        assert!(!has_appeared(&missing));
    }
}
