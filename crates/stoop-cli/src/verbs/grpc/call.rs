//! A call: messages out and in, as they come.

use std::pin::Pin;

use stoop_grpc::dynamic::json::Style;
use stoop_grpc::dynamic::{CallError, Client, DynamicMessage, MetadataMap, MethodDescriptor, Schema};
use tokio_stream::Stream;

use super::Session;
use super::input::Input;
use super::metadata;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::Screen;
use crate::pump::Sink;

/// Messages of any source.
type Requests = Pin<Box<dyn Stream<Item = DynamicMessage> + Send>>;

impl Session<'_> {
    /// Calls the method, and prints what comes.
    pub(super) async fn call(
        &self,
        client: &Client,
        given: Option<Schema>,
        name: &str,
        input: Input,
    ) -> Outcome {
        let schema = self.offer(client, given).await?;
        let method = self.method(client, &schema, name).await?;
        let name = format!("{}/{}", method.parent_service().full_name(), method.name());
        let (requests, failure): (Requests, _) = if method.is_client_streaming() {
            let (requests, failure) = input.stream(&method.input());
            (Box::pin(requests), Some(failure))
        } else {
            (Box::pin(tokio_stream::once(input.one(&method.input())?)), None)
        };
        let failure = async {
            match failure {
                // Its sender goes without a word when all went well.
                Some(failure) => match failure.await {
                    Ok(failure) => failure,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let exchange = self.within(&name, self.exchange(client, &method, requests));
        tokio::select! {
            biased;
            failure = failure => Err(failure),
            ended = exchange => match ended?? {
                Ok(()) => Ok(Exit::Done),
                Err(error) => Err(self.trouble.explain(&name, &error, &schema)),
            },
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        method: &MethodDescriptor,
        requests: Requests,
    ) -> Result<Result<(), CallError>, Failure> {
        let style = Style { emit_defaults: self.flags.emit_defaults, one_line: self.flags.json_lines };
        let mut screen = Screen::new(None);
        let mut answers = match client.call(method, requests, self.options()).await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(error)),
        };
        self.show_metadata("<", &answers.headers())?;
        let mut count = 0_u64;
        loop {
            match answers.message().await {
                Ok(Some(message)) => {
                    screen.put(format!("{}\n", style.text(&message)).as_bytes())?;
                    count += 1;
                }
                Ok(None) => break,
                Err(error) => {
                    screen.finish()?;
                    return Ok(Err(error));
                }
            }
        }
        screen.finish()?;
        if count != 1 && !method.is_server_streaming() {
            let why = format!("{count} messages where the method gives one");
            return Ok(Err(CallError::Malformed(why)));
        }
        match answers.trailers().await {
            Ok(trailers) => self.show_metadata("<", &trailers)?,
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    fn show_metadata(&self, mark: &str, map: &MetadataMap) -> Result<(), Failure> {
        if !self.flags.show_metadata {
            return Ok(());
        }
        let mut screen = Screen::on_stderr();
        let text: String = metadata::lines(map).iter().map(|line| format!("{mark} {line}\n")).collect();
        screen.put(text.as_bytes())?;
        screen.finish()
    }
}
