//! One client of an echo, of a discarding or of a sending server: what it was sent, what is left,
//! and what to wait for. Never blocks, and holds no buffer while the client is idle.

use std::net::Shutdown;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use stoop::internal::Connection;

use super::service::{Content, Service};
use crate::failure::Failure;
use crate::pump::{PIECE_BYTES, receive, send, shut};

/// How many pieces are passed on before other clients have their turn.
const PIECES_PER_TURN: usize = 16;

/// How long a client that has received its answer may continue to send before its connection is
/// closed. If anything from the client was unread, closing at once would turn the end of the answer
/// into a reset ([K-END-3]).
///
/// [K-END-3]: stoop::kernel_facts#K-END-3
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// A client that is being served.
#[derive(Debug)]
pub(super) struct Conversation {
    connection: Connection,
    received_bytes: u64,
    sent_bytes: u64,
    /// What the client has not accepted of its echo.
    unsent: Option<Box<Unsent>>,
    /// The client sends nothing more.
    has_ended: bool,
    /// Everything was sent; only the client's end is missing.
    lingers: bool,
    failure: Option<Box<Failure>>,
}

/// The rest of a piece.
#[derive(Debug)]
struct Unsent {
    piece: Vec<u8>,
    sent_bytes: usize,
}

/// What a conversation needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// One of these events.
    Wait(EventFlags),
    /// The client's end, for a while: the answer is complete from now on.
    Linger,
    /// Nothing: it is over.
    Done,
}

/// The result of a conversation.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) failure: Option<Failure>,
}

