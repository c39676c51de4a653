//! Dynamic calls to servers whose reflection service sends invalid or unbounded schemas.

#[path = "../../stoop-grpc/tests/common/mod.rs"]
mod common;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use common::{Answers, Echo, block_on};
use prost::Message;
use prost_types::{FileDescriptorProto, ServiceDescriptorProto};
use stoop_dynamic::{CallError, Client, Options, ReflectError, Schema, json, reflect};
use stoop_grpc::{Endpoint, Raw, Server, connect};
use stoop_testkit::{deadline, tempdir};
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};

const LIMIT: Duration = Duration::from_secs(30);

/// Maps a reflection request to a response, both as bytes.
type Lie = Arc<dyn Fn(Bytes) -> Bytes + Send + Sync>;

/// A reflection service with scripted responses.
#[derive(Clone)]
struct Liar(Lie);

impl NamedService for Liar {
    const NAME: &'static str = "grpc.reflection.v1.ServerReflection";
}

impl Service<http::Request<Body>> for Liar {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let lie = Arc::clone(&self.0);
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(Lies(lie), request).await) })
    }
}

struct Lies(Lie);

impl tonic::server::StreamingService<Bytes> for Lies {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let lie = Arc::clone(&self.0);
        let answers = request.into_inner().map(move |question| question.map(|question| lie(question)));
        Box::pin(async { Ok(Response::new(Box::pin(answers) as Answers)) })
    }
}

/// Runs a test against a server with these routes.
fn with_server<T, F>(routes: Routes, test: impl FnOnce(Client) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    deadline(LIMIT, || {
        block_on(async {
            let directory = tempdir();
            let path = directory.path().join("app.sock").to_str().unwrap().to_owned();
            let endpoint: Endpoint = path.parse().unwrap();
            let incoming = endpoint.listen(|bind| bind).await.unwrap();
            let (end, ended) = tokio::sync::oneshot::channel::<()>();
            let server = tokio::spawn(Server::new(routes).serve(incoming, ended));
            let result = test(Client::grpc(connect(path.as_str()).await.unwrap())).await;
            drop(end);
            server.await.unwrap().unwrap();
            result
        })
    })
}

fn reflected(lie: impl Fn(Bytes) -> Bytes + Send + Sync + 'static) -> Result<Schema, ReflectError> {
    let routes = Routes::new(Liar(Arc::new(lie)));
    with_server(routes, |client| async move { reflect(&client, &Options::default()).await })
}

/// Encodes a message with one length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut bytes).unwrap();
    bytes.extend_from_slice(content);
    bytes
}

/// Encodes a response that lists these services.
fn services(names: &[&str]) -> Bytes {
    let list: Vec<u8> = names.iter().flat_map(|name| field(1, &field(1, name.as_bytes()))).collect();
    field(6, &list).into()
}

/// Encodes a response with these files.
fn files(files: &[FileDescriptorProto]) -> Bytes {
    field(4, &files.iter().flat_map(|file| field(1, &file.encode_to_vec())).collect::<Vec<_>>()).into()
}

fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.into()),
        package: Some(name.replace(['.', '/'], "_")),
        syntax: Some("proto3".into()),
        dependency: imports.iter().map(|&import| import.into()).collect(),
        ..FileDescriptorProto::default()
    }
}

/// Returns whether a request asks for the list of services.
fn asks_for_services(question: &Bytes) -> bool {
    question.first() == Some(&(7 << 3 | 2))
}

#[test]
fn imports_are_requested() {
    let schema = reflected(|question| {
        let asked = |name: &str| question.ends_with(name.as_bytes());
        if asks_for_services(&question) {
            return services(&["a_proto.App", "only.in.Name"]);
        }
        if asked("a_proto.App") {
            let service = ServiceDescriptorProto { name: Some("App".into()), ..Default::default() };
            let imports = ["b.proto", "google/protobuf/any.proto"];
            return files(&[FileDescriptorProto { service: vec![service], ..file("a.proto", &imports) }]);
        }
        if asked("b.proto") {
            return files(&[file("b.proto", &[])]);
        }
        assert!(!asked("any.proto"), "protobuf's own files are ours");
        // Not found.
        field(7, b"\x08\x05").into()
    });
    let schema = schema.unwrap();
    assert_eq!(schema.service_names(), ["a_proto.App", "only.in.Name"]);
    assert_eq!(schema.services().len(), 1);
    assert_eq!(schema.origin().to_string(), "the server's reflection (v1)");
}

