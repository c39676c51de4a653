//! Recording and faults: their flags, and the socket that changes faults.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Args;
use stoop::internal::Target;
use stoop::{Kind, Listener, Stream};
use stoop_relay::fault::Faults;
use stoop_relay::record::Recorder;
use stoop_relay::{FaultControl, Relay};

use crate::args::shared::{BindFlags, bind_target};
use crate::exit::Exit;
use crate::failure::{Failure, describe};
use crate::output::ErrorLog;
use crate::target::{self, BoundSocket};

/// The flags.
#[derive(Args, Debug)]
pub(crate) struct HookFlags {
    /// Record what is relayed to a new file, for stoop replay; well-known secrets are masked
    ///
    /// Masked are credentials in HTTP/1, HTTP/2, gRPC, ttrpc and JSON, variables of containers, and
    /// passwords of PostgreSQL, MySQL, Redis and FastCGI. Compressed contents are masked as a
    /// whole; nothing is found in what is encrypted. The file has mode 600.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Record secrets as they are
    #[arg(long, requires = "record")]
    no_redact: bool,

    /// Inject faults in both directions: delay=50ms±20ms,rate=1MiB/s,corrupt=1%,…
    ///
    /// A list of delay=TIME or TIME±TIME, rate=SIZE/s, corrupt=CHANCE, reset=CHANCE,
    /// reset-after=SIZE, stall-after=SIZE, halfopen, refuse or refuse=CHANCE, and for messages
    /// drop=CHANCE and dup=CHANCE. A chance such as 0.1% is for each KiB of a stream, and for each
    /// message.
    #[arg(long, value_name = "FAULTS")]
    fault: Option<Faults>,

    /// Inject faults into what clients send
    #[arg(long, value_name = "FAULTS", conflicts_with = "fault")]
    fault_up: Option<Faults>,

    /// Inject faults into what the server sends
    #[arg(long, value_name = "FAULTS", conflicts_with = "fault")]
    fault_down: Option<Faults>,

    /// Choose other faults with the same chances; the same number means the same faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Listen at this address for other faults: lines such as `delay=1s`, `up delay=1s`, `down`
    #[arg(long, value_name = "LISTEN", value_parser = bind_target())]
    fault_control: Option<Target>,
}

impl HookFlags {
    /// Returns whether anything is recorded or disturbed.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "for a guard"))]
    pub(super) fn are_given(&self) -> bool {
        let faults = [&self.fault, &self.fault_up, &self.fault_down];
        self.record.is_some() || self.fault_control.is_some() || faults.iter().any(|given| given.is_some())
    }

    /// Sets a relay up to record and to inject faults, as far as the flags say so.
    pub(super) fn apply(
        &self,
        mut relay: Relay,
        kind: Kind,
        errors: &Arc<ErrorLog>,
    ) -> Result<Relay, Failure> {
        let both = self.fault.clone();
        let up = self.fault_up.clone().or_else(|| both.clone());
        let down = self.fault_down.clone().or(both);
        if up.is_some() || down.is_some() || self.fault_control.is_some() {
            let (up, down) = (up.unwrap_or_default(), down.unwrap_or_default());
            for faults in [&up, &down] {
                check(faults, kind).map_err(|text| Failure::usage(text, WHY_IMPOSSIBLE))?;
            }
            relay = relay.faults(up, down).seed(self.seed);
        }
        let Some(path) = &self.record else { return Ok(relay) };
        let errors = Arc::clone(errors);
        let recorder = Recorder::create(path).map_err(|error| not_created(path, &error))?;
        #[cfg(feature = "grpc")]
        let recorder = recorder.methods(crate::commands::tap::known_methods());
        let recorder = recorder.redact(!self.no_redact).on_failure(move |error| {
            let text = format!("the recording ends here: {}; the relay goes on", describe(&error));
            errors.report(None, text);
        });
        Ok(relay.record(recorder))
    }

    /// Binds the socket at which faults are changed.
    pub(super) fn bind_control(&self, flags: &BindFlags) -> Result<Option<BoundSocket>, Failure> {
        let Some(target) = &self.fault_control else { return Ok(None) };
        target::serve(target, Kind::Stream, flags, |bind, _| bind).map(Some)
    }
}

const WHY_IMPOSSIBLE: &str =
    "streams lose and double nothing by themselves, and datagrams have no connection that could be reset";

fn check(faults: &Faults, kind: Kind) -> Result<(), String> {
    match faults.impossible_for(kind) {
        Some(fault) => Err(format!("a {kind} socket cannot have the fault '{fault}'")),
        None => Ok(()),
    }
}

fn not_created(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let path = path.display();
    let report =
        Failure::new(Exit::Failed, format!("cannot create the recording '{path}': {}", describe(error)));
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => report
            .why("a recording is never written over another file")
            .next(format!("--record {path}.2    # another name")),
        std::io::ErrorKind::NotFound => report.why("its directory does not exist"),
        _ => report,
    }
    .into()
}

/// Serves the socket at which faults are changed, one client after the other, until the process
/// ends.
pub(super) fn serve_control(bound: BoundSocket, control: FaultControl, kind: Kind) {
    let BoundSocket::Stream(listener) = bound else { return };
    // Without it the relay works as it was started.
    let _ = thread::Builder::new().name("faults".into()).spawn(move || serve(&listener, &control, kind));
}

fn serve(listener: &Listener<Stream>, control: &FaultControl, kind: Kind) {
    for client in listener.incoming() {
        let Ok(mut client) = client else { return };
        let Ok(reader) = client.try_clone() else { continue };
        for line in BufReader::new(reader).lines() {
            let Ok(line) = line else { break };
            if client.write_all(answer(line.trim(), control, kind).as_bytes()).is_err() {
                break;
            }
        }
    }
}

/// Changes the faults as a line says, and answers with those that hold.
fn answer(line: &str, control: &FaultControl, kind: Kind) -> String {
    let [mut up, mut down] = control.current();
    if line != "show" {
        let (side, text) = match line.split_once(char::is_whitespace).unwrap_or((line, "")) {
            ("up", text) => (Some(true), text),
            ("down", text) => (Some(false), text),
            _ => (None, line),
        };
        let text = if text == "none" { "" } else { text };
        let faults = match text.parse::<Faults>().map_err(|error| error.to_string()) {
            Ok(faults) => check(&faults, kind).map(|()| faults),
            Err(error) => Err(error),
        };
        let faults = match faults {
            Ok(faults) => faults,
            Err(error) => return format!("error: {error}\n"),
        };
        match side {
            Some(true) => up = faults,
            Some(false) => down = faults,
            None => (up, down) = (faults.clone(), faults),
        }
        control.set(up.clone(), down.clone());
    }
    format!("up {}\ndown {}\n", word(&up), word(&down))
}

fn word(faults: &Faults) -> String {
    if faults.is_empty() { "none".into() } else { faults.to_string() }
}
