//! Installs the `.deb` into a Debian system with nothing else in it, and uses it there.
//!
//! The system is made by debootstrap once and kept as `target/packages/clean-root.tar`; each run
//! unpacks a fresh one. Needs root, the network and `debootstrap`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Release, is_installed};
use crate::{Outcome, output_of, succeed};

/// The release that it is tried on.
const SUITE: &str = "stable";
const MIRROR: &str = "http://deb.debian.org/debian";

/// What is done there, in a mount and process namespace of its own. Each line has to succeed.
const SCRIPT: &str = r#"
root=$1
mount -t proc proc "$root/proc"
inside() { echo "+ $*" >&2; chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
inside apt-get -qq -o APT::Sandbox::User=root install -y --no-install-recommends ./stoop.deb >&2
inside stoop --version
inside timeout 120 stoop demo </dev/null
inside man stoop | grep '^NAME' >/dev/null
inside man stoop-serve | grep '^NAME' >/dev/null
inside bash -n /usr/share/bash-completion/completions/stoop
inside test -s /usr/share/doc/stoop/copyright
inside dpkg --verify stoop
inside dpkg --purge stoop >&2
left=$(find "$root/usr" -name '*stoop*')
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }
"#;

/// Installs the package, uses it and removes it.
pub(super) fn install(release: &Release, package: &Option<PathBuf>) -> Outcome {
    let package = package.as_ref().ok_or("there is no package to try")?;
    for program in ["debootstrap", "unshare", "chroot"] {
        if !is_installed(program) {
            return Err(format!("{program} is not installed (apt-get install debootstrap util-linux)"));
        }
    }
    println!("== trying {} in a clean root", package.display());
    let system = base(&release.directory)?;
    let root = release.directory.join("root");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).map_err(|e| e.to_string())?;
    succeed(Command::new("tar").arg("-xf").arg(&system).arg("-C").arg(&root))?;
    fs::copy(package, root.join("stoop.deb")).map_err(|e| e.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-euo", "pipefail", "-c", SCRIPT]);
    let output = output_of(command.arg("bash").arg(&root));
    // Its mounts were gone with the namespace.
    let _ = fs::remove_dir_all(&root);
    let output = output?;
    let output = String::from_utf8_lossy(&output);
    let version = format!("stoop {}", release.version);
    if !output.starts_with(&version) {
        return Err(format!("the installed command is not '{version}': {output}"));
    }
    println!("clean root: ok, the demonstration printed {} lines", output.lines().count() - 1);
    Ok(())
}

/// Makes the system, or returns the one that was made before.
fn base(directory: &Path) -> Result<PathBuf, String> {
    let archive = directory.join("clean-root.tar");
    if archive.exists() {
        return Ok(archive);
    }
    let root = directory.join("clean-root");
    let _ = fs::remove_dir_all(&root);
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", "--include=man-db", SUITE]).arg(&root).arg(MIRROR);
    succeed(&mut command)?;
    // An archive that is there is complete.
    let partial = directory.join("clean-root.partial");
    succeed(Command::new("tar").arg("-cf").arg(&partial).arg("-C").arg(&root).arg("."))?;
    fs::rename(&partial, &archive).map_err(|e| e.to_string())?;
    let _ = fs::remove_dir_all(&root);
    Ok(archive)
}
