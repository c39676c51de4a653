//! The mounts that a process sees, as `/proc/PID/mountinfo` lists them. Pure except for [`read`].

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, makedev};

/// What the kernel appends to the root of a mount whose file was unlinked ([K-MOUNT-3]).
///
/// [K-MOUNT-3]: crate::kernel_facts#K-MOUNT-3
const DELETED: &[u8] = b"//deleted";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// Its id, unique among the mounts of all mount namespaces.
    pub id: u64,
    /// The device of its file system, as the socket table has it: on btrfs another than that of
    /// `stat` ([K-MOUNT-4]).
    ///
    /// [K-MOUNT-4]: crate::kernel_facts#K-MOUNT-4
    pub device: u64,
    /// The file or directory of the file system that is mounted.
    pub root: PathBuf,
    /// Whether that was unlinked.
    pub is_root_deleted: bool,
    /// The path at which it is mounted, as the process sees it.
    pub point: PathBuf,
    /// The options of the mount, separated by commas.
    pub options: Vec<u8>,
    /// The file system's type.
    pub file_system: String,
    /// What is mounted: a device, or any other text of the file system.
    pub source: Vec<u8>,
    /// The options of the file system, separated by commas.
    pub file_system_options: Vec<u8>,
}

/// Returns the mounts of the process with this directory in `/proc`, in the order in which they
/// were made.
///
/// # Errors
/// Returns an error if they may not be read.
pub fn read(proc: &str) -> io::Result<Vec<MountEntry>> {
    Ok(parse(&std::fs::read(format!("{proc}/mountinfo"))?).collect())
}

/// Parses a table of mounts. Lines that are not understood are left out.
pub fn parse(table: &[u8]) -> impl Iterator<Item = MountEntry> + '_ {
    table.split(|&byte| byte == b'\n').filter_map(parse_line)
}

/// Parses `36 35 98:0 /root /point rw,noatime [tags…] - ext4 /dev/root rw,errors=continue`.
fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let field = |at: usize| fields.get(at).map(|field| unescape(field));
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
    let mut device = fields.get(2)?.splitn(2, |&byte| byte == b':');
    let root = field(3)?;
    let whole = root.strip_suffix(DELETED);
    Some(MountEntry {
        id: std::str::from_utf8(fields.first()?).ok()?.parse().ok()?,
        device: makedev(number(device.next()?)?, number(device.next()?)?),
        root: path(whole.unwrap_or(&root)),
        is_root_deleted: whole.is_some(),
        point: path(&field(4)?),
        options: field(5)?,
        file_system: String::from_utf8_lossy(&field(dash + 1)?).into_owned(),
        source: field(dash + 2).unwrap_or_default(),
        file_system_options: field(dash + 3).unwrap_or_default(),
    })
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// Decodes the escapes of `/proc`: spaces, tabs, line breaks and backslashes are written as `\` and
/// three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &rest[4..] } else { behind };
    }
    bytes
}

impl MountEntry {
    /// Returns the path of a file from the root of the file system, given its path in the view
    /// whose mount this is.
    pub fn path_in_file_system(&self, path: &Path) -> Option<PathBuf> {
        Some(join(&self.root, path.strip_prefix(&self.point).ok()?))
    }

    /// Returns the path at which this mount shows a file, given its path from the root of the file
    /// system.
    pub fn path_in_view(&self, path: &Path) -> Option<PathBuf> {
        Some(join(&self.point, path.strip_prefix(&self.root).ok()?))
    }

    /// Returns whether the mount has this option.
    pub fn has_option(&self, option: &str) -> bool {
        has(&self.options, option)
    }

    /// Returns whether the file system has this option.
    pub fn has_file_system_option(&self, option: &str) -> bool {
        has(&self.file_system_options, option)
    }

    /// Returns whether the file system is on a block device of its own.
    pub fn has_block_device(&self) -> bool {
        major(self.device) != 0
    }
}

fn has(options: &[u8], wanted: &str) -> bool {
    options.split(|&byte| byte == b',').any(|option| option == wanted.as_bytes())
}

/// Joins without a slash at the end, which an empty path would add.
fn join(directory: &Path, relative: &Path) -> PathBuf {
    if relative.as_os_str().is_empty() { directory.to_owned() } else { directory.join(relative) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(line: &str) -> MountEntry {
        parse(line.as_bytes()).next().unwrap()
    }

    #[test]
    fn a_line_is_read() {
        let entry = line(
            "36 35 98:0 /a\\040b//deleted /tmp/c\\134d ro,noatime shared:1 master:2 - ext4 /dev/ro\\040ot rw,x=1",
        );
        assert_eq!((entry.id, entry.device), (36, makedev(98, 0)));
        assert_eq!((entry.root.as_path(), entry.is_root_deleted), (Path::new("/a b"), true));
        assert_eq!(entry.point, Path::new("/tmp/c\\d"));
        assert_eq!((entry.file_system.as_str(), &entry.source[..]), ("ext4", &b"/dev/ro ot"[..]));
        assert!(entry.has_option("ro") && !entry.has_option("rw") && !entry.has_option("atime"));
        assert!(entry.has_file_system_option("x=1") && !entry.has_file_system_option("ro"));
        assert!(entry.has_block_device() && !line("1 1 0:25 / /run rw - tmpfs tmpfs rw").has_block_device());
    }

    #[test]
    fn lines_that_are_not_understood_are_left_out() {
        let table = b"1 1 0:1 / / rw\n\n9 8\n2 1 x:1 / / rw - tmpfs t rw\n3 1 0:2 / /a rw - tmpfs";
        assert_eq!(parse(table).map(|entry| entry.id).collect::<Vec<_>>(), [3]);
        assert_eq!(unescape(b"a\\134b\\400\\"), b"a\\b\\400\\");
    }

    #[test]
    fn the_mounts_of_this_process_are_read() {
        let mounts = read("/proc/thread-self").unwrap();
        assert!(mounts.iter().any(|mount| mount.point == Path::new("/proc") && mount.file_system == "proc"));
    }

    #[test]
    fn a_path_is_translated_in_both_directions() {
        let theirs = line("1 0 8:1 /srv/run /run/app rw - ext4 /dev/sda rw");
        let path = theirs.path_in_file_system(Path::new("/run/app/x.sock")).unwrap();
        assert_eq!(path, Path::new("/srv/run/x.sock"));
        assert_eq!(theirs.path_in_view(&path).unwrap(), Path::new("/run/app/x.sock"));
        assert_eq!(theirs.path_in_file_system(Path::new("/run/other")), None);
        // The mount of a single file, and a file with a longer name next to it.
        let file = line("1 0 8:1 /srv/x.sock /x rw - ext4 /dev/sda rw");
        assert_eq!(file.path_in_view(Path::new("/srv/x.sock")).unwrap().as_os_str(), "/x");
        assert_eq!(file.path_in_view(Path::new("/srv/x.sock.old")), None);
    }

    proptest! {
        #[test]
        fn any_table_is_read_without_panic(table in proptest::collection::vec(any::<u8>(), 0..300)) {
            for entry in parse(&table) {
                let _ = entry.path_in_view(Path::new("/a/b"));
                let inside = entry.path_in_file_system(&entry.point.join("x"));
                prop_assert!(inside.is_none_or(|path| path.starts_with(&entry.root)));
            }
        }
    }
}
