//! The Huffman code of HPACK (RFC 7541, appendix B).
//!
//! The code is canonical: the codes of one length are consecutive numbers, in the order of their
//! symbols, and each length continues where the previous one ended, shifted left by one bit. The
//! lengths therefore determine the codes, and no table of codes is needed.

/// The length in bits of each byte's code. The last one is that of the end-of-string symbol, which
/// must not occur in a string.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];

const SYMBOLS: usize = 257;
const END: u16 = 256;
const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The code, indexed by length.
struct Code {
    /// The first code of each length, and the number of codes.
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    /// The offset in `symbols` of the first symbol of each length.
    offset: [usize; LONGEST + 1],
    symbols: [u16; SYMBOLS],
}

static CODE: Code = Code::new();

impl Code {
    const fn new() -> Code {
        let mut code = Code {
            first: [0; LONGEST + 1],
            count: [0; LONGEST + 1],
            offset: [0; LONGEST + 1],
            symbols: [0; SYMBOLS],
        };
        let (mut next, mut placed, mut length) = (0, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            (code.first[length], code.offset[length]) = (next, placed);
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[placed] = symbol as u16;
                    (next, placed) = (next + 1, placed + 1);
                }
                symbol += 1;
            }
            code.count[length] = next - code.first[length];
            length += 1;
        }
        code
    }

    fn symbol(&self, length: usize, bits: u32) -> Option<u16> {
        // Codes of one length are consecutive, so the distance from the first one is the symbol's
        // position among those of this length.
        let nth = bits.checked_sub(self.first[length]).filter(|nth| *nth < self.count[length])?;
        Some(self.symbols[self.offset[length] + nth as usize])
    }
}

/// Decodes a string and appends it to `text`. Returns `None` if the string contains the
/// end-of-string symbol, or if its padding is not a prefix of that symbol or is longer than seven
/// bits.
pub(super) fn decode(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let (bits, length) = symbols(bytes, |symbol, _| text.push(symbol))?;
    // What remains is padding: fewer than eight bits, all of them ones, as in the end-of-string
    // symbol.
    (length < 8 && bits == (1 << length) - 1).then_some(())
}

/// Passes each byte of the text to `give`, with the length of its code. Returns the bits behind the
/// last one, and how many there are; `None` if these are not codes.
pub(super) fn symbols(bytes: &[u8], mut give: impl FnMut(u8, usize)) -> Option<(u32, usize)> {
    let (mut bits, mut length) = (0u32, 0);
    for byte in bytes {
        for at in (0..8).rev() {
            bits = bits << 1 | u32::from(byte >> at & 1);
            length += 1;
            if length < SHORTEST {
                continue;
            }
            match CODE.symbol(length, bits) {
                Some(END) => return None,
                Some(symbol) => {
                    give(symbol as u8, length);
                    (bits, length) = (0, 0);
                }
                None if length == LONGEST => return None,
                None => {}
            }
        }
    }
    Some((bits, length))
}

/// Encodes a string, for tests that act as clients.
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for byte in text {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let symbols = &CODE.symbols[CODE.offset[length]..];
        let nth = symbols.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
        let code = CODE.first[length] + nth as u32;
        bits.extend((0..length).rev().map(|at| code >> at & 1 == 1));
    }
    while !bits.len().is_multiple_of(8) {
        bits.push(true);
    }
    bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}
