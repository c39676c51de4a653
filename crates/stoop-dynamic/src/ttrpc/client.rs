//! Concurrent calls on one connection. One task reads and one writes; both end with the
//! connection.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use stoop::aio::Stream;
use stoop::aio::split::{OwnedReadHalf, OwnedWriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use super::frame::{Flags, Frame, FrameDecoder, FrameKind, TooLong};
use super::message::{KeyValue, Request, Response, RpcStatus};

/// How many frames of a call are queued before reading from the connection stops. ttrpc has no flow
/// control of its own.
const WAITING_FRAMES: usize = 16;

/// How many frames are queued for writing before senders wait.
const UNWRITTEN_FRAMES: usize = 8;

/// A connection to a ttrpc server. Clones share it. It is closed when the last clone and all calls
/// are dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    /// The queue of the writing task. A frame is written whole, even if its sender was dropped.
    writer: mpsc::Sender<Vec<u8>>,
    calls: Arc<Calls>,
    reader: AbortHandle,
}

/// The open calls.
#[derive(Default)]
struct Calls(Mutex<Table>);

#[derive(Default)]
struct Table {
    open: HashMap<u32, mpsc::Sender<FrameResult>>,
    /// How many calls were opened so far.
    opened: u32,
    /// Why no more responses will arrive, once the connection has ended.
    ended: Option<String>,
}

/// A frame for a call, or the error that ends it.
type FrameResult = Result<Frame, Status>;

/// The method to call, and how.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The full name of the service.
    pub service: String,
    /// The name of the method.
    pub method: String,
    /// Whether the client sends a stream of messages instead of one.
    pub client_streaming: bool,
    /// Whether the server sends a stream of messages instead of one.
    pub server_streaming: bool,
    /// Metadata to send to the server.
    pub metadata: Vec<(String, String)>,
    /// The timeout to send to the server. It is not enforced on this side.
    pub timeout: Option<Duration>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Client {
    /// Creates a client for a connection.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    pub fn new(stream: Stream) -> Client {
        let (read, write) = stream.into_split();
        let calls = Arc::new(Calls::default());
        let (writer, unwritten) = mpsc::channel(UNWRITTEN_FRAMES);
        tokio::spawn(write_all(write, unwritten, calls.clone()));
        let reader = tokio::spawn(read_all(read, calls.clone())).abort_handle();
        Client { shared: Arc::new(Shared { writer, calls, reader }) }
    }

    /// Opens a call.
    ///
    /// Messages of `requests` are sent as they arrive, concurrently with receiving. Without client
    /// streaming, only the first is sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use stoop_dynamic::ttrpc::{Call, Client};
    /// # use stoop_dynamic::ttrpc::frame::{Flags, Frame, FrameDecoder, FrameKind};
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # let (stream, mut server) = stoop::aio::Stream::pair()?;
    /// # tokio::spawn(async move {
    /// #     let (mut decoder, mut buffer) = (FrameDecoder::new(), [0; 1024]);
    /// #     let request = loop {
    /// #         match decoder.next_frame() {
    /// #             Some(frame) => break frame.unwrap(),
    /// #             None => {
    /// #                 let len = server.read(&mut buffer).await?;
    /// #                 decoder.push(&buffer[..len]);
    /// #             }
    /// #         }
    /// #     };
    /// #     // A response with the payload "pong" in field 2.
    /// #     let data = b"\x12\x04pong".to_vec();
    /// #     let kind = FrameKind::Response;
    /// #     let response = Frame { stream: request.stream, kind, flags: Flags(0), data };
    /// #     server.write_all(&response.encode().unwrap()).await
    /// # });
    ///
    /// let client = Client::new(stream);
    /// let call = Call { service: "app.v1.App".into(), method: "Ping".into(), ..Call::default() };
    /// let mut answers = client.call(call, tokio_stream::once("ping".into())).await?;
    /// assert_eq!(answers.message().await?.unwrap(), "pong");
    /// assert!(answers.message().await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the connection is broken (`Unavailable` with a source), or if a message
    /// exceeds the protocol's limit (`ResourceExhausted`).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the call was opened or not, and other calls
    /// continue.
    pub async fn call(
        &self,
        call: Call,
        requests: impl tokio_stream::Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Answers, Status> {
        let mut requests = Box::pin(requests);
        let payload = if call.client_streaming { None } else { requests.next().await };
        let flags = match (call.client_streaming, call.server_streaming) {
            (true, _) => Flags::REMOTE_OPEN,
            (false, true) => Flags::REMOTE_CLOSED,
            (false, false) => Flags(0),
        };
        let (stream, frames) = self.open(opening(&call, payload), flags).await?;
        let client = self.clone();
        let send = async move {
            while let Some(message) = requests.next().await {
                client.send(stream, Flags(0), message.into()).await?;
            }
            client.send(stream, Flags::REMOTE_CLOSED.and(Flags::NO_DATA), Vec::new()).await
        };
        let sender = call.client_streaming.then(|| tokio::spawn(send).abort_handle());
        let server_streaming = call.server_streaming;
        Ok(Answers { client: self.clone(), stream, server_streaming, frames, sender, done: false })
    }

    /// Allocates the next stream id and sends the frame that opens the call. Both happen under one
    /// lock: calls must be written in the order of their ids.
    async fn open(
        &self,
        request: Request,
        flags: Flags,
    ) -> Result<(u32, mpsc::Receiver<FrameResult>), Status> {
        let room = self.shared.writer.reserve().await;
        let mut table = self.shared.calls.lock();
        let room = room.map_err(|_| table.gone())?;
        let stream = table.opened.checked_mul(2).and_then(|twice| twice.checked_add(1));
        let stream =
            stream.ok_or_else(|| Status::resource_exhausted("no stream id is left for another call"))?;
        let frame = Frame { stream, kind: FrameKind::Request, flags, data: request.encode_to_vec() };
        let bytes = frame.encode().map_err(too_long)?;
        if table.ended.is_some() {
            return Err(table.gone());
        }
        let (sender, frames) = mpsc::channel(WAITING_FRAMES);
        table.opened += 1;
        table.open.insert(stream, sender);
        room.send(bytes);
        Ok((stream, frames))
    }

    async fn send(&self, stream: u32, flags: Flags, data: Vec<u8>) -> Result<(), Status> {
        let bytes = Frame { stream, kind: FrameKind::Data, flags, data }.encode().map_err(too_long)?;
        let sent = self.shared.writer.send(bytes).await;
        sent.map_err(|_| self.shared.calls.lock().gone())
    }
}

