//! Prints a response as it arrives, in the form that the flags, the content type and the output
//! require.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::header::{self, HeaderMap};
use http_body::Frame;
use http_body_util::BodyExt;
use stoop::escaped;
use stoop_http::Body;

use super::decode::Decoded;
use super::docker::ErrorWatch;
use super::head::ResponseHead;
use super::indent::Indenter;
use super::request::HttpRequest;
use super::streams::{Multiplexed, Streams};
use crate::args::Http;
use crate::failure::Failure;
use crate::output::{self, Data, Event, Headers, Output, Screen, whole_len};
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
    file: Option<PathBuf>,
    /// With `--fail`, looks for errors in a stream of JSON.
    watch: Option<ErrorWatch>,
}

impl<'f> ResponsePrinter<'f> {
    /// Prints the head as required, and chooses the form of the body.
    pub(super) fn start(flags: &'f Http, head: &ResponseHead) -> Result<ResponsePrinter<'f>, Failure> {
        announce(flags, head)?;
        let is_refused = flags.fail && head.status() >= 400;
        // With `--fail`, an error body must not end up in the output.
        let file = output_file(flags).filter(|_| !is_refused);
        let headers = head.headers();
        if is_refused && flags.curl.silent && flags.curl.show_error {
            show(format!("stoop: the status is {} {}\n", head.status(), head.reason()).as_bytes())?;
        }
        let sink = match is_refused && !flags.json {
            true if flags.curl.silent => Box::new(Nowhere) as Box<dyn Sink>,
            true => Box::new(Screen::on_stderr()),
            false => sink(flags, headers, file.as_deref())?,
        };
        let sink = if flags.curl.compressed { Decoded::wrap(headers, sink)? } else { sink };
        let is_watched =
            (flags.fail || flags.curl.fail_with_body) && length(headers).is_none() && is_json(headers);
        Ok(ResponsePrinter { flags, sink, size_bytes: 0, file, watch: is_watched.then(ErrorWatch::default) })
    }

    pub(super) fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.size_bytes += piece.len() as u64;
        if let Some(watch) = &mut self.watch {
            watch.push(piece);
        }
        self.sink.put(piece)
    }

    /// Returns the error that the response reports, if it is a successful one that does.
    pub(super) fn finish(mut self, trailers: Option<&HeaderMap>) -> Result<Option<String>, Failure> {
        self.sink.finish()?;
        let end = Event::End { size: self.size_bytes, trailers: trailers.map(listed).unwrap_or_default() };
        Output::new(self.flags.json, true).emit(&end)?;
        Ok(self.watch.and_then(ErrorWatch::finish))
    }

    /// Prints what has arrived, and adds to the failure where it is.
    pub(super) fn abandon(&mut self, failure: Failure) -> Failure {
        // The failure reported is the one that came first.
        let _ = self.sink.finish();
        match (failure, &self.file) {
            (Failure::Report(report), Some(path)) => {
                let path = escaped(path.as_os_str().as_encoded_bytes()).to_string();
                report.seen(format!("'{path}' has the {} bytes received so far", self.size_bytes)).into()
            }
            (failure, _) => failure,
        }
    }
}

/// Returns the file that the body is written to, or `None` for standard output.
pub(super) fn output_file(flags: &Http) -> Option<PathBuf> {
    let output = flags.output.clone().filter(|path| path != Path::new("-"));
    let file = output.or_else(|| flags.curl.remote_name.then(|| remote_name(flags.target()?)).flatten())?;
    Some(match &flags.curl.output_dir {
        Some(directory) => directory.join(file),
        None => file,
    })
}

/// Checks that --remote-name finds a name.
pub(super) fn check_output(flags: &Http) -> Result<(), Failure> {
    match flags.curl.remote_name && output_file(flags).is_none() {
        true => Err(Failure::usage("--remote-name finds no file name", "the path ends with '/'")),
        false => Ok(()),
    }
}

