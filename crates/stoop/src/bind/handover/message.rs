//! The wire format of the hand-over protocol. Pure: no I/O and no file descriptors, and no input
//! makes it panic.
//!
//! Every message is one seqpacket: the four bytes `STHO`, one byte for the type, then the fields of
//! that type. Numbers are little-endian. Version 1:
//!
//! | type | sender | fields |
//! |---|---|---|
//! | 1 hello | successor | oldest and newest supported version, one byte each |
//! | 2 offer | predecessor | chosen version, `u16` count, entries, attached file descriptors |
//! | 3 ready | successor | none |
//! | 4 done | predecessor | none |
//! | 5 abort | either | one byte: the reason |
//!
//! An entry is the socket type (one byte), the length of the name (one byte), the name, and a flag
//! byte. If the flag is one, the device and inode of the socket's file (`u64` each), the length of
//! its path (`u16`) and the path follow. If it is zero, the socket has no file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::Kind;
use crate::file_id::FileId;

/// The version that this code speaks.
pub(super) const VERSION: u8 = 1;

/// The maximum length of a message, chosen so that one always fits into a send buffer next to
/// another.
pub(super) const MESSAGE_MAX_BYTES: usize = 64 * 1024;

const MAGIC: [u8; 4] = *b"STHO";

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The successor has connected.
    Hello {
        /// The oldest version that it speaks.
        oldest: u8,
        /// The newest version that it speaks.
        newest: u8,
    },
    /// The sockets. Their file descriptors are ancillary data of this message.
    Offer(Vec<Entry>),
    /// The successor holds the sockets and can serve.
    Ready,
    /// The sockets belong to the successor; the predecessor accepts no more.
    Done,
    /// The hand-over is aborted. The process that served before continues to serve.
    Abort(Reason),
}

/// One socket of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) file: Option<FileLocation>,
}

/// The file whose removal is handed over with a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileLocation {
    /// An absolute path.
    pub(super) path: PathBuf,
    pub(super) id: FileId,
}

/// Why a hand-over was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The other side took too long.
    TimedOut,
    /// The two sides have no version in common.
    Version,
    /// The other side runs as another user.
    NotPermitted,
    /// The other side sent an invalid or unexpected message.
    Invalid,
    /// The program aborted the hand-over.
    Withdrawn,
}

impl Reason {
    const ALL: [Reason; 5] =
        [Reason::TimedOut, Reason::Version, Reason::NotPermitted, Reason::Invalid, Reason::Withdrawn];
}

/// The bytes are not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Message {
    /// Encodes the message. An offer with a name over 255 bytes or a path over 65,535 bytes does
    /// not survive the round trip; see [`Entry::fits`].
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match self {
            Message::Hello { oldest, newest } => bytes.extend([1, *oldest, *newest]),
            Message::Offer(entries) => {
                bytes.extend([2, VERSION]);
                bytes.extend((entries.len() as u16).to_le_bytes());
                entries.iter().for_each(|entry| entry.encode(&mut bytes));
            }
            Message::Ready => bytes.push(3),
            Message::Done => bytes.push(4),
            Message::Abort(reason) => bytes.extend([5, *reason as u8 + 1]),
        }
        bytes
    }

    /// Decodes a whole message. Trailing bytes are an error.
    pub(super) fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
        let mut rest = Reader(bytes.strip_prefix(&MAGIC).ok_or(Malformed)?);
        let message = match rest.byte()? {
            1 => Message::Hello { oldest: rest.byte()?, newest: rest.byte()? },
            2 if rest.byte()? == VERSION => {
                let count = rest.u16()?;
                Message::Offer((0..count).map(|_| Entry::decode(&mut rest)).collect::<Result<_, _>>()?)
            }
            3 => Message::Ready,
            4 => Message::Done,
            5 => Message::Abort(*rest.pick(&Reason::ALL)?),
            _ => return Err(Malformed),
        };
        if rest.0.is_empty() { Ok(message) } else { Err(Malformed) }
    }
}

