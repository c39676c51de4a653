//! Calls of any method of a schema, over gRPC or ttrpc.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response};
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use stoop_grpc::internal::NoStatus;
use stoop_grpc::{HttpResponse, Raw, code_name};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, Streaming};

use crate::box_channel::BoxChannel;
use crate::metadata::pairs;
use crate::{Compression, compression, ttrpc};

/// The default limit on received messages: 4 MiB, the same as in gRPC's own clients.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// A client for methods that are described by a [`Schema`](super::Schema).
///
/// ```
/// # #[cfg(feature = "health")]
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let incoming = stoop_grpc::Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// # let (_, routes) = stoop_grpc::health(tonic::service::Routes::default());
/// # let server = stoop_grpc::Server::new(routes);
/// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
/// use stoop_dynamic::{Client, Options, Schema, json};
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
    Grpc(BoxChannel),
    Ttrpc(ttrpc::Client),
}

/// Options of a call.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Metadata to send. Over ttrpc, it is sent as text.
    pub metadata: MetadataMap,
    /// The timeout to send to the server. It is not enforced on this side.
    pub timeout: Option<Duration>,
    /// The compression of requests; by default they are not compressed. ttrpc has no compression.
    pub compression: Option<Compression>,
}

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The server returned a status other than OK.
    Answered(Box<Status>),
    /// No response arrived: the connection could not be made, or broke, or the peer speaks
    /// another protocol.
    Broken(Box<Status>),
    /// The call's deadline passed.
    Late,
    /// A message of the server exceeds the limit.
    TooLarge {
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The response is HTTP, but not gRPC. Usually it is a proxy's.
    Http(Box<HttpResponse>),
    /// The response ended without a status, so it may be incomplete.
    NoStatus,
    /// The server sent bytes that are not a valid message of the method's type.
    Malformed(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Answered(status) => write!(f, "{}: {}", code_name(status), status.message()),
            CallError::Broken(status) => f.write_str(&deepest(status)),
            CallError::Late => f.write_str("deadline exceeded"),
            CallError::TooLarge { max_bytes } => {
                write!(f, "message too large: the limit is {max_bytes} bytes")
            }
            CallError::Http(response) => response.fmt(f),
            CallError::NoStatus => f.write_str("the response ended without a status"),
            CallError::Malformed(why) => write!(f, "invalid response: {why}"),
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

/// Returns the message of the innermost source: the outer ones have no details.
fn deepest(status: &Status) -> String {
    let mut cause: &dyn Error = status;
    while let Some(below) = cause.source() {
        cause = below;
    }
    if std::ptr::addr_eq(cause, status) { status.message().to_owned() } else { cause.to_string() }
}

impl CallError {
    /// Classifies one of tonic's statuses. A server's status has no source. A status made by tonic
    /// because the connection broke has one.
    fn from_tonic(status: Status, max_bytes: usize) -> CallError {
        if let Some(response) = source_of::<HttpResponse>(&status) {
            CallError::Http(Box::new(response.clone()))
        } else if source_of::<NoStatus>(&status).is_some() {
            CallError::NoStatus
        } else if let Some(refused) = source_of::<compression::Refused>(&status) {
            match refused {
                compression::Refused::TooLarge => CallError::TooLarge { max_bytes },
                other => CallError::Malformed(other.to_string()),
            }
        } else if source_of::<tonic::TimeoutExpired>(&status).is_some() {
            CallError::Late
        } else if status.source().is_some() {
            CallError::Broken(Box::new(status))
        } else if is_over_limit(&status, max_bytes) {
            CallError::TooLarge { max_bytes }
        } else if let Some(why) = invalid_message(&status) {
            CallError::Malformed(why)
        } else {
            CallError::Answered(Box::new(status))
        }
    }

    /// Returns the server's status, if this is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use stoop_dynamic::{Client, Options, Schema, json};
    /// # let endpoint = stoop_grpc::Endpoint::try_from(path.as_path())?;
    /// # let incoming = endpoint.listen(|bind| bind).await?;
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # let server = stoop_grpc::Server::new(routes);
    /// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    /// # let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
    /// let method = Schema::builtin().method("runtime.v1.RuntimeService/Version", &[])?;
    /// let request = json::read(&method.input(), "{}")?;
    /// let call = client.call(&method, tokio_stream::once(request), Options::default());
    /// let error = call.await.unwrap_err();
    /// assert_eq!(error.status().unwrap().code(), tonic::Code::Unimplemented);
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Option<&Status> {
        match self {
            CallError::Answered(status) => Some(status),
            _ => None,
        }
    }
}

/// Returns the source of this type, if there is one.
fn source_of<E: Error + 'static>(status: &Status) -> Option<&E> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Returns whether a received message exceeded our limit.
///
/// tonic marks that in the status message only; a test checks the text against tonic. A tonic
/// server that rejects a message of this client uses the same text, but with its own limit, and in
/// a response, which has headers.
fn is_over_limit(status: &Status, max_bytes: usize) -> bool {
    let message = status.message();
    let is_over = match status.code() {
        Code::OutOfRange => {
            message.starts_with("Error, decoded message length too large")
                && message.ends_with(&format!("the limit is: {max_bytes} bytes"))
        }
        // Decompression ends at the limit.
        Code::ResourceExhausted => message.starts_with("Error decompressing: size limit"),
        _ => false,
    };
    is_over && status.metadata().is_empty()
}

/// Returns why a message of the response is invalid, if it is. Again the status message is the only
/// mark.
fn invalid_message(status: &Status) -> Option<String> {
    let message = status.message();
    let is_ours = status.code() == Code::Internal && status.metadata().is_empty();
    if !is_ours {
        return None;
    }
    let flag = "protocol error: received message with invalid compression flag";
    let encoding = "protocol error: received message with compressed-flag but no grpc-encoding";
    if message.starts_with(flag) {
        return Some("not a gRPC message".into());
    }
    if message.starts_with(encoding) {
        return Some("a compressed message without the name of its compression".into());
    }
    let (error, _) = message.strip_prefix("Error decompressing: ")?.split_once(", while receiving")?;
    Some(format!("a message cannot be decompressed: {error}"))
}

impl Client {
    /// Creates a client for gRPC over tonic's own channel or any other, with its layers.
    pub fn grpc<S>(channel: S) -> Client
    where
        S: tower_service::Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
    {
        Client { wire: Wire::Grpc(BoxChannel::new(channel)), max_message_bytes: MAX_MESSAGE_BYTES }
    }

    /// Creates a client for ttrpc, whose messages are never longer than 4 MiB.
    pub fn ttrpc(client: ttrpc::Client) -> Client {
        Client { wire: Wire::Ttrpc(client), max_message_bytes: MAX_MESSAGE_BYTES }
    }

    /// Limits the length of received messages; 4 MiB by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use stoop_dynamic::{Client, Options, Schema, json};
    /// # let endpoint = stoop_grpc::Endpoint::try_from(path.as_path())?;
    /// # let incoming = endpoint.listen(|bind| bind).await?;
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # let server = stoop_grpc::Server::new(routes);
    /// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    /// # use stoop_dynamic::CallError;
    /// # let method = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?;
    /// # let request = tokio_stream::once(json::read(&method.input(), "{}")?);
    /// let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?).max_message_bytes(1);
    /// let mut answers = client.call(&method, request, Options::default()).await?;
    /// let error = answers.message().await.unwrap_err();
    /// assert!(matches!(error, CallError::TooLarge { max_bytes: 1 }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_message_bytes(mut self, bytes: usize) -> Client {
        self.max_message_bytes = bytes;
        self
    }

    /// Returns whether the client speaks ttrpc.
    pub fn is_ttrpc(&self) -> bool {
        matches!(self.wire, Wire::Ttrpc(_))
    }

    /// Calls a method.
    ///
    /// The messages of `requests` are sent as they arrive, concurrently with receiving. The method
    /// determines how many there may be.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use stoop_dynamic::{Client, Options, Schema, json};
    /// # let endpoint = stoop_grpc::Endpoint::try_from(path.as_path())?;
    /// # let incoming = endpoint.listen(|bind| bind).await?;
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # let server = stoop_grpc::Server::new(routes);
    /// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    /// let method = Schema::builtin().method("grpc.health.v1.Health/Watch", &[])?;
    /// let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
    /// let request = tokio_stream::once(json::read(&method.input(), "{}")?);
    /// let mut answers = client.call(&method, request, Options::default()).await?;
    /// let first = answers.message().await?.unwrap();
    /// assert!(json::Style::default().text(&first).contains("SERVING"));
    /// // The stream continues until the call is dropped.
    /// drop(answers);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error ([`CallError`]) if the call cannot be made, or fails before its first
    /// response.
    ///
    /// # Cancel safety
    /// If dropped, the call is cancelled, and a gRPC server is notified.
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
        Ok(Answers { raw, output: method.output(), trailers: None })
    }

    /// Calls a method whose messages are bytes.
    pub(crate) async fn call_raw(
        &self,
        call: ttrpc::Call,
        requests: impl Stream<Item = Bytes> + Send + 'static,
        options: Options,
    ) -> Result<RawAnswers, CallError> {
        let max_bytes = self.max_message_bytes;
        let wrong = |status| CallError::from_tonic(status, max_bytes);
        let wire = match &self.wire {
            Wire::Grpc(channel) => {
                let is_zstd = options.compression == Some(Compression::Zstd);
                let channel = compression::Channel::new(channel.clone(), max_bytes, is_zstd);
                let mut grpc = compression::READ
                    .into_iter()
                    .fold(Grpc::new(channel).max_decoding_message_size(max_bytes), Grpc::accept_compressed);
                if let Some(compression) = options.compression.and_then(Compression::of_tonic) {
                    grpc = grpc.send_compressed(compression);
                }
                grpc.ready().await.map_err(wrong)?;
                let mut request = tonic::Request::new(requests);
                *request.metadata_mut() = options.metadata;
                options.timeout.into_iter().for_each(|timeout| request.set_timeout(timeout));
                let path = PathAndQuery::try_from(format!("/{}/{}", call.service, call.method));
                let path = path.map_err(|error| CallError::Malformed(error.to_string()))?;
                let response = grpc.streaming(request, path, Raw).await.map_err(wrong)?;
                let (mut headers, stream, extensions) = response.into_parts();
                compression::restore(&mut headers, &extensions);
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

/// The responses to a call.
#[derive(Debug)]
pub struct Answers {
    raw: RawAnswers,
    output: MessageDescriptor,
    /// Set once the trailers were read. tonic's stream returns them only once, and an error for a
    /// message after them.
    trailers: Option<MetadataMap>,
}

impl Answers {
    /// Returns the headers of the response. Empty over ttrpc, which has none.
    pub fn headers(&self) -> MetadataMap {
        match &self.raw.wire {
            RawWire::Grpc { headers, .. } => headers.clone(),
            RawWire::Ttrpc(_) => MetadataMap::new(),
        }
    }

    /// Returns the next message, or `None` when the call has ended successfully.
    ///
    /// # Errors
    /// Returns an error ([`CallError`]) if the call fails or the message is invalid.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, no message is lost.
    pub async fn message(&mut self) -> Result<Option<DynamicMessage>, CallError> {
        if self.trailers.is_some() {
            return Ok(None);
        }
        let Some(bytes) = self.raw.message().await? else { return Ok(None) };
        let message = DynamicMessage::decode(self.output.clone(), bytes);
        message.map(Some).map_err(|error| CallError::Malformed(error.to_string()))
    }

    /// Returns the trailers of the response.
    ///
    /// Messages that have not been received by then are dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use stoop_dynamic::{Client, Options, Schema, json};
    /// # let endpoint = stoop_grpc::Endpoint::try_from(path.as_path())?;
    /// # let incoming = endpoint.listen(|bind| bind).await?;
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # let server = stoop_grpc::Server::new(routes);
    /// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    /// # let method = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?;
    /// # let request = tokio_stream::once(json::read(&method.input(), "{}")?);
    /// let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
    /// let mut answers = client.call(&method, request, Options::default()).await?;
    /// assert_eq!(answers.headers().get("content-type").unwrap(), "application/grpc");
    /// // The message is dropped unread.
    /// for _ in 0..2 {
    ///     assert_eq!(answers.trailers().await?.get("grpc-status").unwrap(), "0");
    ///     assert!(answers.message().await?.is_none());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error ([`CallError`]) if the call fails.
    ///
    /// # Cancel safety
    /// This method is cancel safe except for the dropped messages. It can be called again.
    pub async fn trailers(&mut self) -> Result<MetadataMap, CallError> {
        if let Some(trailers) = &self.trailers {
            return Ok(trailers.clone());
        }
        let RawWire::Grpc { stream, .. } = &mut self.raw.wire else { return Ok(MetadataMap::new()) };
        let trailers = stream.trailers().await;
        let trailers = trailers.map_err(|status| CallError::from_tonic(status, self.raw.max_bytes))?;
        Ok(self.trailers.insert(trailers.unwrap_or_default()).clone())
    }
}

/// Responses as bytes.
#[derive(Debug)]
pub(crate) struct RawAnswers {
    wire: RawWire,
    max_bytes: usize,
}

#[derive(Debug)]
enum RawWire {
    Grpc { headers: MetadataMap, stream: Box<Streaming<Bytes>> },
    Ttrpc(ttrpc::Answers),
}

impl RawAnswers {
    pub(crate) async fn message(&mut self) -> Result<Option<Bytes>, CallError> {
        let message = match &mut self.wire {
            RawWire::Grpc { stream, .. } => stream.message().await,
            RawWire::Ttrpc(answers) => answers.message().await,
        };
        message.map_err(|status| CallError::from_tonic(status, self.max_bytes))
    }
}
