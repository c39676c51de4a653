//! Versions of HTTP, and which of them a server's first bytes belong to. Pure.

/// The version of HTTP to speak. Nothing is negotiated on a Unix socket: the client has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 from the first byte ("prior knowledge").
    Http2,
}

/// The protocol that a server's first bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// There are no bytes.
    Nothing,
    /// A response of HTTP/1.
    Http1,
    /// A first frame of HTTP/2.
    Http2,
    /// Neither.
    Other,
}

impl Protocol {
    /// Returns the protocol of a server's first bytes. They may be few: what they can still become
    /// counts.
    pub fn of(opening: &[u8]) -> Protocol {
        const VERSION: &[u8] = b"HTTP/1.";
        let shared = opening.len().min(VERSION.len());
        if opening.is_empty() {
            Protocol::Nothing
        } else if opening[..shared] == VERSION[..shared] {
            Protocol::Http1
        } else if opening.iter().take(9).enumerate().all(|(at, byte)| is_frame_head(at, *byte)) {
            Protocol::Http2
        } else {
            Protocol::Other
        }
    }
}

/// Returns whether the head of a server's first frame can have this byte here. The frame is of type
/// SETTINGS (4) or GOAWAY (7), on stream 0, and shorter than 128 KiB.
fn is_frame_head(at: usize, byte: u8) -> bool {
    match at {
        1 => byte <= 1,
        2 | 4 => true,
        3 => matches!(byte, 4 | 7),
        _ => byte == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_are_classified() {
        assert_eq!(Protocol::of(b""), Protocol::Nothing);
        for http1 in [&b"HTTP/1.1 200 OK"[..], b"HTTP/1.0 400 Bad", b"H", b"HTTP/1"] {
            assert_eq!(Protocol::of(http1), Protocol::Http1);
        }
        let settings = b"\0\0\x12\x04\0\0\0\0\0\0\x03";
        for len in 1..=settings.len() {
            assert_eq!(Protocol::of(&settings[..len]), Protocol::Http2, "{len} bytes");
        }
        for http2 in [&b"\0\0\0\x04\0\0\0\0\0"[..], b"\0\0\x08\x07\0\0\0\0\0"] {
            assert_eq!(Protocol::of(http2), Protocol::Http2);
        }
        let ttrpc = b"\0\0\0\x02\0\0\0\x01\x02\0"; // begins with a length
        for other in
            [&b"220 ready"[..], b"SSH-2.0-x", b"\0\0\0\x04\0\0\0\0\x01", b"HTTPS", b"HTTP/2 200", ttrpc]
        {
            assert_eq!(Protocol::of(other), Protocol::Other);
        }
    }
}
