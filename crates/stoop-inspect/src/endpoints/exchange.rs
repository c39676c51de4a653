//! What servers say when they are spoken to. Pure.

/// Stands for any byte in the beginning of an answer.
pub(super) const ANY: u8 = b'?';

/// What a client of a service may send first, and how the server's answers begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What to send. Empty if the server speaks first.
    pub send: &'static [u8],
    pub(super) answers: &'static [&'static [u8]],
}

/// Whether bytes begin as the answer of a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They do.
    Yes,
    /// They do not.
    No,
    /// There are too few of them to know.
    Incomplete,
}

impl Exchange {
    /// Creates an exchange that lives as long as the process.
    #[cfg(feature = "definitions")]
    pub(super) fn new(send: Vec<u8>, answers: Vec<Vec<u8>>) -> Exchange {
        let answers: Vec<&'static [u8]> = answers.into_iter().map(|answer| &*answer.leak()).collect();
        Exchange { send: send.leak(), answers: answers.leak() }
    }

    /// Returns whether the bytes received so far begin as an answer of this service.
    pub fn fit(&self, bytes: &[u8]) -> Fit {
        let fits = |answer: &&&[u8]| begins_as(bytes, answer);
        if self.answers.iter().filter(fits).any(|answer| bytes.len() >= answer.len()) {
            return Fit::Yes;
        }
        if self.answers.iter().any(|answer| fits(&answer)) { Fit::Incomplete } else { Fit::No }
    }
}

/// Returns whether nothing in the bytes differs from the beginning of an answer.
pub(super) fn begins_as(bytes: &[u8], answer: &[u8]) -> bool {
    answer.iter().zip(bytes).all(|(known, byte)| *known == ANY || known == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_fits_as_soon_as_enough_of_it_has_come() {
        const ANSWERS: &[&[u8]] = &[b"+PONG", b"??\x01"];
        let exchange = Exchange { send: b"PING\r\n", answers: ANSWERS };
        for (bytes, fit) in [
            (b"".as_slice(), Fit::Incomplete),
            (b"+PO", Fit::Incomplete),
            (b"+PONG\r\n", Fit::Yes),
            (b"ab\x01", Fit::Yes),
            (b"abc", Fit::No),
        ] {
            assert_eq!(exchange.fit(bytes), fit, "{}", bytes.escape_ascii());
        }
    }
}
