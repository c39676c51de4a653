//! Starts the relay, reports what happens, and stops it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::internal::Place;
use stoop::{Address, Kind};
use stoop_relay::{Counts, Ended, Event as Happened, Running};

use super::args::Relay;
use super::place::{Front, HostAndPort, Server};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, describe};
use crate::output::{ErrorLog, Event, Output, PeerInfo, Text, Word};
use crate::signals::Signals;
use crate::target::{self, BoundSocket};

/// How often a signal is looked for while connections end.
const PAUSE: Duration = Duration::from_millis(50);

/// Relays until a signal arrives.
pub(crate) fn run(flags: &Relay) -> Outcome {
    flags.quiet.apply();
    // Before anything is created: from here on, a signal removes the socket file again.
    let signals = Signals::catch()?;
    let output = Output::new(flags.json, false);
    let errors = Arc::new(ErrorLog::new(output));
    let server = resolve(&flags.connect)?;
    let kind = kind_of(flags, &server)?;
    let bound = bind(flags, kind)?;
    let listening = bound.announcement();
    let relay = build(flags, &server, output, Arc::clone(&errors));
    let started = match bound {
        Bound::Unix(socket) => match *socket {
            BoundSocket::Stream(listener) => relay.start(listener),
            BoundSocket::SeqPacket(listener) => relay.start(listener),
            BoundSocket::Datagram(socket) => relay.start(socket),
        },
        Bound::Tcp(listener, _) => relay.start(listener),
    };
    let running = started.map_err(|error| Failure::io("start the relay", &error))?;
    output.tell(&listening)?;
    signals.take();
    let counts = stop(running, flags.grace, &signals, output);
    errors.flush();
    output.note(&relayed(&counts));
    Ok(Exit::Done)
}

/// The server, after a name has been looked up.
enum Resolved {
    Unix(Address, Option<Kind>),
    Tcp(HostAndPort),
}

fn resolve(server: &Server) -> Result<Resolved, Failure> {
    let endpoint = match server {
        Server::Tcp(place) => return Ok(Resolved::Tcp(place.clone())),
        Server::Unix(endpoint) => endpoint,
    };
    let (target, _) = endpoint.target()?;
    match target.place {
        Place::Address(address) => Ok(Resolved::Unix(address, target.kind)),
        _ => Err(Failure::usage(format!("'{server}' cannot be relayed to"), target::NOT_AN_ADDRESS)),
    }
}

/// Returns the kind of both sides: as either address says, else a stream.
fn kind_of(flags: &Relay, server: &Resolved) -> Result<Kind, Failure> {
    let front = match &flags.listen {
        Front::Unix(target) => target::kind_of(target, flags.bind.kind.kind)?,
        Front::Tcp(_) => Some(Kind::Stream),
    };
    let of_server = match server {
        Resolved::Tcp(_) => Some(Kind::Stream),
        Resolved::Unix(_, Some(kind)) => Some(*kind),
        Resolved::Unix(..) => None,
    };
    match (front, of_server) {
        (Some(front), Some(other)) if front != other => Err(Failure::usage(
            format!("a {front} socket cannot be relayed to a {other} socket"),
            "a stream has no boundaries, so messages would be merged and cut; both sides must be of one kind",
        )),
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None) => Ok(Kind::Stream),
    }
}

/// A socket for clients.
enum Bound {
    Unix(Box<BoundSocket>),
    Tcp(TcpListener, HostAndPort),
}

fn bind(flags: &Relay, kind: Kind) -> Result<Bound, Failure> {
    match &flags.listen {
        Front::Tcp(place) => match TcpListener::bind((place.host.as_str(), place.port)) {
            Ok(listener) => {
                let port = listener.local_addr().map_or(place.port, |address| address.port());
                Ok(Bound::Tcp(listener, HostAndPort { host: place.host.clone(), port }))
            }
            Err(error) => Err(not_listening(place, &error)),
        },
        Front::Unix(target) => {
            let adjust = |bind: stoop::Bind, _| match &target.place {
                Place::Address(address) if flags.no_descriptors => {
                    bind.policy(target::policy(address, &flags.bind).refuse_descriptors())
                }
                _ => bind,
            };
            target::serve(target, kind, &flags.bind, adjust).map(|socket| Bound::Unix(Box::new(socket)))
        }
    }
}

