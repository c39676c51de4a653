//! Sends the request, and receives the response.

use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;

use http::{Response, StatusCode};
use stoop::{Stream, aio};
use stoop_http::{Body, Client, Version};

use super::error::ErrorContext;
use super::render::ResponsePrinter;
use super::request::HttpRequest;
use super::{raw_mode, render, streams, upgrade};
use crate::args::Http;
use crate::deadline::Deadline;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Sends the request, and prints the response.
pub(crate) fn run(flags: &Http) -> Outcome {
    flags.quiet.apply();
    if flags.tty {
        raw_mode::check()?;
    }
    let asked = HttpRequest::read(flags)?;
    let limit = Deadline::from_now(flags.timeout);
    let errors = ErrorContext { flags, asked: asked.to_string() };
    let reached = flags.endpoint.connect_stream(flags.wait, flags.timeout);
    let reached =
        reached.map_err(|failure| failure.for_client(flags.wait, |client| errors.client(client)))?;
    let output = Output::new(flags.json, !std::io::stderr().is_terminal());
    if let Some(found) = reached.event() {
        output.emit(&found)?;
    }
    // One thread is enough: the only concurrent work is to send and to receive.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("start the runtime", &error))?;
    let session = Session { flags, limit, errors };
    let done = runtime.block_on(session.ask(asked, reached.connection))?;
    match done {
        Done::Answered(status) if flags.fail && status.as_u16() >= 400 => Ok(Exit::No),
        Done::Answered(_) => Ok(Exit::Done),
        Done::Upgraded(upgraded) => upgrade::run(flags, *upgraded),
    }
}

/// The result of a request.
enum Done {
    Answered(StatusCode),
    Upgraded(Box<upgrade::Upgraded>),
}

pub(super) struct Session<'f> {
    flags: &'f Http,
    limit: Deadline,
    errors: ErrorContext<'f>,
}

impl Session<'_> {
    async fn ask(&self, asked: HttpRequest, stream: Stream) -> Result<Done, Failure> {
        let version = if self.flags.http2 { Version::Http2 } else { Version::Http1 };
        let stream = aio::Stream::try_from(stream)?;
        let answer = async {
            let mut client = Client::over(stream, version).await?;
            client.send(asked.into_request()).await
        };
        let answer = self.within(answer, "no response").await?;
        if self.flags.upgrade.is_some() {
            return self.upgrade(answer).await;
        }
        Ok(Done::Answered(self.show(answer).await?))
    }

    /// Prints a response, with its status and headers if requested.
    async fn show(&self, answer: Response<Body>) -> Result<StatusCode, Failure> {
        let status = answer.status();
        let (head, mut body) = answer.into_parts();
        let mut answer = ResponsePrinter::start(self.flags, &head)?;
        let mut trailers = None;
        loop {
            let frame = self.within(render::next(&mut body), "the response is not complete").await;
            match frame.map_err(|failure| answer.abandon(failure))? {
                None => break,
                Some(frame) => match frame.into_data() {
                    Ok(data) => answer.put(&data)?,
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        answer.finish(trailers.as_ref())?;
        Ok(status)
    }

    async fn upgrade(&self, answer: Response<Body>) -> Result<Done, Failure> {
        let status = answer.status();
        let is_upgraded = status == StatusCode::SWITCHING_PROTOCOLS
            || (status == StatusCode::OK && streams::is_docker_stream(answer.headers()));
        if is_upgraded {
            return Ok(Done::Upgraded(Box::new(upgrade::Upgraded::take(answer, self).await?)));
        }
        self.show(answer).await?;
        if self.flags.fail && status.as_u16() >= 400 {
            return Ok(Done::Answered(status));
        }
        Err(self.errors.not_upgraded(status))
    }

    /// Waits for a future until the deadline.
    pub(super) async fn within<T>(
        &self,
        done: impl Future<Output = stoop_http::Result<T>>,
        late: &str,
    ) -> Result<T, Failure> {
        let result = match self.limit.at() {
            None => done.await,
            Some(end) => {
                // The connection is open as long as this is not dropped.
                let mut done = pin!(done);
                match tokio::time::timeout_at(end.into(), done.as_mut()).await {
                    Ok(result) => result,
                    Err(_) => return Err(self.errors.late(late)),
                }
            }
        };
        result.map_err(|error| self.errors.explain(&error))
    }
}
