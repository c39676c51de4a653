//! Sends the request, and receives the response; again if it is to be repeated or redirected.

use std::cell::Cell;
use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Response, StatusCode};
use stoop::internal::Place;
use stoop::{Stream, aio};
use stoop_http::{Body, Client, Settings, Version, internal};
use tokio::runtime::Runtime;

use super::error::ErrorContext;
use super::head::ResponseHead;
use super::redirect::MAX_REDIRECTS;
use super::render::{self, ResponsePrinter};
use super::request::HttpRequest;
use super::retry::{self, Cause};
use super::transfer::Transfer;
use super::{streams, upgrade};
use crate::args::Http;
use crate::deadline::Deadline;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, set_quiet, status};
use crate::raw_mode;
use crate::runtime;

/// How many of the server's first bytes are recorded if the head is printed.
const HEAD_MAX_BYTES: usize = 1 << 20;

/// How many headers a response may have: as many as fit.
const MAX_HEADERS: usize = 20_000;

/// Sends the request, and prints the response.
pub(crate) fn run(flags: &Http) -> Outcome {
    flags.quiet.apply();
    if !flags.curl.silent {
        return requested(flags);
    }
    set_quiet();
    requested(flags).or_else(|failure| match flags.curl.show_error {
        true => Err(failure),
        false => Ok(failure.exit()),
    })
}

fn requested(flags: &Http) -> Outcome {
    if flags.tty {
        raw_mode::check()?;
    }
    render::check_output(flags)?;
    let request = HttpRequest::read(flags)?;
    let errors = ErrorContext { flags, asked: request.to_string() };
    let session = Session {
        flags,
        errors,
        transfer: Transfer::begin(flags),
        limit: Cell::new(Deadline::from_now(flags.timeout)),
        cause: Cell::new(Cause::Other),
        left: Cell::new(flags.curl.retry.unwrap_or(0)),
    };
    let outcome = session.exchange(request);
    session.transfer.write_out(flags, &outcome)?;
    outcome
}

/// The result of a request.
enum Done {
    Answered(Exit),
    Upgraded(Box<upgrade::Upgraded>),
    /// To be followed.
    Redirected(Box<HttpRequest>),
    /// To be repeated, perhaps after the time that the server asks for.
    Transient(StatusCode, Option<Duration>),
}

pub(super) struct Session<'f> {
    flags: &'f Http,
    errors: ErrorContext<'f>,
    transfer: Transfer,
    limit: Cell<Deadline>,
    /// Why the last attempt failed.
    cause: Cell<Cause>,
    /// How many repetitions are left.
    left: Cell<u32>,
}

