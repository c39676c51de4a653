//! Which clients are relayed: by user, group, container or unit.

use std::ffi::OsString;

use clap::builder::{OsStringValueParser, TypedValueParser};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::Policy;
use stoop_inspect::Workload;
use stoop_inspect::internal::is_users_own;
use stoop_relay::{Admission, Candidate};

use crate::args::BindFlags;
use crate::args::selection::{read_glob_or_start, read_unit};
use crate::args::shared::ParseError;
use crate::names;
use crate::sockets::NamePattern;

/// A rule of `--allow`.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    User(u32),
    Group(u32),
    Container(NamePattern),
    Unit(NamePattern),
}

/// Returns a parser of such rules.
pub(super) fn who() -> impl TypedValueParser<Value = Who> {
    OsStringValueParser::new().try_map(|text| read(&text))
}

fn read(text: &OsString) -> Result<Who, ParseError> {
    let Some((class, name)) = text.to_str().and_then(|text| text.split_once(':')) else {
        return Err("not one of uid:USER, gid:GROUP, container:GLOB, unit:GLOB".into());
    };
    Ok(match class {
        "uid" => Who::User(names::parse_user(name)?),
        "gid" => Who::Group(names::parse_group(name)?),
        "container" => Who::Container(read_glob_or_start(name.into())?),
        "unit" => Who::Unit(read_unit(name.into())?),
        _ => return Err(format!("'{class}:' is not one of uid:, gid:, container:, unit:").into()),
    })
}

/// The rules that the socket itself cannot check.
#[derive(Debug)]
pub(super) struct Rules {
    policy: Policy,
    containers: Vec<NamePattern>,
    units: Vec<NamePattern>,
    /// Whether connections are counted per container.
    counts_containers: bool,
}

impl Rules {
    /// Returns the rules, if the socket's own policy is not enough.
    pub(super) fn new(bind: &BindFlags, allow: &[Who], counts_containers: bool) -> Option<Rules> {
        let is_needed = counts_containers || allow.iter().any(Who::needs_workload);
        let is_open = allow.is_empty() && bind.allow_uid.is_empty() && bind.allow_gid.is_empty();
        let policy = if is_open { Policy::everyone() } else { policy(bind, allow) };
        let pick = |pick: fn(&Who) -> Option<&NamePattern>| allow.iter().filter_map(pick).cloned().collect();
        is_needed.then(|| Rules {
            policy,
            containers: pick(|who| match who {
                Who::Container(pattern) => Some(pattern),
                _ => None,
            }),
            units: pick(|who| match who {
                Who::Unit(pattern) => Some(pattern),
                _ => None,
            }),
            counts_containers,
        })
    }

    /// Decides about a client.
    pub(super) fn judge(&self, candidate: &Candidate<'_>) -> Admission {
        let by_id = match (candidate.peer, candidate.uid, candidate.gid) {
            (Some(peer), ..) => self.policy.allows_peer(peer),
            // Supplementary groups do not come with a datagram.
            (None, Some(uid), Some(gid)) => self.policy.allows(uid, gid, &[]),
            (None, ..) => false,
        };
        if by_id && !self.counts_containers {
            return Admission::Allow { group: None };
        }
        let Some(workload) = workload(candidate) else {
            return refuse("its container or unit is not known");
        };
        match by_id || self.allows(&workload) {
            true => Admission::Allow { group: container(&workload) },
            false => refuse("no rule allows it"),
        }
    }

    fn allows(&self, workload: &Workload) -> bool {
        match workload {
            Workload::Container { runtime, id, .. } => self
                .containers
                .iter()
                .any(|pattern| pattern.matches(id) || pattern.matches(format!("{runtime}:{id}"))),
            Workload::Unit { name, .. } => self.units.iter().any(|pattern| pattern.matches(name)),
            _ => false,
        }
    }
}

fn refuse(reason: &str) -> Admission {
    Admission::Refuse { reason: reason.to_owned() }
}

impl Who {
    pub(super) fn needs_workload(&self) -> bool {
        matches!(self, Who::Container(_) | Who::Unit(_))
    }
}

