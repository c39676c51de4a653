//! Which other paths lead to a file, by the mounts of a process: overlays, FUSE file systems that
//! pass through a directory, and what these are made of. Pure, except for [`Mounts::read`].

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::file_system::{self, is_confined};
use crate::mountinfo::{self, MountEntry};

/// The mounts of a process, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Mounts(Vec<Mount>);

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) entry: MountEntry,
    /// The directories whose files it shows: an overlay's layers, or what a FUSE program passes
    /// through.
    layers: Vec<PathBuf>,
    /// The user who mounted it, if it is a FUSE file system.
    fuse_user: Option<u32>,
}

/// The path of a file in one layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InLayer {
    /// At this path.
    At(PathBuf),
    /// At one of these paths, if at any: the layer was named relative to a directory that the
    /// kernel does not report ([K-MOUNT-6]).
    ///
    /// [K-MOUNT-6]: crate::kernel_facts#K-MOUNT-6
    Among {
        /// The layer, as it was named.
        layer: PathBuf,
        /// The paths that the file may have.
        paths: Vec<PathBuf>,
    },
}

/// A file: its path below the root of a file system.
struct Inside<'m> {
    mount: &'m Mount,
    path: PathBuf,
}

impl Mounts {
    /// Reads the mounts of the process with this directory in `/proc`.
    ///
    /// # Errors
    /// Returns an error if they may not be read.
    pub fn read(proc: &str) -> io::Result<Mounts> {
        Ok(Mounts::of_entries(mountinfo::read(proc)?))
    }

    fn of_entries(entries: impl IntoIterator<Item = MountEntry>) -> Mounts {
        Mounts(entries.into_iter().map(Mount::of_entry).collect())
    }

    /// Returns the mount that a path without symbolic links leads to.
    pub(super) fn of(&self, path: &Path) -> Option<&Mount> {
        let depth = |mount: &&Mount| mount.entry.point.as_os_str().len();
        // Of several mounts on one directory, the last one is reached.
        self.0.iter().filter(|mount| path.starts_with(&mount.entry.point)).max_by_key(depth)
    }

    fn inside(&self, path: &Path) -> Option<Inside<'_>> {
        let mount = self.of(path)?;
        Some(Inside { mount, path: mount.entry.path_in_file_system(path)? })
    }

    /// Returns where a file is in the layers that its mount is made of, the topmost first. The
    /// mount shows the first that exists.
    pub(super) fn below(&self, path: &Path) -> Vec<InLayer> {
        let Some(inside) = self.inside(path) else { return Vec::new() };
        let relative = inside.path.strip_prefix("/").unwrap_or(&inside.path);
        // Whoever mounts it is usually in a directory above the mount point.
        let starts = || inside.mount.entry.point.ancestors().skip(1);
        let layer = |layer: &PathBuf| match layer.is_absolute() {
            true => InLayer::At(join(layer, relative)),
            false => InLayer::Among {
                layer: layer.clone(),
                paths: starts().map(|start| join(&join(start, layer), relative)).collect(),
            },
        };
        inside.mount.layers.iter().map(layer).collect()
    }

    /// Returns the paths of the same file on mounts that are made of the directory it is in.
    ///
    /// A FUSE file system is taken into account only if root or `user` has mounted it: that of
    /// another user may never answer.
    pub(super) fn above(&self, path: &Path, user: u32) -> Vec<PathBuf> {
        let Some(file) = self.inside(path) else { return Vec::new() };
        let shown = |mount: &Mount| -> Vec<PathBuf> {
            let relative = mount.layers.iter().filter_map(|layer| self.below_layer(&file, layer));
            relative.filter_map(|relative| mount.entry.path_in_view(&relative)).collect()
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
                (layer.mount.entry.device == file.mount.entry.device).then_some(layer.path)?
            }
            false => {
                let known: PathBuf =
                    layer.components().filter(|part| matches!(part, Component::Normal(_))).collect();
                file.path.ancestors().find(|above| above.ends_with(&known))?.to_owned()
            }
        };
        file.path.strip_prefix(start).ok().map(|relative| join(Path::new("/"), relative))
    }
}

