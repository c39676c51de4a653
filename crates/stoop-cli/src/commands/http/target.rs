//! The method and the target of a request, as given on the command line or by a redirect.

use std::borrow::Cow;

use http::header::HeaderValue;
use http::{Method, Uri};

use super::headers;
use super::percent::{decoded, encoded};
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
    encoded(text).parse().map_err(|error: http::uri::InvalidUri| {
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
