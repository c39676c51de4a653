//! The known services, by name and by address, as their distributors package them. Pure.
//!
//! The table is data: a file for each service in `services`, which `build.rs` compiles.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

#[cfg(feature = "definitions")]
use super::definition::Definition;
use super::exchange::Exchange;

/// The name of a service, independent of where its socket is: `docker`, `cri`, `postgres`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(&'static str);

impl Name {
    /// Returns every name, in the order of the table of services.
    pub fn all() -> impl Iterator<Item = Name> {
        let words = known().filter(|service| service.obsolete.is_none()).flat_map(|service| service.names);
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
        known().filter(move |service| service.obsolete.is_none() && service.names.contains(&self.0))
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
#[doc(hidden)]
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

#[cfg(feature = "definitions")]
impl Protocol {
    /// Returns the protocol whose variant has this name.
    fn from_variant(name: &str) -> Protocol {
        use Protocol::{Grpc, Http, Mysql, Other, Postgres, Redis, Ttrpc};
        let all = [Http, Grpc, Ttrpc, Postgres, Mysql, Redis];
        all.into_iter().find(|protocol| format!("{protocol:?}") == name).unwrap_or(Other)
    }
}

/// A service, as its distributor packages it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The name of the server, with an article: `the Docker daemon`.
    pub what: &'static str,
    /// The protocol.
    #[doc(hidden)]
    pub protocol: Protocol,
    /// The path of a health check, over HTTP.
    #[doc(hidden)]
    pub health_path: Option<&'static str>,
    /// The group whose members may connect, in addition to root.
    pub group: Option<&'static str>,
    /// The systemd unit that starts the service, if its packages have one.
    pub unit: Option<&'static str>,
    /// Why the service exists no longer, if so.
    #[doc(hidden)]
    pub obsolete: Option<&'static str>,
    units: &'static [(&'static str, &'static str)],
    /// Whether members of the group can do what root can, through the service.
    pub(crate) group_is_root: bool,
    pub(super) names: &'static [&'static str],
    pub(super) commands: &'static [&'static str],
    variable: Option<&'static str>,
    pub(super) patterns: &'static [&'static str],
    pub(super) instances: Option<&'static str>,
    pub(super) tmp_variable: Option<&'static str>,
    pub(super) recreate_signal: Option<&'static str>,
    pub(super) session_units: &'static [&'static str],
    pub(super) exchange: Exchange,
    pub(super) default_paths: &'static [DefaultPath],
}

impl Service {
    /// Returns the name by which its own clients find it, if it has one.
    pub fn name(&self) -> Option<Name> {
        self.names.first().map(|word| Name(word))
    }

