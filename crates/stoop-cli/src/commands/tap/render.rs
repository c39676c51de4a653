//! An entry as a line of text or JSON. Pure.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use stoop::escaped;
use stoop_tap::{Cause, Kind, Line, Loss, Passed, Side};

use super::names::Label;
use super::session::{Entry, Shown, word};
use super::view::{Seen, shortened};
use crate::output::{SCHEMA, push_json};
use crate::sockets::format;
use crate::time;

/// Formats an entry for a person. Ends of streams are not shown.
pub(super) fn text(entry: &Entry, seen: &Seen, ends: &[Label; 2], time: SystemTime) -> Option<String> {
    let mut text = clock(time);
    let parties = || ends_text(entry.from, seen.left, ends);
    match &entry.what {
        Shown::End => return None,
        Shown::Connected { client, listener } => {
            let listener = end(listener);
            let _ = write!(text, "{} → {listener}  connects", process(client));
        }
        Shown::Lost(loss) => {
            let _ = write!(text, "  {}", lost(loss));
        }
        Shown::Line(line) => {
            let _ = write!(text, "{}  {}", parties(), said(line, seen));
        }
        Shown::Error(errno) => {
            let _ = write!(text, "{}  error: {}", parties(), std::io::Error::from_raw_os_error(*errno));
        }
        Shown::Missed(len) => {
            let _ = write!(text, "{}  the rest of a message, {len} bytes, not seen", parties());
        }
    }
    text.push('\n');
    Some(text)
}

/// Says what is missing, and why.
fn lost(loss: &Loss) -> String {
    let events = format::plural(loss.count as usize, "event");
    match loss.cause {
        Cause::BufferFull => format!("{events} lost here: the buffer was full"),
        _ => format!("up to {events} not seen from here on: the kernel skipped an interrupted program"),
    }
}

/// Returns the name of a cause in JSON.
fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::BufferFull => "buffer-full",
        _ => "program-skipped",
    }
}

/// The time of day in UTC, with milliseconds.
fn clock(time: SystemTime) -> String {
    let stamp = time::utc_millis(time);
    let clock = stamp.split_once('T').map_or(&*stamp, |(_, clock)| clock);
    format!("{} ", clock.trim_end_matches('Z'))
}

/// Both ends, and which of them sent.
fn ends_text(from: Side, left: Side, ends: &[Label; 2]) -> String {
    let arrow = if from == left { "→" } else { "←" };
    format!("{} {arrow} {}", end(&ends[left.index()]), end(&ends[left.other().index()]))
}

fn end(label: &Label) -> String {
    match (&label.process, &label.address) {
        (Some((pid, command)), _) => match label.workload.as_ref().filter(|_| label.is_container) {
            Some(container) => format!("{}[{pid} {container}]", escaped(command)),
            None => format!("{}[{pid}]", escaped(command)),
        },
        (None, Some(address)) => address.to_string(),
        (None, None) => "?".to_owned(),
    }
}

fn process((pid, command): &(u32, Vec<u8>)) -> String {
    format!("{}[{pid}]", escaped(command))
}

/// What was said, safe on a terminal, in one line.
fn said(line: &Line, seen: &Seen) -> String {
    let mut words = Vec::new();
    if let Some(method) = seen.method.as_ref().filter(|_| seen.with_method) {
        words.push(plain(method.as_bytes()));
    }
    words.push(plain(&line.text));
    words.extend(line.latency_ns.map(span));
    words.extend(match &seen.body {
        Some(json) => Some(plain(shortened(json).as_bytes())),
        None => line.len.map(bytes),
    });
    let mut text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("  ");
    text.push_str(&passed(line));
    if line.is_unread {
        text.push_str("  (unread at the start)");
    }
    text
}

/// How many file descriptors came with a line, and what they are.
fn passed(line: &Line) -> String {
    let mut text = match line.fds {
        0 => return String::new(),
        1 => "  1 fd".to_owned(),
        fds => format!("  {fds} fds"),
    };
    let known: Vec<String> =
        line.files.iter().filter(|file| !file.name.is_empty()).map(|file| plain(&file.name)).collect();
    let unknown = usize::from(line.fds).saturating_sub(known.len());
    if !known.is_empty() {
        let rest = (unknown > 0).then(|| format!("{unknown} unknown"));
        let words: Vec<String> = known.into_iter().chain(rest).collect();
        let _ = write!(text, ": {}", words.join(", "));
    }
    text
}

/// Escapes everything that controls a terminal; line ends become `⏎`.
fn plain(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let lossy = String::from_utf8_lossy(bytes);
    let mut characters = lossy.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => text.push('⏎'),
            '\t' => text.push(' '),
            _ if character.is_control() || is_invisible(character) => {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text
}

/// Characters that reorder text, or that are not seen.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// A span of time with three digits.
pub(super) fn span(ns: u64) -> String {
    let value = Duration::from_nanos(ns).as_secs_f64();
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", digits(value * 1e6)),
        1_000_000..1_000_000_000 => format!("{} ms", digits(value * 1e3)),
        _ => format!("{} s", digits(value)),
    }
}

