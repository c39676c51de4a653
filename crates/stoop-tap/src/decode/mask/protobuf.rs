//! The fields of a protobuf message that are secrets, by its schema.

use std::sync::Arc;

use super::super::methods::{Field, Fields};
use super::super::secrets::Secrets;

/// How deep messages are looked into.
const DEPTH_MAX: usize = 50;

/// Judges the bytes of one message in order.
#[derive(Debug)]
pub(super) struct Protobuf {
    /// Messages that lie in one another.
    levels: Vec<Level>,
    state: State,
    number: u64,
    shift: u32,
    text: Secrets,
}

#[derive(Debug)]
struct Level {
    fields: Arc<dyn Fields>,
    left: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Tag,
    Varint,
    /// The length of the field with this number.
    Len(u32),
    Fixed(u8),
    Text(u64),
    Secret(u64),
    /// The name of a variable.
    Variable(u64),
    /// It is malformed: whatever follows is overwritten.
    Malformed,
}

impl Protobuf {
    /// A message of this length.
    pub(super) fn new(fields: Arc<dyn Fields>, len: u64) -> Protobuf {
        let levels = vec![Level { fields, left: len }];
        Protobuf { levels, state: State::Tag, number: 0, shift: 0, text: Secrets::default() }
    }

    /// Returns whether the next byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        while self.state == State::Tag && self.levels.last().is_some_and(|level| level.left == 0) {
            self.levels.pop();
        }
        let Some(level) = self.levels.last_mut().filter(|level| level.left > 0) else { return true };
        level.left -= 1;
        let left = level.left;
        match self.state {
            State::Tag => {
                if let Some(tag) = self.varint(byte) {
                    self.state = after_tag(tag);
                }
            }
            State::Varint => {
                if self.varint(byte).is_some() {
                    self.state = State::Tag;
                }
            }
            State::Len(number) => {
                if let Some(len) = self.varint(byte) {
                    self.state = if len <= left { self.begin(number, len) } else { State::Malformed };
                }
            }
            State::Fixed(left) => self.state = if left == 1 { State::Tag } else { State::Fixed(left - 1) },
            State::Text(left) => {
                self.state = next(State::Text, left);
                return self.text.is_secret(byte);
            }
            State::Variable(left) => {
                let then = if byte == b'=' { State::Secret } else { State::Variable };
                self.state = next(then, left);
            }
            State::Secret(left) => {
                self.state = next(State::Secret, left);
                return true;
            }
            State::Malformed => return true,
        }
        false
    }

    /// Some bytes of it were not seen: what follows cannot be judged.
    pub(super) fn gap(&mut self) {
        self.state = State::Malformed;
    }

    /// Begins a field with a length.
    fn begin(&mut self, number: u32, len: u64) -> State {
        let field = self.levels.last().map_or(Field::Secret, |level| level.fields.field(number));
        if len == 0 {
            return State::Tag;
        }
        match field {
            Field::Text => {
                self.text = Secrets::default();
                State::Text(len)
            }
            Field::Secret => State::Secret(len),
            Field::Variable => State::Variable(len),
            Field::Message(_) if self.levels.len() >= DEPTH_MAX => State::Secret(len),
            Field::Message(fields) => {
                if let Some(level) = self.levels.last_mut() {
                    level.left -= len;
                }
                self.levels.push(Level { fields, left: len });
                State::Tag
            }
        }
    }

    /// Takes a byte of a number, and returns the number if it is whole.
    fn varint(&mut self, byte: u8) -> Option<u64> {
        if self.shift > 63 {
            self.state = State::Malformed;
            return None;
        }
        self.number |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 != 0 {
            return None;
        }
        self.shift = 0;
        Some(std::mem::take(&mut self.number))
    }
}

fn next(state: fn(u64) -> State, left: u64) -> State {
    if left == 1 { State::Tag } else { state(left - 1) }
}

fn after_tag(tag: u64) -> State {
    match (tag & 7, u32::try_from(tag >> 3)) {
        (0, _) => State::Varint,
        (1, _) => State::Fixed(8),
        (2, Ok(number)) => State::Len(number),
        (5, _) => State::Fixed(4),
        _ => State::Malformed,
    }
}
