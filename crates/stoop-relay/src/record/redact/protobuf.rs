//! Fields of messages of Protocol Buffers, one byte after the other.

/// The numbers of the fields that lead to a field.
pub(super) type Path = &'static [u32];

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A part of the number and the type of a field.
    Tag,
    /// A part of a number that is the value of a field.
    Varint,
    /// A part of the length of a field.
    Length { field: u32 },
    /// The value of a field.
    Value { left: u64, is_secret: bool },
    /// It is not a message, or one of a kind that is not understood: all of it may be secret.
    Unknown,
}

/// A message.
#[derive(Debug)]
pub(super) struct Protobuf {
    secrets: &'static [Path],
    state: State,
    /// The number that is being read, and the place of its next bits.
    number: u64,
    shift: u32,
    /// How many bytes were read.
    at: u64,
    /// The fields that the next one is in, and their ends.
    within: Vec<(u32, u64)>,
}

impl Protobuf {
    /// Creates the reader of a message in which these fields are secrets.
    pub(super) fn new(secrets: &'static [Path]) -> Protobuf {
        Protobuf { secrets, state: State::Tag, number: 0, shift: 0, at: 0, within: Vec::new() }
    }

    /// Returns whether the next byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        self.at += 1;
        let (mut is_secret, state) = (false, self.state);
        self.state = match state {
            State::Tag | State::Length { .. } if !self.is_number(byte) => {
                if self.shift > 63 {
                    State::Unknown
                } else {
                    self.state
                }
            }
            State::Tag => self.tag(),
            State::Length { field } => self.field(field),
            State::Varint if byte & 0x80 == 0 => self.ended(),
            State::Varint => State::Varint,
            State::Value { left, is_secret: its } => {
                is_secret = its;
                self.value(left - 1, its)
            }
            State::Unknown => {
                is_secret = true;
                State::Unknown
            }
        };
        is_secret
    }

    /// Takes the next byte of a number. Returns whether it is the last.
    fn is_number(&mut self, byte: u8) -> bool {
        self.number |= u64::from(byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
        self.shift += 7;
        byte & 0x80 == 0
    }

    fn taken(&mut self) -> u64 {
        self.shift = 0;
        std::mem::take(&mut self.number)
    }

    fn tag(&mut self) -> State {
        let tag = self.taken();
        match (u32::try_from(tag >> 3), tag & 7) {
            (Ok(_), 0) => State::Varint,
            (Ok(_), 1) => State::Value { left: 8, is_secret: false },
            (Ok(field), 2) => State::Length { field },
            (Ok(_), 5) => State::Value { left: 4, is_secret: false },
            _ => State::Unknown,
        }
    }

    /// The length of a field is complete.
    fn field(&mut self, field: u32) -> State {
        let len = self.taken();
        let path: Vec<u32> = self.within.iter().map(|(field, _)| *field).chain([field]).collect();
        if self.secrets.contains(&&path[..]) {
            return self.value(len, true);
        }
        if self.secrets.iter().all(|secret| !secret.starts_with(&path)) {
            return self.value(len, false);
        }
        self.within.push((field, self.at.saturating_add(len)));
        self.ended()
    }

    fn value(&mut self, left: u64, is_secret: bool) -> State {
        match left {
            0 => self.ended(),
            left => State::Value { left, is_secret },
        }
    }

    /// A value, or the head of a field with fields, is complete.
    fn ended(&mut self) -> State {
        while self.within.pop_if(|(_, end)| *end <= self.at).is_some() {}
        State::Tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: &[Path] = &[&[2, 2], &[3]];

    fn masked(message: &[u8]) -> Vec<u8> {
        let mut fields = Protobuf::new(SECRETS);
        message.iter().map(|byte| if fields.is_secret(*byte) { b'*' } else { *byte }).collect()
    }

    #[test]
    fn fields_are_found_by_their_path() {
        let message =
            b"\x0a\x01a\x12\x09\x0a\x01u\x12\x02pw\x18\x05\x12\x00\x1a\x01x\x15abcd\x12\x04\x12\x02qr";
        let seen = b"\x0a\x01a\x12\x09\x0a\x01u\x12\x02**\x18\x05\x12\x00\x1a\x01*\x15abcd\x12\x04\x12\x02**";
        assert_eq!(masked(message).escape_ascii().to_string(), seen.escape_ascii().to_string());
    }

    #[test]
    fn what_is_no_message_is_masked() {
        assert_eq!(masked(b"\x0fabc"), b"\x0f***");
        assert_eq!(masked(&[0xff; 12])[10..], *b"**");
    }
}
