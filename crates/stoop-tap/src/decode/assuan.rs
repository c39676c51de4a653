//! Assuan: what the agent of GnuPG and its helpers speak, in lines.
//!
//! Data is not shown, except for what the server says of itself: passphrases, PINs and keys are
//! among it.

use super::line::{self, Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;
/// How servers greet: the agent, that of cards, and those of certificates and keys.
const GREETINGS: [&[u8]; 4] =
    [b"OK Pleased to meet you", b"OK GNU Privacy Guard", b"OK Dirmngr ", b"OK Keyboxd "];
const DATA: &[u8] = b"D ";
/// Its arguments end with a passphrase.
const PRESET: &[u8] = b"PRESET_PASSPHRASE ";
const GETINFO: &[u8] = b"GETINFO ";

/// How much of a line decides what is secret in it.
pub(super) const DECISIVE: usize = PRESET.len();

/// How lines begin that no other protocol has. Data is among them, so that it is not taken for
/// text.
const TYPICAL: [&[u8]; 32] = [
    DATA,
    PRESET,
    GETINFO,
    b"INQUIRE ",
    b"S INQUIRE_MAXLEN ",
    b"S PINENTRY_LAUNCHED ",
    b"S PROGRESS ",
    b"S KEYINFO ",
    b"S SERIALNO ",
    b"S CACHE_NONCE ",
    b"S PADDING ",
    b"GET_PASSPHRASE ",
    b"CLEAR_PASSPHRASE ",
    b"GET_CONFIRMATION ",
    b"HAVEKEY ",
    b"KEYINFO ",
    b"READKEY ",
    b"SIGKEY ",
    b"SETKEY ",
    b"SETKEYDESC ",
    b"SETHASH ",
    b"PKSIGN",
    b"PKDECRYPT",
    b"PKAUTH",
    b"GENKEY",
    b"IMPORT_KEY",
    b"EXPORT_KEY ",
    b"KEYWRAP_KEY ",
    b"DELETE_KEY ",
    b"SCD ",
    b"UPDATESTARTUPTTY",
    b"KILLAGENT",
];
/// The number in an error has the part of GnuPG that it is of in front, and so as many digits.
const ERROR: &[u8] = b"ERR ";
const ERROR_DIGITS: usize = 8;

/// Returns whether the bytes begin with the greeting of a server.
pub(super) fn begins(bytes: &[u8]) -> bool {
    GREETINGS.iter().any(|greeting| bytes.starts_with(greeting))
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    GREETINGS.iter().any(|greeting| bytes.len() < greeting.len() && greeting.starts_with(bytes))
}

/// Returns whether these bytes of a connection that began before are of one: they are whole lines
/// up to one that is typical.
pub(super) fn goes_on(bytes: &[u8]) -> bool {
    let typical = |line: &[u8]| {
        let digits = line
            .strip_prefix(ERROR)
            .map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        digits >= ERROR_DIGITS || TYPICAL.iter().any(|begin| line.starts_with(begin))
    };
    let may_precede =
        |line: &[u8]| matches!(word(line), b"OK" | b"S" | b"#" | b"END" | b"CAN" | b"RESET" | b"OPTION");
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.find(|line| !may_precede(line) || typical(line)).is_some_and(typical)
}

/// Returns whether they may be, and are too few to tell.
pub(super) fn may_go_on(bytes: &[u8]) -> bool {
    TYPICAL.iter().any(|begin| bytes.len() < begin.len() && begin.starts_with(bytes)) && !bytes.is_empty()
}

/// Returns which end is the server, if a line that an end sent shows it: the one that greets and
/// answers.
pub(super) fn server(from: Side, line: &[u8]) -> Option<Side> {
    match word(line) {
        b"OK" | b"ERR" | b"S" | b"INQUIRE" => Some(from),
        b"D" | b"#" | b"" => None,
        _ => Some(from.other()),
    }
}

fn word(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b' ').next().unwrap_or_default()
}

/// Returns from where on a line is secret. Data that answers `GETINFO` is not.
pub(super) fn secret_from(line: &[u8], is_info: bool) -> Option<usize> {
    let begins = [DATA, PRESET].into_iter().filter(|begin| *begin != DATA || !is_info);
    begins.filter(|begin| line.starts_with(begin)).map(<[u8]>::len).next()
}

/// Returns whether a line of a client is a command that asks what the server is; `None` if it is
/// no command.
pub(super) fn is_info(line: &[u8]) -> Option<bool> {
    let is_reply = line.starts_with(DATA) || matches!(line, b"END" | b"CAN" | b"");
    (!is_reply && !line.starts_with(b"#")).then(|| line.starts_with(GETINFO))
}

/// Both directions.
#[derive(Debug, Default)]
pub(super) struct Assuan {
    server: Option<Side>,
    halves: [Half; 2],
    call: Option<Call>,
    is_info: bool,
}

/// The line that comes from an end.
#[derive(Debug, Default)]
struct Half {
    begin: Vec<u8>,
    /// Whether bytes are missing in front of what came, which are of the same line, possibly.
    is_cut: bool,
}

