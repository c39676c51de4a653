//! Well-known endpoints: resolves `docker`, `cri` and other names as their own clients do.
//!
//! What is known about them is in [`stoop_inspect::endpoints`]. This module reads what the
//! addresses depend on (environment, configuration files), and determines which of the candidates
//! answers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stoop::{Address, Connect, Connection, Place, Stream, Target, escaped};
use stoop_inspect::endpoints::{self, Candidate, Environment, Name, NotLocal, Source};

use crate::docker_config::{context_host, current_context};
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::inherited::Inherited;
use crate::output::{Event, Text};

/// The delay before candidates are tried again while no server listens.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A server as given on the command line: an address, or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Named(Name),
    At(Target),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Named(name) => f.write_str(name.word()),
            Endpoint::At(target) => target.fmt(f),
        }
    }
}

/// A stream connected to a server, and how its address was found if a name was given.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) stream: Stream,
    found: Option<(Name, Candidate)>,
}

impl Reached {
    /// Returns the event that reports where the server was found, or `None` if its address was
    /// given.
    pub(crate) fn event(&self) -> Option<Event> {
        let (name, candidate) = self.found.as_ref()?;
        let address = Text::from(&candidate.address);
        Some(Event::Endpoint { name: name.word(), address, source: candidate.source.to_string() })
    }
}

impl Endpoint {
    /// Returns the address, and how it was found if a name was given: the first candidate that
    /// exists.
    pub(crate) fn target(&self) -> Result<(Target, Option<String>), Failure> {
        let name = match self {
            Endpoint::At(target) => return Ok((target.clone(), None)),
            Endpoint::Named(name) => *name,
        };
        let candidates = candidates(name)?;
        let is_there = |candidate: &&Candidate| candidate.address.as_path().is_some_and(|path| path.exists());
        let Some(candidate) = candidates.iter().find(is_there).or(candidates.first()) else {
            return Err(none_answers(name, Vec::new()));
        };
        let target = Target { kind: None, place: Place::Address(candidate.address.clone()) };
        Ok((target, Some(how_found(name, candidate))))
    }

