//! The mounts that a process sees, as `/proc/PID/mountinfo` lists them. Pure except for
//! [`Mountinfo::read`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use stoop::internal::unescape_mount_field;

/// What the kernel appends to the root of a mount whose file was unlinked ([K-MOUNT-3]).
///
/// [K-MOUNT-3]: stoop::kernel_facts#K-MOUNT-3
const DELETED: &[u8] = b"//deleted";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountEntry {
    /// Its id, unique among the mounts of all mount namespaces.
    pub(crate) id: u64,
    /// The device of its file system, as the socket table has it: on btrfs another than that of
    /// `stat` ([K-MOUNT-4]).
    ///
    /// [K-MOUNT-4]: stoop::kernel_facts#K-MOUNT-4
    pub(crate) device: u64,
    /// The file or directory of the file system that is mounted.
    pub(crate) root: PathBuf,
    /// Whether that was unlinked.
    pub(crate) is_root_deleted: bool,
    /// The path at which it is mounted, as the process sees it.
    pub(crate) point: PathBuf,
    /// The options of the mount.
    pub(crate) options: String,
    /// The file system's name.
    pub(crate) file_system: String,
    /// The options of the file system.
    pub(crate) file_system_options: String,
}

/// The mounts of a process, by id.
#[derive(Debug, Default)]
pub(crate) struct Mountinfo(pub(crate) HashMap<u64, MountEntry>);

impl Mountinfo {
    /// Reads the mounts of the process with this `/proc` directory. Empty if they may not be read.
    pub(crate) fn read(proc: &str) -> Mountinfo {
        let text = fs::read(format!("{proc}/mountinfo")).unwrap_or_default();
        Mountinfo(
            text.split(|&byte| byte == b'\n').filter_map(parse).map(|entry| (entry.id, entry)).collect(),
        )
    }

    /// Returns the paths at which these mounts show a file of a file system, given by its path
    /// from the root of that file system.
    pub(crate) fn paths_of(&self, device: u64, path: &Path) -> impl Iterator<Item = PathBuf> {
        let same = self.0.values().filter(move |entry| entry.device == device);
        same.filter_map(move |entry| {
            let rest = path.strip_prefix(&entry.root).ok()?;
            Some(if rest.as_os_str().is_empty() { entry.point.clone() } else { entry.point.join(rest) })
        })
    }
}

/// Parses `36 35 98:0 /root /place rw,noatime [tags…] - ext4 /dev/root rw,errors=continue`.
pub(crate) fn parse(line: &[u8]) -> Option<MountEntry> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let text = |at: usize| fields.get(at).map(|field| String::from_utf8_lossy(field).into_owned());
    let device = text(2)?;
    let (major, minor) = device.split_once(':')?;
    let root = unescape_mount_field(fields.get(3)?);
    let whole = root.strip_suffix(DELETED);
    Some(MountEntry {
        id: text(0)?.parse().ok()?,
        device: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
        root: path(whole.unwrap_or(&root)),
        is_root_deleted: whole.is_some(),
        point: path(&unescape_mount_field(fields.get(4)?)),
        options: text(5)?,
        file_system: text(dash + 1)?,
        file_system_options: text(dash + 3).unwrap_or_default(),
    })
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

impl MountEntry {
    /// Returns the path of a file from the root of the file system, given its path in the view
    /// whose mount this is.
    pub(crate) fn path_in_file_system(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.point).ok()?;
        Some(if rest.as_os_str().is_empty() { self.root.clone() } else { self.root.join(rest) })
    }

    /// Returns whether it is the private `/tmp` or `/var/tmp` of a systemd unit (`PrivateTmp=`).
    pub(crate) fn is_private_tmp(&self) -> bool {
        let is_tmp = [Path::new("/tmp"), Path::new("/var/tmp")].contains(&self.point.as_path());
        let mut parts = self.root.components();
        is_tmp && parts.any(|part| part.as_os_str().as_bytes().starts_with(b"systemd-private-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] = b"36 35 98:0 /a\\040b//deleted /tmp/c\\134d ro,noatime shared:1 - ext4 /dev/root rw";

    #[test]
    fn a_line_is_read() {
        let entry = parse(LINE).unwrap();
        assert_eq!((entry.id, entry.device), (36, rustix::fs::makedev(98, 0)));
        assert_eq!((entry.root.as_path(), entry.is_root_deleted), (Path::new("/a b"), true));
        assert_eq!(entry.point, Path::new("/tmp/c\\d"));
        assert_eq!((entry.options.as_str(), entry.file_system.as_str()), ("ro,noatime", "ext4"));
        assert_eq!(entry.file_system_options, "rw");
        assert_eq!(parse(b"1 1 0:1 / / rw"), None);
    }

    #[test]
    fn a_file_is_found_through_another_mount_of_its_file_system() {
        let line = |line: &str| parse(line.as_bytes()).unwrap();
        let theirs = line("1 0 8:1 /srv/run /run/app rw - ext4 /dev/sda rw");
        let path = theirs.path_in_file_system(Path::new("/run/app/x.sock")).unwrap();
        assert_eq!(path, Path::new("/srv/run/x.sock"));
        assert_eq!(theirs.path_in_file_system(Path::new("/run/other")), None);
        let ours = [line("2 0 8:1 / / rw - ext4 /dev/sda rw"), line("3 0 8:2 / /home rw - ext4 /dev/sdb rw")];
        let ours = Mountinfo(ours.into_iter().map(|entry| (entry.id, entry)).collect());
        let found: Vec<_> = ours.paths_of(theirs.device, &path).collect();
        assert_eq!(found, [Path::new("/srv/run/x.sock")]);
    }

    #[test]
    fn a_private_tmp_is_recognised() {
        let is_private = |root: &str, point: &str| {
            parse(format!("1 0 8:1 {root} {point} rw - ext4 x rw").as_bytes()).unwrap().is_private_tmp()
        };
        assert!(is_private("/tmp/systemd-private-1-a.service-b/tmp", "/tmp"));
        assert!(is_private("/var/tmp/systemd-private-1-a.service-b/tmp", "/var/tmp"));
        assert!(!is_private("/systemd-private-1/tmp", "/srv"));
        assert!(!is_private("/", "/tmp"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
