//! Shared by the tests: a service of raw bytes, its client, and peers in other languages. It has no
//! `.proto`, so that each language can call it without generated code.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod harness;

use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use stoop_grpc::{Caller, Channel, Raw};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::codegen::{Service, StdError};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};

/// The messages of all calls of `Mark` in this process. `Mark` takes three milliseconds.
pub static MARKED: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());

/// The service `stoop.test.Echo`. `Who` responds with `name`, to identify the server.
#[derive(Clone)]
pub struct Echo {
    pub name: &'static str,
}

impl NamedService for Echo {
    const NAME: &'static str = "stoop.test.Echo";
}

pub type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = self.name;
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw);
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match method.as_str() {
                "Unary" | "Slow" | "Mark" | "Who" | "Fail" => {
                    grpc.unary(Unary { method, name }, request).await
                }
                "Count" => grpc.server_streaming(Count, request).await,
                "Join" => grpc.client_streaming(Join, request).await,
                "Chat" => grpc.streaming(Chat, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

struct Unary {
    method: String,
    name: &'static str,
}

impl Service<Request<Bytes>> for Unary {
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = Answer<Bytes>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (method, name) = (self.method.clone(), self.name);
        Box::pin(async move {
            match method.as_str() {
                // The message is the number of milliseconds.
                "Slow" => {
                    let text = String::from_utf8_lossy(request.get_ref()).into_owned();
                    tokio::time::sleep(Duration::from_millis(text.parse().unwrap_or(0))).await;
                }
                "Mark" => {
                    MARKED.lock().unwrap().push(request.get_ref().clone());
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                "Fail" => return Err(Status::failed_precondition("as asked: 100 % \u{fc}")),
                "Who" => {
                    let caller = Caller::of(request.extensions()).map(|caller| {
                        (caller.pid.known().copied(), caller.uid.known().copied(), caller.has_ended())
                    });
                    return Ok(Response::new(format!("{name} {caller:?}").into()));
                }
                _ => {}
            }
            Ok(Response::new(request.into_inner()))
        })
    }
}

/// Responds with each byte of the message as a message.
struct Count;

impl tonic::server::ServerStreamingService<Bytes> for Count {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Answer<Answers>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let bytes = request.into_inner();
        let answers = (0..bytes.len()).map(move |at| Ok(bytes.slice(at..=at)));
        Box::pin(async { Ok(Response::new(Box::pin(tokio_stream::iter(answers)) as Answers)) })
    }
}

/// Responds with all messages joined.
struct Join;

impl tonic::server::ClientStreamingService<Bytes> for Join {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async {
            let mut messages = request.into_inner();
            let mut all = Vec::new();
            while let Some(message) = messages.message().await? {
                all.extend_from_slice(&message);
            }
            Ok(Response::new(all.into()))
        })
    }
}

/// Echoes each message as it arrives.
struct Chat;

impl tonic::server::StreamingService<Bytes> for Chat {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Answer<Answers>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async { Ok(Response::new(Box::pin(request.into_inner()) as Answers)) })
    }
}

/// A client of [`Echo`], as a generated one would be.
#[derive(Clone)]
pub struct EchoClient<C = Channel>(pub Client<C>);

impl<C, B> EchoClient<C>
where
    C: Service<http::Request<Body>, Response = http::Response<B>>,
    C::Error: Into<StdError>,
    B: tonic::codegen::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    pub fn new(channel: C) -> EchoClient<C> {
        EchoClient(Client::new(channel).max_decoding_message_size(64 << 20))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|cause| Status::from_error(cause.into()))
    }

    pub async fn unary(
        &mut self,
        method: &str,
        request: impl tonic::IntoRequest<Bytes>,
    ) -> Result<Bytes, Status> {
        self.ready().await?;
        Ok(self.0.unary(request.into_request(), path(method), Raw).await?.into_inner())
    }

    pub async fn count(&mut self, message: &'static str) -> Result<Vec<Bytes>, Status> {
        self.ready().await?;
        let request = Request::new(Bytes::from(message));
        self.0.server_streaming(request, path("Count"), Raw).await?.into_inner().collect().await
    }

    pub async fn join(&mut self, messages: &[&'static str]) -> Result<Bytes, Status> {
        self.ready().await?;
        let messages: Vec<Bytes> = messages.iter().map(|text| Bytes::from(*text)).collect();
        let request = Request::new(tokio_stream::iter(messages));
        Ok(self.0.client_streaming(request, path("Join"), Raw).await?.into_inner())
    }

    /// Sends each message after the response to the previous one has arrived.
    pub async fn chat(&mut self, messages: &[&'static str]) -> Result<Vec<Bytes>, Status> {
        self.ready().await?;
        let (say, said) = tokio::sync::mpsc::channel(1);
        let (first, rest) = messages.split_first().unwrap();
        // Servers may send no headers before the first message.
        say.send(Bytes::from(*first)).await.unwrap();
        let said = tokio_stream::wrappers::ReceiverStream::new(said);
        let mut answers = self.0.streaming(Request::new(said), path("Chat"), Raw).await?.into_inner();
        let mut heard = Vec::from_iter(answers.message().await?);
        for message in rest {
            say.send(Bytes::from(*message)).await.unwrap();
            heard.extend(answers.message().await?);
        }
        drop(say);
        assert_eq!(answers.message().await?, None);
        Ok(heard)
    }

    /// Makes every kind of call, one after the other.
    pub async fn everything(&mut self) {
        assert_eq!(self.unary("Unary", Request::new(Bytes::from("hello"))).await.unwrap(), "hello");
        assert_eq!(self.count("abc").await.unwrap(), ["a", "b", "c"]);
        assert_eq!(self.join(&["a", "bc", ""]).await.unwrap(), "abc");
        assert_eq!(self.chat(&["one", "two"]).await.unwrap(), ["one", "two"]);
        let status = self.unary("Fail", Request::new(Bytes::new())).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::FailedPrecondition, "as asked: 100 % \u{fc}")
        );
    }
}

fn path(method: &str) -> http::uri::PathAndQuery {
    format!("/stoop.test.Echo/{method}").parse().unwrap()
}

/// Runs a test on a multi-threaded runtime.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test)
}

/// Returns the directory into which `./test` installs the libraries of other languages.
pub fn peers() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers")
}

/// Returns the command that runs a Python script with grpcio, if both are installed.
pub fn python(script: &str, arguments: &[&str]) -> Option<Command> {
    let library = peers().join("python");
    (library.join("grpc").is_dir() && stoop_testkit::has_program("python3")).then(|| {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", library).env("PYTHONUNBUFFERED", "1").arg(source(script)).args(arguments);
        command
    })
}

/// Returns the command that runs a Node script with @grpc/grpc-js, if both are installed.
pub fn node(script: &str, arguments: &[&str]) -> Option<Command> {
    let library = peers().join("node/node_modules");
    (library.join("@grpc/grpc-js").is_dir() && stoop_testkit::has_program("node")).then(|| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", library).arg(source(script)).args(arguments);
        command
    })
}

fn source(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script)
}

/// Waits for a child to exit without blocking the runtime.
pub async fn finished(child: Child) -> std::process::Output {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap()
}
