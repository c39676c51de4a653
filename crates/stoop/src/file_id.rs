//! Which file a name leads to. Holds no I/O.

use std::os::unix::fs::MetadataExt;

/// Which file: the one thing about it that a rename does not change and a successor does not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device of its file system, as `stat` gives it.
    pub dev: u64,
    /// Its inode there.
    pub ino: u64,
}

impl FileId {
    pub(crate) fn of(stat: &rustix::fs::Stat) -> FileId {
        FileId { dev: stat.st_dev, ino: stat.st_ino }
    }

    /// Whether this file, known from the kernel's table of sockets, may be the one that `stat`
    /// knows as `file`.
    ///
    /// The table keeps 32 bits of the inode, and on file systems that make up a device for each
    /// subvolume (btrfs) it has another device than `stat` (K-DIAG-1): the inodes have to agree
    /// in what is known of them, the devices decide only where both agree. Several sockets may
    /// so be taken for one file; where any has the same device, only those are it.
    pub fn may_be(self, file: FileId) -> bool {
        self.ino == file.ino & 0xffff_ffff
    }
}

impl From<&std::fs::Metadata> for FileId {
    fn from(metadata: &std::fs::Metadata) -> FileId {
        FileId { dev: metadata.dev(), ino: metadata.ino() }
    }
}
