//! A connection with streams. What is sent goes through a task of its own, so that a peer which
//! waits until its data is read never blocks what it sends.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::spdy::{self, Decoder, Event};
use super::upgrade::Upgraded;

/// How many frames wait to be sent before their source has to wait.
const WAITING: usize = 4;

/// How many bytes are read at a time.
pub(super) const PIECE_BYTES: usize = 32 * 1024;

/// A connection with streams.
#[derive(Debug)]
pub(super) struct Connection {
    reader: OwnedReadHalf,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Events that arrived while streams were opened.
    early: VecDeque<Event>,
    sender: Sender,
    next: u32,
}

/// Sends frames on a connection.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    data: mpsc::Sender<Vec<u8>>,
    control: mpsc::UnboundedSender<Vec<u8>>,
}

impl Sender {
    /// Sends data. Waits while the peer does not read. Returns whether the connection still takes
    /// any.
    pub(super) async fn data(&self, stream: u32, bytes: &[u8], is_last: bool) -> bool {
        self.data.send(spdy::data(stream, bytes, is_last)).await.is_ok()
    }

    /// Sends data, from a thread.
    pub(super) fn data_blocking(&self, stream: u32, bytes: &[u8], is_last: bool) -> bool {
        self.data.blocking_send(spdy::data(stream, bytes, is_last)).is_ok()
    }

    /// Sends a short frame that does not wait for others.
    pub(super) fn at_once(&self, frame: Vec<u8>) -> bool {
        self.control.send(frame).is_ok()
    }
}

impl Connection {
    pub(super) fn new(upgraded: Upgraded) -> Connection {
        let (reader, writer) = upgraded.stream.into_split();
        let (data, data_frames) = mpsc::channel(WAITING);
        let (control, control_frames) = mpsc::unbounded_channel();
        tokio::spawn(write(writer, data_frames, control_frames));
        let mut decoder = Decoder::default();
        decoder.push(&upgraded.first);
        let sender = Sender { data, control };
        Connection { reader, decoder, buffer: vec![0; PIECE_BYTES], early: VecDeque::new(), sender, next: 1 }
    }

    pub(super) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Opens streams with these headers, and waits until they are accepted: data that is sent
    /// earlier may be ignored. Returns their numbers.
    pub(super) async fn open(&mut self, streams: &[&[(&str, &str)]]) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for headers in streams {
            self.sender.at_once(spdy::open(self.next, headers, self.next == 1));
            numbers.push(self.next);
            self.next += 2;
        }
        let mut waiting = numbers.clone();
        while !waiting.is_empty() {
            match self.receive().await? {
                Some(Event::Accepted { stream, .. }) => waiting.retain(|&number| number != stream),
                Some(Event::Reset { stream, status }) => {
                    return Err(io::Error::other(format!("stream {stream} was refused: status {status}")));
                }
                Some(event) => self.early.push_back(event),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(numbers)
    }

    /// Returns the next event, or `None` at the end of the connection.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<Event>> {
        match self.early.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> io::Result<Option<Event>> {
        loop {
            match self.decoder.next() {
                Some(Event::Ping(id)) => drop(self.sender.at_once(spdy::pong(id))),
                Some(event) => return Ok(Some(event)),
                None => {
                    let len = self.reader.read(&mut self.buffer).await?;
                    if len == 0 && self.decoder.is_within_frame() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    if len == 0 {
                        return Ok(None);
                    }
                    self.decoder.push(&self.buffer[..len]);
                }
            }
        }
    }
}

/// Writes frames until nothing can send any more, or the connection fails, which the reader sees.
async fn write(
    mut writer: OwnedWriteHalf,
    mut data: mpsc::Receiver<Vec<u8>>,
    mut control: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    loop {
        let frame = tokio::select! {
            biased;
            Some(frame) = control.recv() => frame,
            Some(frame) = data.recv() => frame,
            else => return,
        };
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}
