//! Files, and the lookup of a path. Plain data.

use std::path::PathBuf;

use rustix::io::Errno;

use super::socket::Owner;
use super::subject::IdRange;

/// A path lookup, component by component. It goes as far as the files lead: whether the subject is
/// permitted to go there is decided later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The components in the kernel's order, with those of a symbolic link's target in place of the
    /// link.
    pub steps: Vec<Step>,
    /// The file reached, or `None` if the lookup fails. For a bind, the file that has the last
    /// name, without following links.
    pub reached: Option<File>,
    /// Whether the path, or the link followed last, ends in a slash.
    pub trailing_slash: bool,
    /// For a bind only: the space in the directory reached last.
    pub space: Option<Space>,
}

/// One component of a path lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The directory in which it is looked up.
    pub directory: File,
    /// The component's name, which may be `.` or `..`.
    pub name: Vec<u8>,
    /// Whether it is the last component of the path, or of a link that is the last component.
    pub last: bool,
    /// Whether it must be a directory: more components or a slash follow.
    pub wants_directory: bool,
    /// The symbolic link whose target it is part of, or `None` for the path itself.
    pub via: Option<PathBuf>,
    /// What the name refers to.
    pub found: Found,
}

/// What a component's name refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file has this name.
    Nothing,
    /// A file that is not a symbolic link, or a link that is not followed.
    File(File),
    /// A symbolic link. The components of its target come next.
    Link {
        /// The link itself.
        link: File,
        /// The target of the link.
        target: Vec<u8>,
    },
    /// A magic link of `/proc`, which leads to a file itself instead of a name.
    Magic {
        /// The link itself.
        link: File,
        /// The file it leads to, if that is visible.
        to: Option<File>,
    },
    /// This process is not permitted, or not able, to look it up.
    Hidden(Errno),
    /// Its file system does not respond: [`Facts::not_responding`](super::Facts::not_responding).
    NotResponding,
    /// The file system does not answer for the name, or not to this process.
    Failing {
        /// The error.
        errno: Errno,
        /// The mount.
        mount: Mount,
    },
}

/// A file, with the attributes that permission checks use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// A path of the file in the subject's view, for texts.
    pub path: PathBuf,
    /// Its device and inode.
    pub id: (u64, u64),
    /// The file type.
    pub kind: FileKind,
    /// The permission bits of its mode, at most `0o7777`.
    pub mode: u32,
    /// The owner's user id.
    pub uid: u32,
    /// The owning group's id.
    pub gid: u32,
    /// Whether `uid` is the owner's id.
    pub uid_is: ShownId,
    /// Whether `gid` is the group's id.
    pub gid_is: ShownId,
    /// Its access control list. Empty if it has none in addition to its mode.
    pub acl: Option<Vec<AclEntry>>,
    /// Whether its file system has no access control lists.
    pub lacks_acl: bool,
    /// What the kernel grants the subject: search 1, write 2. Queried if the list cannot be read
    /// and the subject is this process.
    pub granted: Option<u8>,
    /// Whether it has the immutable flag.
    pub immutable: bool,
    /// Whether it has the append-only flag: what is in such a directory cannot be removed.
    pub append_only: bool,
    /// Whether it has been unlinked.
    pub deleted: bool,
    /// The mount through which it is seen.
    pub mount: Mount,
}

/// What the number stands for that the kernel shows as the id of a file's owner or group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShownId {
    /// It is the id.
    #[default]
    Exact,
    /// It is the overflow id: the mount maps no id to the owner (an idmapped mount). No user is
    /// the owner, and no user may write to the file.
    UnmappedByMount,
    /// It is the overflow id: the owner has no id in the user namespace of this process.
    UnmappedHere,
    /// It is the overflow id, for one of these reasons, or because it is the owner's id.
    Uncertain,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A socket.
    Socket,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A regular file.
    Regular,
    /// A FIFO.
    Fifo,
    /// A character or block device.
    Device,
}

/// The attributes of a mount that affect these calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The file system's name, such as `ext4`. Empty if unknown.
    pub file_system: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// Whether the file system itself is read-only.
    pub file_system_read_only: bool,
    /// Whether symbolic links on it are not followed (`nosymfollow`).
    pub no_links: bool,
    /// Whether file owners are mapped (an idmapped mount: `mount_setattr(2)`, Linux 5.12). The
    /// owners in these facts are mapped already.
    pub maps_ids: bool,
    /// The ids that such a mount maps. `None` also if it maps none.
    pub id_maps: Option<IdMaps>,
    /// Whether the file system may have been mounted in a user namespace that does not map every
    /// id.
    pub may_be_foreign: bool,
    /// Whether the file system has quotas.
    pub has_quota: bool,
    /// The only user who may use a FUSE mount, if it has no `allow_other` ([K-FUSE-1]).
    ///
    /// [K-FUSE-1]: stoop::kernel_facts#K-FUSE-1
    pub only_user: Option<OnlyUser>,
    /// Whether a single file is mounted, and this is that file.
    pub is_of_file: bool,
    /// Whether what is mounted has been unlinked: its name belongs to another file, or to none.
    pub is_unlinked: bool,
}

/// A mount whose file system does not respond: a lookup in it waits indefinitely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentMount {
    /// The mount point, in the view in which it is one.
    pub point: PathBuf,
    /// The file system's type.
    pub file_system: String,
    /// What is mounted: a device, a directory, a name of another machine, or any text.
    pub source: Vec<u8>,
    /// The process that serves it by FUSE, if the kernel shows that ([K-FUSE-4]).
    ///
    /// [K-FUSE-4]: stoop::kernel_facts#K-FUSE-4
    pub server: Option<Owner>,
}

/// The user of a mount that is for one user alone, who has to have this group, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlyUser {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// The ids that a mount maps, as its users see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<IdRange>,
    /// Group ids.
    pub gids: Vec<IdRange>,
}

/// The space that a file system has for a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Whether it counts its inodes, and none is free.
    pub no_inodes: bool,
    /// Whether no block is free.
    pub no_blocks: bool,
}

/// An entry of a POSIX access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// The users the entry applies to.
    pub who: AclWho,
    /// The permissions: read 4, write 2, search 1.
    pub permissions: u8,
}

/// The users an entry applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclWho {
    /// The file's owner.
    Owner,
    /// This user.
    User(u32),
    /// The file's group.
    OwningGroup,
    /// This group.
    Group(u32),
    /// The maximum permissions of named users and groups.
    Mask,
    /// All other users.
    Other,
}