impl Entry {
    /// Returns whether the lengths fit into their fields.
    pub(super) fn fits(&self) -> bool {
        let path_len = self.file.as_ref().map_or(0, |file| file.path.as_os_str().len());
        !self.name.is_empty() && self.name.len() <= u8::MAX.into() && path_len <= u16::MAX.into()
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.kind as u8 + 1, self.name.len() as u8]);
        bytes.extend(self.name.as_bytes());
        let Some(file) = &self.file else { return bytes.push(0) };
        let path = file.path.as_os_str().as_bytes();
        bytes.push(1);
        bytes.extend(file.id.dev.to_le_bytes());
        bytes.extend(file.id.ino.to_le_bytes());
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(path);
    }

    fn decode(rest: &mut Reader<'_>) -> Result<Entry, Malformed> {
        let kind = *rest.pick(&Kind::ALL)?;
        let name_len = rest.byte()?;
        let name = std::str::from_utf8(rest.take(name_len.into())?).map_err(|_| Malformed)?.to_owned();
        let file = match rest.byte()? {
            0 => None,
            1 => Some(FileLocation::decode(rest)?),
            _ => return Err(Malformed),
        };
        let entry = Entry { name, kind, file };
        if entry.fits() { Ok(entry) } else { Err(Malformed) }
    }
}

impl FileLocation {
    fn decode(rest: &mut Reader<'_>) -> Result<FileLocation, Malformed> {
        let id = FileId { dev: rest.u64()?, ino: rest.u64()? };
        let len = rest.u16()?;
        let path = Path::new(OsStr::from_bytes(rest.take(len.into())?)).to_owned();
        let sound = path.is_absolute() && !path.as_os_str().as_bytes().contains(&0);
        if sound { Ok(FileLocation { path, id }) } else { Err(Malformed) }
    }
}

/// The rest of a message that is being decoded.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads an index, counted from one, and returns that element of a list.
    fn pick<'t, T>(&mut self, list: &'t [T]) -> Result<&'t T, Malformed> {
        let location = usize::from(self.byte()?);
        location.checked_sub(1).and_then(|index| list.get(index)).ok_or(Malformed)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn location() -> impl Strategy<Value = FileLocation> {
        (proptest::collection::vec(1u8.., 0..300), any::<u64>(), any::<u64>()).prop_map(|(rest, dev, ino)| {
            let path = [b"/", &rest[..]].concat();
            FileLocation { path: OsStr::from_bytes(&path).into(), id: FileId { dev, ino } }
        })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let kind = proptest::sample::select(&Kind::ALL[..]);
        (".{1,60}", kind, proptest::option::of(location())).prop_map(|(name, kind, file)| Entry {
            name,
            kind,
            file,
        })
    }

    pub(in super::super) fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            (any::<u8>(), any::<u8>()).prop_map(|(oldest, newest)| Message::Hello { oldest, newest }),
            proptest::collection::vec(entry(), 0..20).prop_map(Message::Offer),
            Just(Message::Ready),
            Just(Message::Done),
            proptest::sample::select(&Reason::ALL[..]).prop_map(Message::Abort),
        ]
    }

    #[test]
    fn the_bytes_of_version_one() {
        assert_eq!(Message::Hello { oldest: 1, newest: 2 }.encode(), b"STHO\x01\x01\x02");
        assert_eq!(Message::Ready.encode(), b"STHO\x03");
        assert_eq!(Message::Done.encode(), b"STHO\x04");
        assert_eq!(Message::Abort(Reason::TimedOut).encode(), b"STHO\x05\x01");
        let location = FileLocation { path: "/s".into(), id: FileId { dev: 7, ino: 8 } };
        let entry = Entry { name: "web".into(), kind: Kind::SeqPacket, file: Some(location) };
        let bytes = b"STHO\x02\x01\x01\x00\x03\x03web\x01\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x02\0/s";
        assert_eq!(Message::Offer(vec![entry]).encode(), bytes);
    }

    #[test]
    fn malformed_messages_are_rejected() {
        let offer = |entry: &[u8]| [b"STHO\x02\x01\x01\x00", entry].concat();
        for bytes in [
            b"".to_vec(),
            b"STHO".to_vec(),
            b"stho\x03".to_vec(),
            b"STHO\x00".to_vec(),
            b"STHO\x03\x00".to_vec(),
            b"STHO\x05\x00".to_vec(),
            b"STHO\x02\x02\x00\x00".to_vec(),
            b"STHO\x02\x01\xff\xff".to_vec(),
            offer(b"\x04\x01x\x00"),
            offer(b"\x01\x00\x00"),
            offer(b"\x01\x01\xff\x00"),
            offer(b"\x01\x01x\x02"),
            offer(b"\x01\x01x\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0x"),
            offer(b"\x01\x01x\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\0/\0x"),
        ] {
            assert_eq!(Message::decode(&bytes), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(message in message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn a_truncated_message_is_rejected(message in message(), cut in any::<proptest::sample::Index>()) {
            let bytes = message.encode();
            prop_assert_eq!(Message::decode(&bytes[..cut.index(bytes.len())]), Err(Malformed));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Message::decode(&bytes);
            let _ = Message::decode(&[&MAGIC[..], &bytes].concat());
        }
    }
}
