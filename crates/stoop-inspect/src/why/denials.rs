//! Which denied calls, of those that security modules and system call filters have logged, are
//! about the call in question. Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use stoop::{Address, escaped};

use super::facts::{Denial, Facts, File, Found, Mechanism, Security, Step};
use super::question::{Operation, Who};
use crate::process::TICKS_PER_SECOND;

impl Mechanism {
    pub(in crate::why) fn name(self) -> &'static str {
        match self {
            Mechanism::Selinux => "SELinux",
            Mechanism::AppArmor => "AppArmor",
            Mechanism::Seccomp => "a system call filter (seccomp)",
            Mechanism::Landlock => "Landlock",
        }
    }
}

/// How old a record may be that is about a call which has just failed.
pub(in crate::why) const JUST_NOW: Duration = Duration::from_secs(10);

/// How far the time of a record and the start of a process may differ, by their clocks alone.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// Returns the latest denial that is about the call in question, with its age. One that names
/// neither the process nor the address proves nothing, and a later one is of a call that the
/// inspection made: the time of a record is that of the call ([K-DENY-6]).
///
/// [K-DENY-6]: stoop::kernel_facts#K-DENY-6
pub(in crate::why) fn latest(facts: &Facts, asked_at: Duration) -> Option<(&Denial, Duration)> {
    let Security { denials, .. } = &facts.security;
    let about = denials.iter().filter(|denial| denial.at <= asked_at && is_about(facts, denial));
    let denial = about.max_by_key(|denial| denial.at)?;
    Some((denial, asked_at - denial.at))
}

/// Returns the latest denial, if it names the process that would make the call.
pub(in crate::why) fn of_subject(facts: &Facts) -> Option<(&Denial, Duration)> {
    latest(facts, facts.security.asked_at).filter(|(denial, _)| is_of_subject(facts, denial))
}

/// Returns whether a record names the process that would make the call, and not one that had its
/// pid before.
fn is_of_subject(facts: &Facts, denial: &Denial) -> bool {
    let is_earlier = began_at(facts).is_some_and(|began| denial.at + CLOCKS_DIFFER < began);
    denial.pid.is_some() && denial.pid == subject_pid(facts) && !is_earlier
}

/// Returns when the process that would make the call was started, since 1970.
fn began_at(facts: &Facts) -> Option<Duration> {
    let ticks = facts.subject.as_ref()?.began?;
    let since_boot = Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND as f64);
    facts.security.booted_at?.checked_add(since_boot)
}

fn subject_pid(facts: &Facts) -> Option<u32> {
    match &facts.question.subject {
        Who::Process(pid) => Some(*pid),
        Who::CurrentProcess => Some(std::process::id()),
        Who::User(_) => None,
    }
}

fn is_about(facts: &Facts, denial: &Denial) -> bool {
    let is_process = is_of_subject(facts, denial);
    let may_be_process = subject_pid(facts).is_none() || denial.pid.is_none() || is_process;
    match denial.by {
        Mechanism::Seccomp => {
            let call = denial.what.strip_prefix("system call ");
            is_process && call.is_some_and(|call| is_call(call, facts))
        }
        // A record of Landlock has no process, if system calls are not recorded.
        Mechanism::Landlock => may_be_process && is_place(facts, denial, is_process),
        // It denied the process the socket itself, or all addresses.
        Mechanism::AppArmor if denial.path.is_none() => is_process && is_call(&denial.what, facts),
        Mechanism::Selinux | Mechanism::AppArmor => may_be_process && is_place(facts, denial, is_process),
    }
}

/// Returns whether the operation in question makes this system call. AppArmor names `socket` after
/// what it does.
fn is_call(call: &str, facts: &Facts) -> bool {
    let own: &[&str] = match facts.question.operation {
        Operation::Connect => &["connect"],
        Operation::Bind => &["bind", "listen"],
        Operation::Send { .. } => &["connect", "sendto", "sendmsg", "sendmmsg"],
    };
    ["socket", "create"].contains(&call) || own.contains(&call)
}

/// Returns whether a denial is about the address in question.
fn is_place(facts: &Facts, denial: &Denial, is_process: bool) -> bool {
    let Some(path) = denial.path.as_deref() else { return false };
    is_address(&facts.question.address, path)
        || is_resolved(facts, path, is_process)
        || denial.ino.is_some_and(|ino| is_on_the_way(facts, path, ino))
}

/// Returns whether a record's path is this address. An abstract name is recorded with its NUL, or
/// with `@` in its place.
fn is_address(address: &Address, path: &[u8]) -> bool {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(asked), _) => {
            std::path::absolute(asked).is_ok_and(|asked| asked.as_os_str().as_encoded_bytes() == path)
        }
        (_, Some(name)) => match path {
            [b'\0', rest @ ..] => rest == name,
            [b'@', rest @ ..] => rest == name || needs_digits(name) && rest == digits(name).as_bytes(),
            _ => false,
        },
        _ => false,
    }
}

/// Returns whether a text is recorded in hexadecimal digits. After an `@` that cannot be seen from
/// the record.
fn needs_digits(text: &[u8]) -> bool {
    text.iter().any(|byte| !(0x21..=0x7e).contains(byte) || *byte == b'"')
}

