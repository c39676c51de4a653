//! The records of a recording and their bytes. Pure.

use std::time::Duration;

use stoop::Kind;

/// What a recording begins with: a name, the version, and space.
pub(crate) const HEADER: [u8; 16] = *b"stooprec\x01\0\0\0\0\0\0\0";

/// The bytes before the body of a record: its length and its checksum.
pub(crate) const PREFIX_BYTES: usize = 8;

/// One record of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When it was made, from the start of the recording on.
    pub time: Duration,
    /// The number of the connection, from 1, or of the client of a datagram socket. 0 if the record
    /// concerns none.
    pub connection: u64,
    /// What happened.
    pub entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// The recording was started. The first record.
    Started {
        /// The time, since 1970.
        unix_time: Duration,
        /// The kind of the sockets.
        kind: Kind,
        /// The address of the relay.
        listen: Vec<u8>,
        /// The address of the server.
        connect: Vec<u8>,
        /// Whether well-known secrets are masked.
        is_redacted: bool,
    },
    /// A client was connected to the server.
    Opened {
        /// The client.
        client: Process,
        /// The server.
        server: Process,
    },
    /// Bytes of a stream, or a message.
    Data {
        /// Who sent them.
        from: Side,
        /// The bytes.
        bytes: Vec<u8>,
        /// How many of the bytes were masked: they are `*` here, or codes of such in
        /// Huffman-coded headers of HTTP/2.
        masked: u32,
        /// The file descriptors that were sent with the first byte.
        files: Vec<PassedFile>,
    },
    /// A side has shut down its sending direction, or closed.
    Ended {
        /// The side.
        from: Side,
    },
    /// A side has reset the connection.
    Reset {
        /// The side.
        from: Side,
    },
    /// The relay has closed the connection.
    Closed {
        /// Why.
        reason: Closing,
    },
    /// The server could not be reached.
    Unreached {
        /// Why.
        error: Vec<u8>,
    },
    /// A message could not be received, for want of file descriptors.
    Lost {
        /// Who sent it.
        from: Side,
    },
    /// The recording was ended. The last record.
    Stopped,
    /// A record of a kind that this version does not know.
    Unknown {
        /// Its number.
        kind: u8,
    },
}

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closing {
    /// Both ends had closed.
    Ends,
    /// Nothing came for the idle timeout.
    Idle,
    /// The relay was stopped.
    Stopped,
    /// It could not be relayed.
    Failed,
    /// A fault was injected.
    Fault,
    /// It had been open for as long as it may be.
    OutOfTime,
}

/// What is known of the process at an end. It was looked up when the connection was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The process id.
    pub pid: Option<u32>,
    /// The user id.
    pub uid: Option<u32>,
    /// The group id.
    pub gid: Option<u32>,
    /// The command name. This and the following are empty if unknown.
    pub command: Vec<u8>,
    /// The path of the executable.
    pub executable: Vec<u8>,
    /// The control group, which names the container or the unit.
    pub cgroup: Vec<u8>,
}

/// A file descriptor that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedFile {
    /// Its type.
    pub file_type: FileType,
    /// The size in bytes of a regular file.
    pub size_bytes: Option<u64>,
    /// What `/proc/self/fd` named it: a path, or such as `socket:[123]`. Empty if unknown.
    pub path: Vec<u8>,
}

/// The type of a passed file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileType {
    /// None of the others, such as an eventfd.
    Other,
    /// A regular file, or a memfd.
    Regular,
    /// A directory.
    Directory,
    /// A pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

/// A body that is not one of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Pairs of values and their numbers, for enums that are written as one byte.
macro_rules! numbered {
    ($type:ident { $($variant:ident = $number:literal),+ $(,)? }) => {
        impl $type {
            fn number(self) -> u8 {
                match self { $($type::$variant => $number),+ }
            }

            fn of_number(number: u8) -> Option<$type> {
                match number { $($number => Some($type::$variant),)+ _ => None }
            }
        }
    };
}

numbered!(Side { Client = 0, Server = 1 });
numbered!(Closing { Ends = 0, Idle = 1, Stopped = 2, Failed = 3, Fault = 4, OutOfTime = 5 });
numbered!(FileType {
    Other = 0,
    Regular = 1,
    Directory = 2,
    Pipe = 3,
    Socket = 4,
    CharacterDevice = 5,
    BlockDevice = 6,
});

