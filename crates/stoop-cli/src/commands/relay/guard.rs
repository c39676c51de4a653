//! A relay with rules: a guard. The work is done by `stoop-guard`.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use stoop::internal::Place;
use stoop::{Address, Kind, Listener, Stream, aio};
use stoop_guard::{Decision, Guard, Learner, Verdict};
use tokio::sync::oneshot;

use super::allow::Who;
use super::args::Relay;
use super::place::{Front, Server};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::inherited::Inherited;
use crate::manager::Manager;
use crate::output::{ErrorLog, Event, Output, PeerInfo, Text, Word};
use crate::signals::Signals;
use crate::target::{self, BoundSocket};

/// Guards a server until a signal arrives.
pub(super) fn run(flags: &Relay) -> Outcome {
    flags.quiet.apply();
    // First: a file descriptor opened by this process could be mistaken for an inherited one.
    let inherited = super::run::inherited(flags)?;
    supported(flags)?;
    let rules = flags.rules.read()?;
    let server = server(flags)?;
    let learning = flags.rules.learn.as_ref().map(|path| Learning::new(path)).transpose()?;
    // Before anything is created: from here on, a signal removes the socket file again.
    let signals = Signals::catch()?;
    let output = Output::new(flags.json, false);
    let errors = Arc::new(ErrorLog::new(output));
    let (listener, listening) = bind(flags, inherited)?;
    let counts = Arc::new(Counts::default());
    let guard = Guard::new(rules, flags.rules.protocol(), server)
        .dry_run(flags.rules.dry_run || flags.rules.learn.is_some())
        .on_decision(handler(output, Arc::clone(&counts), learning));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("start the guard", &error))?;
    let ended = runtime.block_on(async {
        let serving = serving(flags, listener)?;
        let (stop, stop_at_once) = caught(signals)?;
        output.tell(&listening)?;
        let manager = Manager::from_env(output, &errors, "relay")?;
        manager.ready();
        let stopping = async {
            let _ = stop.await;
            manager.stopping();
        };
        let ended = tokio::select! {
            ended = guard.run(serving, stopping) => ended.map(|_| ()).map_err(Failure::from),
            _ = stop_at_once => Ok(()),
        };
        ended.map(|()| manager)
    });
    runtime.shutdown_background();
    let manager = ended?;
    errors.flush();
    output.note(&counts.event());
    manager.finish();
    Ok(Exit::Done)
}

/// Refuses flags that a guard does not have. None is ignored: some of them restrict clients.
fn supported(flags: &Relay) -> Result<(), Failure> {
    let needs_workload = flags.allow.iter().any(Who::needs_workload);
    let given = [
        ("--interpose", flags.interpose.is_some()),
        ("--restore", flags.restore.is_some()),
        ("--metrics", flags.metrics.is_some()),
        ("--as-client", flags.as_client),
        ("--send-proxy", flags.send_proxy),
        ("--max-rate", flags.max_rate.is_some()),
        ("--max-per-container", flags.max_per_container.is_some()),
        ("--as-client", flags.as_client),
        ("--send-proxy", flags.send_proxy),
        ("--record and --fault", flags.tap.are_given()),
        ("--framed", flags.wire.framed),
        ("--cert", flags.wire.cert.is_some()),
        ("--allow-san", !flags.wire.allow_san.is_empty()),
        ("--allow container:… and unit:…", needs_workload),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Failure::usage(
            format!("{flag} cannot be used with rules"),
            "a relay with rules judges requests; rules of [[client]] in the file are for users, containers and units",
        )),
        None => Ok(()),
    }
}

/// Returns the address of the server, which must be a Unix socket.
fn server(flags: &Relay) -> Result<Address, Failure> {
    let Some(connect) = &flags.connect else { return Err(not_unix("no server")) };
    let Server::Unix(endpoint) = connect else { return Err(not_unix(&connect.to_string())) };
    let (target, _) = endpoint.target()?;
    match target.place {
        Place::Address(address) if target.kind.is_none_or(|kind| kind == Kind::Stream) => Ok(address),
        _ => Err(not_unix(&connect.to_string())),
    }
}

fn not_unix(place: &str) -> Failure {
    let why = "rules are for HTTP and gRPC between Unix stream sockets, where each client is known";
    Failure::usage(format!("'{place}' cannot be guarded by rules"), why)
}

fn bind(flags: &Relay, inherited: Option<Inherited>) -> Result<(Listener<Stream>, Event), Failure> {
    let Some(Front::Unix(target)) = &flags.listen else { return Err(not_unix("the address to listen at")) };
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
    let BoundSocket::Stream(listener) = socket else { return Err(not_unix(&target.to_string())) };
    let address = match listener.file().and_then(|file| Address::path(file.path()).ok()) {
        Some(address) => Text::from(&address),
        None => Text(target.to_string()),
    };
    let (kind, inherited) = (Word(Kind::Stream), is_inherited);
    let mode = listener.file().and_then(|file| std::fs::symlink_metadata(file.path()).ok());
    let mode = mode.map(|mode| format!("{:o}", mode.permissions().mode() & 0o7777));
    Ok((listener, Event::Listening { address, kind, answer: "guard", mode, inherited }))
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

fn handler(
    output: Output,
    counts: Arc<Counts>,
    learning: Option<Learning>,
) -> impl Fn(Decision) + Send + Sync + 'static {
    move |decision| {
        counts.count(&decision);
        if let Some(learning) = &learning {
            learning.saw(&decision);
        }
        output.note(&event(decision));
    }
}

fn event(decision: Decision) -> Event {
    let client = &decision.client;
    let (verdict, rule, reason) = match decision.verdict {
        Verdict::Allowed { rule } => ("allowed", Some(rule), None),
        Verdict::Refused { rule, why } => ("refused", rule, Some(why)),
        Verdict::Unclear { why } => ("unclear", None, Some(why)),
        Verdict::Hidden { rule } => ("hidden", Some(rule), Some("the container lacks the label".into())),
        _ => ("unknown", None, None),
    };
    let workload = client.workload.to_string();
    Event::Request {
        peer: PeerInfo::new(client.pid, client.uid, client.gid),
        workload: Some(workload).filter(|name| name != "-"),
        method: decision.method,
        target: decision.target,
        verdict,
        forwarded: decision.was_forwarded,
        rule,
        reason,
    }
}

/// How many requests were forwarded, and how many were not.
#[derive(Debug, Default)]
struct Counts {
    forwarded: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    fn count(&self, decision: &Decision) {
        let counter = if decision.was_forwarded { &self.forwarded } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn event(&self) -> Event {
        let (forwarded, refused) = (&self.forwarded, &self.refused);
        Event::Guarded {
            forwarded: forwarded.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
        }
    }
}

/// Rules that are learned, and the file they are written to whenever there are more.
struct Learning(Mutex<(Learner, File, String)>);

impl Learning {
    /// Creates the file. One that exists is never overwritten.
    fn new(path: &std::path::Path) -> Result<Learning, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(|error| Failure::io(format!("create '{}'", path.display()), &error))?;
        Ok(Learning(Mutex::new((Learner::new(), file, String::new()))))
    }

    fn saw(&self, decision: &Decision) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (learner, file, written) = &mut *learned;
        learner.saw(decision);
        let text = learner.to_toml();
        if text != *written && write(file, &text).is_ok() {
            *written = text;
        }
    }
}

fn write(file: &mut File, text: &str) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}
