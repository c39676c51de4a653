//! After an upgrade: sends input to the server and prints its output, concurrently, each direction
//! to its own end.

use std::sync::Arc;

use bytes::Bytes;
use stoop::Stream;
use stoop::internal::Connection;

use super::docker::Process;
use super::head::ResponseHead;
use super::streams::{Multiplexed, Streams};
use super::{process, render};
use crate::args::Http;
use crate::commands::connect::{AtEnd, Upstream, settle};
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::output::Screen;
use crate::pump::{Input, Progress, Receiver, Sink, Split, pump};
use crate::raw_mode::{Passthrough, RawMode};

/// A connection after the HTTP upgrade.
pub(super) struct Upgraded {
    pub(super) stream: Stream,
    pub(super) head: ResponseHead,
    /// Bytes that the server sent directly after its response.
    pub(super) first: Bytes,
}

/// Runs until both directions have ended, or the server has closed the connection. If it was that
/// of a process of Docker, its exit code becomes that of this command.
pub(super) fn run(flags: &Http, path: &str, upgraded: Upgraded) -> Outcome {
    let process = Process::of(path);
    let outcome = converse(flags, process.as_ref(), upgraded)?;
    match process.and_then(|process| process::exit_code(flags, &process)) {
        Some(code) if outcome == Exit::Done => Ok(Exit::Process(code)),
        _ => Ok(outcome),
    }
}

fn converse(flags: &Http, process: Option<&Process>, upgraded: Upgraded) -> Outcome {
    let Upgraded { stream, head, first } = upgraded;
    render::announce(flags, &head)?;
    let keys = flags.tty.then(RawMode::enable).transpose()?;
    if let (Some(process), true) = (process, flags.tty) {
        process::keep_size(&flags.endpoint, process)?;
    }
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

fn demultiplexed(flags: &Http, head: &ResponseHead) -> Streams {
    let multiplexed = if flags.raw { Multiplexed::No } else { Multiplexed::of(head.headers()) };
    Streams::new(multiplexed, Box::new(Screen::new(None)), Box::new(Screen::on_stderr()))
}
