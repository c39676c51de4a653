//! Which clients are connected to the server: what the program decides, and how many there may be
//! of a user or of a group. Pure.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use stoop::Peer;

/// A client that asks to be connected to the server: what the kernel reports of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// Its process.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its primary group.
    pub gid: Option<u32>,
    /// All that is known of it, if it has a connection. A datagram has only the ids, and the pidfd.
    pub peer: Option<&'a Peer>,
    /// A pidfd of the process that sent the datagram (Linux 6.5). As long as that process lives,
    /// the process id is its own.
    pub pidfd: Option<BorrowedFd<'a>>,
}

/// What is decided about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// It is connected to the server.
    Allow {
        /// Whom it is counted with, for [`Relay::max_per_group`](crate::Relay::max_per_group): its
        /// container, for example.
        group: Option<String>,
    },
    /// It is closed, for this reason.
    Refuse {
        /// The reason, for the report.
        reason: String,
    },
}

/// Whom a connection is counted with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    User(u32),
    Group(String),
}

/// How many connections each owner may have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) per_user: Option<usize>,
    pub(crate) per_group: Option<usize>,
}

/// The connections of each owner. Owners without any take no space.
#[derive(Debug, Default)]
pub(crate) struct Seats(HashMap<Owner, usize>);

impl Seats {
    /// Counts a connection with all of its owners, or with none, if one of them has as many as it
    /// may have; returns that one.
    pub(crate) fn take(&mut self, owners: &[Owner], shares: Shares) -> Result<(), Owner> {
        let limit = |owner: &Owner| match owner {
            Owner::User(_) => shares.per_user,
            Owner::Group(_) => shares.per_group,
        };
        let is_full = |owner: &&Owner| {
            limit(owner).is_some_and(|limit| self.0.get(owner).copied().unwrap_or_default() >= limit)
        };
        if let Some(full) = owners.iter().find(is_full) {
            return Err(full.clone());
        }
        for owner in owners {
            *self.0.entry(owner.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// Forgets a connection.
    pub(crate) fn give_back(&mut self, owners: &[Owner]) {
        for owner in owners {
            if let Some(count) = self.0.get_mut(owner) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No owner ever has more than its share, a refused connection counts nowhere, and in the
        /// end nothing is left.
        #[test]
        fn shares_are_kept(steps in proptest::collection::vec((0u32..3, 0u8..3, any::<bool>()), 0..200)) {
            let shares = Shares { per_user: Some(3), per_group: Some(2) };
            let (mut seats, mut open): (Seats, Vec<[Owner; 2]>) = Default::default();
            for (user, group, closes) in steps {
                let owners = [Owner::User(user), Owner::Group(group.to_string())];
                let count = |owner: &Owner| open.iter().filter(|owners| owners.contains(owner)).count();
                let fits = count(&owners[0]) < 3 && count(&owners[1]) < 2;
                if closes && !open.is_empty() {
                    seats.give_back(&open.remove(user as usize % open.len()));
                } else {
                    prop_assert_eq!(seats.take(&owners, shares).is_ok(), fits);
                    if fits {
                        open.push(owners);
                    }
                }
            }
            open.iter().for_each(|owners| seats.give_back(owners));
            prop_assert!(seats.0.is_empty());
        }
    }
}
