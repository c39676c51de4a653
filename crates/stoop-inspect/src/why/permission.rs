//! Whether a file's mode, access control list and the subject's capabilities let it do something:
//! the kernel's `inode_permission`, in its order. Pure.

use super::facts::{AclEntry, AclWho, File, FileKind, IdRange, Subject};

/// Search a directory.
pub(super) const SEARCH: u8 = 1;
/// Write.
pub(super) const WRITE: u8 = 2;

/// The answer of a permission check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Yes.
    Granted,
    /// No, and what says so.
    Denied(By),
    /// What would decide it cannot be seen.
    Unknown,
}

/// What of a file's permissions applies to the subject and denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The owner's digit of the mode.
    Owner,
    /// The group's digit of the mode.
    Group,
    /// The digit of the mode for others.
    Other,
    /// The list's entry for this user.
    AclUser,
    /// The list's entries for groups the subject is in; none has what is asked.
    AclGroups,
    /// An entry for the subject would grant it, and the list's mask takes it away.
    AclMask,
    /// The list's entry for others.
    AclOther,
}

impl By {
    /// Whether the access control list denies, and not the mode.
    pub(super) fn is_acl(self) -> bool {
        matches!(self, By::AclUser | By::AclGroups | By::AclMask | By::AclOther)
    }
}

/// Whether the subject may do `want`, a set of [`SEARCH`] and [`WRITE`], to the file.
pub(super) fn access(file: &File, subject: &Subject, want: u8) -> Access {
    match by_permissions(file, subject, want) {
        Access::Granted => Access::Granted,
        Access::Unknown if file.granted.is_some_and(|granted| want & !granted == 0) => Access::Granted,
        denied => match overrides(file, subject, want) {
            true => Access::Granted,
            false => denied,
        },
    }
}

/// A capability counts where the file's owner and group have numbers in the subject's user
/// namespace (K-PERM-3).
fn overrides(file: &File, subject: &Subject, want: u8) -> bool {
    let mapped = |ids: &Option<Vec<IdRange>>, id: u32| {
        ids.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(id)))
    };
    if !mapped(&subject.mapped_uids, file.uid) || !mapped(&subject.mapped_gids, file.gid) {
        return false;
    }
    let searches = file.kind == FileKind::Directory && want & WRITE == 0;
    subject.dac_override || searches && subject.dac_read_search
}

impl IdRange {
    fn contains(self, id: u32) -> bool {
        id.checked_sub(self.first).is_some_and(|offset| offset < self.count)
    }
}

/// Mode and list alone. The owner is judged by the mode whatever the list says, and the list counts
/// only while the mode's middle digit, which is then the list's mask, is not 0 (K-PERM-2).
fn by_permissions(file: &File, subject: &Subject, want: u8) -> Access {
    let digit = |shift: u32| (file.mode >> shift) as u8 & 7;
    let judge = |granted: u8, by| if want & !granted == 0 { Access::Granted } else { Access::Denied(by) };
    if subject.uid == file.uid {
        return judge(digit(6), By::Owner);
    }
    if digit(3) != 0 {
        match file.acl.as_deref() {
            None => return Access::Unknown,
            Some([]) => {}
            Some(acl) => return by_list(acl, file, subject, want),
        }
    }
    match in_group(subject, file.gid) {
        true => judge(digit(3), By::Group),
        false => judge(digit(0), By::Other),
    }
}

/// The first entry that fits decides; of the groups, any that grants it.
fn by_list(acl: &[AclEntry], file: &File, subject: &Subject, want: u8) -> Access {
    let grants = |entry: &AclEntry| want & !entry.permissions == 0;
    let mask = acl.iter().find(|entry| entry.who == AclWho::Mask);
    let masked = |entry: &AclEntry, by| match (grants(entry), mask) {
        (false, _) => Access::Denied(by),
        (true, Some(mask)) if !grants(mask) => Access::Denied(By::AclMask),
        (true, _) => Access::Granted,
    };
    if let Some(entry) = acl.iter().find(|entry| entry.who == AclWho::User(subject.uid)) {
        return masked(entry, By::AclUser);
    }
    let of_group = |entry: &&AclEntry| match entry.who {
        AclWho::OwningGroup => in_group(subject, file.gid),
        AclWho::Group(gid) => in_group(subject, gid),
        _ => false,
    };
    let mut groups = acl.iter().filter(of_group).peekable();
    if groups.peek().is_some() {
        return groups
            .find(|entry| grants(entry))
            .map_or(Access::Denied(By::AclGroups), |entry| masked(entry, By::AclGroups));
    }
    match acl.iter().find(|entry| entry.who == AclWho::Other) {
        Some(entry) if grants(entry) => Access::Granted,
        _ => Access::Denied(By::AclOther),
    }
}

fn in_group(subject: &Subject, gid: u32) -> bool {
    subject.gid == gid || subject.groups.contains(&gid)
}
