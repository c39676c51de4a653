//! The headers of a request, from the flags.

use std::fs;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use stoop::escaped;

use super::body::RequestBody;
use super::header_line::{self, is_named};
use crate::args::Http;
use crate::failure::Failure;
use crate::output::base64;

/// Returns the headers that every request has, replaced and extended by those that are given.
/// `user` is the value of `Authorization` from the URL.
pub(super) fn headers(
    flags: &Http,
    body: &RequestBody,
    host: HeaderValue,
    user: Option<HeaderValue>,
) -> Result<HeaderMap, Failure> {
    let mut headers = usual(flags, body, host)?;
    if let Some(user) = user {
        headers.insert(header::AUTHORIZATION, user);
    }
    let lines = lines(flags)?;
    for (at, line) in lines.iter().enumerate() {
        let (name, value) = header(line)?;
        // The first header with a given name replaces the default one.
        if !lines[..at].iter().any(|first| is_named(first, &name)) {
            headers.remove(&name);
        }
        if let Some(value) = value {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// Returns whether a header of this name is given.
pub(super) fn is_given(flags: &Http, name: &HeaderName) -> bool {
    lines(flags).is_ok_and(|lines| lines.iter().any(|line| is_named(line, name)))
}

/// Returns the headers that are given, also those in files.
fn lines(flags: &Http) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for given in &flags.header {
        match given.strip_prefix('@') {
            None => lines.push(given.clone()),
            Some(path) => {
                let read = match path {
                    "-" => std::io::read_to_string(std::io::stdin()),
                    path => fs::read_to_string(path),
                };
                let name = escaped(path);
                let text = read.map_err(|error| Failure::io(format!("read '{name}'"), &error))?;
                lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
            }
        }
    }
    Ok(lines)
}

/// Returns the headers that every request has unless --header overrides them.
fn usual(flags: &Http, body: &RequestBody, host: HeaderValue) -> Result<HeaderMap, Failure> {
    let curl = &flags.curl;
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host);
    if let Some(user) = &curl.user {
        headers.insert(header::AUTHORIZATION, basic(user.as_bytes())?);
    }
    if let Some(token) = &curl.oauth2_bearer {
        let mut value = value(&format!("Bearer {token}"), "--oauth2-bearer")?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    if let Some(range) = &curl.range {
        headers.insert(header::RANGE, value(&format!("bytes={range}"), "--range")?);
    }
    let agent = curl.user_agent.as_deref().unwrap_or(concat!("stoop/", env!("CARGO_PKG_VERSION")));
    if !agent.is_empty() {
        headers.insert(header::USER_AGENT, value(agent, "--user-agent")?);
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    if curl.compressed {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("deflate, gzip, zstd"));
    }
    if let Some(referer) = &curl.referer {
        if referer.ends_with(";auto") {
            return Err(Failure::usage(
                "--referer has no ';auto'",
                "every request after a redirect has the same Referer",
            ));
        }
        headers.insert(header::REFERER, value(referer, "--referer")?);
    }
    if !curl.cookie.is_empty() {
        headers.insert(header::COOKIE, cookies(&curl.cookie)?);
    }
    if let Some(content_type) = &body.content_type {
        headers.insert(header::CONTENT_TYPE, value(content_type, "the content type")?);
    }
    Ok(headers)
}

fn cookies(given: &[String]) -> Result<HeaderValue, Failure> {
    if let Some(file) = given.iter().find(|text| !text.contains('=')) {
        return Err(Failure::usage(
            format!("invalid cookie '{}'", escaped(file.as_str())),
            "a cookie is NAME=VALUE; files of cookies are not read",
        ));
    }
    value(&given.join("; "), "--cookie")
}

fn value(text: &str, of: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|_| {
        Failure::usage(format!("invalid value for {of}"), "a header's value has no control characters")
    })
}

/// Returns `Basic` credentials (RFC 7617).
pub(super) fn basic(user: &[u8]) -> Result<HeaderValue, Failure> {
    let separator: &[u8] = if user.contains(&b':') { b"" } else { b":" };
    let mut value = value(&format!("Basic {}", base64(&[user, separator].concat())), "the user")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Parses a header that is given.
pub(super) fn header(line: &str) -> Result<(HeaderName, Option<HeaderValue>), Failure> {
    header_line::parse(line).ok_or_else(|| {
        Failure::usage(
            format!("invalid header '{line}'"),
            "a header is a name, a colon and a value, as in 'Accept: text/plain'",
        )
    })
}
