//! Well-known endpoints: from a name (`docker`, `cri`, …) to the places where its own clients look,
//! in their order; and from a path to what is known about it.
//!
//! Pure: what the answers depend on is given as [`Surroundings`], nothing here looks at the
//! machine, and whether anybody listens at a candidate is for the caller to find out.
//!
//! ```
//! use stoop::Address;
//! use stoop_inspect::endpoints::{self, Name, Surroundings};
//!
//! let places = endpoints::find(Name::Cri, &Surroundings::default()).unwrap();
//! assert_eq!(places[0].address.to_string(), "/run/containerd/containerd.sock");
//!
//! let docker = endpoints::recognise(&Address::path("/var/run/docker.sock").unwrap()).unwrap();
//! assert_eq!((docker.what, docker.group), ("the Docker daemon", Some("docker")));
//! ```

mod services;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use stoop::{Address, escaped};

use services::{CONTAINERD, CRI_DOCKERD, CRIO, DOCKER, PODMAN, Place};
pub use services::{Protocol, Service, recognise};

/// A name that stands for a service, wherever its socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Name {
    /// `docker`: what the Docker client would talk to, else podman, which speaks the same.
    Docker,
    /// `podman`: what podman's own client would talk to.
    Podman,
    /// `containerd`.
    Containerd,
    /// `cri`: the container runtime of a Kubernetes node, as crictl finds it.
    Cri,
}

impl Name {
    /// Every name.
    pub const ALL: [Name; 4] = [Name::Docker, Name::Podman, Name::Containerd, Name::Cri];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Name::Docker => "docker",
            Name::Podman => "podman",
            Name::Containerd => "containerd",
            Name::Cri => "cri",
        }
    }

    /// The services that answer to it, in the order in which they are tried.
    pub fn services(self) -> &'static [&'static Service] {
        match self {
            Name::Docker => &[DOCKER, PODMAN],
            Name::Podman => &[PODMAN],
            Name::Containerd => &[CONTAINERD],
            Name::Cri => &[CONTAINERD, CRIO, CRI_DOCKERD],
        }
    }

    /// The variable that its own client takes before everything else.
    fn variable(self) -> &'static str {
        match self {
            Name::Docker => "DOCKER_HOST",
            Name::Podman => "CONTAINER_HOST",
            Name::Containerd => "CONTAINERD_ADDRESS",
            Name::Cri => "CONTAINER_RUNTIME_ENDPOINT",
        }
    }
}

impl FromStr for Name {
    type Err = UnknownName;

    fn from_str(word: &str) -> Result<Name, UnknownName> {
        Name::ALL.into_iter().find(|name| name.word() == word).ok_or(UnknownName)
    }
}

/// The word is not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no well-known endpoint")
    }
}

impl std::error::Error for UnknownName {}

/// Looks a variable of the environment up.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the places depend on. The default is a machine where nothing is set.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The environment: the value of a variable, where it is set.
    pub variable: Option<Variable<'a>>,
    /// The Docker client's current context, unless that is `default`: its name, and the host that
    /// it names.
    pub docker_context: Option<(&'a str, &'a str)>,
    /// crictl's configuration file, where there is one: its path and its text.
    pub crictl_config: Option<(&'a str, &'a str)>,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("docker_context", &self.docker_context)
            .field("crictl_config", &self.crictl_config)
            .finish_non_exhaustive()
    }
}

impl Surroundings<'_> {
    /// A variable that is set to something.
    fn set(&self, name: &str) -> Option<String> {
        self.variable?(name).filter(|value| !value.is_empty())
    }
}

/// A place to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where.
    pub address: Address,
    /// Who says so.
    pub source: Source,
}

