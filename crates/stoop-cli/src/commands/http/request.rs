//! Creates a request from the flags. The only I/O is to open the files to be sent.

use std::fmt;
use std::rc::Rc;

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri};

use super::body::{BodyStream, RequestBody};
use super::data;
use super::headers::{headers, is_given};
use super::redirect::{self, Next};
use super::target::{LOCALHOST, is_url, method, refuse_several, uri, without_user};
use crate::args::Http;
use crate::failure::Failure;

/// The request as given on the command line, or as a redirect changed it.
#[derive(Clone)]
pub(super) struct HttpRequest {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    body: Rc<RequestBody>,
}

impl HttpRequest {
    /// Parses it from the flags.
    pub(super) fn read(flags: &Http) -> Result<HttpRequest, Failure> {
        let (method, target) = method_and_target(flags)?;
        if !flags.curl.globoff {
            refuse_several(target)?;
        }
        let (uri, user) = without_user(uri(&uploaded(flags, target))?)?;
        let uri = match data::query(flags)? {
            Some(query) => with_query(uri, &query)?,
            None => uri,
        };
        let body = data::body(flags)?;
        let host = HeaderValue::from_str(uri.authority().map_or(LOCALHOST, |authority| authority.as_str()));
        let host = host.map_err(|error| Failure::usage("invalid URL", error.to_string()))?;
        let mut headers = headers(flags, &body, host, user)?;
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
        let mut request = HttpRequest { method, uri, headers, body: Rc::new(body) };
        request.set_length(flags.http2);
        Ok(request)
    }

    /// Announces the length of the body, or that it is unknown.
    fn set_length(&mut self, is_http2: bool) {
        let is_bodiless = [Method::GET, Method::HEAD, Method::CONNECT].contains(&self.method);
        match self.body.len_bytes() {
            Some(0) if is_bodiless => {}
            Some(len) => {
                self.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(len));
            }
            None if is_http2 || self.headers.contains_key(header::CONTENT_LENGTH) => {}
            None => {
                let chunked = HeaderValue::from_static("chunked");
                self.headers.entry(header::TRANSFER_ENCODING).or_insert(chunked);
            }
        }
    }

    /// Returns whether it can be sent more than once.
    pub(super) fn is_repeatable(&self) -> bool {
        self.body.is_repeatable()
    }

    /// Creates the request, and starts to read its body.
    pub(super) fn to_request(&self) -> Result<Request<BodyStream>, Failure> {
        let body = self.body.stream().map_err(|error| Failure::io("read the body", &error))?;
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// Returns the request to which a response redirects, if it does.
    pub(super) fn redirected(
        &self,
        flags: &Http,
        status: StatusCode,
        location: &HeaderValue,
    ) -> Result<Option<HttpRequest>, Failure> {
        let is_fixed = flags.curl.method.is_some();
        let keeps_post = flags.curl.keeps_post(status);
        let Some(Next { method, keeps_body }) = redirect::next(status, &self.method, is_fixed, keeps_post)
        else {
            return Ok(None);
        };
        let target = redirect::resolve(&self.uri, location)?;
        let (uri, _) = without_user(uri(&target)?)?;
        let mut headers = self.headers.clone();
        let host = uri.authority().map(|authority| authority.as_str().to_owned());
        if host
            .as_deref()
            .is_some_and(|host| self.uri.authority().map_or(LOCALHOST, |it| it.as_str()) != host)
        {
            // A password for one host is not told to another.
            headers.remove(header::AUTHORIZATION);
            if !is_given(flags, &header::HOST)
                && let Ok(host) = HeaderValue::from_str(host.as_deref().unwrap_or(LOCALHOST))
            {
                headers.insert(header::HOST, host);
            }
        }
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let mut body = self.body.clone();
        if !keeps_body {
            headers.remove(header::CONTENT_TYPE);
            body = Rc::default();
        }
        let mut request = HttpRequest { method, uri, headers, body };
        request.set_length(flags.http2);
        Ok(Some(request))
    }

    /// Formats the head as it is sent, each line without its ending.
    pub(super) fn head(&self, is_http2: bool) -> Vec<Vec<u8>> {
        let target = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let version = if is_http2 { "HTTP/2" } else { "HTTP/1.1" };
        let first = format!("{} {target} {version}", self.method).into_bytes();
        let line = |(name, value): (&header::HeaderName, &HeaderValue)| {
            let name = if is_http2 { name.to_string() } else { title_case(name.as_str()) };
            [name.as_bytes(), b": ", value.as_bytes()].concat()
        };
        std::iter::once(first).chain(self.headers.iter().map(line)).collect()
    }

    /// Returns its URL, for --write-out.
    pub(super) fn url(&self) -> String {
        let scheme = self.uri.scheme().map_or("http", Scheme::as_str);
        let host = self.uri.authority().map_or(LOCALHOST, |authority| authority.as_str());
        format!("{scheme}://{host}{}", self.uri.path_and_query().map_or("/", PathAndQuery::as_str))
    }

    /// Returns the number of bytes that are sent: of the head as HTTP/1.1, and of the body, if
    /// known.
    pub(super) fn len_bytes(&self) -> u64 {
        let head: usize = self.head(false).iter().map(|line| line.len() + 2).sum();
        head as u64 + 2 + self.body_bytes()
    }

    /// Returns the number of bytes of its body, if it is known.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body.len_bytes().unwrap_or_default()
    }
}

impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri)
    }
}

/// Returns the name of a header as HTTP/1.1 clients usually send it: `Content-Type`.
fn title_case(name: &str) -> String {
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}

/// Returns the method, which has a default, and the target as given.
fn method_and_target(flags: &Http) -> Result<(Method, &str), Failure> {
    let curl = &flags.curl;
    let default = match () {
        () if curl.head => Method::HEAD,
        () if curl.upload_file.is_some() => Method::PUT,
        () if curl.get => Method::GET,
        () if !flags.data.0.is_empty() || curl.sends_form() => Method::POST,
        () => Method::GET,
    };
    if curl.head && !curl.get && !flags.data.0.is_empty() {
        return Err(Failure::usage(
            "--head cannot be used with --data",
            "a HEAD request has no body; --get sends the data in the query",
        ));
    }
    let given: Vec<&str> = flags.request.iter().chain(&curl.url).map(String::as_str).collect();
    match (&given[..], &curl.method) {
        ([first, second], _) if is_url(first) && is_url(second) => Err(super::error::one_request(second)),
        (&([path, data] | [data, path]), None) if flags.json && data.starts_with(['{', '[', '@']) => {
            Err(super::error::json_is_data(path, data))
        }
        (&[word, target], None) => Ok((method(word)?, target)),
        ([word, _], Some(other)) => Err(Failure::usage(
            format!("two methods: '{word}' and '{other}'"),
            "a method precedes the path, or is given with --request",
        )),
        (&[target], Some(word)) => Ok((method(word)?, target)),
        (&[target], None) => Ok((default, target)),
        _ => Err(Failure::usage("a path is missing", "a request names what it is for, such as '/'")),
    }
}

/// Appends the name of the uploaded file to a target that ends with a slash.
fn uploaded(flags: &Http, target: &str) -> String {
    let name = flags.curl.upload_file.as_ref().filter(|path| *path != "-").and_then(|path| path.file_name());
    match name {
        Some(name) if target.ends_with('/') => format!("{target}{}", name.to_string_lossy()),
        _ => target.to_owned(),
    }
}

fn with_query(target: Uri, more: &str) -> Result<Uri, Failure> {
    let separator = if target.query().is_some() { '&' } else { '?' };
    uri(&format!("{target}{separator}{more}"))
}

fn refuse_beside_upgrade(flags: &Http) -> Result<(), Failure> {
    if flags.http2 {
        return Err(Failure::usage(
            "--upgrade cannot be used with --http2",
            "HTTP/2 multiplexes requests on one connection",
        ));
    }
    if flags.data.0.iter().any(|(_, data)| data == "@-") {
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
    fn headers_are_shown_in_the_case_that_is_sent() {
        for (name, shown) in [("content-type", "Content-Type"), ("x--a-", "X--A-"), ("etag", "Etag")] {
            assert_eq!(title_case(name), shown);
        }
        let request = asked(&["/", "-H", "x-a: b"]).map_err(|failure| format!("{failure:?}")).unwrap();
        let lines = |is_http2| request.head(is_http2).pop().map(|line| String::from_utf8(line).unwrap());
        assert_eq!((lines(false).as_deref(), lines(true).as_deref()), (Some("X-A: b"), Some("x-a: b")));
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
            let _ = (method(&word), super::super::headers::header(&word), uri(&word));
            // Any path can be represented as a URI.
            proptest::prop_assert!(uri(&path).is_ok());
        }
    }
}