fn digits(text: &[u8]) -> String {
    text.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Returns whether a record's path is what the address leads to, without symbolic links. For a
/// process with another root the record may have the path of that root before it.
fn is_resolved(facts: &Facts, path: &[u8], is_process: bool) -> bool {
    let last = facts.walk.iter().flat_map(|walk| &walk.steps).rfind(|step| step.last);
    let Some(Step { directory, name, .. }) = last else { return false };
    let (path, resolved) = (Path::new(OsStr::from_bytes(path)), directory.path.join(OsStr::from_bytes(name)));
    let below_root = resolved.strip_prefix("/").unwrap_or(&resolved);
    path == resolved || is_process && has_own_root(facts) && path.ends_with(below_root)
}

fn has_own_root(facts: &Facts) -> bool {
    facts.subject.as_ref().is_some_and(|subject| subject.view.other_files)
}

/// Returns whether a record is about a file that the path leads to or through. SELinux records the
/// last component of a name, with the inode.
fn is_on_the_way(facts: &Facts, name: &[u8], ino: u64) -> bool {
    let is_it = |file: &File| {
        let has_name = file.path.file_name().is_some_and(|last| last.as_bytes() == name);
        file.id.1 == ino && (has_name || file.path.as_os_str().as_bytes() == name)
    };
    let steps = facts.walk.iter().flat_map(|walk| &walk.steps);
    let mut files = steps.flat_map(|step| {
        let found = match &step.found {
            Found::File(file) | Found::Link { link: file, .. } => Some(file),
            _ => None,
        };
        [Some(&step.directory), found].into_iter().flatten()
    });
    files.any(is_it)
}

/// Returns what a mechanism has logged about a call that has just failed, or `None` if nothing.
pub(crate) fn just_denied(facts: &Facts) -> Option<String> {
    let (denial, age) = latest(facts, facts.security.asked_at)?;
    (age <= JUST_NOW).then(|| observed(denial, age))
}

/// Words a denial as an observation.
pub(in crate::why) fn observed(denial: &Denial, age: Duration) -> String {
    let Denial { by, pid, command, what, path, rule, .. } = denial;
    let mut text = format!("{} denied {}", by.name(), escaped(what));
    if let Some(path) = path {
        text += &format!(" on '{}'", escaped(path));
    }
    if let (Some(pid), Some(command)) = (pid, command) {
        text += &format!(" to process {pid} ({})", escaped(command));
    }
    if let Some(rule) = rule {
        text += &format!(", by {}", escaped(rule));
    }
    format!("{text}, {} s ago: an audit record", age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::audit_record::{denials, examples::*};
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_985_500);

    /// Returns the latest of these records about a connect of process `pid`, or of a user.
    fn about(records: &[&str], pid: Option<u32>, address: Address) -> Option<String> {
        let mut facts = super::super::tests::facts(Operation::Connect);
        facts.question.subject = pid.map_or(Who::User("alice".into()), Who::Process);
        facts.question.address = address;
        facts.security.denials = denials(records.iter().copied());
        latest(&facts, NOW).map(|(denial, age)| observed(denial, age))
    }

    fn path(path: &str) -> Address {
        Address::path(path).unwrap()
    }

    fn name(name: &str) -> Address {
        Address::abstract_name(name).unwrap()
    }

    /// A connect of this process.
    fn asked_of(pid: u32) -> Facts {
        let mut facts = super::super::tests::facts(Operation::Connect);
        facts.question.subject = Who::Process(pid);
        facts.security.asked_at = NOW;
        facts
    }

    #[test]
    fn a_record_about_the_process_and_the_address_is_evidence() {
        let said = about(&[APPARMOR_CONNECT], Some(154), path("/run/t/denied.sock")).unwrap();
        let expected = "AppArmor denied connect on '/run/t/denied.sock' to process 154 (python3), by profile stoop-x1, 3082 s ago: an audit record";
        assert_eq!(said, expected);
        assert!(about(&[APPARMOR_BLANK], Some(154), path("/run/t/a b.sock")).is_some());
        for (address, other) in [("stoop-abs", "stoop-ab"), ("stoop abs", "stoop ab")] {
            let records = [APPARMOR_ABSTRACT, APPARMOR_ABSTRACT_BLANK];
            assert!(about(&records, Some(175), name(address)).is_some(), "{address}");
            assert_eq!(about(&records, Some(175), name(other)), None);
            assert_eq!(about(&records, Some(1), name(address)), None);
        }
        assert!(about(&[SECCOMP], Some(184), path("/run/any")).unwrap().contains("system call connect"));
        let said = about(&LANDLOCK_ABSTRACT, Some(205), name("stoop-abs")).unwrap();
        assert!(said.contains("to process 205 (python3), by domain 110f7e079 of process 205"), "{said}");
    }

    #[test]
    fn a_record_about_another_is_not_evidence() {
        for (record, pid, address) in [
            (APPARMOR_CONNECT, Some(154), path("/run/t/other.sock")),
            (APPARMOR_CONNECT, Some(99), path("/run/t/denied.sock")),
            (SECCOMP, Some(99), path("/run/any")),
            (SECCOMP, None, path("/run/any")),
            (&SECCOMP.replace("syscall=42", "syscall=101")[..], Some(184), path("/run/any")),
            (LANDLOCK_ABSTRACT[0], Some(205), name("stoop-other")),
            (APPARMOR_CREATE, Some(99), path("/run/any")),
        ] {
            assert_eq!(about(&[record], pid, address), None, "{record}");
        }
        // What the record of the system call says counts.
        assert_eq!(about(&LANDLOCK_ABSTRACT, Some(99), name("stoop-abs")), None);
        assert!(about(&LANDLOCK_ABSTRACT[..1], Some(99), name("stoop-abs")).is_some());
    }

    /// The inspection opens sockets of other types, which a profile may deny alone.
    #[test]
    fn a_record_of_the_inspection_is_not_evidence() {
        let mut facts = asked_of(399);
        facts.security.denials = denials([APPARMOR_ANY]);
        let at = facts.security.denials[0].at;
        assert!(latest(&facts, at).is_some());
        assert_eq!(latest(&facts, at - Duration::from_millis(1)), None);
    }

    /// Pids are reused.
    #[test]
    fn a_record_from_before_the_process_began_is_about_another() {
        let mut facts = asked_of(184);
        facts.security.denials = denials([SECCOMP]);
        let denied = facts.security.denials[0].at;
        facts.security.booted_at = Some(denied - Duration::from_secs(100));
        for (began_ticks, is_its_own) in [(9_900, true), (10_000, true), (10_200, false), (99_000, false)] {
            facts.subject.as_mut().unwrap().began = Some(began_ticks);
            assert_eq!(latest(&facts, NOW).is_some(), is_its_own, "{began_ticks}");
        }
        // A process whose start is unknown may be the same.
        facts.subject.as_mut().unwrap().began = None;
        assert!(of_subject(&facts).is_some());
    }

    #[test]
    fn a_socket_that_may_not_be_created_has_no_address() {
        assert!(about(&[APPARMOR_CREATE], Some(170), path("/run/any")).unwrap().contains("denied create"));
        assert!(about(&[APPARMOR_ANY], Some(399), path("/run/any")).unwrap().contains("denied connect"));
        let accept = APPARMOR_ANY.replace("connect", "accept");
        assert_eq!(about(&[&accept], Some(399), path("/run/any")), None);
    }

    /// The path of a record has no symbolic links, and begins at the root of the machine.
    #[test]
    fn a_record_has_the_path_without_links() {
        let mut facts = asked_of(154);
        facts.question.address = path("/var/run/app/app.sock");
        let recorded = |path: &str| denials([APPARMOR_CONNECT.replace("/run/t/denied.sock", path).as_str()]);
        facts.security.denials = recorded("/run/app/app.sock");
        assert!(latest(&facts, NOW).is_some());
        facts.security.denials = recorded("/srv/jail/run/app/app.sock");
        assert!(latest(&facts, NOW).is_none());
        facts.subject.as_mut().unwrap().view.other_files = true;
        assert!(latest(&facts, NOW).is_some());
    }

    /// A profile may have changed since: neither that it succeeds nor that it fails is known.
    #[test]
    fn a_call_that_was_denied_before_is_unknown() {
        use super::super::verdict::Outcome;
        let mut facts = asked_of(154);
        let outcome = |facts: &Facts| super::super::judge::judge(facts, usize::MAX);
        assert_eq!(outcome(&facts).outcome, Outcome::Succeeds);
        let record = APPARMOR_CONNECT.replace("/run/t/denied.sock", "/run/app/app.sock");
        facts.security.denials = denials([record.as_str()]);
        let verdict = outcome(&facts);
        assert_eq!(verdict.outcome, Outcome::Unknown);
        assert!(verdict.why.contains("AppArmor has denied it before"), "{}", verdict.why);
        assert!(verdict.caveats[0].contains("by profile stoop-x1"), "{:?}", verdict.caveats);
        facts.question.subject = Who::User("alice".into());
        assert_eq!(outcome(&facts).outcome, Outcome::Succeeds);
    }

    #[test]
    fn a_name_with_its_inode_is_a_file_on_the_way() {
        let mut facts = asked_of(13);
        let socket = facts.walk.as_ref().unwrap().reached.clone().unwrap();
        let recorded = |name: &str, ino: u64| {
            let line = format!(
                r#"type=AVC msg=audit(1795982499.000:7): avc:  denied  {{ write }} for  pid=13 comm="nginx" name="{name}" dev="tmpfs" ino={ino} scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:var_run_t:s0 tclass=sock_file permissive=0"#
            );
            denials([line.as_str()])
        };
        facts.security.denials = recorded("app.sock", socket.id.1);
        assert!(latest(&facts, NOW).is_some());
        for other in [recorded("app.sock", socket.id.1 + 1), recorded("other", socket.id.1)] {
            facts.security.denials = other;
            assert!(latest(&facts, NOW).is_none());
        }
    }
}
