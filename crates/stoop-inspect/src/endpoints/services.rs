//! The known services, by name and by address, as their distributors package them. Pure.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use stoop::Address;

/// The name of a service, independent of where its socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Name {
    /// `docker`: the address that the Docker client would use, or else podman, which has the same
    /// API.
    Docker,
    /// `podman`: the address that podman's own client would use.
    Podman,
    /// `containerd`: the containerd daemon.
    Containerd,
    /// `cri`: the container runtime of a Kubernetes node, found as crictl finds it.
    Cri,
}

impl Name {
    /// Every name.
    pub const ALL: [Name; 4] = [Name::Docker, Name::Podman, Name::Containerd, Name::Cri];

    /// Returns the name as it is written.
    pub fn word(self) -> &'static str {
        match self {
            Name::Docker => "docker",
            Name::Podman => "podman",
            Name::Containerd => "containerd",
            Name::Cri => "cri",
        }
    }

    /// Returns the services with this name, in the order in which they are tried.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::endpoints::Name;
    ///
    /// let what: Vec<_> = Name::Docker.services().iter().map(|service| service.what).collect();
    /// assert_eq!(what, ["the Docker daemon", "podman's service"]);
    /// assert_eq!("docker".parse(), Ok(Name::Docker));
    /// ```
    pub fn services(self) -> &'static [&'static Service] {
        match self {
            Name::Docker => &[DOCKER, PODMAN],
            Name::Podman => &[PODMAN],
            Name::Containerd => &[CONTAINERD],
            Name::Cri => &[CONTAINERD, CRIO, CRI_DOCKERD],
        }
    }

    /// Returns the environment variable that takes precedence in the service's own client.
    pub(super) fn variable(self) -> &'static str {
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

/// The error returned when parsing a word that is not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no well-known endpoint")
    }
}

impl std::error::Error for UnknownName {}

/// The protocol spoken at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
    /// ttrpc, containerd's own lighter RPC.
    Ttrpc,
}

/// A service, as its distributor packages it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The name of the server, with an article: `the Docker daemon`.
    pub what: &'static str,
    /// The name by which its own clients find it, if it has one.
    pub name: Option<Name>,
    /// The protocol.
    pub protocol: Protocol,
    /// The group whose members may connect, in addition to root.
    pub group: Option<&'static str>,
    /// The systemd unit that starts the service.
    pub unit: &'static str,
    pub(super) default_paths: &'static [DefaultPath],
}

/// A default address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultPath {
    /// An absolute path, the same for all users. `/var/run` is `/run`.
    Machine(&'static str),
    /// A path below a user's `$XDG_RUNTIME_DIR`.
    User(&'static str),
}

const DOCKER: &Service = &Service {
    what: "the Docker daemon",
    name: Some(Name::Docker),
    protocol: Protocol::Http,
    group: Some("docker"),
    unit: "docker.service",
    default_paths: &[DefaultPath::Machine("/var/run/docker.sock"), DefaultPath::User("docker.sock")],
};

const PODMAN: &Service = &Service {
    what: "podman's service",
    name: Some(Name::Podman),
    protocol: Protocol::Http,
    group: None,
    unit: "podman.socket",
    default_paths: &[
        DefaultPath::User("podman/podman.sock"),
        DefaultPath::Machine("/run/podman/podman.sock"),
    ],
};

const CONTAINERD: &Service = &Service {
    what: "containerd",
    name: Some(Name::Containerd),
    protocol: Protocol::Grpc,
    group: None,
    unit: "containerd.service",
    default_paths: &[
        DefaultPath::Machine("/run/containerd/containerd.sock"),
        DefaultPath::Machine("/run/docker/containerd/containerd.sock"),
        DefaultPath::Machine("/run/k3s/containerd/containerd.sock"),
    ],
};

const CONTAINERD_TTRPC: &Service = &Service {
    what: "containerd, for its shims",
    name: None,
    protocol: Protocol::Ttrpc,
    group: None,
    unit: "containerd.service",
    default_paths: &[
        DefaultPath::Machine("/run/containerd/containerd.sock.ttrpc"),
        DefaultPath::Machine("/run/docker/containerd/containerd.sock.ttrpc"),
    ],
};

const CRIO: &Service = &Service {
    what: "CRI-O",
    name: Some(Name::Cri),
    protocol: Protocol::Grpc,
    group: None,
    unit: "crio.service",
    default_paths: &[DefaultPath::Machine("/run/crio/crio.sock")],
};

const CRI_DOCKERD: &Service = &Service {
    what: "cri-dockerd, which offers Docker to Kubernetes",
    name: Some(Name::Cri),
    protocol: Protocol::Grpc,
    group: Some("docker"),
    unit: "cri-docker.socket",
    default_paths: &[DefaultPath::Machine("/var/run/cri-dockerd.sock")],
};

const SERVICES: [&Service; 6] = [DOCKER, PODMAN, CONTAINERD, CONTAINERD_TTRPC, CRIO, CRI_DOCKERD];

/// Returns the service whose default address this is, or `None` if it is not one of the known
/// services.
///
/// # Examples
///
/// ```
/// use stoop::Address;
/// use stoop_inspect::endpoints::recognise;
///
/// let rootless = Address::path("/run/user/1000/docker.sock").unwrap();
/// assert_eq!(recognise(&rootless).unwrap().unit, "docker.service");
/// // Only the address counts. Nothing is inspected.
/// assert!(recognise(&Address::path("/srv/docker.sock").unwrap()).is_none());
/// ```
pub fn recognise(address: &Address) -> Option<&'static Service> {
    let path = without_var(address.as_pathname()?);
    let is_here = |default: &DefaultPath| match default {
        DefaultPath::Machine(usual) => path == without_var(Path::new(usual)),
        DefaultPath::User(rest) => of_user(&path).is_some_and(|below| below == Path::new(rest)),
    };
    SERVICES.into_iter().find(|service| service.default_paths.iter().any(is_here))
}

/// Replaces `/var/run` by `/run`. The former is a link to the latter on machines with systemd. On
/// others both are equally good.
fn without_var(path: &Path) -> PathBuf {
    path.strip_prefix("/var/run").map_or_else(|_| path.to_owned(), |below| Path::new("/run").join(below))
}

/// Returns the part of a path below a user's runtime directory, `/run/user/1000`.
fn of_user(path: &Path) -> Option<&Path> {
    let mut below = path.strip_prefix("/run/user").ok()?.components();
    let uid = below.next()?.as_os_str().to_str()?;
    uid.bytes().all(|byte| byte.is_ascii_digit()).then_some(below.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_places_are_recognised() {
        let what = |path: &str| recognise(&Address::parse(path).unwrap()).map(|service| service.what);
        for path in ["/run/docker.sock", "/var/run/docker.sock", "/run/user/1000/docker.sock"] {
            assert_eq!(what(path), Some(DOCKER.what), "{path}");
        }
        assert_eq!(what("/run/user/0/podman/podman.sock"), Some(PODMAN.what));
        assert_eq!(what("/run/containerd/containerd.sock.ttrpc"), Some(CONTAINERD_TTRPC.what));
        for path in
            ["/run/docker.sock.old", "/run/user/me/docker.sock", "/run/user", "docker.sock", "@docker"]
        {
            assert_eq!(what(path), None, "{path}");
        }
    }
}