    /// Connects a stream. Waits up to `timeout` for space in the backlog, and up to `wait` for a
    /// server that has not started yet. Must be called before this process opens any file
    /// descriptor: see [`Inherited::named`].
    pub(crate) fn connect(
        &self,
        wait: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Result<Reached, Failure> {
        match self {
            Endpoint::At(target) => Ok(Reached { stream: to_target(target, wait, timeout)?, found: None }),
            Endpoint::Named(name) => {
                let candidates = candidates(*name)?;
                let (stream, candidate) = first(*name, candidates, wait.unwrap_or_default(), timeout)?;
                Ok(Reached { stream, found: Some((*name, candidate)) })
            }
        }
    }
}

fn to_target(target: &Target, wait: Option<Duration>, timeout: Option<Duration>) -> Result<Stream, Failure> {
    if let Some(kind) = target.kind.filter(|kind| *kind != stoop::Kind::Stream) {
        return Err(Failure::usage(format!(
            "'{target}' is a {kind} address, but HTTP and gRPC require a stream socket"
        )));
    }
    match Inherited::named(target, Some(stoop::Kind::Stream))? {
        Some(inherited) => match inherited.into_connection()? {
            Connection::Stream(stream) => Ok(stream),
            other => Err(Failure::usage(format!("'{target}' is a {} socket, not a stream", other.kind()))),
        },
        None => match &target.place {
            Place::Address(address) => Ok(to_address(address, wait.unwrap_or_default(), timeout)?),
            _ => Err(Failure::usage(format!("'{target}' cannot be connected to"))),
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
    let report = Failure::of(error).seen(how_found(name, candidate));
    match endpoints::recognise(&candidate.address).and_then(|service| service.group) {
        Some(group) if error.is_permission() => {
            report.seen(format!("by default, members of the group '{group}' may connect")).into()
        }
        _ => report.into(),
    }
}

/// Describes how a name led to an address.
fn how_found(name: Name, candidate: &Candidate) -> String {
    match &candidate.source {
        Source::Default(service) => {
            format!(
                "'{}' is not configured, and this is the default address of {}",
                name.word(),
                service.what
            )
        }
        configured => format!("the address of '{}' is configured by {configured}", name.word()),
    }
}

fn not_found(name: Name, failures: &[(&Candidate, stoop::Error)]) -> Failure {
    let what = format!("cannot find '{}': no socket at any of its default addresses", name.word());
    let report = Failure::new(Exit::Failed, what).why("it is not installed, or not running");
    let report = failures.iter().fold(report, |report, (candidate, _)| {
        report.seen(format!("no socket at '{}', {}", candidate.address, candidate.source))
    });
    let units = name.services().iter().map(|service| format!("systemctl start {}", service.unit));
    let report = units.fold(report, Report::next);
    report.next(format!("{}    # if it is at another address", talk(name, "./its.sock"))).into()
}

/// Returns a command that talks to such a server at this address.
fn talk(name: Name, place: &str) -> String {
    match name {
        Name::Docker | Name::Podman => format!("stoop http {place} /version"),
        _ => format!("stoop grpc {place} list"),
    }
}

/// Returns the candidates, from the environment and the configuration of this user.
fn candidates(name: Name) -> Result<Vec<Candidate>, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let context = if name == Name::Docker { docker_context()? } else { None };
    let crictl = if name == Name::Cri { crictl_config() } else { None };
    let around = Environment {
        variable: Some(&variable),
        docker_context: context.as_ref().map(|(name, host)| (name.as_str(), host.as_str())),
        crictl_config: crictl.as_ref().map(|(path, text)| (path.as_str(), text.as_str())),
    };
    endpoints::find(name, &around).map_err(|elsewhere| not_local(name, &elsewhere))
}

fn not_local(name: Name, elsewhere: &NotLocal) -> Failure {
    let report = Failure::new(Exit::Failed, format!("cannot reach '{}': {elsewhere}", name.word()))
        .why("stoop supports Unix sockets only");
    match &elsewhere.source {
        Source::Variable(variable) => report.next(format!("env -u {variable} {}", talk(name, name.word()))),
        Source::DockerContext(_) => {
            report.next("docker context ls    # lists the contexts and their addresses")
        }
        _ => report,
    }
    .into()
}

/// Reads crictl's configuration, if there is one.
fn crictl_config() -> Option<(String, String)> {
    let path = set("CRI_CONFIG_FILE").unwrap_or_else(|| "/etc/crictl.yaml".into());
    let text = std::fs::read_to_string(&path).ok()?;
    Some((path, text))
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Returns the Docker client's current context, unless it is the default one: its name and its
/// host.
fn docker_context() -> Result<Option<(String, String)>, Failure> {
    if set("DOCKER_HOST").is_some() {
        return Ok(None);
    }
    let Some(directory) = docker_directory() else { return Ok(None) };
    let configured = || current_context(&std::fs::read(directory.join("config.json")).ok()?);
    let Some(context) = set("DOCKER_CONTEXT").or_else(configured) else { return Ok(None) };
    if context.is_empty() || context == "default" {
        return Ok(None);
    }
    match host_of(&directory, &context) {
        Some(host) => Ok(Some((context, host))),
        None => Err(no_such_context(&directory, &context)),
    }
}

/// Returns `$DOCKER_CONFIG`, or `.docker` in the home directory.
fn docker_directory() -> Option<PathBuf> {
    set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".docker")))
}

/// Returns the host of a context. The directory of each context is named by a hash, which need not
/// be computed: a file in it contains the context's name.
fn host_of(directory: &Path, context: &str) -> Option<String> {
    let mut entries = std::fs::read_dir(directory.join("contexts/meta")).ok()?;
    entries
        .find_map(|entry| context_host(&std::fs::read(entry.ok()?.path().join("meta.json")).ok()?, context))
}

fn no_such_context(directory: &Path, context: &str) -> Failure {
    let (context, directory) =
        (escaped(context), escaped(directory.as_os_str().as_encoded_bytes()).to_string());
    Failure::new(Exit::Failed, format!("cannot find 'docker': no Docker context '{context}'"))
        .why("DOCKER_CONTEXT or the Docker client's configuration names a context that does not exist")
        .seen(format!("no context of that name in '{directory}/contexts/meta'"))
        .next("docker context ls    # lists the contexts and their addresses")
        .next("DOCKER_CONTEXT=default stoop http docker /version")
        .into()
}