    /// Returns a short name: the first by which clients find it, else [`what`](Self::what).
    pub fn label(&self) -> &'static str {
        self.names.first().copied().unwrap_or(self.what)
    }

    /// Returns whether one of its names, or what it is, fits.
    #[doc(hidden)]
    pub fn is_called(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.names.iter().any(|name| fits(name)) || fits(self.what)
    }

    /// Returns the unit that starts the service on a distribution: the first of `ids` for which one
    /// is known, else [`unit`](Self::unit).
    ///
    /// `ids` are `ID` and `ID_LIKE` of `os-release`. On `alpine` it is a service of OpenRC.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop::Address;
    /// use stoop_inspect::endpoints::recognise;
    ///
    /// let redis = recognise(&Address::path("/run/redis/redis.sock").unwrap()).unwrap();
    /// assert_eq!(redis.unit_on(&["debian"]), Some("redis-server.service"));
    /// assert_eq!(redis.unit_on(&["rocky", "rhel", "centos", "fedora"]), Some("redis.service"));
    /// ```
    #[doc(hidden)]
    pub fn unit_on<S: AsRef<str>>(&self, ids: &[S]) -> Option<&'static str> {
        let known = |id: &S| self.units.iter().find(|(distribution, _)| *distribution == id.as_ref());
        let unit = ids.iter().find_map(known).map(|(_, unit)| *unit).or(self.unit);
        unit.filter(|unit| !unit.is_empty())
    }

    /// Creates a service that lives as long as the process.
    #[cfg(feature = "definitions")]
    fn from_definition(definition: Definition) -> Service {
        let text = |text: String| -> &'static str { text.leak() };
        let list = |texts: Vec<String>| -> &'static [&'static str] {
            texts.into_iter().map(text).collect::<Vec<_>>().leak()
        };
        let path = |(path, is_of_user): (String, bool)| match is_of_user {
            true => DefaultPath::User(path.leak()),
            false => DefaultPath::Machine(path.leak()),
        };
        let units = definition.units.into_iter().map(|(on, unit)| (text(on), text(unit)));
        Service {
            what: text(definition.what),
            protocol: Protocol::from_variant(definition.protocol),
            health_path: definition.health_path.map(text),
            group: definition.group.map(text),
            unit: definition.unit.map(text),
            obsolete: definition.obsolete.map(text),
            units: units.collect::<Vec<_>>().leak(),
            group_is_root: definition.group_is_root,
            names: list(definition.names),
            commands: list(definition.commands),
            variable: definition.variable.map(text),
            patterns: list(definition.patterns),
            default_paths: definition.paths.into_iter().map(path).collect::<Vec<_>>().leak(),
            instances: definition.instances.map(text),
            tmp_variable: definition.tmp_variable.map(text),
            recreate_signal: definition.recreate_signal.map(text),
            session_units: list(definition.session_units),
            exchange: Exchange::new(definition.send, definition.answers),
        }
    }

    /// Returns whether both services have a name in common: a search for one may find the other.
    pub(crate) fn is_akin(&self, other: &Service) -> bool {
        std::ptr::eq(self, other) || self.names.iter().any(|name| other.names.contains(name))
    }

    /// Returns whether the service is run by this command.
    pub(crate) fn is_run_as(&self, command: &OsStr) -> bool {
        self.commands.iter().any(|known| command == *known)
    }

    /// Returns whether a file name ends as that of one of the addresses.
    pub(crate) fn has_file_like(&self, path: &Path) -> bool {
        let ending = |path: &Path| path.extension().map(OsStr::to_owned);
        self.default_paths.iter().any(|default| ending(default.path()) == ending(path))
    }
}

/// What stands for the id of the user in a path.
pub(super) const UID: &str = "{uid}";

/// A default address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultPath {
    /// An absolute path, in which [`UID`] stands for the user's id. `/var/run` is `/run`.
    Machine(&'static str),
    /// A path below a user's `$XDG_RUNTIME_DIR`.
    User(&'static str),
}

impl DefaultPath {
    pub(super) fn path(self) -> &'static Path {
        match self {
            DefaultPath::Machine(path) | DefaultPath::User(path) => Path::new(path),
        }
    }
}

/// Services that were added to the table.
static ADDED: OnceLock<Vec<Service>> = OnceLock::new();

/// Adds services, which come before those of the table. Only the first call has an effect.
#[cfg(feature = "definitions")]
#[doc(hidden)]
pub fn add_services(definitions: Vec<Definition>) {
    // They live as long as the process, as the table does.
    let _ = ADDED.set(definitions.into_iter().map(Service::from_definition).collect());
}

/// Returns every known service. Those that were added come first.
pub(super) fn known() -> impl Iterator<Item = &'static Service> + Clone {
    ADDED.get().into_iter().flatten().chain(SERVICES)
}

/// The table of services, from `services/*.toml`.
const SERVICES: &[Service] = include!(concat!(env!("OUT_DIR"), "/services.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        let mut paths = std::collections::BTreeSet::new();
        for service in SERVICES {
            assert!(service.unit.is_none_or(|unit| unit.contains('.')), "{service:?}");
            assert!(!service.what.ends_with('.'), "{service:?}");
            let is_unit =
                |&(on, unit): &(&str, &str)| unit.is_empty() || (on == "alpine") != unit.contains('.');
            assert!(service.units.iter().all(is_unit), "{service:?}");
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
        for service in SERVICES {
            let starts = |pattern: &&str| pattern.starts_with('/') && pattern.contains('*');
            assert!(service.patterns.iter().all(starts), "{service:?}");
        }
        for name in Name::all() {
            assert!(name.services().count() > 0 && !name.word().contains(['/', '@', ':', '%']), "{name:?}");
        }
    }
}
