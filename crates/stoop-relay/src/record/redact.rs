//! Masking well-known secrets in what is recorded. Pure.
//!
//! Bytes are replaced by `*`, one for one, so that lengths and boundaries stay. What is found:
//!
//! - in any text: headers and assignments that carry credentials, such fields and the variables of
//!   containers in JSON, passwords in statements of SQL;
//! - HTTP/2, which may follow HTTP/1: headers that carry credentials, and those that their sender
//!   calls sensitive; the text in the data of each stream;
//! - gRPC: credentials in the messages of known methods;
//! - PostgreSQL: passwords, and the messages of SASL, from the client;
//! - Redis: the arguments of AUTH, and those of HELLO after AUTH.
//!
//! Nothing is found in what is compressed or encrypted.

mod calls;
mod hpack;
mod http2;
mod postgres;
mod protobuf;
mod redis;
#[allow(dead_code, reason = "the same file as in stoop-tap, which also follows gaps")]
mod secrets;

use self::calls::Calls;
use self::hpack::MASK;
use self::http2::{Detector, Http2};
use self::postgres::Postgres;
use self::redis::Redis;
use self::secrets::Secrets;
use super::format::Side;

/// Masks what one side of a connection sends.
#[derive(Debug)]
pub(crate) struct Redactor {
    text: Secrets,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    calls: Calls,
    detector: Detector,
    /// From where it is this on, it is nothing else.
    http2: Option<Http2>,
}

impl Redactor {
    /// Creates those of the client and of the server of a connection. What the client sends must be
    /// masked before what the server sends after it.
    pub(crate) fn pair() -> [Redactor; 2] {
        let calls = Calls::default();
        [Side::Client, Side::Server].map(|side| Redactor::new(side, calls.clone()))
    }

    fn new(from: Side, calls: Calls) -> Redactor {
        let is_client = from == Side::Client;
        Redactor {
            text: Secrets::default(),
            redis: is_client.then(Redis::new),
            postgres: is_client.then(Postgres::new),
            calls,
            detector: Detector::new(),
            http2: None,
        }
    }

    /// Masks the secrets in the next bytes. Returns how many bytes were masked.
    pub(crate) fn mask(&mut self, bytes: &mut [u8]) -> u32 {
        let mut masked = 0;
        for byte in bytes {
            if let Some(mask) = self.mask_of(*byte) {
                *byte = mask;
                masked += 1;
            }
        }
        masked
    }

    fn mask_of(&mut self, plain: u8) -> Option<u8> {
        if let Some(http2) = &mut self.http2 {
            return http2.mask(plain);
        }
        // Each protocol sees the plain bytes, so that one does not mislead the other.
        let by_text = self.text.is_secret(plain);
        let by_redis = self.redis.as_mut().is_some_and(|redis| redis.is_secret(plain));
        let by_postgres = self.postgres.as_mut().is_some_and(|postgres| postgres.is_secret(plain));
        self.http2 = self.detector.next(plain, &self.calls);
        (by_text || by_redis || by_postgres).then_some(MASK)
    }
}