fn not_listening(place: &HostAndPort, error: &std::io::Error) -> Failure {
    let report = Failure::new(Exit::Failed, format!("cannot listen at {place}: {}", describe(error)));
    let port = place.port;
    match error.kind() {
        ErrorKind::AddrInUse => report
            .why("another program listens at this port")
            .next(format!("ss -ltnp 'sport = :{port}'    # which one"))
            .next(format!("stoop relay tcp:{}:0 …    # any free port", place.host)),
        ErrorKind::PermissionDenied => report
            .why("ports below 1024 are for root, or for programs with CAP_NET_BIND_SERVICE")
            .next("# use a port from 1024 on"),
        ErrorKind::AddrNotAvailable => report
            .why("no network interface of this machine has this address")
            .next("ip -brief address    # those that there are"),
        _ => report.why("the host could not be looked up").next(format!("getent hosts {}", place.host)),
    }
    .into()
}

impl Bound {
    fn announcement(&self) -> Event {
        let (address, kind, mode) = match self {
            Bound::Tcp(_, place) => (Text(place.to_string()), Kind::Stream, None),
            Bound::Unix(socket) => {
                let file = socket.file().map(|file| file.path());
                let address = match file.and_then(|path| Address::path(path).ok()) {
                    Some(address) => Text::from(&address),
                    None => socket
                        .socket()
                        .local_addr()
                        .map_or(Text(String::new()), |address| Text::from(&address)),
                };
                let mode = file.and_then(|path| std::fs::symlink_metadata(path).ok());
                (address, socket.kind(), mode.map(|mode| format!("{:o}", mode.permissions().mode() & 0o7777)))
            }
        };
        Event::Listening { address, kind: Word(kind), answer: "relay", mode, inherited: false }
    }
}

fn build(flags: &Relay, server: &Resolved, output: Output, errors: Arc<ErrorLog>) -> stoop_relay::Relay {
    let server = match server {
        Resolved::Unix(address, _) => stoop_relay::Server::unix(address.clone()),
        Resolved::Tcp(place) => stoop_relay::Server::tcp(&place.host, place.port),
    };
    let mut relay = stoop_relay::Relay::to(server)
        .descriptors(!flags.no_descriptors)
        .on_event(move |happened| report(happened, output, &errors));
    if let Some(clients) = flags.max_connections {
        relay = relay.max_connections(clients as usize);
    }
    if let Some(limit) = flags.idle_timeout {
        relay = relay.idle_timeout(limit);
    }
    relay
}

/// Reports what happened to a client.
fn report(happened: Happened, output: Output, errors: &ErrorLog) {
    match happened {
        Happened::Accepted { number, pid, uid } if output.is_json() => {
            output.note(&Event::Accepted { connection: number, peer: PeerInfo::new(pid, uid, None) });
        }
        Happened::Refused { pid, uid, reason } => output.note(&Event::refused(pid, uid, reason)),
        Happened::Unreached { error, .. } => {
            errors.report(None, format!("a client was closed: the server cannot be reached: {error}"));
        }
        Happened::NotAccepted { error } => errors.report(None, format!("cannot accept a client: {error}")),
        Happened::Closed { number, bytes_up, bytes_down, ended } => output.note(&Event::Closed {
            connection: number,
            received_bytes: Some(bytes_up),
            sent_bytes: Some(bytes_down),
            exit_status: None,
            error: why(&ended),
        }),
        _ => {}
    }
}

/// Says why a connection ended, unless its ends closed it.
fn why(ended: &Ended) -> Option<String> {
    match ended {
        Ended::Idle => Some("nothing came for the time of --idle-timeout".into()),
        Ended::Stopped => Some("the relay was stopped".into()),
        Ended::Failed(error) => Some(error.to_string()),
        _ => None,
    }
}

/// Stops gracefully; a second signal stops at once.
fn stop(running: Running, grace: Duration, signals: &Signals, output: Output) -> Counts {
    let counts = running.counts();
    let connections = running.connections();
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    output.note(&Event::Stopping { connections, grace_ms });
    let (sender, stopped) = channel();
    let stopping = thread::Builder::new().name("stop".into()).spawn(move || {
        // Nobody waits for it if a second signal came.
        let _ = sender.send(running.stop(grace).0);
    });
    if stopping.is_err() {
        return counts;
    }
    loop {
        match stopped.recv_timeout(PAUSE) {
            Ok(counts) => return counts,
            Err(RecvTimeoutError::Disconnected) => return counts,
            Err(RecvTimeoutError::Timeout) if has_signal(signals) => return counts,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn has_signal(signals: &Signals) -> bool {
    let mut entries = [PollFd::new(signals, PollFlags::IN)];
    poll(&mut entries, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn relayed(counts: &Counts) -> Event {
    Event::Relayed { counts: counts.named().collect() }
}
