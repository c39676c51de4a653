//! A relay with rules: a guard. The work is done by `stoop-guard`.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stoop::{Address, Kind, Listener, Stream, aio};
use stoop_guard::Guard;
use stoop_relay::{Connector, Displaced, Event as Happened, Interposition, Running};
use tokio::sync::oneshot;

use super::allow::Who;
use super::args::Relay;
use super::decisions::{Counts, Learning, handler};
use super::named::{self, Named};
use super::place::Front;
use super::run::Resolved;
use super::wire::Wire;
use super::{hooks, identity, interpose, metrics, report};
use crate::failure::{Failure, Outcome};
use crate::inherited::Inherited;
use crate::manager::Manager;
use crate::output::{ErrorLog, Event, Output, Text, Word};
use crate::signals::Signals;
use crate::target::{self, BoundSocket};

/// Guards a server until a signal arrives.
pub(super) fn run(flags: &Relay) -> Outcome {
    flags.quiet.apply();
    // First: a file descriptor opened by this process could be mistaken for an inherited one.
    let inherited = super::run::inherited(flags)?;
    supported(flags)?;
    let rules = flags.rules.read()?;
    let learning = flags.rules.learn.as_ref().map(|path| Learning::new(path)).transpose()?;
    // Before anything is created: from here on, a signal removes the socket file again.
    let signals = Signals::catch()?;
    let output = Output::new(flags.json, false);
    let errors = Arc::new(ErrorLog::new(output));
    let asked =
        flags.metrics.as_ref().map(|place| metrics::bind(place, &flags.metrics_bind())).transpose()?;
    let Bound { listener, server, listening, place, named } = bind(flags, inherited, output, &errors)?;
    // Its file descriptor is the server's address for as long as requests are forwarded.
    let _kept = listener.file().and_then(Interposition::of);
    let counts = Arc::new(Counts::default());
    let behind = behind(flags, &server, output, &errors)?;
    let mut guard = Guard::new(rules, flags.rules.protocol(), server.address.unwrap_or(Address::UNNAMED))
        .dry_run(flags.rules.dry_run || flags.rules.learn.is_some())
        .on_decision(handler(output, Arc::clone(&counts), learning));
    if let Some((_, connector)) = &behind {
        let connector = connector.clone();
        guard = guard.connect_with(move |client| match client {
            Some(client) => connector.connect_for(client),
            None => connector.connect(),
        });
    }
    if let Some(named) = &named {
        guard = guard.named_clients(named.lookup());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("start the guard", &error))?;
    let ended = runtime.block_on(async {
        let serving = serving(flags, listener)?;
        answer_metrics(asked, &counts, &serving)?;
        let (stop, stop_at_once) = caught(signals)?;
        let displaced = place.map(watched).transpose()?;
        output.tell(&listening)?;
        let manager = Manager::from_env(output, &errors, "relay")?;
        manager.ready();
        let (mut why, mut stopped) = (None, None);
        let stopping = async {
            why = first(stop, displaced).await;
            if let Some(why) = why {
                output.note(&Event::Displaced { reason: interpose::word(why) });
            }
            manager.stopping();
            stopped = named.map(|named| named.stop(flags.grace));
        };
        let ended = tokio::select! {
            ended = guard.run(serving, stopping) => ended.map(|_| ()).map_err(Failure::from),
            _ = stop_at_once => Ok(()),
        };
        ended.map(|()| (manager, why, stopped))
    });
    runtime.shutdown_background();
    let (manager, why, stopped) = ended?;
    if let Some(Ok(stopped)) = stopped {
        // Its clients' connections to the guard have ended.
        let _ = stopped.join();
    }
    if let Some((relay, _)) = behind {
        // The guard has waited for the requests already.
        let _ = relay.stop(Duration::ZERO);
    }
    errors.flush();
    output.note(&counts.event());
    manager.finish();
    interpose::ended(why, flags)
}

