//! The output of commands. A command emits values ([`Event`]), `human` and `json` format the same
//! value, and only this module writes to standard output.
//!
//! No control character from an untrusted source reaches a terminal.

mod human;
mod json;
mod markup;
mod screen;
mod table;

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use stoop::{Address, Credentials, Kind, Peer, Refusal};

use crate::failure::{Failure, Report};
use crate::names;

#[cfg(feature = "http")]
pub(crate) use json::base64;
pub(crate) use json::{SCHEMA, push as push_json};
pub(crate) use markup::escape;
pub(crate) use screen::{Printer, Screen, whole_len};
pub(crate) use table::{Column, Table, Truncate, terminal_width, truncate_middle, width_of};

/// An event that a command reports. Field names are those of the JSON, and are stable.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// `serve` is ready to accept clients.
    Listening {
        address: Text,
        kind: Word,
        /// What the server does: `echo`, `discard`, `send`, `exec`.
        answer: &'static str,
        /// The permission bits of the socket file, octal.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// Whether the socket was passed by a service manager or a parent process.
        #[serde(rename = "passed")]
        inherited: bool,
    },
    /// `connect` has connected to a server.
    Connected {
        address: Text,
        kind: Word,
        #[serde(flatten)]
        peer: PeerInfo,
    },
    /// A client was accepted.
    Accepted {
        connection: u64,
        #[serde(flatten)]
        peer: PeerInfo,
    },
    /// A client was refused by the policy.
    Refused {
        #[serde(flatten)]
        peer: PeerInfo,
        /// The reason, unless the policy simply does not allow the client.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A connection was closed. The byte counts are unknown if another program used the connection.
    Closed {
        connection: u64,
        received_bytes: Option<u64>,
        sent_bytes: Option<u64>,
        /// The exit status of the command of `--exec`, or 128 + the signal that ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit_status: Option<i32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// `serve` received a datagram.
    Received {
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Text>,
        #[serde(flatten)]
        sender: PeerInfo,
        size: usize,
    },
    /// An error with one client or one message. The server continues.
    #[serde(rename = "trouble")]
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Text>,
        error: String,
        /// How often it occurred since it was last reported.
        count: u64,
    },
    /// The server was told to stop, and waits some time for its clients.
    #[serde(rename = "ending")]
    Stopping { connections: usize, grace_ms: u64 },
    /// A message was received.
    Message(Message),
    /// `demo` has checked something.
    Check { section: &'static str, passed: bool, text: String },
    /// `demo` has finished.
    Summary { passed: u32, failed: u32, time_ms: u64 },
    /// A well-known endpoint was found.
    Endpoint { name: &'static str, address: Text, source: String },
    /// `http` has received the head of a response.
    #[cfg(feature = "http")]
    #[serde(rename = "answer")]
    Response {
        version: String,
        status: u16,
        /// The reason phrase of the status, as the standard defines it.
        reason: &'static str,
        headers: Headers,
    },
    /// A piece of a response body.
    #[cfg(feature = "http")]
    Body {
        /// The output stream of a process, if several are multiplexed: `stdout`, `stderr`.
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<&'static str>,
        data: Data,
    },
    /// A response is complete.
    #[cfg(feature = "http")]
    End { size: u64, trailers: Headers },
    /// `grpc` has found a method.
    #[cfg(feature = "grpc")]
    Method { name: String, request: String, response: String, client_streaming: bool, server_streaming: bool },
    /// A definition in a schema.
    #[cfg(feature = "grpc")]
    Definition { name: String, text: String },
    /// A message from a server.
    #[cfg(feature = "grpc")]
    Reply { message: serde_json::Value },
    /// A call has ended, with this status.
    #[cfg(feature = "grpc")]
    Status {
        code: i32,
        /// The name of the code in the protocol, such as `NOT_FOUND`.
        name: &'static str,
        text: String,
        details: Vec<serde_json::Value>,
        /// The metadata before the first message, and after the last.
        headers: Headers,
        trailers: Headers,
    },
}

impl Event {
    /// Creates the event for a client that the policy refused.
    pub(crate) fn refused(pid: Option<u32>, uid: Option<u32>, reason: Refusal) -> Event {
        let reason = (reason != Refusal::NotAllowed).then(|| reason.to_string());
        Event::Refused { peer: PeerInfo::new(pid, uid, None), reason }
    }
}

/// Headers by name, in lower case. Each may have several values. Bytes that are not UTF-8 become
/// `%XX`.
#[cfg(any(feature = "grpc", feature = "http"))]
pub(crate) type Headers = std::collections::BTreeMap<String, Vec<String>>;

/// A received message and its sender.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    /// The sender's address, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Text>,
    #[serde(flatten)]
    pub(crate) sender: PeerInfo,
    /// The size in bytes.
    pub(crate) size: usize,
    /// The file descriptors received with it, each described by what it refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) descriptors: Vec<String>,
    pub(crate) data: Data,
}

/// A process and its user, as far as the kernel reports them.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct PeerInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// The command name of the process that has this pid *now*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

impl PeerInfo {
    pub(crate) fn new(pid: Option<u32>, uid: Option<u32>, gid: Option<u32>) -> PeerInfo {
        let (user, group) = (uid.and_then(names::user), gid.and_then(names::group));
        PeerInfo { pid, uid, gid, user, group, command: pid.and_then(command_of) }
    }
}

impl From<&Peer> for PeerInfo {
    fn from(peer: &Peer) -> PeerInfo {
        PeerInfo::new(peer.pid.known().copied(), peer.uid.known().copied(), peer.gid.known().copied())
    }
}

impl From<Option<Credentials>> for PeerInfo {
    fn from(sender: Option<Credentials>) -> PeerInfo {
        sender.map_or_else(PeerInfo::default, |sender| {
            // Across pid namespaces the kernel reports pid 0: the process has no pid in this
            // namespace.
            let pid = Some(sender.pid).filter(|&pid| pid != 0);
            PeerInfo::new(pid, sender.known_uid(), sender.known_gid())
        })
    }
}

fn command_of(pid: u32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}

/// A value that is shown in its text form, such as an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl From<&Address> for Text {
    fn from(address: &Address) -> Text {
        Text(address.to_string())
    }
}

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A kind, as the word used on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word(pub(crate) Kind);

