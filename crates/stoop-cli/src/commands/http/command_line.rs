//! Command lines as they are typed for curl: those with `--unix-socket` are rewritten, and flags
//! that do not exist here are answered with what does. Pure.

use std::ffi::OsString;

use crate::foreign_flags::Table;

/// curl's flags for the socket, which here is the first argument.
const SOCKET_FLAGS: [(&str, &str); 2] = [("--unix-socket", ""), ("--abstract-unix-socket", "@")];

/// Moves curl's `--unix-socket PATH` to the front: `stoop http PATH …`. Other lines are returned
/// as they are.
pub(crate) fn rewrite(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|verb| verb != "http") {
        return words;
    }
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    for at in 2..end {
        for (flag, kind) in SOCKET_FLAGS {
            let Some(value) = words[at].to_str().and_then(|word| word.strip_prefix(flag)) else { continue };
            let path = match value.strip_prefix('=') {
                Some(path) => OsString::from(path),
                None if value.is_empty() && at + 1 < words.len() => words.remove(at + 1),
                None => continue,
            };
            words.remove(at);
            let mut address = OsString::from(kind);
            address.push(path);
            words.insert(2, address);
            return words;
        }
    }
    words
}

/// curl's flags that do not exist here, why, and what to do instead.
#[rustfmt::skip]
pub(crate) const ELSEWHERE: &Table = &[
    (&["-c", "--cookie-jar"], "cookies are not stored", "stoop http ADDR PATH -i    # shows Set-Cookie; -b 'NAME=VALUE' sends it"),
    (&["-x", "--proxy", "-p", "--proxytunnel", "--socks5"], "a Unix socket is reached without a proxy", "stoop http ADDR PATH"),
    (&["-E", "--cert", "--key", "--cacert", "--capath", "--ciphers", "--tlsv1.2", "--tlsv1.3", "--ssl"], "there is no TLS on a Unix socket: the kernel says which user asks", "stoop http ADDR PATH"),
    (&["-C", "--continue-at"], "a transfer is not resumed", "stoop http ADDR PATH --range 1000-    # the rest after 1000 bytes"),
    (&["-z", "--time-cond"], "conditions are headers", "stoop http ADDR PATH -H 'If-Modified-Since: …'"),
    (&["-K", "--config"], "there are no configuration files", "stoop http --help"),
    (&["-Z", "--parallel", "-:", "--next"], "a command makes one request", "xargs -P 8 -n 1 stoop http ADDR < paths"),
    (&["-J", "--remote-header-name"], "the server does not choose the name of a file", "stoop http ADDR PATH --output FILE"),
    (&["-0", "--http1.0", "--http0.9", "--http3"], "the versions are HTTP/1.1 and, with --http2, HTTP/2", "stoop http ADDR PATH"),
    (&["-R", "--remote-time"], "a file has the time at which it was written", "stoop http ADDR PATH --output FILE"),
    (&["--etag-save", "--etag-compare"], "conditions are headers", "stoop http ADDR PATH -H 'If-None-Match: …'"),
    (&["--request-target"], "the path is what is sent", "stoop http ADDR PATH -H 'Host: NAME'"),
    (&["--stderr"], "the shell redirects standard error", "stoop http ADDR PATH 2> FILE"),
    (&["--fail-early", "--rate"], "a command makes one request", "xargs -n 1 stoop http ADDR < paths"),
    (&["--aws-sigv4", "--login-options", "--delegation"], "the methods are Basic and Bearer", "stoop http ADDR PATH -H 'Authorization: …'"),
    (&["--variable", "--expand-data", "--expand-url"], "the shell has variables", "stoop http ADDR \"$path\""),
    (&["--trace", "--trace-ascii", "--trace-time"], "the heads are shown with -v", "stoop http ADDR PATH -v"),
    (&["--limit-rate", "-Y", "--speed-limit", "-y", "--speed-time"], "the speed is not limited", "stoop http ADDR PATH --timeout 1m"),
    (&["--retry-max-time"], "each attempt has its own limit", "stoop http ADDR PATH --retry 3 --timeout 10s"),
    (&["--digest", "--ntlm", "--negotiate", "--anyauth", "-n", "--netrc"], "the methods are Basic and Bearer", "stoop http ADDR PATH -u USER:PASSWORD"),
    (&["--resolve", "--connect-to", "--interface", "--dns-servers", "--local-port", "-4", "-6", "--ipv4", "--ipv6"], "the address of the socket is the server", "stoop http ADDR PATH"),
    (&["--proto", "--proto-redir", "--location-trusted"], "redirects stay on this socket, and tell no password to another host", "stoop http ADDR PATH --location"),
    (&["--max-filesize", "--ignore-content-length", "--tr-encoding", "--expect100-timeout"], "responses are taken as they come", "stoop http ADDR PATH"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign_flags::{are_answered_once, find};

    fn rewritten(line: &str) -> String {
        let words = rewrite(line.split(' ').map(OsString::from).collect());
        words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_socket_of_curl_becomes_the_first_argument() {
        for (typed, meant) in [
            ("stoop http --unix-socket /s http://localhost/x", "stoop http /s http://localhost/x"),
            ("stoop http -s --unix-socket /s -X PUT /x", "stoop http /s -s -X PUT /x"),
            ("stoop http /x --unix-socket=/s", "stoop http /s /x"),
            ("stoop http /x --abstract-unix-socket a", "stoop http @a /x"),
            ("stoop http /s /x --unix-socket", "stoop http /s /x --unix-socket"),
            ("stoop http /s -- --unix-socket x", "stoop http /s -- --unix-socket x"),
            ("stoop grpc --unix-socket /s", "stoop grpc --unix-socket /s"),
            ("stoop", "stoop"),
        ] {
            assert_eq!(rewritten(typed), meant);
        }
    }

    #[test]
    fn flags_are_answered_once() {
        are_answered_once(ELSEWHERE);
        assert!(find(ELSEWHERE, "--cookie-jar").is_some());
    }

    proptest::proptest! {
        #[test]
        fn no_word_is_lost(words in proptest::collection::vec("--unix-socket|--unix-socket=a|--|http|x", 0..8)) {
            let before: Vec<OsString> = ["stoop", "http"].into_iter().map(OsString::from)
                .chain(words.iter().map(OsString::from)).collect();
            let after = rewrite(before.clone());
            proptest::prop_assert!(after == before || after.len() + 1 == before.len() || after.len() == before.len());
        }
    }
}
