//! Connects to a server that was given by an address or by a name.

use std::time::{Duration, Instant};

use stoop::internal::{Connection, Operation, Place, Target};
use stoop::{Address, Connect, Kind, Stream};
use stoop_inspect::endpoints::{self, Candidate, Name, Source};

use super::Endpoint;
use super::find::{candidates, how_found, not_found, usual_instead};
use crate::args::ConnectFlags;
use crate::failure::{Failure, Report};
use crate::inherited::Inherited;
use crate::output::{Event, Text};
use crate::target;

/// The delay before candidates are tried again while no server listens.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A connection to a server, and how its address was found if a name was given.
#[derive(Debug)]
pub(crate) struct Reached<C> {
    pub(crate) connection: C,
    found: Option<(Name, Candidate)>,
}

impl<C> Reached<C> {
    /// Returns the event that reports where the server was found, or `None` if its address was
    /// given.
    pub(crate) fn event(&self) -> Option<Event> {
        let (name, candidate) = self.found.as_ref()?;
        let address = Text::from(&candidate.address);
        Some(Event::Endpoint { name: name.word(), address, source: candidate.source.to_string() })
    }
}

impl Endpoint {
    /// Returns the inherited socket, if it is one. Must be called before this process opens any
    /// file descriptor: see [`Inherited::named`].
    pub(crate) fn inherited(&self, kind: Option<Kind>) -> Result<Option<Inherited>, Failure> {
        match self {
            Endpoint::At(target) => Inherited::named(target, kind),
            Endpoint::Named(_) => Ok(None),
        }
    }

    /// Connects to a server of any kind, or uses the inherited socket.
    pub(crate) fn connect(
        &self,
        inherited: Option<Inherited>,
        flags: &ConnectFlags,
        timeout: Option<Duration>,
    ) -> Result<Reached<Connection>, Failure> {
        if let Endpoint::At(target) = self {
            let connection = match inherited {
                Some(inherited) => inherited.into_connection()?,
                None => target::connect(target, flags, timeout)?,
            };
            return Ok(Reached { connection, found: None });
        }
        if let Some(kind) = flags.kind.kind.filter(|kind| *kind != Kind::Stream) {
            return Err(Failure::usage(
                format!("'{self}' cannot be used with --kind {kind}"),
                "a service that is found by its name has a stream socket",
            ));
        }
        if flags.bind.is_some() {
            return Err(Failure::usage(
                "--bind requires a datagram socket",
                format!("'{self}' is a stream socket"),
            ));
        }
        let Reached { connection, found } = self.connect_stream(flags.wait, timeout)?;
        Ok(Reached { connection: Connection::Stream(connection), found })
    }

    /// Connects a stream. Waits up to `timeout` for space in the backlog, and up to `wait` for a
    /// server that has not started yet. Must be called before this process opens any file
    /// descriptor: see [`Inherited::named`].
    pub(crate) fn connect_stream(
        &self,
        wait: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Result<Reached<Stream>, Failure> {
        match self {
            Endpoint::At(target) => {
                Ok(Reached { connection: to_target(target, wait, timeout)?, found: None })
            }
            Endpoint::Named(name) => {
                let candidates = candidates(*name)?;
                let (connection, candidate) = first(*name, candidates, wait.unwrap_or_default(), timeout)?;
                Ok(Reached { connection, found: Some((*name, candidate)) })
            }
        }
    }
}

fn to_target(target: &Target, wait: Option<Duration>, timeout: Option<Duration>) -> Result<Stream, Failure> {
    if let Some(kind) = target.kind.filter(|kind| *kind != Kind::Stream) {
        return Err(Failure::usage(
            format!("'{target}' is a {kind} address"),
            "HTTP and gRPC require a stream socket",
        ));
    }
    match Inherited::named(target, Some(Kind::Stream))? {
        Some(inherited) => match inherited.into_connection()? {
            Connection::Stream(stream) => Ok(stream),
            other => Err(Failure::usage(
                format!("'{target}' is a {} socket", other.kind()),
                "HTTP and gRPC require a stream socket",
            )),
        },
        None => match &target.place {
            Place::Address(address) => {
                target::check_responds(address, Operation::Connect)?;
                Ok(to_address(address, wait.unwrap_or_default(), timeout)?)
            }
            _ => Err(Failure::usage(format!("'{target}' cannot be connected to"), target::NOT_AN_ADDRESS)),
        },
    }
}

fn to_address(address: &Address, wait: Duration, timeout: Option<Duration>) -> stoop::Result<Stream> {
    let connect = Connect::new(address).wait_for_server(wait);
    timeout.map_or(connect.clone(), |timeout| connect.timeout(timeout)).stream()
}

/// Connects to the first candidate that answers.
fn first(
    name: Name,
    candidates: Vec<Candidate>,
    wait: Duration,
    timeout: Option<Duration>,
) -> Result<(Stream, Candidate), Failure> {
    let started = Instant::now();
    loop {
        let mut failures = Vec::new();
        for candidate in &candidates {
            match to_address(&candidate.address, Duration::ZERO, timeout) {
                Ok(stream) => return Ok((stream, candidate.clone())),
                Err(error) => failures.push((candidate, error)),
            }
        }
        let hopeless = failures.iter().all(|(_, error)| !error.is_not_found() && !error.is_refused());
        if hopeless || started.elapsed() >= wait {
            return Err(none_answers(name, failures));
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}

/// Reports that no candidate answers. A candidate that exists or must exist is explained. Otherwise
/// the report lists the addresses tried.
fn none_answers(name: Name, failures: Vec<(&Candidate, stoop::Error)>) -> Failure {
    let is_telling = |(candidate, error): &&(&Candidate, stoop::Error)| {
        !error.is_not_found() || !matches!(candidate.source, Source::Default(_))
    };
    match failures.iter().find(is_telling) {
        Some((candidate, error)) => not_reached(name, candidate, error),
        None => not_found(name, &failures),
    }
}

fn not_reached(name: Name, candidate: &Candidate, error: &stoop::Error) -> Failure {
    let program = name.services().next().map_or("its server", |service| service.what);
    let report = Report::of_program(error, program).seen(how_found(name, candidate));
    let report = report.next_all(usual_instead(name, candidate));
    match endpoints::recognise(&candidate.address).and_then(|service| service.group) {
        Some(group) if error.is_permission() => {
            report.seen(format!("by default, members of the group '{group}' may connect")).into()
        }
        _ => report.into(),
    }
}