/// Appends a record to `out`. Returns where its bytes of data are, which may be changed until
/// [`seal`] is called.
pub(crate) fn encode(record: &Record, out: &mut Vec<u8>) -> std::ops::Range<usize> {
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let time = u64::try_from(record.time.as_nanos()).unwrap_or(u64::MAX);
    out.push(kind_of(&record.entry));
    out.extend_from_slice(&time.to_le_bytes());
    out.extend_from_slice(&record.connection.to_le_bytes());
    let mut data = 0..0;
    match &record.entry {
        Entry::Started { unix_time, kind, listen, connect, is_redacted } => {
            let nanos = u64::try_from(unix_time.as_nanos()).unwrap_or(u64::MAX);
            out.extend_from_slice(&nanos.to_le_bytes());
            out.push(match kind {
                Kind::SeqPacket => 2,
                Kind::Datagram => 3,
                _ => 1,
            });
            put_bytes(out, listen);
            put_bytes(out, connect);
            out.push(u8::from(*is_redacted));
        }
        Entry::Opened { client, server } => {
            [client, server].into_iter().for_each(|one| put_process(out, one))
        }
        Entry::Data { from, bytes, masked, files } => {
            out.push(from.number());
            out.extend_from_slice(&masked.to_le_bytes());
            put_bytes(out, bytes);
            data = out.len() - bytes.len()..out.len();
            put_files(out, files);
        }
        Entry::Ended { from } | Entry::Reset { from } | Entry::Lost { from } => out.push(from.number()),
        Entry::Closed { reason } => out.push(reason.number()),
        Entry::Unreached { error } => put_bytes(out, error),
        Entry::Stopped | Entry::Unknown { .. } => {}
    }
    data
}

/// The offset of the number of masked bytes in an encoded record of data.
pub(crate) const MASKED_AT: usize = PREFIX_BYTES + 1 + 8 + 8 + 1;

/// Writes the length and the checksum of the record that `out` consists of.
pub(crate) fn seal(out: &mut [u8]) {
    let length = u32::try_from(out.len() - PREFIX_BYTES).unwrap_or(u32::MAX).to_le_bytes();
    let sum = checksum(length, &out[PREFIX_BYTES..]).to_le_bytes();
    out[..4].copy_from_slice(&length);
    out[4..PREFIX_BYTES].copy_from_slice(&sum);
}

/// Returns the checksum of a record.
pub(crate) fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(body);
    sum.finalize()
}

fn kind_of(entry: &Entry) -> u8 {
    match entry {
        Entry::Started { .. } => 1,
        Entry::Opened { .. } => 2,
        Entry::Data { .. } => 3,
        Entry::Ended { .. } => 4,
        Entry::Reset { .. } => 5,
        Entry::Closed { .. } => 6,
        Entry::Unreached { .. } => 7,
        Entry::Lost { .. } => 8,
        Entry::Stopped => 9,
        Entry::Unknown { kind } => *kind,
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Longer than any message of a socket.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&bytes[..length as usize]);
}

fn put_process(out: &mut Vec<u8>, process: &Process) {
    for number in [process.pid, process.uid, process.gid] {
        out.push(u8::from(number.is_some()));
        out.extend(number.map(u32::to_le_bytes).into_iter().flatten());
    }
    for text in [&process.command, &process.executable, &process.cgroup] {
        put_bytes(out, text);
    }
}

fn put_files(out: &mut Vec<u8>, files: &[PassedFile]) {
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for file in &files[..usize::from(count)] {
        out.push(file.file_type.number());
        out.push(u8::from(file.size_bytes.is_some()));
        out.extend(file.size_bytes.map(u64::to_le_bytes).into_iter().flatten());
        put_bytes(out, &file.path);
    }
}

/// Reads the body of a record.
pub(crate) fn decode(body: &[u8]) -> Result<Record, Malformed> {
    let mut fields = Fields(body);
    let kind = fields.byte()?;
    let time = Duration::from_nanos(fields.u64()?);
    let connection = fields.u64()?;
    let entry = match kind {
        1 => Entry::Started {
            unix_time: Duration::from_nanos(fields.u64()?),
            kind: match fields.byte()? {
                1 => Kind::Stream,
                2 => Kind::SeqPacket,
                3 => Kind::Datagram,
                _ => return Err(Malformed),
            },
            listen: fields.bytes()?,
            connect: fields.bytes()?,
            is_redacted: fields.flag()?,
        },
        2 => Entry::Opened { client: fields.process()?, server: fields.process()? },
        3 => fields.data()?,
        4 => Entry::Ended { from: fields.side()? },
        5 => Entry::Reset { from: fields.side()? },
        6 => Entry::Closed { reason: Closing::of_number(fields.byte()?).ok_or(Malformed)? },
        7 => Entry::Unreached { error: fields.bytes()? },
        8 => Entry::Lost { from: fields.side()? },
        9 => Entry::Stopped,
        kind => Entry::Unknown { kind },
    };
    Ok(Record { time, connection, entry })
}

