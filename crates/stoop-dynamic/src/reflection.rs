//! Fetches a server's schema from gRPC's reflection service: version 1, or the older v1alpha,
//! whose messages are the same.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use bytes::Bytes;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorProto;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::client::RawAnswers;
use crate::{CallError, Client, Options, Schema, SchemaError};
use crate::{features, ttrpc};

/// The versions, the preferred one first.
const VERSIONS: [(&str, &str); 2] =
    [("v1", "grpc.reflection.v1.ServerReflection"), ("v1alpha", "grpc.reflection.v1alpha.ServerReflection")];

/// Limits on the number of files, on their total size in bytes, and on the number of requests.
/// Without them, a server could invent new imports indefinitely.
const MAX_FILES: usize = 10_000;
const MAX_FILE_BYTES: usize = 64 << 20;
const MAX_REQUESTS: usize = 2 * MAX_FILES;

/// Why a server's schema could not be fetched.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReflectError {
    /// The server has no reflection service.
    Unsupported,
    /// The call failed, or the server refused it.
    Call(CallError),
    /// The server sent an invalid schema.
    Schema(SchemaError),
}

impl fmt::Display for ReflectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReflectError::Unsupported => f.write_str("the server has no reflection service"),
            ReflectError::Call(error) => error.fmt(f),
            ReflectError::Schema(error) => write!(f, "invalid schema: {error}"),
        }
    }
}

impl std::error::Error for ReflectError {}

impl From<CallError> for ReflectError {
    fn from(error: CallError) -> ReflectError {
        ReflectError::Call(error)
    }
}

