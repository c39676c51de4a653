//! `stoop connect`: a conversation. Input goes to the server, what it says goes to the output, at
//! the same time.
//!
//! | what | where |
//! |---|---|
//! | our input, on its way to the server | `upstream.rs` |
//! | when a conversation in datagrams is over | `datagram.rs` |
//! | editing lines at a terminal | `terminal.rs` |

mod datagram;
mod terminal;
mod upstream;

use std::io::IsTerminal;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::{Connection, Datagram, Kind};

use crate::args::Connect;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Output, Screen, Text, Who, Word};
use crate::passed::Passed;
use crate::pump::{Cut, End, Input, Progress, Receiver, Sink, Source, descriptor, pump, socket};
use crate::target;
use datagram::Conversation;
use terminal::Terminal;
pub(crate) use upstream::Upstream;

/// Talks until one side has had enough.
pub(crate) fn run(flags: &Connect) -> Outcome {
    let passed = Passed::named(&flags.address, flags.reach.kind.kind)?;
    let connection = target::connect(&flags.address, passed, &flags.reach, flags.timeout);
    let connection = connection.map_err(|failure| failure.in_vain(flags.reach.wait, str::to_owned))?;
    let (connection, _own_file) = apart(connection)?;
    check(flags, connection.kind())?;
    if let Connection::SeqPacket(socket) = &*connection {
        // Only so can an empty message be told from the end (K-DGRAM-13).
        socket.set_pass_credentials(true)?;
    }
    let mut terminal = if flags.whole { None } else { Terminal::open() };
    if terminal.is_some() {
        greet(flags, &connection)?;
    }
    let mut screen = Screen::new(terminal.as_mut().map(Terminal::printer));
    let input =
        terminal.as_mut().and_then(Terminal::editor).unwrap_or_else(|| standard_input(flags, &connection));
    let outcome = converse(flags, &connection, input, &mut screen);
    if let Some(terminal) = &mut terminal {
        terminal.settle();
    }
    outcome.map_err(|failure| failure.on(&flags.address))
}

/// The connection to share with the thread that sends, which may outlive the conversation; and what
/// has the file of a datagram socket's own address, which is to go when the conversation is over.
fn apart(connection: Connection) -> Result<(Arc<Connection>, Option<Datagram>), Failure> {
    Ok(match connection {
        Connection::Datagram(socket) => (Arc::new(Connection::Datagram(socket.try_clone()?)), Some(socket)),
        connection => (Arc::new(connection), None),
    })
}

fn converse(
    flags: &Connect,
    connection: &Arc<Connection>,
    input: Box<dyn Source + Send>,
    screen: &mut Screen,
) -> Outcome {
    let upstream = Upstream::start(Arc::clone(connection), input)?;
    let mut heard: Box<dyn Source> = match &**connection {
        Connection::Datagram(socket) => Box::new(Conversation::new(socket, &upstream, flags)?),
        _ => Box::new(Receiver::new(connection)),
    };
    let end = pump(&mut *heard, screen, &Progress::default());
    drop(heard);
    screen.finish()?;
    settle(end, connection, upstream)
}

/// How a conversation ends whose hearing has come to this end.
pub(crate) fn settle(end: End, connection: &Connection, upstream: Upstream) -> Outcome {
    match end {
        End::Finished => conclude(connection, upstream),
        // Where our own side failed first, this is only what came of it.
        End::Source(_) if upstream.has_failed() => conclude(connection, upstream),
        End::Source(failure) | End::Sink(failure) => Err(failure),
    }
}

/// The server has ended its side. Ours goes on where it still listens; else it is over, and input
/// that is left could not be delivered.
fn conclude(connection: &Connection, upstream: Upstream) -> Outcome {
    let nobody_waits_for_us = std::io::stdin().is_terminal() || connection.kind() == Kind::Datagram;
    while !upstream.is_finished() {
        let hung_up = has_hung_up(connection);
        if nobody_waits_for_us || (hung_up && upstream.waits_for_input()) {
            return Ok(Exit::Done);
        }
        wait_for_change(connection, &upstream, hung_up);
    }
    upstream.join().failure().map_or(Ok(Exit::Done), Err)
}

/// Waits until all input has been sent, or the peer hangs up. Where it has already, the input in
/// hand cannot be delivered, which shows in a moment.
fn wait_for_change(connection: &Connection, upstream: &Upstream, hung_up: bool) {
    const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    let ended = PollFd::new(upstream, PollFlags::IN);
    // A signal is a change, too: it is looked at again.
    let _ = match hung_up {
        true => poll(&mut [ended], Some(&A_MOMENT)),
        false => {
            let peer = PollFd::from_borrowed_fd(descriptor(connection), PollFlags::empty());
            poll(&mut [ended, peer], None)
        }
    };
}

/// Whether the peer has closed altogether, and not only its own side.
fn has_hung_up(connection: &Connection) -> bool {
    let mut entry = [PollFd::from_borrowed_fd(descriptor(connection), PollFlags::empty())];
    poll(&mut entry, Some(&Timespec::default())).is_ok() && entry[0].revents().contains(PollFlags::HUP)
}

/// Some flags have a meaning for some kinds only, and the kind is known only now.
fn check(flags: &Connect, kind: Kind) -> Result<(), Failure> {
    let not_for = |flag: &str| {
        Err(Failure::usage(format!("{flag} means nothing here: '{}' is a {kind} socket", flags.address)))
    };
    match kind {
        Kind::Stream if flags.whole => not_for("--whole"),
        Kind::Stream | Kind::SeqPacket if flags.idle.is_some() => not_for("--idle"),
        Kind::Stream | Kind::SeqPacket if flags.replies.is_some() => not_for("--replies"),
        _ => Ok(()),
    }
}

fn greet(flags: &Connect, connection: &Connection) -> Result<(), Failure> {
    let (address, kind) = (Text(flags.address.to_string()), Word(connection.kind()));
    let peer = Who::from(&socket(connection).peer());
    Output::new(false, false).emit(&Event::Connected { address, kind, peer })
}

fn standard_input(flags: &Connect, connection: &Connection) -> Box<dyn Source + Send> {
    let cut = match connection.kind() {
        Kind::Stream => Cut::Anywhere,
        _ if flags.whole => Cut::Whole,
        _ => Cut::Lines,
    };
    Box::new(Input::new(std::io::stdin(), cut, "standard input"))
}