fn digits(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn bytes(len: u64) -> String {
    match len {
        0..10_240 => format!("{len} B"),
        10_240..10_485_760 => format!("{} KiB", len >> 10),
        _ => format!("{} MiB", len >> 20),
    }
}

/// One end in JSON.
#[derive(Serialize)]
struct EndFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
}

/// A file that was passed, in JSON.
#[derive(Serialize)]
struct FileFields {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl FileFields {
    fn of(file: &Passed) -> FileFields {
        let name = String::from_utf8_lossy(&file.name).into_owned();
        FileFields { r#type: file.file_type.name(), name: Some(name).filter(|name| !name.is_empty()) }
    }
}

/// A line of JSON.
#[derive(Serialize)]
struct Fields {
    schema: u32,
    event: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<EndFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<EndFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptors: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileFields>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Appends an entry as a line of JSON.
pub(super) fn json(entry: &Entry, seen: &Seen, ends: &[Label; 2], time: SystemTime, out: &mut Vec<u8>) {
    let mut fields = Fields {
        schema: SCHEMA,
        event: "",
        time: time::utc_millis(time),
        connection: Some(entry.flow).filter(|flow| *flow != 0),
        from: None,
        to: None,
        protocol: None,
        text: None,
        method: None,
        ok: None,
        status: None,
        message: None,
        latency_ns: None,
        bytes: None,
        descriptors: None,
        files: Vec::new(),
        unread: false,
        errno: None,
        count: None,
        reason: None,
    };
    if entry.flow != 0 {
        fields.from = Some(end_fields(&ends[entry.from.index()]));
        fields.to = Some(end_fields(&ends[entry.from.other().index()]));
    }
    match &entry.what {
        Shown::Line(line) => fields.line(line, seen),
        Shown::Connected { client, listener } => {
            fields.event = "connect";
            let client = Label { process: Some(client.clone()), ..Label::default() };
            (fields.from, fields.to) = (Some(end_fields(&client)), Some(end_fields(listener)));
        }
        Shown::End => fields.event = "eof",
        Shown::Error(errno) => (fields.event, fields.errno) = ("error", Some(*errno)),
        Shown::Missed(len) => (fields.event, fields.bytes) = ("missed", Some(*len)),
        Shown::Lost(loss) => {
            (fields.event, fields.count) = ("lost", Some(loss.count));
            fields.reason = Some(reason(loss.cause));
        }
    }
    push_json(&fields, out);
}

impl Fields {
    fn line(&mut self, line: &Line, seen: &Seen) {
        self.event = word(line.kind);
        self.protocol = Some(line.protocol.name());
        self.text = Some(String::from_utf8_lossy(&line.text).into_owned());
        self.method = line.method.clone();
        self.ok = match line.kind {
            Kind::Answer { ok } => Some(ok),
            _ => None,
        };
        self.status = line.status.clone();
        self.message = seen.body.as_ref().and_then(|json| serde_json::from_str(json).ok());
        (self.latency_ns, self.bytes) = (line.latency_ns, line.len);
        self.descriptors = Some(line.fds).filter(|fds| *fds != 0);
        self.unread = line.is_unread;
        self.files = line.files.iter().map(FileFields::of).collect();
    }
}

fn end_fields(label: &Label) -> EndFields {
    EndFields {
        pid: label.process.as_ref().map(|(pid, _)| *pid),
        command: label.process.as_ref().map(|(_, command)| escaped(command).to_string()),
        address: label.address.as_ref().map(|address| address.to_string()),
        workload: label.workload.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_sent_controls_the_terminal() {
        assert_eq!(plain(b"a\r\nb\tc\x1b[31m\xff"), "a⏎b c\\u{1b}[31m\u{fffd}");
        assert_eq!(plain("\u{202e}x\u{85}".as_bytes()), "\\u{202e}x\\u{85}");
    }

    #[test]
    fn what_is_passed_is_named_as_far_as_it_is_known() {
        let mut line = Line::message(0, Side::First, stoop_tap::Protocol::Text, "x");
        let shown = |line: &Line| passed(line);
        (line.fds, line.files) = (3, vec![]);
        assert_eq!(shown(&line), "  3 fds");
        line.files.push(Passed::new(stoop_tap::FileType::Regular, b"/a\x1b".to_vec()));
        line.files.push(Passed::new(stoop_tap::FileType::Regular, Vec::new()));
        assert_eq!(shown(&line), "  3 fds: /a\\u{1b}, 2 unknown");
        line.fds = 1;
        assert_eq!(shown(&line), "  1 fd: /a\\u{1b}");
    }

    #[test]
    fn a_loss_says_why_and_whether_its_count_is_exact() {
        let text = |cause, count| lost(&Loss::new(count, cause));
        assert_eq!(text(Cause::BufferFull, 1), "1 event lost here: the buffer was full");
        let skipped = "up to 3 events not seen from here on: the kernel skipped an interrupted program";
        assert_eq!(text(Cause::ProgramSkipped, 3), skipped);
    }

    #[test]
    fn spans_have_three_digits() {
        let shown = [17, 1_234, 12_345, 999_400, 6_810_000, 722_000_000, 61_000_000_000].map(span);
        assert_eq!(shown, ["17 ns", "1.23 µs", "12.3 µs", "999 µs", "6.81 ms", "722 ms", "61.0 s"]);
    }
}
