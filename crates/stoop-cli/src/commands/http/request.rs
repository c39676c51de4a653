//! Creates a request from the flags. The only I/O is to inspect the file to be sent.

use std::fmt;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};

use super::body::RequestBody;
use crate::args::Http;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::base64;
use crate::shell::quoted;

/// The request as given on the command line.
pub(super) struct HttpRequest {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    data: RequestBody,
}

impl HttpRequest {
    /// Parses it from the flags.
    pub(super) fn read(flags: &Http) -> Result<HttpRequest, Failure> {
        let default = if flags.data.is_some() { Method::POST } else { Method::GET };
        let (method, target) = match &flags.request[..] {
            [method, target] => (self::method(method)?, target),
            [target, ..] => (default, target),
            [] => {
                return Err(Failure::usage(
                    "a path is missing",
                    "a request names what it is for, such as '/'",
                ));
            }
        };
        let (uri, user) = without_user(uri(target)?)?;
        let data = RequestBody::open(flags)?;
        let mut headers = usual(&data);
        if let Some(user) = user {
            headers.insert(header::AUTHORIZATION, user);
        }
        for line in &flags.header {
            let (name, value) = header(line)?;
            // The first header with a given name replaces the default one.
            if flags
                .header
                .iter()
                .find(|first| named(first, &name))
                .is_some_and(|first| std::ptr::eq(first, line))
            {
                headers.remove(&name);
            }
            if let Some(value) = value {
                headers.append(name, value);
            }
        }
        if let Some(protocol) = &flags.upgrade {
            refuse_beside_upgrade(flags)?;
            let value = HeaderValue::from_str(protocol);
            let value = value.map_err(|_| {
                Failure::usage(
                    format!("invalid protocol name '{protocol}'"),
                    "a header's value has no control characters",
                )
            })?;
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, value);
        }
        Ok(HttpRequest { method, uri, headers, data })
    }

    /// Creates the request, and starts to read its body.
    pub(super) fn into_request(self) -> Request<super::body::BodyStream> {
        let mut request = Request::new(self.data.into_body());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri)
    }
}

fn refuse_beside_upgrade(flags: &Http) -> Result<(), Failure> {
    if flags.http2 {
        return Err(Failure::usage(
            "--upgrade cannot be used with --http2",
            "HTTP/2 multiplexes requests on one connection",
        ));
    }
    if flags.data.as_deref().is_some_and(|data| data == "@-") {
        return Err(Failure::usage(
            "--data @- cannot be used with --upgrade",
            "standard input is sent after the upgrade",
        ));
    }
    if flags.output.is_some() {
        return Err(Failure::usage(
            "--output cannot be used with --upgrade",
            "what follows the upgrade is no response: redirect standard output instead",
        ));
    }
    Ok(())
}

/// Returns the headers that every request has unless --header overrides them.
fn usual(data: &RequestBody) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("stoop/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(content_type) = data.content_type() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers
}

fn method(word: &str) -> Result<Method, Failure> {
    if word.starts_with('/') {
        let what = format!("'{word}' is a path, and not a method");
        let report = Failure::new(Exit::Usage, what).why("the method precedes the path");
        return Err(report.next(format!("stoop http ADDR METHOD {}", quoted(word.as_ref()))).into());
    }
    // Methods are written in capitals, and nothing else distinguishes them from other words.
    let capitals = word.to_ascii_uppercase();
    Method::from_bytes(capitals.as_bytes()).map_err(|_| {
        Failure::usage(format!("invalid HTTP method '{word}'"), "a method is a word such as GET or POST")
    })
}

/// Parses a path, or a URL whose host is used for the `Host` header. Characters that are not
/// allowed are percent-encoded.
fn uri(text: &str) -> Result<Uri, Failure> {
    if text.starts_with("https://") {
        let what = format!("TLS is not supported over a Unix socket: '{text}'");
        let report = Failure::new(Exit::Usage, what).why("the kernel already keeps it from everybody else");
        return Err(report.next("stoop http ADDR /PATH").into());
    }
    if !text.starts_with('/') && !text.starts_with("http://") && text != "*" {
        let report =
            Failure::new(Exit::Usage, format!("invalid path '{text}'")).why("it must start with '/'");
        return Err(report.next(format!("stoop http ADDR {}", quoted(format!("/{text}").as_ref()))).into());
    }
    encoded(text).parse().map_err(|error: http::uri::InvalidUri| {
        Failure::usage(format!("invalid path '{text}'"), error.to_string())
    })
}

/// Removes the user and password from a URL. They are not part of the `Host` header: as in curl,
/// they become an `Authorization` header.
fn without_user(uri: Uri) -> Result<(Uri, Option<HeaderValue>), Failure> {
    let Some((user, host)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Ok((uri, None));
    };
    let unfit = || Failure::usage("invalid URL", "a host must follow the '@'");
    let host = host.parse().map_err(|_| unfit())?;
    let header = basic(user)?;
    let mut parts = uri.into_parts();
    parts.authority = Some(host);
    Ok((Uri::from_parts(parts).map_err(|_| unfit())?, header))
}

