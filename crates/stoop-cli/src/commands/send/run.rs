//! Sends the message, and receives the answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stoop::internal::{Connection, Socket};
use stoop::{Allow, ErrorKind, Kind, Outgoing, SocketExt, Stream, escaped};

use crate::accepted;
use crate::advice::Client;
use crate::args::Send;
use crate::deadline::Deadline;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Data, Event, Message, Output, PeerInfo, Screen, Text};
use crate::pump::{Sink, send_growing};
use crate::shell::quoted;

/// How much of an answer is read from a stream at a time.
const PIECE_BYTES: usize = 1 << 16;

/// Sends the message, and prints the answer.
pub(crate) fn run(flags: &Send) -> Outcome {
    flags.quiet.apply();
    // This comes first: a file descriptor opened by this process could be mistaken for an inherited
    // one.
    let inherited = flags.address.inherited(flags.connect.kind.kind)?;
    let message = message(flags)?;
    let files = flags.descriptors.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let descriptors: Vec<BorrowedFd> = files.iter().map(AsFd::as_fd).collect();
    let limit = Deadline::from_now(flags.timeout);
    let outgoing = OutgoingMessage { message: &message, descriptors: &descriptors, limit: &limit, flags };
    let reached = flags.address.connect(inherited, &flags.connect, flags.timeout);
    let reached =
        reached.map_err(|failure| failure.for_client(flags.connect.wait, |client| command(flags, client)))?;
    if let Some(found) = reached.event() {
        Output::new(flags.json, false).tell(&found)?;
    }
    let kind = reached.connection.kind();
    if flags.keep_open && kind != Kind::Stream {
        let why = format!("'{}' is a {kind} socket", flags.address);
        return Err(Failure::usage("--keep-open cannot be used", why));
    }
    match reached.connection {
        Connection::Stream(stream) => outgoing.over_stream(&stream)?,
        Connection::SeqPacket(socket) => {
            outgoing.whole(socket.as_ref(), |bytes| socket.send(bytes))?;
            outgoing.answered(socket.as_ref(), || socket.recv_vec_with(Allow::NOTHING))?;
        }
        Connection::Datagram(socket) => {
            if flags.reply {
                socket.set_pass_credentials(true)?;
            }
            outgoing.whole(socket.as_ref(), |bytes| socket.send(bytes).map(drop))?;
            outgoing.answered(socket.as_ref(), || socket.recv_vec_with(Allow::NOTHING))?;
        }
    }
    Ok(Exit::Done)
}

/// Words a suggested client as one that sends this message.
fn command(flags: &Send, client: &Client) -> String {
    let message = words(flags);
    let reply = if flags.reply { " --reply" } else { "" };
    format!("stoop send {}{}{reply}{message}{}", client.address, client.flags(), client.comment())
}

/// Words the message as it was given.
fn words(flags: &Send) -> String {
    match (&flags.message, &flags.file) {
        (Some(message), _) => format!(" {}", quoted(message)),
        (None, Some(file)) => format!(" --file {}", quoted(file.as_os_str())),
        (None, None) => String::new(),
    }
}

/// Returns the message: the argument, the file's contents, or standard input.
fn message(flags: &Send) -> Result<Vec<u8>, Failure> {
    match (&flags.message, flags.file.as_deref()) {
        (Some(message), _) => Ok(message.as_bytes().to_vec()),
        (None, Some(path)) if path != Path::new("-") => {
            std::fs::read(path).map_err(|error| Failure::io(format!("read '{}'", shown(path)), &error))
        }
        _ => {
            let mut message = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut message);
            read.map_err(|error| Failure::io("read standard input", &error))?;
            Ok(message)
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::io(format!("open '{}'", shown(path)), &error))
}

fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes()).to_string()
}

/// What did not happen within the time limit.
#[derive(Clone, Copy, Debug)]
enum Late {
    Sending,
    Answer,
}

/// The message to send, and the time limit for everything.
struct OutgoingMessage<'a> {
    message: &'a [u8],
    descriptors: &'a [BorrowedFd<'a>],
    limit: &'a Deadline,
    flags: &'a Send,
}

