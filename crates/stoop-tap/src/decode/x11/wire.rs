//! The form of messages: their lengths, and the names in them. Pure.

use std::ops::Range;

use crate::decode::framed::Invalid;

/// The header of a set-up, up to the name of the protocol that authorizes.
const SETUP_BYTES: usize = 12;
/// The length of errors, of events, and of the fixed part of a reply.
const REPLY_BYTES: u64 = 32;
/// The event that has any length.
pub(super) const GENERIC: u8 = 35;

/// The byte order that the client has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::decode) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    pub(super) fn of(letter: u8) -> Order {
        if letter == b'B' { Order::Big } else { Order::Little }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Order::Little => "little",
            Order::Big => "big",
        }
    }

    /// Returns the number in the two bytes from there on.
    pub(super) fn half(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Order::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// Returns the number in the four bytes from there on.
    pub(super) fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Order::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}

/// Returns whether the bytes begin a connection: the byte order, and version 11 in it.
pub(in crate::decode) fn begins(bytes: &[u8]) -> bool {
    let version = match bytes {
        [b'l', _, 11, 0, rest @ ..] | [b'B', _, 0, 11, rest @ ..] => rest,
        _ => return false,
    };
    version.starts_with(&[0, 0]) && bytes.len() >= SETUP_BYTES
}

/// Returns whether these bytes may be the begin of it, and are too few to tell.
pub(in crate::decode) fn may_begin(bytes: &[u8]) -> bool {
    let filled = |begin: [u8; SETUP_BYTES]| {
        let filled: Vec<u8> = bytes.iter().copied().chain(begin.into_iter().skip(bytes.len())).collect();
        // Clients leave the byte behind the first as it is, most of them zero: text is told by it.
        begins(&filled) && filled[1] == 0
    };
    bytes.len() < SETUP_BYTES
        && (filled([b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            || filled([b'B', 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0]))
}

/// Returns the place of what authorizes the client in its set-up, once its header is there.
pub(super) fn secret_of_setup(bytes: &[u8]) -> Option<Range<u64>> {
    let order = Order::of(*bytes.first()?);
    let (name, data) = (u64::from(order.half(bytes, 6)?), u64::from(order.half(bytes, 8)?));
    let start = SETUP_BYTES as u64 + name.next_multiple_of(4);
    Some(start..start + data)
}

/// Returns the length of the set-up, if its header is there.
pub(super) fn setup_len(bytes: &[u8]) -> Result<Option<u64>, Invalid> {
    match bytes.len() < SETUP_BYTES {
        true if may_begin(bytes) || bytes.len() < 4 => Ok(None),
        false if begins(bytes) => Ok(secret_of_setup(bytes).map(|secret| secret.end.next_multiple_of(4))),
        _ => Err(Invalid),
    }
}

/// Returns the length of the server's answer to the set-up.
pub(super) fn answer_len(order: Order, bytes: &[u8]) -> Option<u64> {
    order.half(bytes, 6).map(|words| 8 + 4 * u64::from(words))
}

/// Returns the length of a request. That of a long one is in a word of its own.
pub(super) fn request_len(order: Order, bytes: &[u8]) -> Result<Option<u64>, Invalid> {
    let words = match order.half(bytes, 2) {
        None => return Ok(None),
        Some(0) => match order.word(bytes, 4) {
            None => return Ok(None),
            Some(words) if words < 2 => return Err(Invalid),
            Some(words) => words,
        },
        Some(words) => words.into(),
    };
    if bytes[0] == 0 { Err(Invalid) } else { Ok(Some(4 * u64::from(words))) }
}

/// Returns the length of a reply, an error or an event.
pub(super) fn reply_len(order: Order, bytes: &[u8]) -> Option<u64> {
    let more = match *bytes.first()? & 0x7f {
        1 | GENERIC => order.word(bytes, 4)?,
        _ => 0,
    };
    Some(REPLY_BYTES + 4 * u64::from(more))
}

/// Returns the name in a request that asks for one, behind its header.
pub(super) fn name_of<'b>(order: Order, request: &str, body: &'b [u8]) -> Option<&'b [u8]> {
    // Where the length is, and where the name.
    let (len, at) = match request {
        "QueryExtension" | "InternAtom" => (0, 4),
        "OpenFont" | "AllocNamedColor" | "LookupColor" => (4, 8),
        "ListFonts" | "ListFontsWithInfo" => (2, 4),
        _ => return None,
    };
    let len = usize::from(order.half(body, len)?);
    // Of a long one only the begin is there.
    let name = body.get(at..)?;
    Some(&name[..len.min(name.len())])
}

