//! The causes there are, each with a name for programs. Holds no I/O.

use std::fmt;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What decides the outcome of a call: one variant for each cause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[$doc])* $variant,)*
        }

        impl Cause {
            /// Every cause there is.
            pub const ALL: &[Cause] = &[$(Cause::$variant,)*];

            /// Its name for programs, which will not change: lower case, with dashes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Cause::$variant => $name,)*
                }
            }
        }
    };
}

causes! {
    /// Nothing is in the way.
    Nothing => "nothing",
    /// Something that decides it cannot be seen from here.
    NotVisible => "not-visible",

    /// The subject cannot be asked about: no such user or process.
    NoSuchSubject => "no-such-subject",
    /// The address is none for this call: unnamed.
    NotAnAddress => "not-an-address",
    /// The path has more bytes than an address holds.
    PathTooLong => "path-too-long",
    /// The message is larger than the send buffer admits; found out before the address is looked at.
    MessageTooLarge => "message-too-large",
    /// A send with an address, on a kind that sends only over a connection.
    NeedsConnection => "needs-connection",

    /// The last component is not there.
    Missing => "missing",
    /// The last component is not there any more, but its server lives.
    Unlinked => "unlinked",
    /// It is there in our view of the files, not in the subject's.
    OtherView => "other-view",
    /// A directory on the way is not there.
    ParentMissing => "parent-missing",
    /// A symbolic link leads to nothing.
    Dangling => "dangling",
    /// The working directory was removed.
    DirectoryDeleted => "directory-deleted",
    /// A component on the way, or one with a slash behind it, is no directory.
    NotADirectory => "not-a-directory",
    /// A directory on the way may not be searched, by its mode.
    NoSearch => "no-search",
    /// A directory on the way may not be searched, by its access control list.
    NoSearchAcl => "no-search-acl",
    /// More than forty symbolic links, or links in a circle.
    LinkLoop => "link-loop",
    /// A symbolic link of somebody else in a shared directory (`fs.protected_symlinks`).
    ProtectedLink => "protected-link",
    /// A symbolic link on a mount that follows none (`nosymfollow`).
    LinksNotFollowed => "links-not-followed",
    /// A component has more than 255 bytes.
    NameTooLong => "name-too-long",

    /// The socket file may not be written, by its mode.
    NoWrite => "no-write",
    /// The socket file may not be written, by its access control list.
    NoWriteAcl => "no-write-acl",
    /// The file has the immutable flag.
    Immutable => "immutable",
    /// What is there is no socket, and is on a read-only file system.
    NotASocketReadOnly => "not-a-socket-read-only",
    /// What is there is no socket.
    NotASocket => "not-a-socket",

    /// No socket is bound to the file any more.
    Stale => "stale",
    /// The socket is of another kind.
    WrongKind => "wrong-kind",
    /// The socket is bound and does not listen.
    NotListening => "not-listening",
    /// The socket was bound by a client, and is connected to its server.
    IsAClient => "is-a-client",
    /// The listener was shut down for reading.
    ListenerShutDown => "listener-shut-down",
    /// The listener's queue is full.
    BacklogFull => "backlog-full",
    /// The receiver's queue is full.
    QueueFull => "queue-full",
    /// The receiver is connected to somebody else.
    ConnectedElsewhere => "connected-elsewhere",
    /// The receiver was shut down for reading.
    ReceiverShutDown => "receiver-shut-down",

    /// No socket of the subject's network namespace has that abstract name.
    NoSuchName => "no-such-name",
    /// The abstract name belongs to a socket of another kind.
    NameOfOtherKind => "name-of-other-kind",
    /// The abstract name is in another network namespace.
    NameInOtherNamespace => "name-in-other-namespace",
    /// An abstract name that differs in NULs at its end alone is there.
    NamePadded => "name-padded",

    /// The name is taken by a live socket.
    TakenLive => "taken-live",
    /// The name is taken by a stale socket file.
    TakenStale => "taken-stale",
    /// The name is taken by a socket file; whether anybody is behind it cannot be seen.
    TakenBySocket => "taken-by-socket",
    /// The name is taken by a file that is no socket.
    TakenByFile => "taken-by-file",
    /// The last component is `.`, `..`, or only slashes.
    NoLastName => "no-last-name",
    /// A name that is not there, with a slash behind it.
    TrailingSlash => "trailing-slash",
    /// The abstract name is taken.
    NameTaken => "name-taken",
    /// The directory may not be written, by its mode.
    ParentNotWritable => "parent-not-writable",
    /// The directory may not be written, by its access control list.
    ParentNotWritableAcl => "parent-not-writable-acl",
    /// The directory has the immutable flag.
    ParentImmutable => "parent-immutable",
    /// The mount or file system is read-only.
    ReadOnly => "read-only",
    /// The file system makes no sockets.
    NoSocketsHere => "no-sockets-here",
}

impl fmt::Display for Cause {
    /// Its name for programs.
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