/// Who names a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// An environment variable.
    Variable(&'static str),
    /// The Docker client's context of this name.
    DockerContext(String),
    /// A configuration file.
    File(String),
    /// Nobody in particular: it is this service's usual place.
    Usual(&'static Service),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Variable(name) => f.write_str(name),
            Source::DockerContext(name) => write!(f, "the Docker context '{}'", escaped(name)),
            Source::File(path) => write!(f, "{}", escaped(path)),
            Source::Usual(service) => write!(f, "the usual place of {}", service.what),
        }
    }
}

/// The endpoint is configured to be somewhere else than at a local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// As it is written: `tcp://10.0.0.7:2375`.
    pub host: String,
    /// Who says so.
    pub source: Source,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names '{}', which is no local socket", self.source, escaped(&self.host))
    }
}

impl std::error::Error for Elsewhere {}

/// Where to look for it, best first: the one place that is configured, else all the usual ones.
/// Never empty.
///
/// For `docker` the order is the Docker client's own (`DOCKER_HOST`, its context,
/// `/var/run/docker.sock`), then a rootless daemon, then podman. For `cri` it is crictl's.
///
/// # Errors
/// [`Elsewhere`] where the configuration names a network's address, or something that is no address
/// at all.
pub fn find(name: Name, around: &Surroundings<'_>) -> Result<Vec<Candidate>, Elsewhere> {
    match configured(name, around) {
        // As with the clients themselves, no path at all is the usual place.
        Some((host, source)) if host != "unix://" => match local(&host) {
            Some(address) => Ok(vec![Candidate { address, source }]),
            None => Err(Elsewhere { host, source }),
        },
        _ => Ok(usual(name, around)),
    }
}

fn configured(name: Name, around: &Surroundings<'_>) -> Option<(String, Source)> {
    let variable = name.variable();
    if let Some(host) = around.set(variable) {
        return Some((host, Source::Variable(variable)));
    }
    match name {
        Name::Docker => {
            let (context, host) = around.docker_context?;
            Some((host.into(), Source::DockerContext(context.into())))
        }
        Name::Cri => {
            let (path, text) = around.crictl_config?;
            Some((runtime_endpoint(text)?.into(), Source::File(path.into())))
        }
        _ => None,
    }
}

/// The `runtime-endpoint` of crictl's configuration: one scalar on a line of its own, quoted or
/// not.
fn runtime_endpoint(yaml: &str) -> Option<&str> {
    let value = yaml.lines().find_map(|line| line.strip_prefix("runtime-endpoint:"))?.trim();
    let value = match value.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => value[1..].split(char::from(*quote)).next(),
        _ => value.split(" #").next(),
    };
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// The address that a client's configuration names: `unix://` and a path that is taken as it is, or
/// the path alone.
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

