//! PostgreSQL: the messages of a server, without the key of the session.

use super::{Compare, Difference, END, Verdict, excerpt, masked};

/// Requests that are answered with one byte: for TLS, and for GSSAPI.
const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];
/// The version of the protocol that begins a session.
const VERSION_3: u32 = 3;

/// The letter of a message, and its length.
const HEAD_BYTES: usize = 5;

/// The message with the process and the key of a session, which are new each time.
const BACKEND_KEY: u8 = b'K';

/// What a server sends.
#[derive(Debug, Default)]
pub(in super::super) struct Postgres {
    /// What was recorded, and what came.
    sides: [Vec<u8>; 2],
    ends: [bool; 2],
    /// What the client sent before its session began.
    startup: Vec<u8>,
    has_begun: bool,
    /// How many answers of one byte are still to come.
    single_bytes: usize,
    count: u64,
    /// Whether secrets of what was recorded are masked.
    is_masked: bool,
}

/// Returns whether a client begins as one of PostgreSQL does.
pub(in super::super) fn looks_like_postgres(bytes: &[u8]) -> bool {
    let Some((len, code)) = head(bytes) else { return false };
    (len == 8 && REQUESTS.contains(&code)) || (len as usize == bytes.len() && code >> 16 == VERSION_3)
}

fn head(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some((number(0)?, number(4)?))
}

impl Compare for Postgres {
    fn sent(&mut self, bytes: &[u8]) {
        if self.has_begun {
            return;
        }
        self.startup.extend_from_slice(bytes);
        while let Some((len, code)) = head(&self.startup) {
            if !(len == 8 && REQUESTS.contains(&code)) {
                self.has_begun = true;
                self.startup = Vec::new();
                return;
            }
            self.single_bytes += 1;
            self.startup.drain(..8);
        }
    }

    fn recorded(&mut self, bytes: &[u8], is_masked: bool) {
        self.is_masked |= is_masked;
        self.sides[0].extend_from_slice(bytes);
    }

    fn came(&mut self, bytes: &[u8]) {
        self.sides[1].extend_from_slice(bytes);
    }

    fn recorded_end(&mut self) {
        self.ends[0] = true;
    }

    fn came_end(&mut self) {
        self.ends[1] = true;
    }

    fn verdict(&mut self) -> Verdict {
        loop {
            let lens = [0, 1].map(|side| self.message(side));
            let [Some(recorded), Some(came)] = lens else { break };
            self.count += 1;
            let (one, other) = (&self.sides[0][..recorded], &self.sides[1][..came]);
            let is_key = one[0] == BACKEND_KEY && other[0] == BACKEND_KEY && recorded > 1;
            if one != other && !is_key && !self.is_masked_in(one, other) {
                let at = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(0);
                let place = format!("message {} ({})", self.count, name(one));
                return Verdict::Different(Difference::new(place, excerpt(one, at), excerpt(other, at)));
            }
            self.sides[0].drain(..recorded);
            self.sides[1].drain(..came);
            self.single_bytes = self.single_bytes.saturating_sub(1);
        }
        let [recorded, came] = &self.sides;
        let place = || format!("message {}", self.count + 1);
        match (recorded.is_empty(), came.is_empty(), self.ends) {
            (false, _, [_, true]) => Verdict::Different(Difference::new(place(), excerpt(recorded, 0), END)),
            (true, false, [true, _]) => Verdict::Different(Difference::new(place(), END, excerpt(came, 0))),
            (true, true, [true, false]) => Verdict::Missing,
            // What is not whole in the recording is compared when it is.
            (false, ..) if self.message(0).is_some() => Verdict::Missing,
            _ => Verdict::Same,
        }
    }
}

impl Postgres {
    /// Returns whether only masked secrets differ in two messages, and so perhaps their lengths.
    fn is_masked_in(&self, recorded: &[u8], came: &[u8]) -> bool {
        let content = |message| <[u8]>::get(message, HEAD_BYTES..).unwrap_or_default();
        self.is_masked && recorded[0] == came[0] && masked::matches(content(recorded), content(came))
    }

    /// Returns the length of the first message of a side, if it is whole.
    fn message(&self, side: usize) -> Option<usize> {
        let bytes = &self.sides[side];
        if self.single_bytes > 0 {
            return (!bytes.is_empty()).then_some(1);
        }
        let len = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
        (bytes.len() > len).then_some(len + 1)
    }
}

/// Returns the name of a message in the protocol.
fn name(message: &[u8]) -> &'static str {
    match message {
        [_] => "the answer to a request for encryption",
        [b'R', ..] => "Authentication",
        [b'S', ..] => "ParameterStatus",
        [b'Z', ..] => "ReadyForQuery",
        [b'T', ..] => "RowDescription",
        [b'D', ..] => "DataRow",
        [b'C', ..] => "CommandComplete",
        [b'E', ..] => "ErrorResponse",
        [b'N', ..] => "NoticeResponse",
        [b'A', ..] => "NotificationResponse",
        [BACKEND_KEY, ..] => "BackendKeyData",
        _ => "another",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &len.to_be_bytes(), body].concat()
    }

    #[test]
    fn the_key_of_a_session_may_differ_and_nothing_else() {
        let request = [0, 0, 0, 8, 4, 210, 22, 47];
        assert!(looks_like_postgres(&request));
        let answers = |key: &[u8], row: &[u8]| [vec![b'N'], message(b'K', key), message(b'D', row)].concat();
        let compare = |came: &[u8]| {
            let mut postgres = Postgres::default();
            postgres.sent(&request);
            postgres.sent(&[0, 0, 0, 8, 0, 3, 0, 0]);
            postgres.recorded(&answers(b"12345678", b"42"), false);
            postgres.came(came);
            postgres.verdict()
        };
        assert_eq!(compare(&answers(b"87654321", b"42")), Verdict::Same);
        let came = answers(b"12345678", b"43");
        assert_eq!(compare(&came[..came.len() - 1]), Verdict::Missing);
        let Verdict::Different(found) = compare(&came) else { panic!("the same") };
        assert_eq!(found.place, "message 3 (DataRow)");
        assert!(found.recorded.ends_with("42") && found.now.ends_with("43"), "{found:?}");
    }

    #[test]
    fn a_masked_secret_in_a_row_is_any_value() {
        let verdict = |is_masked: bool, now: &[u8]| {
            let mut postgres = Postgres::default();
            postgres.recorded(&message(b'D', b"name=u password=***;"), is_masked);
            postgres.came(&message(b'D', now));
            postgres.verdict()
        };
        assert_eq!(verdict(true, b"name=u password=longer;"), Verdict::Same);
        assert!(matches!(verdict(true, b"name=v password=abc;"), Verdict::Different(_)));
        assert!(matches!(verdict(false, b"name=u password=abc;"), Verdict::Different(_)));
    }
}
