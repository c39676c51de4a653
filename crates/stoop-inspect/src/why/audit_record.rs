//! Parses what security modules and system call filters log when they deny a call: records of the
//! audit log, and the same records in the kernel log. Pure.
//!
//! An event may have several records, which share its time and serial number: Landlock names the
//! process only in the record of the system call.

use std::collections::BTreeMap;
use std::time::Duration;

use super::audit_syscall;
use super::facts::{Denial, Mechanism};

/// What a record says.
#[derive(Debug, PartialEq)]
enum Record<'l> {
    Denied(Denial),
    /// The process that made the system call of this event.
    Call(Process),
    /// The process that made a domain of Landlock. Its children are in that domain, too.
    Domain(&'l str, Process),
}

type Process = (u32, Option<String>);

/// Returns the denials that may concern a Unix socket.
pub(in crate::why) fn denials<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<Denial> {
    let (mut denied, mut calls, mut domains) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (event, record) in lines.into_iter().filter_map(parse) {
        match record {
            Record::Denied(denial) => denied.push((event, denial)),
            Record::Call(process) => drop(calls.insert(event, process)),
            Record::Domain(domain, process) => drop(domains.insert(domain.to_owned(), process)),
        }
    }
    let completed = |(event, mut denial): (&str, Denial)| {
        if let (None, Some((pid, command))) = (denial.pid, calls.get(event)) {
            (denial.pid, denial.command) = (Some(*pid), command.clone());
        }
        denial.rule = denial.rule.map(|rule| with_maker(rule, &domains));
        denial
    };
    denied.into_iter().map(completed).collect()
}

/// Adds the process that made a domain of Landlock, if that is recorded.
fn with_maker(rule: String, domains: &BTreeMap<String, Process>) -> String {
    let maker = rule.strip_prefix("domain ").and_then(|domain| domains.get(domain));
    let Some((pid, command)) = maker else { return rule };
    let command = command.as_ref().map_or(String::new(), |command| format!(" ({command})"));
    format!("{rule} of process {pid}{command}")
}

/// Parses a line, and returns it with its event.
fn parse(line: &str) -> Option<(&str, Record<'_>)> {
    let event = line.split_once("audit(")?.1.split_once(')')?.0;
    let fields = Fields(line);
    let read = read_denial(line, time(event)?).map(Record::Denied);
    Some((event, read.or_else(|| read_process(fields))?))
}

/// Parses the time in `1700000000.123:456`.
fn time(event: &str) -> Option<Duration> {
    let (seconds, thousandths) = event.split_once(':')?.0.split_once('.')?;
    let thousandths = Duration::from_millis(thousandths.parse::<u16>().ok()?.into());
    Duration::from_secs(seconds.parse().ok()?).checked_add(thousandths)
}

