//! The health check of gRPC.

use std::time::Duration;

use stoop::{Stream, aio};
use stoop_dynamic::{CallError, Client, Code, Options, Schema, channel, json};

use crate::accepted;
use crate::deadline::Deadline;

/// The method of gRPC's own health service.
const CHECK: &str = "grpc.health.v1.Health/Check";

/// Asks the health service. A server without one is healthy if it speaks gRPC.
pub(super) fn check(stream: Stream, limit: &Deadline) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let left = limit.left().unwrap_or(Duration::MAX);
    runtime.block_on(async {
        // The connection is open as long as this is not dropped.
        let mut answer = std::pin::pin!(ask(stream));
        let checked = tokio::time::timeout(left, answer.as_mut()).await;
        checked.unwrap_or_else(|_| Err(accepted::no_answer().into()))
    })
}

async fn ask(stream: Stream) -> Result<(), String> {
    let stream = aio::Stream::try_from(stream).map_err(|error| error.to_string())?;
    let (channel, _greeting) = channel(stream).await.map_err(|error| error.to_string())?;
    let method = Schema::builtin().method(CHECK, &[]).map_err(|error| error.to_string())?;
    let request = json::read(&method.input(), "{}").map_err(|error| error.to_string())?;
    let client = Client::grpc(channel);
    let answer = async {
        let mut answers = client.call(&method, tokio_stream::once(request), Options::default()).await?;
        answers.message().await
    };
    match answer.await {
        Ok(Some(message)) => {
            match message.get_field_by_name("status").and_then(|status| status.as_enum_number()) {
                Some(1) => Ok(()),
                _ => Err("its health service reports that it is not serving".into()),
            }
        }
        Ok(None) => Err("its health service gave no answer".into()),
        Err(CallError::Answered(status)) if status.code() == Code::Unimplemented => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