impl Conversation {
    /// Begins to serve a connection, which must be nonblocking.
    pub(super) fn new(connection: Connection) -> Conversation {
        Conversation {
            connection,
            received_bytes: 0,
            sent_bytes: 0,
            unsent: None,
            has_ended: false,
            lingers: false,
            failure: None,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Goes on as far as possible without waiting. The buffer is for the time of the call.
    pub(super) fn turn(&mut self, service: &Service, buffer: &mut Vec<u8>) -> Next {
        let result = match service {
            Service::Send(content) => return self.send(content, buffer),
            Service::Discard => self.discard(buffer),
            Service::Echo | Service::Exec(_) => self.echo(buffer),
        };
        result.unwrap_or_else(|error| self.fail(error.into()))
    }

    /// Ends the conversation with a failure of the event loop.
    pub(super) fn fail(&mut self, failure: Failure) -> Next {
        self.failure.get_or_insert(Box::new(failure));
        Next::Done
    }

    /// Closes the connection.
    pub(super) fn finish(self) -> Ended {
        let Conversation { received_bytes, sent_bytes, failure, .. } = self;
        Ended { received_bytes, sent_bytes, failure: failure.map(|failure| *failure) }
    }

    /// Sends back each piece completely before the next one is received, so a client that does not
    /// read is not read from either. A full connection is writable again only when most of it has
    /// been read ([K-END-8]), so waiting for that does not spin.
    ///
    /// [K-END-8]: stoop::kernel_facts#K-END-8
    fn echo(&mut self, buffer: &mut Vec<u8>) -> stoop::Result<Next> {
        for _ in 0..PIECES_PER_TURN {
            if !self.send_unsent()? {
                return Ok(Next::Wait(EventFlags::OUT));
            }
            let Some(piece) = self.receive(buffer)? else { return Ok(self.waits_to_receive()) };
            let mut sent_bytes = 0;
            let is_sent = send_some(&self.connection, piece, &mut sent_bytes);
            self.sent_bytes += sent_bytes as u64;
            if !is_sent? {
                self.unsent = Some(Box::new(Unsent { piece: piece[sent_bytes..].to_vec(), sent_bytes: 0 }));
            }
        }
        Ok(Next::Wait(EventFlags::IN))
    }

    /// Sends what is left of an echo. Returns whether all of it was sent.
    fn send_unsent(&mut self) -> stoop::Result<bool> {
        let Some(unsent) = &mut self.unsent else { return Ok(true) };
        let before = unsent.sent_bytes;
        let is_sent = send_some(&self.connection, &unsent.piece, &mut unsent.sent_bytes);
        self.sent_bytes += (unsent.sent_bytes - before) as u64;
        if matches!(is_sent, Ok(true)) {
            self.unsent = None;
        }
        is_sent
    }

    fn discard(&mut self, buffer: &mut Vec<u8>) -> stoop::Result<Next> {
        for _ in 0..PIECES_PER_TURN {
            if self.receive(buffer)?.is_none() {
                return Ok(self.waits_to_receive());
            }
        }
        Ok(Next::Wait(EventFlags::IN))
    }

    /// Sends the content, and discards what the client sends: neither direction blocks the other.
    fn send(&mut self, content: &Content, buffer: &mut Vec<u8>) -> Next {
        // However it ends, the client gets what it is sent.
        self.has_ended |= !matches!(self.discard(buffer), Ok(Next::Wait(_)));
        if self.lingers {
            return self.waits_to_receive();
        }
        match self.send_content(content, buffer) {
            Ok(false) if self.has_ended => return Next::Wait(EventFlags::OUT),
            Ok(false) => return Next::Wait(EventFlags::OUT | EventFlags::IN),
            Ok(true) => {}
            Err(failure) => drop(self.fail(failure)),
        }
        shut(&self.connection, Shutdown::Write);
        self.lingers = true;
        if self.has_ended { Next::Done } else { Next::Linger }
    }

    /// Sends the next pieces of the content. Returns whether it was sent to its end.
    fn send_content(&mut self, content: &Content, buffer: &mut Vec<u8>) -> Result<bool, Failure> {
        for _ in 0..PIECES_PER_TURN {
            buffer.resize(PIECE_BYTES, 0);
            let len_bytes = content
                .read_at(buffer, self.sent_bytes)
                .map_err(|error| Failure::io("read the file to send", &error))?;
            if len_bytes == 0 {
                return Ok(true);
            }
            let mut sent_bytes = 0;
            let is_sent = send_some(&self.connection, &buffer[..len_bytes], &mut sent_bytes);
            self.sent_bytes += sent_bytes as u64;
            if !is_sent? {
                break;
            }
        }
        Ok(false)
    }

    /// Receives a piece. Returns `None` at the end, and if there is none yet.
    fn receive<'a>(&mut self, buffer: &'a mut Vec<u8>) -> stoop::Result<Option<&'a [u8]>> {
        if self.has_ended {
            return Ok(None);
        }
        match receive(&self.connection, buffer) {
            Ok(Some(piece)) => {
                self.received_bytes += piece.len() as u64;
                Ok(Some(piece))
            }
            Ok(None) => {
                self.has_ended = true;
                Ok(None)
            }
            Err(error) if error.is_would_block() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn waits_to_receive(&self) -> Next {
        if self.has_ended { Next::Done } else { Next::Wait(EventFlags::IN) }
    }
}

/// Sends the rest of a piece until the socket is full, and adds to `sent_bytes`. Returns whether
/// all of it was sent.
fn send_some(connection: &Connection, piece: &[u8], sent_bytes: &mut usize) -> stoop::Result<bool> {
    loop {
        match send(connection, &piece[*sent_bytes..]) {
            Ok(len_bytes) => *sent_bytes += len_bytes,
            Err(error) if error.is_would_block() => return Ok(false),
            Err(error) => return Err(error),
        }
        if *sent_bytes == piece.len() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};

    use super::*;
    use stoop::{SeqPacket, SocketExt, Stream};
    use stoop_testkit::tempdir;

    /// A nonblocking client, and the conversation with it.
    fn streams() -> (Stream, Conversation) {
        let (client, server) = Stream::pair().unwrap();
        [&client, &server].iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
        (client, Conversation::new(Connection::Stream(server)))
    }

    /// Reads until nothing is left. Returns whether that was the end.
    fn hear(client: &mut Stream, heard: &mut Vec<u8>) -> bool {
        let mut buffer = vec![0; 100_000];
        loop {
            match client.read(&mut buffer) {
                Ok(0) => return true,
                Ok(len) => heard.extend(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_stream_is_echoed_however_slowly_it_is_read() {
        let (mut client, mut conversation) = streams();
        let said: Vec<u8> = (0..1_000_000u32).map(|number| (number % 251) as u8).collect();
        let (mut buffer, mut heard, mut said_bytes, mut waited_for_room) = (Vec::new(), Vec::new(), 0, 0);
        while said_bytes < said.len() {
            match client.write(&said[said_bytes..]) {
                Ok(len) => said_bytes += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    hear(&mut client, &mut heard);
                }
                Err(error) => panic!("{error}"),
            }
            let next = conversation.turn(&Service::Echo, &mut buffer);
            waited_for_room += u32::from(next == Next::Wait(EventFlags::OUT));
            assert!(matches!(next, Next::Wait(_)), "{next:?}");
        }
        assert!(waited_for_room > 0);
        client.shutdown(Shutdown::Write).unwrap();
        while conversation.turn(&Service::Echo, &mut buffer) != Next::Done {
            hear(&mut client, &mut heard);
        }
        let ended = conversation.finish();
        assert!(hear(&mut client, &mut heard) && heard == said);
        assert_eq!((ended.received_bytes, ended.sent_bytes), (1_000_000, 1_000_000));
        assert!(ended.failure.is_none());
    }

    #[test]
    fn an_idle_conversation_holds_no_buffer() {
        let (mut client, mut conversation) = streams();
        let mut buffer = Vec::new();
        client.write_all(b"ping").unwrap();
        assert_eq!(conversation.turn(&Service::Echo, &mut buffer), Next::Wait(EventFlags::IN));
        assert!(conversation.unsent.is_none());
        assert!(size_of::<Conversation>() <= 288, "{}", size_of::<Conversation>());
    }

    #[test]
    fn packets_keep_their_boundaries() {
        let (client, server) = SeqPacket::pair().unwrap();
        for socket in [&client, &server] {
            socket.set_nonblocking(true).unwrap();
            socket.set_pass_credentials(true).unwrap();
        }
        let mut conversation = Conversation::new(Connection::SeqPacket(server));
        let client = Connection::SeqPacket(client);
        let (mut buffer, mut heard) = (Vec::new(), Vec::new());
        for message in [&b"a"[..], b"", &[7; 100_000]] {
            assert_eq!(send(&client, message).unwrap(), message.len());
            assert_eq!(conversation.turn(&Service::Echo, &mut buffer), Next::Wait(EventFlags::IN));
            assert_eq!(receive(&client, &mut heard).unwrap(), Some(message));
        }
        drop(client);
        assert_eq!(conversation.turn(&Service::Echo, &mut buffer), Next::Done);
    }

    #[test]
    fn a_file_is_sent_to_a_client_that_sends_too() {
        let directory = tempdir();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![3; 700_000]).unwrap();
        let file = Service::Send(Content::File(std::fs::File::open(&path).unwrap()));
        let (mut client, mut conversation) = streams();
        let (mut buffer, mut heard) = (Vec::new(), Vec::new());
        loop {
            let _ = client.write(&[1; 10_000]);
            match conversation.turn(&file, &mut buffer) {
                Next::Wait(flags) => assert_eq!(flags, EventFlags::IN | EventFlags::OUT),
                next => break assert_eq!(next, Next::Linger),
            }
            hear(&mut client, &mut heard);
        }
        assert!(hear(&mut client, &mut heard), "the end arrives while the client may still send");
        assert_eq!(heard, vec![3; 700_000]);
        drop(client);
        assert_eq!(conversation.turn(&file, &mut buffer), Next::Done);
        assert_eq!(conversation.finish().sent_bytes, 700_000);
    }

    #[test]
    fn a_client_that_closes_early_is_a_failure_of_its_own() {
        let (client, mut conversation) = streams();
        drop(client);
        let content = Service::Send(Content::Bytes(b"content".to_vec()));
        assert_eq!(conversation.turn(&content, &mut Vec::new()), Next::Done);
        assert!(conversation.finish().failure.is_some());
    }
}
