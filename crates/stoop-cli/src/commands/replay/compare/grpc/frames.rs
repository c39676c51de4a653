//! Frames of HTTP/2, to the parts of its streams that matter.

use std::collections::{BTreeMap, VecDeque};

use stoop_grpc::internal::HeaderBlocks;

use super::super::excerpt;

/// The start of a connection of HTTP/2.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD_BYTES: usize = 9;
/// The head of a message of gRPC: whether it is compressed, and its length.
const MESSAGE_HEAD_BYTES: usize = 5;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

/// Flags. `ACK` is that of SETTINGS.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// The name and the value of a header.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Headers(Vec<Field>),
    /// A message of gRPC, or the body of another call.
    Message {
        bytes: Vec<u8>,
        is_compressed: bool,
    },
    End,
    Reset(u32),
    /// The connection's settings, of which only matters that they came.
    Settings,
}

impl Item {
    /// Returns the path of the call that it begins.
    pub(super) fn path(&self) -> Option<String> {
        let Item::Headers(fields) = self else { return None };
        let path = fields.iter().find(|(name, _)| name == b":path");
        path.map(|(_, path)| path.escape_ascii().to_string())
    }

    /// Describes it for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Item::Headers(fields) => {
                let field =
                    |(name, value): &Field| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
                fields.iter().map(field).collect::<Vec<_>>().join(", ")
            }
            Item::Message { bytes, .. } => excerpt(bytes, 0),
            Item::End => "(the end of the stream)".into(),
            Item::Reset(code) => format!("(the stream is reset, code {code})"),
            Item::Settings => "(settings)".into(),
        }
    }
}

/// What one side sends, frame by frame.
#[derive(Debug)]
pub(super) struct Side {
    bytes: Vec<u8>,
    has_begun: bool,
    headers: HeaderBlocks,
    /// The block that is not yet whole, its stream, and whether it ends the stream.
    block: Option<(u32, Vec<u8>, bool)>,
    streams: BTreeMap<u32, Stream>,
    /// It is not HTTP/2 from here on.
    pub(super) is_invalid: bool,
}

#[derive(Debug, Default)]
struct Stream {
    items: VecDeque<Item>,
    /// Data that is not yet a whole message.
    data: Vec<u8>,
    is_grpc: bool,
}

impl Side {
    pub(super) fn new() -> Side {
        Side {
            bytes: Vec::new(),
            has_begun: false,
            headers: HeaderBlocks::default(),
            block: None,
            streams: BTreeMap::new(),
            is_invalid: false,
        }
    }

    /// Reads the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if !self.has_begun {
            // Only clients have it.
            if PREFACE.starts_with(&self.bytes[..self.bytes.len().min(PREFACE.len())]) {
                if self.bytes.len() < PREFACE.len() {
                    return;
                }
                self.bytes.drain(..PREFACE.len());
            }
            self.has_begun = true;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = &bytes[..];
        while let Some((head, others)) = rest.split_first_chunk::<HEAD_BYTES>()
            && !self.is_invalid
        {
            let [l0, l1, l2, kind, flags, stream @ ..] = *head;
            let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let Some((payload, others)) = others.split_at_checked(len) else { break };
            let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
            self.is_invalid = self.frame(kind, flags, stream, payload).is_none();
            rest = others;
        }
        self.bytes = rest.to_vec();
    }

    /// Reads a frame. Returns `None` if it is not one of HTTP/2.
    fn frame(&mut self, kind: u8, flags: u8, number: u32, payload: &[u8]) -> Option<()> {
        match kind {
            DATA => {
                let data = unpadded(payload, flags)?;
                let stream = self.streams.entry(number).or_default();
                stream.data.extend_from_slice(data);
                stream.messages();
                if flags & END_STREAM != 0 {
                    stream.end();
                }
            }
            HEADERS => {
                let block = unpadded(payload, flags)?;
                let block = if flags & PRIORITY != 0 { block.get(5..)? } else { block };
                self.block = Some((number, block.to_vec(), flags & END_STREAM != 0));
                self.end_block(flags)?;
            }
            CONTINUATION => {
                let (its, block, _) = self.block.as_mut()?;
                (*its == number).then_some(())?;
                block.extend_from_slice(payload);
                self.end_block(flags)?;
            }
            RST_STREAM => {
                let code = u32::from_be_bytes(payload.try_into().ok()?);
                self.streams.entry(number).or_default().items.push_back(Item::Reset(code));
            }
            SETTINGS if flags & ACK == 0 => {
                self.streams.entry(number).or_default().items.push_back(Item::Settings);
            }
            _ => {}
        }
        Some(())
    }

    fn end_block(&mut self, flags: u8) -> Option<()> {
        if flags & END_HEADERS == 0 {
            return Some(());
        }
        let (number, block, ends) = self.block.take()?;
        let fields = self.headers.read(&block)?;
        let stream = self.streams.entry(number).or_default();
        let is_grpc =
            |(name, value): &Field| name == b"content-type" && value.starts_with(b"application/grpc");
        stream.is_grpc |= fields.iter().any(is_grpc);
        stream.body();
        stream.items.push_back(Item::Headers(fields));
        if ends {
            stream.end();
        }
        Some(())
    }

    /// Returns the streams that have something.
    pub(super) fn streams(&self) -> Vec<u32> {
        let have = self.streams.iter().filter(|(_, stream)| !stream.items.is_empty());
        have.map(|(number, _)| *number).collect()
    }

    /// Returns the next part of a stream.
    pub(super) fn next(&self, number: u32) -> Option<Item> {
        self.streams.get(&number)?.items.front().cloned()
    }

    pub(super) fn pop(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        // Nothing follows an end.
        if let Some(Item::End | Item::Reset(_)) = stream.items.pop_front() {
            self.streams.remove(&number);
        }
    }

    /// Takes everything that was read.
    pub(super) fn take(&mut self) -> Vec<(u32, Item)> {
        let mut items = Vec::new();
        for number in self.streams() {
            while let Some(item) = self.next(number) {
                self.pop(number);
                items.push((number, item));
            }
        }
        items
    }
}

impl Stream {
    /// Separates whole messages of gRPC.
    fn messages(&mut self) {
        while self.is_grpc
            && let Some(&[compression, l0, l1, l2, l3]) = self.data.first_chunk::<MESSAGE_HEAD_BYTES>()
        {
            let end = MESSAGE_HEAD_BYTES + u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            if self.data.len() < end {
                break;
            }
            let bytes = self.data[MESSAGE_HEAD_BYTES..end].to_vec();
            self.data.drain(..end);
            self.items.push_back(Item::Message { bytes, is_compressed: compression != 0 });
        }
    }

    /// What is left is a body, or an incomplete message.
    fn body(&mut self) {
        if !self.data.is_empty() {
            let bytes = std::mem::take(&mut self.data);
            self.items.push_back(Item::Message { bytes, is_compressed: false });
        }
    }

    fn end(&mut self) {
        self.body();
        self.items.push_back(Item::End);
    }
}

fn unpadded(payload: &[u8], flags: u8) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.len().checked_sub(usize::from(padding)).map(|len| &rest[..len])
}
