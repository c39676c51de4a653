//! Reading a recording, record by record.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::format::{Entry, HEADER, PREFIX_BYTES, Record, checksum, decode};

/// A recording that is being read: an iterator over its records.
///
/// The records end at the first that is not whole. [`Recording::tail`] then returns how the file
/// ends.
#[derive(Debug)]
pub struct Recording<R = BufReader<File>> {
    from: R,
    offset: u64,
    body: Vec<u8>,
    tail: Option<Tail>,
    is_stopped: bool,
}

/// How a recording ends. Offsets are where the last whole record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tail {
    /// The recording was ended by its relay.
    Stopped,
    /// Every record is whole, but the end of the recording is not in it: the relay is still at
    /// work, or was killed.
    Open {
        /// The length of the file.
        offset: u64,
    },
    /// The last record is incomplete: the relay is writing it, or was killed meanwhile.
    Incomplete {
        /// Its offset.
        offset: u64,
    },
    /// A record does not match its checksum, or says what no record says.
    Damaged {
        /// Its offset.
        offset: u64,
    },
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or does not begin as a recording.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Recording> {
        Recording::read(BufReader::with_capacity(1 << 16, File::open(path)?))
    }
}

impl<R: Read> Recording<R> {
    /// Reads a recording from its first byte on.
    ///
    /// # Errors
    /// Returns an error of kind `InvalidData` if it does not begin as a recording, and of kind
    /// `Unsupported` if a later version has written it.
    pub fn read(mut from: R) -> io::Result<Recording<R>> {
        let mut header = [0; HEADER.len()];
        let invalid = |text| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        match from.read_exact(&mut header) {
            Ok(()) if header == HEADER => {}
            Ok(()) if header[..8] == HEADER[..8] => {
                let version = u16::from_le_bytes([header[8], header[9]]);
                let text = format!("a recording of version {version}; this is version 1");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            Ok(()) => return invalid("not a recording: its first bytes are not 'stooprec'"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return invalid("not a recording: it has less than 16 bytes");
            }
            Err(error) => return Err(error),
        }
        let offset = HEADER.len() as u64;
        Ok(Recording { from, offset, body: Vec::new(), tail: None, is_stopped: false })
    }

    /// Returns how the recording ends, after the last record was read.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    fn record(&mut self) -> io::Result<Result<Record, Tail>> {
        let offset = self.offset;
        self.body.clear();
        (&mut self.from).take(PREFIX_BYTES as u64).read_to_end(&mut self.body)?;
        let prefix = match self.body.first_chunk::<PREFIX_BYTES>() {
            Some(prefix) => *prefix,
            None if !self.body.is_empty() => return Ok(Err(Tail::Incomplete { offset })),
            None if self.is_stopped => return Ok(Err(Tail::Stopped)),
            None => return Ok(Err(Tail::Open { offset })),
        };
        let [l0, l1, l2, l3, sum @ ..] = prefix;
        let length = [l0, l1, l2, l3];
        let len = u64::from(u32::from_le_bytes(length));
        self.body.clear();
        // Grows with what is there, not with what a damaged length promises.
        (&mut self.from).take(len).read_to_end(&mut self.body)?;
        if (self.body.len() as u64) < len {
            return Ok(Err(Tail::Incomplete { offset }));
        }
        if checksum(length, &self.body) != u32::from_le_bytes(sum) {
            return Ok(Err(Tail::Damaged { offset }));
        }
        self.offset += PREFIX_BYTES as u64 + len;
        Ok(decode(&self.body).map_err(|_| Tail::Damaged { offset }))
    }
}

impl<R: Read> Iterator for Recording<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<io::Result<Record>> {
        if self.tail.is_some() {
            return None;
        }
        match self.record() {
            Ok(Ok(record)) => {
                self.is_stopped = record.entry == Entry::Stopped;
                Some(Ok(record))
            }
            Ok(Err(tail)) => {
                self.tail = Some(tail);
                None
            }
            Err(error) => {
                self.tail = Some(Tail::Incomplete { offset: self.offset });
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::record::format::tests::record;
    use crate::record::format::{encode, seal};

    /// Returns the bytes of a recording, and where each record ends.
    fn written(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (HEADER.to_vec(), vec![HEADER.len()]);
        for record in records {
            let mut one = Vec::new();
            encode(record, &mut one);
            seal(&mut one);
            bytes.extend(one);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read(bytes: &[u8]) -> (Vec<Record>, Option<Tail>) {
        let mut recording = Recording::read(bytes).unwrap();
        let records = recording.by_ref().map(Result::unwrap).collect();
        (records, recording.tail())
    }

    proptest! {
        #[test]
        fn any_beginning_is_read_up_to_its_last_whole_record(records in vec(record(), 0..6), cut in any::<prop::sample::Index>()) {
            let (bytes, ends) = written(&records);
            let len = HEADER.len() + cut.index(bytes.len() - HEADER.len() + 1);
            let (seen, tail) = read(&bytes[..len]);
            let whole = ends.iter().filter(|end| **end <= len).count() - 1;
            prop_assert_eq!(&seen[..], &records[..whole]);
            let offset = ends[whole] as u64;
            let is_stopped = seen.last().is_some_and(|last| last.entry == Entry::Stopped);
            let expected = match (len == ends[whole], is_stopped) {
                (true, true) => Tail::Stopped,
                (true, false) => Tail::Open { offset },
                (false, _) => Tail::Incomplete { offset },
            };
            prop_assert_eq!(tail, Some(expected));
        }

        #[test]
        fn a_changed_byte_is_found(records in vec(record(), 1..5), at in any::<prop::sample::Index>(), by in 1u8..) {
            let (mut bytes, ends) = written(&records);
            let at = HEADER.len() + at.index(bytes.len() - HEADER.len());
            bytes[at] = bytes[at].wrapping_add(by);
            let (seen, tail) = read(&bytes);
            let whole = ends.iter().filter(|end| **end <= at).count() - 1;
            prop_assert_eq!(&seen[..], &records[..whole]);
            let offset = ends[whole] as u64;
            let is_found = [Some(Tail::Damaged { offset }), Some(Tail::Incomplete { offset })].contains(&tail);
            prop_assert!(is_found, "{:?}", tail);
        }
    }

    #[test]
    fn other_files_are_refused() {
        let kind = |bytes: &[u8]| Recording::read(bytes).map(drop).unwrap_err().kind();
        assert_eq!(kind(b""), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"GET / HTTP/1.1\r\n"), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"stooprec\x02\0\0\0\0\0\0\0"), io::ErrorKind::Unsupported);
    }
}