/// Returns `Basic` credentials (RFC 7617) from what precedes the `@`, or `None` if that is empty.
fn basic(user: &str) -> Result<Option<HeaderValue>, Failure> {
    if user.is_empty() {
        return Ok(None);
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let text = [decoded(name), decoded(password)].join(&b':');
    let value = HeaderValue::from_str(&format!("Basic {}", base64(&text)));
    let mut value = value.map_err(|_| {
        Failure::usage("invalid user in the URL", "a header's value has no control characters")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Decodes percent-encoded text. A `%` without two hexadecimal digits is kept.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match digit(0).zip(digit(1)) {
            Some((high, low)) if *first == b'%' => {
                bytes.push((high << 4 | low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// Percent-encodes every byte that a URI cannot contain. A `%` is kept, because it may be part of
/// an existing encoding.
fn encoded(text: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    text.bytes()
        .map(|byte| if fits(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Parses `Name: value`. As in curl, `Name:` removes a default header, and `Name;` sends one
/// without a value.
fn header(line: &str) -> Result<(HeaderName, Option<HeaderValue>), Failure> {
    let wrong = || {
        Failure::usage(
            format!("invalid header '{line}'"),
            "a header is a name, a colon and a value, as in 'Accept: text/plain'",
        )
    };
    let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
        (Some((name, value)), _) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
        (None, Some(name)) => (name, Some("")),
        (None, None) => return Err(wrong()),
    };
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
    let value = value.map(HeaderValue::from_str).transpose().map_err(|_| wrong())?;
    Ok((name, value))
}

fn named(line: &str, name: &HeaderName) -> bool {
    let end = line.find([':', ';']).unwrap_or(line.len());
    line[..end].trim().eq_ignore_ascii_case(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Verb};
    use clap::Parser;

    fn asked(words: &[&str]) -> Result<HttpRequest, Failure> {
        let cli = Cli::try_parse_from([&["stoop", "http", "./x"], words].concat()).unwrap();
        let Verb::Http(flags) = cli.verb else { panic!("http") };
        HttpRequest::read(&flags)
    }

    #[track_caller]
    fn shown(words: &[&str]) -> String {
        asked(words).unwrap_or_else(|failure| panic!("{failure:?}")).to_string()
    }

    #[test]
    fn the_method_has_a_default() {
        assert_eq!(shown(&["/a"]), "GET /a");
        assert_eq!(shown(&["/a", "--data", "x"]), "POST /a");
        assert_eq!(shown(&["put", "/a", "--data", "x"]), "PUT /a");
        assert_eq!(shown(&["options", "*"]), "OPTIONS *");
        assert_eq!(shown(&["http://api/a?b=c"]), "GET http://api/a?b=c");
        assert_eq!(shown(&["/grün ?f={\"x\":[1]}#y%20"]), "GET /gr%C3%BCn%20?f=%7B%22x%22:[1]%7D%23y%20");
    }

    #[test]
    fn contradicting_arguments_are_rejected() {
        for words in [
            &["version"][..],
            &["/a", "GET"],
            &["https://x/"],
            &["G ET", "/"],
            &["/", "-H", "nothing"],
            &["/", "-H", "a b: c"],
            &["/", "--upgrade", "tcp", "--http2"],
            &["/", "--upgrade", "tcp", "--data", "@-"],
            &["/", "--upgrade", "a\nb"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn headers_replace_defaults_and_may_be_repeated() {
        let words = [
            "/",
            "--data",
            "{}",
            "-H",
            "accept: a",
            "-H",
            "X: 1",
            "-H",
            "x:2",
            "-H",
            "User-Agent:",
            "-H",
            "Empty;",
        ];
        let headers = asked(&words).map_err(|failure| format!("{failure:?}")).unwrap().headers;
        let all = |name: &str| -> Vec<_> { headers.get_all(name).iter().collect() };
        assert_eq!(all("accept"), ["a"]);
        assert_eq!(all("x"), ["1", "2"]);
        assert_eq!(all("empty"), [""]);
        assert_eq!(all("content-type"), ["application/json"]);
        assert!(all("user-agent").is_empty());
    }
    #[test]
    fn a_user_in_the_url_becomes_the_authorization_header() {
        for (url, target, value) in [
            ("http://u@h/", "http://h/", Some("Basic dTo=")),
            ("http://u:p@h:80/a?b@c", "http://h:80/a?b@c", Some("Basic dTpw")),
            // Percent-encoded characters in a password, and a literal colon.
            ("http://u%40x:p%3a%2Fq:r@h/", "http://h/", Some("Basic dUB4OnA6L3E6cg==")),
            ("http://:p@h/", "http://h/", Some("Basic OnA=")),
            ("http://u%zz@h/", "http://h/", Some("Basic dSV6ejo=")),
            ("http://@h/", "http://h/", None),
            ("http://h/u@x", "http://h/u@x", None),
            ("/u@x", "/u@x", None),
        ] {
            let asked = asked(&[url]).map_err(|failure| format!("{failure:?}")).unwrap();
            assert_eq!(asked.uri.to_string(), target, "{url}");
            let authorization = asked.headers.get("authorization").map(|value| value.to_str().unwrap());
            assert_eq!(authorization, value, "{url}");
            assert!(
                !asked.to_string().contains('@') || url.ends_with("@x") || url.ends_with("@c"),
                "{asked}"
            );
        }
        // As every default header it is replaced by one that is given.
        let given = asked(&["http://u:p@h/", "-H", "Authorization: Bearer x"]).map_err(|_| ()).unwrap();
        assert_eq!(given.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer x"]);
        let dropped = asked(&["http://u:p@h/", "-H", "authorization:"]).map_err(|_| ()).unwrap();
        assert!(!dropped.headers.contains_key("authorization"));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_input_does_not_panic(word in ".*", path in "/.*") {
            let _ = (method(&word), header(&word), uri(&word));
            // Any path can be represented as a URI.
            proptest::prop_assert!(uri(&path).is_ok());
        }
    }
}