fn usual(name: Name, around: &Surroundings<'_>) -> Vec<Candidate> {
    let runtime = around.set("XDG_RUNTIME_DIR").filter(|path| path.starts_with('/'));
    let place = |service: &'static Service, place: &Place| {
        let path = match place {
            Place::Machine(path) => PathBuf::from(path),
            Place::User(rest) => Path::new(runtime.as_deref()?).join(rest),
        };
        Some(Candidate { address: Address::path(path).ok()?, source: Source::Usual(service) })
    };
    let services = name.services().iter();
    // Kubernetes nodes have one containerd, and crictl knows one place for it.
    let places = |service: &'static Service| match name {
        Name::Cri => &service.places[..1],
        _ => service.places,
    };
    services.flat_map(|service| places(service).iter().filter_map(|spot| place(service, spot))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[track_caller]
    fn found(name: Name, around: &Surroundings<'_>) -> Vec<String> {
        find(name, around).unwrap().iter().map(|place| place.address.to_string()).collect()
    }

    #[test]
    fn where_nothing_is_set_the_usual_places_are_tried_in_the_clients_order() {
        let set = [("XDG_RUNTIME_DIR", "/run/user/7"), ("DOCKER_HOST", "")];
        let around = Surroundings { variable: Some(&variables(&set)), ..Surroundings::default() };
        let (docker, podman) = ("/var/run/docker.sock", "/run/podman/podman.sock");
        let (rootless, own) = ("/run/user/7/docker.sock", "/run/user/7/podman/podman.sock");
        assert_eq!(found(Name::Docker, &around), [docker, rootless, own, podman]);
        assert_eq!(found(Name::Docker, &Surroundings::default()), [docker, podman]);
        let cri = ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/cri-dockerd.sock"];
        assert_eq!(found(Name::Cri, &around), cri);
        for name in Name::ALL {
            assert!(!found(name, &Surroundings::default()).is_empty());
            assert_eq!(name.word().parse(), Ok(name));
        }
        assert_eq!("dockerd".parse::<Name>(), Err(UnknownName));
    }

    #[test]
    fn a_variable_goes_before_the_context_and_both_before_the_usual() {
        let set = [("DOCKER_HOST", "unix:///a%20b.sock")];
        let docker_context = Some(("rootless", "unix:///c.sock"));
        let around = Surroundings { docker_context, ..Surroundings::default() };
        let places = find(Name::Docker, &around).unwrap();
        assert_eq!(places.len(), 1);
        assert_eq!(places[0].address, Address::path("/c.sock").unwrap());
        assert_eq!(places[0].source.to_string(), "the Docker context 'rootless'");
        let around = Surroundings { variable: Some(&variables(&set)), ..around };
        let places = find(Name::Docker, &around).unwrap();
        // Not an escape: Docker takes the path as it is.
        assert_eq!(places[0].address, Address::path("/a%20b.sock").unwrap());
        assert_eq!(places[0].source, Source::Variable("DOCKER_HOST"));
    }

    #[test]
    fn what_is_configured_to_be_elsewhere_is_not_looked_for_here() {
        for host in ["tcp://10.0.0.7:2375", "ssh://me@there", "fd://", "npipe:////./pipe/x", "there:2375"] {
            let set = [("DOCKER_HOST", host)];
            let around = Surroundings { variable: Some(&variables(&set)), ..Surroundings::default() };
            let elsewhere = find(Name::Docker, &around).unwrap_err();
            assert_eq!(
                elsewhere.to_string(),
                format!("DOCKER_HOST names '{host}', which is no local socket")
            );
        }
        let set = [("DOCKER_HOST", "unix://")];
        let around = Surroundings { variable: Some(&variables(&set)), ..Surroundings::default() };
        assert_eq!(found(Name::Docker, &around)[0], "/var/run/docker.sock");
    }

    #[test]
    fn crictls_configuration_is_read() {
        let with = |text| {
            let crictl_config = Some(("/etc/crictl.yaml", text));
            found(Name::Cri, &Surroundings { crictl_config, ..Surroundings::default() })
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
            assert_eq!(with(text).len(), 3, "{text}");
        }
    }

    #[test]
    fn every_usual_place_is_recognised_as_what_it_is() {
        let set = [("XDG_RUNTIME_DIR", "/run/user/7")];
        let around = Surroundings { variable: Some(&variables(&set)), ..Surroundings::default() };
        for candidate in Name::ALL.iter().flat_map(|name| usual(*name, &around)) {
            let Source::Usual(service) = candidate.source else { panic!("usual places were asked for") };
            assert_eq!(recognise(&candidate.address), Some(service));
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_in_the_surroundings_panics(host in ".*", text in ".*", name in 0..4usize) {
            let variable = |_: &str| Some(host.clone());
            let docker_context = Some((text.as_str(), host.as_str()));
            let crictl_config = Some(("x", text.as_str()));
            for variable in [None, Some(&variable as Variable<'_>)] {
                let around = Surroundings { variable, docker_context, crictl_config };
                let _ = find(Name::ALL[name], &around);
            }
            if let Ok(address) = Address::path(&*host) {
                let _ = recognise(&address);
            }
        }
    }
}
