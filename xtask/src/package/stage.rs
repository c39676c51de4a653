//! The files that a package installs, below a directory that stands for `/`, and the archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Release, host, notices};
use crate::{Outcome, cargo, man, output_of, succeed, tree};

/// The files of one release, laid out as they are installed.
pub(super) struct Stage {
    pub root: PathBuf,
    /// The command that is installed.
    pub binary: PathBuf,
}

/// Each shell, and where its completion scripts are found. Distributions of RPM have another
/// directory for zsh; see `rpm.rs`.
pub(super) const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/stoop"),
    ("zsh", "usr/share/zsh/vendor-completions/_stoop"),
    ("fish", "usr/share/fish/vendor_completions.d/stoop.fish"),
];

const MANUAL: &str = "usr/share/man/man1";
const DOCUMENTATION: &str = "usr/share/doc/stoop";

impl Stage {
    /// Lays out the command and what belongs to it, in place of an earlier layout.
    pub(super) fn new(release: &Release, binary: &Path) -> Result<Stage, String> {
        let root = release.directory.join("stage").join(release.machine());
        let _ = fs::remove_dir_all(&root);
        let stage = Stage { root, binary: binary.to_owned() };
        stage.put("usr/bin/stoop", &read(binary)?)?;
        succeed(Command::new("chmod").arg("755").arg(stage.root.join("usr/bin/stoop")))?;
        // The command of another machine cannot be asked for its pages.
        let native = if release.target.split('-').next() == host()?.split('-').next() {
            binary.to_owned()
        } else {
            succeed(&mut cargo(&["build", "-q", "-p", "stoop-cli"]))?;
            tree::target().join("debug/stoop")
        };
        for (name, text) in man::pages(&native)? {
            stage.put(&format!("{MANUAL}/{name}"), &text)?;
        }
        for (shell, path) in COMPLETIONS {
            stage.put(path, &output_of(Command::new(&native).args(["completions", shell]))?)?;
        }
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            stage.put(&format!("{DOCUMENTATION}/{file}"), tree::read(file)?.as_bytes())?;
        }
        stage.put(&format!("{DOCUMENTATION}/changelog"), tree::read("CHANGELOG.md")?.as_bytes())?;
        stage.put(&format!("{DOCUMENTATION}/third-party"), notices::text(&release.target)?.as_bytes())?;
        stage.compress()?;
        Ok(stage)
    }

    /// Writes one file.
    pub(super) fn put(&self, path: &str, contents: &[u8]) -> Outcome {
        let path = self.root.join(path);
        let write = || {
            fs::create_dir_all(path.parent().expect("below the root"))?;
            fs::write(&path, contents)
        };
        write().map_err(|e| format!("cannot write '{}': {e}", path.display()))
    }

    /// Compresses what is expected to be compressed.
    fn compress(&self) -> Outcome {
        let script =
            "gzip -nf9 usr/share/man/man1/*.1 usr/share/doc/stoop/changelog usr/share/doc/stoop/third-party";
        succeed(Command::new("sh").args(["-ec", script]).current_dir(&self.root))
    }

    /// Writes the archive for users without a package manager: one directory, nothing to unpack
    /// twice.
    pub(super) fn archive(&self, release: &Release) -> Outcome {
        let parent = release.directory.join("stage/archive");
        let name = release.stem();
        let script = r#"rm -rf "$2" && mkdir -p "$2/man" "$2/completions" && cd "$2"
            cp "$1/usr/bin/stoop" "$1"/usr/share/doc/stoop/[RL]* .
            gzip -dc "$1/usr/share/doc/stoop/changelog.gz" > CHANGELOG.md
            gzip -dc "$1/usr/share/doc/stoop/third-party.gz" > THIRD-PARTY
            cp "$1"/usr/share/man/man1/* man/ && gzip -d man/*.gz
            cp "$1"/usr/share/bash-completion/completions/stoop completions/stoop.bash
            cp "$1"/usr/share/zsh/*/_stoop "$1"/usr/share/fish/*/stoop.fish completions/"#;
        let mut command = Command::new("sh");
        succeed(command.args(["-euc", script, "sh"]).arg(&self.root).arg(parent.join(&name)))?;
        release.tar(&parent, &name, &format!("{name}.tar.gz"))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("cannot read '{}': {e}", path.display()))
}
