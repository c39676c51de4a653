//! Resolves the names of well-known endpoints: reads what their addresses depend on (environment,
//! configuration files), and returns the candidates.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use stoop::internal::{Place, Target, responding};
use stoop::{Address, escaped};
use stoop_inspect::endpoints::{self, Candidate, Environment, Name, NotLocal, Source};
use stoop_inspect::internal;

use super::Endpoint;
use crate::advice::client_of;
use crate::distribution;
use crate::docker_config::{context_host, current_context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell;

impl Endpoint {
    /// Returns the address, and how it was found if a name was given: the first candidate that
    /// exists.
    pub(crate) fn target(&self) -> Result<(Target, Option<String>), Failure> {
        let name = match self {
            Endpoint::At(target) => return Ok((target.clone(), None)),
            Endpoint::Named(name) => *name,
        };
        let candidates = candidates(name)?;
        let is_there = |candidate: &&Candidate| {
            candidate.address.as_pathname().is_some_and(|path| responding::metadata(path).is_ok())
        };
        let Some(candidate) = candidates.iter().find(is_there).or(candidates.first()) else {
            return Err(not_found(name, &[]));
        };
        let target = Target { kind: None, place: Place::Address(candidate.address.clone()) };
        Ok((target, Some(how_found(name, candidate))))
    }
}

/// Describes how a name led to an address.
pub(super) fn how_found(name: Name, candidate: &Candidate) -> String {
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

pub(super) fn not_found(name: Name, failures: &[(&Candidate, stoop::Error)]) -> Failure {
    let what = format!("cannot find '{}': no socket at any of its default addresses", name.word());
    let report = Failure::new(Exit::Failed, what).of_call(Exit::NoServer);
    let report = report.why("it is not installed, or not running");
    let report = failures.iter().fold(report, |report, (candidate, _)| {
        report.seen(format!("no socket at '{}', {}", candidate.address, candidate.source))
    });
    let units = name.services().filter_map(distribution::unit).map(|unit| unit.start(false));
    report
        .next_all(units)
        .next(format!("{}    # if it is at another address", talk(name, "./its.sock")))
        .into()
}

/// Returns a command that connects to such a server at this address.
fn talk(name: Name, place: &str) -> String {
    name.services().next().map_or_else(|| format!("stoop why {place}"), |service| client_of(service, place))
}

/// Returns the candidates, from the environment and the configuration of this user.
pub(super) fn candidates(name: Name) -> Result<Vec<Candidate>, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let context = if name.word() == "docker" { docker_context()? } else { None };
    let crictl = if name.word() == "cri" { crictl_config() } else { None };
    let around = Environment {
        variable: Some(&variable),
        docker_context: context.as_ref().map(|(name, host)| (name.as_str(), host.as_str())),
        crictl_config: crictl.as_ref().map(|(path, text)| (path.as_str(), text.as_str())),
        uid: Some(user()),
    };
    endpoints::find(name, &around).map_err(|elsewhere| not_local(name, &elsewhere))
}

/// Returns the address that `NAME:PART` stands for, if the service of that name has several
/// servers: `tmux:work`, `php-fpm:8.2`.
pub(crate) fn instance(text: &str) -> Option<Address> {
    let (name, part) = text.split_once(':')?;
    let variable = |name: &str| std::env::var(name).ok();
    let around = Environment { variable: Some(&variable), uid: Some(user()), ..Environment::default() };
    internal::instance(name.parse().ok()?, part, &around)
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// Returns a command for the first default address that exists, if another one is configured.
pub(super) fn usual_instead(name: Name, configured: &Candidate) -> Option<String> {
    if matches!(configured.source, Source::Default(_)) {
        return None;
    }
    let runtime = |variable: &str| std::env::var(variable).ok().filter(|_| variable == "XDG_RUNTIME_DIR");
    let around = Environment { variable: Some(&runtime), uid: Some(user()), ..Environment::default() };
    let usual = endpoints::find(name, &around).ok()?.into_iter().find(|candidate| {
        candidate.address != configured.address && candidate.address.as_pathname().is_some_and(is_socket)
    })?;
    let place = shell::address(&usual.address);
    Some(format!("{}    # {}", talk(name, &place), usual.source))
}

fn is_socket(path: &Path) -> bool {
    responding::metadata(path).is_ok_and(|file| file.file_type().is_socket())
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
        .next("DOCKER_CONTEXT=default stoop why docker")
        .into()
}
