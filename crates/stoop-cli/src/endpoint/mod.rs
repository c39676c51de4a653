//! Servers as given on the command line: an address, or the name of a well-known endpoint such as
//! `docker` or `cri`.
//!
//! | file | does |
//! |---|---|
//! | `find.rs` | resolves names as their own clients do |
//! | `connect.rs` | connects to the first candidate that answers |
//!
//! What is known about the well-known endpoints is in [`stoop_inspect::endpoints`].

mod connect;
mod find;

pub(crate) use find::instance;

use std::fmt;

use stoop::internal::Target;
use stoop_inspect::endpoints::Name;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_lists_every_name() {
        let page = include_str!("../../../../docs/src/reference/addresses.md");
        for name in Name::all() {
            assert!(page.contains(&format!("`{}`", name.word())), "{}", name.word());
        }
    }
}
