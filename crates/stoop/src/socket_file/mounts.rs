//! The mounts of this process, and under which other paths they show a file. Pure, except for
//! [`Mounts::read`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::file_system::is_confined;

/// The mounts, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The device number of its file system, as `major:minor`.
    device: String,
    /// The directory of the file system that is mounted.
    root: PathBuf,
    /// The directory on which it is mounted.
    point: PathBuf,
    pub(super) fs_type: String,
    /// The directories whose files it shows: an overlay's layers, or what a FUSE program passes
    /// through.
    layers: Vec<PathBuf>,
    /// The user who mounted it, if it is a FUSE file system.
    fuse_user: Option<u32>,
}

/// A file: its path below the root of a file system.
struct Inside<'m> {
    mount: &'m Mount,
    path: PathBuf,
}

impl Mounts {
    /// Reads the mounts of this process. There are none if they cannot be read.
    pub(super) fn read() -> Mounts {
        Mounts::parse(&std::fs::read("/proc/thread-self/mountinfo").unwrap_or_default())
    }

    fn parse(mountinfo: &[u8]) -> Mounts {
        Mounts(mountinfo.split(|&byte| byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// Returns the mount that a path without symbolic links leads to.
    pub(super) fn of(&self, path: &Path) -> Option<&Mount> {
        let depth = |mount: &&Mount| mount.point.as_os_str().len();
        // Of several mounts on one directory, the last one is reached.
        self.0.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(depth)
    }

    fn inside(&self, path: &Path) -> Option<Inside<'_>> {
        let mount = self.of(path)?;
        Some(Inside { mount, path: join(&mount.root, path.strip_prefix(&mount.point).ok()?) })
    }

    /// Returns the paths of the same file in the layers that this mount is made of.
    pub(super) fn below(&self, path: &Path) -> Vec<PathBuf> {
        let Some(inside) = self.inside(path) else { return Vec::new() };
        let relative = inside.path.strip_prefix("/").unwrap_or(&inside.path);
        let layers = inside.mount.layers.iter().filter(|layer| layer.is_absolute());
        layers.map(|layer| join(layer, relative)).collect()
    }

    /// Returns the paths of the same file on mounts that are made of the directory it is in.
    ///
    /// A FUSE file system is taken into account only if root or `user` has mounted it: that of
    /// another user may never answer.
    pub(super) fn above(&self, path: &Path, user: u32) -> Vec<PathBuf> {
        let Some(file) = self.inside(path) else { return Vec::new() };
        let shown = |mount: &Mount| -> Vec<PathBuf> {
            let relative = mount.layers.iter().filter_map(|layer| self.below_layer(&file, layer));
            relative.filter_map(|relative| mount.shown(&relative)).collect()
        };
        let trusted = |mount: &&Mount| mount.fuse_user.is_none_or(|owner| owner == 0 || owner == user);
        self.0.iter().filter(trusted).flat_map(shown).collect()
    }

    /// Returns the path of the file below a layer, if it is in there. A relative layer is any
    /// directory of that name: it is not known where it starts.
    fn below_layer(&self, file: &Inside<'_>, layer: &Path) -> Option<PathBuf> {
        let start = match layer.is_absolute() {
            true => {
                let layer = self.inside(layer)?;
                (layer.mount.device == file.mount.device).then_some(layer.path)?
            }
            false => file.path.ancestors().find(|above| above.ends_with(layer))?.to_owned(),
        };
        file.path.strip_prefix(start).ok().map(Path::to_owned)
    }
}

impl Mount {
    /// Parses `36 35 98:0 /root /point rw,noatime [tags…] - ext4 /dev/root rw,errors=continue`.
    fn parse(line: &[u8]) -> Option<Mount> {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
        let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
        let (fs_type, source) = (text(fields.get(dash + 1)?)?, fields.get(dash + 2)?);
        let options = unescape(fields.get(dash + 3).unwrap_or(&&b""[..]));
        let is_fuse = fs_type == "fuse" || fs_type.starts_with("fuse.");
        let layers = match fs_type.as_str() {
            "overlay" => overlay_layers(&options),
            // Other sources are names: of a host, or of the program.
            _ if is_fuse && source.starts_with(b"/") => paths(&unescape(source)),
            _ => Vec::new(),
        };
        let user = options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"user_id="));
        Some(Mount {
            device: text(fields.get(2)?)?,
            root: path(fields.get(3)?),
            point: path(fields.get(4)?),
            fuse_user: user.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok()),
            fs_type,
            layers,
        })
    }

    /// Returns where this mount shows a file, by its path below a layer.
    fn shown(&self, relative: &Path) -> Option<PathBuf> {
        let path = join(Path::new("/"), relative);
        Some(join(&self.point, path.strip_prefix(&self.root).ok()?))
    }

    /// Returns whether every server of a socket file here is known to this kernel by this file.
    pub(super) fn is_confined(&self) -> bool {
        is_confined(&self.fs_type, !self.device.starts_with("0:"))
    }
}