fn read_process(fields: Fields<'_>) -> Option<Record<'_>> {
    let process = || Some((fields.get("pid")?.parse().ok()?, fields.text("comm")));
    match fields.get("type")? {
        "SYSCALL" | "1300" => Some(Record::Call(process()?)),
        "LANDLOCK_DOMAIN" | "1424" => Some(Record::Domain(fields.get("domain")?, process()?)),
        _ => None,
    }
}

fn read_denial(line: &str, at: Duration) -> Option<Denial> {
    let fields = Fields(line);
    if fields.get("apparmor") == Some("DENIED") {
        return apparmor(fields, at);
    }
    if let Some((_, rest)) = line.split_once("avc:  denied  { ") {
        return selinux(fields, rest.split_once(" }")?.0, at);
    }
    match fields.get("type")? {
        "SECCOMP" | "1326" => seccomp(fields, at),
        "LANDLOCK_ACCESS" | "1423" => {
            let rule = fields.get("domain").map(|domain| format!("domain {domain}"));
            Some(fields.denial(Mechanism::Landlock, fields.get("blockers")?.to_owned(), rule, at))
        }
        _ => None,
    }
}

fn apparmor(fields: Fields<'_>, at: Duration) -> Option<Denial> {
    let profile = fields.text("profile").map(|name| format!("profile {name}"));
    let mut denial = fields.denial(Mechanism::AppArmor, fields.get("operation")?.to_owned(), profile, at);
    match fields.get("family") {
        Some("unix") => denial.path = fields.socket("peer_addr").or_else(|| fields.socket("addr")),
        Some(_) => return None,
        None => return Some(denial),
    }
    // Since Linux 6.17 it records the address, if there is one. Before, the rules know none, and are
    // about all.
    let is_unnamed = denial.path.is_none() && fields.get("addr").is_some();
    (!is_unnamed || denial.what == "create").then_some(denial)
}

fn selinux(fields: Fields<'_>, permission: &str, at: Duration) -> Option<Denial> {
    let rule = format!("{} to {}", fields.get("scontext")?, fields.get("tcontext")?);
    let denial = fields.denial(Mechanism::Selinux, permission.to_owned(), Some(rule), at);
    (fields.get("permissive") != Some("1")).then_some(denial)
}

fn seccomp(fields: Fields<'_>, at: Duration) -> Option<Denial> {
    let code = u32::from_str_radix(fields.get("code")?.strip_prefix("0x")?, 16).ok()?;
    let number = fields.get("syscall")?;
    let name = audit_syscall::name(fields.get("arch")?, number).unwrap_or(number);
    let denial = fields.denial(Mechanism::Seccomp, format!("system call {name}"), None, at);
    is_refusal(code).then_some(denial)
}

/// Returns whether a filter denies a call with this result (`SECCOMP_RET_…`): others let it pass,
/// or leave it to another process.
fn is_refusal(code: u32) -> bool {
    const KILL_THREAD: u32 = 0;
    const TRAP: u32 = 0x3_0000;
    const ERRNO: u32 = 0x5_0000;
    const KILL_PROCESS: u32 = 0x8000_0000;
    matches!(code & 0xffff_0000, KILL_THREAD | TRAP | ERRNO | KILL_PROCESS)
}

/// The `key=value` fields of a record.
#[derive(Clone, Copy)]
struct Fields<'l>(&'l str);

impl<'l> Fields<'l> {
    fn denial(self, by: Mechanism, what: String, rule: Option<String>, at: Duration) -> Denial {
        Denial {
            at,
            by,
            pid: self.get("pid").and_then(|pid| pid.parse().ok()),
            command: self.text("comm"),
            what,
            path: self.bytes("path").or_else(|| self.bytes("name")),
            ino: self.get("ino").and_then(|ino| ino.parse().ok()),
            rule,
        }
    }

    /// Returns the value without quotes.
    fn get(self, key: &str) -> Option<&'l str> {
        let value = self.raw(key)?;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }

    /// Returns the value as it is written. What an audit daemon adds to a record follows a group
    /// separator.
    fn raw(self, key: &str) -> Option<&'l str> {
        const ENDS: [char; 3] = [' ', '\n', '\x1d'];
        let begins = |at: &usize| self.0[..*at].chars().next_back().is_none_or(|c| ENDS.contains(&c));
        let named = self.0.match_indices(key).map(|(at, _)| at).filter(begins);
        let mut values = named.filter_map(|at| self.0[at + key.len()..].strip_prefix('='));
        let value = values.next()?;
        let end = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"')? + 2,
            None => value.find(ENDS).unwrap_or(value.len()),
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

    fn text(self, key: &str) -> Option<String> {
        self.bytes(key).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    /// Returns the address of a socket, unless it is `none`.
    fn socket(self, key: &str) -> Option<Vec<u8>> {
        self.bytes(key).filter(|address| address != b"none")
    }
}

