//! Credentials in header blocks of HTTP/2 (HPACK, RFC 7541), one byte after the other.
//!
//! The name of a header comes before its value, so that each byte can be judged when it comes. The
//! masks of a string that is Huffman-coded are the code of `*`, which has eight bits: the string
//! stays as long as it was and can be decoded, to so many `*`. What the block adds to the dynamic
//! table is masked in the same way, and later references to it show nothing else.

#[allow(dead_code, reason = "the same file as in stoop-grpc, which decodes more")]
mod huffman;
#[allow(dead_code, reason = "the same file as in stoop-grpc, which has a table of other entries")]
mod table;
#[cfg(test)]
pub(super) mod tests;

use std::collections::VecDeque;

use self::table::{ENTRY_OVERHEAD_BYTES, STATIC, TABLE_MAX_BYTES};
use super::secrets::is_secret_name;

/// What masked bytes become.
pub(super) const MASK: u8 = b'*';
/// The code of `*` in the Huffman code of HPACK.
pub(super) const CODED_MASK: u8 = 0xf9;
/// The longest string that is decoded.
const STRING_MAX: usize = 1 << 16;
/// The least length of a longer string that is decoded: no code has more than 30 bits.
const LONG_DECODED_MIN: usize = STRING_MAX * 8 / 30;
/// How much of a table is kept, whatever size the peers have agreed on.
const TABLE_KEPT_BYTES: usize = 1 << 20;
/// The highest position of seven bits of a number: a valid one has no more than 28 bits.
const SHIFT_MAX: u32 = 21;

/// What the value of a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// It is a secret if its sender says so.
    Plain,
    Secret,
    /// The path of a call.
    Path,
    ContentType,
    /// Another field of a request line or a status line.
    Pseudo,
}

impl Value {
    fn of(name: &[u8]) -> Value {
        match name {
            b":path" => Value::Path,
            b"content-type" => Value::ContentType,
            [b':', ..] => Value::Pseudo,
            name if is_secret_name(name) || name.ends_with(b"api-key") => Value::Secret,
            _ => Value::Plain,
        }
    }
}

/// The name of a header that is being read.
#[derive(Clone, Copy, Debug)]
struct Name {
    value: Value,
    len: usize,
}

/// A header that is not one of a table.
#[derive(Clone, Copy, Debug)]
struct Literal {
    /// It becomes an entry of the table.
    is_added: bool,
    /// Its sender says that it is sensitive.
    is_sensitive: bool,
}

/// A string that is not in the Huffman code.
struct Malformed;

/// What a number is.
#[derive(Clone, Copy, Debug)]
enum Number {
    Entry,
    TableSize,
    NameOf(Literal),
    NameLength(Literal),
    ValueLength(Literal, Name),
}

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The first byte of a header.
    Start,
    /// The first byte of the length of a string.
    Length(Number),
    /// The rest of a number; of a string's length: whether the string is coded.
    Number {
        number: Number,
        value: usize,
        shift: u32,
        is_coded: bool,
    },
    Name {
        literal: Literal,
        left: usize,
        is_coded: bool,
    },
    Value {
        literal: Literal,
        name: Name,
        left: usize,
        is_coded: bool,
    },
    /// It is malformed: nothing more can be judged.
    Lost,
}

/// An entry of the dynamic table.
#[derive(Debug)]
struct Entry {
    name: Name,
    /// Its value, if that is of interest.
    text: Vec<u8>,
    bytes: usize,
}

/// What a block has, apart from secrets.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The path of a request.
    pub(super) path: Option<Vec<u8>>,
    /// What it begins consists of messages of gRPC.
    pub(super) is_grpc: bool,
}

/// The header blocks of one direction.
#[derive(Debug)]
pub(super) struct Hpack {
    state: State,
    /// The string that is being read.
    string: Vec<u8>,
    /// The dynamic table, the newest entry first.
    entries: VecDeque<Entry>,
    bytes: usize,
    max_bytes: usize,
    block: Block,
}

impl Hpack {
    pub(super) fn new() -> Hpack {
        Hpack {
            state: State::Start,
            string: Vec::new(),
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes: TABLE_MAX_BYTES,
            block: Block::default(),
        }
    }

    /// Judges the next byte. Returns what it becomes if it is part of a secret.
    pub(super) fn mask(&mut self, byte: u8) -> Option<u8> {
        let mut mask = None;
        self.state = match self.state {
            State::Start => self.start(byte),
            State::Length(number) => self.number(number, byte, 7, byte & 0x80 != 0),
            State::Number { number, value, shift, is_coded } => {
                let value = value + (usize::from(byte & 0x7f) << shift);
                match byte & 0x80 {
                    0 => self.counted(number, value, is_coded),
                    _ if shift == SHIFT_MAX => State::Lost,
                    _ => State::Number { number, value, shift: shift + 7, is_coded },
                }
            }
            State::Name { literal, left, is_coded } => {
                self.keep(byte);
                match left {
                    1 => self.named(literal, is_coded),
                    left => State::Name { literal, left: left - 1, is_coded },
                }
            }
            State::Value { literal, name, left, is_coded } => {
                self.keep(byte);
                let is_secret =
                    name.value == Value::Secret || literal.is_sensitive && name.value == Value::Plain;
                mask = is_secret.then_some(if is_coded { CODED_MASK } else { MASK });
                match left {
                    1 => self.ended(literal, name, is_coded),
                    left => State::Value { literal, name, left: left - 1, is_coded },
                }
            }
            State::Lost => {
                mask = Some(MASK);
                State::Lost
            }
        };
        mask
    }