impl OutgoingMessage<'_> {
    /// Sends it as one message. Without file descriptors this uses `plain`, which follows the rules
    /// of the kind.
    fn whole(&self, socket: &Socket, plain: impl Fn(&[u8]) -> stoop::Result<()>) -> Result<(), Failure> {
        socket.set_write_timeout(self.limit.left())?;
        let outgoing = Outgoing::new().descriptors(self.descriptors);
        let sent = send_growing(socket, self.message.len(), || match self.descriptors {
            [] => plain(self.message),
            _ => socket.send_with(&[IoSlice::new(self.message)], &outgoing).map(drop),
        });
        sent.map_err(|error| self.failed(error, Late::Sending).unanswered())
    }

    /// Prints the one message that is the answer.
    fn answered(
        &self,
        socket: &Socket,
        receive: impl FnOnce() -> stoop::Result<(Vec<u8>, stoop::Received)>,
    ) -> Result<(), Failure> {
        if !self.flags.reply {
            return Ok(());
        }
        socket.set_read_timeout(self.limit.left())?;
        let (answer, received) = receive().map_err(|error| self.failed(error, Late::Answer).unanswered())?;
        if socket.kind().is_connected() && received.is_end() {
            return Err(Failure::no_answer(&self.flags.address, None));
        }
        let sender = match received.credentials {
            None => PeerInfo::from(&socket.peer()),
            sender => PeerInfo::from(sender),
        };
        self.show(sender, (!received.from.is_unnamed()).then(|| Text::from(&received.from)), answer)
    }

    /// Sends it over a stream and shuts down the sending side. What is received is printed as it
    /// arrives, or discarded. Both happen concurrently: a server that answers while it reads would
    /// otherwise deadlock with this client.
    fn over_stream(&self, stream: &Stream) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let sent = self.pour(stream);
                if !self.flags.reply {
                    // No answer is wanted: wakes the other thread.
                    let _ = stream.shutdown(Shutdown::Both);
                }
                sent
            });
            let mut is_answered = false;
            let heard = self.hear(stream, &mut is_answered);
            if heard.is_err() {
                // The rest need not be sent: wakes the other thread.
                let _ = stream.shutdown(Shutdown::Both);
            }
            let sent = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let done = if self.flags.reply { heard.and(sent) } else { sent };
            match done {
                Ok(()) if self.flags.reply && !is_answered => Err(self.no_answer()),
                Err(failure) if !is_answered => Err(failure.unanswered()),
                done => done,
            }
        })
    }

    fn pour(&self, stream: &Stream) -> Result<(), Failure> {
        let mut rest = self.message;
        let mut outgoing = Outgoing::new().descriptors(self.descriptors);
        let mut carries = !self.descriptors.is_empty();
        while carries || !rest.is_empty() {
            stream.set_write_timeout(self.limit.left())?;
            let taken = stream
                .send_with(&[IoSlice::new(rest)], &outgoing)
                .map_err(|error| self.failed(error, Late::Sending))?;
            rest = &rest[taken..];
            // The file descriptors were sent with the first byte.
            (outgoing, carries) = (Outgoing::new(), false);
        }
        match self.flags.keep_open {
            true => Ok(()),
            false => Ok(stream.shutdown(Shutdown::Write)?),
        }
    }

    /// Receives until the server closes, and sets `is_answered` once anything has arrived.
    fn hear(&self, stream: &Stream, is_answered: &mut bool) -> Result<(), Failure> {
        let (mut answer, mut screen) = (Vec::new(), Screen::new(None));
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            stream.set_read_timeout(self.limit.left())?;
            let received = stream
                .recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING)
                .map_err(|error| self.failed(error, Late::Answer))?;
            *is_answered |= received.len > 0;
            match &buffer[..received.len] {
                [] => break,
                _ if !self.flags.reply => {}
                piece if self.flags.json => answer.extend_from_slice(piece),
                piece => screen.put(piece)?,
            }
        }
        match self.flags.json && *is_answered {
            true => self.show(PeerInfo::from(&stream.peer()), None, answer),
            false => screen.finish(),
        }
    }

    fn no_answer(&self) -> Failure {
        let flags = self.flags;
        let address = quoted(OsStr::new(&flags.address.to_string()));
        let again = format!("stoop send {address} --reply --keep-open{}", words(flags));
        Failure::no_answer(&flags.address, (!flags.keep_open).then_some(again))
    }

    fn show(&self, sender: PeerInfo, from: Option<Text>, answer: Vec<u8>) -> Result<(), Failure> {
        if !self.flags.json {
            let mut screen = Screen::new(None);
            return screen.put(&answer).and_then(|()| screen.finish());
        }
        let size = answer.len();
        let message = Message { from, sender, size, descriptors: Vec::new(), data: Data(answer) };
        Output::new(true, false).emit(&Event::Message(message))
    }

    /// Reports a failed call. A call that timed out, or whose file descriptors were refused, has
    /// its own text.
    fn failed(&self, error: stoop::Error, late: Late) -> Failure {
        let address = &self.flags.address;
        if let (true, Some(timeout)) = (error.is_would_block(), self.flags.timeout) {
            let timeout = crate::time::show(timeout);
            let (what, why) = match late {
                Late::Sending if accepted::surely_waits() => {
                    ("the message was not accepted", accepted::NOT_ACCEPTED)
                }
                Late::Answer if accepted::surely_waits() => ("no reply was received", accepted::NOT_ACCEPTED),
                Late::Sending => {
                    ("the message was not accepted", "the server's queue is full: it does not read")
                }
                Late::Answer => {
                    ("no reply was received", "the message was sent, and the server has not answered")
                }
            };
            let what = format!("cannot send to '{address}': {what} within {timeout}");
            let address = quoted(OsStr::new(&address.to_string()));
            return Failure::new(Exit::Failed, what).why(why).next(accepted::show_server(&address)).into();
        }
        if error.kind() == ErrorKind::NotPermitted && !self.descriptors.is_empty() {
            let what =
                format!("cannot pass file descriptors to '{address}': operation not permitted (EPERM)");
            return Failure::new(Exit::NotPermitted, what)
                .why("the receiver does not accept file descriptors, and the kernel refuses them for it")
                .next(format!(
                    "stoop recv {address} --descriptors {}    # a receiver that accepts them",
                    self.descriptors.len()
                ))
                .into();
        }
        Failure::from(error).on(address)
    }
}
