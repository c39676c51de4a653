//! A stream: a call, its messages, and how it was answered.

use super::super::grpc::{Messages, percent_decoded, status_name};
use super::super::hpack::{Found, Header, Text};
use super::super::line::{Call, Kind, Line, Message, Protocol};
use super::super::methods::Methods;
use super::super::redact::redact;
use crate::follow::Side;

/// The reasons for a reset, by their number (RFC 9113, section 7).
const RESETS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// Who sent something, and when it was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) from: Side,
    pub(super) time_ns: u64,
}

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// `None`: its beginning was not seen.
    opened_ns: Option<u64>,
    /// For grouping.
    method: String,
    text: Vec<u8>,
    is_grpc: bool,
    is_called: bool,
    is_answered: bool,
    /// Whether the method answers with a stream, if that is known.
    streams: Option<bool>,
    requests: Messages,
    responses: Messages,
    /// The compressions of both directions.
    encodings: [String; 2],
    /// The only message of an answer, until its status.
    held: Option<Message>,
    http_status: Option<String>,
}

impl Stream {
    /// Creates a stream with the headers of its request.
    pub(super) fn open(at: At, headers: &[Header], methods: Option<&dyn Methods>) -> Stream {
        let mut stream = Stream { opened_ns: Some(at.time_ns), is_called: false, ..Stream::unseen() };
        let verb = Found::of(headers, ":method").text().unwrap_or_else(|| "?".to_owned());
        let path = Found::of(headers, ":path").text();
        stream.is_grpc = match Found::of(headers, "content-type") {
            Found::Known(content) => content.starts_with(b"application/grpc"),
            Found::Before => verb == "POST",
            Found::Absent => false,
        };
        (stream.method, stream.text) = match path {
            Some(path) if stream.is_grpc => (path.clone(), path.into_bytes()),
            Some(path) => {
                let name = path.split('?').next().unwrap_or_default();
                (format!("{verb} {name}"), redact(format!("{verb} {path}").as_bytes()))
            }
            None => {
                let name = format!("{verb} {}", numbers(headers));
                let text = format!("{name} (headers of before the capture are unknown)");
                (name, text.into_bytes())
            }
        };
        stream.streams = methods.and_then(|methods| methods.streams(&stream.method));
        stream.encodings[0] = Found::of(headers, "grpc-encoding").text().unwrap_or_default();
        stream
    }

    /// Creates a stream whose beginning was not seen.
    pub(super) fn unseen() -> Stream {
        Stream {
            opened_ns: None,
            method: String::new(),
            text: Vec::new(),
            is_grpc: false,
            is_called: true,
            is_answered: false,
            streams: None,
            requests: Messages::default(),
            responses: Messages::default(),
            encodings: Default::default(),
            held: None,
            http_status: None,
        }
    }

    /// A call of gRPC is shown with its first message, any other at once.
    pub(super) fn opened(&mut self, at: At, lines: &mut Vec<Line>) {
        if !self.is_grpc {
            self.called(at, None, lines);
        }
    }

    /// The client sends no more.
    pub(super) fn client_ends(&mut self, at: At, lines: &mut Vec<Line>) {
        self.called(at, None, lines);
    }

    /// Data of an end.
    pub(super) fn data(&mut self, at: At, is_client: bool, bytes: &[u8], lines: &mut Vec<Line>) {
        if !self.is_grpc {
            return;
        }
        if is_client {
            for message in self.requests.push(bytes) {
                self.called(at, Some(message), lines);
            }
            return;
        }
        for message in self.responses.push(bytes) {
            self.responds(at, message, lines);
        }
    }

    /// Data that was not captured.
    pub(super) fn gap(&mut self, is_client: bool, len: u64) {
        // A message that ends here is shown by its status alone.
        if is_client {
            self.requests.gap(len)
        } else {
            self.responses.gap(len)
        };
    }

    /// Shows the call, or a further message of it.
    fn called(&mut self, at: At, message: Option<Message>, lines: &mut Vec<Line>) {
        let message = message.map(|message| self.described(message, false));
        let mut line = self.line(at, Kind::Call, self.text.clone());
        line.len = message.as_ref().map(|message| message.len);
        if self.is_called {
            let Some(message) = message else { return };
            line = Line { kind: Kind::Message, message: Some(message), ..line };
        } else {
            line.message = message;
        }
        self.is_called = true;
        lines.push(line);
    }

    fn responds(&mut self, at: At, message: Message, lines: &mut Vec<Line>) {
        self.call_unless_called(at, lines);
        let message = self.described(message, true);
        if let Some(held) = self.held.take() {
            // It is a stream after all.
            self.streams = Some(true);
            self.responded(at, held, lines);
        }
        match self.streams {
            Some(false) => self.held = Some(message),
            _ => self.responded(at, message, lines),
        }
    }

    fn responded(&self, at: At, message: Message, lines: &mut Vec<Line>) {
        let line = self.line(at, Kind::Message, self.text.clone());
        lines.push(Line { len: Some(message.len), message: Some(message), ..line });
    }

    fn call_unless_called(&mut self, at: At, lines: &mut Vec<Line>) {
        if !self.is_called {
            self.called(At { from: at.from.other(), ..at }, None, lines);
        }
    }

