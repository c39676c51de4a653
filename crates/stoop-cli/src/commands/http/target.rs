//! The method and the target of a request, as given on the command line or by a redirect.

use std::borrow::Cow;

use http::header::HeaderValue;
use http::{Method, Uri};

use super::percent::{decoded, encoded};
use super::{error, headers};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell::quoted;

/// The authority of a request that names none.
pub(super) const LOCALHOST: &str = "localhost";

pub(super) fn method(word: &str) -> Result<Method, Failure> {
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

/// Returns whether a word is a URL, rather than a path or a method.
pub(super) fn is_url(word: &str) -> bool {
    word.contains("://")
}

/// Refuses a URL that stands for several in curl. In a path, braces and brackets are characters as
/// any other.
pub(super) fn refuse_several(text: &str) -> Result<(), Failure> {
    match is_url(text) && globs(text) {
        true => Err(error::one_request(text)),
        false => Ok(()),
    }
}

/// Returns whether text has a list `{a,b}` or a range `[1-9]` in curl's notation. JSON has neither:
/// its names are quoted.
fn globs(text: &str) -> bool {
    let inside = |open: char, close: char, is_glob: fn(&str) -> bool| {
        text.split(open).skip(1).filter_map(|rest| Some(rest.split_once(close)?.0)).any(is_glob)
    };
    inside('{', '}', |list| list.contains(',') && !list.contains(['"', ':', '[']))
        || inside('[', ']', |range| {
            let is_word = |end: &str| !end.is_empty() && end.chars().all(char::is_alphanumeric);
            range.split_once('-').is_some_and(|(from, to)| {
                is_word(from) && is_word(to.split_once(':').map_or(to, |(to, _)| to))
            })
        })
}

/// Parses a path, or a URL whose host is used for the `Host` header. Characters that are not
/// allowed are percent-encoded.
pub(super) fn uri(text: &str) -> Result<Uri, Failure> {
    if text.starts_with("https://") {
        let what = format!("TLS is not supported over a Unix socket: '{text}'");
        let report = Failure::new(Exit::Usage, what).why("the kernel already keeps it from everybody else");
        return Err(report.next("stoop http ADDR /PATH").into());
    }
    let text = &*with_scheme(text);
    if !text.starts_with('/') && !text.starts_with("http://") && text != "*" {
        let report =
            Failure::new(Exit::Usage, format!("invalid path '{text}'")).why("it must start with '/'");
        let path = text.strip_prefix("http:/").unwrap_or(text);
        return Err(report.next(format!("stoop http ADDR {}", quoted(format!("/{path}").as_ref()))).into());
    }
    // A URL's fragment is for its reader; a path has none.
    let sent = match text.split_once('#') {
        Some((url, _)) if is_url(text) => url,
        _ => text,
    };
    encoded(sent).parse().map_err(|error: http::uri::InvalidUri| {
        Failure::usage(format!("invalid path '{text}'"), error.to_string())
    })
}

/// Adds the scheme to a URL of `localhost`, which may lack it as in curl. Any other word is more
/// likely to be a path.
fn with_scheme(text: &str) -> Cow<'_, str> {
    let rest = text.strip_prefix(LOCALHOST);
    match rest.filter(|rest| rest.is_empty() || rest.starts_with(['/', ':', '?'])) {
        Some(_) => format!("http://{text}").into(),
        None => text.into(),
    }
}

/// Removes the user and password from a URL. They are not part of the `Host` header: as in curl,
/// they become an `Authorization` header.
pub(super) fn without_user(uri: Uri) -> Result<(Uri, Option<HeaderValue>), Failure> {
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

/// Returns `Basic` credentials from what precedes the `@`, or `None` if that is empty.
fn basic(user: &str) -> Result<Option<HeaderValue>, Failure> {
    if user.is_empty() {
        return Ok(None);
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    headers::basic(&[decoded(name), decoded(password)].join(&b':')).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_stand_for_several_are_recognized() {
        for text in ["http://h/{a,b}", "http://h/x[1-3]", "http://h/[a-z:2]", "http://h/{a,b}/[01-10]"] {
            assert!(globs(text) && refuse_several(text).is_err(), "{text}");
        }
        for text in ["http://h/{a}", "http://h/[1]", "http://h/?f={\"a\":[\"b-c\"],\"d\":1}", "http://[::1]/"]
        {
            assert!(!globs(text), "{text}");
        }
        assert!(refuse_several("/x[1-3]").is_ok());
    }

    #[test]
    fn only_a_url_has_a_fragment() {
        let sent = |text| uri(text).map(|uri| uri.to_string()).ok();
        assert_eq!(sent("http://localhost/a?b#c").as_deref(), Some("http://localhost/a?b"));
        assert_eq!(sent("/a#c").as_deref(), Some("/a%23c"));
    }
}
