//! The files of `--write`: one, or several with numbers of which the oldest are removed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file_flags::FileFlags;
use crate::failure::Failure;

/// When another file begins, and how many are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rotation {
    size: Option<u64>,
    every: Option<Duration>,
    keep: Option<u32>,
}

/// The files that were written.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    rotation: Rotation,
    current: File,
    /// Its path, if it is numbered.
    current_path: PathBuf,
    /// The bytes in it, and since when it has been written.
    len: u64,
    since: Instant,
    number: u32,
    /// Files of this run, with device and inode.
    written: VecDeque<(PathBuf, (u64, u64))>,
}

impl Rotation {
    /// Returns what the flags say, or an error if they do not fit together.
    pub(super) fn of(flags: &FileFlags) -> Result<Rotation, Failure> {
        let rotation = Rotation { size: flags.rotate, every: flags.rotate_every, keep: flags.keep };
        let is_stdout = flags.write.as_deref() == Some(Path::new("-"));
        match (rotation.is_on(), rotation.keep, is_stdout) {
            (true, _, true) => Err(Failure::usage(
                "standard output cannot be rotated",
                "--rotate begins another file, and - is none",
            )),
            (false, Some(_), _) => Err(Failure::usage(
                "--keep needs --rotate or --rotate-every",
                "there is only one file otherwise, and it is kept",
            )),
            _ => Ok(rotation),
        }
    }

    fn is_on(&self) -> bool {
        self.size.is_some() || self.every.is_some()
    }
}

impl Files {
    /// Creates the first file, readable by its owner only: it has what was said.
    pub(super) fn create(path: &Path, rotation: Rotation) -> Result<Files, Failure> {
        let (mut number, mut current_path) = (0, path.to_owned());
        let current = match rotation.is_on() {
            true => next(path, &mut number, &mut current_path),
            false => options().create(true).truncate(true).open(path),
        };
        let current = current.map_err(|error| cannot_create(&current_path, &error))?;
        let mut files = Files {
            path: path.to_owned(),
            rotation,
            current,
            current_path,
            len: 0,
            since: Instant::now(),
            number,
            written: VecDeque::new(),
        };
        files.remember()?;
        Ok(files)
    }

    /// Returns whether another file should follow, after so many bytes that are yet to be written.
    pub(super) fn is_full(&self, pending: u64) -> bool {
        let is_long = self.rotation.size.is_some_and(|size| self.len + pending >= size);
        is_long || self.rotation.every.is_some_and(|every| self.since.elapsed() >= every)
    }

    /// Begins another file, and removes the oldest if there are too many.
    pub(super) fn rotate(&mut self) -> Result<(), Failure> {
        let file = next(&self.path, &mut self.number, &mut self.current_path);
        self.current = file.map_err(|error| cannot_create(&self.current_path, &error))?;
        (self.len, self.since) = (0, Instant::now());
        self.remember()?;
        let keep = self.rotation.keep.map_or(usize::MAX, |keep| keep as usize);
        while self.written.len() > keep {
            let Some((path, id)) = self.written.pop_front() else { break };
            remove(&path, id).map_err(|error| Failure::io(format!("remove '{}'", path.display()), &error))?;
        }
        Ok(())
    }

    /// Writes to the current file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let result = io::Write::write_all(&mut self.current, bytes);
        result.map_err(|error| match error.kind() {
            // A pipe, whose reader has seen enough.
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::io(format!("write '{}'", self.current_path.display()), &error),
        })?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn remember(&mut self) -> Result<(), Failure> {
        let metadata = self.current.metadata().map_err(|error| cannot_create(&self.current_path, &error))?;
        self.written.push_back((self.current_path.clone(), (metadata.dev(), metadata.ino())));
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Creates the next file whose name is free: no file of others, or of an earlier run, is lost.
fn next(path: &Path, number: &mut u32, current: &mut PathBuf) -> io::Result<File> {
    loop {
        *number = number.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        *current = numbered(path, *number);
        match options().create_new(true).open(&*current) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
    }
}

/// `app.pcapng` becomes `app_00001.pcapng`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!("_{number:05}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Removes a file if it is still the one that was created.
fn remove(path: &Path, id: (u64, u64)) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if (found.dev(), found.ino()) == id => fs::remove_file(path),
        _ => Ok(()),
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format!("create '{}'", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_numbered_and_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("app_00002.pcapng"), "another").unwrap();
        let rotation = Rotation { size: Some(4), every: None, keep: Some(2) };
        let mut files = Files::create(&at("app.pcapng"), rotation).unwrap();
        for text in ["first", "second", "third"] {
            assert!(!files.is_full(0));
            files.write(text.as_bytes()).unwrap();
            assert!(files.is_full(0));
            files.rotate().unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["app_00002.pcapng", "app_00004.pcapng", "app_00005.pcapng"]);
        assert_eq!(fs::read_to_string(at("app_00002.pcapng")).unwrap(), "another");
        assert_eq!(fs::read_to_string(at("app_00004.pcapng")).unwrap(), "third");
    }

    #[test]
    fn a_file_that_took_the_place_of_a_written_one_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation { size: Some(1), every: None, keep: Some(1) };
        let mut files = Files::create(&dir.path().join("x"), rotation).unwrap();
        let first = dir.path().join("x_00001");
        fs::rename(&first, dir.path().join("y")).unwrap();
        fs::write(&first, "another").unwrap();
        files.rotate().unwrap();
        assert_eq!(fs::read_to_string(&first).unwrap(), "another");
    }
}
