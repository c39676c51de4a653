//! Addresses in the notation of other programs: translated into stoop's own, or refused with a
//! reason. Pure.
//!
//! What begins with `/`, `.`, `@` or `%` is never in such a notation. That covers every address
//! that stoop prints, except relative paths.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::shell::quoted;

/// Prefixes in the notation of others, in lower case, and what they are in stoop's.
const PREFIXES: [(&str, &str); 27] = [
    // nginx (`proxy_pass`), Apache (`ProxyPass`)
    ("http://unix:", ""),
    ("https://unix:", ""),
    ("proxy:unix:", ""),
    // milters; ZeroMQ; Open vSwitch; Tarantool and Perl; Caddy; PHP's and MySQL's `localhost:/path`
    ("local:", ""),
    ("ipc://", ""),
    ("ipc:", ""),
    ("punix:", ""),
    ("unix/:", ""),
    ("unix//", "/"),
    ("localhost:/", "/"),
    // HAProxy
    ("unix@", ""),
    ("abns@", "@"),
    ("uxst@", "stream:"),
    ("uxdg@", "dgram:"),
    // Go's networks; syslog-ng
    ("unixgram:", "dgram:"),
    ("unixpacket:", "seqpacket:"),
    ("unix-dgram:", "dgram:"),
    ("unix-stream:", "stream:"),
    // socat
    ("unix-connect:", ""),
    ("unix-client:", ""),
    ("unix-listen:", ""),
    ("unix-sendto:", "dgram:"),
    ("unix-recvfrom:", "dgram:"),
    ("unix-recv:", "dgram:"),
    ("abstract-connect:", "@"),
    ("abstract-client:", "@"),
    ("abstract-listen:", "@"),
];

/// Why an address is refused.
type Reason = Cow<'static, str>;

const OPTIONS: &str =
    "what follows the comma is not part of the address: options are flags here, as in --mode 660";
const QUERY: &str = "what follows the question mark is not part of the address";
const SEVERAL: &str = "these are several addresses: give one of them";
const NO_SOCKET: &str = "in this D-Bus address, a server chooses the name of its socket: give that name";
const NO_PATH: &str = "a URL of this kind contains the path of a socket, as in http+unix://%2Frun%2Fapp.sock";

/// Translates an address into stoop's notation. Other text is returned as it is.
pub(super) fn translate(text: OsString) -> Result<OsString, Reason> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || b"/.@%".contains(&bytes[0]) {
        return Ok(text);
    }
    if let Some(rest) = without(bytes, "unix:") {
        return match rest {
            b"" => Ok(text),
            _ if is_dbus(rest) => from_dbus(rest),
            _ => Ok(join("unix:", address(rest)?)),
        };
    }
    if let Some(rest) = url_of_unix(bytes) {
        return Ok(join("", from_url(rest)?));
    }
    if let Some(path) = between(bytes, b"unix(", b")") {
        return Ok(join("", path));
    }
    for (prefix, ours) in PREFIXES {
        if let Some(rest) = without(bytes, prefix) {
            return Ok(join(ours, address(rest)?));
        }
    }
    Ok(text)
}

/// Returns the address at the start: without what nginx, Apache, socat and others add to it.
fn address(text: &[u8]) -> Result<&[u8], Reason> {
    // A URL with an empty authority.
    let text = text.strip_prefix(b"//").filter(|path| path.starts_with(b"/")).unwrap_or(text);
    let text = match find(text, |rest| rest.starts_with(b"|") && contains(rest, b"://")) {
        Some((address, _)) => address,
        None => text,
    };
    if find(text, is_query).is_some() {
        return Err(QUERY.into());
    }
    if find(text, is_options).is_some() {
        return Err(OPTIONS.into());
    }
    match find(text, |rest| rest == b":" || rest.starts_with(b":/")) {
        Some((address, b":" | b":/")) => Ok(address),
        Some((address, request)) => Err(separate(address, &request[1..])),
        None => Ok(text),
    }
}

