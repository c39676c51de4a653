//! Which clients a group of rules is for. Pure.

use stoop_inspect::Workload;

/// A client, as far as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// Its process id, as seen from our pid namespace.
    pub pid: Option<u32>,
    /// Its effective user id when it connected.
    pub uid: Option<u32>,
    /// Its effective group id when it connected.
    pub gid: Option<u32>,
    /// Its supplementary groups when it connected.
    pub groups: Vec<u32>,
    /// The names of hosts and the URIs in its certificate, if it came with TLS.
    pub names: Vec<String>,
    /// The container, unit or session of its process. Fetched only if a rule asks for it.
    pub workload: Workload,
    /// Whether that container or unit is below a user's own manager. Users choose the names there.
    pub(crate) is_users_own: bool,
}

/// Conditions on a client. Those that are given must all be met, by one of their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clients {
    pub(crate) uids: Vec<u32>,
    pub(crate) gids: Vec<u32>,
    pub(crate) containers: Vec<String>,
    pub(crate) units: Vec<String>,
    /// Names in a certificate.
    pub(crate) names: Vec<String>,
}

impl Clients {
    /// Returns whether the workload must be known.
    pub(crate) fn ask_for_workload(&self) -> bool {
        !self.containers.is_empty() || !self.units.is_empty()
    }

    /// Returns whether the client is meant. What is not known matches nothing.
    pub(crate) fn matches(&self, client: &Client) -> bool {
        let meets = |is_unset: bool, is_met: bool| is_unset || is_met;
        let mut groups = client.gid.iter().chain(&client.groups);
        meets(self.uids.is_empty(), client.uid.is_some_and(|uid| self.uids.contains(&uid)))
            && meets(self.gids.is_empty(), groups.any(|gid| self.gids.contains(gid)))
            && meets(self.containers.is_empty(), self.has_container(client))
            && meets(self.units.is_empty(), self.has_unit(client))
            && meets(self.names.is_empty(), self.has_name(client))
    }

    fn has_container(&self, client: &Client) -> bool {
        let Workload::Container { id, .. } = &client.workload else { return false };
        !client.is_users_own && self.containers.iter().any(|start| id.starts_with(start.as_str()))
    }

    /// Names of hosts are the same in either case, URIs are not.
    fn has_name(&self, client: &Client) -> bool {
        let is = |name: &String, its: &String| {
            name == its || !name.contains("://") && name.eq_ignore_ascii_case(its)
        };
        self.names.iter().any(|name| client.names.iter().any(|its| is(name, its)))
    }

    fn has_unit(&self, client: &Client) -> bool {
        let Workload::Unit { name, user: None } = &client.workload else { return false };
        !client.is_users_own && self.units.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn client(cgroup: &str) -> Client {
        Client {
            uid: Some(1000),
            gid: Some(100),
            groups: vec![7],
            workload: Workload::from_cgroup(cgroup.as_bytes()),
            is_users_own: stoop_inspect::internal::is_users_own(cgroup.as_bytes()),
            ..Client::default()
        }
    }

    #[test]
    fn every_given_condition_must_be_met() {
        let client = client(&format!("0::/system.slice/docker-{ID}.scope\n"));
        let container = |start: &str| Clients { containers: vec![start.into()], ..Clients::default() };
        assert!(Clients::default().matches(&client));
        assert!(container(&ID[..12]).matches(&client));
        assert!(!container("ffff").matches(&client));
        assert!(Clients { uids: vec![1, 1000], gids: vec![7], ..container(ID) }.matches(&client));
        assert!(!Clients { uids: vec![0], ..container(ID) }.matches(&client));
        assert!(!Clients { gids: vec![8], ..Clients::default() }.matches(&client));
        assert!(!Clients { uids: vec![0], ..Clients::default() }.matches(&Client::default()), "unknown");
    }

    #[test]
    fn a_client_is_known_by_the_names_in_its_certificate() {
        let named = |names: &[&str]| Client {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Client::default()
        };
        let rules = |name: &str| Clients { names: vec![name.into()], ..Clients::default() };
        assert!(rules("spiffe://a/ci").matches(&named(&["ci.example", "spiffe://a/ci"])));
        assert!(rules("CI.example").matches(&named(&["ci.Example"])));
        assert!(!rules("spiffe://a/CI").matches(&named(&["spiffe://a/ci"])), "a URI has its case");
        assert!(!rules("ci").matches(&named(&["ci.example"])), "not a part of one");
        assert!(!rules("ci").matches(&Client { uid: Some(0), ..Client::default() }), "no certificate");
        let users = Clients { uids: vec![0], ..rules("ci") };
        assert!(!users.matches(&named(&["ci"])), "a user and a name, and it has no user");
    }

    #[test]
    fn names_that_users_choose_are_no_proof() {
        let mine = format!("0::/user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope\n");
        let wanted = Clients { containers: vec![ID.into()], ..Clients::default() };
        assert!(!wanted.matches(&client(&mine)));
        let unit = Clients { units: vec!["web.service".into()], ..Clients::default() };
        assert!(unit.matches(&client("0::/system.slice/web.service\n")));
        assert!(
            !unit
                .matches(&client("0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n"))
        );
    }
}