/// Records of real kernels: of Linux 7.2, except that of SELinux.
#[cfg(test)]
pub(super) mod examples {
    pub const APPARMOR_CONNECT: &str = r#"audit: type=1400 audit(1795982417.710:8): apparmor="DENIED" operation="connect" class="file" profile="stoop-x1" name="/run/t/denied.sock" pid=154 comm="python3" requested_mask="w" denied_mask="w" fsuid=0 ouid=0"#;
    pub const APPARMOR_BLANK: &str = r#"audit: type=1400 audit(1795982417.782:10): apparmor="DENIED" operation="connect" class="file" profile="stoop-x1" name=2F72756E2F742F6120622E736F636B pid=154 comm="python3" requested_mask="w" denied_mask="w" fsuid=0 ouid=0"#;
    pub const APPARMOR_MKNOD: &str = r#"audit: type=1400 audit(1795982417.814:12): apparmor="DENIED" operation="mknod" class="file" profile="stoop-x1" name="/run/t/denied.new" pid=154 comm="python3" requested_mask="c" denied_mask="c" fsuid=0 ouid=0"#;
    pub const APPARMOR_CREATE: &str = r#"audit: type=1400 audit(1795981889.325:10): apparmor="DENIED" operation="create" class="net" info="failed af match" error=-13 profile="stoop-x3" pid=170 comm="python3" family="unix" sock_type="stream" protocol=0 requested_mask="create" denied_mask="create" addr=none"#;
    /// Of Linux 6.12.
    pub const APPARMOR_ANY: &str = r#"audit: type=1400 audit(1795985308.496:210): apparmor="DENIED" operation="connect" class="net" profile="stoop-351-1" pid=399 comm="a_connect_that_" family="unix" sock_type="dgram" protocol=0 requested_mask="connect" denied_mask="connect""#;
    pub const APPARMOR_ABSTRACT: &str = r#"audit: type=1400 audit(1795982484.618:22): apparmor="DENIED" operation="connect" class="net" profile="stoop-x4" pid=175 comm="python3" family="unix" sock_type="stream" protocol=0 requested_mask="send receive connect" denied_mask="send receive connect" addr=none peer_addr="@stoop-abs" peer="unconfined""#;
    pub const APPARMOR_ABSTRACT_BLANK: &str = r#"audit: type=1400 audit(1795982484.634:23): apparmor="DENIED" operation="connect" class="net" profile="stoop-x4" pid=175 comm="python3" family="unix" sock_type="stream" protocol=0 requested_mask="send receive connect" denied_mask="send receive connect" addr=none peer_addr="@73746F6F7020616273" peer="unconfined""#;
    pub const SELINUX: &str = r#"type=AVC msg=audit(1700000001.000:7): avc:  denied  { connectto } for  pid=13 comm="nginx" path="/run/php.sock" scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:system_r:initrc_t:s0 tclass=unix_stream_socket permissive=0"#;
    pub const SECCOMP: &str = r#"audit: type=1326 audit(1795981913.333:19): auid=4294967295 uid=0 gid=0 ses=4294967295 subj=unconfined pid=184 comm="python3" exe="/usr/bin/python3.11" sig=0 arch=c000003e syscall=42 compat=0 ip=0x7f2572c587c0 code=0x50000"#;
    pub const LANDLOCK_ABSTRACT: [&str; 3] = [
        r"audit: type=1423 audit(1795981975.805:27): domain=110f7e079 blockers=scope.abstract_unix_socket path=0073746F6F702D616273",
        r#"audit: type=1424 audit(1795981975.805:27): domain=110f7e079 status=allocated mode=enforcing pid=205 uid=0 exe="/usr/bin/python3.11" comm="python3""#,
        r#"audit: type=1300 audit(1795981975.805:27): arch=c000003e syscall=42 success=no exit=-1 a0=4 a1=7ffcd91957c0 a2=c a3=7ffcd91953b0 items=0 ppid=134 pid=205 auid=4294967295 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm="python3" exe="/usr/bin/python3.11" subj=unconfined key=(null)"#,
    ];
    pub const LANDLOCK_PATH: &str = r#"audit: type=1423 audit(1795981987.817:29): domain=110f7e086 blockers=fs.resolve_unix path="/run/t/denied.dgram" dev="tmpfs" ino=8"#;
}

#[cfg(test)]
mod tests {
    use super::examples::*;
    use super::*;
    use proptest::prelude::*;

