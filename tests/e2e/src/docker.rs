//! A dockerd for one test: its data, its state and its socket are in a temporary directory, it
//! creates no network, does not touch the firewall, and is stopped with the test. It starts a
//! containerd of its own. Requires root; a test skips if the machine lacks something.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stoop_testkit::{TempDir, has_program, is_root, tempdir};

use crate::containerd::image;
use crate::run::{LIMIT, Running, program};

/// Checks the requirements of a test that starts a [`Dockerd`].
const PROGRAMS: [&str; 7] = ["dockerd", "containerd", "runc", "busybox", "cc", "tar", "sha256sum"];

/// A running dockerd; stopped when dropped.
#[derive(Debug)]
pub struct Dockerd {
    directory: TempDir,
    daemon: Option<Running>,
}

impl Dockerd {
    /// Starts it and waits until its socket exists. A missing requirement is a reason to skip,
    /// including a kernel that does not let it run.
    pub fn start() -> Result<Dockerd, String> {
        if !is_root() {
            return Err("lacks root".into());
        }
        if let Some(missing) = PROGRAMS.iter().find(|name| !has_program(name)) {
            return Err(format!("lacks {missing}"));
        }
        let directory = tempdir();
        let at = |name: &str| directory.path().join(name).to_str().expect("a path that is text").to_owned();
        std::fs::write(at("daemon.json"), "{}").expect("write the configuration");
        let (data, state, pid, config) = (at("data"), at("exec"), at("pid"), at("daemon.json"));
        let host = format!("unix://{}", at("docker.sock"));
        let places = ["--data-root", &data, "--exec-root", &state, "--pidfile", &pid, "--host", &host];
        // The simplest storage works everywhere, on top of anything.
        let modest = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"];
        let run = program("dockerd", ["--config-file", &config]).args(places).args(modest);
        let mut dockerd = Dockerd { daemon: Some(run.spawn()), directory };
        dockerd.until_ready()?;
        Ok(dockerd)
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + LIMIT;
        let daemon = self.daemon.as_mut().expect("it has been started");
        while !daemon.stderr().contains("API listen on") {
            if !daemon.is_running() || Instant::now() > end {
                let said = daemon.stderr();
                return Err(format!(
                    "lacks a machine on which dockerd runs: {}",
                    said.lines().last().unwrap_or_default()
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Returns the socket of its API.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// Returns the directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Creates an image of this name, with busybox in `/bin`, and returns its archive, ready to be
    /// loaded.
    #[track_caller]
    pub fn image(&self, name: &str) -> PathBuf {
        image::docker_archive(&self.directory.path().join("image"), name)
    }
}

impl Drop for Dockerd {
    /// It stops its containers and its containerd itself, given the time.
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        if daemon.is_running() {
            daemon.signal(Signal::TERM);
        }
        let end = Instant::now() + LIMIT;
        while daemon.is_running() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
