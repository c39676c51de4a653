//! The form of messages: their lengths, and the names in them. Pure.

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

/// No message can begin like this.
#[derive(Debug)]
pub(super) struct Invalid;

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

/// The places in the set-up of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) struct Setup {
    /// The begin and the end of what authorizes the client.
    pub(in crate::decode) secret: (u64, u64),
    pub(in crate::decode) len: u64,
}

/// Returns the places in a set-up, once its header is there.
pub(in crate::decode) fn setup(bytes: &[u8]) -> Option<Setup> {
    let order = Order::of(*bytes.first()?);
    let (name, data) = (u64::from(order.half(bytes, 6)?), u64::from(order.half(bytes, 8)?));
    let start = SETUP_BYTES as u64 + name.next_multiple_of(4);
    Some(Setup { secret: (start, start + data), len: start + data.next_multiple_of(4) })
}

/// Returns the length of the set-up, if its header is there.
pub(super) fn setup_len(bytes: &[u8]) -> Result<Option<u64>, Invalid> {
    match bytes.len() < SETUP_BYTES {
        true if may_begin(bytes) || bytes.len() < 4 => Ok(None),
        false if begins(bytes) => Ok(setup(bytes).map(|setup| setup.len)),
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
