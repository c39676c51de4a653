//! What the file descriptors are that a message passes. Pure.

use stoop_bpf::PassedFile;

/// The longest name of a file that the capture programs report. Of a longer one, it is the begin.
const NAME_MAX: usize = 15;

/// A file that a message passes, as it was when the message was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// Its type.
    pub file_type: FileType,
    /// What it is, as a link in `/proc/PID/fd` shows it: a path, `socket:[123]`, `pipe:[123]`,
    /// `anon_inode:[eventfd]`. If its path is unknown, it is the name of the file after `…/`, of
    /// which `…` may follow; empty if nothing is known.
    pub name: Vec<u8>,
    /// How the kernel identifies it, if its name is not known as a whole.
    identity: Option<Identity>,
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A memfd.
    Memory,
    /// A directory.
    Directory,
    /// A pipe or FIFO.
    Pipe,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// None of the others, such as an eventfd or a pidfd.
    Other,
}

const TYPES: [(FileType, &str); 8] = [
    (FileType::Regular, "file"),
    (FileType::Memory, "memfd"),
    (FileType::Directory, "directory"),
    (FileType::Pipe, "pipe"),
    (FileType::Socket, "socket"),
    (FileType::CharacterDevice, "character device"),
    (FileType::BlockDevice, "block device"),
    (FileType::Other, "other"),
];

impl FileType {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(known, _)| *known == self).map_or("other", |(_, name)| name)
    }

    /// Returns the type with this [`name`](FileType::name).
    pub fn of_name(name: &str) -> Option<FileType> {
        TYPES.iter().find(|(_, known)| *known == name).map(|(file_type, _)| *file_type)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    name: stoop_bpf::Command,
}

impl Passed {
    /// Creates a value with this name, empty if it is unknown.
    pub fn new(file_type: FileType, name: Vec<u8>) -> Passed {
        Passed { file_type, name, identity: None }
    }

    /// Interprets what the kernel says of a file.
    pub(crate) fn of(file: &PassedFile) -> Passed {
        let short = file.name.as_bytes();
        let numbered = |word| (format!("{word}:[{}]", file.inode).into_bytes(), None);
        let identity = || Some(Identity { device: file.device, inode: file.inode, name: file.name });
        let file_type = match u32::from(file.mode) & 0o170_000 {
            0o140_000 => FileType::Socket,
            0o010_000 => FileType::Pipe,
            0o040_000 => FileType::Directory,
            0o020_000 => FileType::CharacterDevice,
            0o060_000 => FileType::BlockDevice,
            0o100_000 if short.starts_with(b"memfd:") => FileType::Memory,
            0o100_000 => FileType::Regular,
            _ => FileType::Other,
        };
        let (name, identity) = match file_type {
            FileType::Socket => numbered("socket"),
            FileType::Pipe if short.is_empty() => numbered("pipe"),
            // The kernel's own names. One of a regular file is only the end of its path.
            FileType::Other | FileType::Memory => (begin_of(short), identity()),
            _ if short.is_empty() => (Vec::new(), identity()),
            _ => ([b"\xe2\x80\xa6/", &begin_of(short)[..]].concat(), identity()),
        };
        Passed { file_type, name, identity }
    }

    /// Returns whether its name may be found out.
    pub(crate) fn is_partial(&self) -> bool {
        self.identity.is_some()
    }

    /// Returns whether a file with this device and inode, and with a link in `/proc/PID/fd` to
    /// `link`, is this one.
    pub(crate) fn is_at(&self, device: (u32, u32), inode: u64, link: &[u8]) -> bool {
        let Some(identity) = &self.identity else { return false };
        let name = identity.name.as_bytes();
        let is_named = name.is_empty() || link.windows(name.len()).any(|window| window == name);
        is_named && (identity.device, identity.inode) == (device, inode)
    }

    pub(crate) fn has_inode(&self, inode: u64) -> bool {
        self.identity.is_some_and(|identity| identity.inode == inode)
    }

    /// Takes the whole name, as a link shows it.
    pub(crate) fn learn(&mut self, link: Vec<u8>) {
        if link.starts_with(b"anon_inode:") {
            self.file_type = FileType::Other;
        }
        (self.name, self.identity) = (link, None);
    }
}

/// The name of a file, of which more may follow.
fn begin_of(name: &[u8]) -> Vec<u8> {
    let more = if name.len() < NAME_MAX { "" } else { "…" };
    [name, more.as_bytes()].concat()
}
