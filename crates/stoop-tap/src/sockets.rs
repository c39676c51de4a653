//! Which names belong to the same socket. Pure.
//!
//! A socket is recognized by its cookie or its inode, whichever an event has: a closed socket has
//! only the former, one that no process has asked about only the latter.

use std::collections::{HashMap, HashSet};

use stoop_bpf::End;

/// Adding to what is known of a socket.
pub(crate) trait Learn {
    /// Adds what another event knows of the same socket.
    fn learn(&mut self, other: End);
}

impl Learn for End {
    fn learn(&mut self, other: End) {
        self.cookie = self.cookie.or(other.cookie);
        self.inode = self.inode.or(other.inode);
    }
}

/// Numbers for sockets, by whichever of their names an event has.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    by_cookie: HashMap<u64, u64>,
    by_inode: HashMap<u32, u64>,
    ends: HashMap<u64, End>,
    last: u64,
}

impl Sockets {
    /// Returns the number of a socket; 0 if nothing is known of it.
    pub(crate) fn number(&mut self, end: End) -> u64 {
        let cookie = end.cookie.and_then(|cookie| self.by_cookie.get(&cookie));
        // An inode number may be used again: a different cookie shows it.
        let inode = end.inode.and_then(|inode| self.by_inode.get(&inode)).filter(|number| {
            let known = self.ends.get(number).and_then(|known| known.cookie);
            known.is_none() || end.cookie.is_none() || known == end.cookie
        });
        let number = match cookie.or(inode) {
            Some(number) => *number,
            None if end == End::default() => return 0,
            None => {
                self.last += 1;
                self.last
            }
        };
        self.ends.entry(number).or_default().learn(end);
        end.cookie.map(|cookie| self.by_cookie.insert(cookie, number));
        end.inode.map(|inode| self.by_inode.insert(inode, number));
        number
    }

    pub(crate) fn retain(&mut self, used: &HashSet<u64>) {
        self.by_cookie.retain(|_, number| used.contains(number));
        self.by_inode.retain(|_, number| used.contains(number));
        self.ends.retain(|number, _| used.contains(number));
    }

    pub(crate) fn end(&self, number: u64) -> Option<End> {
        self.ends.get(&number).copied()
    }
}
