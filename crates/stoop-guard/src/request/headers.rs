//! Request headers: which are refused, and which are forwarded. Pure.

use http::header::{ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::header::{TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::Unclear;

/// Headers by which some servers replace the method or the path of a request.
const OVERRIDES: [&str; 6] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-prefix",
];

/// Headers that are forwarded for every rule. `Content-Type` and the length are written anew.
const FORWARDED: [HeaderName; 2] = [ACCEPT, USER_AGENT];

/// Headers that determine where a message ends or goes: a rule cannot have them forwarded.
pub(crate) const FRAMING: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the headers of a request say about its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Framing {
    /// The media type, in lower case and without parameters.
    pub(crate) content_type: Option<String>,
    /// The protocol to switch to, in lower case.
    pub(crate) upgrade: Option<String>,
}

/// Reads the framing of a request, and refuses heads with more than one meaning.
pub(crate) fn framing(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
) -> Result<Framing, Unclear> {
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Unclear::new(format!("the method {method} is not for servers")));
    }
    let is_http2 = version == Version::HTTP_2;
    if !is_http2 && (uri.scheme().is_some() || uri.authority().is_some()) {
        return Err(Unclear::new("the target is an absolute URI, as for a proxy"));
    }
    if let Some(name) = OVERRIDES.iter().find(|name| headers.contains_key(**name)) {
        return Err(Unclear::new(format!("the header {name} would replace the method or the path")));
    }
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(Unclear::new("both Content-Length and Transfer-Encoding are given"));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Unclear::new("the body is compressed"));
    }
    single(headers, HOST)?;
    single(headers, CONTENT_LENGTH)?;
    let content_type = single(headers, CONTENT_TYPE)?.map(media_type).transpose()?;
    Ok(Framing { content_type, upgrade: upgrade(headers, is_http2)? })
}

fn upgrade(headers: &HeaderMap, is_http2: bool) -> Result<Option<String>, Unclear> {
    let Some(value) = single(headers, UPGRADE)? else { return Ok(None) };
    if is_http2 {
        return Err(Unclear::new("HTTP/2 has no Upgrade header"));
    }
    let connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut options = connection.flat_map(|value| value.split(','));
    if !options.any(|option| option.trim().eq_ignore_ascii_case("upgrade")) {
        return Err(Unclear::new("Upgrade is given without 'Connection: upgrade'"));
    }
    let text = text(value)?;
    match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-./".contains(&byte)) {
        true => Ok(Some(text.to_ascii_lowercase())),
        false => Err(Unclear::new("Upgrade names several protocols")),
    }
}

/// Returns the headers that are forwarded: those of every rule, and the rule's own.
pub(crate) fn forwarded(headers: &HeaderMap, named: &[HeaderName]) -> Result<HeaderMap, Unclear> {
    let mut kept = HeaderMap::new();
    for name in FORWARDED.iter().chain(named) {
        if let Some(value) = single(headers, name.clone())? {
            kept.insert(name.clone(), value.clone());
        }
    }
    Ok(kept)
}

fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Unclear> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Unclear::new(format!("the header {name} is given more than once"))),
    }
}

fn media_type(value: &HeaderValue) -> Result<String, Unclear> {
    let text = text(value)?;
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    if !["", "charset=utf-8", "charset=\"utf-8\""].contains(&charset.as_str()) {
        return Err(Unclear::new("the Content-Type has parameters other than charset=utf-8"));
    }
    Ok(kind.trim().to_ascii_lowercase())
}

fn text(value: &HeaderValue) -> Result<&str, Unclear> {
    value.to_str().map_err(|_| Unclear::new("a header is not ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Framing, Unclear> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        framing(&method.parse().unwrap(), &uri.parse().unwrap(), &map, Version::HTTP_11)
    }

    #[test]
    fn heads_with_several_meanings_are_refused() {
        for headers in [
            &[("host", "a"), ("host", "b")][..],
            &[("content-length", "1"), ("transfer-encoding", "chunked")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-type", "application/json"), ("content-type", "text/plain")],
            &[("content-type", "application/json; charset=utf-7")],
            &[("content-encoding", "gzip")],
            &[("x-http-method-override", "DELETE")],
            &[("x-original-url", "/containers/a/export")],
            &[("upgrade", "tcp")],
            &[("upgrade", "tcp, h2c"), ("connection", "upgrade")],
            &[("upgrade", "tcp"), ("upgrade", "h2c"), ("connection", "upgrade")],
        ] {
            assert!(read("GET", "/a", headers).is_err(), "{headers:?}");
        }
        assert!(read("CONNECT", "/a", &[]).is_err());
        assert!(read("TRACE", "/a", &[]).is_err());
        assert!(read("GET", "http://docker/containers/json", &[]).is_err());
    }

    #[test]
    fn framing_is_read_in_lower_case() {
        let headers = [("Content-Type", "Application/JSON; Charset=UTF-8"), ("Host", "docker")];
        assert_eq!(read("POST", "/a", &headers).unwrap().content_type.unwrap(), "application/json");
        let headers = [("Upgrade", "TCP"), ("Connection", "keep-alive, Upgrade")];
        assert_eq!(read("POST", "/a", &headers).unwrap().upgrade.unwrap(), "tcp");
    }

    #[test]
    fn only_named_headers_are_forwarded() {
        let mut map = HeaderMap::new();
        for name in ["accept", "user-agent", "x-registry-auth", "cookie", "host", "expect", "range"] {
            map.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("x"));
        }
        let names = |kept: HeaderMap| {
            let mut names: Vec<String> = kept.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(forwarded(&map, &[]).unwrap()), ["accept", "user-agent"]);
        let auth = HeaderName::from_static("x-registry-auth");
        assert_eq!(names(forwarded(&map, &[auth]).unwrap()), ["accept", "user-agent", "x-registry-auth"]);
    }
}
