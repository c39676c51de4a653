//! Reads a log file, also while it grows and is rotated: renamed, and created anew.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use stoop::escaped;

use crate::failure::Failure;

/// How many bytes are read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl LogFile {
    /// Opens the file, at its start or before the last lines.
    pub(super) fn open(path: PathBuf, last: Option<usize>) -> Result<LogFile, Failure> {
        let failed = |error| Failure::io(named("read", &path), &error);
        let mut file = File::open(&path).map_err(failed)?;
        if let Some(last) = last {
            let len = file.metadata().map_err(failed)?.len();
            let start = start_of_last(&file, len, last).map_err(failed)?;
            file.seek(SeekFrom::Start(start)).map_err(failed)?;
        }
        Ok(LogFile { path, file, buffer: vec![0; PIECE_BYTES] })
    }

    /// Returns the next piece, or `None` at the present end.
    pub(super) fn read(&mut self) -> Result<Option<&[u8]>, Failure> {
        let mut len = self.fill()?;
        if len == 0 && self.is_replaced()? {
            // The writer has changed to the new file, but may have written to this one before.
            len = self.fill()?;
            if len == 0 {
                self.file = File::open(&self.path).map_err(|error| self.failed(&error))?;
                len = self.fill()?;
            }
        }
        Ok((len > 0).then(|| &self.buffer[..len]))
    }

    fn fill(&mut self) -> Result<usize, Failure> {
        self.file.read(&mut self.buffer).map_err(|error| self.failed(&error))
    }

    /// Returns whether another file has the name now. If this one was truncated, starts again.
    fn is_replaced(&mut self) -> Result<bool, Failure> {
        let own = self.file.metadata().map_err(|error| self.failed(&error))?;
        // Between the two steps of a rotation there is no file of this name.
        let Ok(now) = std::fs::metadata(&self.path) else { return Ok(false) };
        if (own.dev(), own.ino()) != (now.dev(), now.ino()) {
            return Ok(true);
        }
        let position = self.file.stream_position().map_err(|error| self.failed(&error))?;
        if position > own.len() {
            self.file.rewind().map_err(|error| self.failed(&error))?;
        }
        Ok(false)
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::io(named("read", &self.path), error)
    }
}

fn named(doing: &str, path: &std::path::Path) -> String {
    format!("{doing} '{}'", escaped(path.as_os_str().as_encoded_bytes()))
}

/// Returns where the last lines begin. Reads backwards: a log may be long.
fn start_of_last(file: &File, len: u64, last: usize) -> std::io::Result<u64> {
    let mut buffer = vec![0; PIECE_BYTES];
    let (mut end, mut newlines) = (len, 0);
    while end > 0 {
        let start = end.saturating_sub(PIECE_BYTES as u64);
        let piece = &mut buffer[..(end - start) as usize];
        file.read_exact_at(piece, start)?;
        for (at, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The last line ends with one; a line that is being written does not.
            let begins = start + at as u64 + 1;
            if begins == len {
                continue;
            }
            newlines += 1;
            if newlines == last.max(1) {
                return Ok(if last == 0 { len } else { begins });
            }
        }
        end = start;
    }
    Ok(if last == 0 { len } else { 0 })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use stoop_testkit::tempdir;

    fn rest(log: &mut LogFile) -> String {
        let mut all = Vec::new();
        while let Some(piece) = log.read().unwrap() {
            all.extend_from_slice(piece);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn the_last_lines_are_found() {
        let directory = tempdir();
        let path = directory.path().join("log");
        let last = |contents: &str, count| {
            std::fs::write(&path, contents).unwrap();
            rest(&mut LogFile::open(path.clone(), count).unwrap())
        };
        let contents = "one\ntwo\nthree\n";
        for (count, expected) in [
            (None, contents),
            (Some(0), ""),
            (Some(1), "three\n"),
            (Some(2), "two\nthree\n"),
            (Some(9), contents),
        ] {
            assert_eq!(last(contents, count), expected, "{count:?}");
        }
        assert_eq!(last("one\ntw", Some(1)), "tw");
        assert_eq!(last("", Some(3)), "");
        let long = format!("first\n{}\nlast\n", "x".repeat(3 * PIECE_BYTES));
        assert_eq!(last(&long, Some(2)), long["first\n".len()..]);
    }

    #[test]
    fn a_log_is_read_across_its_rotation() {
        let directory = tempdir();
        let path = directory.path().join("log");
        std::fs::write(&path, "one\n").unwrap();
        let mut log = LogFile::open(path.clone(), None).unwrap();
        assert_eq!(rest(&mut log), "one\n");
        std::fs::rename(&path, directory.path().join("log.1")).unwrap();
        assert_eq!(rest(&mut log), "", "between the two steps");
        std::fs::write(&path, "two\n").unwrap();
        let old = std::fs::OpenOptions::new().append(true).open(directory.path().join("log.1")).unwrap();
        (&old).write_all(b"late\n").unwrap();
        assert_eq!(rest(&mut log), "late\ntwo\n");
        std::fs::write(&path, "3\n").unwrap();
        let again = rest(&mut log) + &rest(&mut log);
        assert_eq!(again, "3\n", "truncated");
    }
}
