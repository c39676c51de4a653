//! Answers one call of Wireshark.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Parser;
use stoop::Kind;
use stoop_inspect::{Inspector, Options, Snapshot, State};

use super::args::Extcap;
use super::sentences;
use crate::args::{Cli, Verb};
use crate::commands::tap;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;
use crate::sockets::Row;

/// How many sockets are listed: Wireshark asks what can be set for each of them when it starts.
const LISTED_MAX: usize = 100;

/// Answers.
pub(crate) fn run(flags: &Extcap) -> Outcome {
    let text = match flags {
        Extcap { capture: true, .. } => return capture(flags),
        Extcap { interfaces: true, .. } => interfaces(),
        Extcap { dlts: true, .. } => sentences::link_types().to_owned(),
        Extcap { config: true, .. } => sentences::settings().to_owned(),
        _ => {
            return Err(Failure::new(Exit::Usage, "nothing is asked")
                .why("Wireshark calls this with --extcap-interfaces, --extcap-dlts, --extcap-config or --capture")
                .next("stoop extcap --help    # how Wireshark finds it")
                .into());
        }
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// The sockets that clients can reach by a name.
fn interfaces() -> String {
    let mut options = Options::default();
    options.sure = false;
    let snapshot = Inspector::new(options).snapshot();
    let mut named = named(&snapshot);
    named.sort();
    named.dedup_by(|one, other| one.1 == other.1);
    named.truncate(LISTED_MAX);
    sentences::interfaces(named.iter().map(|(_, address, process)| (&**address, process.as_deref())))
}

/// The sockets that clients can reach, with their rank: well-known services come first, then paths.
fn named(snapshot: &Snapshot) -> Vec<(u8, String, Option<String>)> {
    let is_reachable = |socket: &stoop_inspect::Socket| {
        !socket.name.is_unnamed() && (socket.state == State::Listening || socket.kind == Some(Kind::Datagram))
    };
    let sockets = snapshot.iter().filter(|(_, socket)| is_reachable(socket));
    let named = sockets.map(|(id, socket)| {
        let process = Row::process(snapshot, id).and_then(|pid| snapshot.processes.get(&pid));
        let is_service = stoop_inspect::endpoints::recognise(&socket.name).is_some();
        let rank = if is_service { 0 } else { 1 + u8::from(socket.name.as_pathname().is_none()) };
        (
            rank,
            socket.name.to_string(),
            process.map(|process| stoop::escaped(process.command.as_bytes()).to_string()),
        )
    });
    named.collect()
}

/// Captures as `stoop tap` does.
fn capture(flags: &Extcap) -> Outcome {
    let cli = Cli::try_parse_from(words(flags));
    let cli = cli.map_err(|error| {
        let what =
            error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Failure::usage(what, "a capture filter consists of the flags of stoop tap that select sockets")
    })?;
    match cli.verb {
        Verb::Tap(tap) => tap::run(&tap),
        _ => Err(Failure::usage("no capture", "only stoop tap captures")),
    }
}

/// The command line of the capture.
fn words(flags: &Extcap) -> Vec<OsString> {
    let mut words = ["stoop", "tap", "--quiet"].map(OsString::from).to_vec();
    if let Some(fifo) = &flags.fifo {
        words.extend([OsString::from("--write"), OsString::from(fifo)]);
    }
    if let Some(snaplen) = flags.snaplen {
        words.extend([OsString::from("--snaplen"), OsString::from(snaplen.to_string())]);
    }
    words.extend(flags.secrets.then(|| OsString::from("--secrets")));
    words.extend(flags.interface.as_deref().and_then(sentences::address).map(OsString::from));
    let filter = flags.capture_filter.as_deref().unwrap_or_default();
    words.extend(filter.split_whitespace().map(OsString::from));
    words
}
