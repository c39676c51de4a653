//! Passwords in what a client of PostgreSQL sends.

/// The protocol's version 3.
const VERSION_3: u32 = 3;
/// Requests that may come before the first message: for TLS, and for GSSAPI.
const REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// The type of the messages with passwords, and with what SASL exchanges.
const PASSWORD: u8 = b'p';

/// What the bytes so far are.
#[derive(Debug)]
pub(super) struct Postgres {
    state: State,
    /// The bytes of the head that is being read.
    head: [u8; 8],
    filled: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Length and version, at the start.
    Startup,
    /// Type and length of a message.
    Head,
    /// The rest of a message.
    Body { left: u32, is_password: bool },
    /// Another protocol.
    Foreign,
}

impl Postgres {
    pub(super) fn new() -> Postgres {
        Postgres { state: State::Startup, head: [0; 8], filled: 0 }
    }

    /// Returns whether the next byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        match self.state {
            State::Foreign => return false,
            State::Body { left, is_password } => {
                self.state = match left {
                    0 | 1 => State::Head,
                    left => State::Body { left: left - 1, is_password },
                };
                return is_password;
            }
            State::Startup | State::Head => {}
        }
        self.head[self.filled] = byte;
        self.filled += 1;
        let [h0, h1, h2, h3, h4, h5, h6, h7] = self.head;
        match self.state {
            State::Startup if self.filled == 8 => {
                let len = u32::from_be_bytes([h0, h1, h2, h3]);
                self.state = startup(len, u32::from_be_bytes([h4, h5, h6, h7]));
                self.filled = 0;
            }
            State::Head if self.filled == 5 => {
                let len = u32::from_be_bytes([h1, h2, h3, h4]);
                self.state = message(h0, len);
                self.filled = 0;
            }
            _ => {}
        }
        false
    }
}

fn startup(len: u32, code: u32) -> State {
    match len {
        8 if REQUESTS.contains(&code) => State::Startup,
        9.. if code >> 16 == VERSION_3 => State::Body { left: len - 8, is_password: false },
        8 if code >> 16 == VERSION_3 => State::Head,
        _ => State::Foreign,
    }
}

/// The length counts itself.
fn message(kind: u8, len: u32) -> State {
    match len {
        0..4 => State::Foreign,
        _ if !kind.is_ascii_alphabetic() => State::Foreign,
        4 => State::Head,
        len => State::Body { left: len - 4, is_password: kind == PASSWORD },
    }
}
