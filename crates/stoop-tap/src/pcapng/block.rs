//! Blocks and their options. Pure.

use super::SECTION;

/// The byte order of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Order::Little => u64::from_le_bytes(bytes),
            Order::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// The fields of a block, one after the other. `None` behind the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
    order: Order,
}

impl<'b> Fields<'b> {
    pub(super) fn new(bytes: &'b [u8], order: Order) -> Fields<'b> {
        Fields { bytes, order }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    /// Takes so many bytes, and those that fill the last word.
    pub(super) fn padded(&mut self, len: usize) -> Option<&'b [u8]> {
        let taken = self.bytes(len)?;
        self.bytes(len.next_multiple_of(4) - len)?;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(self.order.u16(self.bytes(2)?.try_into().ok()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(self.order.u32(self.bytes(4)?.try_into().ok()?))
    }

    /// A time: the upper half first, in either byte order.
    pub(super) fn time(&mut self) -> Option<u64> {
        Some(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    /// The next record of a list of codes and values; `None` at its end.
    pub(super) fn option(&mut self) -> Option<(u16, &'b [u8])> {
        let (code, len) = (self.u16()?, self.u16()?);
        let value = self.padded(len.into())?;
        (code != 0).then_some((code, value))
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }
}

/// Appends a block.
pub(super) fn push(bytes: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = (body.len() as u32 + 12).to_le_bytes();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(len);
    bytes.extend(body);
    bytes.extend(len);
}

/// Appends an option.
pub(super) fn push_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(60_000)];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Ends a list of options.
pub(super) fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// The length of a block, if its first twelve bytes can be those of one; and the byte order, which
/// a section decides for what follows.
pub(super) fn begin(first: [u8; 12], order: Order) -> Option<(u32, usize, Order)> {
    let word = |at: usize| [first[at], first[at + 1], first[at + 2], first[at + 3]];
    let kind = order.u32(word(0));
    // The same in both byte orders.
    let order = match (kind, word(8)) {
        (SECTION, [0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
        (SECTION, [0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
        (SECTION, _) => return None,
        _ => order,
    };
    let len = order.u32(word(4)) as usize;
    let is_possible = len >= 12 && len.is_multiple_of(4) && len <= BLOCK_MAX;
    is_possible.then_some((kind, len, order))
}

/// The longest block that is read.
const BLOCK_MAX: usize = 64 << 20;