/// Returns the last part of the path of a target, if there is one.
fn remote_name(target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("http://").map_or(path, |rest| rest.find('/').map_or("", |at| &rest[at..]));
    let name = path.rsplit('/').next().filter(|name| !["", ".", ".."].contains(name))?;
    Some(PathBuf::from(name))
}

/// Reports the status and the headers: as an event, and as text if requested.
pub(super) fn announce(flags: &Http, head: &ResponseHead) -> Result<(), Failure> {
    if let Some(path) = &flags.curl.dump_header {
        dump(path, &head.text())?;
    }
    if flags.curl.verbose {
        show(&prefixed(b"< ", head.text().strip_suffix(b"\n").unwrap_or_default()))?;
    }
    if flags.include || flags.curl.head {
        return include(flags, head);
    }
    let headers = listed(head.headers());
    let (version, status, reason) = (head.version(), head.status(), head.reason());
    Output::new(flags.json, false).emit(&Event::Response { version, status, reason, headers })
}

/// Prints the head where the body goes.
fn include(flags: &Http, head: &ResponseHead) -> Result<(), Failure> {
    let is_refused = flags.fail && head.status() >= 400;
    match output_file(flags).filter(|_| !is_refused) {
        Some(path) => append(&path, &head.text(), &INCLUDED),
        None => {
            let mut screen = Screen::new(None);
            screen.put(&head.text()).and_then(|()| screen.finish())
        }
    }
}

/// Shows the head of a request on standard error.
pub(super) fn show_request(flags: &Http, request: &HttpRequest) -> Result<(), Failure> {
    let mut text = format!("* Connected to {}\n", flags.endpoint).into_bytes();
    for line in request.head(flags.http2) {
        text.extend_from_slice(&[b"> ", &line[..], b"\n"].concat());
    }
    show(&[&text[..], b"> \n"].concat())
}

fn prefixed(prefix: &[u8], text: &[u8]) -> Vec<u8> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.flat_map(|line| [prefix, line, b"\n"].concat()).collect()
}

fn show(text: &[u8]) -> Result<(), Failure> {
    let mut screen = Screen::on_stderr();
    screen.put(text).and_then(|()| screen.finish())
}

/// Whether the file of the body has the head of a response already.
static INCLUDED: AtomicBool = AtomicBool::new(false);

/// Writes the head of a response to the file of --dump-header.
fn dump(path: &Path, text: &[u8]) -> Result<(), Failure> {
    static DUMPED: AtomicBool = AtomicBool::new(false);
    match path == Path::new("-") {
        true => output::print(text),
        false => append(path, text, &DUMPED),
    }
}

/// Writes the head of a response to a file: those of several responses one after the other.
fn append(path: &Path, text: &[u8], has_begun: &AtomicBool) -> Result<(), Failure> {
    let is_first = !has_begun.swap(true, Relaxed);
    let written = File::options().create(true).write(true).truncate(is_first).append(!is_first).open(path);
    let written = written.and_then(|mut file| file.write_all(text));
    let name = escaped(path.as_os_str().as_encoded_bytes());
    written.map_err(|error| Failure::io(format!("write '{name}'"), &error))
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
        Some(path) => {
            if flags.curl.create_dirs {
                create_directory_of(path)?;
            }
            Box::new(ToFile::create(path)?)
        }
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

/// Discards what is not to be shown.
struct Nowhere;

impl Sink for Nowhere {
    fn put(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
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

fn create_directory_of(path: &Path) -> Result<(), Failure> {
    let Some(directory) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(directory).map_err(|error| {
        let name = escaped(directory.as_os_str().as_encoded_bytes());
        Failure::io(format!("create '{name}'"), &error)
    })
}

/// Writes to a file, created when a response arrives.
struct ToFile {
    file: File,
    name: String,
}

impl ToFile {
    fn create(path: &Path) -> Result<ToFile, Failure> {
        let name = escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let is_empty = !INCLUDED.load(Relaxed);
        let file = File::options().create(true).write(true).truncate(is_empty).append(!is_empty).open(path);
        let file = file.map_err(|error| Failure::io(format!("create '{name}'"), &error))?;
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
