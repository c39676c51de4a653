//! Converts between names of users and groups, which people read and write, and ids, which the
//! kernel uses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};
use stoop::internal::{known_group, known_user};

/// Parses a user id, given as a name or number.
pub(crate) fn parse_user(text: &str) -> Result<u32, String> {
    parse(text, "user", |name| Ok(User::from_name(name)?.map(|user| user.uid.as_raw())))
}

/// Parses a group id, given as a name or number.
pub(crate) fn parse_group(text: &str) -> Result<u32, String> {
    parse(text, "group", |name| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw())))
}

fn parse(text: &str, what: &str, find: impl Fn(&str) -> nix::Result<Option<u32>>) -> Result<u32, String> {
    if let Ok(id) = text.parse() {
        // For the kernel, this number means "unchanged".
        return if id == u32::MAX { Err(format!("not a valid {what} id")) } else { Ok(id) };
    }
    match find(text) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(format!("no {what} with that name")),
        Err(errno) => Err(format!("cannot look up the {what}: {}", errno.desc())),
    }
}

/// The names found, so that a list of ten thousand sockets looks each up once.
type Found = Mutex<BTreeMap<u32, Option<String>>>;

/// How a user or group is shown that has no id in the user namespace of this process.
pub(crate) const UNMAPPED: &str = "unmapped";

/// Returns the name of a user, if there is one. An overflow id is not that of `nobody`.
pub(crate) fn user(uid: u32) -> Option<String> {
    static USERS: Found = Mutex::new(BTreeMap::new());
    let name = |uid| User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
    found(&USERS, known_user(uid)?, name)
}

/// Returns the name of a user, else its number, else that it has none here.
pub(crate) fn shown_user(uid: u32) -> String {
    user(uid).unwrap_or_else(|| shown(known_user(uid)))
}

/// Returns the name of a group, else its number, else that it has none here.
pub(crate) fn shown_group(gid: u32) -> String {
    group(gid).unwrap_or_else(|| shown(known_group(gid)))
}

fn shown(id: Option<u32>) -> String {
    id.map_or_else(|| UNMAPPED.to_owned(), |id| id.to_string())
}

/// Returns the name of a group, if there is one.
pub(crate) fn group(gid: u32) -> Option<String> {
    static GROUPS: Found = Mutex::new(BTreeMap::new());
    let name = |gid| Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name);
    found(&GROUPS, known_group(gid)?, name)
}

fn found(known: &Found, id: u32, find: impl Fn(u32) -> Option<String>) -> Option<String> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(id).or_insert_with(|| find(id)).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_parsed() {
        assert_eq!((parse_user("root"), parse_user("0"), parse_user("12345")), (Ok(0), Ok(0), Ok(12345)));
        assert_eq!(parse_group("root"), Ok(0));
        for wrong in ["no-such-user-anywhere", "", "-1", "4294967295"] {
            assert!(parse_user(wrong).is_err(), "{wrong}");
        }
    }
}
