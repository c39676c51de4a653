//! The possible causes, each with a stable name for programs. No I/O.

use std::fmt;

macro_rules! causes {
    ($($(#[doc = $doc:literal])* $variant:ident => $name:literal,)*) => {
        /// The check that decides the result of a call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Cause {
            /// Every cause.
            pub const ALL: &[Cause] = &[$(Cause::$variant,)*];

            /// Returns its stable name for programs: lower case, with dashes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Cause::$variant => $name,)*
                }
            }
        }

        /// Returns a row of a table for each cause.
        macro_rules! cause_rows {
            () => { concat!($("| `", $name, "` |", $($doc,)* " |\n",)*) };
        }
        pub(super) use cause_rows;
    };
}

causes! {
    /// Nothing prevents the call.
    Nothing => "nothing",
    /// Something that decides the result is not visible to this process.
    NotVisible => "not-visible",

    /// The user or process does not exist.
    NoSuchSubject => "no-such-subject",
    /// The address is not valid for this call: it is unnamed.
    NotAnAddress => "not-an-address",
    /// The path is longer than an address can hold.
    PathTooLong => "path-too-long",
    /// The message is larger than the send buffer allows. The kernel checks this before the
    /// address.
    MessageTooLarge => "message-too-large",
    /// A send with an address, on a kind of socket that only sends over a connection.
    NeedsConnection => "needs-connection",

    /// No file descriptor is free in the process: its limit is reached.
    OutOfDescriptors => "out-of-descriptors",
    /// A system call filter (seccomp) of the process answers the call.
    Filtered => "filtered",

    /// The last component does not exist.
    Missing => "missing",
    /// The last component was unlinked, or moved away unseen, but its server is still running.
    Unlinked => "unlinked",
    /// The file was moved, and its server is still running.
    Moved => "moved",
    /// The file system with the file was unmounted, and its server is still running.
    Unmounted => "unmounted",
    /// The file exists in the view of its server, but not in that of the subject.
    ServersView => "servers-view",
    /// The file exists as this process sees it, but not as the subject does.
    OtherView => "other-view",
    /// A directory of the path does not exist.
    ParentMissing => "parent-missing",
    /// A symbolic link is dangling.
    Dangling => "dangling",
    /// The working directory was removed.
    DirectoryDeleted => "directory-deleted",
    /// A component followed by another, or by a slash, is not a directory.
    NotADirectory => "not-a-directory",
    /// A directory of the path may not be searched, because of its mode.
    NoSearch => "no-search",
    /// A directory of the path may not be searched, because of its access control list.
    NoSearchAcl => "no-search-acl",
    /// More than forty symbolic links, or links that form a loop.
    LinkLoop => "link-loop",
    /// A symbolic link owned by another user in a shared directory (`fs.protected_symlinks`).
    ProtectedLink => "protected-link",
    /// A symbolic link on a mount that does not follow them (`nosymfollow`).
    LinksNotFollowed => "links-not-followed",
    /// A component is longer than 255 bytes.
    NameTooLong => "name-too-long",
    /// The path leads through a FUSE mount that only another user may use (no `allow_other`).
    OtherUsersMount => "other-users-mount",
    /// The file system does not respond: the lookup does not return.
    NotResponding => "not-responding",
    /// The file system fails the lookup: its server has exited, for example.
    FileSystemFails => "file-system-fails",

    /// The socket file is not writable, because of its mode.
    NoWrite => "no-write",
    /// The socket file is not writable, because of its access control list.
    NoWriteAcl => "no-write-acl",
    /// The socket file's owner or group has no id on the idmapped mount, so it is not writable.
    OwnerUnmapped => "owner-unmapped",
    /// The file has the immutable flag.
    Immutable => "immutable",
    /// The file is not a socket, and is on a read-only file system.
    NotASocketReadOnly => "not-a-socket-read-only",
    /// The file is not a socket.
    NotASocket => "not-a-socket",
    /// The path leads to an open socket (`/proc/PID/fd`), not to a socket file.
    OpenSocket => "open-socket",

    /// The socket file is stale: no socket is bound to it any more.
    Stale => "stale",
    /// No socket is bound to the file through this mount, but its server is bound to it by another
    /// path, or may be: in a layer of an overlay, behind a FUSE mount, or on another machine.
    ServedElsewhere => "served-elsewhere",
    /// The socket file is stale, and mounted as a single file: the mount keeps it, whatever the
    /// server does.
    StaleMount => "stale-mount",
    /// The socket is of another kind.
    WrongKind => "wrong-kind",
    /// The socket is bound but does not listen.
    NotListening => "not-listening",
    /// The socket was bound by a client, and is connected to its server.
    IsAClient => "is-a-client",
    /// The listener was shut down for reading.
    ListenerShutDown => "listener-shut-down",
    /// The listener's backlog is full.
    BacklogFull => "backlog-full",
    /// The receiver's queue is full.
    QueueFull => "queue-full",
    /// The receiver is connected to another peer.
    ConnectedElsewhere => "connected-elsewhere",
    /// The receiver was shut down for reading.
    ReceiverShutDown => "receiver-shut-down",

    /// No socket in the subject's network namespace has that abstract name.
    NoSuchName => "no-such-name",
    /// The abstract name belongs to a socket of another kind.
    NameOfOtherKind => "name-of-other-kind",
    /// The abstract name exists in another network namespace.
    NameInOtherNamespace => "name-in-other-namespace",
    /// There is an abstract name that differs only in trailing NULs.
    NamePadded => "name-padded",

    /// The path is in use by a live socket.
    TakenLive => "taken-live",
    /// The path is in use by a stale socket file.
    TakenStale => "taken-stale",
    /// The path is in use by a single file that is mounted there.
    TakenByMount => "taken-by-mount",
    /// The path is in use by a socket file. Whether it has a server could not be determined.
    TakenBySocket => "taken-by-socket",
    /// The path is in use by a file that is not a socket.
    TakenByFile => "taken-by-file",
    /// The last component is `.`, `..`, or only slashes.
    NoLastName => "no-last-name",
    /// A name that does not exist is followed by a slash.
    TrailingSlash => "trailing-slash",
    /// The abstract name is in use.
    NameTaken => "name-taken",
    /// The directory is not writable, because of its mode.
    ParentNotWritable => "parent-not-writable",
    /// The directory is not writable, because of its access control list.
    ParentNotWritableAcl => "parent-not-writable-acl",
    /// The directory has the immutable flag.
    ParentImmutable => "parent-immutable",
    /// The mount or file system is read-only.
    ReadOnly => "read-only",
    /// The user or group that would own the file has no id on the mount or file system.
    CreatorUnmapped => "creator-unmapped",
    /// The directory's owner or group has no id on the idmapped mount, so it is not writable.
    ParentOwnerUnmapped => "parent-owner-unmapped",
    /// The file system has no free inode.
    NoSpace => "no-space",
    /// The file system does not support sockets.
    NoSocketsHere => "no-sockets-here",
}

impl fmt::Display for Cause {
    /// Writes the [`name`](Cause::name) of the cause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_plain() {
        let names: HashSet<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }
}
