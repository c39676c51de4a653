//! Well-known endpoints: from a name (`docker`, `cri`, …) to the addresses that its own clients
//! try, in their order, and from a path to the service that uses it.
//!
//! Pure: everything the results depend on is passed as [`Environment`]. Nothing here does I/O.
//! Whether a server listens at a candidate is not checked.
//!
//! # Examples
//!
//! ```
//! use stoop::Address;
//! use stoop_inspect::endpoints::{self, Environment};
//!
//! let candidates = endpoints::find("cri".parse().unwrap(), &Environment::default()).unwrap();
//! assert_eq!(candidates[0].address.to_string(), "/run/containerd/containerd.sock");
//!
//! let docker = endpoints::recognise(&Address::path("/var/run/docker.sock").unwrap()).unwrap();
//! assert_eq!((docker.what, docker.group), ("the Docker daemon", Some("docker")));
//! ```

#[cfg(feature = "definitions")]
pub(crate) mod definition;
pub(crate) mod exchange;
pub(crate) mod instances;
pub(crate) mod recognise;
mod services;

use std::fmt;
use std::path::Path;

use stoop::{Address, escaped};

pub use recognise::recognise;
pub(crate) use recognise::{holds_sessions, recreating_signal};
#[cfg(feature = "definitions")]
pub use services::add_services;
use services::{DefaultPath, UID};
pub use services::{Name, Protocol, Service, UnknownName};

/// The configuration that the addresses depend on. The default has none.
#[derive(Clone, Copy, Default)]
pub struct Environment<'a> {
    /// The environment: returns the value of a variable, if it is set.
    #[expect(clippy::type_complexity, reason = "a name would hide the signature")]
    pub variable: Option<&'a dyn Fn(&str) -> Option<String>>,
    /// The current context of the Docker client, unless that is `default`: its name, and the host
    /// it names.
    pub docker_context: Option<(&'a str, &'a str)>,
    /// crictl's configuration file, if there is one: its path and its text.
    pub crictl_config: Option<(&'a str, &'a str)>,
    /// The user whose servers are looked for, such as that of tmux in `/tmp/tmux-1000`.
    pub uid: Option<u32>,
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("docker_context", &self.docker_context)
            .field("crictl_config", &self.crictl_config)
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}

impl Environment<'_> {
    /// Returns the value of a variable that is set and not empty.
    fn set(&self, name: &str) -> Option<String> {
        self.variable?(name).filter(|value| !value.is_empty())
    }
}

/// An address at which the service may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub address: Address,
    /// The configuration that names the address.
    pub source: Source,
}

/// The configuration that names an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// An environment variable.
    Variable(&'static str),
    /// The Docker client's context with this name.
    DockerContext(String),
    /// The configuration file at this path.
    File(String),
    /// No configuration: it is the default address of this service.
    Default(&'static Service),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Variable(name) => f.write_str(name),
            Source::DockerContext(name) => write!(f, "the Docker context '{}'", escaped(name)),
            Source::File(path) => write!(f, "{}", escaped(path)),
            Source::Default(service) => write!(f, "the default address of {}", service.what),
        }
    }
}

/// The error returned if the endpoint is configured to be something other than a Unix domain
/// socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLocal {
    /// The host as configured, such as `tcp://10.0.0.7:2375`.
    pub host: String,
    /// The configuration that names it.
    pub source: Source,
}

impl fmt::Display for NotLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names '{}', which is not a Unix socket", self.source, escaped(&self.host))
    }
}

impl std::error::Error for NotLocal {}

/// Returns the addresses at which to look for the service, best first. Empty only if they depend on
/// something that the environment lacks.
///
/// If an address is configured, it is the only one. Otherwise all default addresses are returned.
/// For `docker` the order is the Docker client's own (`DOCKER_HOST`, its context,
/// `/var/run/docker.sock`), then a rootless daemon, then podman. For `cri` it is crictl's.
///
/// # Errors
/// Returns an error if the configuration names a network address, or an invalid address.
///
/// # Examples
///
/// ```
/// use stoop_inspect::endpoints::{Environment, Source, find};
///
/// let variable = |name: &str| (name == "DOCKER_HOST").then(|| "unix:///srv/d.sock".to_owned());
/// let environment = Environment { variable: Some(&variable), ..Environment::default() };
/// let candidates = find("docker".parse().unwrap(), &environment).unwrap();
/// assert_eq!(candidates.len(), 1);
/// assert_eq!(candidates[0].source, Source::Variable("DOCKER_HOST"));
///
/// let variable = |_: &str| Some("tcp://10.0.0.7:2375".to_owned());
/// let environment = Environment { variable: Some(&variable), ..Environment::default() };
/// let error = find("docker".parse().unwrap(), &environment).unwrap_err();
/// assert_eq!(error.host, "tcp://10.0.0.7:2375");
/// ```
pub fn find(name: Name, around: &Environment<'_>) -> Result<Vec<Candidate>, NotLocal> {
    match configured(name, around) {
        // As in the clients themselves, an empty path means the default address.
        Some((host, source)) if host != "unix://" => match local(&host) {
            Some(address) => Ok(vec![Candidate { address, source }]),
            None => Err(NotLocal { host, source }),
        },
        _ => Ok(usual(name, around)),
    }
}