/// How many words the requests of the core protocol have, by their number. 0: that differs.
const REQUEST_WORDS: &[u8; 120] = &[
    0, 0, 0, 2, 2, 2, 2, 4, 2, 2, 2, 2, 0, 2, 2, 2, 0, 2, 0, 3, 6, 2, 4, 2, 6, 11, 6, 2, 6, 3, 4, 4, 2, 4, 3,
    2, 1, 1, 2, 4, 4, 6, 3, 1, 1, 0, 2, 2, 0, 0, 0, 0, 1, 4, 2, 0, 0, 4, 0, 0, 2, 4, 7, 8, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 5, 0, 0, 0, 0, 4, 2, 3, 2, 2, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 2, 5, 3, 0, 1, 0, 2, 0, 1, 1,
    0, 1, 3, 1, 0, 1, 1, 1, 2, 0, 1, 0, 1, 0, 1,
];
const NO_OPERATION: u8 = 127;
/// So many messages in a row are hardly anything else, though the last one is cut.
const ROW: usize = 4;

/// Returns whether messages of an end begin here: nothing in them speaks against it, and the last
/// one ends with the bytes.
pub(super) fn is_row(order: Order, is_client: bool, bytes: &[u8]) -> bool {
    let (mut rest, mut count, mut last) = (bytes, 0, None);
    while !rest.is_empty() {
        let len = if is_client { request_len(order, rest) } else { Ok(reply_len(order, rest)) };
        let Ok(len) = len else { return false };
        let whole = len.and_then(|len| rest.split_at_checked(usize::try_from(len).ok()?));
        let Some((message, behind)) = whole else { return count >= ROW };
        let is_plausible = match is_client {
            true => is_request(order, message),
            false => is_of_server(order, message, &mut last),
        };
        if !is_plausible {
            return false;
        }
        (rest, count) = (behind, count + 1);
    }
    count > 0
}

fn is_request(order: Order, message: &[u8]) -> bool {
    let words = order.half(message, 2).unwrap_or_default();
    match message[0] {
        number @ (NO_OPERATION | 128..) => words > 0 || number != NO_OPERATION,
        number => match REQUEST_WORDS.get(usize::from(number)) {
            Some(0) => true,
            known => known.is_some_and(|known| u16::from(*known) == words),
        },
    }
}

/// `last` is the number of the request that the server has come to.
fn is_of_server(order: Order, message: &[u8], last: &mut Option<u16>) -> bool {
    let code = message[0] & 0x7f;
    let is_known = match code {
        0 => message[0] == 0 && message[1] > 0,
        1 => message[0] == 1,
        // It is of a key, and on the screen or not.
        2 | 3 => message[1] >= 8 && message[30] <= 1,
        4..=6 => message[30] <= 1,
        // Nothing but ones is hardly an event.
        7..=GENERIC | 64..127 => true,
        _ => false,
    };
    // The state of all keys stands there in that event.
    let number = order.half(message, 2).filter(|_| code != 11);
    let is_in_order = number.zip(*last).is_none_or(|(number, last)| number.wrapping_sub(last) < 0x8000);
    *last = number.or(*last);
    is_known && is_in_order
}