impl Decode for Assuan {
    fn protocol(&self) -> Protocol {
        Protocol::Assuan
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut pending = std::mem::take(&mut self.halves[from.index()].begin);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            lines.push(self.line(from, time_ns, line).len(end as u64 + 1));
            rest = &rest[end + 1..];
        }
        self.halves[from.index()].begin = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }

    /// The next line is whole again.
    fn gap(&mut self, from: Side, _len: u64) -> bool {
        self.halves[from.index()] = Half { begin: Vec::new(), is_cut: true };
        // The command that is answered may be missing, and the answer.
        (self.call, self.is_info) = (None, false);
        true
    }

    fn lost(&mut self) -> bool {
        self.gap(Side::First, 0) && self.gap(Side::Second, 0)
    }
}

impl Assuan {
    fn line(&mut self, from: Side, time_ns: u64, line: &[u8]) -> Line {
        if std::mem::take(&mut self.halves[from.index()].is_cut) {
            return message(from, time_ns, Kind::Message, b"joined inside a line: not shown".to_vec());
        }
        self.server = self.server.or_else(|| server(from, line));
        match self.server {
            Some(server) if server == from => self.answer(from, time_ns, line),
            Some(_) => self.command(from, time_ns, line),
            None => message(from, time_ns, Kind::Message, shown(line, false)),
        }
    }

    fn command(&mut self, from: Side, time_ns: u64, line: &[u8]) -> Line {
        let text = shown(line, false);
        let Some(is_info) = is_info(line) else { return message(from, time_ns, Kind::Message, text) };
        let method = line::shown(word(line), TEXT_MAX);
        self.is_info = is_info;
        self.call = Some(Call { time_ns, method: method.clone() });
        message(from, time_ns, Kind::Call, text).called(method)
    }

    fn answer(&mut self, from: Side, time_ns: u64, line: &[u8]) -> Line {
        let text = shown(line, self.is_info);
        let answer = |ok, call| message(from, time_ns, Kind::Answer { ok }, text.clone()).answers(call);
        match (word(line), &self.call) {
            (b"OK", Some(_)) => answer(true, self.call.take()).status("OK"),
            (b"ERR", Some(_)) => {
                let code = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                answer(false, self.call.take()).status(format!("ERR {}", String::from_utf8_lossy(code)))
            }
            (_, Some(call)) => message(from, time_ns, Kind::Message, text).called(call.method.clone()),
            // A greeting.
            (_, None) => message(from, time_ns, Kind::Message, text),
        }
    }
}

fn message(from: Side, time_ns: u64, kind: Kind, text: Vec<u8>) -> Line {
    Line::new(time_ns, from, Protocol::Assuan, kind, text)
}

