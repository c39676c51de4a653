//! Opens a recording, plays or prints it, and reports how it went.

use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use stoop::internal::Place;
use stoop::{Connect, Datagram, Kind};
use stoop_relay::record::{Entry, Record, Recording, Side, Tail};

use super::args::{Replay, Server};
use super::player::{Player, Rules, Stop, Tally};
use super::show::Shown;
use super::wire::Wire;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Output};
use crate::signals::Signals;
use crate::target::{self, BoundSocket};

/// Plays or prints the recording.
pub(crate) fn run(flags: &Replay) -> Outcome {
    flags.quiet.apply();
    let output = Output::new(flags.json, false);
    let mut recording = open(flags)?;
    if flags.show {
        return show(recording, output);
    }
    let first = next(&mut recording, flags)?;
    let Some(Record { entry: Entry::Started { kind, .. }, .. }) = first else {
        return Err(no_start(flags));
    };
    let (tally, result) = match (&flags.address, &flags.serve) {
        (Some(address), _) => play(flags, recording, Side::Client, || connect(address, kind, flags.timeout))?,
        (None, Some(listen)) if kind != Kind::Datagram => {
            // From here on, a signal removes the socket file again.
            let signals = Signals::catch()?;
            let bound = target::serve(listen, kind, &flags.bind, |bind, _| bind)?;
            play(flags, recording, Side::Server, || accept(&bound, &signals))?
        }
        (None, None) => {
            return Err(Failure::usage(
                "nothing is said to play the recording to",
                "a server to play the clients to, --serve LISTEN to play the server, or --show is needed",
            ));
        }
        (None, Some(_)) => {
            return Err(Failure::usage(
                "a recording of datagrams cannot be served",
                "datagrams have no connections that could be told apart; play the clients to a server instead",
            ));
        }
    };
    report(&tally, result, output)
}

fn open(flags: &Replay) -> Result<Recording, Failure> {
    let file = flags.file.display();
    Recording::open(&flags.file).map_err(|error| Failure::io(format!("read the recording '{file}'"), &error))
}

fn next(recording: &mut Recording, flags: &Replay) -> Result<Option<Record>, Failure> {
    let file = flags.file.display();
    let failed = |error| Failure::io(format!("read the recording '{file}'"), &error);
    recording.next().transpose().map_err(failed)
}

fn no_start(flags: &Replay) -> Failure {
    Failure::new(Exit::Failed, format!("nothing is recorded in '{}'", flags.file.display()))
        .why("its first record is missing or damaged")
        .into()
}

fn show(mut recording: Recording, output: Output) -> Outcome {
    for record in recording.by_ref() {
        let record = record.map_err(|error| Failure::io("read the recording", &error))?;
        output.emit(&Event::Record(Shown(record)))?;
    }
    output.emit(&tail_event(recording.tail()))?;
    Ok(if matches!(recording.tail(), Some(Tail::Damaged { .. })) { Exit::Partial } else { Exit::Done })
}

fn tail_event(tail: Option<Tail>) -> Event {
    let (end, offset) = match tail {
        Some(Tail::Stopped) | None => ("stopped", None),
        Some(Tail::Open { offset }) => ("open", Some(offset)),
        Some(Tail::Incomplete { offset }) => ("incomplete", Some(offset)),
        Some(Tail::Damaged { offset }) => ("damaged", Some(offset)),
        Some(_) => ("unknown", None),
    };
    Event::RecordingEnd { end, offset }
}

/// Plays all records of one side.
fn play(
    flags: &Replay,
    mut recording: Recording,
    side: Side,
    connect: impl FnMut() -> Result<Wire, Failure>,
) -> Result<(Tally, Result<Option<Tail>, Stop>), Failure> {
    let rules = Rules {
        side,
        speed: flags.speed,
        how: flags.compare,
        ignore: flags.ignore.clone(),
        only: flags.connection.clone(),
        timeout: flags.timeout,
        #[cfg(feature = "grpc")]
        schemas: super::compare::Schemas::new(crate::commands::grpc::schema::given(&flags.schema)?),
    };
    let mut player = Player::new(rules, connect);
    while let Some(record) = next(&mut recording, flags)? {
        if let Err(stop) = player.play(record) {
            return Ok((player.tally, Err(stop)));
        }
    }
    Ok((player.tally, Ok(recording.tail())))
}

fn connect(address: &Server, kind: Kind, limit: Duration) -> Result<Wire, Failure> {
    let endpoint = match address {
        Server::Tcp(place) => {
            let failed = |error| Failure::io(format!("connect to 'tcp:{place}'"), &error);
            return TcpStream::connect(place).map(Wire::Tcp).map_err(failed);
        }
        Server::Unix(endpoint) => endpoint,
    };
    let (target, _) = endpoint.target()?;
    let Place::Address(address) = target.place else {
        return Err(Failure::usage(format!("'{endpoint}' cannot be connected to"), target::NOT_AN_ADDRESS));
    };
    let connect = Connect::new(&address).timeout(limit);
    match kind {
        Kind::Stream => connect.stream().map(Wire::Stream),
        Kind::SeqPacket => connect.seqpacket().map(Wire::SeqPacket),
        Kind::Datagram => Datagram::client(&address).map(Wire::Datagram),
    }
    .map_err(|error| Failure::from(error).on(endpoint))
}

/// Waits for the next client, or for a signal.
fn accept(bound: &BoundSocket, signals: &Signals) -> Result<Wire, Failure> {
    let mut entries = [PollFd::new(signals, PollFlags::IN), PollFd::new(bound.socket(), PollFlags::IN)];
    let waited = retry_on_intr(|| poll(&mut entries, None::<&Timespec>));
    waited.map_err(|errno| Failure::io("wait for a client", &errno.into()))?;
    if !entries[0].revents().is_empty() {
        return Err(Failure::Quit);
    }
    match bound {
        BoundSocket::Stream(listener) => Ok(Wire::Stream(listener.accept()?.0)),
        BoundSocket::SeqPacket(listener) => Ok(Wire::SeqPacket(listener.accept()?.0)),
        BoundSocket::Datagram(_) => {
            Err(Failure::usage("datagrams are not accepted", "they have no connections"))
        }
    }
}

fn report(tally: &Tally, result: Result<Option<Tail>, Stop>, output: Output) -> Outcome {
    let (tail, different) = match result {
        Ok(tail) => (tail, None),
        Err(Stop::Failed(failure)) => return Err(failure),
        Err(Stop::Different { connection, time, difference }) => (None, Some((connection, time, difference))),
    };
    if tally.masked_bytes > 0 {
        warn(output, format!("{} masked bytes were sent as asterisks", tally.masked_bytes))?;
    }
    if tally.descriptors > 0 {
        warn(output, format!("{} recorded file descriptors were not sent", tally.descriptors))?;
    }
    if matches!(tail, Some(Tail::Incomplete { .. } | Tail::Damaged { .. })) {
        warn(output, "the recording ends with a record that is not whole".to_owned())?;
    }
    let is_same = different.is_none();
    if let Some((connection, time, difference)) = different {
        output.emit(&Event::Difference {
            connection,
            time_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
            place: difference.place,
            request: difference.request,
            recorded: difference.recorded,
            now: difference.now,
        })?;
    }
    output.emit(&Event::Replayed {
        connections: tally.connections,
        sent_bytes: tally.sent_bytes,
        compared_bytes: tally.compared_bytes,
        same: is_same,
    })?;
    Ok(if is_same { Exit::Done } else { Exit::No })
}

fn warn(output: Output, text: String) -> Result<(), Failure> {
    output.warn(&Failure::new(Exit::Partial, text))
}
