//! Redis: the arguments of commands that carry credentials, and all others as text.

use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

/// How much of a line, or of a word that decides, is kept.
const KEPT_MAX: usize = 64;

/// Both directions. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Redis {
    client: Option<Side>,
    halves: [Half; 2],
}

#[derive(Debug, Default)]
struct Half {
    text: Secrets,
    /// The line, or the begin of the word, that comes.
    kept: Vec<u8>,
    /// Bytes of a word that are still to come, with the two behind it.
    word: Option<u64>,
    /// Words of the command that are still to come.
    left: u64,
    command: Command,
}

/// What of a command decides which of its arguments are secrets.
#[derive(Debug, Default)]
struct Command {
    /// The number of the next word.
    at: usize,
    name: Vec<u8>,
    second: Vec<u8>,
    is_credential: bool,
}

impl Mask for Redis {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        let half = &mut self.halves[from.index()];
        if !is_client {
            half.text.mask(bytes);
            return true;
        }
        let mut at = 0;
        while at < bytes.len() {
            let used = match half.word {
                Some(left) => Some(half.in_word(left, &mut bytes[at..])),
                None => half.line(&mut bytes[at..]),
            };
            let Some(used) = used else { return false };
            at += used;
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        half.text.is_within() || half.command.is_credential && half.left > 0
    }
}

impl Half {
    /// Takes bytes of a word.
    fn in_word(&mut self, left: u64, bytes: &mut [u8]) -> usize {
        let used = left.min(bytes.len() as u64) as usize;
        let part = &mut bytes[..used];
        let content = part.len().min(left.saturating_sub(2) as usize);
        self.kept.extend(&part[..content.min(KEPT_MAX - self.kept.len().min(KEPT_MAX))]);
        match self.command.is_credential {
            true => part[..content].fill(MASK),
            false => self.text.mask(&mut part[..content]),
        }
        self.word = Some(left - used as u64).filter(|left| *left > 0);
        if self.word.is_none() {
            let word = std::mem::take(&mut self.kept);
            self.command.next(&word);
            self.left = self.left.saturating_sub(1);
        }
        used
    }

    /// Takes bytes up to the end of a line.
    fn line(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(bytes.len(), |end| end + 1);
        let is_inline = match self.kept.first().or(bytes.first()) {
            Some(b'*' | b'$') => false,
            _ if self.left > 0 => return None,
            _ => true,
        };
        for byte in &mut bytes[..used] {
            let plain = *byte;
            if is_inline && self.inline(plain) {
                *byte = MASK;
            }
            if self.kept.len() < KEPT_MAX {
                self.kept.push(plain);
            }
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.kept);
            self.whole_line(line.trim_ascii_end())?;
        }
        Some(used)
    }

    /// A command in words of one line: returns whether this byte is a secret.
    fn inline(&mut self, byte: u8) -> bool {
        let is_text_secret = self.text.is_secret(byte);
        let begin = self.kept.trim_ascii_start().to_ascii_lowercase();
        let is_credential = begin.starts_with(b"auth ") && !byte.is_ascii_whitespace();
        is_text_secret || is_credential
    }

    fn whole_line(&mut self, line: &[u8]) -> Option<()> {
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
        match line.split_first() {
            Some((b'*', digits)) if self.left == 0 => {
                self.left = number(digits)?;
                self.command = Command::default();
                self.text = Secrets::default();
            }
            Some((b'$', digits)) => {
                self.text = Secrets::default();
                self.word = Some(number(digits)?.checked_add(2)?);
            }
            Some((b'*', _)) => return None,
            _ => self.text = Secrets::default(),
        }
        Some(())
    }
}

impl Command {
    /// Takes a word, or its begin, and decides on the next one.
    fn next(&mut self, word: &[u8]) {
        let word = word.to_ascii_lowercase();
        let is_auth = matches!(&word[..], b"auth" | b"auth2");
        match self.at {
            0 => self.name = word,
            1 => self.second = word,
            _ => self.is_credential |= self.at == 2 && self.name == b"config" && is_secret(&word),
        }
        self.is_credential |= match &self.name[..] {
            b"auth" => true,
            b"hello" | b"migrate" => is_auth,
            b"acl" => self.at == 2 && self.second == b"setuser",
            _ => false,
        };
        self.at += 1;
    }
}

/// Settings of the server that are secrets, or that come with one.
fn is_secret(name: &[u8]) -> bool {
    matches!(name, b"requirepass" | b"masterauth" | b"masteruser")
}
