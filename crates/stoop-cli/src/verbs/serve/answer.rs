//! What a client gets: its own bytes back, nothing, a file, or a program.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use stoop::{Connection, Peer};

use super::exec::Reserve;
use super::{Shared, crew, exec};
use crate::args::Answer;
use crate::failure::Failure;
use crate::output::{Event, Who};
use crate::pump::{Cut, End, Input, Nowhere, Progress, Receiver, Sender, pump, shut, socket};

/// How long a client that has got its answer may go on sending before its connection is closed.
/// Closing at once would turn the end of the answer into a reset wherever something of the client's
/// is unread (K-END-3).
const LINGER: Duration = Duration::from_secs(2);

/// What the server does for each client.
#[derive(Debug)]
pub(super) enum Service {
    Echo,
    Discard,
    Send(Content),
    Exec(OsString),
}

impl Service {
    /// What the command line asks for.
    pub(super) fn new(answer: &Answer) -> Result<Service, Failure> {
        Ok(match (&answer.send, &answer.exec) {
            (Some(file), _) => Service::Send(Content::open(file)?),
            (_, Some(command)) => Service::Exec(command.clone()),
            _ if answer.discard => Service::Discard,
            _ => Service::Echo,
        })
    }

    /// The name of its flag.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Discard => "discard",
            Service::Send(_) => "send",
            Service::Exec(_) => "exec",
        }
    }

    /// Whether a program gets the socket itself.
    pub(super) fn runs_programs(&self) -> bool {
        matches!(self, Service::Exec(_))
    }
}

/// A file to send, many times over.
#[derive(Debug)]
pub(super) enum Content {
    /// Read anew for each client, from its start.
    File(File),
    /// Something that can be read only once: a pipe, for instance.
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

    /// Reads it from its start.
    pub(super) fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            Content::File(file) => Box::new(FromStart { file, offset_bytes: 0 }),
            Content::Bytes(bytes) => Box::new(&bytes[..]),
        }
    }
}

/// Reads a file from its start, without moving the position that all its readers share.
struct FromStart<'a> {
    file: &'a File,
    offset_bytes: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.offset_bytes)?;
        self.offset_bytes += len as u64;
        Ok(len)
    }
}

/// Begins to serve a client, in a thread of its own.
pub(super) fn begin(shared: &Arc<Shared>, client: Connection, number: u64, reserve: Option<Reserve>) {
    let peer = socket(&client).peer();
    if shared.output.is_json() {
        shared.output.note(&Event::Accepted { connection: number, peer: Who::from(&peer) });
    }
    crew::start(shared, move |shared| {
        let served = serve(shared, client, &peer, reserve);
        shared.output.note(&Event::Closed {
            connection: number,
            received_bytes: served.received_bytes,
            sent_bytes: served.sent_bytes,
            error: served.failure.map(|failure| failure.summary()),
        });
    });
}

/// How a client was served.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Unknown where another program had the connection.
    pub(super) received_bytes: Option<u64>,
    pub(super) sent_bytes: Option<u64>,
    pub(super) failure: Option<Failure>,
}

fn serve(shared: &Shared, client: Connection, peer: &Peer, reserve: Option<Reserve>) -> Outcome {
    let (received, sent) = (Progress::default(), Progress::default());
    let end = match &shared.service {
        Service::Exec(command) => return exec::serve(shared, command, client, peer, reserve),
        Service::Discard => pump(&mut Receiver::new(&client), &mut Nowhere, &received),
        Service::Echo => pump(&mut Receiver::new(&client), &mut Sender(&client), &sent),
        Service::Send(content) => send(content, &client, &received, &sent),
    };
    // An echo has sent what it received.
    let received = if matches!(shared.service, Service::Echo) { &sent } else { &received };
    Outcome { received_bytes: Some(received.bytes()), sent_bytes: Some(sent.bytes()), failure: end.failure() }
}

/// Sends the file while what the client says is thrown away, so that neither side waits for the
/// other.
fn send(content: &Content, client: &Connection, received: &Progress, sent: &Progress) -> End {
    let (done, ended) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = pump(&mut Receiver::new(client), &mut Nowhere, received);
            let _ = done.send(());
        });
        let mut input = Input::new(content.reader(), Cut::Anywhere, "the file to send");
        let end = pump(&mut input, &mut Sender(client), sent);
        shut(client, Shutdown::Write);
        let _ = ended.recv_timeout(LINGER);
        shut(client, Shutdown::Both);
        end
    })
}

/// Ends our side, and takes what the client still says for a while.
pub(super) fn linger(client: &Connection) {
    shut(client, Shutdown::Write);
    if socket(client).set_read_timeout(Some(LINGER)).is_ok() {
        let _ = pump(&mut Receiver::new(client), &mut Nowhere, &Progress::default());
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
        }
        assert!(
            matches!(Content::open(Path::new("/dev/null")).unwrap(), Content::Bytes(bytes) if bytes.is_empty())
        );
    }
}
