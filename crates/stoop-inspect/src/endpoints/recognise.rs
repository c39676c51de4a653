//! Which service a server is: by its address, its program, or what it says. Pure.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use stoop::Address;

use super::exchange::{ANY, Exchange, begins_as};
use super::services::{DefaultPath, Service, UID, known};

/// The least number of known bytes by which an answer is recognised that nothing else identifies.
const TELLING_BYTES: usize = 4;

/// Returns the service whose default address this is, or `None` if it is not one of the known
/// services.
///
/// # Examples
///
/// ```
/// use stoop::Address;
/// use stoop_inspect::endpoints::recognise;
///
/// let rootless = Address::path("/run/user/1000/docker.sock").unwrap();
/// assert_eq!(recognise(&rootless).unwrap().unit, Some("docker.service"));
/// // Only the address counts. Nothing is inspected.
/// assert!(recognise(&Address::path("/srv/docker.sock").unwrap()).is_none());
/// ```
pub fn recognise(address: &Address) -> Option<&'static Service> {
    // Without doubled slashes.
    let path: PathBuf = address.as_pathname()?.components().collect();
    let asked = Spot::of(path.as_os_str().as_encoded_bytes());
    let of_user = of_user(&path).map(|below| below.as_os_str().as_encoded_bytes());
    let is_here = |default: &DefaultPath| match default {
        DefaultPath::Machine(usual) if usual.contains(UID) => {
            matches(&Spot::of(usual.replace(UID, "*").as_bytes()), &asked)
        }
        DefaultPath::Machine(usual) => asked == Spot::of(usual.as_bytes()),
        DefaultPath::User(rest) => of_user == Some(rest.as_bytes()),
    };
    let at = known().find(|service| service.default_paths.iter().any(is_here));
    // The longest pattern says most: the pool of one version, not any of PHP.
    let patterns =
        known().flat_map(|service| service.patterns.iter().map(move |pattern| (service, *pattern)));
    let at_pattern = patterns.filter(|(_, pattern)| matches(&Spot::of(pattern.as_bytes()), &asked));
    at.or_else(|| Some(at_pattern.min_by_key(|(_, pattern)| Reverse(pattern.len()))?.0))
}

/// A path, in which `/var/run` is `/run`. The former is a link to the latter on machines with
/// systemd. On others both are equally good.
#[derive(PartialEq, Eq)]
struct Spot<'a> {
    is_in_run: bool,
    rest: &'a [u8],
}

