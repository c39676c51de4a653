//! Serves a client: echoes, discards, sends a file, or runs a program.

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

use super::exec::FdReserve;
use super::run::Shared;
use super::{exec, workers};
use crate::args::ServiceFlags;
use crate::failure::Failure;
use crate::output::{Event, PeerInfo};
use crate::pump::{Discard, End, Input, Progress, Receiver, Sender, Split, pump, shut, socket};

/// How long a client that has received its answer may continue to send before its connection is
/// closed. If anything from the client was unread, closing at once would turn the end of the answer
/// into a reset ([K-END-3]).
///
/// [K-END-3]: stoop::kernel_facts#K-END-3
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

/// Starts to serve a client, in a thread of its own.
pub(super) fn begin(shared: &Arc<Shared>, client: Connection, number: u64, reserve: Option<FdReserve>) {
    let peer = socket(&client).peer();
    if shared.output.is_json() {
        shared.output.note(&Event::Accepted { connection: number, peer: PeerInfo::from(&peer) });
    }
    workers::start(shared, move |shared| {
        let served = serve(shared, client, &peer, reserve);
        shared.output.note(&Event::Closed {
            connection: number,
            received_bytes: served.received_bytes,
            sent_bytes: served.sent_bytes,
            exit_status: served.exit_status,
            error: served.failure.map(|failure| failure.summary()),
        });
    });
}

/// The result of serving a client.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Unknown if another program used the connection.
    pub(super) received_bytes: Option<u64>,
    pub(super) sent_bytes: Option<u64>,
    /// The exit status of the command, if one was run.
    pub(super) exit_status: Option<i32>,
    pub(super) failure: Option<Failure>,
}

fn serve(shared: &Shared, client: Connection, peer: &Peer, reserve: Option<FdReserve>) -> Served {
    let (received, sent) = (Progress::default(), Progress::default());
    let end = match &shared.service {
        Service::Exec(command) => return exec::serve(shared, command, client, peer, reserve),
        Service::Discard => pump(&mut Receiver::new(&client), &mut Discard, &received),
        Service::Echo => pump(&mut Receiver::new(&client), &mut Sender(&client), &sent),
        Service::Send(content) => send(content, &client, &received, &sent),
    };
    // An echo has sent what it received.
    let received = if matches!(shared.service, Service::Echo) { &sent } else { &received };
    Served {
        received_bytes: Some(received.bytes()),
        sent_bytes: Some(sent.bytes()),
        failure: end.failure(),
        ..Served::default()
    }
}

/// Sends the file and discards what the client sends, concurrently, so that neither side blocks the
/// other.
fn send(content: &Content, client: &Connection, received: &Progress, sent: &Progress) -> End {
    let (done, ended) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = pump(&mut Receiver::new(client), &mut Discard, received);
            let _ = done.send(());
        });
        let mut input = Input::new(content.reader(), Split::AsRead, "the file to send");
        let end = pump(&mut input, &mut Sender(client), sent);
        shut(client, Shutdown::Write);
        let _ = ended.recv_timeout(LINGER);
        shut(client, Shutdown::Both);
        end
    })
}

/// Shuts down the sending side, and discards what the client sends for a while.
pub(super) fn linger(client: &Connection) {
    shut(client, Shutdown::Write);
    if socket(client).set_read_timeout(Some(LINGER)).is_ok() {
        let _ = pump(&mut Receiver::new(client), &mut Discard, &Progress::default());
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
