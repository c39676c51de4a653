//! Names of user and group ids, for display. Reads `/etc/passwd` and `/etc/group`. An id that is
//! not listed there stays a number.

use std::fs;

pub(super) fn user(uid: u32) -> String {
    named("/etc/passwd", uid).unwrap_or_else(|| format!("user {uid}"))
}

pub(super) fn group(gid: u32) -> String {
    named("/etc/group", gid).unwrap_or_else(|| gid.to_string())
}

fn named(file: &str, id: u32) -> Option<String> {
    find(&fs::read_to_string(file).ok()?, id)
}

/// Finds the name of an id. Both files consist of lines of `name:password:id:…`.
fn find(text: &str, id: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| crate::escaped(name).to_string())
    })
}

/// Describes this process as the kernel's permission checks see it.
pub(super) fn ourselves() -> String {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut groups: Vec<u32> =
        rustix::process::getgroups().unwrap_or_default().into_iter().map(|gid| gid.as_raw()).collect();
    groups.retain(|&other| other != gid);
    let mut text = format!("{} (uid {uid}), group {}", user(uid), group(gid));
    if !groups.is_empty() {
        let names: Vec<String> = groups.into_iter().map(group).collect();
        text.push_str(&format!(", also in {}", names.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let text = "root:x:0:0::/:/bin/sh\nbroken\napp:x:7:7\n";
        assert_eq!(find(text, 7).as_deref(), Some("app"));
        assert_eq!(find(text, 8), None);
        assert_eq!(user(4_000_000_000), "user 4000000000");
    }
}
