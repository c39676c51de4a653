//! The head of a response: its status and headers, as the server sent them.

use http::Version;
use http::header::HeaderMap;
use http::response::Parts;
use stoop::escaped;

/// The head of a response.
pub(super) struct ResponseHead {
    pub(super) parts: Parts,
    /// The bytes that the server sent first, if they were recorded: HTTP/1 only.
    received: Vec<u8>,
}

impl ResponseHead {
    pub(super) fn new(parts: Parts, received: Vec<u8>) -> ResponseHead {
        ResponseHead { parts, received }
    }

    /// Returns the reason phrase that the server sent, or else that of the standard.
    pub(super) fn reason(&self) -> String {
        match stoop_http::internal::reason(&self.parts.extensions) {
            Some(own) => escaped(own).to_string(),
            None => self.parts.status.canonical_reason().unwrap_or_default().to_owned(),
        }
    }

    /// Returns the version, as in `HTTP/1.1`.
    pub(super) fn version(&self) -> String {
        format!("{:?}", self.parts.version)
    }

    /// Returns the lines of the head, with an empty one at the end, and with those of interim
    /// responses (100 Continue) before. As the server sent them, or else as they were understood.
    pub(super) fn text(&self) -> Vec<u8> {
        match final_head_len(&self.received) {
            Some(len) if self.parts.version != Version::HTTP_2 => {
                let received = &self.received[..len];
                received.iter().copied().filter(|&byte| byte != b'\r').collect()
            }
            _ => self.formatted(),
        }
    }

    fn formatted(&self) -> Vec<u8> {
        let status = self.parts.status.as_u16();
        let first = match self.parts.version {
            Version::HTTP_2 => format!("HTTP/2 {status}"),
            _ => format!("{} {status} {}", self.version(), self.reason()),
        };
        let mut text = format!("{}\n", first.trim_end()).into_bytes();
        for (name, value) in &self.parts.headers {
            text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        text.push(b'\n');
        text
    }

    /// Returns the headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the status as a number.
    pub(super) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }
}

/// Returns where the head of the final response ends: after those of interim responses.
fn final_head_len(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut is_interim, mut is_first) = (0, false, true);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        at += line.len();
        if !line.ends_with(b"\n") {
            return None;
        }
        if is_first {
            let status = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
            is_interim = status.starts_with(b"1") && !status.starts_with(b"101");
            is_first = false;
        } else if line == b"\n" || line == b"\r\n" {
            if !is_interim {
                return Some(at);
            }
            is_first = true;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_head_follows_interim_ones() {
        let of = |text: &str| final_head_len(text.as_bytes()).map(|len| text[len..].to_owned());
        assert_eq!(of("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody").as_deref(), Some("body"));
        assert_eq!(of("HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\n\nbody").as_deref(), Some("body"));
        assert_eq!(of("HTTP/1.1 101 X\r\n\r\nHTTP").as_deref(), Some("HTTP"));
        assert_eq!(of("HTTP/1.1 100 Go\r\n\r\n"), None);
        assert_eq!(of("HTTP/1.1 200 OK\r\nA: b\r\n"), None);
        assert_eq!(of(""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_head_or_not(bytes in proptest::collection::vec(proptest::sample::select(&b"H1 \r\n0"[..]), 0..40)) {
            proptest::prop_assert!(final_head_len(&bytes).is_none_or(|len| len <= bytes.len() && bytes[..len].ends_with(b"\n")));
        }
    }
}
