//! What commands report, as values. Formatting them is left to `human` and `json`.

use serde::Serialize;
use stoop::{Address, Credentials, Kind, Peer, Refusal};

use super::data::Data;
use crate::names;

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
        /// The names in the client's certificate, if it came with TLS.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
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
    /// `relay` was asked what it has done so far.
    Statistics {
        connections_open: usize,
        #[serde(flatten)]
        counts: std::collections::BTreeMap<&'static str, u64>,
    },
    /// `relay` can no longer stand in front of its server, and stops: `name_removed`, `name_taken`,
    /// `server_closed`, `handed_over`.
    Displaced { reason: &'static str },
    /// `relay` has given the name back that a killed relay had taken over.
    Restored { address: Text },
    /// The program that `relay` has started for a client has exited.
    Exited {
        connection: u64,
        /// Its exit status, or 128 + the signal that ended it.
        exit_status: Option<i32>,
    },
    /// `relay` has stopped: what it has done.
    Relayed {
        #[serde(flatten)]
        counts: std::collections::BTreeMap<&'static str, u64>,
    },
    /// `relay` with rules has decided about a request.
    #[cfg(feature = "http")]
    Request {
        #[serde(flatten)]
        peer: PeerInfo,
        /// The client's container or unit, if a rule asks for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        workload: Option<String>,
        /// The names in the client's certificate, if it came with TLS.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        method: String,
        /// The path and the query, as the client wrote them.
        target: String,
        /// `allowed`, `refused`, `unclear`, `hidden`.
        verdict: &'static str,
        forwarded: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// `relay` with rules has stopped: how many requests it forwarded, and how many not.
    #[cfg(feature = "http")]
    Guarded { forwarded: u64, refused: u64 },
    /// A record of a recording.
    Record(crate::commands::replay::Shown),
    /// How a recording ends.
    RecordingEnd {
        /// `stopped`, `open`, `incomplete`, `damaged`.
        end: &'static str,
        /// The end of the last whole record.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
    },
    /// `replay` has found something else than was recorded.
    Difference {
        connection: u64,
        /// When what differs was recorded.
        time_ns: u64,
        place: String,
        /// The request that was answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<String>,
        recorded: String,
        now: String,
    },
    /// `replay` has ended.
    Replayed { connections: u64, sent_bytes: u64, compared_bytes: u64, same: bool },
    /// A message was received.
    Message(Message),
    /// `demo` has checked something.
    Check { section: &'static str, passed: bool, text: String },
    /// `demo` has finished.
    Summary { passed: u32, failed: u32, time_ms: u64 },
    /// `wait` has found that its condition is met.
    Ready { address: Text, condition: &'static str, time_ms: u64 },
    /// A well-known endpoint was found.
    Endpoint { name: &'static str, address: Text, source: String },
    /// `http` has received the head of a response.
    #[cfg(feature = "http")]
    #[serde(rename = "answer")]
    Response {
        version: String,
        status: u16,
        /// The reason phrase that the server sent, or with HTTP/2 that of the standard.
        reason: String,
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
        /// The name of the code in the protocol, such as `NOT_FOUND`; the number of one that gRPC
        /// does not define.
        name: std::borrow::Cow<'static, str>,
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