/// Refuses an address with the path of a request, and says how the two are given.
fn separate(address: &[u8], request: &[u8]) -> Reason {
    let [address, request] = [address, request].map(|part| quoted(OsStr::from_bytes(part)));
    format!("the path of the request is separate: stoop http {address} {request}").into()
}

/// Returns whether this is `?name=value`.
fn is_query(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"?") else { return false };
    let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    name > 0 && rest.get(name) == Some(&b'=')
}

/// Returns whether this is an option of socat or QEMU.
fn is_options(text: &[u8]) -> bool {
    const WORDS: [&str; 16] = [
        "fork",
        "server",
        "nowait",
        "wait",
        "reuseaddr",
        "unlink",
        "mode",
        "perm",
        "user",
        "group",
        "type",
        "bind",
        "retry",
        "interval",
        "forever",
        "backlog",
    ];
    let Some(rest) = text.strip_prefix(b",") else { return false };
    let word = rest.split(|byte| b",=".contains(byte)).next().unwrap_or_default();
    WORDS
        .iter()
        .any(|known| without(word, known).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-")))
}

fn is_dbus(text: &[u8]) -> bool {
    ["path=", "abstract=", "dir=", "tmpdir=", "runtime=", "guid="]
        .iter()
        .any(|key| text.starts_with(key.as_bytes()))
}

/// Translates what follows `unix:` in an address of D-Bus: `path=/run/bus,guid=…`.
fn from_dbus(text: &[u8]) -> Result<OsString, Reason> {
    let text = text.strip_suffix(b";").unwrap_or(text);
    if text.contains(&b';') {
        return Err(SEVERAL.into());
    }
    let value = |key: &[u8]| text.split(|&byte| byte == b',').find_map(|pair| pair.strip_prefix(key));
    match (value(b"path="), value(b"abstract=")) {
        (Some(path), _) => Ok(join("", path)),
        (None, Some(name)) => Ok(join("@", name)),
        (None, None) => Err(NO_SOCKET.into()),
    }
}

/// Returns what follows `http+unix:`, `ws+unix:`, `redis+socket:` and the like.
fn url_of_unix(text: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = find(text, |rest| rest.starts_with(b":"))?;
    let (_, local) = std::str::from_utf8(scheme).ok()?.rsplit_once('+')?;
    ["unix", "socket"].contains(&local.to_ascii_lowercase().as_str()).then_some(&rest[1..])
}

/// Returns the address of such a URL: `///run/app.sock:/request` or `//%2Frun%2Fapp.sock/request`.
fn from_url(text: &[u8]) -> Result<Vec<u8>, Reason> {
    let path = text.strip_prefix(b"//").unwrap_or(text);
    if path.starts_with(b"/") {
        return address(path).map(<[u8]>::to_vec);
    }
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    match &path[end..] {
        _ if without(path, "%2f").is_none() => Err(NO_PATH.into()),
        b"" | b"/" => Ok(path[..end].to_vec()),
        request => Err(separate(&path[..end], request)),
    }
}

/// Returns what follows the prefix, which is in lower case.
fn without<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

fn between<'a>(text: &'a [u8], start: &[u8], end: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(start)?.strip_suffix(end)
}