    /// Headers of the server: the first ones, or those behind everything.
    pub(super) fn answered(&mut self, at: At, headers: &[Header], is_end: bool, lines: &mut Vec<Line>) {
        let status = Found::of(headers, "grpc-status");
        if self.opened_ns.is_none() {
            let content = Found::of(headers, "content-type");
            self.is_grpc =
                !matches!(content, Found::Known(content) if !content.starts_with(b"application/grpc"));
        }
        if let Some(encoding) = Found::of(headers, "grpc-encoding").text() {
            self.encodings[1] = encoding;
        }
        if let Some(status) = Found::of(headers, ":status").text() {
            self.http_status = Some(status);
        }
        if self.is_grpc && is_end {
            self.call_unless_called(at, lines);
            self.grpc_status(at, status, headers, lines);
        } else if !self.is_grpc && !self.is_answered {
            self.http_status(at, lines);
        }
    }

    fn http_status(&mut self, at: At, lines: &mut Vec<Line>) {
        let Some(status) = self.http_status.take() else { return };
        let code = status.parse().unwrap_or(0);
        // More headers follow an interim response.
        if (100..200).contains(&code) {
            return;
        }
        self.is_answered = true;
        self.answer(at, (200..400).contains(&code), &status, "", lines);
    }

    /// Shows the answer of a call of gRPC.
    fn grpc_status(&mut self, at: At, status: Found<'_>, headers: &[Header], lines: &mut Vec<Line>) {
        let number = match status {
            Found::Known(status) => std::str::from_utf8(status).ok().and_then(|status| status.parse().ok()),
            Found::Absent => None,
            Found::Before => {
                let text = "answered (its status was sent before the capture)";
                let line = self.answers(self.line(at, Kind::Message, text));
                return lines.push(self.with_held(line));
            }
        };
        let message = match Found::of(headers, "grpc-message") {
            Found::Known(message) => String::from_utf8_lossy(&percent_decoded(message)).into_owned(),
            _ => String::new(),
        };
        match (number, self.http_status.as_deref()) {
            (Some(number), _) => self.answer(at, number == 0, &status_name(number), &message, lines),
            (None, Some(status)) if status != "200" => {
                let text = format!("HTTP {status}");
                self.answer(at, false, &text, "", lines);
            }
            (None, _) => self.answer(at, false, "ended without a status", "", lines),
        }
    }

    /// The server ended with data.
    pub(super) fn server_ends(&mut self, at: At, lines: &mut Vec<Line>) {
        if self.is_grpc {
            self.call_unless_called(at, lines);
            self.answer(at, false, "ended without a status", "", lines);
        }
    }

    /// An end gave up.
    pub(super) fn reset(&mut self, at: At, is_client: bool, code: u32, lines: &mut Vec<Line>) {
        if self.is_answered {
            return;
        }
        let reason = RESETS.get(code as usize).copied().unwrap_or("unknown");
        if is_client {
            self.called(at, None, lines);
            self.answer(at, false, "CANCELLED", &format!("by the client: {reason}"), lines);
        } else {
            self.call_unless_called(at, lines);
            self.answer(at, false, reason, "reset by the server", lines);
        }
    }

    fn answer(&mut self, at: At, ok: bool, status: &str, more: &str, lines: &mut Vec<Line>) {
        let text = if more.is_empty() { status.to_owned() } else { format!("{status} {more}") };
        let line = self.line(at, Kind::Answer { ok }, redact(text.as_bytes())).status(status);
        let line = self.answers(line);
        lines.push(self.with_held(line));
    }

    fn with_held(&mut self, mut line: Line) -> Line {
        line.message = self.held.take();
        line.len = line.message.as_ref().map(|message| message.len);
        line
    }

    fn answers(&self, line: Line) -> Line {
        line.answers(self.opened_ns.map(|time_ns| Call { time_ns, method: self.method.clone() }))
    }

    fn line(&self, at: At, kind: Kind, text: impl Into<Vec<u8>>) -> Line {
        let protocol = if self.is_grpc { Protocol::Grpc } else { Protocol::Http2 };
        let mut line = Line::new(at.time_ns, at.from, protocol, kind, text);
        line.method = Some(self.method.clone()).filter(|method| !method.is_empty());
        line
    }

    /// Adds what the message belongs to.
    fn described(&self, mut message: Message, is_response: bool) -> Message {
        message.method.clone_from(&self.method);
        message.is_response = is_response;
        if let Some(encoding) = &mut message.encoding {
            encoding.clone_from(&self.encodings[usize::from(is_response)]);
        }
        message
    }

    /// How many bytes of incomplete messages it keeps.
    pub(super) fn kept(&self) -> usize {
        self.requests.kept() + self.responses.kept()
    }

    /// Keeps nothing of incomplete messages.
    pub(super) fn drop_kept(&mut self) {
        self.requests.drop_kept();
        self.responses.drop_kept();
    }
}

/// The numbers of headers that were sent before: the same for the same request.
fn numbers(headers: &[Header]) -> String {
    let number = |header: &Header| match (&header.name, &header.value) {
        (Text::Before(_), Text::Before(number)) => Some(format!("?{number}")),
        _ => None,
    };
    headers.iter().filter_map(number).take(2).collect::<Vec<_>>().join(" ")
}