/// The fields that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let len = self.u32()?;
        self.take(len as usize).map(<[u8]>::to_vec)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn side(&mut self) -> Result<Side, Malformed> {
        Side::of_number(self.byte()?).ok_or(Malformed)
    }

    fn optional<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        self.flag()?.then(|| read(self)).transpose()
    }

    fn process(&mut self) -> Result<Process, Malformed> {
        Ok(Process {
            pid: self.optional(Fields::u32)?,
            uid: self.optional(Fields::u32)?,
            gid: self.optional(Fields::u32)?,
            command: self.bytes()?,
            executable: self.bytes()?,
            cgroup: self.bytes()?,
        })
    }

    fn data(&mut self) -> Result<Entry, Malformed> {
        let (from, masked, bytes) = (self.side()?, self.u32()?, self.bytes()?);
        let count = self.array().map(u16::from_le_bytes)?;
        let files = (0..count).map(|_| self.file()).collect::<Result<_, _>>()?;
        Ok(Entry::Data { from, bytes, masked, files })
    }

    fn file(&mut self) -> Result<PassedFile, Malformed> {
        Ok(PassedFile {
            file_type: FileType::of_number(self.byte()?).ok_or(Malformed)?,
            size_bytes: self.optional(Fields::u64)?,
            path: self.bytes()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..20)
    }

    fn side() -> impl Strategy<Value = Side> {
        prop_oneof![Just(Side::Client), Just(Side::Server)]
    }

    fn process() -> impl Strategy<Value = Process> {
        let ids = any::<(Option<u32>, Option<u32>, Option<u32>)>();
        (ids, text(), text(), text()).prop_map(|((pid, uid, gid), command, executable, cgroup)| Process {
            pid,
            uid,
            gid,
            command,
            executable,
            cgroup,
        })
    }

    fn file() -> impl Strategy<Value = PassedFile> {
        (0u8..7, any::<Option<u64>>(), text()).prop_map(|(number, size_bytes, path)| PassedFile {
            file_type: FileType::of_number(number).unwrap(),
            size_bytes,
            path,
        })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let kind = prop_oneof![Just(Kind::Stream), Just(Kind::SeqPacket), Just(Kind::Datagram)];
        let started = (any::<u64>(), kind, text(), text(), any::<bool>());
        let data = (side(), vec(any::<u8>(), 0..300), any::<u32>(), vec(file(), 0..4));
        prop_oneof![
            started.prop_map(|(nanos, kind, listen, connect, is_redacted)| Entry::Started {
                unix_time: Duration::from_nanos(nanos),
                kind,
                listen,
                connect,
                is_redacted,
            }),
            (process(), process()).prop_map(|(client, server)| Entry::Opened { client, server }),
            data.prop_map(|(from, bytes, masked, files)| Entry::Data { from, bytes, masked, files }),
            side().prop_map(|from| Entry::Ended { from }),
            side().prop_map(|from| Entry::Reset { from }),
            side().prop_map(|from| Entry::Lost { from }),
            (0u8..6).prop_map(|number| Entry::Closed { reason: Closing::of_number(number).unwrap() }),
            text().prop_map(|error| Entry::Unreached { error }),
            Just(Entry::Stopped),
            (10u8..).prop_map(|kind| Entry::Unknown { kind }),
        ]
    }

    pub(crate) fn record() -> impl Strategy<Value = Record> {
        (any::<u64>(), any::<u64>(), entry()).prop_map(|(nanos, connection, entry)| Record {
            time: Duration::from_nanos(nanos),
            connection,
            entry,
        })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(record in record()) {
            let mut bytes = Vec::new();
            let data = encode(&record, &mut bytes);
            seal(&mut bytes);
            prop_assert_eq!(decode(&bytes[PREFIX_BYTES..]), Ok(record.clone()));
            if let Entry::Data { bytes: its, masked, .. } = &record.entry {
                prop_assert_eq!(&bytes[data], &its[..]);
                prop_assert_eq!(&bytes[MASKED_AT..MASKED_AT + 4], &masked.to_le_bytes()[..]);
            }
        }

        #[test]
        fn fields_after_the_known_ones_are_ignored(record in record(), more in text()) {
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            bytes.extend_from_slice(&more);
            prop_assert_eq!(decode(&bytes[PREFIX_BYTES..]), Ok(record));
        }
    }
}