impl Serialize for Word {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

/// Bytes from outside: `{"text": …}` in JSON if they are UTF-8, else `{"bytes": base64}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Vec<u8>);

/// The destination and format of a command's output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Creates an output in JSON lines or text. `quiet` suppresses text on standard error.
    pub(crate) fn new(json: bool, quiet: bool) -> Output {
        Output { json, quiet }
    }

    /// Returns whether events are printed as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Reports an event that the reader may ignore. If standard output was closed, this succeeds
    /// without printing, so the caller can continue.
    pub(crate) fn tell(self, event: &Event) -> Result<(), Failure> {
        match self.emit(event) {
            Err(Failure::OutputClosed) => Ok(()),
            result => result,
        }
    }

    /// Prints an event of a server, which continues whatever happens: a full disk for its events is
    /// not a reason to stop. The first of several consecutive failures is reported on standard
    /// error.
    pub(crate) fn note(self, event: &Event) {
        static FAILING: AtomicBool = AtomicBool::new(false);
        let failure = self.tell(event).err();
        let failed_before = FAILING.swap(failure.is_some(), Ordering::Relaxed);
        if let (Some(failure), false) = (failure, failed_before) {
            status(&format!("stoop: cannot report an event: {}\n", failure.summary()));
        }
    }

    /// Prints an event with a single write, so that lines from several threads are not interleaved.
    pub(crate) fn emit(self, event: &Event) -> Result<(), Failure> {
        if self.json {
            return print(json::line(event).as_bytes());
        }
        match human::render(event) {
            Some(human::Rendered::Output(bytes)) => print(&bytes),
            Some(human::Rendered::Status(line)) if !self.quiet => {
                status(&line);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Output {
    /// Reports a problem that did not stop the command, on standard error or as an event.
    pub(crate) fn warn(self, report: &Report) -> Result<(), Failure> {
        if self.json {
            return self.tell(&Event::Error { from: None, error: report.what().to_owned(), count: 1 });
        }
        if !self.quiet {
            status(&report.warning());
        }
        Ok(())
    }
}

/// Whether status messages are suppressed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses status messages for the rest of the process.
pub(crate) fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Prints a status message on standard error, unless they are suppressed.
pub(crate) fn status(text: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    // If standard error is closed, there is nowhere to report this.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes all bytes to standard output at once, without line buffering.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let out = io::stdout().lock();
    write_all(out.as_fd(), bytes).map_err(|error| Failure::output(&error))
}

/// Writes all bytes to standard error. If that is closed, there is nowhere to report it.
#[cfg(any(feature = "grpc", feature = "http"))]
fn complain(bytes: &[u8]) -> Result<(), Failure> {
    let err = io::stderr().lock();
    let _ = write_all(err.as_fd(), bytes);
    Ok(())
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