impl Session<'_> {
    /// Makes requests until one has an answer that is final.
    fn exchange(&self, mut request: HttpRequest) -> Outcome {
        let mut runtime = None;
        loop {
            match self.attempt(&request, &mut runtime) {
                Ok(Done::Answered(exit)) => return Ok(exit),
                Ok(Done::Upgraded(upgraded)) => {
                    return upgrade::run(self.flags, request.uri.path(), *upgraded);
                }
                Ok(Done::Redirected(next)) => {
                    self.check_again()?;
                    request = *next;
                }
                Ok(Done::Transient(code, asked)) => self.pause(&format!("the status is {code}"), asked),
                Err(failure) if self.repeats(&request) => self.pause(&failure.summary(), None),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn attempt(&self, request: &HttpRequest, runtime: &mut Option<Runtime>) -> Result<Done, Failure> {
        let stream = self.connect()?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            none => none.insert(runtime::start()?),
        };
        self.cause.set(Cause::Other);
        runtime.block_on(self.ask(request, stream))
    }

    fn connect(&self) -> Result<Stream, Failure> {
        let flags = self.flags;
        let timeout = [flags.curl.connect_timeout, self.limit.get().left()].into_iter().flatten().min();
        let reached = flags.endpoint.connect_stream(flags.wait, timeout).map_err(|failure| {
            self.cause.set(match &failure {
                Failure::Socket(error) if error.is_not_found() || error.is_refused() => Cause::NoServer,
                Failure::Socket(error) if error.kind() == stoop::ErrorKind::TimedOut => Cause::TimedOut,
                _ => Cause::Other,
            });
            failure.for_client(flags.wait, |client| self.errors.client(client)).for_call()
        })?;
        self.transfer.connected();
        if let Some(found) = reached.event() {
            Output::new(flags.json, !std::io::stderr().is_terminal()).emit(&found)?;
        }
        Ok(reached.connection)
    }

    async fn ask(&self, request: &HttpRequest, stream: Stream) -> Result<Done, Failure> {
        let flags = self.flags;
        let version = if flags.http2 { Version::Http2 } else { Version::Http1 };
        let stream = aio::Stream::try_from(stream)?;
        if flags.curl.verbose {
            render::show_request(flags, request)?;
        }
        let sent = request.to_request()?;
        self.transfer.requested(request);
        let answer = async {
            let mut client = Client::with(stream, version, &settings(flags)).await?;
            let answer = client.send(sent).await?;
            Ok((answer, internal::received(&client)))
        };
        let (answer, received) = self.within(answer, "no response").await?;
        let status = answer.status();
        if self.left.get() > 0 && retry::is_transient(status) && self.may_repeat(request) {
            return Ok(Done::Transient(status, retry::asked(answer.headers())));
        }
        if flags.upgrade.is_some() {
            return self.upgrade(answer, received).await;
        }
        let (parts, body) = answer.into_parts();
        let head = ResponseHead::new(parts, received);
        self.transfer.responded(request, &head);
        if let Some(next) = self.redirected(request, &head)? {
            self.transfer.redirected();
            render::announce(flags, &head)?;
            return Ok(Done::Redirected(Box::new(next)));
        }
        let exit = self.show(&head, body).await?;
        match status {
            StatusCode::SWITCHING_PROTOCOLS => Err(self.errors.switched_unasked(&head)),
            _ => Ok(Done::Answered(exit)),
        }
    }

    /// Returns the request that follows, if redirects are followed and this is one.
    fn redirected(&self, request: &HttpRequest, head: &ResponseHead) -> Result<Option<HttpRequest>, Failure> {
        let Some(location) = head.headers().get(LOCATION).filter(|_| self.flags.curl.location) else {
            return Ok(None);
        };
        let max = self.flags.curl.max_redirs.unwrap_or(MAX_REDIRECTS);
        let next = request.redirected(self.flags, head.parts.status, location)?;
        match next {
            Some(_) if self.transfer.redirects() >= max => Err(self.errors.too_many_redirects(max)),
            Some(next) if !next.is_repeatable() => Err(self.errors.cannot_repeat("the server redirects")),
            next => Ok(next),
        }
    }

    /// Prints a response, with its status and headers if requested.
    async fn show(&self, head: &ResponseHead, mut body: Body) -> Result<Exit, Failure> {
        let mut answer = ResponsePrinter::start(self.flags, head)?;
        let mut trailers = None;
        loop {
            let frame = self.within(render::next(&mut body), "the response is not complete").await;
            match frame.map_err(|failure| answer.abandon(failure))? {
                None => break,
                Some(frame) => match frame.into_data() {
                    Ok(data) => {
                        self.transfer.received(data.len());
                        answer.put(&data)?;
                    }
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        let reported = answer.finish(trailers.as_ref())?;
        let is_failure = self.flags.fail || self.flags.curl.fail_with_body;
        match reported {
            Some(error) => Err(self.errors.reported(&error)),
            None if is_failure && head.status() >= 400 => Ok(Exit::HttpStatus),
            None => Ok(Exit::Done),
        }
    }

    async fn upgrade(&self, answer: Response<Body>, received: Vec<u8>) -> Result<Done, Failure> {
        let status = answer.status();
        let is_upgraded = status == StatusCode::SWITCHING_PROTOCOLS
            || (status == StatusCode::OK && streams::is_docker_stream(answer.headers()));
        if is_upgraded {
            let (stream, first, parts) = self.take_stream(answer).await?;
            let head = ResponseHead::new(parts, received);
            return Ok(Done::Upgraded(Box::new(upgrade::Upgraded { stream, head, first })));
        }
        let (parts, body) = answer.into_parts();
        let exit = self.show(&ResponseHead::new(parts, received), body).await?;
        if exit != Exit::Done {
            return Ok(Done::Answered(exit));
        }
        Err(self.errors.not_upgraded(status))
    }

    async fn take_stream(
        &self,
        answer: Response<Body>,
    ) -> Result<(Stream, Bytes, http::response::Parts), Failure> {
        let mut parts = Response::new(()).into_parts().0;
        (parts.status, parts.version, parts.headers) =
            (answer.status(), answer.version(), answer.headers().clone());
        let upgraded = stoop_http::upgraded(answer);
        let (stream, first) = self.within(upgraded, "the connection was not upgraded").await?;
        Ok((stream.try_into()?, first, parts))
    }

    /// Waits for a future until the deadline.
    async fn within<T>(
        &self,
        done: impl Future<Output = stoop_http::Result<T>>,
        late: &str,
    ) -> Result<T, Failure> {
        let result = match self.limit.get().at() {
            None => done.await,
            Some(end) => {
                // The connection is open as long as this is not dropped.
                let mut done = pin!(done);
                match tokio::time::timeout_at(end.into(), done.as_mut()).await {
                    Ok(result) => result,
                    Err(_) => {
                        self.cause.set(Cause::TimedOut);
                        return Err(self.errors.late(late));
                    }
                }
            }
        };
        result.map_err(|error| self.errors.explain(&error))
    }

    fn repeats(&self, request: &HttpRequest) -> bool {
        let is_asked = self.left.get() > 0 && retry::repeats(&self.flags.curl, self.cause.get());
        is_asked && self.may_repeat(request)
    }

    /// Returns whether the same request can be made on another connection. An inherited one cannot
    /// be made again, and what was printed is not taken back.
    fn may_repeat(&self, request: &HttpRequest) -> bool {
        request.is_repeatable() && !self.is_inherited() && !self.transfer.has_printed()
    }

    fn is_inherited(&self) -> bool {
        matches!(&self.flags.endpoint, Endpoint::At(target) if matches!(target.place, Place::Descriptor(_)))
    }

    fn check_again(&self) -> Result<(), Failure> {
        match self.is_inherited() {
            true => Err(self
                .errors
                .cannot_repeat("the server redirects, and an inherited connection is used once")),
            false => Ok(()),
        }
    }

    /// Waits before the next attempt.
    fn pause(&self, why: &str, asked: Option<Duration>) {
        let curl = &self.flags.curl;
        let left = self.left.get() - 1;
        self.left.set(left);
        let pause = retry::delay(curl, curl.retry.unwrap_or(0) - left - 1, asked);
        let shown = crate::time::show(pause);
        status(&format!("stoop: {why}; again in {shown}, {left} more after that\n"));
        thread::sleep(pause);
        self.limit.set(Deadline::from_now(self.flags.timeout));
    }
}

/// Accepts what curl accepts, and records the head if it is shown.
fn settings(flags: &Http) -> Settings {
    let settings = internal::title_case(Settings::new().max_headers(MAX_HEADERS).lenient_headers(true));
    let is_shown = flags.include || flags.curl.head || flags.curl.verbose || flags.curl.dump_header.is_some();
    match is_shown {
        true => internal::recording(settings, HEAD_MAX_BYTES),
        false => settings,
    }
}
