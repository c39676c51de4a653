//! Names what affects the result in addition to files and sockets and cannot be consulted, so that
//! its absence is not taken for permission. Pure.

use stoop::escaped;
use stoop::internal::file_system::is_served;

use super::denials;
use super::facts::{Facts, Security};
use super::messages::{Messages, quoted};
use super::question::{Operation, Who};
use super::verdict::Verdict;

/// Security modules that never deny one of these calls.
const SILENT: &[&str] =
    &["capability", "yama", "lockdown", "integrity", "safesetid", "loadpin", "ima", "evm", "ipe"];

/// Returns the verdict with everything that may still change it.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let Security { modules, label, seccomp, no_new_privileges, .. } = &facts.security;
    let mut lines = Vec::new();
    lines.extend(
        denials::latest(facts, facts.security.asked_at).map(|(denial, age)| denials::observed(denial, age)),
    );
    if facts.security.denials_hidden {
        let note = "records of denied calls may not be read from here: see 'journalctl -k' or 'ausearch -m avc,seccomp,landlock -ts recent'";
        lines.push(note.to_owned());
    }
    let others =
        modules.iter().flatten().filter(|name| !SILENT.contains(&name.as_str()) && *name != "landlock");
    if modules.is_none() {
        let note =
            "which security modules are in use is not visible (securityfs is not mounted): one may forbid it";
        lines.push(note.to_owned());
    }
    let others: Vec<String> = others.map(|name| escaped(name).to_string()).collect();
    // BPF is in the list of most kernels. Programs that forbid something are rare.
    if others.iter().any(|name| name != "bpf") {
        let label = label.as_ref().map_or(String::new(), |label| format!(" (label '{}')", escaped(label)));
        lines.push(format!(
            "a security module may still forbid it: {}{label}; not consulted",
            others.join(", ")
        ));
    }
    let is_process = matches!(facts.question.subject, Who::Process(_));
    let landlock = modules.iter().flatten().any(|name| name == "landlock");
    let whose = if is_process { "the process" } else { "this process" };
    if landlock && *no_new_privileges == Some(true) {
        lines.push(format!("{whose} may have been restricted with Landlock: that is not visible"));
    }
    // Whether our own filter lets a connect or a send pass was determined.
    if *seccomp == Some(true) && (is_process || facts.question.operation == Operation::Bind) {
        lines.push(format!(
            "the system calls of {whose} are filtered (seccomp): the filter may return another result"
        ));
    }
    lines.extend(foreign(facts).map(|name| {
        format!(
            "the file system {name} checks permissions itself or on another machine: its result may differ"
        )
    }));
    let files = || {
        facts.walk.iter().flat_map(|walk| walk.steps.iter().map(|step| &step.directory).chain(&walk.reached))
    };
    if let Some(file) = files().find(|file| file.mount.maps_ids) {
        lines.push(format!(
            "owners are mapped on the mount of {}: they are shown and checked as seen through it",
            quoted(&file.path)
        ));
    }
    if let Some(file) = files().find(|file| file.acl.is_none() && file.granted.is_some()) {
        lines.push(format!(
            "the access list of {} cannot be read: the kernel was queried for our permissions",
            quoted(&file.path)
        ));
    }
    lines.into_iter().fold(verdict, Verdict::caveat)
}

/// Returns whether there is a mechanism that may deny a call, and log that it did.
pub(super) fn may_deny(security: &Security) -> bool {
    let named = |name: &&String| !SILENT.contains(&name.as_str()) && *name != "bpf" && *name != "landlock";
    security.modules.iter().flatten().any(|name| named(&name))
        || security.seccomp == Some(true)
        || security.no_new_privileges == Some(true)
}

/// Names the security mechanisms that may have forbidden a call of this process, one line each.
pub(super) fn mechanisms(facts: &Facts) -> Vec<String> {
    let none = Verdict::unknown("");
    add(facts, none).caveats
}

/// Returns whether the subject may be forbidden to use the abstract names of other processes:
/// Landlock can do that since Linux 6.12 ([K-NAME-13]), to a process that can gain no privileges,
/// and shows no other process that it did.
///
/// [K-NAME-13]: stoop::kernel_facts#K-NAME-13
pub(super) fn may_be_scoped(facts: &Facts) -> bool {
    let Security { modules, no_new_privileges, .. } = &facts.security;
    let has_landlock = modules.as_ref().is_none_or(|names| names.iter().any(|name| name == "landlock"));
    let is_abstract = facts.question.address.as_abstract_name().is_some();
    is_abstract
        && facts.question.operation != Operation::Bind
        && has_landlock
        && *no_new_privileges == Some(true)
}

/// Returns the verdict on a call that succeeds unless Landlock forbids it.
pub(super) fn scoped(facts: &Facts, verdict: Verdict) -> Verdict {
    let why = "nothing else prevents it, but whether Landlock restricts the process to the abstract names of its own sandbox is not visible";
    let no_new = format!(
        "{} can gain no privileges (NoNewPrivs: 1), as a process that Landlock restricts",
        Messages(facts).who()
    );
    add(facts, Verdict::unknown(why).seen_all(verdict.seen).seen(no_new))
}

/// Returns the verdict on a call that would succeed, but that the subject was denied before:
/// whether the profile or the filter is still the same is not visible.
pub(super) fn denied_before(facts: &Facts, verdict: Verdict) -> Verdict {
    let (denial, _) = denials::of_subject(facts).expect("the caller saw it");
    let why = format!(
        "nothing else prevents it, but {} has denied it before, and whether it still does is not visible",
        denial.by.name()
    );
    add(facts, Verdict::unknown(why).seen_all(verdict.seen))
}

/// Returns a file system in the path whose decision cannot be predicted.
fn foreign(facts: &Facts) -> Option<String> {
    let steps = facts.walk.iter().flat_map(|walk| &walk.steps);
    let mut systems = steps.map(|step| step.directory.mount.file_system.as_str());
    systems.find(|name| is_served(name)).map(|name| escaped(name).to_string())
}
