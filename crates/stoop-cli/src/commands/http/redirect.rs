//! Redirects: which request follows a response (RFC 9110, 15.4), as in curl. Pure.

use http::header::HeaderValue;
use http::{Method, StatusCode, Uri};

use super::target::LOCALHOST;
use crate::failure::Failure;

/// How many redirects are followed.
pub(super) const MAX_REDIRECTS: u32 = 50;

/// The method of the request that follows, and whether it has the same body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) method: Method,
    pub(super) keeps_body: bool,
}

/// Returns what follows a response with this status, if it redirects. `is_fixed`: the method was
/// requested for every request; `keeps_post`: a POST is repeated as it is.
pub(super) fn next(status: StatusCode, method: &Method, is_fixed: bool, keeps_post: bool) -> Option<Next> {
    let is_post = *method == Method::POST;
    let becomes_get = match status.as_u16() {
        301 | 302 => is_post && !keeps_post,
        303 => *method != Method::HEAD && !(is_post && keeps_post),
        307 | 308 => false,
        _ => return None,
    };
    let keeps_method = is_fixed || !becomes_get;
    let method = if keeps_method { method.clone() } else { Method::GET };
    Some(Next { method, keeps_body: !becomes_get })
}

/// Resolves the target of a redirect against that of the request.
pub(super) fn resolve(from: &Uri, location: &HeaderValue) -> Result<String, Failure> {
    let text = String::from_utf8_lossy(location.as_bytes());
    let text = text.split('#').next().unwrap_or_default();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.to_owned());
    }
    if let Some(rest) = text.strip_prefix("//") {
        return Ok(format!("http://{rest}"));
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Failure::usage(
            format!("the server redirects to a URL of '{scheme}:'"),
            "only http is spoken over a Unix socket",
        ));
    }
    let host = from.authority().map_or(LOCALHOST, |authority| authority.as_str());
    let path = match text.as_bytes().first() {
        Some(b'/') => text.to_owned(),
        Some(b'?') => format!("{}{text}", from.path()),
        None => from.path().to_owned(),
        Some(_) => {
            let (directory, _) = from.path().rsplit_once('/').unwrap_or_default();
            format!("{directory}/{text}")
        }
    };
    Ok(format!("http://{host}{}", without_dots(&path)))
}

/// Resolves `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(target: &str) -> String {
    let (path, query) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let mut kept: Vec<&str> = Vec::new();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    for (at, part) in parts.iter().enumerate() {
        match *part {
            ".." | "." => {
                if *part == ".." {
                    kept.pop();
                }
                if at + 1 == parts.len() {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_follows_from_the_status() {
        let of = |status: u16, method: Method, is_fixed| {
            next(StatusCode::from_u16(status).unwrap(), &method, is_fixed, false)
                .map(|next| (next.method, next.keeps_body))
        };
        assert_eq!(of(200, Method::GET, false), None);
        assert_eq!(of(304, Method::GET, false), None);
        for status in [301, 302, 303] {
            assert_eq!(of(status, Method::POST, false), Some((Method::GET, false)), "{status}");
            assert_eq!(of(status, Method::POST, true), Some((Method::POST, false)), "{status}");
        }
        for (status, method, kept) in
            [(301, Method::POST, true), (303, Method::POST, true), (303, Method::PUT, false)]
        {
            let next = next(StatusCode::from_u16(status).unwrap(), &method, false, true).unwrap();
            assert_eq!((next.method == method, next.keeps_body), (kept, kept), "{status} {method}");
        }
        assert_eq!(of(302, Method::PUT, false), Some((Method::PUT, true)));
        assert_eq!(of(303, Method::PUT, false), Some((Method::GET, false)));
        assert_eq!(of(303, Method::HEAD, false), Some((Method::HEAD, true)));
        assert_eq!(of(307, Method::POST, false), Some((Method::POST, true)));
        assert_eq!(of(308, Method::DELETE, false), Some((Method::DELETE, true)));
    }

    #[test]
    fn targets_are_resolved() {
        for (from, location, to) in [
            ("/a/b?q", "/c", "http://localhost/c"),
            ("/a/b?q", "c?x=1", "http://localhost/a/c?x=1"),
            ("/a/b", "../c/./d", "http://localhost/c/d"),
            ("/a/b/", "..", "http://localhost/a/"),
            ("/a/b", "../../../c", "http://localhost/c"),
            ("/a/b?q", "?r", "http://localhost/a/b?r"),
            ("http://api/a", "/c#part", "http://api/c"),
            ("http://api/a", "http://other/c", "http://other/c"),
            ("http://api/a", "//other/c", "http://other/c"),
            ("/a", "", "http://localhost/a"),
        ] {
            let location = HeaderValue::from_str(location).unwrap();
            let found = resolve(&from.parse().unwrap(), &location).map_err(|_| ()).unwrap();
            assert_eq!(found, to, "{from} {location:?}");
        }
        assert!(resolve(&"/".parse().unwrap(), &HeaderValue::from_static("ftp://x/")).is_err());
    }

    proptest::proptest! {
        #[test]
        fn resolved_paths_have_no_dots(path in "(/[a.]{0,3}){1,5}", location in "[a./]{0,12}") {
            let from: Uri = path.parse().unwrap();
            if let Ok(to) = resolve(&from, &HeaderValue::from_str(&location).unwrap()) {
                let path = to.strip_prefix("http://").unwrap();
                proptest::prop_assert!(location.starts_with("//") || !path.split('/').any(|part| part == ".." || part == "."));
            }
        }
    }
}
