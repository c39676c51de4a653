//! After an upgrade: sends input to the server and prints its output, concurrently, each direction
//! to its own end.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::response::Parts;
use stoop::Stream;
use stoop::internal::Connection;
use stoop_http::Body;

use super::raw_mode::{Passthrough, RawMode};
use super::render;
use super::run::Session;
use super::streams::{Multiplexed, Streams};
use crate::args::Http;
use crate::commands::connect::{AtEnd, Upstream, settle};
use crate::failure::Outcome;
use crate::output::Screen;
use crate::pump::{Input, Progress, Receiver, Sink, Split, pump};

/// A connection after the HTTP upgrade.
pub(super) struct Upgraded {
    stream: Stream,
    head: Parts,
    /// Bytes that the server sent directly after its response.
    first: Bytes,
}

impl Upgraded {
    pub(super) async fn take(
        answer: Response<Body>,
        session: &Session<'_>,
    ) -> Result<Upgraded, crate::failure::Failure> {
        let mut head = Response::new(()).into_parts().0;
        (head.status, head.version, head.headers) =
            (answer.status(), answer.version(), answer.headers().clone());
        let upgraded = stoop_http::upgraded(answer);
        let (stream, first) = session.within(upgraded, "the connection was not upgraded").await?;
        Ok(Upgraded { stream: stream.try_into()?, head, first })
    }
}

/// Runs until both directions have ended, or the server has closed the connection.
pub(super) fn run(flags: &Http, upgraded: Upgraded) -> Outcome {
    let Upgraded { stream, head, first } = upgraded;
    render::announce(flags, &head)?;
    let keys = flags.tty.then(RawMode::enable).transpose()?;
    let mut streams: Box<dyn Sink> = match &keys {
        Some(_) => Box::new(Passthrough),
        None => Box::new(demultiplexed(flags, &head)),
    };
    streams.put(&first)?;
    let connection = Arc::new(Connection::Stream(stream));
    let input = Box::new(Input::new(std::io::stdin(), Split::AsRead, "standard input"));
    let upstream = Upstream::start(Arc::clone(&connection), input, AtEnd::ShutDown)?;
    let end = pump(&mut Receiver::new(&connection), &mut *streams, &Progress::default());
    drop(keys);
    streams.finish()?;
    settle(end, &connection, upstream)
}

fn demultiplexed(flags: &Http, head: &Parts) -> Streams {
    let multiplexed = if flags.raw { Multiplexed::No } else { Multiplexed::of(&head.headers) };
    Streams::new(multiplexed, Box::new(Screen::new(None)), Box::new(Screen::on_stderr()))
}
