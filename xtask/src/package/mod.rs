//! `cargo xtask package`: everything that a release consists of, into `target/packages`.
//!
//! | file | contents |
//! |---|---|
//! | `stoop-VERSION-ARCH-linux.tar.gz` | the command, its man pages and completions |
//! | `stoop_VERSION_ARCH.deb`, `stoop-VERSION-1.ARCH.rpm` | the same, for a package manager |
//! | `stoop-VERSION-ARCH-linux.cdx.json` | the components of the command (SBOM, CycloneDX) |
//! | `stoop-VERSION-guide.tar.gz` | the guide as a site |
//! | `SHA256SUMS` | of all of these |
//! | `../package/*.crate` | the libraries and the command, for crates.io |
//!
//! Nothing is published. What needs a program that is not installed is reported as not run, except
//! under `--try`, which then fails.

mod clean_root;
mod crates;
mod deb;
mod notices;
mod rpm;
mod sbom;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Outcome, cargo, output_of, succeed, tree};

pub use crates::check as check_crates;

const USAGE: &str = "--crates [--verify] | [--try] [--target TARGET] [--profile PROFILE]";

/// What a run was asked for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    only_crates: bool,
    verify: bool,
    try_it: bool,
    target: Option<String>,
    profile: Option<String>,
}

/// Packs the crates, then builds every file of a release for one target.
pub fn run(args: &[String]) -> Outcome {
    let options = options(args)?;
    crates::run(options.verify)?;
    if options.only_crates {
        return Ok(());
    }
    let release = Release::new(&options)?;
    let binary = release.build()?;
    let stage = stage::Stage::new(&release, &binary)?;
    stage.archive(&release)?;
    let package = deb::build(&release, &stage)?;
    rpm::build(&release, &stage)?;
    sbom::write(&release)?;
    guide(&release)?;
    release.sum()?;
    if options.try_it {
        clean_root::install(&release, &package)?;
    }
    Ok(())
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--crates" => options.only_crates = true,
            "--verify" => options.verify = true,
            "--try" => options.try_it = true,
            "--target" => options.target = args.next().cloned(),
            "--profile" => options.profile = args.next().cloned(),
            _ => return Err(format!("'{arg}' is not an option: {USAGE}")),
        }
    }
    Ok(options)
}

/// One release: its version, its target, and where its files go.
struct Release {
    version: String,
    target: String,
    profile: String,
    /// Seconds since the epoch: the last commit's, so that the same commit gives the same files.
    epoch: String,
    directory: PathBuf,
}

impl Release {
    fn new(options: &Options) -> Result<Release, String> {
        let manifest = tree::read("Cargo.toml")?;
        let directory = tree::target().join("packages");
        fs::create_dir_all(&directory)
            .map_err(|e| format!("cannot create '{}': {e}", directory.display()))?;
        let epoch =
            output_of(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(tree::root()))?;
        Ok(Release {
            version: value(&manifest, "version").ok_or("Cargo.toml has no version")?,
            target: options.target.clone().map_or_else(host, Ok)?,
            profile: options.profile.clone().unwrap_or_else(|| "dist".into()),
            epoch: String::from_utf8_lossy(&epoch).trim().to_owned(),
            directory,
        })
    }

    /// Builds the command and returns its path.
    fn build(&self) -> Result<PathBuf, String> {
        println!("== stoop {} for {}", self.version, self.target);
        let mut command = cargo(&["build", "--locked", "-p", "stoop-cli", "--profile", &self.profile]);
        let mut directory = tree::target();
        if self.target != host()? {
            command.args(["--target", &self.target]);
            directory.push(&self.target);
        }
        succeed(&mut command)?;
        // Cargo calls the directory of its profile `dev` otherwise.
        let profile = if self.profile == "dev" { "debug" } else { &self.profile };
        Ok(directory.join(profile).join("stoop"))
    }

    /// Returns the machine in the words of the kernel.
    fn machine(&self) -> &str {
        self.target.split('-').next().unwrap_or_default()
    }

    /// Returns the start of the names of files for one machine.
    fn stem(&self) -> String {
        format!("stoop-{}-{}-linux", self.version, self.machine())
    }

    /// Packs directory `name` within `parent`; the result depends on its contents and the commit
    /// alone.
    fn tar(&self, parent: &Path, name: &str, file: &str) -> Outcome {
        let archive = self.directory.join(file);
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--file").arg(&archive).arg("--use-compress-program=gzip -n9");
        tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.arg(format!("--mtime=@{}", self.epoch)).arg("--directory").arg(parent).arg(name);
        succeed(&mut tar)?;
        println!("{}", archive.display());
        Ok(())
    }

    /// Writes the checksums of all files of this version.
    fn sum(&self) -> Outcome {
        let script = "sha256sum -- *\"$1\"* > SHA256SUMS";
        succeed(Command::new("sh").args(["-ec", script, "sh", &self.version]).current_dir(&self.directory))
    }
}

/// Builds the guide, with the verb that does so.
fn guide(release: &Release) -> Outcome {
    let Some((_, _, site)) = crate::VERBS.iter().find(|(name, ..)| *name == "site") else {
        println!("not run: there is no verb that builds the guide");
        return Ok(());
    };
    site(&[])?;
    let target = tree::target();
    if !target.join("site/index.html").is_file() {
        return Err("the guide was not built into 'target/site'".into());
    }
    release.tar(&target, "site", &format!("stoop-{}-guide.tar.gz", release.version))
}

/// Returns the first value of this key in a manifest.
fn value(manifest: &str, key: &str) -> Option<String> {
    let line = manifest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
    Some(line.split('"').next()?.to_owned())
}

fn host() -> Result<String, String> {
    let version = output_of(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8_lossy(&version);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not name its host".into())
}

/// Returns whether a program is installed.
fn is_installed(program: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", "command -v \"$1\"", "sh", program]).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed() {
        let parsed = |text: &str| options(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let expected = Options { try_it: true, profile: Some("dev".into()), ..Options::default() };
        assert_eq!(parsed("--try --profile dev").unwrap(), expected);
        assert!(parsed("--crate").unwrap_err().contains("'--crate' is not an option"));
    }

    #[test]
    fn the_version_is_the_workspaces() {
        let manifest = "[workspace.package]\nversion = \"1.2.3\"\nrust-version = \"9\"\n";
        assert_eq!(value(manifest, "version").as_deref(), Some("1.2.3"));
        assert_eq!(value(manifest, "rust-version").as_deref(), Some("9"));
        assert_eq!(value(manifest, "license"), None);
    }
}