fn configured(name: Name, around: &Environment<'_>) -> Option<(String, Source)> {
    if let Some(variable) = name.variable()
        && let Some(host) = around.set(variable)
    {
        // In a session of tmux, the path is followed by the server's process and the session.
        let host = if variable == "TMUX" { host.split(',').next().unwrap_or_default().into() } else { host };
        return Some((host, Source::Variable(variable)));
    }
    match name.word() {
        "docker" => {
            let (context, host) = around.docker_context?;
            Some((host.into(), Source::DockerContext(context.into())))
        }
        "cri" => {
            let (path, text) = around.crictl_config?;
            Some((runtime_endpoint(text)?.into(), Source::File(path.into())))
        }
        _ => None,
    }
}

/// Returns the `runtime-endpoint` of crictl's configuration: one scalar on a line of its own,
/// quoted or not.
fn runtime_endpoint(yaml: &str) -> Option<&str> {
    let value = yaml.lines().find_map(|line| line.strip_prefix("runtime-endpoint:"))?.trim();
    let value = match value.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => value[1..].split(char::from(*quote)).next(),
        _ => value.split(" #").next(),
    };
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// Parses the address that a client's configuration names: a path, with or without `unix://`, taken
/// literally.
fn local(host: &str) -> Option<Address> {
    let path = match host.split_once(':') {
        Some(("unix", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        _ if host.starts_with(['/', '@']) => host,
        _ => return None,
    };
    match path.strip_prefix('@') {
        Some(name) => Address::abstract_name(name).ok(),
        None => Address::path(path).ok(),
    }
}

/// Returns the default addresses of a service, best first.
fn usual(name: Name, around: &Environment<'_>) -> Vec<Candidate> {
    let runtime = around.set("XDG_RUNTIME_DIR").filter(|path| path.starts_with('/'));
    let candidate = &|service: &'static Service, default: &DefaultPath| {
        let path = match default {
            DefaultPath::Machine(path) => around.fill(service, path)?.into(),
            DefaultPath::User(rest) => Path::new(runtime.as_deref()?).join(rest),
        };
        Some(Candidate { address: Address::path(path).ok()?, source: Source::Default(service) })
    };
    // A Kubernetes node has one containerd, and crictl knows one address for it.
    let paths = |service: &'static Service| match name.word() {
        "cri" => &service.default_paths[..1],
        _ => service.default_paths,
    };
    name.services()
        .flat_map(|service| paths(service).iter().filter_map(move |path| candidate(service, path)))
        .collect()
}

