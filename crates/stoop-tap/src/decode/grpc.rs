//! gRPC: the messages in the data of a stream, and statuses. Pure.

use super::line::Message;

/// The compression, and the length of a message.
const PREFIX_BYTES: usize = 5;
/// The longest message whose bytes are kept.
const KEPT_MAX: u64 = 1 << 20;

/// The names of statuses, by their number.
const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Returns the name of a status, or its number.
pub(super) fn status_name(number: u32) -> String {
    STATUSES.get(number as usize).map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// Decodes `grpc-message`: bytes that are not printable are written as `%XX`.
pub(super) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(byte) = rest.split_off_first() {
        let digits = rest.get(..2).filter(|_| *byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &rest[2..];
            }
            None => decoded.push(*byte),
        }
    }
    decoded
}

/// Splits the data of one direction of a stream into messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// An incomplete prefix.
    prefix: Vec<u8>,
    /// The message whose prefix is complete, and how much of it is still to come.
    begun: Option<(Message, u64)>,
    /// Whether it is unknown where the next message begins.
    is_lost: bool,
}

impl Messages {
    /// Takes data and returns the messages that it completes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<Message> {
        let mut done = Vec::new();
        while !bytes.is_empty() && !self.is_lost {
            match &mut self.begun {
                Some((message, left)) => {
                    let len = (*left).min(bytes.len() as u64);
                    let now = bytes.split_off(..len as usize).unwrap_or_default();
                    *left -= len;
                    if message.len <= KEPT_MAX && message.is_intact() {
                        message.bytes.extend(now);
                    }
                }
                None => self.prefix(&mut bytes),
            }
            done.extend(self.begun.take_if(|(_, left)| *left == 0).map(|(message, _)| message));
        }
        done
    }

    fn prefix(&mut self, bytes: &mut &[u8]) {
        let len = (PREFIX_BYTES - self.prefix.len()).min(bytes.len());
        self.prefix.extend(bytes.split_off(..len).unwrap_or_default());
        let Ok([flag, len @ ..]) = <[u8; PREFIX_BYTES]>::try_from(&self.prefix[..]) else { return };
        self.prefix.clear();
        // Other bits are not defined.
        self.is_lost = flag > 1;
        let len = u64::from(u32::from_be_bytes(len));
        self.begun = Some((Message::new(len, flag == 1), len)).filter(|_| !self.is_lost);
    }

    /// Skips data that was not captured. A message that ends within it is returned.
    pub(super) fn gap(&mut self, len: u64) -> Option<Message> {
        match &mut self.begun {
            Some((message, left)) if *left >= len => {
                *left -= len;
                message.lose();
            }
            _ => self.is_lost = true,
        }
        self.begun.take_if(|(_, left)| *left == 0).map(|(message, _)| message)
    }

    /// How many bytes it keeps.
    pub(super) fn kept(&self) -> usize {
        self.begun.as_ref().map_or(0, |(message, _)| message.bytes.len())
    }

    /// Keeps nothing of the message that has begun.
    pub(super) fn drop_kept(&mut self) {
        if let Some((message, _)) = &mut self.begun {
            message.lose();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
        let one = |message: &Vec<u8>| [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
        messages.iter().flat_map(one).collect()
    }

    #[test]
    fn a_status_has_its_name_and_its_message() {
        assert_eq!([0, 5, 16, 17].map(status_name), ["OK", "NOT_FOUND", "UNAUTHENTICATED", "17"]);
        assert_eq!(percent_decoded(b"a%20b%zz%e2%82%ac%"), "a b%zz€%".as_bytes());
    }

    #[test]
    fn a_gap_takes_its_message_only() {
        let bytes = framed(&[vec![1; 10], vec![2; 3]]);
        let mut messages = Messages::default();
        assert_eq!(messages.push(&bytes[..7]), []);
        assert_eq!(messages.gap(5), None);
        let done = messages.push(&bytes[12..]);
        assert_eq!((done[0].len, &done[0].bytes[..]), (10, &[][..]));
        assert_eq!(done[1].bytes, [2; 3]);
        assert_eq!(messages.gap(1), None);
        assert_eq!(messages.push(&bytes), [], "unknown where a message begins");
    }

    proptest! {
        #[test]
        fn messages_may_be_cut_anywhere(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8),
            cut in 1usize..20,
        ) {
            let mut messages = Messages::default();
            let bytes = framed(&sent);
            let done: Vec<Vec<u8>> =
                bytes.chunks(cut).flat_map(|piece| messages.push(piece)).map(|message| message.bytes).collect();
            prop_assert_eq!(done, sent);
        }
    }
}