/// Starts the relay that is between the guard and the server, if the guard does not do everything
/// by itself. It has no address, so that no client can go around the rules.
fn behind(
    flags: &Relay,
    server: &Guarded,
    output: Output,
    errors: &Arc<ErrorLog>,
) -> Result<Option<(Running, Connector)>, Failure> {
    let is_shaped = flags.as_client || flags.send_proxy || flags.max_rate.is_some();
    if !flags.hooks.are_given() && !is_shaped && server.address.is_some() {
        return Ok(None);
    }
    let failed = |error| Failure::io("start the relay behind the guard", &error);
    let control = flags.hooks.bind_control(&flags.metrics_bind())?;
    let reporting = Arc::clone(errors);
    let relay = stoop_relay::Relay::to(server.relay.clone()).on_event(move |happened| {
        // The guard reports its clients itself.
        if matches!(happened, Happened::Unreached { .. }) {
            report::report(happened, output, &reporting);
        }
    });
    let relay = relay.as_client(flags.as_client).send_proxy(flags.send_proxy);
    let relay = flags.max_rate.into_iter().fold(relay, stoop_relay::Relay::bytes_per_second);
    let relay = flags.hooks.apply(relay, Kind::Stream, errors)?;
    let (front, connector) = stoop_relay::Front::private().map_err(failed)?;
    let relay = relay.start(front).map_err(|error| identity::not_started(flags, &error))?;
    if let (Some(bound), Some(faults)) = (control, relay.faults()) {
        hooks::serve_control(bound, faults, Kind::Stream);
    }
    Ok(Some((relay, connector)))
}

/// Answers requests for the counters, if they are wanted.
fn answer_metrics(
    asked: Option<metrics::Asked>,
    counts: &Arc<Counts>,
    serving: &stoop::serve::Server,
) -> Result<(), Failure> {
    let Some(asked) = asked else { return Ok(()) };
    let (counts, connections) = (Arc::clone(counts), serving.counters());
    let text = move || counts.openmetrics(connections.snapshot().active);
    metrics::answer(asked, text).map_err(|error| Failure::io("start a thread for the counters", &error))
}

/// Waits for a signal, or for the guard to be displaced, and returns why it is.
async fn first(
    stop: oneshot::Receiver<()>,
    displaced: Option<oneshot::Receiver<Displaced>>,
) -> Option<Displaced> {
    let displaced = async {
        match displaced {
            Some(displaced) => displaced.await.ok(),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = stop => None,
        why = displaced => why,
    }
}

/// Watches the name on a thread of its own, since looking can wait for other processes.
fn watched(mut place: Interposition) -> Result<oneshot::Receiver<Displaced>, Failure> {
    let (sender, displaced) = oneshot::channel();
    let watching = thread::Builder::new().name("name".into()).spawn(move || {
        while !sender.is_closed() {
            thread::sleep(Interposition::EVERY);
            if let Some(why) = place.displaced() {
                let _ = sender.send(why);
                return;
            }
        }
    });
    watching.map(|_| displaced).map_err(|error| Failure::io("start the guard", &error))
}

/// Refuses flags that a guard does not have. None is ignored: some of them restrict clients.
fn supported(flags: &Relay) -> Result<(), Failure> {
    let needs_workload = flags.allow.iter().any(Who::needs_workload);
    let given = [
        ("--restore", flags.restore.is_some(), "it gives a name back and relays nothing"),
        ("--framed", flags.wire.framed, "requests are a stream of bytes, which has no messages to frame"),
        ("--max-per-container", flags.max_per_container.is_some(), BY_RULES),
        ("--allow container:… and unit:…", needs_workload, BY_RULES),
    ];
    match given.iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, why)) => Err(Failure::usage(format!("{flag} cannot be used with rules"), *why)),
        None => Ok(()),
    }
}

const BY_RULES: &str = "rules say for which containers and units they are: [[client]] in their file";

/// The server behind a guard.
struct Guarded {
    relay: stoop_relay::Server,
    /// If the guard can connect to it without a relay.
    address: Option<Address>,
}

impl Guarded {
    fn unix(address: Address) -> Guarded {
        Guarded { relay: stoop_relay::Server::unix(address.clone()), address: Some(address) }
    }
}

fn server(flags: &Relay) -> Result<Guarded, Failure> {
    let Some(connect) = &flags.connect else { return Err(not_a_stream("no server")) };
    let relay = match super::run::resolve(connect)? {
        Resolved::Unix(address, None | Some(Kind::Stream)) => return Ok(Guarded::unix(address)),
        Resolved::Unix(..) | Resolved::Wire(Wire::Stdio) => return Err(not_a_stream(&connect.to_string())),
        Resolved::Tcp(place) => stoop_relay::Server::tcp(&place.host, place.port),
        Resolved::Wire(wire) => wire.server(&flags.wire)?,
    };
    Ok(Guarded { relay, address: None })
}

fn not_a_stream(place: &str) -> Failure {
    let why = "rules are for HTTP and gRPC, to a server that takes a stream for each request";
    Failure::usage(format!("'{place}' cannot be guarded by rules"), why)
}

