//! Formats the records of a recording, for people and as JSON.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use stoop_relay::record::{Closing, Entry, FileType, PassedFile, Process, Record, Side};

use crate::output::Data;

/// A record that is to be printed.
#[derive(Debug)]
pub(crate) struct Shown(pub(super) Record);

/// How many bytes of data are shown to people.
const SHOWN_BYTES: usize = 200;

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Record { time, connection, entry, .. } = &self.0;
        let mut fields = Map::new();
        fields.insert("time_ns".into(), json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
        if *connection > 0 {
            fields.insert("connection".into(), json!(connection));
        }
        let (name, others) = members(entry);
        fields.insert("record".into(), name.into());
        fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        fields.serialize(serializer)
    }
}

/// Returns the name of a record and its fields.
fn members(entry: &Entry) -> (&'static str, Vec<(&'static str, Value)>) {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    match entry {
        Entry::Started { unix_time, kind, listen, connect, is_redacted } => (
            "started",
            vec![
                ("unix_time_ns", json!(u64::try_from(unix_time.as_nanos()).unwrap_or(u64::MAX))),
                ("kind", kind.word().into()),
                ("listen", text(listen)),
                ("connect", text(connect)),
                ("redacted", json!(is_redacted)),
            ],
        ),
        Entry::Opened { client, server } => {
            ("opened", vec![("client", process(client)), ("server", process(server))])
        }
        Entry::Data { from, bytes, masked, files } => (
            "data",
            vec![
                ("from", side(*from).into()),
                ("size", json!(bytes.len())),
                ("masked", json!(masked)),
                ("data", json!(Data(bytes.clone()))),
                ("descriptors", files.iter().map(file).collect()),
            ],
        ),
        Entry::Ended { from } => ("ended", vec![("from", side(*from).into())]),
        Entry::Reset { from } => ("reset", vec![("from", side(*from).into())]),
        Entry::Closed { reason } => ("closed", vec![("reason", closing(*reason).into())]),
        Entry::Unreached { error } => ("unreached", vec![("error", text(error))]),
        Entry::Lost { from } => ("lost", vec![("from", side(*from).into())]),
        Entry::Stopped => ("stopped", Vec::new()),
        _ => ("unknown", Vec::new()),
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

fn closing(reason: Closing) -> &'static str {
    match reason {
        Closing::Ends => "ends",
        Closing::Idle => "idle",
        Closing::Stopped => "stopped",
        Closing::Fault => "fault",
        _ => "failed",
    }
}

fn process(process: &Process) -> Value {
    let ids = [("pid", process.pid), ("uid", process.uid), ("gid", process.gid)];
    let texts =
        [("command", &process.command), ("executable", &process.executable), ("cgroup", &process.cgroup)];
    let ids = ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.into())));
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let texts = texts.map(|(name, text)| (name.to_owned(), String::from_utf8_lossy(text).into()));
    Value::Object(ids.chain(texts).collect())
}

fn file(file: &PassedFile) -> Value {
    json!({
        "type": file_type(file.file_type),
        "size": file.size_bytes,
        "path": String::from_utf8_lossy(&file.path),
    })
}

fn file_type(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Regular => "file",
        FileType::Directory => "directory",
        FileType::Pipe => "pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        _ => "other",
    }
}

impl Shown {
    /// Formats the record as a line. Whatever the sides have sent, it cannot forge another.
    pub(crate) fn line(&self) -> String {
        let Record { time, connection, entry, .. } = &self.0;
        let number = if *connection > 0 { format!(" {connection}") } else { String::new() };
        let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let what = match entry {
            Entry::Started { kind, listen, connect, is_redacted, .. } => {
                let masked = if *is_redacted { ", secrets masked" } else { "" };
                format!("{} ({kind}) relayed to {}{masked}", escaped(listen), escaped(connect))
            }
            Entry::Opened { client, server } => {
                format!("opened by {}, served by {}", who(client), who(server))
            }
            Entry::Data { from, bytes, files, .. } => {
                let more = if bytes.len() > SHOWN_BYTES { "…" } else { "" };
                let shown = escaped(&bytes[..bytes.len().min(SHOWN_BYTES)]);
                let files = files
                    .iter()
                    .map(|file| format!(" with {} {}", file_type(file.file_type), escaped(&file.path)));
                let files: String = files.collect();
                format!("{} {} bytes{files}: {shown}{more}", arrow(*from), bytes.len())
            }
            Entry::Ended { from } => format!("{} end", arrow(*from)),
            Entry::Reset { from } => format!("{} reset", arrow(*from)),
            Entry::Lost { from } => format!("{} a message that was lost", arrow(*from)),
            Entry::Closed { reason: Closing::Ends } => "closed".into(),
            Entry::Closed { reason } => format!("closed: {}", closing(*reason)),
            Entry::Unreached { error } => format!("the server was not reached: {}", escaped(error)),
            Entry::Stopped => "stopped".into(),
            _ => "a record that this version does not know".into(),
        };
        format!("{:.6}{number} {what}\n", time.as_secs_f64())
    }
}

fn arrow(from: Side) -> &'static str {
    match from {
        Side::Client => ">",
        Side::Server => "<",
    }
}

fn who(process: &Process) -> String {
    let command = process.command.escape_ascii();
    match (process.pid, process.uid) {
        (Some(pid), Some(uid)) if process.command.is_empty() => format!("process {pid}, uid {uid}"),
        (Some(pid), Some(uid)) => format!("process {pid} ({command}), uid {uid}"),
        (Some(pid), None) => format!("process {pid}"),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => "an unidentified process".into(),
    }
}
