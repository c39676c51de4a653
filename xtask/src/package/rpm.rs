//! The package for Fedora, openSUSE and their like, made by `rpmbuild`.

use std::fs;
use std::process::Command;

use super::stage::Stage;
use super::{Release, is_installed, value};
use crate::{Outcome, succeed, tree};

/// Builds the package if `rpmbuild` is installed.
pub(super) fn build(release: &Release, stage: &Stage) -> Outcome {
    if !is_installed("rpmbuild") {
        println!("not run: rpmbuild is not installed (apt-get install rpm)");
        return Ok(());
    }
    let directory = release.directory.join("stage/rpm");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
    let home = value(&tree::read("Cargo.toml")?, "repository").unwrap_or_default();
    let spec = directory.join("stoop.spec");
    fs::write(&spec, text(&release.version, &home)).map_err(|e| e.to_string())?;
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--quiet", "--target", release.machine()]);
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    command.args(define("_topdir", &directory.display().to_string()));
    command.args(define("_rpmdir", &release.directory.display().to_string()));
    command.args(define("_build_name_fmt", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"));
    command.args(define("stage", &stage.root.display().to_string()));
    command.args(define("use_source_date_epoch_as_buildtime", "1"));
    succeed(command.arg(&spec).env("SOURCE_DATE_EPOCH", &release.epoch))
}

/// The description of the package. Its files are copied; nothing is built, stripped or searched for
/// dependencies other than shared libraries.
fn text(version: &str, home: &str) -> String {
    format!(
        "Name: stoop
Version: {version}
Release: 1
Summary: Serve, connect to and inspect Unix domain sockets
License: MIT OR Apache-2.0
URL: {home}
%define debug_package %{{nil}}
%define __os_install_post %{{nil}}
%define _build_id_links none

%description
stoop serves Unix domain sockets, connects to them, lists both ends of every
connection with their processes, and explains why a connection fails. It
calls HTTP and gRPC services, and compares transports.

%install
mkdir -p %{{buildroot}}
cp -a %{{stage}}/usr %{{buildroot}}/
mv %{{buildroot}}/usr/share/zsh/vendor-completions %{{buildroot}}/usr/share/zsh/site-functions
rm -f %{{buildroot}}/usr/share/doc/stoop/copyright

%files
%attr(755, root, root) /usr/bin/stoop
%attr(-, root, root) /usr/share/man/man1/*
%attr(-, root, root) /usr/share/bash-completion/completions/stoop
%attr(-, root, root) /usr/share/zsh/site-functions/_stoop
%attr(-, root, root) /usr/share/fish/vendor_completions.d/stoop.fish
%doc %attr(-, root, root) /usr/share/doc/stoop
"
    )
}

#[cfg(test)]
mod tests {
    use super::super::stage::COMPLETIONS;
    use super::*;

    #[test]
    fn every_completion_script_is_listed() {
        let spec = text("1.2.3", "https://x");
        for (_, path) in COMPLETIONS {
            let path = path.replace("vendor-completions", "site-functions");
            assert!(spec.contains(&format!(" /{path}\n")), "{path}");
        }
    }
}
