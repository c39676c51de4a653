//! Describes received file descriptors: `regular file '/tmp/letter.txt' of 12 bytes, for reading`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use stoop::escaped;

/// Describes a received file descriptor by what the kernel reports. Never reads from it.
pub(super) fn describe(fd: &OwnedFd) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
    let name = escaped(link.as_os_str().as_bytes()).to_string();
    let Ok(stat) = fstat(fd) else { return name };
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => format!("regular file '{name}' of {} bytes", stat.st_size),
        FileType::Directory => format!("directory '{name}'"),
        FileType::Symlink => format!("symbolic link '{name}'"),
        FileType::CharacterDevice | FileType::BlockDevice => format!("device '{name}'"),
        FileType::Fifo if link.is_absolute() => format!("FIFO '{name}'"),
        // Pipes, sockets, and anonymous files: `pipe:[123]`, `socket:[123]`,
        // `anon_inode:[eventfd]`.
        _ => name,
    };
    match fcntl_getfl(fd) {
        Ok(flags) => format!("{what}, {}", access(flags)),
        Err(_) => what,
    }
}

fn access(flags: OFlags) -> &'static str {
    if flags.contains(OFlags::PATH) {
        return "as a path only (O_PATH)";
    }
    match flags & OFlags::ACCMODE {
        OFlags::WRONLY => "for writing",
        OFlags::RDWR => "for reading and writing",
        _ => "for reading",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn files_pipes_and_sockets_are_distinguished() {
        let dir = stoop_testkit::tempdir();
        let path = dir.path().join("letter");
        std::fs::write(&path, "hello").unwrap();
        let shown = |fd: OwnedFd| describe(&fd);
        let name = path.display();
        assert_eq!(
            shown(File::open(&path).unwrap().into()),
            format!("regular file '{name}' of 5 bytes, for reading")
        );
        let directory = format!("directory '{}', for reading", dir.path().display());
        assert_eq!(shown(File::open(dir.path()).unwrap().into()), directory);
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(shown(reader.into()).ends_with("], for reading"));
        let writer = shown(writer.into());
        assert!(writer.starts_with("pipe:[") && writer.ends_with("], for writing"), "{writer}");
        let socket = shown(stoop::Stream::pair().unwrap().0.into());
        assert!(socket.starts_with("socket:[") && socket.ends_with("for reading and writing"), "{socket}");
    }
}
