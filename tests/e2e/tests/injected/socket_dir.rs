//! A directory with a name that servers bind, and observations of it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use stoop_e2e::{Raw, Run, Running, stoop};
use stoop_testkit::{Injector, TempDir, eventually, spawn, tempdir};

use super::points::SOON;

/// Creates a directory with the name that a function gives for it.
pub type Place = fn(&'static str, fn(&Path) -> PathBuf) -> SocketDir;

/// A directory of one test, and the name in it.
pub struct SocketDir {
    dir: TempDir,
    letters: TempDir,
    /// Whether a FUSE file system is mounted there.
    has_mount: bool,
    pub path: PathBuf,
    pub kind: &'static str,
}

/// A server that sends its letter to each client.
pub struct Server {
    pub process: Running,
    pub letter: char,
}

impl SocketDir {
    /// Returns the name that `name` gives for the directory.
    pub fn new(kind: &'static str, name: fn(&Path) -> PathBuf) -> SocketDir {
        let (dir, letters) = (tempdir(), tempdir());
        let path = name(dir.path());
        for letter in 'A'..='D' {
            fs::write(letters.path().join(letter.to_string()), letter.to_string()).unwrap();
        }
        SocketDir { dir, letters, has_mount: false, path, kind }
    }

    /// Returns the same, in a directory that is seen through a FUSE file system: bindfs, mounted
    /// over the directory that it shows.
    pub fn on_fuse(kind: &'static str, name: fn(&Path) -> PathBuf) -> SocketDir {
        let mut place = SocketDir::new(kind, name);
        let dir = place.dir.path();
        // It becomes a daemon once the mount is there.
        let mounted = spawn(Command::new("bindfs").args(["-o", "nonempty"]).args([dir, dir]));
        assert!(mounted.and_then(|mut child| child.wait()).unwrap().success(), "bindfs failed");
        place.has_mount = true;
        place
    }

    fn command(&self, letter: char, flags: &[&str]) -> Run {
        let content = self.letters.path().join(letter.to_string());
        stoop(["serve", "--kind", self.kind, "--grace", "200ms", "--send"])
            .arg(content)
            .args(flags)
            .arg(&self.path)
    }

    /// Starts a server.
    pub fn start(&self, letter: char, flags: &[&str]) -> Server {
        Server { process: self.command(letter, flags).spawn(), letter }
    }

    /// Starts a server whose calls are watched.
    pub fn start_watched(&self, letter: char, flags: &[&str], injector: &Injector) -> Server {
        Server { process: self.command(letter, flags).watched(injector).spawn(), letter }
    }

    /// Returns the server that answers at the name.
    pub fn answer(&self) -> Result<char, Errno> {
        // Through its own descriptor a name of any length is reached.
        let options = rustix::fs::OFlags::PATH.union(rustix::fs::OFlags::NOFOLLOW).bits() as i32;
        let opened = File::options().read(true).custom_flags(options).open(&self.path);
        let file = opened.map_err(|error| Errno::from_io_error(&error).expect("an errno"))?;
        let client = Raw::connect(self.kind, &format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if self.kind == "dgram" {
            client.try_say(b"?")?;
        }
        let heard = client.try_hear()?;
        Ok(heard.first().copied().map_or('-', char::from))
    }

    /// Returns the inode at the name.
    pub fn inode(&self) -> Option<u64> {
        fs::symlink_metadata(&self.path).ok().map(|file| file.ino())
    }

    /// Returns whether this inode is anywhere in the directory.
    pub fn has_inode(&self, inode: u64) -> bool {
        self.inodes().contains(&inode)
    }

    /// Returns whether the file of this server, which lives, is anywhere in the directory.
    pub fn has_file_of(&self, letter: char, inode: u64) -> bool {
        // FUSE gives the inode number of a removed file to the next one, and no file is moved aside
        // there.
        if self.has_mount { self.answer() == Ok(letter) } else { self.has_inode(inode) }
    }

    /// Returns the inodes of all files in the directory.
    pub fn inodes(&self) -> Vec<u64> {
        let inode = |entry: &PathBuf| fs::symlink_metadata(entry).ok().map(|file| file.ino());
        self.entries().iter().filter_map(inode).collect()
    }

    /// Returns all files in the directory, except the directories that lead to the name.
    pub fn left(&self) -> Vec<PathBuf> {
        let inside = |entry: &PathBuf| entry.strip_prefix(self.dir.path()).unwrap().to_owned();
        let leads = |entry: &PathBuf| self.path.parent().is_some_and(|parent| parent.starts_with(entry));
        self.entries().iter().filter(|entry| !leads(entry)).map(inside).collect()
    }

    fn entries(&self) -> Vec<PathBuf> {
        let (mut found, mut next) = (Vec::new(), vec![self.dir.path().to_owned()]);
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    next.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }

    /// Runs a server that starts, serves and exits, and checks that it leaves nothing behind.
    pub fn is_served_next(&self, flags: &[&str]) -> Result<(), String> {
        let mut next = self.start('C', flags);
        if !next.serves() {
            return Err(format!("the next server does not start: {}", next.process.stderr()));
        }
        match self.answer() {
            Ok('C') => {}
            other => return Err(format!("the next server serves, and a client gets {other:?}")),
        }
        next.ends()?;
        match self.left() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("after the next server's end there is {left:?}")),
        }
    }
}

impl Drop for SocketDir {
    fn drop(&mut self) {
        if self.has_mount {
            // Its process exits with the mount.
            let _ = rustix::mount::unmount(self.dir.path(), rustix::mount::UnmountFlags::DETACH);
        }
    }
}

impl Server {
    /// Waits until it serves; false if it exits instead.
    pub fn serves(&mut self) -> bool {
        self.comes_up(|| false)
    }

    /// Waits for one whose announcement may be lost.
    pub fn comes_up(&mut self, otherwise: impl Fn() -> bool) -> bool {
        let mut serves = false;
        eventually(SOON, || {
            let ended = !self.process.is_running();
            serves = self.process.stderr().contains("serving") || !ended && otherwise();
            serves || ended
        });
        serves
    }

    /// Shuts it down gracefully.
    pub fn ends(self) -> Result<(), String> {
        let letter = self.letter;
        let end = self.process.terminate();
        match end.code {
            Some(0) => Ok(()),
            code => {
                Err(format!("{letter} ended with code {code:?}, signal {:?}: {}", end.signal, end.stderr))
            }
        }
    }
}