fn shown(line: &[u8], is_info: bool) -> Vec<u8> {
    match secret_from(line, is_info) {
        Some(at) => [&line[..at], b"[redacted]"].concat(),
        None => shortened(&redact(line), TEXT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use stoop_bpf::SocketKind;

    use super::super::{Dialogue, Masker};
    use super::*;

    const CLIENT: Side = Side::Second;
    const SERVER: Side = Side::First;

    /// What each end sends, and how it is shown.
    const TALK: [(Side, &str, &str); 15] = [
        (SERVER, "OK Pleased to meet you, process 7", "OK Pleased to meet you, process 7"),
        (CLIENT, "GETINFO version", "GETINFO version"),
        (SERVER, "D 2.2.40", "D 2.2.40"),
        (SERVER, "OK", "OK"),
        (CLIENT, "GET_PASSPHRASE --data x X Y Z", "GET_PASSPHRASE --data x X Y Z"),
        (SERVER, "S INQUIRE_MAXLEN 255", "S INQUIRE_MAXLEN 255"),
        (SERVER, "INQUIRE PASSPHRASE", "INQUIRE PASSPHRASE"),
        (CLIENT, "D Zk7qPlanted9", "D [redacted]"),
        (CLIENT, "END", "END"),
        (SERVER, "D Zk7qPlanted9", "D [redacted]"),
        (SERVER, "OK", "OK"),
        (CLIENT, "PRESET_PASSPHRASE ABC -1 Zk7qPlanted9", "PRESET_PASSPHRASE [redacted]"),
        (SERVER, "ERR 67108924 Not supported <GPG Agent>", "ERR 67108924 Not supported <GPG Agent>"),
        (CLIENT, "BYE", "BYE"),
        (SERVER, "OK closing connection", "OK closing connection"),
    ];

    #[test]
    fn commands_are_answered_and_secrets_are_neither_shown_nor_written() {
        for cut in [1, 2, 3, 30, 1000] {
            let mut dialogue = Dialogue::new(SocketKind::STREAM);
            let mut masker = Masker::new(SocketKind::STREAM);
            let (mut lines, mut written) = (Vec::new(), Vec::new());
            for (at, (from, sent, _)) in TALK.iter().enumerate() {
                for piece in format!("{sent}\n").as_bytes().chunks(cut) {
                    lines.extend(dialogue.data(*from, at as u64, piece, 0));
                    let mut piece = piece.to_vec();
                    masker.data(*from, &mut piece);
                    written.extend(piece);
                }
            }
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            assert_eq!(texts, TALK.map(|(.., shown)| shown), "{cut}");
            let answer = |at: usize| (lines[at].kind, lines[at].method.as_deref(), lines[at].latency_ns);
            assert_eq!(answer(10), (Kind::Answer { ok: true }, Some("GET_PASSPHRASE"), Some(6)));
            assert_eq!(answer(12), (Kind::Answer { ok: false }, Some("PRESET_PASSPHRASE"), Some(1)));
            assert_eq!(lines[12].status.as_deref(), Some("ERR 67108924"));
            let written = String::from_utf8(written).unwrap();
            assert!(
                !written.contains("Zk7") && !written.contains("anted") && written.contains("D 2.2.40\n"),
                "{written}"
            );
            assert!(written.contains("D ************\nEND\nD ************\nOK\n"), "{written}");
        }
    }

    /// Decodes and masks what is sent, cut at this length.
    fn seen(talk: &[(Side, &str)], cut: usize) -> (Vec<Line>, String) {
        let mut dialogue = Dialogue::new(SocketKind::STREAM).joined();
        let mut masker = Masker::new(SocketKind::STREAM).joined();
        let (mut lines, mut written) = (Vec::new(), Vec::new());
        for (at, (from, sent)) in talk.iter().enumerate() {
            for piece in sent.as_bytes().chunks(cut) {
                lines.extend(dialogue.data(*from, at as u64, piece, 0));
                let mut piece = piece.to_vec();
                masker.data(*from, &mut piece);
                written.extend(piece);
            }
        }
        (lines, String::from_utf8(written).unwrap())
    }

    #[test]
    fn no_secret_of_a_connection_that_began_before_is_shown_or_written() {
        // Each piece shows what its first line is.
        for cut in [20, 30, 1000] {
            for first in 1..TALK.len() {
                let talk: Vec<(Side, String)> =
                    TALK[first..].iter().map(|(from, sent, _)| (*from, format!("{sent}\n"))).collect();
                let talk: Vec<(Side, &str)> = talk.iter().map(|(from, sent)| (*from, &**sent)).collect();
                let (lines, written) = seen(&talk, cut);
                let shown: String =
                    lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
                for text in [&shown, &written] {
                    assert!(!text.contains("Zk7") && !text.contains("anted"), "{first}, {cut}: {text}");
                }
            }
        }
        // A line that is typical shows the lines behind it and in front of it.
        let talk = [
            (SERVER, "S INQUIRE_MAXLEN 255\nINQUIRE PASSPHRASE\n"),
            (CLIENT, "D Zk7\nEND\n"),
            (SERVER, "OK\n"),
        ];
        let (lines, written) = seen(&talk, 1000);
        assert!(lines.iter().all(|line| line.protocol == Protocol::Assuan && line.latency_ns.is_none()));
        assert_eq!(written, "S INQUIRE_MAXLEN 255\nINQUIRE PASSPHRASE\nD ***\nEND\nOK\n");
        let (lines, _) = seen(&[(CLIENT, "OK\nERR 67108924 Not supported <GPG Agent>\n")], 1000);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn text_is_not_taken_for_it() {
        for text in
            ["OK\n", "OK MPD 0.23\n", "Done\n", "ERR 42 no such key\n", "S\n", "hello\nD x\n", "+OK\nD x\n"]
        {
            let (lines, written) = seen(&[(CLIENT, text)], 1000);
            assert!(lines.iter().all(|line| line.protocol != Protocol::Assuan), "{text}");
            assert_eq!(written, text);
        }
        // Nor is anything but the middle of a connection searched for it.
        assert!(
            !begins(b"D x\n")
                && Dialogue::new(SocketKind::STREAM).data(CLIENT, 0, b"D x\n", 0)[0].text == b"D x"
        );
    }

    #[test]
    fn the_rest_of_a_line_whose_begin_is_missing_is_neither_shown_nor_written() {
        let after = |skip: &dyn Fn(&mut Dialogue, &mut Masker)| {
            let (mut dialogue, mut masker) =
                (Dialogue::new(SocketKind::STREAM), Masker::new(SocketKind::STREAM));
            let greeting = b"OK Pleased to meet you\n";
            dialogue.data(SERVER, 0, greeting, 0);
            masker.data(SERVER, &mut greeting.to_vec());
            skip(&mut dialogue, &mut masker);
            let mut bytes = b"anted9\nOK\n".to_vec();
            let lines = dialogue.data(SERVER, 1, &bytes, 0);
            masker.data(SERVER, &mut bytes);
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            assert_eq!(
                (texts, &bytes[..]),
                (vec!["joined inside a line: not shown".into(), "OK".into()], &b"******\nOK\n"[..])
            );
        };
        after(&|dialogue, masker| {
            dialogue.gap(SERVER, 9);
            masker.gap(SERVER, 9);
        });
        after(&|dialogue, masker| {
            dialogue.decoder.lost();
            masker.lost();
        });
    }
}