    /// Returns the mechanism, the process, what was denied and on what.
    fn read(lines: &[&str]) -> (Mechanism, Option<u32>, String, Option<Vec<u8>>) {
        let denial = denials(lines.iter().copied()).pop().unwrap();
        (denial.by, denial.pid, denial.what, denial.path)
    }

    #[test]
    fn records_of_each_mechanism_are_read() {
        use Mechanism::*;
        for (lines, by, pid, what, path) in [
            (&[APPARMOR_CONNECT][..], AppArmor, Some(154), "connect", Some("/run/t/denied.sock")),
            (&[APPARMOR_BLANK], AppArmor, Some(154), "connect", Some("/run/t/a b.sock")),
            (&[APPARMOR_MKNOD], AppArmor, Some(154), "mknod", Some("/run/t/denied.new")),
            (&[APPARMOR_CREATE], AppArmor, Some(170), "create", None),
            (&[APPARMOR_ANY], AppArmor, Some(399), "connect", None),
            (&[APPARMOR_ABSTRACT], AppArmor, Some(175), "connect", Some("@stoop-abs")),
            (&[SELINUX], Selinux, Some(13), "connectto", Some("/run/php.sock")),
            (&[SECCOMP], Seccomp, Some(184), "system call connect", None),
            (&LANDLOCK_ABSTRACT[..1], Landlock, None, "scope.abstract_unix_socket", Some("\0stoop-abs")),
            (&LANDLOCK_ABSTRACT, Landlock, Some(205), "scope.abstract_unix_socket", Some("\0stoop-abs")),
            (&[LANDLOCK_PATH], Landlock, None, "fs.resolve_unix", Some("/run/t/denied.dgram")),
        ] {
            let path = path.map(|path| path.as_bytes().to_vec());
            assert_eq!(read(lines), (by, pid, what.to_owned(), path), "{lines:?}");
        }
        let denial = &denials([APPARMOR_CONNECT])[0];
        assert_eq!(denial.at, Duration::from_millis(1_795_982_417_710));
        assert_eq!(denial.rule.as_deref(), Some("profile stoop-x1"));
    }

    /// A domain's children are in it, too: its maker need not be whom it denied the call.
    #[test]
    fn the_maker_of_a_domain_is_not_the_process() {
        let denial = &denials(LANDLOCK_ABSTRACT[..2].iter().copied())[0];
        assert_eq!(denial.pid, None);
        assert_eq!(denial.rule.as_deref(), Some("domain 110f7e079 of process 205 (python3)"));
    }

    #[test]
    fn what_was_allowed_is_no_denial() {
        let code = |code: &str| SECCOMP.replace("code=0x50000", &format!("code={code}\x1dARCH=x86_64"));
        for line in [
            APPARMOR_CONNECT.replace("DENIED", "ALLOWED"),
            APPARMOR_ABSTRACT.replace("family=\"unix\"", "family=\"inet\""),
            APPARMOR_ABSTRACT.replace("\"@stoop-abs\"", "none"),
            SELINUX.replace("permissive=0", "permissive=1\x1dAUID=\"root\""),
            // Logged, traced, left to another process.
            code("0x7ffc0000"),
            code("0x7ff00000"),
            code("0x7fc00000"),
            "type=SYSCALL msg=audit(1700000000.000:1): arch=c000003e syscall=42 success=no exit=-13 pid=1"
                .into(),
            "usb 1-1: new device".into(),
        ] {
            assert_eq!(denials([line.as_str()]), [], "{line}");
        }
        assert_eq!(denials([code("0x5000d").as_str()]).len(), 1);
        assert_eq!(denials([code("0x80000000").as_str()]).len(), 1);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(text: String, cut in 0..400usize) {
            let _ = denials(text.lines());
            for line in [APPARMOR_CONNECT, APPARMOR_ABSTRACT, SELINUX, SECCOMP, LANDLOCK_ABSTRACT[0]] {
                let cut = cut.min(line.len());
                let _ = denials([&line[..cut], &format!("{}{text}{}", &line[..cut], &line[cut..])]);
            }
        }
    }
}