/// Returns the directories in the options of an overlay.
fn overlay_layers(options: &[u8]) -> Vec<PathBuf> {
    let named = |option: &[u8]| {
        let names: [&[u8]; 3] = [b"upperdir=", b"lowerdir=", b"lowerdir+="];
        names.iter().find_map(|name| option.strip_prefix(*name)).map(paths).unwrap_or_default()
    };
    options.split(|&byte| byte == b',').flat_map(named).collect()
}

/// Returns the paths in a list that colons separate. A colon in a name is not understood: such a
/// path is not found later.
fn paths(list: &[u8]) -> Vec<PathBuf> {
    let paths = list.split(|&byte| byte == b':').filter(|path| !path.is_empty());
    paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
}

/// Decodes the escapes of `/proc`: spaces, tabs, line breaks and backslashes are written as `\` and
/// three octal digits.
pub fn unescape(text: &[u8]) -> Vec<u8> {
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

/// Joins without a slash at the end, which an empty path would add.
fn join(directory: &Path, relative: &Path) -> PathBuf {
    directory.components().chain(relative.components()).filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &[u8] = b"\
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
43 22 0:39 / /view rw,nosuid - fuse /srv/real\\040one rw,user_id=0,group_id=0,allow_other
44 22 0:40 / /mine rw - fuse.bindfs /srv/real\\040one rw,user_id=1000,group_id=0
45 22 0:41 / /far rw - fuse.sshfs host:/srv rw,user_id=0
46 22 0:42 /inner /merged rw - overlay overlay rw,lowerdir=/low:/lower,upperdir=/up,workdir=/work
47 22 254:0 /srv /bound rw - ext4 /dev/root rw
48 22 0:43 / /tmp rw - tmpfs tmpfs rw
49 22 0:44 / /relative rw - overlay overlay rw,lowerdir=layers/l,upperdir=layers/u,workdir=layers/w
";

    fn paths(of: &[&str]) -> Vec<PathBuf> {
        of.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_mount_shows_the_files_of_its_layers() {
        let mounts = Mounts::parse(MOUNTS);
        assert_eq!(mounts.below(Path::new("/view/a.sock")), paths(&["/srv/real one/a.sock"]));
        assert_eq!(
            mounts.below(Path::new("/merged/a.sock")),
            paths(&["/low/inner/a.sock", "/lower/inner/a.sock", "/up/inner/a.sock"])
        );
        assert!(mounts.below(Path::new("/far/a.sock")).is_empty());
        assert!(mounts.below(Path::new("/tmp/a.sock")).is_empty());
    }

    #[test]
    fn a_file_is_shown_by_the_mounts_of_its_directory() {
        let mounts = Mounts::parse(MOUNTS);
        let above = |path: &str, user| mounts.above(Path::new(path), user);
        assert_eq!(above("/srv/real one/a.sock", 0), paths(&["/view/a.sock"]));
        assert_eq!(above("/srv/real one/a.sock", 1000), paths(&["/view/a.sock", "/mine/a.sock"]));
        // Through a bind mount of the same file system.
        assert_eq!(above("/bound/real one/a.sock", 0), paths(&["/view/a.sock"]));
        assert_eq!(above("/up/inner/a.sock", 0), paths(&["/merged/a.sock"]));
        assert_eq!(above("/home/layers/u/x/a.sock", 0), paths(&["/relative/x/a.sock"]));
        // Not below the directory that is mounted.
        assert!(above("/up/a.sock", 0).is_empty());
        assert!(above("/tmp/a.sock", 0).is_empty());
    }

    #[test]
    fn the_last_and_deepest_mount_is_reached() {
        let mounts = Mounts::parse(
            b"1 0 8:0 / / rw - ext4 a rw\n2 1 0:9 / /a rw - 9p b rw\n3 2 0:8 / /a rw - tmpfs c rw",
        );
        assert_eq!(mounts.of(Path::new("/a/b")).unwrap().fs_type, "tmpfs");
        let root = mounts.of(Path::new("/ab")).unwrap();
        assert!(root.is_confined() && root.fs_type == "ext4");
        assert!(mounts.of(Path::new("relative")).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mounts = Mounts::parse(&text);
            mounts.above(Path::new("/a/b"), 0);
            mounts.below(Path::new("/a/b"));
        }
    }
}
