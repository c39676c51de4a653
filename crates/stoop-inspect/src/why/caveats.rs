//! Names what affects the result in addition to files and sockets and cannot be consulted, so that
//! its absence is not taken for permission. Pure.

use stoop::escaped;

use super::facts::{Facts, Security};
use super::messages::quoted;
use super::question::Who;
use super::verdict::Verdict;

/// Security modules that never deny one of these calls.
const SILENT: &[&str] =
    &["capability", "yama", "lockdown", "integrity", "safesetid", "loadpin", "ima", "evm"];

/// File systems that check permissions by their own rules, or on another machine.
const OWN_RULES: &[&str] = &["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "virtiofs"];

/// Returns the verdict with everything that may still change it.
pub(super) fn add(facts: &Facts, verdict: Verdict) -> Verdict {
    let Security { modules, label, seccomp, no_new_privileges } = &facts.security;
    let mut lines = Vec::new();
    let others =
        modules.iter().flatten().filter(|name| !SILENT.contains(&name.as_str()) && *name != "landlock");
    let others: Vec<String> = others.map(|name| escaped(name).to_string()).collect();
    if !others.is_empty() {
        let label = label.as_ref().map_or(String::new(), |label| format!(" (label '{}')", escaped(label)));
        lines.push(format!(
            "a security module may still forbid it: {}{label}; not consulted",
            others.join(", ")
        ));
    }
    let is_process = matches!(facts.question.subject, Who::Process(_));
    let landlock = modules.iter().flatten().any(|name| name == "landlock");
    if is_process && landlock && *no_new_privileges == Some(true) {
        lines.push(
            "the process may have restricted itself with Landlock: that is not visible from outside"
                .to_owned(),
        );
    }
    if is_process && *seccomp == Some(true) {
        lines.push(
            "the process's system calls are filtered (seccomp): the filter may return another result"
                .to_owned(),
        );
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

/// Returns a file system in the path whose decision cannot be predicted.
fn foreign(facts: &Facts) -> Option<String> {
    let steps = facts.walk.iter().flat_map(|walk| &walk.steps);
    let mut systems = steps.map(|step| step.directory.mount.file_system.as_str());
    let is_foreign = |name: &&str| OWN_RULES.contains(name) || name.starts_with("fuse");
    systems.find(is_foreign).map(|name| escaped(name).to_string())
}