/// Returns the policy of the rules that name users and groups: of `--allow` and of the flags that
/// every server has.
pub(super) fn policy(bind: &BindFlags, allow: &[Who]) -> Policy {
    let mut policy = Policy::nobody();
    policy = bind.allow_uid.iter().fold(policy, |policy, &uid| policy.allow_uid(uid));
    policy = bind.allow_gid.iter().fold(policy, |policy, &gid| policy.allow_gid(gid));
    allow.iter().fold(policy, |policy, who| match who {
        Who::User(uid) => policy.allow_uid(*uid),
        Who::Group(gid) => policy.allow_gid(*gid),
        Who::Container(_) | Who::Unit(_) => policy,
    })
}

fn container(workload: &Workload) -> Option<String> {
    match workload {
        Workload::Container { runtime, id, .. } => Some(format!("{runtime}:{id}")),
        _ => None,
    }
}

/// Returns what a client's process belongs to. The process must live after its control group was
/// read: else its id might have been another's by then.
fn workload(candidate: &Candidate<'_>) -> Option<Workload> {
    let pid = candidate.pid?;
    if !numbers_processes_as_we_do() {
        return None;
    }
    let text = std::fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    lives(candidate).then(|| named(&text))
}

/// Returns whether the client's process is known to live.
fn lives(candidate: &Candidate<'_>) -> bool {
    match (candidate.peer, candidate.pidfd) {
        (Some(peer), _) => peer.has_ended() == Some(false),
        // A pidfd is readable from the end of its process on.
        (None, Some(pidfd)) => {
            let mut entries = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            poll(&mut entries, Some(&Timespec::default())) == Ok(0)
        }
        (None, None) => false,
    }
}

/// Returns whether `/proc` is that of this process's pid namespace. In another one, the same number
/// is another process.
fn numbers_processes_as_we_do() -> bool {
    let own = std::fs::read_link("/proc/self").ok();
    own.is_some_and(|own| own.as_os_str() == std::process::id().to_string().as_str())
}

/// Returns the workload that a control group's name says, if its user could not choose the name.
fn named(cgroup: &[u8]) -> Workload {
    match is_users_own(cgroup) {
        true => Workload::Unknown,
        false => Workload::from_cgroup(cgroup),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str]) -> Rules {
        let allow: Vec<Who> = allow.iter().map(|text| read(&(*text).into()).unwrap()).collect();
        let containers = allow.iter().filter_map(|who| match who {
            Who::Container(pattern) => Some(pattern.clone()),
            _ => None,
        });
        let units = allow.iter().filter_map(|who| match who {
            Who::Unit(pattern) => Some(pattern.clone()),
            _ => None,
        });
        Rules {
            policy: Policy::nobody(),
            containers: containers.collect(),
            units: units.collect(),
            counts_containers: false,
        }
    }

    #[test]
    fn containers_match_by_the_start_of_their_id_and_units_by_their_name() {
        let id = "0123456789abcdef".repeat(4);
        let docker = Workload::from_cgroup(format!("0::/system.slice/docker-{id}.scope\n").as_bytes());
        let nginx = Workload::from_cgroup(b"0::/system.slice/nginx.service\n");
        for (allow, allows) in [
            (&["container:0123"][..], (true, false)),
            (&["container:docker:0123456789ab"], (true, false)),
            (&["container:123"], (false, false)),
            (&["unit:nginx"], (false, true)),
            (&["unit:ng*.service", "container:*"], (true, true)),
            (&["unit:ngin"], (false, false)),
        ] {
            let rules = rules(allow);
            assert_eq!((rules.allows(&docker), rules.allows(&nginx)), allows, "{allow:?}");
            assert!(!rules.allows(&Workload::Unknown));
        }
    }

    #[test]
    fn names_that_users_choose_are_no_proof() {
        let rules = rules(&["container:*", "unit:*"]);
        for (cgroup, allows) in [
            ("0::/system.slice/nginx.service\n", true),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n", false),
            (&format!("0::/user.slice/docker-{}.scope\n", "0123456789abcdef".repeat(4)), false),
        ] {
            assert_eq!(rules.allows(&named(cgroup.as_bytes())), allows, "{cgroup}");
        }
    }

    #[test]
    fn a_rule_of_no_class_is_refused() {
        for text in ["0", "uid", "user:0", "uid:nobody-has-this-name", "pid:1"] {
            assert!(read(&text.into()).is_err(), "{text}");
        }
    }
}