/// Splits a text at the first place whose rest is like this.
fn find(text: &[u8], is_it: impl Fn(&[u8]) -> bool) -> Option<(&[u8], &[u8])> {
    (0..text.len()).find(|&at| is_it(&text[at..])).map(|at| text.split_at(at))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn join(start: &str, rest: impl AsRef<[u8]>) -> OsString {
    OsString::from_vec([start.as_bytes(), rest.as_ref()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop::internal::Target;

    fn translated(text: &str) -> Result<String, Reason> {
        translate(text.into()).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn notations_of_others_are_understood() {
        for (theirs, ours) in [
            ("unix:/x.sock:", "/x.sock"),
            ("unix:/x.sock:/", "/x.sock"),
            ("unix:///x.sock", "/x.sock"),
            ("UNIX:/x.sock", "/x.sock"),
            ("unix:x.sock", "x.sock"),
            ("unix:/a:b", "/a:b"),
            ("unix:/a,b", "/a,b"),
            ("unix:/a?b", "/a?b"),
            ("http://unix:/srv/x.sock", "/srv/x.sock"),
            ("http://unix:/srv/x.sock:", "/srv/x.sock"),
            ("http://unix:/srv/x.sock:/", "/srv/x.sock"),
            ("proxy:unix:/run/php.sock|fcgi://localhost/", "/run/php.sock"),
            ("unix:/run/php.sock|fcgi://localhost", "/run/php.sock"),
            ("unix:path=/run/dbus/system_bus_socket,guid=ab", "/run/dbus/system_bus_socket"),
            ("unix:guid=ab,path=/run/x;", "/run/x"),
            ("unix:abstract=/tmp/dbus-x", "@/tmp/dbus-x"),
            ("http+unix://%2Fvar%2frun%2Fdocker.sock", "/var/run/docker.sock"),
            ("http+unix://%2Frun%2Fa%20b/", "/run/a b"),
            ("http+unix:///run/x.sock", "/run/x.sock"),
            ("ws+unix:///tmp/a.sock", "/tmp/a.sock"),
            ("ws+unix:/tmp/a.sock:/", "/tmp/a.sock"),
            ("redis+socket:///run/redis.sock", "/run/redis.sock"),
            ("local:/run/x.sock", "/run/x.sock"),
            ("ipc:///tmp/z.sock", "/tmp/z.sock"),
            ("UNIX-CONNECT:/tmp/s.sock", "/tmp/s.sock"),
            ("UNIX-SENDTO:/dev/log", "dgram:/dev/log"),
            ("ABSTRACT-LISTEN:x", "@x"),
            ("unix@/run/x", "/run/x"),
            ("abns@x", "@x"),
            ("unixgram:///run/log", "dgram:/run/log"),
            ("unixpacket:/run/x", "seqpacket:/run/x"),
            ("unix//run/x", "/run/x"),
            ("unix/:/run/x", "/run/x"),
            ("unix(/run/mysqld.sock)", "/run/mysqld.sock"),
            ("localhost:/run/mysqld.sock", "/run/mysqld.sock"),
        ] {
            let text = translated(theirs).unwrap();
            assert_eq!(Target::parse(&text), Target::parse(ours), "{theirs} is {text}");
        }
    }

    #[test]
    fn what_is_more_than_an_address_is_refused() {
        for (text, reason) in [
            ("unix:/x:/uri", "stoop http /x /uri"),
            ("http://unix:/run/app.sock:/v1", "stoop http /run/app.sock /v1"),
            ("ws+unix:///tmp/a.sock:/p", "stoop http /tmp/a.sock /p"),
            ("http+unix://%2Frun%2Fx.sock/v1/info", "stoop http %2Frun%2Fx.sock /v1/info"),
            ("http+unix://localhost/v1", NO_PATH),
            ("unix:path=/a;unix:path=/b", SEVERAL),
            ("unix:tmpdir=/tmp", NO_SOCKET),
            ("unix:runtime=yes", NO_SOCKET),
            ("UNIX-LISTEN:/x,fork,mode=600", OPTIONS),
            ("unix:/x.sock,server=on,wait=off", OPTIONS),
            ("unix:///x.sock?db=1", QUERY),
        ] {
            let refused = translated(text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in [
            "",
            "x",
            "/x:",
            "./local:x",
            "@ipc:x",
            "%6cocal:/x",
            "stream:/x:",
            "fd:3",
            "tcp:x",
            "http://x",
            "unix",
        ] {
            assert_eq!(translated(text).as_deref(), Ok(text));
        }
    }
}