/// Masks bytes as a whole and in pieces, and compares.
#[cfg(feature = "fuzzing")]
pub(crate) fn redaction(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let (side, size) = (usize::from(first & 1), usize::from(first >> 1) + 1);
    let (mut whole, mut pieces) = (data.to_vec(), data.to_vec());
    let count = Redactor::pair()[side].mask(&mut whole);
    let mut redactor = Redactor::pair();
    let sum: u32 = pieces.chunks_mut(size).map(|piece| redactor[side].mask(piece)).sum();
    assert_eq!((count, &whole), (sum, &pieces));
    let is_masked = |(plain, seen): (&u8, &u8)| plain == seen || [MASK, hpack::CODED_MASK].contains(seen);
    assert!(data.iter().zip(&whole).all(is_masked));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor(from: Side) -> Redactor {
        Redactor::new(from, Calls::default())
    }

    fn masked(from: Side, text: &[u8]) -> String {
        let mut bytes = text.to_vec();
        redactor(from).mask(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn headers_and_fields_of_http_are_masked() {
        let request = "POST /auth HTTP/1.1\r\nHost: x\r\nauthorization: Basic abc=\r\nX-Registry-Auth:\te30=\r\n\
                       Cookie: a=b\r\nX-Note: no\r\n\r\n{\"username\":\"u\",\"password\": \"s\\\"e\",\"n\":1}";
        let seen = "POST /auth HTTP/1.1\r\nHost: x\r\nauthorization: **********\r\nX-Registry-Auth:\t****\r\n\
                    Cookie: ***\r\nX-Note: no\r\n\r\n{\"username\":\"u\",\"password\": \"****\",\"n\":1}";
        assert_eq!(masked(Side::Client, request.as_bytes()), seen);
        let variables = b"{\"Env\": [\"A=bc\"], \"n\": \"A=b\"}";
        assert_eq!(masked(Side::Client, variables), "{\"Env\": [\"A=**\"], \"n\": \"A=b\"}");
        assert_eq!(masked(Side::Server, b"\r\nSet-Cookie: id=7\r\n"), "\r\nSet-Cookie: ****\r\n");
    }

    #[test]
    fn passwords_of_postgresql_are_masked() {
        let mut bytes = b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x0f\0\x03\0\0user\0a\0".to_vec();
        bytes.extend(b"p\0\0\0\x0bsecret\0Q\0\0\0\x0dselect 1\0p\0\0\0\x05x");
        let text = masked(Side::Client, &bytes);
        assert!(text.ends_with("p\0\0\0\x0b*******Q\0\0\0\x0dselect 1\0p\0\0\0\x05*"), "{text:?}");
        assert!(!masked(Side::Client, b"a\0\0\0\x0f\0\x03\0\0p\0\0\0\x05x").contains('*'));
    }

    #[test]
    fn passwords_of_redis_are_masked() {
        let text = "*2\r\n$4\r\nauth\r\n$3\r\nabc\r\n*1\r\n$4\r\nPING\r\n";
        assert_eq!(masked(Side::Client, text.as_bytes()), text.replace("abc", "***"));
        let text = "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$2\r\npw\r\n";
        let seen = text.replace("$1\r\nu", "$1\r\n*").replace("pw", "**");
        assert_eq!(masked(Side::Client, text.as_bytes()), seen);
        assert_eq!(masked(Side::Client, b"PING\r\nAUTH abc\r\n"), "PING\r\nAUTH ***\r\n");
    }

    const PARTS: &[&[u8]] = &[
        b"\r\nAuthorization: x\r\n",
        b"\"password\":\"pw\",",
        b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n",
        b"p\0\0\0\x06pw",
        b"\0\0\0\x08\0\x03\0\0",
        b"\r\n",
        b"\"\\",
        b"$",
    ];

    proptest! {
        /// The boundaries of reads make no difference.
        #[test]
        fn pieces_are_masked_as_the_whole(
            parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..8),
            cuts in proptest::collection::vec(1usize..9, 1..20),
        ) {
            let text = parts.concat();
            let mut whole = text.clone();
            let count = redactor(Side::Client).mask(&mut whole);
            let mut pieces = text.clone();
            let (mut redactor, mut at, mut sum) = (redactor(Side::Client), 0, 0);
            for cut in cuts.iter().cycle() {
                if at == pieces.len() { break }
                let end = (at + cut).min(pieces.len());
                sum += redactor.mask(&mut pieces[at..end]);
                at = end;
            }
            prop_assert_eq!(&whole, &pieces);
            prop_assert_eq!(count, sum);
            let changed = text.iter().zip(&whole).filter(|(one, other)| one != other);
            prop_assert!(changed.count() <= count as usize);
        }
    }
}
