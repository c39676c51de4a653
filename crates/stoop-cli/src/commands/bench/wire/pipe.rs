//! Pipes, FIFOs, and a file with a pipe for notification.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};

use super::link::{Ends, Link, UniqueNames, Wire};
use crate::commands::bench::error::Result;

pub(super) fn pipes() -> Result<Link> {
    let ((there_out, there_in), (back_out, back_in)) = (std::io::pipe()?, std::io::pipe()?);
    let ours = Ends::of([back_out.into(), there_in.into()]);
    Ok(Link::of(ours, Ends::of([there_out.into(), back_in.into()])))
}

pub(super) fn fifos(unique: &UniqueNames) -> Result<Link> {
    let ((there_out, there_in), (back_out, back_in)) = (fifo(&unique.path())?, fifo(&unique.path())?);
    let ours = Ends::of([back_out.into(), there_in.into()]);
    Ok(Link::of(ours, Ends::of([there_out.into(), back_in.into()])))
}

/// Creates a FIFO and opens both ends. The first open must not block until the second.
fn fifo(path: &Path) -> Result<(File, File)> {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let output = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let input = OpenOptions::new().write(true).open(path)?;
    fcntl_setfl(&output, fcntl_getfl(&output)? - OFlags::NONBLOCK)?;
    std::fs::remove_file(path)?;
    Ok((output, input))
}

/// Creates two files, one for each direction, and two pipes that signal that something was written.
pub(super) fn files(unique: &UniqueNames) -> Result<Link> {
    let make = |path: &Path| {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        std::fs::remove_file(path).map(|()| file)
    };
    let (there, back) = (make(&unique.path())?, make(&unique.path())?);
    let mut link = pipes()?;
    link.ours.descriptors.extend([back.try_clone()?.into(), there.try_clone()?.into()]);
    link.theirs.descriptors.extend([there.into(), back.into()]);
    Ok(link)
}

pub(super) fn open_pipe(ends: Ends) -> Result<Box<dyn Wire>> {
    let [output, input] = ends.exactly()?;
    Ok(Box::new(Pipe { output: output.into(), input: input.into() }))
}

pub(super) fn open_file(ends: Ends) -> Result<Box<dyn Wire>> {
    let [output, input, inbox, outbox] = ends.exactly()?;
    let bell = Pipe { output: output.into(), input: input.into() };
    Ok(Box::new(Files { bell, inbox: inbox.into(), outbox: outbox.into() }))
}

/// A pipe to read from and another to write to. Without timeouts: each ends when the other process
/// exits.
struct Pipe {
    output: File,
    input: File,
}

impl Wire for Pipe {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.input.write_all(message)?)
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        self.output.read_exact(room)?;
        Ok(room)
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        Some(self.output.as_fd())
    }
}

/// Messages in a file, each overwriting the previous one: one message at a time.
struct Files {
    bell: Pipe,
    inbox: File,
    outbox: File,
}

impl Wire for Files {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.outbox.write_all_at(message, 0)?;
        self.bell.send(&[1])
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        self.bell.receive(&mut [0])?;
        self.inbox.read_exact_at(room, 0)?;
        Ok(room)
    }
}
