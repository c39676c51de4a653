//! Reads request messages: from the command line, a file, or standard input as they arrive.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::thread;

use stoop_dynamic::json::{JsonError, ParseOptions, missing_required};
use stoop_dynamic::{DynamicMessage, MessageDescriptor, MethodDescriptor, text};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::describe::path_of;
use crate::args::Grpc;
use crate::exit::Exit;
use crate::failure::Failure;

/// How many messages are read ahead of sending.
const AHEAD: usize = 8;

/// The source of messages.
pub(super) enum RequestInput {
    /// No source was given.
    None,
    Text(String),
    File(String, File),
    Stdin,
}

/// Opens what the flags name.
pub(super) fn prepare(flags: &Grpc) -> Result<RequestInput, Failure> {
    let Some(data) = flags.message().filter(|_| flags.is_call()) else { return Ok(RequestInput::None) };
    match data.strip_prefix('@') {
        _ if data == "-" => Ok(RequestInput::Stdin),
        Some("-") => Ok(RequestInput::Stdin),
        Some(path) => {
            let shown = path.to_owned();
            let file = File::open(Path::new(path))
                .map_err(|error| Failure::io(format!("read '{shown}'"), &error))?;
            Ok(RequestInput::File(shown, file))
        }
        None => Ok(RequestInput::Text(data.to_owned())),
    }
}

impl RequestInput {
    /// Returns its name in error messages.
    fn name(&self) -> String {
        match self {
            RequestInput::None | RequestInput::Text(_) => "the message".into(),
            RequestInput::File(path, _) => format!("'{path}'"),
            RequestInput::Stdin => "standard input".into(),
        }
    }

    fn reader(self) -> Box<dyn Read + Send> {
        match self {
            RequestInput::None => Box::new(&b"{}"[..]),
            RequestInput::Text(text) => Box::new(io::Cursor::new(text)),
            RequestInput::File(_, file) => Box::new(BufReader::new(file)),
            // Not buffered beyond what a message needs: what is typed is sent.
            RequestInput::Stdin => Box::new(io::stdin()),
        }
    }

    /// Reads exactly one message.
    pub(super) fn one(
        self,
        message: &MessageDescriptor,
        options: ParseOptions,
        address: &str,
    ) -> Result<DynamicMessage, Failure> {
        // An empty word is what a script writes for no message. Empty input is more likely to be a
        // program that failed.
        let input = match self {
            RequestInput::Text(text) if text.trim().is_empty() => RequestInput::None,
            input => input,
        };
        let name = input.name();
        let mut messages = options.messages(message.clone(), input.reader());
        let first = messages.next().ok_or_else(|| count(&name, "none"))?;
        let first = first.map_err(|error| explain(&error, &name, 1, message, address))?;
        if let Some(lacks) = lacks(&first) {
            return Err(incomplete(&lacks, &name, 1, message, address));
        }
        match messages.next() {
            None => Ok(first),
            Some(Err(error)) => Err(explain(&error, &name, 2, message, address)),
            Some(Ok(_)) => Err(count(&name, "several")),
        }
    }

    /// Reads all messages in protobuf's text format, to the end of the input. A call without any
    /// input has one empty message, unless the client sends a stream.
    pub(super) fn text(
        self,
        method: &MethodDescriptor,
        address: &str,
    ) -> Result<Vec<DynamicMessage>, Failure> {
        let (name, message) = (self.name(), method.input());
        let input = match self {
            RequestInput::None if method.is_client_streaming() => RequestInput::Stdin,
            RequestInput::None => RequestInput::Text(String::new()),
            input => input,
        };
        let mut text = String::new();
        input
            .reader()
            .read_to_string(&mut text)
            .map_err(|error| Failure::io(format!("read {name}"), &error))?;
        let mut messages = text::read(&message, &text).map_err(|error| {
            Failure::new(Exit::Usage, format!("{name} is not a valid '{}': {error}", message.full_name()))
                .why("it is not in protobuf's text format, or does not follow the schema of the message")
                .seen(format!("at message {}", error.number()))
                .next(format!("stoop grpc {address} describe {}    # its fields", message.full_name()))
        })?;
        if !method.is_client_streaming() {
            if messages.is_empty() {
                messages.push(DynamicMessage::new(message));
            }
            if messages.len() > 1 {
                return Err(count(&name, "several"));
            }
        }
        for (at, read) in messages.iter().enumerate() {
            if let Some(lacks) = lacks(read) {
                return Err(incomplete(&lacks, &name, at + 1, &method.input(), address));
            }
        }
        Ok(messages)
    }

