//! Asking a server for its schema, by gRPC's reflection service: version 1, or the older v1alpha, whose messages are the same.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use bytes::Bytes;
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorProto;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use super::client::RawAnswers;
use super::{CallError, Client, Options, Schema, SchemaError};
use crate::ttrpc;

/// The versions, the best first.
const VERSIONS: [(&str, &str); 2] =
    [("v1", "grpc.reflection.v1.ServerReflection"), ("v1alpha", "grpc.reflection.v1alpha.ServerReflection")];

/// How many files are taken from a server: it may make up new ones for ever.
const MAX_FILES: usize = 10_000;

/// A server does not say what its schema is.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReflectError {
    /// It has no reflection service.
    Unsupported,
    /// It could not be asked, or refuses.
    Call(CallError),
    /// It answers what makes no sense.
    Schema(SchemaError),
}

impl fmt::Display for ReflectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReflectError::Unsupported => f.write_str("the server has no reflection service"),
            ReflectError::Call(error) => error.fmt(f),
            ReflectError::Schema(error) => write!(f, "the server's schema makes no sense: {error}"),
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
struct Ask {
    #[prost(oneof = "Question", tags = "3, 4, 7")]
    question: Option<Question>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Question {
    #[prost(string, tag = "3")]
    FileByName(String),
    #[prost(string, tag = "4")]
    FileWithSymbol(String),
    #[prost(string, tag = "7")]
    Services(String),
}

#[derive(Clone, PartialEq, Message)]
struct Told {
    #[prost(oneof = "Answer", tags = "4, 6, 7")]
    answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Answer {
    #[prost(message, tag = "4")]
    Files(Files),
    #[prost(message, tag = "6")]
    Services(Services),
    #[prost(message, tag = "7")]
    Refusal(Refusal),
}

#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    services: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Refusal {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Asks a server for its schema: the services that it has, and the files that define them, with all that they import.
///
/// A service that the server names and cannot define is left out of what [`Schema::services`] gives.
///
/// # Errors
/// [`ReflectError::Unsupported`] where it has neither version of the reflection service.
///
/// # Cancel safety
/// Cancel safe: the question is withdrawn.
pub async fn reflect(client: &Client, options: &Options) -> Result<Schema, ReflectError> {
    if client.is_ttrpc() {
        return Err(ReflectError::Unsupported);
    }
    for (version, service) in VERSIONS {
        let mut conversation = Conversation::open(client, service, options.clone());
        match conversation.ask(Question::Services(String::new())).await {
            Ok(Answer::Services(services)) => {
                let names: Vec<_> = services.services.into_iter().map(|service| service.name).collect();
                let files = conversation.files_of(&names).await?;
                return Schema::from_server(names, files, version).map_err(ReflectError::Schema);
            }
            Ok(_) => return Err(malformed("another answer than was asked for")),
            Err(ReflectError::Call(CallError::Answered(status))) if status.code() == Code::Unimplemented => {}
            Err(error) => return Err(error),
        }
    }
    Err(ReflectError::Unsupported)
}

fn malformed(what: &str) -> ReflectError {
    ReflectError::Call(CallError::Malformed(format!("the reflection service gave {what}")))
}

/// Questions and answers on one stream, in turn.
struct Conversation<'c> {
    client: &'c Client,
    call: Option<(ttrpc::Call, Options)>,
    questions: mpsc::UnboundedSender<Bytes>,
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
        let (questions, unsent) = mpsc::unbounded_channel();
        Conversation { client, call: Some((call, options)), questions, unsent: Some(unsent), answers: None }
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, ReflectError> {
        let ask = Ask { question: Some(question) };
        // Nobody listens any more only where an answer will say so.
        let _ = self.questions.send(ask.encode_to_vec().into());
        // A server may wait for the first question before it answers at all.
        if let (Some((call, options)), Some(unsent)) = (self.call.take(), self.unsent.take()) {
            let questions = UnboundedReceiverStream::new(unsent);
            self.answers = Some(self.client.call_raw(call, questions, options).await?);
        }
        let Some(answers) = &mut self.answers else { return Err(malformed("no answer")) };
        let bytes = answers.message().await?.ok_or_else(|| malformed("no answer"))?;
        let told = Told::decode(bytes).map_err(|error| malformed(&error.to_string()))?;
        told.answer.ok_or_else(|| malformed("an empty answer"))
    }

    /// The files that define these services, and all that they import.
    async fn files_of(&mut self, services: &[String]) -> Result<Vec<FileDescriptorProto>, ReflectError> {
        let mut files: Vec<FileDescriptorProto> = Vec::new();
        // Those of protobuf itself are ours already.
        let mut known: BTreeSet<String> =
            DescriptorPool::global().files().map(|file| file.name().to_owned()).collect();
        let mut wanted: VecDeque<Question> = services.iter().cloned().map(Question::FileWithSymbol).collect();
        while let Some(question) = wanted.pop_front() {
            if matches!(&question, Question::FileByName(name) if known.contains(name)) {
                continue;
            }
            let found = match self.ask(question).await? {
                Answer::Files(found) => found.files,
                // A service that it knows by name alone.
                Answer::Refusal(_) => continue,
                Answer::Services(_) => return Err(malformed("another answer than was asked for")),
            };
            for file in found {
                let file =
                    FileDescriptorProto::decode(&file[..]).map_err(|error| malformed(&error.to_string()))?;
                if known.len() >= MAX_FILES {
                    return Err(malformed("more files than there can be"));
                }
                if known.insert(file.name().to_owned()) {
                    wanted.extend(file.dependency.iter().cloned().map(Question::FileByName));
                    files.push(file);
                }
            }
        }
        Ok(files)
    }
}
