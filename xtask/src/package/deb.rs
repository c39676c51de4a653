//! The package for Debian and Ubuntu, made by `dpkg-deb`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::stage::Stage;
use super::{Release, is_installed, value};
use crate::{output_of, succeed, tree};

/// Builds the package and returns its path, or `None` if `dpkg-deb` is not installed.
pub(super) fn build(release: &Release, stage: &Stage) -> Result<Option<PathBuf>, String> {
    if !is_installed("dpkg-deb") {
        println!("not run: dpkg-deb is not installed");
        return Ok(None);
    }
    let machine = match release.machine() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("Debian's name of '{other}' is not known here")),
    };
    let binary = fs::read(&stage.binary).map_err(|e| format!("cannot read the command: {e}"))?;
    let size = output_of(Command::new("du").args(["--apparent-size", "-sk"]).arg(&stage.root))?;
    let size = String::from_utf8_lossy(&size).split_whitespace().next().unwrap_or("0").to_owned();
    let home = value(&tree::read("Cargo.toml")?, "repository").unwrap_or_default();
    let fields = Fields { version: &release.version, machine, size: &size, home: &home };
    stage.put("usr/share/doc/stoop/copyright", copyright(&home).as_bytes())?;
    stage.put("DEBIAN/control", fields.control(needed_glibc(&binary).as_deref()).as_bytes())?;
    let script = "find usr -type f -exec md5sum {} + > DEBIAN/md5sums; chmod -R u=rwX,go=rX .";
    succeed(Command::new("sh").args(["-ec", script]).current_dir(&stage.root))?;

    let package = release.directory.join(format!("stoop_{}_{machine}.deb", release.version));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "--build"]).arg(&stage.root).arg(&package);
    succeed(command.env("SOURCE_DATE_EPOCH", &release.epoch))?;
    // Only the control files are of Debian alone.
    fs::remove_dir_all(stage.root.join("DEBIAN")).map_err(|e| e.to_string())?;
    Ok(Some(package))
}

struct Fields<'a> {
    version: &'a str,
    machine: &'a str,
    size: &'a str,
    home: &'a str,
}

impl Fields<'_> {
    fn control(&self, glibc: Option<&str>) -> String {
        let Fields { version, machine, size, home } = self;
        let depends =
            glibc.map_or_else(String::new, |glibc| format!("Depends: libc6 (>= {glibc}), libgcc-s1\n"));
        format!(
            "Package: stoop
Version: {version}
Section: net
Priority: optional
Architecture: {machine}
Maintainer: stoop developers <stoop@packages.invalid>
Installed-Size: {size}
Homepage: {home}
{depends}Description: serve, connect to and inspect Unix domain sockets
 stoop serves Unix domain sockets, connects to them, lists both ends of every
 connection with their processes, and explains why a connection fails. It
 calls HTTP and gRPC services, and compares transports.
"
        )
    }
}

fn copyright(home: &str) -> String {
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: stoop
Source: {home}

Files: *
Copyright: the stoop developers
License: MIT or Apache-2.0
 The texts are in LICENSE-MIT and LICENSE-APACHE next to this file. The
 licences of the crates that are linked in are in third-party.gz.
"
    )
}

/// Returns the oldest glibc that has every symbol that the command uses, or `None` if it is linked
/// statically.
fn needed_glibc(binary: &[u8]) -> Option<String> {
    let find = |needle: &[u8]| binary.windows(needle.len()).any(|window| window == needle);
    if !find(b"libc.so.6\0") {
        return None;
    }
    let prefix = b"GLIBC_2.";
    let starts = binary.windows(prefix.len()).enumerate().filter(|(_, window)| window == prefix);
    let minors = starts.map(|(at, _)| {
        let digits = binary[at + prefix.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u32, |number, digit| number.saturating_mul(10) + u32::from(digit - b'0'))
    });
    Some(format!("2.{}", minors.max().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needed_glibc_is_the_newest_of_its_symbols() {
        let dynamic = b"\0libc.so.6\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0GLIBC_PRIVATE\0";
        assert_eq!(needed_glibc(dynamic).as_deref(), Some("2.34"));
        assert_eq!(needed_glibc(b"static GLIBC_2.34\0"), None);
    }

    #[test]
    fn a_static_command_depends_on_nothing() {
        let fields = Fields { version: "1.2.3", machine: "amd64", size: "5", home: "https://x" };
        assert!(!fields.control(None).contains("Depends"));
        let control = fields.control(Some("2.36"));
        assert!(
            control.contains("\nHomepage: https://x\nDepends: libc6 (>= 2.36), libgcc-s1\nDescription: ")
        );
        assert!(control.ends_with('\n') && !control.contains("\n\n"), "one paragraph");
    }
}