fn not_known(place: &str) -> Failure {
    let why =
        "rules need to know each client: by the kernel at a Unix stream socket, by its certificate at tls:";
    Failure::usage(format!("'{place}' cannot be guarded by rules"), why)
}

/// What the guard serves, and for whom.
struct Bound {
    listener: Listener<Stream>,
    server: Guarded,
    listening: Event,
    /// If it stands in front of the server, at its name.
    place: Option<Interposition>,
    /// If its clients come with TLS.
    named: Option<Named>,
}

fn bind(
    flags: &Relay,
    inherited: Option<Inherited>,
    output: Output,
    errors: &Arc<ErrorLog>,
) -> Result<Bound, Failure> {
    if let Some(name) = &flags.interpose {
        let taken = interpose::take_over_for_guard(name, flags, super::run::policy(flags, name))?;
        let interpose::TakenByGuard { listener, place, server } = taken;
        let listening = announcement(&listener, &name.to_string(), false);
        let server = Guarded::unix(server);
        return Ok(Bound { listener, server, listening, place: Some(place), named: None });
    }
    let server = server(flags)?;
    let target = match &flags.listen {
        Some(Front::Unix(target)) => target,
        Some(Front::Wire(wire @ Wire::Tls(_))) => {
            super::run::refuse_who(flags, wire)?;
            let (named, listener, place) = named::listen(wire, flags, output, errors)?;
            let listening = listening(Text(place), None, false);
            return Ok(Bound { listener, server, listening, place: None, named: Some(named) });
        }
        Some(Front::Tcp(place)) => return Err(not_known(&place.to_string())),
        Some(Front::Wire(wire)) => return Err(not_known(&wire.to_string())),
        None => return Err(not_known("the address to listen at")),
    };
    let policy = super::run::policy(flags, target);
    let is_inherited = inherited.is_some();
    let socket = match inherited {
        Some(inherited) => {
            let mut socket = inherited.into_server(&flags.bind)?;
            socket.set_policy(policy)?;
            socket
        }
        None => target::serve(target, Kind::Stream, &flags.bind, |bind, _| bind.policy(policy))?,
    };
    let BoundSocket::Stream(listener) = socket else { return Err(not_known(&target.to_string())) };
    let listening = announcement(&listener, &target.to_string(), is_inherited);
    Ok(Bound { listener, server, listening, place: None, named: None })
}

fn announcement(listener: &Listener<Stream>, name: &str, inherited: bool) -> Event {
    let address = match listener.file().and_then(|file| Address::path(file.path()).ok()) {
        Some(address) => Text::from(&address),
        None => Text(name.to_owned()),
    };
    let mode = listener.file().and_then(|file| std::fs::symlink_metadata(file.path()).ok());
    let mode = mode.map(|mode| format!("{:o}", mode.permissions().mode() & 0o7777));
    listening(address, mode, inherited)
}

fn listening(address: Text, mode: Option<String>, inherited: bool) -> Event {
    Event::Listening { address, kind: Word(Kind::Stream), answer: "guard", mode, inherited }
}

fn serving(flags: &Relay, listener: Listener<Stream>) -> Result<stoop::serve::Server, Failure> {
    let listener = aio::Listener::try_from(listener)?;
    let mut serving = stoop::serve::Server::new(listener).drain_deadline(flags.grace);
    if let Some(clients) = flags.max_connections {
        serving = serving.max_connections(clients as usize);
    }
    if let Some(clients) = flags.max_per_uid {
        serving = serving.max_connections_per_uid(clients as usize);
    }
    if let Some(limit) = flags.idle_timeout {
        serving = serving.idle_timeout(limit);
    }
    if let Some(limit) = flags.max_time {
        serving = serving.max_lifetime(limit);
    }
    Ok(serving)
}

/// Returns what completes at the first signal, and at the second.
fn caught(signals: Signals) -> Result<(oneshot::Receiver<()>, oneshot::Receiver<()>), Failure> {
    let ((first, stop), (second, stop_at_once)) = (oneshot::channel(), oneshot::channel());
    let waiting = thread::Builder::new().name("signals".into()).spawn(move || {
        signals.take();
        // The receivers are dropped if the guard has ended by itself.
        let _ = first.send(());
        signals.take();
        let _ = second.send(());
    });
    waiting.map_err(|error| Failure::io("start the guard", &error))?;
    Ok((stop, stop_at_once))
}
