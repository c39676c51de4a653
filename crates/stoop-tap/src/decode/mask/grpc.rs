//! The messages in one direction of a stream of gRPC.

use std::sync::Arc;

use super::super::methods::{Fields, Methods};
use super::super::secrets::{MASK, Secrets};
use super::protobuf::Protobuf;
use super::well_known;

/// The compression, and the length of a message.
const PREFIX_BYTES: usize = 5;

/// What is known of the messages of one direction.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Their schema.
    Schema(Arc<dyn Fields>),
    /// There is no schema of their method.
    NoSchema,
    /// Their method was named before the capture.
    Nothing,
}

impl Known {
    /// Returns what is known of the messages of a method, from its schema or without one.
    pub(super) fn of(methods: Option<&dyn Methods>, method: &str, is_response: bool) -> Known {
        let fields = methods.and_then(|methods| methods.fields(method, is_response));
        fields.or_else(|| well_known::fields(method, is_response)).map_or(Known::NoSchema, Known::Schema)
    }
}

/// Overwrites the secrets in messages.
#[derive(Debug)]
pub(super) struct Messages {
    known: Known,
    prefix: Vec<u8>,
    left: u64,
    message: Content,
}

/// How a message is judged.
#[derive(Debug)]
pub(super) enum Content {
    All,
    Nothing,
    Text(Secrets),
    Fields(Box<Protobuf>),
}

impl Messages {
    pub(super) fn new(known: Known) -> Messages {
        Messages { known, prefix: Vec::new(), left: 0, message: Content::Nothing }
    }

    pub(super) fn mask(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.left > 0 {
                self.left = self.left.saturating_sub(1);
                if self.message.is_secret(*byte) {
                    *byte = MASK;
                }
                continue;
            }
            self.prefix.push(*byte);
            if let Ok([flag, len @ ..]) = <[u8; PREFIX_BYTES]>::try_from(&self.prefix[..]) {
                self.prefix.clear();
                self.begin(flag, u64::from(u32::from_be_bytes(len)));
            }
        }
    }

    fn begin(&mut self, flag: u8, len: u64) {
        self.left = len;
        self.message = match (&self.known, flag) {
            (known, 0) => Content::new(known, len),
            (Known::Schema(fields), 1) if !fields.has_secrets() => Content::Nothing,
            (_, 1) => Content::All,
            _ => {
                // It is not gRPC.
                self.left = u64::MAX;
                Content::All
            }
        };
    }

    /// Some bytes were not seen.
    pub(super) fn gap(&mut self, len: u64) {
        if self.left > 0 && self.left >= len {
            self.left -= len;
            self.message.gap();
        } else {
            (self.left, self.message) = (u64::MAX, Content::All);
        }
    }
}

impl Content {
    /// A message of this length that is not compressed.
    pub(super) fn new(known: &Known, len: u64) -> Content {
        match known {
            Known::Schema(fields) => Content::Fields(Box::new(Protobuf::new(Arc::clone(fields), len))),
            Known::NoSchema => Content::Text(Secrets::default()),
            Known::Nothing => Content::All,
        }
    }

    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        match self {
            Content::All => true,
            Content::Nothing => false,
            Content::Text(text) => text.is_secret(byte),
            Content::Fields(message) => message.is_secret(byte),
        }
    }

    fn gap(&mut self) {
        match self {
            Content::Text(text) => text.gap(),
            Content::Fields(message) => message.gap(),
            _ => {}
        }
    }
}