    /// A block has ended. Returns what it had.
    pub(super) fn end_block(&mut self) -> Block {
        if !matches!(self.state, State::Start) {
            self.state = State::Lost;
        }
        std::mem::take(&mut self.block)
    }

    fn start(&mut self, byte: u8) -> State {
        let literal = |is_added, is_sensitive| Number::NameOf(Literal { is_added, is_sensitive });
        match byte {
            0x80.. => self.number(Number::Entry, byte, 7, false),
            0x40.. => self.number(literal(true, false), byte, 6, false),
            0x20.. => self.number(Number::TableSize, byte, 5, false),
            _ => self.number(literal(false, byte & 0x10 != 0), byte, 4, false),
        }
    }

    /// The first byte of a number with a prefix of so many bits has come.
    fn number(&mut self, number: Number, byte: u8, prefix_bits: u32, is_coded: bool) -> State {
        let max = (1usize << prefix_bits) - 1;
        match usize::from(byte) & max {
            value if value == max => State::Number { number, value, shift: 0, is_coded },
            value => self.counted(number, value, is_coded),
        }
    }

    /// A number is complete.
    fn counted(&mut self, number: Number, value: usize, is_coded: bool) -> State {
        match number {
            Number::Entry if value == 0 => State::Lost,
            Number::Entry => {
                let entry = value.checked_sub(STATIC + 1).and_then(|nth| self.entries.get(nth));
                if let Some((value, text)) = entry.map(|entry| (entry.name.value, entry.text.clone())) {
                    self.note(value, &text);
                }
                State::Start
            }
            Number::TableSize => {
                self.max_bytes = value;
                self.shrink(value);
                State::Start
            }
            Number::NameOf(literal) if value == 0 => State::Length(Number::NameLength(literal)),
            Number::NameOf(literal) => State::Length(Number::ValueLength(literal, self.name(value))),
            Number::NameLength(literal) if value == 0 => self.named(literal, is_coded),
            Number::NameLength(literal) => State::Name { literal, left: value, is_coded },
            Number::ValueLength(literal, name) if value == 0 => self.ended(literal, name, is_coded),
            Number::ValueLength(literal, name) => State::Value { literal, name, left: value, is_coded },
        }
    }

    /// Returns the name of an entry. What may be there and is not known may be a secret.
    fn name(&self, index: usize) -> Name {
        let Some(nth) = index.checked_sub(STATIC + 1) else {
            let name = table::name(u8::try_from(index).unwrap_or_default()).as_bytes();
            return Name { value: Value::of(name), len: name.len() };
        };
        let unknown = Name { value: Value::Secret, len: 0 };
        self.entries.get(nth).map_or(unknown, |entry| entry.name)
    }

    fn named(&mut self, literal: Literal, is_coded: bool) -> State {
        let len = self.string.len();
        let name = match self.taken(is_coded) {
            Ok(Some(text)) => Name { value: Value::of(&text.to_ascii_lowercase()), len: text.len() },
            // Nothing that is looked for is so long.
            Ok(None) => Name { value: Value::Plain, len },
            Err(Malformed) => return State::Lost,
        };
        State::Length(Number::ValueLength(literal, name))
    }

    fn ended(&mut self, literal: Literal, name: Name, is_coded: bool) -> State {
        let (text, len) = match self.taken(is_coded) {
            Ok(Some(text)) => {
                let len = text.len();
                (text, len)
            }
            Ok(None) => (Vec::new(), STRING_MAX),
            Err(Malformed) => return State::Lost,
        };
        self.note(name.value, &text);
        if !literal.is_added {
            return State::Start;
        }
        if name.len.max(len) >= STRING_MAX && self.max_bytes > LONG_DECODED_MIN {
            // Whether it is an entry depends on its length, and all later references on that.
            return State::Lost;
        }
        let is_noted = matches!(name.value, Value::Path | Value::ContentType);
        let text = if is_noted { text } else { Vec::new() };
        self.add(Entry { name, text, bytes: name.len + len + ENTRY_OVERHEAD_BYTES });
        State::Start
    }

    fn note(&mut self, value: Value, text: &[u8]) {
        match value {
            Value::Path => self.block.path = Some(text.to_vec()),
            Value::ContentType => self.block.is_grpc |= text.starts_with(b"application/grpc"),
            Value::Plain | Value::Secret | Value::Pseudo => {}
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.string.len() <= STRING_MAX {
            self.string.push(byte);
        }
    }

    /// Returns the string that was read, decoded; `None` if it is too long.
    fn taken(&mut self, is_coded: bool) -> Result<Option<Vec<u8>>, Malformed> {
        let string = std::mem::take(&mut self.string);
        if string.len() > STRING_MAX || !is_coded {
            return Ok(Some(string).filter(|string| string.len() <= STRING_MAX));
        }
        let mut text = Vec::new();
        huffman::decode(&string, &mut text).map(|()| Some(text)).ok_or(Malformed)
    }

    fn add(&mut self, entry: Entry) {
        self.shrink(self.max_bytes.min(TABLE_KEPT_BYTES).saturating_sub(entry.bytes));
        if entry.bytes <= self.max_bytes {
            self.bytes += entry.bytes;
            self.entries.push_front(entry);
        }
    }

    fn shrink(&mut self, bytes: usize) {
        while self.bytes > bytes {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.bytes -= oldest.bytes;
        }
    }
}