    /// Reads all messages as they arrive. If one cannot be read, the stream ends, and the second
    /// value receives the failure.
    pub(super) fn stream(
        self,
        message: &MessageDescriptor,
        options: ParseOptions,
        address: String,
    ) -> (impl Stream<Item = DynamicMessage> + Send + use<>, oneshot::Receiver<Failure>) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (failed, failure) = oneshot::channel();
        let input = if matches!(self, RequestInput::None) { RequestInput::Stdin } else { self };
        let message = message.clone();
        // Standard input cannot be read without blocking a thread.
        thread::spawn(move || {
            let name = input.name();
            for (at, read) in options.messages(message.clone(), input.reader()).enumerate() {
                let read = read.map_err(|error| explain(&error, &name, at + 1, &message, &address));
                let read = read.and_then(|read| match lacks(&read) {
                    None => Ok(read),
                    Some(lacks) => Err(incomplete(&lacks, &name, at + 1, &message, &address)),
                });
                match read {
                    Ok(read) => {
                        if sender.blocking_send(read).is_err() {
                            return;
                        }
                    }
                    Err(failure) => {
                        // The failure is sent before the stream ends.
                        let _ = failed.send(failure);
                        return;
                    }
                }
            }
        });
        (ReceiverStream::new(receiver), failure)
    }
}

fn count(name: &str, how_many: &str) -> Failure {
    Failure::new(Exit::Usage, format!("this method takes one message, but {name} has {how_many}"))
        .why("in its schema the request is not a stream")
        .next("stoop grpc --help    # an empty message is '{}'")
        .into()
}

/// Returns which required fields a message lacks, in words, if it lacks any.
pub(super) fn lacks(message: &DynamicMessage) -> Option<String> {
    let names: Vec<String> = missing_required(message).iter().map(|name| format!("'{name}'")).collect();
    let what = if names.len() == 1 { "required field" } else { "required fields" };
    (!names.is_empty()).then(|| format!("lacks the {what} {}", names.join(", ")))
}

/// Explains which required fields a message lacks.
fn incomplete(lacks: &str, name: &str, number: usize, message: &MessageDescriptor, address: &str) -> Failure {
    let mut report =
        Failure::new(Exit::Usage, format!("{name} is not a valid '{}': it {lacks}", message.full_name()))
            .why("its schema requires these fields, and protobuf rejects a message without them");
    if number > 1 {
        report = report.seen(format!("at message {number}"));
    }
    report.next(format!("stoop grpc {address} describe {}    # its fields", message.full_name())).into()
}

/// Explains which required fields a reply lacks.
pub(super) fn incomplete_reply(lacks: &str, method: &MethodDescriptor, address: &str) -> Failure {
    let output = method.output();
    let what =
        format!("the reply to '{}' is not a valid '{}': it {lacks}", path_of(method), output.full_name());
    Failure::new(Exit::Failed, what)
        .why("the server has another version of the schema, or does not check what it sends")
        .next(format!("stoop grpc {address} describe {}    # its fields", output.full_name()))
        .into()
}

/// Explains which message is invalid, and where.
fn explain(
    error: &JsonError,
    name: &str,
    number: usize,
    message: &MessageDescriptor,
    address: &str,
) -> Failure {
    let what = format!("{name} is not a valid '{}': {error}", message.full_name());
    let mut report = Failure::new(Exit::Usage, what);
    let mut place = Vec::new();
    if number > 1 {
        place.push(format!("message {number}"));
    }
    if !error.path().is_empty() {
        place.push(format!("field '{}'", error.path()));
    }
    if let Some((line, column)) = error.place() {
        place.push(format!("line {line}, column {column}"));
    }
    if !place.is_empty() {
        report = report.seen(format!("at {}", place.join(", ")));
    }
    let report = report.why(match error.nearest() {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => "it is not JSON, or does not follow the schema of the message".into(),
    });
    report.next(format!("stoop grpc {address} describe {}    # its fields", message.full_name())).into()
}
