//! What verbs say. A verb emits values ([`Event`]); `human` and `json` render the same value, and
//! only this folder writes to standard output.
//!
//! No control character of a stranger reaches a terminal from here.

mod human;
mod json;
mod markup;
mod pretty;
mod screen;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use stoop::{Address, Credentials, Kind, Peer, Refusal};

use crate::failure::{Failure, Report};
use crate::names;

pub(crate) use json::{SCHEMA, base64, push as push_json};
pub(crate) use markup::escape;
pub(crate) use pretty::Indenter;
pub(crate) use screen::{Printer, Screen, whole_len};
pub(crate) use table::{Column, Cut, Table, cut, terminal_width, width_of};

/// Something that a verb has to say. Field names are those of the JSON, which is a promise.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// `serve` is ready for clients.
    Listening {
        address: Text,
        kind: Word,
        /// What clients get: `echo`, `discard`, `send`, `exec`.
        answer: &'static str,
        /// Permission bits, octal, of a socket file.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// Whether the socket was passed by a service manager or a parent.
        passed: bool,
    },
    /// `connect` has reached a server, and a person is there to read it.
    Connected {
        address: Text,
        kind: Word,
        #[serde(flatten)]
        peer: Who,
    },
    /// A client was admitted.
    Accepted {
        connection: u64,
        #[serde(flatten)]
        peer: Who,
    },
    /// A client was turned away by the policy.
    Refused {
        #[serde(flatten)]
        peer: Who,
        /// Why, unless the policy simply does not allow it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A client is gone. Byte counts are unknown where another program had the connection.
    Closed {
        connection: u64,
        received_bytes: Option<u64>,
        sent_bytes: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// `serve` got a datagram.
    Received {
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Text>,
        #[serde(flatten)]
        sender: Who,
        size: usize,
    },
    /// Something went wrong with one client or one message; the server goes on.
    Trouble {
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Text>,
        error: String,
        /// How many times, since this was last reported.
        count: u64,
    },
    /// The server was told to end, and gives its clients some time.
    Ending { connections: usize, grace_ms: u64 },
    /// A message came.
    Message(Message),
    /// A well-known endpoint was found.
    Endpoint { name: &'static str, address: Text, source: String },
    /// `http` has the start of an answer.
    Answer {
        version: String,
        status: u16,
        /// What the status means, as the standard has it.
        reason: &'static str,
        headers: Headers,
    },
    /// A piece of an answer's body.
    Body {
        /// Which stream of a process, where several come as one: `stdout`, `stderr`.
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<&'static str>,
        data: Data,
    },
    /// An answer is complete.
    End { size: u64, trailers: Headers },
    /// `grpc` has found a method.
    Method { name: String, request: String, response: String, client_streaming: bool, server_streaming: bool },
    /// Something that a schema defines.
    Definition { name: String, text: String },
    /// A message of a server.
    Reply { message: serde_json::Value },
    /// A call is over: what the server says of it.
    Status {
        code: i32,
        /// The code, as the protocol has it: `NOT_FOUND`.
        name: &'static str,
        text: String,
        details: Vec<serde_json::Value>,
        /// In front of the first message, and after the last.
        headers: Headers,
        trailers: Headers,
    },
}

impl Event {
    /// A client that a policy refused.
    pub(crate) fn refused(pid: Option<u32>, uid: Option<u32>, reason: Refusal) -> Event {
        let reason = (reason != Refusal::NotAllowed).then(|| reason.to_string());
        Event::Refused { peer: Who::new(pid, uid, None), reason }
    }
}

/// Headers by their names, in lower case; each may have been sent several times. What is not UTF-8
/// is `%XX`.
pub(crate) type Headers = BTreeMap<String, Vec<String>>;

/// A message that came, with who sent it.
#[derive(Debug, Serialize)]
pub(crate) struct Message {
    /// Where from, for a sender that has an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Text>,
    #[serde(flatten)]
    pub(crate) sender: Who,
    /// In bytes.
    pub(crate) size: usize,
    /// Descriptors that came along, each described by what it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) descriptors: Vec<String>,
    pub(crate) data: Data,
}

/// A process and its user, as far as the kernel says.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Who {
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
    /// The command name of the process that has the pid *now*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

impl Who {
    pub(crate) fn new(pid: Option<u32>, uid: Option<u32>, gid: Option<u32>) -> Who {
        let (user, group) = (uid.and_then(names::user), gid.and_then(names::group));
        Who { pid, uid, gid, user, group, command: pid.and_then(command_of) }
    }
}

impl From<&Peer> for Who {
    fn from(peer: &Peer) -> Who {
        Who::new(peer.pid.known().copied(), peer.uid.known().copied(), peer.gid.known().copied())
    }
}

impl From<Option<Credentials>> for Who {
    fn from(sender: Option<Credentials>) -> Who {
        sender.map_or_else(Who::default, |sender| {
            // Across pid namespaces the kernel says pid 0: nobody that has a number here.
            let pid = u32::try_from(sender.pid).ok().filter(|&pid| pid != 0);
            Who::new(pid, sender.known_uid(), sender.known_gid())
        })
    }
}

fn command_of(pid: u32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}

/// Anything whose text form is what is to be shown: an address, for instance.
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

/// A kind, by the word that is used on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word(pub(crate) Kind);

impl Serialize for Word {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

/// Bytes from somewhere else: `{"text": …}` in JSON where they are UTF-8, else `{"bytes": base64}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Vec<u8>);

/// Where a verb's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// As JSON lines, or as text; `quiet` drops what text would say on standard error.
    pub(crate) fn new(json: bool, quiet: bool) -> Output {
        Output { json, quiet }
    }

    /// Whether events are printed as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Says something that nobody has to hear: where our output was closed, whoever goes on goes on
    /// unheard.
    pub(crate) fn tell(self, event: &Event) -> Result<(), Failure> {
        match self.emit(event) {
            Err(Failure::OutputClosed) => Ok(()),
            result => result,
        }
    }

    /// Prints an event of a server that goes on whatever becomes of it: a full disk under its
    /// events is no reason not to serve. The first of several failures in a row is reported on
    /// standard error.
    pub(crate) fn note(self, event: &Event) {
        static FAILING: AtomicBool = AtomicBool::new(false);
        let failure = self.tell(event).err();
        let failed_before = FAILING.swap(failure.is_some(), Ordering::Relaxed);
        if let (Some(failure), false) = (failure, failed_before) {
            status(&format!("stoop: lost an event: {}\n", failure.summary()));
        }
    }

    /// Says something: one write, so that lines of several threads do not mix.
    pub(crate) fn emit(self, event: &Event) -> Result<(), Failure> {
        if self.json {
            return print(json::line(event).as_bytes());
        }
        match human::render(event) {
            Some(human::Said::Output(bytes)) => print(&bytes),
            Some(human::Said::Status(line)) if !self.quiet => {
                let _ = io::stderr().write_all(line.as_bytes());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Output {
    /// Warns of something that is gone on without: on standard error, or as an event.
    pub(crate) fn warn(self, report: &Report) -> Result<(), Failure> {
        if self.json {
            return self.tell(&Event::Trouble { from: None, error: report.what().to_owned(), count: 1 });
        }
        if !self.quiet {
            status(&report.warning());
        }
        Ok(())
    }
}

/// Says on standard error how it goes.
pub(crate) fn status(text: &str) {
    // With standard error closed there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to standard output, all of it, at once: nothing is held back for a line to end.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let out = io::stdout().lock();
    write_all(out.as_fd(), bytes).map_err(|error| Failure::output(&error))
}

/// The same to standard error. With that closed there is nobody left to tell.
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
