//! Recognizes a server that speaks TLS where plain HTTP or gRPC was expected.

/// Returns whether these are the first bytes of a TLS record: an alert or a handshake of version
/// 3.0 to 3.4. That is what a TLS server sends first, to a client that does not speak TLS.
pub(crate) fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, 0..=4, ..])
}

/// Returns a command that speaks TLS to an address, which is quoted already. There is none for an
/// address that is not a path.
pub(crate) fn tls_client(address: &str) -> Option<String> {
    let is_path = address.trim_start_matches('\'').starts_with(['/', '.']);
    is_path.then(|| format!("openssl s_client -unix {address}    # whether it speaks TLS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_records_are_recognized() {
        assert!(is_tls(b"\x15\x03\x03\x00\x02\x02\x46"));
        assert!(is_tls(b"\x16\x03\x01\x00"));
        for other in [&b""[..], b"\x15", b"\x15\x03", b"HTTP/1.1 200 OK", b"\x17\x03\x03", b"\x16\x04\x01"] {
            assert!(!is_tls(other), "{other:?}");
        }
    }
}