impl<'a> Spot<'a> {
    fn of(path: &'a [u8]) -> Spot<'a> {
        let below = path.strip_prefix(b"/var/run/").or_else(|| path.strip_prefix(b"/run/"));
        Spot { is_in_run: below.is_some(), rest: below.unwrap_or(path) }
    }
}

/// Returns whether a path matches a pattern, in which `*` stands for a part of one component.
fn matches(pattern: &Spot<'_>, path: &Spot<'_>) -> bool {
    let (mut patterns, mut parts) =
        (pattern.rest.split(|&byte| byte == b'/'), path.rest.split(|&byte| byte == b'/'));
    pattern.is_in_run == path.is_in_run
        && loop {
            match (patterns.next(), parts.next()) {
                (None, None) => break true,
                (Some(pattern), Some(part)) if matches_part(pattern, part) => {}
                _ => break false,
            }
        }
}

fn matches_part(pattern: &[u8], part: &[u8]) -> bool {
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = part.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let Some(at) = rest.windows(piece.len()).position(|window| window == piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Returns the part of a path below a user's runtime directory, `/run/user/1000`.
fn of_user(path: &Path) -> Option<&Path> {
    let mut below = path.strip_prefix("/run/user").ok()?.components();
    let uid = below.next()?.as_os_str().to_str()?;
    uid.bytes().all(|byte| byte.is_ascii_digit()).then_some(below.as_path())
}

/// Returns the signal at which the server that runs as this command creates its socket file again,
/// and the name of that service.
pub(crate) fn recreating_signal(command: &str) -> Option<(&'static str, &'static str)> {
    known().find_map(|service| {
        let is_run = || service.commands.iter().any(|known| known.eq_ignore_ascii_case(command));
        service.recreate_signal.filter(|_| is_run()).map(|signal| (signal, service.label()))
    })
}

/// Returns whether a restart of this unit may end sessions of users.
pub(crate) fn holds_sessions(unit: &str) -> bool {
    known()
        .flat_map(|service| service.session_units)
        .any(|pattern| matches_part(pattern.as_bytes(), unit.as_bytes()))
}

/// Returns the service that processes of this command provide at an address. If there are several,
/// the one whose socket usually has this file name.
pub fn run_as(command: &OsStr, address: &Address) -> Option<&'static Service> {
    let candidates = known().filter(|service| service.obsolete.is_none() && service.is_run_as(command));
    let name = address.as_pathname().and_then(Path::file_name);
    let is_named = |service: &&Service| {
        service.default_paths.iter().any(|path| name.is_some() && path.path().file_name() == name)
    };
    let named = candidates.clone().find(is_named);
    named.or_else(|| {
        let first = candidates.clone().next()?;
        let is_same = |other: &Service| other.protocol == first.protocol && other.exchange == first.exchange;
        candidates.clone().all(is_same).then_some(first)
    })
}

/// Returns how to speak to a service, if that is known.
pub fn exchange(service: &Service) -> Option<&Exchange> {
    Some(&service.exchange).filter(|exchange| !exchange.answers.is_empty())
}

/// Returns the service whose answers begin like these bytes. Of several, the one of which most
/// bytes are known. `None` if that would be a guess from a few bytes.
pub fn by_answer(bytes: &[u8]) -> Option<&'static Service> {
    let known_bytes = |answer: &[u8]| answer.iter().filter(|byte| **byte != ANY).count();
    let answers =
        known().flat_map(|service| service.exchange.answers.iter().map(move |answer| (service, *answer)));
    let fitting = answers.filter(|(_, answer)| {
        bytes.len() >= answer.len() && begins_as(bytes, answer) && known_bytes(answer) >= TELLING_BYTES
    });
    // Of equally good ones, the first.
    let best = fitting.min_by_key(|(_, answer)| std::cmp::Reverse(known_bytes(answer)));
    best.map(|(service, _)| service)
}

#[cfg(test)]
mod tests {
    use super::super::exchange::Fit;
    use super::*;

    #[test]
    fn usual_places_are_recognised() {
        let what = |path: &str| recognise(&Address::parse(path).unwrap()).map(|service| service.what);
        for path in ["/run/docker.sock", "/var/run/docker.sock", "/run/user/1000/docker.sock"] {
            assert_eq!(what(path), Some("the Docker daemon"), "{path}");
        }
        assert_eq!(what("/run/user/0/podman/podman.sock"), Some("podman's service"));
        assert_eq!(what("/run/containerd/containerd.sock.ttrpc"), Some("containerd, for its shims"));
        for path in
            ["/run/docker.sock.old", "/run/user/me/docker.sock", "/run/user", "docker.sock", "@docker"]
        {
            assert_eq!(what(path), None, "{path}");
        }
    }

    #[test]
    fn patterns_are_recognised() {
        let what = |path: &str| recognise(&Address::parse(path).unwrap()).map(|service| service.what);
        for (path, service) in [
            ("/run/php/php8.5-fpm.sock", "PHP's FastCGI process manager"),
            ("/var/run/php/php5.6-fpm-shop.sock", "PHP's FastCGI process manager"),
            ("/tmp/.X11-unix/X12", "the X server"),
            ("/tmp/tmux-1000/default", "tmux's server"),
            ("/tmp/tmux-0/work", "tmux's server"),
            ("/tmp/.s.PGSQL.6543", "PostgreSQL"),
            ("/var/spool/postfix/private/lmtp", "a part of Postfix"),
        ] {
            assert_eq!(what(path), Some(service), "{path}");
        }
        for path in
            ["/run/php/php8.5-fpm.sock.old", "/tmp/.X11-unix", "/tmp/tmux-1000/a/b", "/srv/.s.PGSQL.6543"]
        {
            assert_eq!(what(path), None, "{path}");
        }
        for (pattern, part, is_match) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("a", "ab", false),
        ] {
            assert_eq!(matches_part(pattern.as_bytes(), part.as_bytes()), is_match, "{pattern} {part}");
        }
    }

