//! Calls of the CRI: requests and answers are JSON.

use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use stoop::{Stream, aio};
use stoop_dynamic::channel;
use stoop_dynamic::json::{self, Style};
use stoop_dynamic::{
    Answers, CallError, Client, DynamicMessage, Greeting, MethodDescriptor, Options, Schema,
};

use super::args::Cri;
use super::error::ErrorContext;
use super::field::{list, text};
use super::select::{Selected, Sort, select};
use crate::failure::Failure;

/// How long to wait for the server's first frame, which every gRPC server sends at once.
const GREETING_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest message: a node with thousands of containers has long lists.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to a runtime.
pub(super) struct Session<'f> {
    pub(super) flags: &'f Cri,
    pub(super) errors: ErrorContext,
    client: Client,
    schema: Schema,
}

impl<'f> Session<'f> {
    /// Creates a client on the connection.
    pub(super) async fn open(
        flags: &'f Cri,
        errors: ErrorContext,
        stream: Stream,
    ) -> Result<Session<'f>, Failure> {
        let stream = aio::Stream::try_from(stream)?;
        let (channel, mut listening) = channel(stream).await.map_err(|error| errors.unusable(&error))?;
        match listening.greeting(flags.timeout.unwrap_or(GREETING_TIMEOUT)).await {
            // One that is busy may still answer.
            Greeting::Http2 | Greeting::Nothing => {}
            other => return Err(errors.other_protocol(&other)),
        }
        let client = Client::grpc(channel).max_message_bytes(MAX_MESSAGE_BYTES);
        Ok(Session { flags, errors, client, schema: Schema::builtin() })
    }

    /// Calls a method that has one answer.
    pub(super) async fn call(&self, method: &str, request: &Value) -> Result<Value, Failure> {
        Ok(value_of(&self.message(method, request).await?))
    }

    /// Calls a method that has one answer, and returns it as it is.
    pub(super) async fn message(&self, method: &str, request: &Value) -> Result<DynamicMessage, Failure> {
        let answer = async {
            let mut answers = self.start(method, request).await?;
            answers.message().await?.ok_or_else(|| CallError::Malformed("no message".into()))
        };
        let answer = self.within(method, answer).await?;
        answer.map_err(|error| self.errors.explain(method, &error))
    }

    /// Starts a call whose answers do not end.
    pub(super) async fn stream(&self, method: &str) -> Result<Answers, Failure> {
        let answers = self.start(method, &Value::Object(serde_json::Map::new())).await;
        answers.map_err(|error| self.errors.explain(method, &error))
    }

    async fn start(&self, method: &str, request: &Value) -> Result<Answers, CallError> {
        let method = self.method(method)?;
        let request = json::read(&method.input(), &request.to_string());
        let request = request.map_err(|error| CallError::Malformed(format!("{}: {error}", error.path())))?;
        let options = Options { timeout: self.flags.timeout, ..Options::default() };
        self.client.call(&method, tokio_stream::once(request), options).await
    }

    /// Returns the method with this name, of either service.
    pub(super) fn method(&self, name: &str) -> Result<MethodDescriptor, CallError> {
        let service = if name.contains("Image") { "ImageService" } else { "RuntimeService" };
        let found = self.schema.method(&format!("runtime.v1.{service}/{name}"), &[]);
        found.map_err(|_| CallError::Malformed(format!("the interface has no method '{name}'")))
    }

    /// Waits for a future, up to the timeout of a call.
    async fn within<T>(&self, method: &str, done: impl Future<Output = T>) -> Result<T, Failure> {
        let Some(timeout) = self.flags.timeout else { return Ok(done.await) };
        // The connection is open as long as this is not dropped.
        let mut done = pin!(done);
        let result = tokio::time::timeout(timeout, done.as_mut()).await;
        result.map_err(|_| self.errors.late(method))
    }

    /// Returns all containers, or all pods.
    pub(super) async fn all(&self, sort: Sort) -> Result<Vec<Value>, Failure> {
        let (method, field) = match sort {
            Sort::Container => ("ListContainers", "containers"),
            Sort::Pod => ("ListPodSandbox", "items"),
        };
        let answer = self.call(method, &Value::Object(serde_json::Map::new())).await?;
        Ok(list(&answer, field).to_vec())
    }

    /// Finds a container or a pod by its id, the beginning of its id, or its name.
    pub(super) async fn find(&self, sort: Sort, typed: &str) -> Result<Value, Failure> {
        let all = self.all(sort).await?;
        match select(&all, typed) {
            Selected::One(item) => Ok(item.clone()),
            Selected::Several(found) => Err(self.errors.ambiguous(sort, typed, &found)),
            Selected::None => Err(self.errors.unknown(sort, typed, &all)),
        }
    }

    /// Finds the full id.
    pub(super) async fn id_of(&self, sort: Sort, typed: &str) -> Result<String, Failure> {
        Ok(text(&self.find(sort, typed).await?, "id").to_owned())
    }
}

/// Returns a message as JSON, with every field.
pub(super) fn value_of(message: &DynamicMessage) -> Value {
    let style = Style { emit_defaults: true, one_line: true, ..Style::default() };
    serde_json::from_str(&style.text(message)).unwrap_or_default()
}

/// Returns the bytes of a field.
pub(super) fn bytes_of(message: &DynamicMessage, field: &str) -> Vec<u8> {
    let field = message.get_field_by_name(field);
    field.and_then(|value| value.as_bytes().map(|bytes| bytes.to_vec())).unwrap_or_default()
}
