//! A call of any method of a schema, over gRPC or over ttrpc.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response};
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, Streaming};

use super::metadata::pairs;
use super::service::Service;
use crate::{Raw, ttrpc};

/// The longest message that is taken unless told otherwise: what gRPC's own clients take.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Calls methods that are known by their description.
///
/// ```
/// # #[cfg(feature = "health")]
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let incoming = stoop_grpc::Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// # let (_, routes) = stoop_grpc::health(tonic::service::Routes::default());
/// # tokio::spawn(stoop_grpc::Server::new(routes).serve(incoming, std::future::pending::<()>()));
/// use stoop_grpc::dynamic::{Client, Options, Schema, json};
///
/// let method = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?;
/// let request = json::read(&method.input(), "{}")?;
/// let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
/// let mut answers = client.call(&method, tokio_stream::once(request), Options::default()).await?;
/// let answer = answers.message().await?.ok_or("no answer")?;
/// assert!(json::Style::default().text(&answer).contains("SERVING"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    wire: Wire,
    max_message_bytes: usize,
}

#[derive(Clone, Debug)]
enum Wire {
    Grpc(Service),
    Ttrpc(ttrpc::Client),
}

/// How to call.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Sent along. Over ttrpc, as text.
    pub metadata: MetadataMap,
    /// How long the server has, told to it. Whoever calls watches the clock for themselves.
    pub timeout: Option<Duration>,
}

/// A call did not go well.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered with a status that is not OK.
    Answered(Box<Status>),
    /// There is no answer: the connection could not be made, or broke, or the other side speaks
    /// something else.
    Broken(Box<Status>),
    /// The time given to the call is up.
    Late,
    /// A message of the server is longer than was allowed.
    TooLarge {
        /// What was allowed, in bytes.
        max_bytes: usize,
    },
    /// The server sent something that is not the message it should be.
    Malformed(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Answered(status) => write!(f, "{:?}: {}", status.code(), status.message()),
            CallError::Broken(status) => f.write_str(&deepest(status)),
            CallError::Late => f.write_str("the time given to the call is up"),
            CallError::TooLarge { max_bytes } => {
                write!(f, "the server sends a message of more than {max_bytes} bytes")
            }
            CallError::Malformed(why) => write!(f, "the server's answer cannot be read: {why}"),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CallError::Broken(status) => status.source(),
            _ => None,
        }
    }
}

/// What the innermost cause says: what wraps it only says that there was an error.
fn deepest(status: &Status) -> String {
    let mut cause: &dyn Error = status;
    while let Some(below) = cause.source() {
        cause = below;
    }
    if std::ptr::addr_eq(cause, status) { status.message().to_owned() } else { cause.to_string() }
}

impl CallError {
    /// A status as tonic gives it: those of servers have no source, those made here because the
    /// connection broke have one.
    fn from_tonic(status: Status, max_bytes: usize) -> CallError {
        if is_late(&status) {
            CallError::Late
        } else if status.source().is_some() {
            CallError::Broken(Box::new(status))
        } else if is_over_limit(&status, max_bytes) {
            CallError::TooLarge { max_bytes }
        } else if is_no_message(&status) {
            CallError::Malformed("it is no gRPC message".into())
        } else {
            CallError::Answered(Box::new(status))
        }
    }

    /// The server's status, where it is that.
    pub fn status(&self) -> Option<&Status> {
        match self {
            CallError::Answered(status) => Some(status),
            _ => None,
        }
    }
}

