//! The known services, by name and by address, as their distributors package them. Pure.
//!
//! The table is data: a file for each service in `services`, which `build.rs` compiles.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use stoop::Address;

/// The name of a service, independent of where its socket is: `docker`, `cri`, `postgres`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(&'static str);

impl Name {
    /// Returns every name, in the order of the table of services.
    pub fn all() -> impl Iterator<Item = Name> {
        let words = SERVICES.iter().flat_map(|service| service.names);
        let mut seen = Vec::new();
        words
            .filter(move |word| {
                !seen.contains(*word) && {
                    seen.push(**word);
                    true
                }
            })
            .map(|word| Name(word))
    }

    /// Returns the name as it is written.
    pub fn word(self) -> &'static str {
        self.0
    }

    /// Returns the services with this name, in the order in which they are tried.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::endpoints::Name;
    ///
    /// let docker: Name = "docker".parse().unwrap();
    /// let what: Vec<_> = docker.services().map(|service| service.what).collect();
    /// assert_eq!(what, ["the Docker daemon", "podman's service"]);
    /// ```
    pub fn services(self) -> impl Iterator<Item = &'static Service> {
        SERVICES.iter().filter(move |service| service.names.contains(&self.0))
    }

    /// Returns the environment variable that takes precedence in the service's own client: that of
    /// the service whose first name this is.
    pub(super) fn variable(self) -> Option<&'static str> {
        self.services().find(|service| service.names.first() == Some(&self.0))?.variable
    }
}

impl FromStr for Name {
    type Err = UnknownName;

    fn from_str(word: &str) -> Result<Name, UnknownName> {
        Name::all().find(|name| name.word() == word).ok_or(UnknownName)
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
    /// PostgreSQL's protocol.
    Postgres,
    /// MySQL's protocol.
    Mysql,
    /// The protocol of Redis.
    Redis,
    /// Any other protocol.
    Other,
}

/// A service, as its distributor packages it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The name of the server, with an article: `the Docker daemon`.
    pub what: &'static str,
    /// The protocol.
    pub protocol: Protocol,
    /// The path of a health check, over HTTP.
    pub health_path: Option<&'static str>,
    /// The group whose members may connect, in addition to root.
    pub group: Option<&'static str>,
    /// The systemd unit that starts the service.
    pub unit: &'static str,
    /// Whether members of the group can do what root can, through the service.
    pub(crate) group_is_root: bool,
    names: &'static [&'static str],
    variable: Option<&'static str>,
    pub(super) default_paths: &'static [DefaultPath],
}

impl Service {
    /// Returns the name by which its own clients find it, if it has one.
    pub fn name(&self) -> Option<Name> {
        self.names.first().map(|word| Name(word))
    }
}

/// A default address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultPath {
    /// An absolute path, the same for all users. `/var/run` is `/run`.
    Machine(&'static str),
    /// A path below a user's `$XDG_RUNTIME_DIR`.
    User(&'static str),
}

/// The table of services, from `services/*.toml`.
const SERVICES: &[Service] = include!(concat!(env!("OUT_DIR"), "/services.rs"));

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
    SERVICES.iter().find(|service| service.default_paths.iter().any(is_here))
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
            assert_eq!(what(path), Some("the Docker daemon"), "{path}");
        }
        assert_eq!(what("/run/user/0/podman/podman.sock"), Some("podman's service"));
        assert_eq!(what("/run/containerd/containerd.sock.ttrpc"), Some("containerd, for its shims"));
        for path in
            ["/run/docker.sock.old", "/run/user/me/docker.sock", "/run/user", "docker.sock", "@docker"]
        {
            assert_eq!(what(path), None, "{path}");
        }
    }

    #[test]
    fn the_table_is_consistent() {
        let mut paths = std::collections::BTreeSet::new();
        for service in SERVICES {
            assert!(service.unit.contains('.') && !service.what.ends_with('.'), "{service:?}");
            assert!(!service.group_is_root || service.group.is_some(), "{service:?}");
            assert!(service.health_path.is_none() || service.protocol == Protocol::Http, "{service:?}");
            for path in service.default_paths {
                let is_whole = match path {
                    DefaultPath::Machine(path) => path.starts_with('/'),
                    DefaultPath::User(path) => !path.starts_with('/'),
                };
                assert!(
                    is_whole && paths.insert(format!("{path:?}").replace("/var/run", "/run")),
                    "{path:?}"
                );
            }
        }
        for name in Name::all() {
            assert!(name.services().count() > 0 && !name.word().contains(['/', '@', ':', '%']), "{name:?}");
        }
    }
}
