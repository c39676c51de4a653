//! Starts the relay, reports what happens, and stops it.

use std::io::{PipeReader, PipeWriter, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::SIGUSR1;
use stoop::internal::{Operation, Place, Target};
use stoop::{Address, Kind, Policy};
use stoop_relay::{Counts, Displaced, Event as Happened, Running};

use super::allow::{self, Rules, Who};
use super::args::Relay;
use super::place::{Front, Server};
use super::tcp::HostAndPort;
use super::wire::Wire;
use super::{hooks, identity, interpose, metrics, report, tcp};
use crate::failure::{Failure, Outcome};
use crate::inherited::Inherited;
use crate::manager::Manager;
use crate::output::{ErrorLog, Event, Output, Text, Word};
use crate::signals::Signals;
use crate::target::{self, BoundSocket};

/// How often a signal is looked for while connections end.
const PAUSE: Duration = Duration::from_millis(50);

/// Relays until a signal arrives.
pub(crate) fn run(flags: &Relay) -> Outcome {
    flags.quiet.apply();
    let output = Output::new(flags.json, false);
    if let Some(name) = &flags.restore {
        return interpose::restore(name, output);
    }
    // First: a file descriptor opened by this process could be mistaken for an inherited one.
    let inherited = inherited(flags)?;
    // Before anything is created: from here on, a signal removes the socket file again.
    let signals = Signals::catch()?;
    let asked = Signals::catch_one(SIGUSR1)?;
    let errors = Arc::new(ErrorLog::new(output));
    let metrics =
        flags.metrics.as_ref().map(|place| metrics::bind(place, &flags.metrics_bind())).transpose()?;
    let (front, server, listening) = sides(flags, inherited)?;
    let kind = front.kind();
    identity::require_kind(flags, kind)?;
    let control = flags.hooks.bind_control(&flags.metrics_bind())?;
    let (notice, displaced) = Notice::new()?;
    let relay = build(flags, server, output, Arc::clone(&errors), notice);
    let relay = flags.hooks.apply(relay, kind, &errors)?;
    let running = relay.start(front).map_err(|error| identity::not_started(flags, &error))?;
    if let (Some(bound), Some(faults)) = (control, running.faults()) {
        hooks::serve_control(bound, faults, kind);
    }
    if let Some(metrics) = metrics {
        let monitor = running.monitor();
        let body = move || monitor.counts().openmetrics(monitor.connections());
        let answering = metrics::answer(metrics, body);
        answering.map_err(|error| Failure::io("start a thread for the counters", &error))?;
    }
    output.tell(&listening)?;
    if let Some(caution) = identity::caution(flags) {
        output.warn(&caution)?;
    }
    let manager = Manager::from_env(output, &errors, "relay")?;
    manager.ready();
    let why = wait(&signals, &asked, &displaced, || {
        output.note(&report::so_far(&running.counts(), running.connections()));
    });
    manager.stopping();
    if why == Some(Displaced::HandedOver) {
        wait_for_clients(&running, &signals);
    }
    let counts = stop(running, flags.grace, &signals, output);
    errors.flush();
    output.note(&report::relayed(&counts));
    manager.finish();
    interpose::ended(why, flags)
}

/// Returns the inherited socket that is to be relayed, if there is one.
pub(super) fn inherited(flags: &Relay) -> Result<Option<Inherited>, Failure> {
    let Some(Front::Unix(target)) = &flags.listen else { return Ok(None) };
    let mut sockets = Inherited::take(Some(target), flags.bind.kind.kind)?;
    match sockets.len() {
        0 | 1 => Ok(sockets.pop()),
        several => Err(Failure::usage(
            format!("{several} sockets were passed"),
            "a relay has one: a service for each socket is needed (systemd: one .socket unit with one Listen… line)",
        )),
    }
}

/// Returns the socket for clients, the server, and what is announced.
fn sides(
    flags: &Relay,
    inherited: Option<Inherited>,
) -> Result<(stoop_relay::Front, stoop_relay::Server, Event), Failure> {
    if let Some(name) = &flags.interpose {
        let taken = interpose::take_over(name, flags, policy(flags, name))?;
        return Ok((taken.front, taken.server, taken.listening));
    }
    let (Some(listen), Some(connect)) = (&flags.listen, &flags.connect) else {
        return Err(Failure::usage(
            "LISTEN and CONNECT are needed",
            "there is neither --interpose nor --restore",
        ));
    };
    let server = resolve(connect)?;
    let (kind, of_server) = kinds(listen, flags, &server)?;
    let bound = match inherited {
        Some(inherited) => {
            let mut socket = inherited.into_server(&flags.bind)?;
            if let Front::Unix(target) = listen {
                socket.set_policy(policy(flags, target))?;
            }
            Bound::Unix(Box::new(socket), true)
        }
        None => bind(listen, flags, kind)?,
    };
    let listening = bound.announcement();
    let server = match server {
        Resolved::Unix(address, _) => stoop_relay::Server::unix(address),
        Resolved::Tcp(place) => stoop_relay::Server::tcp(&place.host, place.port),
        Resolved::Wire(wire) => wire.server(&flags.wire)?,
    };
    let server = of_server.into_iter().fold(server, stoop_relay::Server::kind);
    let front = match bound {
        Bound::Unix(socket, _) => match *socket {
            BoundSocket::Stream(listener) => listener.into(),
            BoundSocket::SeqPacket(listener) => listener.into(),
            BoundSocket::Datagram(socket) => socket.into(),
        },
        Bound::Tcp(listener, _) => listener.into(),
        Bound::Wire(front, _) => *front,
    };
    Ok((front, server, listening))
}

/// Returns the policy of the socket itself. Containers and units are checked after it.
pub(super) fn policy(flags: &Relay, target: &Target) -> Policy {
    let policy = match &target.place {
        _ if flags.allow.iter().any(Who::needs_workload) => Policy::everyone(),
        _ if !flags.allow.is_empty() => allow::policy(&flags.bind, &flags.allow),
        Place::Address(address) => target::policy(address, &flags.bind),
        _ => target::policy_of_flags(&flags.bind).unwrap_or_else(Policy::everyone),
    };
    if loses_descriptors(flags) { policy.refuse_descriptors() } else { policy }
}

/// Returns whether a client's file descriptors have nowhere to go: sending one then fails at once.
fn loses_descriptors(flags: &Relay) -> bool {
    let is_lost = match &flags.connect {
        Some(Server::Tcp(_)) => true,
        Some(Server::Wire(wire)) => !wire.takes_descriptors(),
        Some(Server::Unix(_)) | None => false,
    };
    is_lost || flags.no_descriptors || flags.wire.framed
}

/// Returns whether there is only one client: standard input and output are one side.
fn serves_one(flags: &Relay) -> bool {
    matches!(flags.listen, Some(Front::Wire(Wire::Stdio)))
        || matches!(flags.connect, Some(Server::Wire(Wire::Stdio)))
}

/// Tells the main thread that the relay can no longer stand in front of its server, or has served
/// its one client.
struct Notice(PipeWriter, Arc<OnceLock<Displaced>>);

/// Learns it.
struct Noticed(PipeReader, Arc<OnceLock<Displaced>>);

impl Notice {
    fn new() -> Result<(Notice, Noticed), Failure> {
        let (reader, writer) = std::io::pipe().map_err(|error| Failure::io("create a pipe", &error))?;
        let why = Arc::new(OnceLock::new());
        Ok((Notice(writer, Arc::clone(&why)), Noticed(reader, why)))
    }

    fn tell(&self, why: Displaced) {
        let _ = self.1.set(why);
        self.finished();
    }

    /// There is nothing more to do.
    fn finished(&self) {
        let _ = (&self.0).write_all(&[0]);
    }
}

/// Waits for a signal to stop, or for the relay to be displaced, and returns why it is.
fn wait(signals: &Signals, asked: &Signals, displaced: &Noticed, report: impl Fn()) -> Option<Displaced> {
    loop {
        let mut entries = [signals.as_fd(), asked.as_fd(), displaced.0.as_fd()]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        if poll(&mut entries, None).is_err_and(|errno| errno != Errno::INTR) {
            thread::sleep(PAUSE);
        }
        let [stops, asks, is_displaced] = entries.map(|entry| !entry.revents().is_empty());
        if stops {
            signals.take();
            return None;
        }
        if asks {
            asked.take();
            report();
        }
        if is_displaced {
            return displaced.1.get().copied();
        }
    }
}

/// The server, after a name has been looked up.
pub(super) enum Resolved {
    Unix(Address, Option<Kind>),
    Tcp(HostAndPort),
    Wire(Wire),
}

pub(super) fn resolve(server: &Server) -> Result<Resolved, Failure> {
    let endpoint = match server {
        Server::Tcp(place) => return Ok(Resolved::Tcp(place.clone())),
        Server::Wire(wire) => return Ok(Resolved::Wire(wire.clone())),
        Server::Unix(endpoint) => endpoint,
    };
    let (target, _) = endpoint.target()?;
    match target.place {
        Place::Address(address) => {
            target::check_responds(&address, Operation::Connect)?;
            Ok(Resolved::Unix(address, target.kind))
        }
        _ => Err(Failure::usage(format!("'{server}' cannot be relayed to"), target::NOT_AN_ADDRESS)),
    }
}

/// Returns the kind of the clients' socket, and that of the server's if it is another: as either
/// address says, else a stream.
fn kinds(listen: &Front, flags: &Relay, server: &Resolved) -> Result<(Kind, Option<Kind>), Failure> {
    let front = match listen {
        Front::Unix(target) => target::kind_of(target, flags.bind.kind.kind)?,
        Front::Tcp(_) | Front::Wire(_) => Some(Kind::Stream),
    };
    let of_server = match server {
        Resolved::Wire(Wire::Exec(_)) if !flags.wire.framed => None,
        Resolved::Tcp(_) | Resolved::Wire(_) => Some(Kind::Stream),
        Resolved::Unix(_, kind) => *kind,
    };
    let kind = front.or(of_server.filter(|_| !flags.wire.framed)).unwrap_or(Kind::Stream);
    let other = of_server.unwrap_or(kind);
    match (flags.wire.framed, kind == Kind::Stream, other == Kind::Stream) {
        (true, true, true) => Err(Failure::usage(
            "--framed has nothing to frame",
            "neither address is one of messages: dgram:./x or seqpacket:./x",
        )),
        (false, ..) if kind != other => Err(not_alike(kind, other)),
        (_, false, false) if kind != other => Err(Failure::usage(
            format!("a {kind} socket cannot be relayed to a {other} socket"),
            "a datagram socket has no connections; both sides must be of one kind",
        )),
        _ if kind == Kind::Datagram && matches!(server, Resolved::Wire(Wire::Exec(_))) => {
            Err(Failure::usage(
                "a datagram socket cannot be relayed to a program",
                "datagrams have no connection for which one could be started",
            ))
        }
        _ => Ok((kind, (kind != other).then_some(other))),
    }
}

fn not_alike(front: Kind, server: Kind) -> Failure {
    Failure::usage(
        format!("a {front} socket cannot be relayed to a {server} socket"),
        "a stream has no boundaries, so messages would be merged and cut; both sides must be of one kind, \
         or there must be a relay with --framed at both ends of the stream",
    )
}

/// A socket for clients.
enum Bound {
    /// It says whether the socket is an inherited one.
    Unix(Box<BoundSocket>, bool),
    Tcp(TcpListener, HostAndPort),
    /// And where that is.
    Wire(Box<stoop_relay::Front>, String),
}

fn bind(listen: &Front, flags: &Relay, kind: Kind) -> Result<Bound, Failure> {
    match listen {
        Front::Tcp(place) => listen_tcp(flags, place),
        Front::Wire(wire) => {
            refuse_who(flags, wire)?;
            wire.front(&flags.wire).map(|(front, place)| Bound::Wire(Box::new(front), place))
        }
        Front::Unix(target) => {
            let adjust = |bind: stoop::Bind, _| bind.policy(policy(flags, target));
            target::serve(target, kind, &flags.bind, adjust)
                .map(|socket| Bound::Unix(Box::new(socket), false))
        }
    }
}

fn listen_tcp(flags: &Relay, place: &HostAndPort) -> Result<Bound, Failure> {
    refuse_who(flags, place)?;
    tcp::listen(place).map(|(listener, place)| Bound::Tcp(listener, place))
}

pub(super) fn refuse_who(flags: &Relay, place: &impl std::fmt::Display) -> Result<(), Failure> {
    let asks_who = flags.max_per_uid.is_some()
        || flags.max_per_container.is_some()
        || !flags.allow.is_empty()
        || flags.as_client;
    if asks_who {
        return Err(Failure::usage(
            format!(
                "--allow, --max-per-uid, --max-per-container and --as-client cannot be used with '{place}'"
            ),
            "there the kernel does not say who a client is",
        ));
    }
    Ok(())
}

impl Bound {
    fn announcement(&self) -> Event {
        let (address, kind, mode, inherited) = match self {
            Bound::Tcp(_, place) => (Text(place.to_string()), Kind::Stream, None, false),
            Bound::Wire(_, place) => (Text(place.clone()), Kind::Stream, None, false),
            Bound::Unix(socket, inherited) => {
                let file = socket.file().map(|file| file.path());
                let address = match file.and_then(|path| Address::path(path).ok()) {
                    Some(address) => Text::from(&address),
                    None => socket
                        .socket()
                        .local_addr()
                        .map_or(Text(String::new()), |address| Text::from(&address)),
                };
                let mode = file.and_then(|path| std::fs::symlink_metadata(path).ok());
                let mode = mode.map(|mode| format!("{:o}", mode.permissions().mode() & 0o7777));
                (address, socket.kind(), mode, *inherited)
            }
        };
        Event::Listening { address, kind: Word(kind), answer: "relay", mode, inherited }
    }
}

fn build(
    flags: &Relay,
    server: stoop_relay::Server,
    output: Output,
    errors: Arc<ErrorLog>,
    notice: Notice,
) -> stoop_relay::Relay {
    let mut relay =
        stoop_relay::Relay::to(server).descriptors(!flags.no_descriptors).framed(flags.wire.framed);
    let serves_one = serves_one(flags);
    relay = relay.on_event(move |happened| {
        let is_last = serves_one && matches!(happened, Happened::Closed { .. } | Happened::Unreached { .. });
        let why = if let Happened::Displaced(why) = &happened { Some(*why) } else { None };
        report::report(happened, output, &errors);
        if let Some(why) = why {
            notice.tell(why);
        } else if is_last {
            notice.finished();
        }
    });
    if let Some(clients) = flags.max_connections {
        relay = relay.max_connections(clients as usize);
    }
    if let Some(limit) = flags.idle_timeout {
        relay = relay.idle_timeout(limit);
    }
    limits(flags, relay)
}

/// Applies the limits that concern single clients.
fn limits(flags: &Relay, mut relay: stoop_relay::Relay) -> stoop_relay::Relay {
    if let Some(limit) = flags.max_time {
        relay = relay.max_time(limit);
    }
    if let Some(clients) = flags.max_per_uid {
        relay = relay.max_per_user(clients as usize);
    }
    if let Some(clients) = flags.max_per_container {
        relay = relay.max_per_group(clients as usize);
    }
    relay = relay.as_client(flags.as_client).send_proxy(flags.send_proxy);
    if let Some(rate) = flags.max_rate {
        relay = relay.bytes_per_second(rate);
    }
    match Rules::new(&flags.bind, &flags.allow, flags.max_per_container.is_some()) {
        Some(rules) => relay.admission(move |candidate| rules.judge(candidate)),
        None => relay,
    }
}

/// Lets the clients of a relay that was replaced go on, until they have ended or a signal arrives.
fn wait_for_clients(running: &Running, signals: &Signals) {
    loop {
        // Before the first look, too: clients that have connected are yet to be accepted.
        thread::sleep(PAUSE);
        if running.connections() == 0 {
            return;
        }
        if has_signal(signals) {
            return signals.take();
        }
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
