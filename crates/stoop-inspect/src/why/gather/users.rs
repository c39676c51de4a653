//! Reads `/etc/passwd` and `/etc/group`: the names of users and groups, and the members of groups.
//! Users known only to a directory service are not included.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::why::facts::Names;

/// A user account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// The contents of both files.
#[derive(Debug, Default)]
pub(super) struct Users {
    passwd: String,
    group: String,
}

impl Users {
    /// Reads both files. One that cannot be read is treated as empty.
    pub(super) fn read() -> Users {
        let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Users { passwd: text("/etc/passwd"), group: text("/etc/group") }
    }

    /// Finds a user by name or number. A number without an account stands for a user whose only
    /// group has the same number.
    pub(super) fn find(&self, name: &str) -> Option<User> {
        let by_name = lines(&self.passwd, 4).find(|fields| fields[0] == name);
        let number = name.parse::<u32>().ok().filter(|uid| *uid != u32::MAX);
        let of_uid = |uid: &u32| lines(&self.passwd, 4).find(|fields| fields[2].parse() == Ok(*uid));
        let Some(fields) = by_name.or_else(|| of_uid(&number?)) else {
            return number.map(|uid| User { uid, gid: uid, groups: Vec::new() });
        };
        let (uid, gid) = (fields[2].parse().ok()?, fields[3].parse().ok()?);
        let called = fields[0];
        let is_member = |fields: &Vec<&str>| fields[3].split(',').any(|member| member == called);
        let groups =
            lines(&self.group, 4).filter(is_member).filter_map(|fields| fields[2].parse().ok()).collect();
        Some(User { uid, gid, groups })
    }

    /// Returns the groups that the files list for the account with this id, with its primary group.
    pub(super) fn groups_of(&self, uid: u32) -> Option<Vec<u32>> {
        let account = lines(&self.passwd, 4).find(|fields| fields[2].parse() == Ok(uid))?;
        let User { gid, mut groups, .. } = self.find(account[0])?;
        groups.push(gid);
        Some(groups)
    }

    /// Returns the home directory of the account with this id.
    pub(super) fn home_of(&self, uid: u32) -> Option<PathBuf> {
        let account = lines(&self.passwd, 6).find(|fields| fields[2].parse() == Ok(uid))?;
        Some(account[5].into())
    }

    /// Returns the names of these users and groups.
    pub(super) fn names_for(&self, (users, groups): &(Vec<u32>, Vec<u32>)) -> Names {
        Names { users: names(&self.passwd, users), groups: names(&self.group, groups) }
    }
}

fn names(text: &str, ids: &[u32]) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for fields in lines(text, 3) {
        if let Ok(id) = fields[2].parse::<u32>()
            && ids.contains(&id)
        {
            names.entry(id).or_insert_with(|| fields[0].to_owned());
        }
    }
    names
}

/// Splits the lines that have at least that many fields.
fn lines(text: &str, fields: usize) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(move |line| line.len() >= fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users {
            passwd: "root:x:0:0::/:/bin/sh\nbroken\nalice:x:7:8:,,,:/:/bin/sh\n12:x:13:14::/:\n".into(),
            group: "root:x:0:\nalice:x:8:\napp:x:9:bob,alice\nodd:x:ten:alice\n".into(),
        }
    }

    #[test]
    fn a_user_and_the_groups() {
        let alice = User { uid: 7, gid: 8, groups: vec![9] };
        assert_eq!(users().find("alice"), Some(alice.clone()));
        assert_eq!(users().find("7"), Some(alice));
        assert_eq!(users().find("12").map(|user| user.uid), Some(13), "a name goes before a number");
        assert_eq!(users().find("4000"), Some(User { uid: 4000, gid: 4000, groups: vec![] }));
        assert_eq!(users().find("nobody-here"), None);
    }

    #[test]
    fn names_of_those_asked_for() {
        let names = users().names_for(&(vec![7, 4000], vec![9]));
        assert_eq!(names.users, BTreeMap::from([(7, "alice".to_owned())]));
        assert_eq!(names.groups, BTreeMap::from([(9, "app".to_owned())]));
    }
}
