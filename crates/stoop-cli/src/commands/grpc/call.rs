//! Makes a call: sends requests and prints replies as they arrive.

use std::io::{self, IsTerminal};
use std::pin::Pin;
use std::sync::atomic::Ordering;

use stoop_dynamic::json::{ParseOptions, Style};
use stoop_dynamic::{
    CallError, Client, Code, DynamicMessage, MetadataMap, MethodDescriptor, Schema, Status, code_name,
    code_number, details, text,
};
use tokio_stream::Stream;

use super::args::Format;
use super::describe::path_of;
use super::input::{RequestInput, incomplete_reply, lacks};
use super::metadata;
use super::session::Session;
use super::verbose::counted;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Screen};
use crate::pump::Sink;

/// Messages from any source.
type Requests = Pin<Box<dyn Stream<Item = DynamicMessage> + Send>>;

impl Session<'_> {
    /// Calls the method, and prints the replies.
    pub(super) async fn call(
        &self,
        client: &Client,
        given: Option<Schema>,
        name: &str,
        input: RequestInput,
    ) -> Outcome {
        let schema = self.load_schema(client, given).await?;
        let method = self.method(client, &schema, name).await?;
        let name = path_of(&method);
        let address = self.errors.address();
        let options = ParseOptions { discard_unknown: self.flags.allow_unknown_fields };
        let (requests, failure): (Requests, _) = if self.flags.format == Format::Text {
            (Box::pin(tokio_stream::iter(input.text(&method, &address)?)), None)
        } else if method.is_client_streaming() {
            let (requests, failure) = input.stream(&method.input(), options, address);
            (Box::pin(requests), Some(failure))
        } else {
            (Box::pin(tokio_stream::once(input.one(&method.input(), options, &address)?)), None)
        };
        let failure = async {
            match failure {
                // If all went well, the sender is dropped without a value.
                Some(failure) => match failure.await {
                    Ok(failure) => failure,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        self.show_request(&name)?;
        let exchange = self.within(&name, self.exchange(client, &method, requests));
        tokio::select! {
            biased;
            failure = failure => Err(failure),
            ended = exchange => match ended?? {
                Ok(()) => Ok(Exit::Done),
                Err(error) => {
                    self.show_failure(&error)?;
                    if let Some(status) = error.status() {
                        self.status(status, &schema, &MetadataMap::new())?;
                        if let Some(plugin) = self.cri_plugin(client, &method, status).await {
                            return Err(self.errors.without_cri(&name, &plugin));
                        }
                    }
                    Err(self.errors.explain(&name, &error, &schema))
                }
            },
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        method: &MethodDescriptor,
        requests: Requests,
    ) -> Result<Result<(), CallError>, Failure> {
        let mut screen = Screen::new(None);
        let (requests, sent) = counted(requests);
        let mut answers = match client.call(method, requests, self.options()).await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(error)),
        };
        let headers = answers.headers();
        self.show_headers(&headers)?;
        let mut count = 0_u64;
        loop {
            match answers.message().await {
                Ok(Some(message)) => {
                    self.reply(&message, &mut screen)?;
                    if let Some(lacks) = lacks(&message) {
                        screen.finish()?;
                        return Err(incomplete_reply(&lacks, method, &self.errors.address()));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    screen.finish()?;
                    return Ok(Err(error));
                }
            }
            count += 1;
        }
        screen.finish()?;
        if count != 1 && !method.is_server_streaming() {
            let why = format!("{count} messages, but the method returns one");
            return Ok(Err(CallError::Malformed(why)));
        }
        match answers.trailers().await {
            Ok(trailers) => {
                self.show_trailers(&trailers)?;
                self.show_counts(sent.load(Ordering::Relaxed), count)?;
                let status = Status::with_metadata(Code::Ok, "", trailers);
                self.status(&status, &Schema::builtin(), &headers)?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Prints a reply.
    fn reply(&self, message: &DynamicMessage, screen: &mut Screen) -> Result<(), Failure> {
        if self.flags.format == Format::Text {
            let text = text::write(message, self.flags.json_lines);
            return screen.put(format!("{}\n", text.trim_end()).as_bytes());
        }
        let style = Style {
            emit_defaults: self.flags.emit_defaults,
            one_line: self.flags.json_lines || self.flags.json,
            // What is piped is protobuf's JSON, and nothing else.
            annotated: !self.flags.raw && io::stdout().is_terminal(),
        };
        let text = style.text(message);
        if !self.flags.json {
            return screen.put(format!("{text}\n").as_bytes());
        }
        self.output.emit(&Event::Reply { message: json(&text) })
    }

    /// Prints the status as JSON. In text mode, the output or the failure report is enough.
    fn status(&self, status: &Status, schema: &Schema, headers: &MetadataMap) -> Result<(), Failure> {
        if !self.flags.json {
            return Ok(());
        }
        let style = Style { one_line: true, ..Style::default() };
        self.output.emit(&Event::Status {
            code: code_number(status),
            name: code_name(status),
            text: status.message().to_owned(),
            details: details(status, schema).iter().map(|detail| json(&style.text(detail))).collect(),
            headers: metadata::listed(headers),
            trailers: metadata::listed(status.metadata()),
        })
    }
}

/// Parses text that is JSON already, to embed it in more JSON.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_default()
}