impl Environment<'_> {
    /// Completes a path with what depends on the user. `None` if that is not known.
    pub(crate) fn fill(&self, service: &Service, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        if path.contains(UID) {
            path = path.replace(UID, &self.uid?.to_string());
        }
        let tmp = service.tmp_variable.and_then(|variable| self.set(variable));
        Some(match (path.strip_prefix("/tmp/"), tmp.filter(|tmp| tmp.starts_with('/'))) {
            (Some(rest), Some(tmp)) => format!("{tmp}/{rest}"),
            _ => path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn named(word: &str) -> Name {
        word.parse().unwrap()
    }

    #[track_caller]
    fn found(name: Name, around: &Environment<'_>) -> Vec<String> {
        find(name, around).unwrap().iter().map(|place| place.address.to_string()).collect()
    }

    #[test]
    fn where_nothing_is_set_the_usual_places_are_tried_in_the_clients_order() {
        let set = [("XDG_RUNTIME_DIR", "/run/user/7"), ("DOCKER_HOST", "")];
        let around = Environment { variable: Some(&variables(&set)), ..Environment::default() };
        let (docker, podman) = ("/var/run/docker.sock", "/run/podman/podman.sock");
        let (rootless, own) = ("/run/user/7/docker.sock", "/run/user/7/podman/podman.sock");
        assert_eq!(found(named("docker"), &around), [docker, rootless, own, podman]);
        assert_eq!(found(named("docker"), &Environment::default()), [docker, podman]);
        let cri = ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/cri-dockerd.sock"];
        assert_eq!(found(named("cri"), &around)[..3], cri);
        let around = Environment { uid: Some(7), ..around };
        for name in Name::all() {
            assert!(!found(name, &around).is_empty(), "{name:?}");
            assert_eq!(name.word().parse(), Ok(name));
        }
        assert_eq!("dockerd".parse::<Name>(), Err(UnknownName));
    }

    #[test]
    fn a_variable_goes_before_the_context_and_both_before_the_usual() {
        let set = [("DOCKER_HOST", "unix:///a%20b.sock")];
        let docker_context = Some(("rootless", "unix:///c.sock"));
        let around = Environment { docker_context, ..Environment::default() };
        let places = find(named("docker"), &around).unwrap();
        assert_eq!(places.len(), 1);
        assert_eq!(places[0].address, Address::path("/c.sock").unwrap());
        assert_eq!(places[0].source.to_string(), "the Docker context 'rootless'");
        let around = Environment { variable: Some(&variables(&set)), ..around };
        let places = find(named("docker"), &around).unwrap();
        // Not an escape: Docker takes the path literally.
        assert_eq!(places[0].address, Address::path("/a%20b.sock").unwrap());
        assert_eq!(places[0].source, Source::Variable("DOCKER_HOST"));
    }

    #[test]
    fn what_is_configured_to_be_elsewhere_is_not_looked_for_here() {
        for host in ["tcp://10.0.0.7:2375", "ssh://me@there", "fd://", "npipe:////./pipe/x", "there:2375"] {
            let set = [("DOCKER_HOST", host)];
            let around = Environment { variable: Some(&variables(&set)), ..Environment::default() };
            let elsewhere = find(named("docker"), &around).unwrap_err();
            assert_eq!(
                elsewhere.to_string(),
                format!("DOCKER_HOST names '{host}', which is not a Unix socket")
            );
        }
        let set = [("DOCKER_HOST", "unix://")];
        let around = Environment { variable: Some(&variables(&set)), ..Environment::default() };
        assert_eq!(found(named("docker"), &around)[0], "/var/run/docker.sock");
    }

    #[test]
    fn crictls_configuration_is_read() {
        let with = |text| {
            let crictl_config = Some(("/etc/crictl.yaml", text));
            found(named("cri"), &Environment { crictl_config, ..Environment::default() })
        };
        for text in [
            "runtime-endpoint: unix:///x/y.sock\nimage-endpoint: unix:///z\n",
            "timeout: 10\nruntime-endpoint: \"unix:///x/y.sock\"",
            "runtime-endpoint:   '/x/y.sock'  # ours",
            "runtime-endpoint: unix:/x/y.sock # ours",
        ] {
            assert_eq!(with(text), ["/x/y.sock"], "{text}");
        }
        for text in ["", "runtime-endpoint: \"\"\n", "runtime-endpoint:\n", "#runtime-endpoint: unix:///x"] {
            assert_eq!(with(text)[0], "/run/containerd/containerd.sock", "{text}");
        }
    }

    #[test]
    fn every_usual_place_is_recognised_as_what_it_is() {
        let set = [("XDG_RUNTIME_DIR", "/run/user/7")];
        let around = Environment { variable: Some(&variables(&set)), ..Environment::default() };
        for candidate in Name::all().flat_map(|name| usual(name, &around)) {
            let Source::Default(service) = candidate.source else { panic!("usual places were asked for") };
            assert_eq!(recognise(&candidate.address), Some(service));
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_the_surroundings_panics(host in ".*", text in ".*", name in 0..4usize) {
            let variable = |_: &str| Some(host.clone());
            let docker_context = Some((text.as_str(), host.as_str()));
            let crictl_config = Some(("x", text.as_str()));
            for variable in [None, Some(&variable as &dyn Fn(&str) -> Option<String>)] {
                let around = Environment { variable, docker_context, crictl_config, uid: Some(7) };
                let _ = find(Name::all().nth(name).unwrap(), &around);
            }
            if let Ok(address) = Address::path(&*host) {
                let _ = recognise(&address);
            }
        }
    }
}
