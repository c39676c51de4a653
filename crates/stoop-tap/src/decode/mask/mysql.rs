//! MySQL and MariaDB: what clients authenticate with, and statements as text.

use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

const CHANGE_USER: u8 = 0x11;
/// The length of a request for TLS. What follows is encrypted.
const TLS_REQUEST: u64 = 32;
/// The offset of the user's name in the answer to a greeting.
const USER_AT: u64 = 32;

/// Capabilities of a client.
const PROTOCOL_41: u32 = 1 << 9;
/// What it authenticates with has a length in front: of one byte, or of any.
const WITH_LENGTH: u32 = 1 << 15 | 1 << 21;

/// Both directions.
#[derive(Debug, Default)]
pub(super) struct Mysql {
    server: Option<Side>,
    halves: [Half; 2],
    has_answered: bool,
    /// Whether the client may send commands.
    is_ready: bool,
    is_encrypted: bool,
}

#[derive(Debug, Default)]
struct Half {
    header: Vec<u8>,
    packet: Option<Packet>,
    text: Secrets,
    login: Login,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    number: u8,
    len: u64,
    at: u64,
    first: u8,
}

/// Reads an answer to a greeting, or a change of user, up to what it authenticates with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Login {
    #[default]
    None,
    /// The capabilities so far.
    Fixed(u32),
    User(u32),
    Length,
    /// So many bytes are secrets.
    Secret(u32),
    UntilZero,
}

impl Mask for Mysql {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let is_server = *self.server.get_or_insert(from) == from;
        for byte in bytes {
            if self.is_encrypted {
                return true;
            }
            let half = &mut self.halves[from.index()];
            if half.packet.is_none() {
                half.begin(*byte);
                continue;
            }
            let plain = *byte;
            if self.is_secret(from, is_server, plain) {
                *byte = MASK;
            }
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        let is_login = !self.is_ready || half.login != Login::None;
        half.text.is_within() || is_login && self.server != Some(from) && !self.is_encrypted
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        half.text.gap();
        match &mut half.packet {
            Some(packet) if packet.at > 0 && packet.at + len < packet.len && half.login == Login::None => {
                packet.at += len;
                true
            }
            _ => self.is_encrypted,
        }
    }
}

impl Half {
    /// Takes a byte of a header.
    fn begin(&mut self, byte: u8) {
        self.header.push(byte);
        let Ok([a, b, c, number]) = <[u8; 4]>::try_from(&self.header[..]) else { return };
        self.header.clear();
        let len = u64::from(u32::from_le_bytes([a, b, c, 0]));
        self.packet = Some(Packet { number, len, at: 0, first: 0 }).filter(|_| len > 0);
        self.login = Login::None;
        if number == 0 {
            self.text = Secrets::default();
        }
    }
}

impl Mysql {
    /// Judges a byte of a packet.
    fn is_secret(&mut self, from: Side, is_server: bool, byte: u8) -> bool {
        let half = &mut self.halves[from.index()];
        let Some(packet) = &mut half.packet else { return false };
        let at = packet.at;
        packet.at += 1;
        if at == 0 {
            packet.first = byte;
        }
        let packet = *packet;
        if packet.at == packet.len {
            half.packet = None;
        }
        let by_text = half.text.is_secret(byte);
        if is_server {
            self.is_ready |= at == 0 && byte == 0 && self.has_answered;
            return by_text;
        }
        if !self.is_ready {
            return self.authenticates(from, packet, at, byte) || by_text;
        }
        if packet.number != 0 || packet.first != CHANGE_USER {
            return by_text;
        }
        if at == 0 {
            half.login = Login::User(WITH_LENGTH);
            return false;
        }
        // The server may ask for more.
        self.is_ready = packet.at < packet.len;
        half.login.is_secret(at, byte) || by_text
    }

    fn authenticates(&mut self, from: Side, packet: Packet, at: u64, byte: u8) -> bool {
        let half = &mut self.halves[from.index()];
        if self.has_answered {
            // One byte asks for a key, or for another way. A zero byte ends a password.
            return packet.len > 1 && !(byte == 0 && packet.at == packet.len);
        }
        if at == 0 && packet.len == TLS_REQUEST {
            self.is_encrypted = true;
            return false;
        }
        if at == 0 {
            half.login = Login::Fixed(0);
        }
        self.has_answered = packet.at == packet.len;
        half.login.is_secret(at, byte)
    }
}

impl Login {
    fn is_secret(&mut self, at: u64, byte: u8) -> bool {
        *self = match *self {
            Login::Fixed(flags) if at < 4 => Login::Fixed(flags | u32::from(byte) << (8 * at)),
            // Older clients send it sooner.
            Login::Fixed(flags) if at == 4 && flags & PROTOCOL_41 == 0 => Login::Secret(u32::MAX),
            Login::Fixed(flags) if at + 1 == USER_AT => Login::User(flags),
            Login::User(flags) if byte == 0 && flags & WITH_LENGTH != 0 => Login::Length,
            Login::User(_) if byte == 0 => Login::UntilZero,
            // A length of more bytes: the rest of the packet is overwritten.
            Login::Length if byte > 250 => Login::Secret(u32::MAX),
            Login::Length => Login::Secret(byte.into()),
            Login::Secret(0) => Login::None,
            Login::Secret(left) => {
                *self = Login::Secret(left - 1);
                return true;
            }
            Login::UntilZero if byte == 0 => Login::None,
            Login::UntilZero => return true,
            other => other,
        };
        false
    }
}