    #[test]
    fn a_version_has_units_of_its_own() {
        let unit = |path: &str, on: &str| recognise(&Address::path(path).unwrap()).unwrap().unit_on(&[on]);
        assert_eq!(unit("/run/php/php8.2-fpm.sock", "debian"), Some("php8.2-fpm.service"));
        assert_eq!(unit("/run/php/php8.1-fpm-shop.sock", "debian"), Some("php8.1-fpm.service"));
        // Which version the link of Debian's alternatives leads to is not known here.
        assert_eq!(unit("/run/php/php-fpm.sock", "debian"), None);
        assert_eq!(unit("/run/php-fpm/www.sock", "fedora"), Some("php-fpm.service"));
        let what = |command: &str, path| {
            run_as(command.as_ref(), &Address::path(path).unwrap()).map(|service| service.what)
        };
        let php = Some("PHP's FastCGI process manager");
        assert_eq!((what("php-fpm8.3", "/x"), what("bash", "/x")), (php, None));
        assert_eq!(what("containerd", "/x/containerd.sock"), Some("containerd"));
        assert_eq!(what("containerd", "/x/containerd.sock.ttrpc"), Some("containerd, for its shims"));
        assert_eq!(what("containerd", "/x/c.sock"), None);
    }

    #[test]
    fn restarts_are_data() {
        assert_eq!(recreating_signal("tmux: server"), Some(("USR1", "tmux")));
        assert_eq!(recreating_signal("SCREEN").map(|(signal, _)| signal), Some("CHLD"));
        assert_eq!(recreating_signal("tmuxinator"), None);
        for unit in ["dbus-broker.service", "user@1000.service", "gdm3.service", "ssh.service", "init.scope"]
        {
            assert!(holds_sessions(unit), "{unit}");
        }
        for unit in ["redis.service", "user-runtime-dir@0.service", "sshguard.service"] {
            assert!(!holds_sessions(unit), "{unit}");
        }
    }

    fn what(bytes: &[u8]) -> Option<&'static str> {
        by_answer(bytes).map(Service::label)
    }

    #[test]
    fn servers_are_recognised_by_what_they_say() {
        for (bytes, label) in [
            (b"-ERR unknown command 'GET'".as_slice(), "redis"),
            (b"\x4a\0\0\0\x0a8.0.36\0", "mysql"),
            (b"\x4a\0\0\0\x0a5.5.5-10.11.6-MariaDB\0", "mysql"),
            (b"REJECTED EXTERNAL\r\n", "dbus"),
            (b"OK Pleased to meet you, process 24111\n", "gpg-agent"),
            (b"OK MPD 0.23.5\n", "mpd"),
        ] {
            assert_eq!(what(bytes), Some(label), "{}", bytes.escape_ascii());
        }
        for bytes in [b"".as_slice(), b"OK", b"OK then", b"\0\0\0\x05\x0c", b"HTTP/1.1 200 OK\r\n"] {
            assert_eq!(what(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        /// More bytes never make a decided answer undecided, nor another.
        #[test]
        fn a_decision_is_final(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..16)) {
            for exchange in known().filter_map(exchange) {
                let fits: Vec<Fit> = (0..=bytes.len()).map(|count| exchange.fit(&bytes[..count])).collect();
                let decided = fits.iter().skip_while(|fit| **fit == Fit::Incomplete);
                let first = decided.clone().next();
                proptest::prop_assert!(decided.clone().all(|fit| Some(fit) == first));
            }
            let _ = by_answer(&bytes);
        }
    }
}
