//! Users and groups: names where people read and write them, numbers where the kernel does.

use nix::unistd::{Gid, Group, Uid, User};

/// The id of a user, given by name or by number.
pub(crate) fn parse_user(text: &str) -> Result<u32, String> {
    parse(text, "user", |name| Ok(User::from_name(name)?.map(|user| user.uid.as_raw())))
}

/// The id of a group, given by name or by number.
pub(crate) fn parse_group(text: &str) -> Result<u32, String> {
    parse(text, "group", |name| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw())))
}

fn parse(text: &str, what: &str, find: impl Fn(&str) -> nix::Result<Option<u32>>) -> Result<u32, String> {
    if let Ok(id) = text.parse() {
        // The kernel reads this number as "leave it as it is".
        return if id == u32::MAX { Err(format!("not the id of a {what}")) } else { Ok(id) };
    }
    match find(text) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(format!("no {what} of that name")),
        Err(errno) => Err(format!("cannot look the {what} up: {}", errno.desc())),
    }
}

/// The name of a user, where it has one.
pub(crate) fn user(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The name of a group, where it has one.
pub(crate) fn group(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!((parse_user("root"), parse_user("0"), parse_user("12345")), (Ok(0), Ok(0), Ok(12345)));
        assert_eq!(parse_group("root"), Ok(0));
        for wrong in ["no-such-user-anywhere", "", "-1", "4294967295"] {
            assert!(parse_user(wrong).is_err(), "{wrong}");
        }
    }
}
