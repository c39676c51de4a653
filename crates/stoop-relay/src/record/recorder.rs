//! Writing a recording: one write for each record, before the relay passes on what it is about.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use stoop_tap::Methods;

use super::describe;
use super::format::{Closing, Entry, HEADER, MASKED_AT, Process, Record, Side, encode, seal};
use super::masking::Masking;

/// Only its owner may read a recording.
const MODE: u32 = 0o600;

type OnFailure = Box<dyn Fn(io::Error) + Send + Sync>;

/// Writes a recording. The relay goes on if it cannot be written.
pub struct Recorder {
    is_redacting: bool,
    methods: Option<Arc<dyn Methods>>,
    start: Instant,
    on_failure: Option<OnFailure>,
    file: Mutex<Output>,
}

/// The file, and the record that is being made.
struct Output {
    /// `None` after a failure, and after the end.
    file: Option<File>,
    len: u64,
    record: Vec<u8>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("is_redacting", &self.is_redacting).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Creates the file of a recording, with mode 600. Well-known secrets are masked by default.
    ///
    /// # Errors
    /// Returns an error if the file exists or cannot be written.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Recorder> {
        let mut file = OpenOptions::new().append(true).create_new(true).mode(MODE).open(path)?;
        file.write_all(&HEADER)?;
        let output = Output { file: Some(file), len: HEADER.len() as u64, record: Vec::new() };
        Ok(Recorder {
            is_redacting: true,
            methods: None,
            start: Instant::now(),
            on_failure: None,
            file: Mutex::new(output),
        })
    }

    /// Sets whether well-known secrets are masked, as [`stoop_tap::Masker`] does: in HTTP/1,
    /// HTTP/2, gRPC, ttrpc, Redis, PostgreSQL, MySQL and FastCGI, and in text. Compressed contents
    /// of these protocols are masked as a whole; nothing is found in what is encrypted. The default
    /// is on.
    #[must_use]
    pub fn redact(mut self, on: bool) -> Recorder {
        self.is_redacting = on;
        self
    }

    /// Finds secrets in messages of gRPC and ttrpc by what is known of their methods. By default
    /// the credentials of a few well-known methods are masked, and other messages are searched as
    /// text.
    #[must_use]
    pub fn methods(mut self, methods: Arc<dyn Methods>) -> Recorder {
        self.methods = Some(methods);
        self
    }

    /// Calls `handler` if the recording cannot be continued, for example because the disk is full.
    /// The file then ends with the last whole record.
    #[must_use]
    pub fn on_failure(mut self, handler: impl Fn(io::Error) + Send + Sync + 'static) -> Recorder {
        self.on_failure = Some(Box::new(handler));
        self
    }

    /// Writes the first record.
    pub(crate) fn begin(&self, kind: stoop::Kind, listen: String, connect: String) {
        let unix_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (listen, connect) = (listen.into_bytes(), connect.into_bytes());
        self.write(0, Entry::Started { unix_time, kind, listen, connect, is_redacted: self.is_redacting });
    }

    pub(crate) fn opened(&self, connection: u64, client: Process, server: Process) {
        self.write(connection, Entry::Opened { client, server });
    }

    pub(crate) fn closed(&self, connection: u64, reason: Closing) {
        self.write(connection, Entry::Closed { reason });
    }

    pub(crate) fn unreached(&self, connection: u64, error: &io::Error) {
        self.write(connection, Entry::Unreached { error: error.to_string().into_bytes() });
    }

    /// Writes the last record. Nothing is written after it.
    pub(crate) fn stop(&self) {
        self.write(0, Entry::Stopped);
        self.file.lock().unwrap_or_else(PoisonError::into_inner).file = None;
    }

    fn write(&self, connection: u64, entry: Entry) {
        self.write_masked(connection, entry, None);
    }

    /// Writes a record, in whose data secrets are masked.
    fn write_masked(&self, connection: u64, entry: Entry, masking: Option<&Masking>) {
        let mut output = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // The time is taken with the lock, so that the times of a file never go back.
        let record = Record { time: self.start.elapsed(), connection, entry };
        let result = output.write(&record, masking);
        drop(output);
        if let (Err(error), Some(handler)) = (result, &self.on_failure) {
            handler(error);
        }
    }
}

impl Output {
    fn write(&mut self, record: &Record, masking: Option<&Masking>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.record.clear();
        let data = encode(record, &mut self.record);
        if let (Some(masking), Entry::Data { from, bytes, .. }) = (masking, &record.entry) {
            let masked = masking.mask(*from, bytes, &mut self.record[data]);
            self.record[MASKED_AT..MASKED_AT + 4].copy_from_slice(&masked.to_le_bytes());
        }
        seal(&mut self.record);
        match file.write_all(&self.record) {
            Ok(()) => self.len += self.record.len() as u64,
            Err(error) => {
                // A part of the record may have been written. If it cannot be taken away, readers
                // stop before it all the same.
                let _ = file.set_len(self.len);
                self.file = None;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Records what one side of a connection sends.
#[derive(Debug)]
pub(crate) struct Watch {
    recorder: Arc<Recorder>,
    connection: u64,
    from: Side,
    masking: Option<Masking>,
}

impl Watch {
    /// Creates those of the client and of the server of a connection.
    pub(crate) fn pair(recorder: &Arc<Recorder>, connection: u64, is_stream: bool) -> [Watch; 2] {
        let masking = recorder.is_redacting.then(|| Masking::new(is_stream, recorder.methods.clone()));
        [Side::Client, Side::Server].map(|from| Watch {
            recorder: Arc::clone(recorder),
            connection,
            from,
            masking: masking.clone(),
        })
    }

    /// Bytes of a stream have come, or a message.
    pub(crate) fn data(&mut self, bytes: &[u8], fds: &[OwnedFd]) {
        let files = fds.iter().map(|fd| describe::file(fd.as_fd())).collect();
        let entry = Entry::Data { from: self.from, bytes: bytes.to_vec(), masked: 0, files };
        self.recorder.write_masked(self.connection, entry, self.masking.as_ref());
    }

    pub(crate) fn ended(&self) {
        self.recorder.write(self.connection, Entry::Ended { from: self.from });
    }

    pub(crate) fn reset(&self) {
        self.recorder.write(self.connection, Entry::Reset { from: self.from });
    }

    pub(crate) fn lost(&self) {
        self.recorder.write(self.connection, Entry::Lost { from: self.from });
    }
}
