//! Prints a response as it arrives, in the form that the flags, the content type and the output
//! require.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use http::header::{self, HeaderMap};
use http::response::Parts;
use http_body::Frame;
use http_body_util::BodyExt;
use stoop::escaped;
use stoop_http::Body;

use super::indent::Indenter;
use super::streams::{Multiplexed, Streams};
use crate::args::Http;
use crate::failure::Failure;
use crate::output::{Data, Event, Headers, Output, Screen, whole_len};
use crate::pump::Sink;

/// A body with a content length up to this is printed as one JSON line.
const ONE_LINE_BYTES: u64 = 1 << 20;

/// The pipe capacity to request for standard output, if it is a pipe.
const PIPE_BYTES: usize = 1 << 20;

/// Returns the next frame of a body.
pub(super) async fn next(body: &mut Body) -> stoop_http::Result<Option<Frame<bytes::Bytes>>> {
    body.frame().await.transpose()
}

/// A response that is being printed.
pub(super) struct ResponsePrinter<'f> {
    flags: &'f Http,
    sink: Box<dyn Sink>,
    size_bytes: u64,
    /// The output file, if any.
    file: Option<&'f Path>,
}

impl<'f> ResponsePrinter<'f> {
    /// Prints the head as required, and chooses the form of the body.
    pub(super) fn start(flags: &'f Http, head: &Parts) -> Result<ResponsePrinter<'f>, Failure> {
        announce(flags, head)?;
        let refused = flags.fail && head.status.as_u16() >= 400;
        // With `--fail`, an error body must not end up in the output file.
        let file = flags.output.as_deref().filter(|path| !refused && *path != Path::new("-"));
        let sink = sink(flags, &head.headers, file)?;
        Ok(ResponsePrinter { flags, sink, size_bytes: 0, file })
    }

    pub(super) fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.size_bytes += piece.len() as u64;
        self.sink.put(piece)
    }

    pub(super) fn finish(mut self, trailers: Option<&HeaderMap>) -> Result<(), Failure> {
        self.sink.finish()?;
        let end = Event::End { size: self.size_bytes, trailers: trailers.map(listed).unwrap_or_default() };
        Output::new(self.flags.json, true).emit(&end)
    }

    /// Prints what has arrived, and adds to the failure where it is.
    pub(super) fn abandon(&mut self, failure: Failure) -> Failure {
        // The failure reported is the one that came first.
        let _ = self.sink.finish();
        match (failure, self.file) {
            (Failure::Report(report), Some(path)) => {
                let path = escaped(path.as_os_str().as_encoded_bytes()).to_string();
                report.seen(format!("'{path}' has the {} bytes received so far", self.size_bytes)).into()
            }
            (failure, _) => failure,
        }
    }
}

/// Reports the status and the headers: as an event, and as text if requested.
pub(super) fn announce(flags: &Http, head: &Parts) -> Result<(), Failure> {
    let reason = head.status.canonical_reason().unwrap_or_default();
    let version = format!("{:?}", head.version);
    if flags.include {
        let mut text = format!("{version} {} {reason}", head.status.as_u16()).trim_end().as_bytes().to_vec();
        text.push(b'\n');
        for (name, value) in &head.headers {
            text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        text.push(b'\n');
        let mut screen = Screen::new(None);
        return screen.put(&text).and_then(|()| screen.finish());
    }
    let headers = listed(&head.headers);
    let answer = Event::Response { version, status: head.status.as_u16(), reason, headers };
    Output::new(flags.json, false).emit(&answer)
}

fn listed(headers: &HeaderMap) -> Headers {
    let mut list = Headers::new();
    for (name, value) in headers {
        let value = match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => text.to_owned(),
            Err(_) => escaped(value.as_bytes()).to_string(),
        };
        list.entry(name.as_str().to_owned()).or_default().push(value);
    }
    list
}

fn sink(flags: &Http, headers: &HeaderMap, file: Option<&Path>) -> Result<Box<dyn Sink>, Failure> {
    let multiplexed = if flags.raw { Multiplexed::No } else { Multiplexed::of(headers) };
    if flags.json {
        let whole = length(headers).is_some_and(|bytes| bytes <= ONE_LINE_BYTES);
        let lines = |stream| Box::new(Lines { stream, whole, held: Vec::new() });
        return Ok(match multiplexed {
            Multiplexed::No => lines(None),
            _ => Box::new(Streams::new(multiplexed, lines(Some("stdout")), lines(Some("stderr")))),
        });
    }
    let out: Box<dyn Sink> = match file {
        Some(path) => Box::new(ToFile::create(path)?),
        None => {
            let screen = Screen::new(None);
            // Enlarges the pipe, because with little space this process and the reader have to take
            // turns. It is not an error if standard output is not a pipe, or the size exceeds the
            // limit.
            let _ = rustix::pipe::fcntl_setpipe_size(std::io::stdout(), PIPE_BYTES);
            match screen.is_terminal() && !flags.raw && is_json(headers) {
                true => Box::new(Pretty { indenter: Indenter::default(), screen }),
                false => Box::new(screen),
            }
        }
    };
    Ok(match multiplexed {
        Multiplexed::No => out,
        _ => Box::new(Streams::new(multiplexed, out, Box::new(Screen::on_stderr()))),
    })
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns whether the content type is JSON or based on it.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json") || essence.ends_with("ndjson")
}

/// Indents JSON for a terminal.
struct Pretty {
    indenter: Indenter,
    screen: Screen,
}

impl Sink for Pretty {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.screen.put(&self.indenter.push(piece))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.screen.finish()
    }
}

/// Writes to a file, created when a response arrives.
struct ToFile {
    file: File,
    name: String,
}

impl ToFile {
    fn create(path: &Path) -> Result<ToFile, Failure> {
        let name = escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let file = File::create(path).map_err(|error| Failure::io(format!("create '{name}'"), &error))?;
        Ok(ToFile { file, name })
    }
}

impl Sink for ToFile {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.file.write_all(piece).map_err(|error| Failure::io(format!("write '{}'", self.name), &error))
    }
}

/// Prints JSON lines: one for each piece, or one for the whole body.
struct Lines {
    stream: Option<&'static str>,
    whole: bool,
    /// What is held back for the next line: everything, or an incomplete character.
    held: Vec<u8>,
}

impl Lines {
    fn emit(&mut self, len: usize) -> Result<(), Failure> {
        let rest = self.held.split_off(len);
        let data = Data(std::mem::replace(&mut self.held, rest));
        if data.0.is_empty() {
            return Ok(());
        }
        Output::new(true, true).emit(&Event::Body { stream: self.stream, data })
    }
}

impl Sink for Lines {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.held.extend_from_slice(piece);
        if self.whole { Ok(()) } else { self.emit(whole_len(&self.held)) }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.emit(self.held.len())
    }
}
