//! Parses what security modules and system call filters log when they deny a call: records of the
//! audit log, and the same records in the kernel log. Pure.

use std::time::Duration;

use stoop::{Address, escaped};

use super::facts::{Denial, Facts, Mechanism, Security};
use super::question::Who;

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

/// Parses a line. Returns `None` if it is not a denial that may concern a Unix socket.
pub(in crate::why) fn parse(line: &str) -> Option<Denial> {
    let at = time(line)?;
    let fields = Fields(line);
    let denial = |by, what: String, rule| Denial {
        at,
        by,
        pid: fields.get("pid").and_then(|pid| pid.parse().ok()),
        command: fields.bytes("comm").map(|name| String::from_utf8_lossy(&name).into_owned()),
        what,
        path: fields.bytes("path").or_else(|| fields.bytes("name")),
        rule,
    };
    if fields.get("apparmor") == Some("DENIED") {
        let what = fields.get("operation")?.to_owned();
        return Some(denial(Mechanism::AppArmor, what, fields.get("profile").map(str::to_owned)));
    }
    if let Some((_, rest)) = line.split_once("avc:  denied  { ") {
        let is_enforced = fields.get("permissive") != Some("1");
        let what = rest.split_once(" }")?.0.to_owned();
        let rule = Some(format!("{} to {}", fields.get("scontext")?, fields.get("tcontext")?));
        return is_enforced.then(|| denial(Mechanism::Selinux, what, rule));
    }
    if has_type(line, "SECCOMP", "1326") {
        let is_logged_only = fields.get("code") == Some("0x7ffc0000");
        let what = format!("system call {}", fields.get("syscall")?);
        return (!is_logged_only).then(|| denial(Mechanism::Seccomp, what, None));
    }
    if has_type(line, "LANDLOCK_ACCESS", "1423") {
        let rule = fields.get("domain").map(|domain| format!("domain {domain}"));
        return Some(denial(Mechanism::Landlock, fields.get("blockers")?.to_owned(), rule));
    }
    None
}

/// Returns whether it is a record of this type, which the kernel log has as a number.
fn has_type(line: &str, name: &str, number: &str) -> bool {
    Fields(line).get("type").is_some_and(|found| found == name || found == number)
}

/// Parses the time in `audit(1700000000.123:456)`.
fn time(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once("audit(")?;
    let (stamp, _) = rest.split_once(':')?;
    let (seconds, thousandths) = stamp.split_once('.')?;
    Some(
        Duration::from_secs(seconds.parse().ok()?)
            + Duration::from_millis(u64::from(thousandths.parse::<u16>().ok()?)),
    )
}

/// The `key=value` fields of a record.
#[derive(Clone, Copy)]
struct Fields<'l>(&'l str);

impl<'l> Fields<'l> {
    /// Returns the value without quotes.
    fn get(self, key: &str) -> Option<&'l str> {
        let value = self.raw(key)?;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }

    /// Returns the value as it is written.
    fn raw(self, key: &str) -> Option<&'l str> {
        let begins = |at: &usize| *at == 0 || !self.0.as_bytes()[at - 1].is_ascii_alphanumeric();
        let named = self.0.match_indices(key).map(|(at, _)| at).filter(begins);
        let mut values = named.filter_map(|at| self.0[at + key.len()..].strip_prefix('='));
        let value = values.next()?;
        let end = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"')? + 2,
            None => value.find([' ', '\n']).unwrap_or(value.len()),
        };
        Some(&value[..end])
    }

    /// Returns a text that is in quotes, or in hexadecimal digits if it has other characters.
    fn bytes(self, key: &str) -> Option<Vec<u8>> {
        let value = self.raw(key)?;
        if value.starts_with('"') {
            return Some(self.get(key)?.as_bytes().to_vec());
        }
        let digits = value.as_bytes().chunks_exact(2);
        let is_whole = digits.remainder().is_empty() && !value.is_empty();
        let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        if is_whole { digits.map(digit).collect() } else { None }
    }
}

/// Returns the latest denial that is about the call in question, with its age. One that names
/// neither the process nor the address proves nothing.
pub(in crate::why) fn latest(facts: &Facts, now: Duration) -> Option<(&Denial, Duration)> {
    let Security { denials, .. } = &facts.security;
    let about = denials.iter().filter(|denial| is_about(facts, denial));
    let denial = about.max_by_key(|denial| denial.at)?;
    Some((denial, now.saturating_sub(denial.at)))
}

fn is_about(facts: &Facts, denial: &Denial) -> bool {
    let pid = match &facts.question.subject {
        Who::Process(pid) => Some(*pid),
        Who::CurrentProcess => Some(std::process::id()),
        Who::User(_) => None,
    };
    let is_process = pid.is_some() && denial.pid == pid;
    let is_path = denial.path.as_ref().is_some_and(|path| is_address(&facts.question.address, path));
    match denial.by {
        // A record of Landlock has no process.
        Mechanism::Landlock => is_path,
        Mechanism::Seccomp => is_process,
        Mechanism::Selinux | Mechanism::AppArmor => is_path && (is_process || pid.is_none()),
    }
}