/// Whether our own clock, not the server's, ended it.
fn is_late(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// tonic has no other mark for it than the words; a test holds them against it. A server made with
/// tonic refuses our own message in the same words, with a limit of its own and in an answer, which
/// has headers.
fn is_over_limit(status: &Status, max_bytes: usize) -> bool {
    let message = status.message();
    status.code() == Code::OutOfRange
        && message.starts_with("Error, decoded message length too large")
        && message.ends_with(&format!("the limit is: {max_bytes} bytes"))
        && status.metadata().is_empty()
}

/// A server of plain HTTP/2 answers, too, with a page in place of messages. Again there is no mark
/// but the words.
fn is_no_message(status: &Status) -> bool {
    status.code() == Code::Internal
        && status.message().starts_with("protocol error: received message with invalid compression flag")
        && status.metadata().is_empty()
}

impl Client {
    /// Over gRPC: through tonic's own channel, or any other, with whatever layers there are around
    /// it.
    pub fn grpc<S>(channel: S) -> Client
    where
        S: tower_service::Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
    {
        Client { wire: Wire::Grpc(Service::new(channel)), max_message_bytes: MAX_MESSAGE_BYTES }
    }

    /// Over ttrpc, whose messages are never longer than 4 MiB.
    pub fn ttrpc(client: ttrpc::Client) -> Client {
        Client { wire: Wire::Ttrpc(client), max_message_bytes: MAX_MESSAGE_BYTES }
    }

    /// Takes messages of up to so many bytes; 4 MiB unless told otherwise.
    pub fn max_message_bytes(mut self, bytes: usize) -> Client {
        self.max_message_bytes = bytes;
        self
    }

    /// Whether it speaks ttrpc.
    pub fn is_ttrpc(&self) -> bool {
        matches!(self.wire, Wire::Ttrpc(_))
    }

    /// Calls a method. The messages are sent as `requests` gives them, while answers are taken; how
    /// many there may be is the method's to say.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// Dropped, the call is given up, and a gRPC server is told so.
    pub async fn call(
        &self,
        method: &MethodDescriptor,
        requests: impl Stream<Item = DynamicMessage> + Send + 'static,
        options: Options,
    ) -> Result<Answers, CallError> {
        let call = ttrpc::Call {
            service: method.parent_service().full_name().to_owned(),
            method: method.name().to_owned(),
            client_streaming: method.is_client_streaming(),
            server_streaming: method.is_server_streaming(),
            ..ttrpc::Call::default()
        };
        let raw =
            self.call_raw(call, requests.map(|message| message.encode_to_vec().into()), options).await?;
        Ok(Answers { raw, output: method.output() })
    }

    /// Whether the server says that it has no such service. Asked for a method that no service has,
    /// gRPC servers in Go and C++ say which of the two is missing; of those that do not,
    /// nothing is known, and the answer is no.
    ///
    /// # Cancel safety
    /// Cancel safe: the call is withdrawn.
    pub async fn lacks(&self, service: &str, options: &Options) -> bool {
        let call = ttrpc::Call { service: service.to_owned(), method: "-".into(), ..ttrpc::Call::default() };
        let nothing = tokio_stream::once(Bytes::new());
        let answer = match self.call_raw(call, nothing, options.clone()).await {
            Ok(mut answers) => answers.message().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let status = answer.as_ref().err().and_then(CallError::status);
        // There is no other mark for it than the words: "unknown service x", and of ttrpc "service x".
        status.is_some_and(|status| {
            let words = status.message().strip_prefix("unknown ").unwrap_or(status.message());
            status.code() == Code::Unimplemented && words.starts_with("service")
        })
    }

    /// Calls a method whose messages are bytes.
    pub(super) async fn call_raw(
        &self,
        call: ttrpc::Call,
        requests: impl Stream<Item = Bytes> + Send + 'static,
        options: Options,
    ) -> Result<RawAnswers, CallError> {
        let max_bytes = self.max_message_bytes;
        let wrong = |status| CallError::from_tonic(status, max_bytes);
        let wire = match &self.wire {
            Wire::Grpc(channel) => {
                let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(max_bytes);
                grpc.ready().await.map_err(wrong)?;
                let mut request = tonic::Request::new(requests);
                *request.metadata_mut() = options.metadata;
                options.timeout.into_iter().for_each(|timeout| request.set_timeout(timeout));
                let path = PathAndQuery::try_from(format!("/{}/{}", call.service, call.method));
                let path = path.map_err(|error| CallError::Malformed(error.to_string()))?;
                let response = grpc.streaming(request, path, Raw).await.map_err(wrong)?;
                let (headers, stream, _) = response.into_parts();
                RawWire::Grpc { headers, stream: Box::new(stream) }
            }
            Wire::Ttrpc(client) => {
                let metadata = pairs(&options.metadata);
                let call = ttrpc::Call { metadata, timeout: options.timeout, ..call };
                RawWire::Ttrpc(client.call(call, requests).await.map_err(wrong)?)
            }
        };
        Ok(RawAnswers { wire, max_bytes })
    }
}

/// What a server answers.
#[derive(Debug)]
pub struct Answers {
    raw: RawAnswers,
    output: MessageDescriptor,
}

impl Answers {
    /// What the server said before its first message. Empty over ttrpc, which has no such thing.
    pub fn headers(&self) -> MetadataMap {
        match &self.raw.wire {
            RawWire::Grpc { headers, .. } => headers.clone(),
            RawWire::Ttrpc(_) => MetadataMap::new(),
        }
    }

    /// The next message; `None` after the last, when all went well.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// Cancel safe: no message is lost.
    pub async fn message(&mut self) -> Result<Option<DynamicMessage>, CallError> {
        let Some(bytes) = self.raw.message().await? else { return Ok(None) };
        let message = DynamicMessage::decode(self.output.clone(), bytes);
        message.map(Some).map_err(|error| CallError::Malformed(error.to_string()))
    }

    /// What the server said after its last message. Messages that have not been taken by then are
    /// dropped.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// Cancel safe but for those messages: it can be asked again.
    pub async fn trailers(&mut self) -> Result<MetadataMap, CallError> {
        let RawWire::Grpc { stream, .. } = &mut self.raw.wire else { return Ok(MetadataMap::new()) };
        let trailers = stream.trailers().await;
        Ok(trailers.map_err(|status| CallError::from_tonic(status, self.raw.max_bytes))?.unwrap_or_default())
    }
}

/// Answers as bytes.
#[derive(Debug)]
pub(super) struct RawAnswers {
    wire: RawWire,
    max_bytes: usize,
}

#[derive(Debug)]
enum RawWire {
    Grpc { headers: MetadataMap, stream: Box<Streaming<Bytes>> },
    Ttrpc(ttrpc::Answers),
}

impl RawAnswers {
    pub(super) async fn message(&mut self) -> Result<Option<Bytes>, CallError> {
        let message = match &mut self.wire {
            RawWire::Grpc { stream, .. } => stream.message().await,
            RawWire::Ttrpc(answers) => answers.message().await,
        };
        message.map_err(|status| CallError::from_tonic(status, self.max_bytes))
    }
}