#[test]
fn invalid_schemas_are_refused() {
    let malformed = |lie: Bytes| match reflected(move |_| lie.clone()) {
        Err(ReflectError::Call(CallError::Malformed(why))) => why,
        other => panic!("{other:?}"),
    };
    malformed(Bytes::new());
    malformed(Bytes::from_static(&[0xff; 30]));
    malformed(files(&[]));
    // Bytes that are not a file descriptor.
    let garbage = reflected(|question| match asks_for_services(&question) {
        true => services(&["a.A"]),
        false => field(4, &field(1, &[0xff; 30])).into(),
    });
    assert!(matches!(garbage, Err(ReflectError::Call(CallError::Malformed(_)))), "{garbage:?}");
    // A missing import, and files that import each other.
    let missing = reflected(|question| match asks_for_services(&question) {
        true => services(&["a.A"]),
        false if question.ends_with(b"a.A") => files(&[file("a.proto", &["b.proto"])]),
        false => field(7, b"\x08\x05").into(),
    });
    assert!(matches!(missing, Err(ReflectError::Schema(_))), "{missing:?}");
    let circle = reflected(|question| match asks_for_services(&question) {
        true => services(&["a.A"]),
        false if question.ends_with(b"b.proto") => files(&[file("b.proto", &["a.proto"])]),
        false => files(&[file("a.proto", &["b.proto"])]),
    });
    assert!(circle.unwrap().services().is_empty(), "there is no service in them");
}

#[test]
fn endless_imports_end_the_call() {
    let endless = reflected(|question| {
        if asks_for_services(&question) {
            return services(&["a.A"]);
        }
        let asked: String =
            question.iter().map(|&byte| char::from(byte)).filter(char::is_ascii_digit).collect();
        let number: u64 = asked.parse().unwrap_or(0);
        files(&[file(&format!("{number}.proto"), &[&format!("{}.proto", number + 1)])])
    });
    let Err(ReflectError::Call(CallError::Malformed(why))) = endless else { panic!("{endless:?}") };
    assert!(why.contains("more files"), "{why}");
}

#[test]
fn missing_reflection_is_unsupported() {
    let none = with_server(Routes::new(Echo { name: "x" }), |client| async move {
        reflect(&client, &Options::default()).await
    });
    assert!(matches!(none, Err(ReflectError::Unsupported)), "{none:?}");
}

/// Returns a schema for the `Echo` service.
fn echo_schema() -> Schema {
    let directory = tempdir();
    let path = directory.path().join("echo.proto");
    let text = "syntax = \"proto3\"; package stoop.test; message Text { string text = 1; }
        service Echo { rpc Unary (Text) returns (Text); rpc Slow (Text) returns (Text); rpc Fail (Text) returns (Text);
        rpc Count (Text) returns (stream Text); rpc Chat (stream Text) returns (stream Text); }";
    std::fs::write(&path, text).unwrap();
    Schema::from_protos(&[path], &[]).unwrap()
}

async fn call(
    client: &Client,
    method: &str,
    request: &str,
    options: Options,
) -> Result<Vec<String>, CallError> {
    let method = echo_schema().method(method, &[]).unwrap();
    let request = json::read(&method.input(), request).unwrap();
    let mut answers = client.call(&method, tokio_stream::once(request), options).await?;
    let mut texts = Vec::new();
    while let Some(message) = answers.message().await? {
        texts.push(json::Style { one_line: true, ..json::Style::default() }.text(&message));
    }
    Ok(texts)
}

#[test]
fn call_failures_are_distinguished() {
    with_server(Routes::new(Echo { name: "x" }), |client| async move {
        let fine = call(&client, "Unary", r#"{"text":"hello"}"#, Options::default()).await;
        assert_eq!(fine.unwrap(), [r#"{"text":"hello"}"#]);
        let failed = call(&client, "Fail", "{}", Options::default()).await.unwrap_err();
        assert_eq!(failed.status().map(Status::code), Some(Code::FailedPrecondition));
        // Each response is one byte of the request, which is not a valid message.
        let malformed = call(&client, "Count", r#"{"text":"hello"}"#, Options::default()).await.unwrap_err();
        assert!(matches!(malformed, CallError::Malformed(_)), "{malformed:?}");
        let small = client.clone().max_message_bytes(4);
        let large = call(&small, "Unary", r#"{"text":"hello"}"#, Options::default()).await.unwrap_err();
        assert!(matches!(large, CallError::TooLarge { max_bytes: 4 }), "{large:?}");
        // The server's own limit is reported as the server's status, although both limits are equal.
        let request = format!(r#"{{"text":"{}"}}"#, "x".repeat(5 << 20));
        let refused = call(&client, "Unary", &request, Options::default()).await.unwrap_err();
        assert_eq!(refused.status().map(Status::code), Some(Code::OutOfRange), "{refused:?}");
    });
}

#[test]
fn a_server_exit_breaks_the_call() {
    deadline(LIMIT, || {
        block_on(async {
            let (ours, theirs) = stoop::aio::Stream::pair().unwrap();
            let (channel, mut listening) = stoop_dynamic::channel(ours).await.unwrap();
            let client = Client::grpc(channel);
            let calling = call(&client, "Unary", "{}", Options::default());
            let ending = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(theirs);
            };
            let (broken, ()) = tokio::join!(calling, ending);
            let broken = broken.unwrap_err();
            assert!(matches!(broken, CallError::Broken(_)), "{broken:?}");
            let greeting = listening.greeting(Duration::from_secs(5)).await;
            assert_eq!(greeting, stoop_dynamic::Greeting::Closed);
            // The channel has no other connection.
            let again = call(&client, "Unary", "{}", Options::default()).await.unwrap_err();
            assert!(matches!(again, CallError::Broken(_)), "{again:?}");
        });
    });
}
