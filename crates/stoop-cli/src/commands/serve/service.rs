//! What the server does for each client, as the flags say: echoes, discards, sends a file, or runs
//! a program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::args::ServiceFlags;
use crate::failure::Failure;

/// What the server does for each client.
#[derive(Debug)]
pub(super) enum Service {
    Echo,
    Discard,
    Send(Content),
    Exec(OsString),
}

impl Service {
    /// Creates the service that the command line asks for.
    pub(super) fn new(flags: &ServiceFlags) -> Result<Service, Failure> {
        Ok(match (&flags.send, &flags.exec) {
            (Some(file), _) => Service::Send(Content::open(file)?),
            (_, Some(command)) => Service::Exec(command.clone()),
            _ if flags.discard => Service::Discard,
            _ => Service::Echo,
        })
    }

    /// Returns the name of its flag.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Discard => "discard",
            Service::Send(_) => "send",
            Service::Exec(_) => "exec",
        }
    }

    /// Returns whether it passes the socket itself to a program.
    pub(super) fn runs_programs(&self) -> bool {
        matches!(self, Service::Exec(_))
    }
}

/// The content to send, any number of times.
#[derive(Debug)]
pub(super) enum Content {
    /// A file, read from its start for each client.
    File(File),
    /// The content of something that can be read only once, such as a pipe.
    Bytes(Vec<u8>),
}

impl Content {
    fn open(path: &Path) -> Result<Content, Failure> {
        let failed = |error| {
            Failure::io(format!("read '{}'", stoop::escaped(path.as_os_str().as_encoded_bytes())), &error)
        };
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            return Ok(Content::File(file));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Content::Bytes(bytes))
    }

    /// Reads from an offset into the buffer. Returns the number of bytes, which is 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        match self {
            Content::File(file) => loop {
                match file.read_at(buffer, offset_bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result,
                }
            },
            Content::Bytes(bytes) => {
                let rest = usize::try_from(offset_bytes).ok().and_then(|offset| bytes.get(offset..));
                let rest = rest.unwrap_or_default();
                let len_bytes = rest.len().min(buffer.len());
                buffer[..len_bytes].copy_from_slice(&rest[..len_bytes]);
                Ok(len_bytes)
            }
        }
    }

    /// Returns a reader from the start.
    pub(super) fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            Content::File(file) => Box::new(PositionedReader { file, offset_bytes: 0 }),
            Content::Bytes(bytes) => Box::new(&bytes[..]),
        }
    }
}

/// Reads a file from its start with positioned reads, because the file offset is shared by all
/// readers.
struct PositionedReader<'a> {
    file: &'a File,
    offset_bytes: u64,
}

impl Read for PositionedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.offset_bytes)?;
        self.offset_bytes += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_testkit::tempdir;

    #[test]
    fn content_can_be_sent_many_times() {
        let directory = tempdir();
        let path = directory.path().join("file");
        std::fs::write(&path, "contents").unwrap();
        let read = |content: &Content| {
            let mut text = String::new();
            content.reader().read_to_string(&mut text).unwrap();
            text
        };
        for content in [Content::open(&path).unwrap(), Content::Bytes(b"contents".to_vec())] {
            assert_eq!((read(&content), read(&content)), ("contents".into(), "contents".into()));
            let mut buffer = [0; 5];
            let parts = [0, 5, 8, 9].map(|offset| content.read_at(&mut buffer, offset).unwrap());
            assert_eq!((parts, &buffer), ([5, 3, 0, 0], b"ntste"));
        }
        assert!(
            matches!(Content::open(Path::new("/dev/null")).unwrap(), Content::Bytes(bytes) if bytes.is_empty())
        );
    }
}