#[derive(Clone, PartialEq, Message)]
struct ReflectionRequest {
    #[prost(oneof = "MessageRequest", tags = "3, 4, 7")]
    request: Option<MessageRequest>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum MessageRequest {
    #[prost(string, tag = "3")]
    FileByName(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

#[derive(Clone, PartialEq, Message)]
struct ReflectionResponse {
    #[prost(oneof = "MessageResponse", tags = "4, 6, 7")]
    answer: Option<MessageResponse>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum MessageResponse {
    #[prost(message, tag = "4")]
    FileDescriptor(FileDescriptorResponse),
    #[prost(message, tag = "6")]
    ListServices(ListServiceResponse),
    #[prost(message, tag = "7")]
    Error(ErrorResponse),
}

#[derive(Clone, PartialEq, Message)]
struct FileDescriptorResponse {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct ListServiceResponse {
    #[prost(message, repeated, tag = "1")]
    services: Vec<ServiceResponse>,
}

impl ListServiceResponse {
    fn names(self) -> Vec<String> {
        self.services.into_iter().map(|service| service.name).collect()
    }
}

#[derive(Clone, PartialEq, Message)]
struct ServiceResponse {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ErrorResponse {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Fetches a server's schema: its services and the files that define them, with all imports.
///
/// A service that the server lists but cannot define is not in [`Schema::services`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # use tonic::service::Routes;
/// # let incoming = stoop_grpc::Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// use stoop_dynamic::{Client, Options, Origin, reflect};
///
/// # let set = tonic_health::pb::FILE_DESCRIPTOR_SET;
/// # let reflection = tonic_reflection::server::Builder::configure()
/// #     .register_encoded_file_descriptor_set(set)
/// #     .build_v1alpha()?;
/// # let server = stoop_grpc::Server::new(Routes::new(reflection));
/// # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
/// let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
/// let schema = reflect(&client, &Options::default()).await?;
/// assert!(schema.service_names().contains(&"grpc.health.v1.Health"));
/// // The server has only the older version of the service.
/// assert_eq!(schema.origin(), Origin::Reflection("v1alpha"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error if the server has neither version of the reflection service
/// ([`ReflectError::Unsupported`]), if a call fails, or if the schema is invalid.
///
/// # Cancel safety
/// This function is cancel safe. If dropped, the call is cancelled.
pub async fn reflect(client: &Client, options: &Options) -> Result<Schema, ReflectError> {
    if client.is_ttrpc() {
        return Err(ReflectError::Unsupported);
    }
    for (version, service) in VERSIONS {
        let mut conversation = Conversation::open(client, service, options.clone());
        match conversation.ask(MessageRequest::ListServices(String::new())).await {
            Ok(MessageResponse::ListServices(services)) => {
                let names = services.names();
                let files = conversation.files_of(&names).await?;
                return Schema::from_server(names, files, version).map_err(ReflectError::Schema);
            }
            Ok(_) => return Err(malformed("a response of another type")),
            Err(ReflectError::Call(CallError::Answered(status))) if status.code() == Code::Unimplemented => {}
            Err(error) => return Err(error),
        }
    }
    Err(ReflectError::Unsupported)
}

fn malformed(what: &str) -> ReflectError {
    ReflectError::Call(CallError::Malformed(format!("the reflection service sent {what}")))
}

/// Requests and responses on one stream, in turn.
struct Conversation<'c> {
    client: &'c Client,
    call: Option<(ttrpc::Call, Options)>,
    requests: mpsc::UnboundedSender<Bytes>,
    unsent: Option<mpsc::UnboundedReceiver<Bytes>>,
    answers: Option<RawAnswers>,
}

impl Conversation<'_> {
    fn open<'c>(client: &'c Client, service: &str, options: Options) -> Conversation<'c> {
        let call = ttrpc::Call {
            service: service.to_owned(),
            method: "ServerReflectionInfo".into(),
            client_streaming: true,
            server_streaming: true,
            ..ttrpc::Call::default()
        };
        let (requests, unsent) = mpsc::unbounded_channel();
        Conversation { client, call: Some((call, options)), requests, unsent: Some(unsent), answers: None }
    }

    async fn ask(&mut self, request: MessageRequest) -> Result<MessageResponse, ReflectError> {
        let ask = ReflectionRequest { request: Some(request) };
        // A send fails only if the call has ended. The response then has the reason.
        let _ = self.requests.send(ask.encode_to_vec().into());
        // A server may wait for the first request before it sends its headers, so the call is
        // opened only when there is one.
        if let (Some((call, options)), Some(unsent)) = (self.call.take(), self.unsent.take()) {
            let requests = UnboundedReceiverStream::new(unsent);
            self.answers = Some(self.client.call_raw(call, requests, options).await?);
        }
        let Some(answers) = &mut self.answers else { return Err(malformed("no response")) };
        let bytes = answers.message().await?.ok_or_else(|| malformed("no response"))?;
        let told = ReflectionResponse::decode(bytes).map_err(|error| malformed(&error.to_string()))?;
        told.answer.ok_or_else(|| malformed("an empty response"))
    }

    /// Fetches the files that define these services, and all their imports.
    async fn files_of(&mut self, services: &[String]) -> Result<Vec<FileDescriptorProto>, ReflectError> {
        let mut collector = FileCollector::new(services);
        while let Some(request) = collector.next_request()? {
            let answer = self.ask(request).await?;
            collector.take(answer)?;
        }
        Ok(collector.files)
    }
}

/// The files that a server has sent, and what remains to be requested. Does no I/O.
struct FileCollector {
    files: Vec<FileDescriptorProto>,
    /// The names of files that are not requested (again).
    known: BTreeSet<String>,
    wanted: VecDeque<MessageRequest>,
    asked: usize,
    bytes: usize,
}

impl FileCollector {
    fn new(services: &[String]) -> FileCollector {
        FileCollector {
            files: Vec::new(),
            // The files of protobuf itself are never requested: our own are used.
            known: DescriptorPool::global().files().map(|file| file.name().to_owned()).collect(),
            wanted: services.iter().cloned().map(MessageRequest::FileContainingSymbol).collect(),
            asked: 0,
            bytes: 0,
        }
    }

    /// Returns the next request, or `None` when nothing is missing.
    fn next_request(&mut self) -> Result<Option<MessageRequest>, ReflectError> {
        while let Some(request) = self.wanted.pop_front() {
            if matches!(&request, MessageRequest::FileByName(name) if self.known.contains(name)) {
                continue;
            }
            self.asked += 1;
            if self.asked > MAX_REQUESTS {
                return Err(malformed("more imports than the limit"));
            }
            return Ok(Some(request));
        }
        Ok(None)
    }

    fn take(&mut self, answer: MessageResponse) -> Result<(), ReflectError> {
        let found = match answer {
            MessageResponse::FileDescriptor(found) => found.files,
            // The server knows this service by name only.
            MessageResponse::Error(_) => return Ok(()),
            MessageResponse::ListServices(_) => return Err(malformed("a response of another type")),
        };
        for file in found {
            self.bytes = self.bytes.saturating_add(file.len());
            let file = features::decode_file(&file).map_err(|error| malformed(&error))?;
            if self.files.len() >= MAX_FILES || self.bytes > MAX_FILE_BYTES {
                return Err(malformed("more files than the limit"));
            }
            if self.known.insert(file.name().to_owned()) {
                self.wanted.extend(file.dependency.iter().cloned().map(MessageRequest::FileByName));
                self.files.push(file);
            }
        }
        Ok(())
    }
}

/// Plays the server's side. The bytes are its responses in turn, each preceded by its length (two
/// bytes, little-endian).
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(mut data: &[u8]) {
    let mut answer = || {
        let (&length, rest) = data.split_first_chunk::<2>()?;
        let (told, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(length).into()));
        data = rest;
        ReflectionResponse::decode(told).ok()?.answer
    };
    let Some(MessageResponse::ListServices(services)) = answer() else { return };
    let names = services.names();
    let mut collector = FileCollector::new(&names);
    while let Ok(Some(_)) = collector.next_request() {
        match answer().map(|answer| collector.take(answer)) {
            Some(Ok(())) => {}
            Some(Err(error)) => return assert!(!error.to_string().is_empty()),
            None => break,
        }
    }
    assert!(collector.files.len() <= MAX_FILES);
    if let Ok(schema) = Schema::from_server(names, collector.files, "v1") {
        for service in schema.services() {
            assert!(!crate::describe(&crate::Symbol::Service(service)).is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, imports: impl Iterator<Item = String>) -> MessageResponse {
        let dependency = imports.collect();
        let file =
            FileDescriptorProto { name: Some(name.into()), dependency, ..FileDescriptorProto::default() };
        MessageResponse::FileDescriptor(FileDescriptorResponse { files: vec![file.encode_to_vec()] })
    }

    /// Sends requests until nothing is missing. Gives up after `most` responses.
    fn requests(
        mut answer: impl FnMut(&MessageRequest) -> MessageResponse,
        most: usize,
    ) -> Result<usize, ReflectError> {
        let mut collector = FileCollector::new(&["a.Service".to_owned()]);
        for asked in 0..most {
            let Some(request) = collector.next_request()? else { return Ok(asked) };
            let answer = answer(&request);
            collector.take(answer)?;
        }
        panic!("it asks and asks");
    }

    #[test]
    fn imports_are_requested_once() {
        let import = |name: &str| std::iter::once(name.to_owned());
        let answer = |request: &MessageRequest| match request {
            MessageRequest::FileContainingSymbol(_) => {
                file("a", import("b").chain(import("b")).chain(import("google/protobuf/any.proto")))
            }
            // An import cycle, which the schema will reject.
            _ => file("b", import("a")),
        };
        assert_eq!(requests(answer, 10).unwrap(), 2);
    }

    #[test]
    fn endless_imports_are_limited() {
        let mut number = 0;
        let mut more = |imports: usize| {
            number += 1;
            file(&number.to_string(), (0..imports).map(|at| format!("{number}/{at}")))
        };
        assert!(requests(|_| more(2), MAX_REQUESTS + 2).is_err());
        let refused = |request: &MessageRequest| match request {
            MessageRequest::FileContainingSymbol(_) => file("a", (0..=MAX_REQUESTS).map(|at| at.to_string())),
            _ => MessageResponse::Error(ErrorResponse::default()),
        };
        assert!(requests(refused, MAX_REQUESTS + 2).is_err());
        let mut long = "x".repeat(4 << 20);
        let mut longer = || {
            long.push('x');
            file(&long, std::iter::once(format!("{long}x")))
        };
        assert!(requests(|_| longer(), 100).is_err());
    }
}
