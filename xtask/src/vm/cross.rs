//! The compiler and the files of an arm64 guest.
//!
//! A toolchain installed with rustup may lack the standard library for arm64. Debian's has one, so
//! its compiler is unpacked below `target/vm` with the libraries for both architectures, and run
//! with the loader of its own C library. The linker is this machine's `aarch64-linux-gnu-gcc`. The
//! C library in the guest is newer than the one that is linked with.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::debian::{Packages, once, write_program};
use crate::Outcome;

/// The release of the compiler. It must have one that is new enough for this workspace.
const COMPILER_SUITE: &str = "sid";
/// The release of the guest's programs.
const GUEST_SUITE: &str = "trixie";
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The programs that the guest has.
const PROGRAMS: &[&str] = &[
    "acl",
    "apparmor",
    "auditd",
    "base-files",
    "base-passwd",
    "bash",
    "bindfs",
    "busybox-static",
    "coreutils",
    "curl",
    "dash",
    "findutils",
    "fuse3",
    "gawk",
    "grep",
    "iproute2",
    "libcap2-bin",
    "lsof",
    "mount",
    "ncat",
    "netcat-openbsd",
    "passwd",
    "procps",
    "python3",
    "sed",
    "socat",
    "strace",
    "util-linux",
    "util-linux-extra",
];

/// Returns a `cargo` that builds for arm64, into a directory of its own.
pub fn cargo(dir: &Path) -> Result<Command, String> {
    let compiler = dir.join("rust");
    once(&compiler, unpack_compiler)?;
    let wrapper = dir.join("rustc");
    write_program(&wrapper, &wrapped(&compiler))?;
    let mut command = crate::cargo(&[]);
    command.env("RUSTC", wrapper).env("CARGO_BUILD_TARGET", TARGET);
    command.env("CARGO_TARGET_DIR", dir.join("build"));
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    Ok(command)
}

fn unpack_compiler(into: &Path) -> Outcome {
    let dir = into.parent().expect("it lies in target/vm");
    let native = Packages::of(dir, COMPILER_SUITE, "amd64")?;
    native.unpack(&native.download(&["rustc"])?, into)?;
    let foreign = Packages::of(dir, COMPILER_SUITE, "arm64")?;
    let mut libraries = foreign.download(&["libstd-rust-dev"])?;
    libraries.retain(|path| path.to_string_lossy().contains("/libstd-rust-"));
    foreign.unpack(&libraries, into)
}

/// Returns a program that runs the compiler below `root` with the C library that is there.
fn wrapped(root: &Path) -> String {
    let root = root.display();
    format!(
        "#!/bin/sh
exec '{root}/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2' \
--library-path '{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib' --argv0 rustc \
'{root}/usr/bin/rustc' --sysroot '{root}/usr' \"$@\"
"
    )
}

/// Returns the root of the guest's files.
pub fn files(dir: &Path) -> Result<PathBuf, String> {
    let files = dir.join("files-arm64");
    once(&files, |into| {
        merge_directories(into)?;
        let packages = Packages::of(dir, GUEST_SUITE, "arm64")?;
        packages.unpack(&packages.download(PROGRAMS)?, into)?;
        // Made by the packages' scripts otherwise.
        for directory in ["mnt", "opt", "srv"] {
            fs::create_dir_all(into.join(directory)).map_err(|e| format!("'{directory}': {e}"))?;
        }
        for file in ["passwd", "group", "nsswitch.conf", "hosts"] {
            let to = into.join("etc").join(file);
            fs::copy(Path::new("/etc").join(file), &to).map_err(|e| format!("'{}': {e}", to.display()))?;
        }
        Ok(())
    })?;
    Ok(files)
}

/// Creates the links of a merged `/usr`, before any package can make directories of them.
fn merge_directories(root: &Path) -> Outcome {
    let made = ["bin", "sbin", "lib"].into_iter().try_for_each(|name| {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(Path::new("usr").join(name), root.join(name))
    });
    made.map_err(|e| format!("'{}': {e}", root.display()))
}