/// Returns whether a record's path is this address. An abstract name is recorded with its NUL.
fn is_address(address: &Address, path: &[u8]) -> bool {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(asked), _) => {
            std::path::absolute(asked).is_ok_and(|asked| asked.as_os_str().as_encoded_bytes() == path)
        }
        (_, Some(name)) => path.strip_prefix(b"\0").or(path.strip_prefix(b"@")) == Some(name),
        _ => false,
    }
}

/// Returns what a mechanism has logged about a call that has just failed, or `None` if nothing.
pub(crate) fn just_denied(facts: &Facts) -> Option<String> {
    let (denial, age) = latest(facts, facts.security.read_at)?;
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
    use super::*;
    use proptest::prelude::*;

    const APPARMOR: &str = r#"audit: type=1400 audit(1700000000.123:456): apparmor="DENIED" operation="connect" class="file" profile="app" name="/run/app.sock" pid=12 comm="app" requested_mask="wr" denied_mask="wr" fsuid=1000 ouid=0"#;
    const SELINUX: &str = r#"type=AVC msg=audit(1700000001.000:7): avc:  denied  { connectto } for  pid=13 comm="nginx" path="/run/php.sock" scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:system_r:initrc_t:s0 tclass=unix_stream_socket permissive=0"#;
    const SECCOMP: &str = r#"type=SECCOMP msg=audit(1700000002.5:8): auid=0 uid=0 gid=0 ses=1 subj=unconfined pid=14 comm="worker" exe="/bin/worker" sig=0 arch=c000003e syscall=42 compat=0 ip=0x7f code=0x50001"#;
    const LANDLOCK: &str = r#"type=LANDLOCK_ACCESS msg=audit(1700000003.000:9): domain=195ba459b blockers=scope.abstract_unix_socket path=00617070"#;

    #[test]
    fn records_of_each_mechanism_are_read() {
        let denial = parse(APPARMOR).unwrap();
        assert_eq!((denial.by, denial.pid, &denial.what[..]), (Mechanism::AppArmor, Some(12), "connect"));
        assert_eq!(denial.path.as_deref(), Some(&b"/run/app.sock"[..]));
        assert_eq!(denial.at, Duration::from_millis(1_700_000_000_123));
        let denial = parse(SELINUX).unwrap();
        assert_eq!(
            (denial.by, denial.command.as_deref(), &denial.what[..]),
            (Mechanism::Selinux, Some("nginx"), "connectto")
        );
        let denial = parse(SECCOMP).unwrap();
        assert_eq!(
            (denial.by, denial.pid, &denial.what[..]),
            (Mechanism::Seccomp, Some(14), "system call 42")
        );
        let denial = parse(LANDLOCK).unwrap();
        assert_eq!((denial.by, denial.path.as_deref()), (Mechanism::Landlock, Some(&b"\0app"[..])));
        assert_eq!(denial.rule.as_deref(), Some("domain 195ba459b"));
    }

    #[test]
    fn what_was_allowed_is_no_denial() {
        for line in [
            APPARMOR.replace("DENIED", "ALLOWED"),
            SELINUX.replace("permissive=0", "permissive=1"),
            SECCOMP.replace("0x50001", "0x7ffc0000"),
            "type=SYSCALL msg=audit(1700000000.000:1): arch=c000003e syscall=42 success=no exit=-13 pid=1"
                .into(),
            "usb 1-1: new device".into(),
        ] {
            assert_eq!(parse(&line), None, "{line}");
        }
    }

    #[test]
    fn a_record_about_another_is_not_evidence() {
        let mut facts = super::super::tests::facts(super::super::Operation::Connect);
        let now = Duration::from_secs(1_700_000_010);
        let with = |facts: &mut Facts, subject, path: &str| {
            facts.question.subject = subject;
            facts.question.address = Address::path(path).unwrap();
            facts.security.denials = [APPARMOR, SELINUX, SECCOMP].into_iter().filter_map(parse).collect();
            latest(facts, now).map(|(denial, age)| observed(denial, age))
        };
        let said = with(&mut facts, Who::Process(12), "/run/app.sock").unwrap();
        assert_eq!(
            said,
            "AppArmor denied connect on '/run/app.sock' to process 12 (app), by app, 9 s ago: an audit record"
        );
        assert_eq!(with(&mut facts, Who::Process(12), "/run/other.sock"), None);
        assert_eq!(with(&mut facts, Who::Process(99), "/run/app.sock"), None);
        assert!(with(&mut facts, Who::Process(14), "/run/other.sock").unwrap().contains("seccomp"));
        assert!(with(&mut facts, Who::User("www".into()), "/run/php.sock").unwrap().contains("SELinux"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(text: String, cut in 0..400usize) {
            let _ = parse(&text);
            for line in [APPARMOR, SELINUX, SECCOMP, LANDLOCK] {
                let cut = cut.min(line.len());
                let _ = parse(&line[..cut]);
                let _ = parse(&format!("{}{text}{}", &line[..cut], &line[cut..]));
            }
        }
    }
}
