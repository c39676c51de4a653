//! Predicts whether a file's mode, its access control list and the subject's capabilities permit an
//! access: the kernel's `inode_permission`, in its order. Pure.

use super::facts::{AclEntry, AclWho, File, FileKind, IdRange, OnlyUser, ShownId, Subject};

/// Permission to search a directory.
pub(super) const SEARCH: u8 = 1;
/// Permission to write.
pub(super) const WRITE: u8 = 2;

/// The result of a permission check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The access is granted.
    Granted,
    /// The access is denied, by this part of the permissions.
    Denied(By),
    /// What decides it cannot be read.
    Unknown,
}

/// The part of a file's permissions that applies to the subject and denies the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The owner's bits of the mode.
    Owner,
    /// The group's bits of the mode.
    Group,
    /// The mode bits for others.
    Other,
    /// The list's entry for this user.
    AclUser,
    /// The list's entries for groups of the subject, none of which grants the access.
    AclGroups,
    /// An entry for the subject grants the access, but the list's mask excludes it.
    AclMask,
    /// The list's entry for others.
    AclOther,
    /// The mount maps no id to the file's owner or group: no user may write to it.
    Unmapped,
    /// The mount lets another user in alone.
    OnlyUser,
}

impl By {
    /// Returns whether the access control list denies the access, instead of the mode.
    pub(super) fn is_acl(self) -> bool {
        matches!(self, By::AclUser | By::AclGroups | By::AclMask | By::AclOther)
    }
}

/// Returns whether the subject has `want`, a set of [`SEARCH`] and [`WRITE`], on the file.
pub(super) fn access(file: &File, subject: &Subject, want: u8) -> Access {
    match file.mount.only_user {
        // Its ids are those of another user namespace.
        Some(_) if file.mount.may_be_foreign => return Access::Unknown,
        Some(user) if !user.is(subject) => return Access::Denied(By::OnlyUser),
        _ => {}
    }
    let writes = want & WRITE != 0 && file.mount.maps_ids;
    if writes && file.has_id(ShownId::UnmappedByMount) {
        return Access::Denied(By::Unmapped);
    }
    let access = match by_permissions(file, subject, want) {
        Access::Granted if writes && file.has_id(ShownId::Uncertain) => Access::Unknown,
        Access::Granted => Access::Granted,
        denied => overridden(file, subject, want, denied),
    };
    match access {
        Access::Unknown if file.granted.is_some_and(|granted| want & !granted == 0) => Access::Granted,
        access => access,
    }
}

/// Returns the access if a capability may grant it. That applies only if the file's owner and group
/// are mapped in the subject's user namespace ([K-PERM-3]).
///
/// [K-PERM-3]: stoop::kernel_facts#K-PERM-3
fn overridden(file: &File, subject: &Subject, want: u8, denied: Access) -> Access {
    let searches = file.kind == FileKind::Directory && want & WRITE == 0;
    let overrides = subject.dac_override || (searches && subject.dac_read_search);
    if !overrides {
        return denied;
    }
    let mapped = |ids: &Option<Vec<IdRange>>, id: u32| ids.as_ref().is_none_or(|ids| has(ids, id));
    let is_unmapped = file.has_id(ShownId::UnmappedByMount) || file.has_id(ShownId::UnmappedHere);
    if is_unmapped || !mapped(&subject.mapped_uids, file.uid) || !mapped(&subject.mapped_gids, file.gid) {
        return denied;
    }
    if file.has_id(ShownId::Uncertain) { Access::Unknown } else { Access::Granted }
}

impl File {
    /// Returns whether the id of its owner or its group is shown in this way.
    pub(super) fn has_id(&self, shown: ShownId) -> bool {
        self.uid_is == shown || self.gid_is == shown
    }

    /// Returns whether its owner and its group have the ids that are shown.
    pub(in crate::why) fn has_exact_ids(&self) -> bool {
        self.uid_is == ShownId::Exact && self.gid_is == ShownId::Exact
    }
}

impl OnlyUser {
    /// Returns whether the subject is this user.
    pub(super) fn is(self, subject: &Subject) -> bool {
        (self.uid, self.gid) == (subject.uid, subject.gid)
    }
}

/// Returns whether one of the ranges includes the id.
pub(super) fn has(ranges: &[IdRange], id: u32) -> bool {
    ranges.iter().any(|range| range.contains(id))
}

impl IdRange {
    /// Returns whether it includes the id.
    pub(in crate::why) fn contains(self, id: u32) -> bool {
        id.checked_sub(self.first).is_some_and(|offset| offset < self.count)
    }
}

/// Checks the mode and the list alone.
///
/// For the owner, only the mode counts, whatever the list says. For others, the list counts only if
/// the mode's group bits, which are then the list's mask, are not 0 ([K-PERM-2]).
///
/// [K-PERM-2]: stoop::kernel_facts#K-PERM-2
fn by_permissions(file: &File, subject: &Subject, want: u8) -> Access {
    let digit = |shift: u32| (file.mode >> shift) as u8 & 7;
    let judge = |granted: u8, by| if want & !granted == 0 { Access::Granted } else { Access::Denied(by) };
    match file.uid_is {
        ShownId::Exact if subject.uid == file.uid => return judge(digit(6), By::Owner),
        ShownId::UnmappedHere | ShownId::Uncertain if subject.uid == file.uid => return Access::Unknown,
        _ => {}
    }
    if digit(3) != 0 {
        match file.acl.as_deref() {
            None => return Access::Unknown,
            Some([]) => {}
            Some(acl) => return by_list(acl, file, subject, want),
        }
    }
    let is_member = in_group(subject, file.gid);
    if is_member && matches!(file.gid_is, ShownId::UnmappedHere | ShownId::Uncertain) {
        return Access::Unknown;
    }
    match is_member && file.gid_is == ShownId::Exact {
        true => judge(digit(3), By::Group),
        false => judge(digit(0), By::Other),
    }
}

/// Checks the list. The first entry that matches decides. Of the group entries, any that grants the
/// access is enough.
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
        AclWho::OwningGroup => file.gid_is == ShownId::Exact && in_group(subject, file.gid),
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
