//! Standing in front of a live server, at the server's own name, and giving the name back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stoop::internal::{self, Place, Restored, Target};
use stoop::{Address, ErrorKind, Kind};
#[cfg(feature = "http")]
use stoop::{Listener, Stream};
#[cfg(feature = "http")]
use stoop_relay::Interposition;
use stoop_relay::{Displaced, Front, Server};

use super::args::Relay;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Output, Text, Word};
use crate::shell;
use crate::target::{self, NOT_AN_ADDRESS};

/// A name that was taken over.
pub(super) struct Taken {
    pub(super) front: Front,
    pub(super) server: Server,
    pub(super) listening: Event,
}

/// A name that was taken over for a guard, which serves a listener of its own.
#[cfg(feature = "http")]
pub(super) struct TakenByGuard {
    pub(super) listener: Listener<Stream>,
    pub(super) place: Interposition,
    pub(super) server: Address,
}

/// Takes over the name of a live server for a guard.
#[cfg(feature = "http")]
pub(super) fn take_over_for_guard(
    name: &Target,
    flags: &Relay,
    policy: stoop::Policy,
) -> Result<TakenByGuard, Failure> {
    let address = path_of(name)?;
    let bind = target::bind(&address, &flags.bind).policy(policy);
    let taken: stoop::Result<Listener<Stream>> = internal::interpose(bind).listen();
    let listener = taken.map_err(|error| not_taken(name, &address, &error))?;
    let place = listener.file().and_then(Interposition::of);
    match place.and_then(|place| Some((place.server()?, place))) {
        Some((server, place)) => Ok(TakenByGuard { listener, place, server }),
        None => Err(Failure::usage(
            format!("no relay can stand in front of '{name}'"),
            "the server is reached through /proc, which is not mounted",
        )),
    }
}

/// Takes over the name of a live server.
pub(super) fn take_over(name: &Target, flags: &Relay, policy: stoop::Policy) -> Result<Taken, Failure> {
    let address = path_of(name)?;
    let path = address.as_pathname().unwrap_or(Path::new(""));
    let kind = target::kind_of(name, flags.bind.kind.kind)?;
    let kind = kind.or_else(|| internal::kind_at(path)).unwrap_or(Kind::Stream);
    let bind = target::bind(&address, &flags.bind).policy(policy);
    let (front, server) = Front::interpose(bind, kind).map_err(|error| not_taken(name, &address, &error))?;
    let mode = std::fs::symlink_metadata(path).ok().map(|file| file.permissions().mode() & 0o777);
    let listening = Event::Listening {
        address: Text::from(&address),
        kind: Word(kind),
        answer: "relay",
        mode: mode.map(|mode| format!("{mode:o}")),
        inherited: false,
    };
    Ok(Taken { front, server, listening })
}

/// Returns the path, without a symbolic link at its end: the server's file is what is taken over.
fn path_of(name: &Target) -> Result<Address, Failure> {
    let refused = |why: &str| Err(Failure::usage(format!("no relay can stand in front of '{name}'"), why));
    let Place::Address(address) = &name.place else { return refused(NOT_AN_ADDRESS) };
    let Some(path) = address.as_pathname() else {
        return refused("an abstract name belongs to the server's socket for as long as it lives");
    };
    target::check_responds(address, internal::Operation::Connect)?;
    let is_link = path.symlink_metadata().is_ok_and(|file| file.is_symlink());
    let real = if is_link { path.canonicalize().ok() } else { None };
    Ok(real.and_then(|path| Address::path(path).ok()).unwrap_or_else(|| address.clone()))
}

fn not_taken(name: &Target, address: &Address, error: &stoop::Error) -> Failure {
    let path = shell::address(address);
    let report = Failure::new(Exit::of(error.kind()), format!("no relay can stand in front of '{name}'"));
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Refused => report
            .why(format!("{detail}: a relay takes the place of a server that runs"))
            .next("stoop ls    # the servers that run"),
        ErrorKind::Unsupported if detail.contains("a relay") => {
            let replace = format!("stoop relay --interpose {path} --replace    # take its place");
            report.why(detail).next(format!("stoop who {path}    # the relay")).next(replace)
        }
        ErrorKind::PermissionDenied => report
            .why("the relay must be able to connect to the server, and to change names in the directory")
            .next(format!("stoop why {path}    # what is missing to connect")),
        ErrorKind::WrongKind => report.why(detail).next("# leave --kind out: it is found by itself"),
        _ => report.why(detail),
    }
    .into()
}

/// `--restore`: gives a server the name back that a killed relay has left.
pub(super) fn restore(name: &Target, output: Output) -> Outcome {
    let address = path_of(name)?;
    let path = address.as_pathname().unwrap_or(Path::new(""));
    let restored = internal::restore(path).map_err(|error| not_restored(name, &error))?;
    match restored {
        Restored::Server => output.tell(&Event::Restored { address: Text::from(&address) })?,
        Restored::Leftovers | Restored::Nothing => {}
        Restored::Taken => {
            let path = shell::address(&address);
            return Err(Failure::new(Exit::No, format!("'{name}' is not given back"))
                .why(
                    "a live socket has the name: a relay that still runs, or a server that has started since",
                )
                .next(format!("stoop who {path}    # which; a relay gives the name back when it is stopped"))
                .into());
        }
    }
    Ok(Exit::Done)
}

fn not_restored(name: &Target, error: &stoop::Error) -> Failure {
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let report =
        Failure::new(Exit::of(error.kind()), format!("cannot look for what a relay has left at '{name}'"));
    match error.kind() {
        ErrorKind::NotPermitted => report
            .why(detail)
            .next("# run it as the user who ran the relay: nobody else may enter the directory"),
        _ => report.why(detail),
    }
    .into()
}

/// Returns the outcome of a relay that has stopped, and perhaps had to.
pub(super) fn ended(why: Option<Displaced>, flags: &Relay) -> Outcome {
    match (why, &flags.interpose) {
        (None | Some(Displaced::HandedOver), _) | (_, None) => Ok(Exit::Done),
        (Some(why), Some(name)) => Err(stopped(why, name, flags)),
    }
}

/// Returns the failure of a relay that had to stop.
fn stopped(why: Displaced, name: &Target, flags: &Relay) -> Failure {
    let report = Failure::new(Exit::Failed, format!("the relay in front of '{name}' has stopped"));
    let again = match guards(flags) {
        // A command without the rules would let everything through.
        true => "# start the guard again, with its rules, once the server runs".into(),
        false => format!(
            "stoop relay --interpose {}    # in front of the server, once it runs",
            shell::quoted(name.to_string().as_ref())
        ),
    };
    match why {
        Displaced::NameRemoved => report.why("the socket file was removed, as a server does when it exits"),
        Displaced::NameTaken => report.why("another server has taken the name, and keeps it"),
        _ => report.why("the server has closed its socket; the name was left free for it"),
    }
    .next(again)
    .into()
}

/// Returns the word for scripts.
pub(super) fn word(why: Displaced) -> &'static str {
    match why {
        Displaced::NameRemoved => "name_removed",
        Displaced::NameTaken => "name_taken",
        Displaced::HandedOver => "handed_over",
        _ => "server_closed",
    }
}

#[cfg(feature = "http")]
fn guards(flags: &Relay) -> bool {
    flags.rules.are_given()
}

#[cfg(not(feature = "http"))]
fn guards(_flags: &Relay) -> bool {
    false
}