fn opening(call: &Call, payload: Option<Bytes>) -> Request {
    let pair = |(key, value): &(String, String)| KeyValue { key: key.clone(), value: value.clone() };
    let nanos = |timeout: Duration| i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
    Request {
        service: call.service.clone(),
        method: call.method.clone(),
        payload: payload.unwrap_or_default().into(),
        timeout_nano: call.timeout.map_or(0, nanos),
        metadata: call.metadata.iter().map(pair).collect(),
    }
}

/// Returns the status for a message of this client that is too long.
fn too_long(error: TooLong) -> Status {
    Status::resource_exhausted(format!(
        "message too large: {} bytes, ttrpc allows {}",
        error.length_bytes,
        super::frame::MESSAGE_MAX_BYTES
    ))
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the connection as ended. The first reason is kept.
    fn end(&self, why: String) {
        let mut table = self.lock();
        table.ended.get_or_insert(why);
        table.open.clear();
    }
}

impl Table {
    /// Returns the status for a call without a response. It has a source, which a status from a
    /// server never has.
    fn gone(&self) -> Status {
        let why = self.ended.clone().unwrap_or_else(|| "the connection is closed".into());
        let mut status = Status::unavailable(why.clone());
        status.set_source(Arc::new(io::Error::new(io::ErrorKind::ConnectionAborted, why)));
        status
    }
}

/// Writes frames, each whole, until all senders are dropped.
async fn write_all(mut half: OwnedWriteHalf, mut unwritten: mpsc::Receiver<Vec<u8>>, calls: Arc<Calls>) {
    while let Some(bytes) = unwritten.recv().await {
        if let Err(error) = half.write_all(&bytes).await {
            return calls.end(error.to_string());
        }
    }
}

/// Reads frames and passes them to their calls until the connection ends.
async fn read_all(mut half: OwnedReadHalf, calls: Arc<Calls>) {
    let mut decoder = FrameDecoder::new();
    let mut buffer = vec![0; 16 * 1024];
    let why = loop {
        while let Some(frame) = decoder.next_frame() {
            let stream = frame.as_ref().map_or_else(|error| error.stream, |frame| frame.stream);
            let call = calls.lock().open.get(&stream).cloned();
            // The call may have been dropped.
            if let Some(call) = call {
                let _ = call.send(frame.map_err(too_long)).await;
            }
        }
        match half.read(&mut buffer).await {
            Ok(0) if decoder.is_at_boundary() => break "the server closed the connection".to_owned(),
            Ok(0) => break "the server closed the connection in the middle of a message".to_owned(),
            Ok(len) => decoder.push(&buffer[..len]),
            Err(error) => break error.to_string(),
        }
    };
    calls.end(why);
}

/// The responses to one call. Dropping it abandons the call; ttrpc cannot notify the server of
/// that.
pub struct Answers {
    client: Client,
    stream: u32,
    server_streaming: bool,
    frames: mpsc::Receiver<FrameResult>,
    sender: Option<AbortHandle>,
    done: bool,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Answers {
    /// Returns the next message, or `None` when the call has ended successfully.
    ///
    /// # Errors
    /// Returns an error if the server's status is not OK, if the connection broke (`Unavailable`
    /// with a source), or if the server violates the protocol (`Internal`).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, no message is lost.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        // A loop and not recursion: a server may send any number of frames without data.
        while !self.done {
            let Some(frame) = self.frames.recv().await else {
                self.done = true;
                return Err(self.client.shared.calls.lock().gone());
            };
            let frame = frame.inspect_err(|_| self.done = true)?;
            self.done = frame.kind != FrameKind::Data || frame.flags.has(Flags::REMOTE_CLOSED);
            match frame.kind {
                FrameKind::Response => {
                    let last = response(&frame.data)?;
                    // After a stream, an empty response only reports success.
                    return Ok(Some(last).filter(|last| !self.server_streaming || !last.is_empty()));
                }
                FrameKind::Data if frame.flags.has(Flags::NO_DATA) => {}
                FrameKind::Data => return Ok(Some(frame.data.into())),
                FrameKind::Request | FrameKind::Other(_) => {
                    return Err(Status::internal("unexpected frame from the server"));
                }
            }
        }
        Ok(None)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.client.shared.calls.lock().open.remove(&self.stream);
        if let Some(sender) = &self.sender {
            sender.abort();
        }
    }
}

fn response(data: &[u8]) -> Result<Bytes, Status> {
    let response =
        Response::decode(data).map_err(|error| Status::internal(format!("invalid response: {error}")))?;
    match response.status {
        Some(status) if status.code != 0 => Err(status_of(&status)),
        _ => Ok(response.payload.into()),
    }
}

/// Converts a status. The whole message becomes the details, as in gRPC's trailers.
fn status_of(status: &RpcStatus) -> Status {
    let details = if status.details.is_empty() { Bytes::new() } else { status.encode_to_vec().into() };
    Status::with_details(Code::from_i32(status.code), status.message.clone(), details)
}
