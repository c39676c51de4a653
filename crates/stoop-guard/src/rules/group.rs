//! Rules for some clients. Pure.

use super::client::Clients;
use super::rule::Rule;

/// Rules for some clients.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group {
    pub(super) clients: Clients,
    pub(super) rules: Vec<Rule>,
    /// Only containers with this label are visible.
    pub(super) visible: Option<Label>,
    /// The label that containers get which are created.
    pub(super) own: Option<Label>,
}

/// A label of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Group {
    /// Returns the group of an included set for the clients of another group, with its labels
    /// unless the set has its own.
    pub(super) fn narrowed(self, outer: &Group) -> Group {
        Group {
            clients: outer.clients.clone(),
            rules: self.rules,
            visible: outer.visible.clone().or(self.visible),
            own: outer.own.clone().or(self.own),
        }
    }
}
