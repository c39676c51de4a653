//! The identity of a file. Performs no I/O.

use std::os::unix::fs::MetadataExt;

/// The identity of a file: a rename keeps it, and a file that replaces it has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device of its file system, as `stat` reports it.
    pub dev: u64,
    /// Its inode number there.
    pub ino: u64,
}

impl FileId {
    pub(crate) fn of(stat: &rustix::fs::Stat) -> FileId {
        FileId { dev: stat.st_dev, ino: stat.st_ino }
    }

    /// Returns whether this file, as known from the kernel's socket table, may be the one that
    /// `stat` reports as `file`.
    ///
    /// The table keeps 32 bits of the inode number. On file systems that make up a device for each
    /// subvolume (btrfs), it also has another device than `stat` ([K-DIAG-1]). So this compares
    /// only the known bits of the inode numbers. Several sockets may match one file; if any of them
    /// also has the same device, the caller should drop the others.
    ///
    /// [K-DIAG-1]: crate::kernel_facts#K-DIAG-1
    pub fn may_be(self, file: FileId) -> bool {
        self.ino == file.ino & 0xffff_ffff
    }
}

impl From<&std::fs::Metadata> for FileId {
    fn from(metadata: &std::fs::Metadata) -> FileId {
        FileId { dev: metadata.dev(), ino: metadata.ino() }
    }
}
