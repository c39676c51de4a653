//! Connects, and runs the conversation to its end.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::internal::Connection;
use stoop::{Datagram, Kind, SocketExt};

use super::datagram::Conversation;
use super::render::JsonLines;
use super::terminal::Terminal;
use super::upstream::{AtEnd, Upstream};
use crate::advice::Client;
use crate::args::Connect;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Output, PeerInfo, Screen, Text, Word};
use crate::pump::{End, Input, Progress, Receiver, Sink, Source, Split, descriptor, pump, socket};
use crate::shell::quoted;

/// Runs the conversation until one side ends it.
pub(crate) fn run(flags: &Connect) -> Outcome {
    flags.quiet.apply();
    let inherited = flags.address.inherited(flags.connect.kind.kind)?;
    let reached = flags.address.connect(inherited, &flags.connect, flags.timeout);
    let reached = reached.map_err(|failure| failure.for_client(flags.connect.wait, Client::connect))?;
    if let Some(found) = reached.event() {
        Output::new(flags.json, false).tell(&found)?;
    }
    let (connection, _own_file) = split_datagram(reached.connection)?;
    check(flags, connection.kind())?;
    if let Connection::SeqPacket(socket) = &*connection {
        // This is the only way to distinguish an empty message from the end (K-DGRAM-13).
        socket.set_pass_credentials(true)?;
    }
    let mut terminal = if flags.whole || flags.json { None } else { Terminal::open(!flags.no_history) };
    if terminal.is_some() || flags.json {
        report_connected(flags, &connection)?;
    }
    let mut sink: Box<dyn Sink> = match flags.json {
        true => Box::new(JsonLines::new(Output::new(true, false), &connection)),
        false => Box::new(Screen::new(terminal.as_mut().map(Terminal::printer))),
    };
    let input =
        terminal.as_mut().and_then(Terminal::editor).unwrap_or_else(|| standard_input(flags, &connection));
    let outcome = converse(flags, &connection, input, &mut *sink);
    if let Some(terminal) = &mut terminal {
        terminal.settle();
    }
    outcome.map_err(|failure| failure.on(&flags.address))
}

/// Splits the connection. The first value is shared with the sending thread, which may outlive the
/// conversation. The second owns the file of a datagram socket's own address, which must be removed
/// at the end of the conversation.
fn split_datagram(connection: Connection) -> Result<(Arc<Connection>, Option<Datagram>), Failure> {
    Ok(match connection {
        Connection::Datagram(socket) => (Arc::new(Connection::Datagram(socket.try_clone()?)), Some(socket)),
        connection => (Arc::new(connection), None),
    })
}

fn converse(
    flags: &Connect,
    connection: &Arc<Connection>,
    input: Box<dyn Source + Send>,
    sink: &mut dyn Sink,
) -> Outcome {
    let at_end = if flags.keep_open { AtEnd::KeepOpen } else { AtEnd::ShutDown };
    let upstream = Upstream::start(Arc::clone(connection), input, at_end)?;
    let mut heard: Box<dyn Source> = match &**connection {
        Connection::Datagram(socket) => Box::new(Conversation::new(socket, &upstream, flags)?),
        _ => Box::new(Receiver::new(connection)),
    };
    let received = Progress::default();
    let end = pump(&mut *heard, sink, &received);
    drop(heard);
    sink.finish()?;
    let (is_answered, sending) = (received.pieces() > 0, upstream.state());
    let is_empty = !is_answered && matches!(end, End::Finished);
    let exit = settle(end, connection, upstream)
        .map_err(|failure| if is_answered { failure } else { failure.on(&flags.address).unanswered() })?;
    // A server that closes before the input ends fails even if nothing was sent yet, since that is a
    // matter of time. Messages may be sent to a receiver that never answers.
    let is_early = !sending.is_finished() && connection.kind() != Kind::Datagram;
    if is_empty && (is_early || connection.kind() == Kind::Stream && sending.has_sent()) {
        let address = quoted(OsStr::new(&flags.address.to_string()));
        let again = (!flags.keep_open && !is_early).then(|| format!("stoop connect {address} --keep-open"));
        return Err(Failure::no_answer(&flags.address, again));
    }
    Ok(exit)
}

/// Determines the result of a conversation whose receiving side has ended like this.
pub(crate) fn settle(end: End, connection: &Connection, upstream: Upstream) -> Outcome {
    match end {
        End::Finished => conclude(connection, upstream),
        // If the sending side failed first, this failure only follows from it.
        End::Source(_) if upstream.has_failed() => conclude(connection, upstream),
        End::Source(failure) | End::Sink(failure) => Err(failure),
    }
}

/// Handles the end of the server's output. If the server still reads, sending continues. Otherwise
/// the conversation is over, and the remaining input could not be delivered.
fn conclude(connection: &Connection, upstream: Upstream) -> Outcome {
    let is_input_optional = std::io::stdin().is_terminal() || connection.kind() == Kind::Datagram;
    while !upstream.is_finished() {
        let hung_up = has_hung_up(connection);
        if is_input_optional || (hung_up && upstream.waits_for_input()) {
            return Ok(Exit::Done);
        }
        wait_for_change(connection, &upstream, hung_up);
    }
    upstream.join().failure().map_or(Ok(Exit::Done), Err)
}

/// Waits until all input has been sent, or the peer hangs up. If it has hung up already, the input
/// at hand cannot be delivered, and sending fails in a moment.
fn wait_for_change(connection: &Connection, upstream: &Upstream, hung_up: bool) {
    const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    let ended = PollFd::new(upstream, PollFlags::IN);
    // A signal counts as a change too: the caller checks again.
    let _ = match hung_up {
        true => poll(&mut [ended], Some(&A_MOMENT)),
        false => {
            let peer = PollFd::from_borrowed_fd(descriptor(connection), PollFlags::empty());
            poll(&mut [ended, peer], None)
        }
    };
}

/// Returns whether the peer has closed the connection, instead of only shutting down its own side.
fn has_hung_up(connection: &Connection) -> bool {
    let mut entry = [PollFd::from_borrowed_fd(descriptor(connection), PollFlags::empty())];
    poll(&mut entry, Some(&Timespec::default())).is_ok() && entry[0].revents().contains(PollFlags::HUP)
}

/// Refuses flags that do not apply to this kind of socket, which is only known now.
fn check(flags: &Connect, kind: Kind) -> Result<(), Failure> {
    let not_for = |flag: &str| {
        Err(Failure::usage(
            format!("{flag} cannot be used"),
            format!("'{}' is a {kind} socket", flags.address),
        ))
    };
    match kind {
        Kind::Stream if flags.whole => not_for("--whole"),
        Kind::Datagram if flags.keep_open => not_for("--keep-open"),
        Kind::Stream | Kind::SeqPacket if flags.idle.is_some() => not_for("--idle"),
        Kind::Stream | Kind::SeqPacket if flags.count.is_some() => not_for("--count"),
        _ => Ok(()),
    }
}

fn report_connected(flags: &Connect, connection: &Connection) -> Result<(), Failure> {
    let (address, kind) = (Text(flags.address.to_string()), Word(connection.kind()));
    let peer = PeerInfo::from(&socket(connection).peer());
    Output::new(flags.json, false).emit(&Event::Connected { address, kind, peer })
}

fn standard_input(flags: &Connect, connection: &Connection) -> Box<dyn Source + Send> {
    let split = match connection.kind() {
        Kind::Stream => Split::AsRead,
        _ if flags.whole => Split::Whole,
        _ => Split::Lines,
    };
    Box::new(Input::new(std::io::stdin(), split, "standard input"))
}
