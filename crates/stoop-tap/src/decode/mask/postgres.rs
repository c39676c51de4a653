//! PostgreSQL: passwords and the messages of SASL, and statements as text.

use super::super::postgres::begins;
use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

const PASSWORD: u8 = b'p';
/// Version 3.0.
const STARTUP: u32 = 196_608;

/// Both directions. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    client: Option<Side>,
    is_started: bool,
    halves: [Half; 2],
}

#[derive(Debug, Default)]
struct Half {
    text: Secrets,
    header: Vec<u8>,
    /// The letter of a message, and how much of it is still to come.
    message: Option<(u8, u64)>,
    /// Within a message of SASL that names its mechanism: bytes of the length that follows.
    length: Option<u8>,
}

impl Mask for Postgres {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        let mut at = 0;
        while at < bytes.len() {
            let half = &mut self.halves[from.index()];
            if let Some((letter, left)) = half.message {
                at += half.body(letter, left, is_client, &mut bytes[at..]);
                continue;
            }
            half.header.push(bytes[at]);
            at += 1;
            let is_begin = match is_client {
                true if !self.is_started => self.start(from),
                // The answer to a request for TLS or GSSAPI is one letter.
                false if !self.is_started && matches!(half.header[..], [b'N' | b'S' | b'G']) => {
                    half.header.clear();
                    Some(())
                }
                _ => half.begin(),
            };
            if is_begin.is_none() {
                return false;
            }
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        let is_password = half.message.is_some_and(|(letter, _)| letter == PASSWORD);
        half.text.is_within() || is_password && self.client == Some(from)
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        half.text.gap();
        match &mut half.message {
            Some((_, left)) if *left > len => *left -= len,
            Some((_, left)) if *left == len => half.message = None,
            _ => return false,
        }
        true
    }
}

impl Postgres {
    /// A first message has no letter.
    fn start(&mut self, from: Side) -> Option<()> {
        let half = &mut self.halves[from.index()];
        let Some([len, code]) = half.header.as_chunks().0.first_chunk::<2>().copied() else {
            return Some(());
        };
        begins(&half.header).then_some(())?;
        self.is_started = u32::from_be_bytes(code) == STARTUP;
        half.open(0, u64::from(u32::from_be_bytes(len)) - 8);
        Some(())
    }
}

impl Half {
    /// Returns `None` if no message begins here.
    fn begin(&mut self) -> Option<()> {
        let Some([letter, len @ ..]) = self.header.first_chunk::<5>().copied() else { return Some(()) };
        let len = u64::from(u32::from_be_bytes(len));
        (letter.is_ascii_alphanumeric() && (4..1 << 30).contains(&len)).then_some(())?;
        self.open(letter, len - 4);
        Some(())
    }

    fn open(&mut self, letter: u8, len: u64) {
        self.header.clear();
        (self.text, self.length) = (Secrets::default(), None);
        self.message = Some((letter, len)).filter(|_| len > 0);
    }

    /// Overwrites a byte of what a client authenticates with, but neither the zero byte behind a
    /// password or the name of a mechanism, nor the length behind that name.
    fn password(&mut self, byte: &mut u8) {
        match &mut self.length {
            None if *byte == 0 => self.length = Some(4),
            Some(left @ 1..) => *left -= 1,
            _ => *byte = MASK,
        }
    }

    fn body(&mut self, letter: u8, left: u64, is_client: bool, bytes: &mut [u8]) -> usize {
        let used = left.min(bytes.len() as u64) as usize;
        match letter {
            PASSWORD if is_client => bytes[..used].iter_mut().for_each(|byte| self.password(byte)),
            _ => self.text.mask(&mut bytes[..used]),
        }
        self.message = Some((letter, left - used as u64)).filter(|(_, left)| *left > 0);
        used
    }
}
