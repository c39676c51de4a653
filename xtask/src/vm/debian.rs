//! Packages of any release and architecture of Debian, without a change to this machine's own.
//!
//! apt gets lists and state of its own below `target/vm/apt`, with nothing installed, and only
//! downloads. What it verifies packages with is Debian's keyring, which has to be installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Kernel;
use crate::{Outcome, output_of, succeed};

const ARCHIVE: &str = "http://deb.debian.org/debian";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Returns the directory that the newest cloud kernel of the release is unpacked in, fetching it if
/// it is not there.
pub fn kernel(dir: &Path, kernel: &Kernel) -> Result<PathBuf, String> {
    let arch = kernel.machine.debian();
    let unpacked = dir.join(format!("kernel-{}-{arch}", kernel.suite));
    let package = format!("linux-image-cloud-{arch}");
    once(&unpacked, |files| {
        let packages = Packages::of(dir, kernel.suite, arch)?;
        packages.unpack(&packages.kernel_parts(&package)?, files)
    })?;
    Ok(unpacked)
}

/// The parser of AppArmor's profiles, with all that it is linked with.
const PARSER: &[&str] = &["apparmor", "libapparmor1", "libc6", "libgcc-s1", "libstdc++6", "libzstd1"];

/// Returns the parser of AppArmor's profiles that belongs to the kernel, fetching it if it is not
/// there: an older one does not know every rule of the kernel.
pub fn apparmor_parser(dir: &Path, kernel: &Kernel) -> Result<PathBuf, String> {
    let files = dir.join(format!("apparmor-{}-{}", kernel.suite, kernel.machine.debian()));
    once(&files, |into| {
        let packages = Packages::of(dir, kernel.suite, kernel.machine.debian())?;
        packages.unpack(&packages.fetch(PARSER, into)?, into)
    })?;
    // Run with its own C library, which the guest's need not be.
    let text = r#"#!/bin/sh
root=$(dirname "$0")
libraries=$(find "$root" -name 'libapparmor.so.1' -printf '%h:'; find "$root" -name 'libc.so.6' -printf '%h')
exec "$(find "$root" -name 'ld-linux-*.so.*' -path '*-linux-gnu/*' | head -n 1)" --library-path "$libraries" \
    "$(find "$root" -name apparmor_parser -path '*sbin/*' | head -n 1)" "$@"
"#;
    let program = files.join("parser");
    write_program(&program, text)?;
    Ok(program)
}

/// Writes a program of `sh`.
pub fn write_program(path: &Path, text: &str) -> Outcome {
    let written =
        fs::write(path, text).and_then(|()| fs::set_permissions(path, PermissionsExt::from_mode(0o755)));
    written.map_err(failed(path))
}

/// Makes a directory of files with `make`, if that has not been done. One that was not completed is
/// made again.
pub fn once(files: &Path, make: impl FnOnce(&Path) -> Outcome) -> Outcome {
    if files.exists() {
        return Ok(());
    }
    let unfinished = files.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished).map_err(failed(&unfinished))?;
    make(&unfinished)?;
    fs::rename(&unfinished, files).map_err(failed(files))
}

/// The packages of one release for one architecture.
pub struct Packages {
    dir: PathBuf,
}

impl Packages {
    /// Fetches the lists.
    pub fn of(dir: &Path, suite: &str, arch: &str) -> Result<Self, String> {
        let dir = dir.join("apt").join(format!("{suite}-{arch}"));
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part)).map_err(failed(&dir))?;
        }
        let sources = format!("deb [signed-by={KEYS}] {ARCHIVE} {suite} main\n");
        for (name, text) in [("status", ""), ("sources.list", &sources), ("apt.conf", &settings(&dir, arch))]
        {
            fs::write(dir.join(name), text).map_err(failed(&dir))?;
        }
        let packages = Self { dir };
        succeed(packages.apt("apt-get").args(["-qq", "update"]))?;
        Ok(packages)
    }

    /// Downloads packages with all that they depend on, and returns the files.
    pub fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>, String> {
        succeed(self.apt("apt-get").args(["-qq", "-y", "--download-only", "install"]).args(packages))?;
        let archives = self.dir.join("cache/archives");
        let entries = fs::read_dir(&archives).map_err(failed(&archives))?;
        let files = entries.flatten().map(|entry| entry.path());
        Ok(files.filter(|path| path.extension().is_some_and(|kind| kind == "deb")).collect())
    }

    /// Downloads these packages alone into a directory, and returns the files.
    fn fetch(&self, packages: &[&str], into: &Path) -> Result<Vec<PathBuf>, String> {
        succeed(self.apt("apt-get").args(["-qq", "download"]).args(packages).current_dir(into))?;
        let entries = fs::read_dir(into).map_err(failed(into))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }

    /// Downloads what a kernel's package depends on that belongs to the kernel: the image, and its
    /// modules if they have a package of their own.
    fn kernel_parts(&self, package: &str) -> Result<Vec<PathBuf>, String> {
        let recursive = ["depends", "--recurse", "--no-recommends", "--no-suggests", package];
        let depends = output_of(self.apt("apt-cache").args(recursive))?;
        let depends = String::from_utf8_lossy(&depends).into_owned();
        let parts = ["linux-image-", "linux-modules-", "linux-binary-"];
        let names = depends.lines().filter(|line| parts.iter().any(|part| line.starts_with(part)));
        succeed(self.apt("apt-get").args(["-qq", "download"]).args(names).current_dir(&self.dir))?;
        let entries = fs::read_dir(&self.dir).map_err(failed(&self.dir))?;
        let files = entries.flatten().map(|entry| entry.path());
        Ok(files.filter(|path| path.extension().is_some_and(|kind| kind == "deb")).collect())
    }

    /// Unpacks packages, without their scripts. Links between directories of the root are kept, so
    /// that packages that still have files in `/lib` agree with those that have them in `/usr/lib`.
    pub fn unpack(&self, packages: &[PathBuf], into: &Path) -> Outcome {
        let unpack = "for package; do
            dpkg-deb --fsys-tarfile \"$package\" | tar --extract --keep-directory-symlink; done";
        succeed(Command::new("bash").args(["-ec", unpack, "bash"]).args(packages).current_dir(into))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf"));
        command
    }
}

fn settings(dir: &Path, arch: &str) -> String {
    let dir = dir.display();
    format!(
        "APT::Architecture \"{arch}\";
APT::Architectures {{ \"{arch}\"; }};
APT::Install-Recommends \"false\";
APT::Sandbox::User \"root\";
Acquire::Languages \"none\";
Dir::State \"{dir}\";
Dir::State::status \"{dir}/status\";
Dir::Cache \"{dir}/cache\";
Dir::Etc::sourcelist \"{dir}/sources.list\";
Dir::Etc::sourceparts \"-\";
"
    )
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("'{}': {error}", path.display())
}
