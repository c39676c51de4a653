//! POSIX access control lists, in the kernel's binary format. What they permit is left to the
//! kernel.

use std::path::Path;

use rustix::fs::{XattrFlags, lremovexattr, lsetxattr};

use super::rng::Rng;

const ATTRIBUTE: &str = "system.posix_acl_access";
const NO_ID: u32 = u32::MAX;

/// The subject of an entry, with the kernel's number.
#[derive(Clone, Copy, Debug)]
enum Tag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

/// Sets a random list with entries for some of these users and groups.
pub fn set_random(path: &Path, rng: &mut Rng, users: &[u32], groups: &[u32]) {
    let mut entries = vec![(Tag::Owner, perm(rng), NO_ID)];
    let some =
        |ids: &[u32], rng: &mut Rng| -> Vec<u32> { ids.iter().copied().filter(|_| rng.chance(40)).collect() };
    let users = some(users, rng);
    entries.extend(users.into_iter().map(|id| (Tag::User, perm(rng), id)));
    entries.push((Tag::OwningGroup, perm(rng), NO_ID));
    let groups = some(groups, rng);
    entries.extend(groups.into_iter().map(|id| (Tag::Group, perm(rng), id)));
    let named = entries.iter().any(|(tag, ..)| matches!(tag, Tag::User | Tag::Group));
    if named || rng.chance(30) {
        entries.push((Tag::Mask, perm(rng), NO_ID));
    }
    entries.push((Tag::Other, perm(rng), NO_ID));
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        bytes.extend((tag as u16).to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    lsetxattr(path, ATTRIBUTE, &bytes, XattrFlags::empty()).expect("set an access control list");
}

/// Removes the list, if there is one.
pub fn clear(path: &Path) {
    let _ = lremovexattr(path, ATTRIBUTE);
}

/// Returns random permission bits: in most cases all of them.
fn perm(rng: &mut Rng) -> u16 {
    if rng.chance(60) { 7 } else { rng.below(8) as u16 }
}