impl Mount {
    fn of_entry(entry: MountEntry) -> Mount {
        let is_fuse = file_system::is_fuse(&entry.file_system);
        let layers = match entry.file_system.as_str() {
            "overlay" => overlay_layers(&entry.file_system_options),
            // Other sources are names: of a host, or of the program.
            _ if is_fuse && entry.source.starts_with(b"/") => paths(&entry.source),
            _ => Vec::new(),
        };
        let mut options = entry.file_system_options.split(|&byte| byte == b',');
        let user = options.find_map(|option| option.strip_prefix(b"user_id="));
        let fuse_user = user.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        Mount { entry, layers, fuse_user }
    }

    /// Returns whether every server of a socket file here is known to this kernel by this file.
    pub(super) fn is_confined(&self) -> bool {
        is_confined(&self.entry.file_system, self.entry.has_block_device())
    }
}

/// Returns the directories in the options of an overlay, the topmost first.
fn overlay_layers(options: &[u8]) -> Vec<PathBuf> {
    let named = |names: &'static [&'static [u8]]| {
        let options = options.split(|&byte| byte == b',');
        options.filter_map(move |option| names.iter().find_map(|name| option.strip_prefix(*name)))
    };
    named(&[b"upperdir="]).chain(named(&[b"lowerdir=", b"lowerdir+="])).flat_map(paths).collect()
}

/// Returns the paths in a list that colons separate. A colon in a name is not understood: such a
/// path is not found later.
fn paths(list: &[u8]) -> Vec<PathBuf> {
    let paths = list.split(|&byte| byte == b':').filter(|path| !path.is_empty());
    paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect()
}

/// Joins without a slash at the end, which an empty path would add, and without `.` and `..`.
fn join(directory: &Path, relative: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in directory.components().chain(relative.components()) {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
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

    fn parse(table: &[u8]) -> Mounts {
        Mounts::of_entries(mountinfo::parse(table))
    }

    fn paths(of: &[&str]) -> Vec<PathBuf> {
        of.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_mount_shows_the_files_of_its_layers() {
        let mounts = parse(MOUNTS);
        let at = |of: &[&str]| of.iter().map(|path| InLayer::At(path.into())).collect::<Vec<_>>();
        assert_eq!(mounts.below(Path::new("/view/a.sock")), at(&["/srv/real one/a.sock"]));
        assert_eq!(
            mounts.below(Path::new("/merged/a.sock")),
            at(&["/up/inner/a.sock", "/low/inner/a.sock", "/lower/inner/a.sock"])
        );
        assert!(mounts.below(Path::new("/far/a.sock")).is_empty());
        assert!(mounts.below(Path::new("/tmp/a.sock")).is_empty());
    }

    #[test]
    fn a_relative_layer_may_be_below_any_directory_above_the_mount() {
        let line = "9 1 0:9 / /srv/app/merged rw - overlay overlay rw,lowerdir=./l:../low,upperdir=/up";
        let mounts = parse(line.as_bytes());
        let among = |layer: &str, of: &[&str]| InLayer::Among { layer: layer.into(), paths: paths(of) };
        assert_eq!(
            mounts.below(Path::new("/srv/app/merged/a.sock")),
            [
                InLayer::At("/up/a.sock".into()),
                among("./l", &["/srv/app/l/a.sock", "/srv/l/a.sock", "/l/a.sock"]),
                among("../low", &["/srv/low/a.sock", "/low/a.sock", "/low/a.sock"]),
            ]
        );
        let mounts = parse(format!("22 1 254:0 / / rw - ext4 /dev/root rw\n{line}").as_bytes());
        assert_eq!(mounts.above(Path::new("/srv/app/l/a.sock"), 0), paths(&["/srv/app/merged/a.sock"]));
        assert_eq!(mounts.above(Path::new("/srv/low/a.sock"), 0), paths(&["/srv/app/merged/a.sock"]));
    }

    #[test]
    fn a_file_is_shown_by_the_mounts_of_its_directory() {
        let mounts = parse(MOUNTS);
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
        let mounts =
            parse(b"1 0 8:0 / / rw - ext4 a rw\n2 1 0:9 / /a rw - 9p b rw\n3 2 0:8 / /a rw - tmpfs c rw");
        assert_eq!(mounts.of(Path::new("/a/b")).unwrap().entry.file_system, "tmpfs");
        let root = mounts.of(Path::new("/ab")).unwrap();
        assert!(root.is_confined() && root.entry.file_system == "ext4");
        assert!(mounts.of(Path::new("relative")).is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mounts = parse(&text);
            mounts.above(Path::new("/a/b"), 0);
            mounts.below(Path::new("/a/b"));
        }
    }
}
