//! Passwords in what a client of Redis sends: as arrays of strings, or as lines.

/// The longest command that matters. A longer word is another.
const WORD_BYTES: usize = 8;

/// What the bytes so far are.
#[derive(Debug)]
pub(super) struct Redis {
    state: State,
    /// The number, or the word in lower case, that is being read.
    number: u64,
    word: Vec<u8>,
    command: Command,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// At the start of a command.
    Start,
    /// In a line that begins with `*`, or with `$`.
    Count,
    Length {
        strings: u64,
    },
    /// Before the `$` of a string.
    Dollar {
        strings: u64,
    },
    /// In a string, and in the two bytes after it.
    String {
        strings: u64,
        left: u64,
    },
    After {
        strings: u64,
        left: u8,
    },
    /// In a command that is a line.
    Line,
    /// Another protocol.
    Foreign,
}

/// What is known of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// Its name is being read.
    Unnamed,
    /// All that follows is secret.
    Auth,
    /// What follows the word AUTH is secret.
    Hello,
    Other,
}

impl Command {
    fn after(self, word: &[u8]) -> Command {
        match (self, word) {
            (Command::Unnamed | Command::Hello, b"auth") => Command::Auth,
            (Command::Unnamed, b"hello") => Command::Hello,
            (Command::Unnamed, _) => Command::Other,
            (command, _) => command,
        }
    }
}

impl Redis {
    pub(super) fn new() -> Redis {
        Redis { state: State::Start, number: 0, word: Vec::new(), command: Command::Unnamed }
    }

    /// Returns whether the next byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        let mut is_secret = false;
        self.state = match self.state {
            State::Foreign => State::Foreign,
            State::Start => self.start(byte),
            State::Count | State::Length { .. } => self.number(byte),
            State::Dollar { strings } if byte == b'$' => self.counting(State::Length { strings }),
            State::Dollar { .. } => State::Foreign,
            State::String { strings, left } => {
                is_secret = self.command == Command::Auth;
                self.push(byte);
                match left {
                    0 | 1 => self.string_ended(strings),
                    left => State::String { strings, left: left - 1 },
                }
            }
            State::After { strings: 0, left: 1 } => self.ended(),
            State::After { strings, left: 1 } => State::Dollar { strings },
            State::After { strings, .. } => State::After { strings, left: 1 },
            State::Line => match byte {
                b'\n' => self.ended(),
                b' ' | b'\r' if self.word.starts_with(b"http/1.") => State::Foreign,
                b' ' | b'\r' => {
                    self.word_ended();
                    State::Line
                }
                _ => {
                    is_secret = self.command == Command::Auth;
                    self.push(byte);
                    State::Line
                }
            },
        };
        is_secret
    }

    fn start(&mut self, byte: u8) -> State {
        match byte {
            b'*' => self.counting(State::Count),
            b'\r' | b'\n' => State::Start,
            byte if byte.is_ascii_alphabetic() => {
                self.push(byte);
                State::Line
            }
            _ => State::Foreign,
        }
    }

    fn counting(&mut self, state: State) -> State {
        self.number = 0;
        state
    }

    fn number(&mut self, byte: u8) -> State {
        match (byte, self.state) {
            (b'0'..=b'9', state) => {
                self.number = self.number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                state
            }
            (b'\r', state) => state,
            (b'\n', State::Count) if self.number == 0 => State::Start,
            (b'\n', State::Count) => State::Dollar { strings: self.number },
            (b'\n', State::Length { strings }) if self.number == 0 => self.string_ended(strings),
            (b'\n', State::Length { strings }) => State::String { strings, left: self.number },
            _ => State::Foreign,
        }
    }

    fn string_ended(&mut self, strings: u64) -> State {
        self.word_ended();
        State::After { strings: strings.saturating_sub(1), left: 2 }
    }

    fn word_ended(&mut self) {
        self.command = self.command.after(&self.word);
        self.word.clear();
    }

    fn ended(&mut self) -> State {
        self.word.clear();
        self.command = Command::Unnamed;
        State::Start
    }

    fn push(&mut self, byte: u8) {
        if self.word.len() < WORD_BYTES {
            self.word.push(byte.to_ascii_lowercase());
        }
    }
}
