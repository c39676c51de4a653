//! A containerd for one test: its root, its state and its sockets are in a temporary directory, and
//! everything it started stops with it. Requires root, `containerd`, `runc` and a static `busybox`;
//! a test skips if the machine lacks one of them.
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | the daemon: started, called through `ctr`, stopped |
//! | `image.rs` | a small image, built here: busybox, and a Unix socket client |

pub(crate) mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stoop_testkit::{TempDir, eventually, has_program, is_root, tempdir};

use crate::run::{LIMIT, Run, Running, program};

/// The image that [`Containerd::import_image`] imports: busybox in `/bin`, and `/bin/talk`.
///
/// `talk PATH WORD` connects to a stream socket, sends the word, and then copies what it receives
/// to its standard output until the server closes. `talk --serve PATH` listens there, and keeps
/// each client's connection open.
pub const IMAGE: &str = "stoop.test/busybox:1";

/// The image of pods: [`IMAGE`], but it sleeps.
pub const PAUSE: &str = "stoop.test/pause:1";

/// Checks the requirements of a test that starts a [`Containerd`]; its image is for one
/// architecture.
const PROGRAMS: [&str; 7] = ["containerd", "ctr", "runc", "busybox", "cc", "tar", "sha256sum"];

/// Everything is in this directory except the sockets of the shims, whose location containerd
/// chooses.
const CONFIG: &str = r#"version = 2
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/containerd.sock"
[ttrpc]
  address = "DIR/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "stoop.test/pause:1"
  # A machine that is itself in a box may not rank processes above others.
  restrict_oom_score_adj = true
  disable_tcp_service = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
"#;

/// Names a directory with a containerd that is newer than the installed one, if there is one; set
/// by `./test`.
const NEWER: &str = "STOOP_NEWER_CONTAINERD";

/// Names a directory with a containerd 2, if there is one; set by `./test`.
const NEWEST: &str = "STOOP_NEWEST_CONTAINERD";

/// A running containerd; stopped with all its containers when dropped.
#[derive(Debug)]
pub struct Containerd {
    directory: TempDir,
    binary: PathBuf,
    /// Dropped after the containers were removed through it, and before the directory is removed.
    daemon: Option<Running>,
}

impl Containerd {
    /// Returns what this machine lacks, as a reason to skip.
    pub fn lacks() -> Option<String> {
        if !is_root() {
            return Some("lacks root".into());
        }
        let missing = PROGRAMS.iter().find(|name| !has_program(name));
        missing.map(|name| format!("lacks {name}"))
    }

    /// Starts it and waits until it answers. Panics if [`Containerd::lacks`] would have returned a
    /// reason.
    #[track_caller]
    pub fn start() -> Containerd {
        Containerd::start_found(None)
    }

    /// Starts one that is newer than the installed one; `None` without one.
    #[track_caller]
    pub fn start_newer() -> Option<Containerd> {
        Containerd::start_in(NEWER)
    }

    /// Starts a containerd 2; `None` without one.
    #[track_caller]
    pub fn start_newest() -> Option<Containerd> {
        Containerd::start_in(NEWEST)
    }

    #[track_caller]
    fn start_in(variable: &str) -> Option<Containerd> {
        let place = std::env::var_os(variable).filter(|place| !place.is_empty())?;
        Some(Containerd::start_found(Some(Path::new(&place))))
    }

    #[track_caller]
    fn start_found(place: Option<&Path>) -> Containerd {
        let found = std::env::var_os("PATH").unwrap_or_default();
        let path = place.map(Path::to_owned).into_iter().chain(std::env::split_paths(&found));
        let path = std::env::join_paths(path).expect("directories without a colon");
        let binary = place.map_or_else(|| "containerd".into(), |place| place.join("containerd"));
        let directory = tempdir();
        let config = directory.path().join("config.toml");
        let place = directory.path().to_str().expect("a path that is text");
        fs::write(&config, CONFIG.replace("DIR", place)).expect("write the configuration");
        let daemon = program(&binary, ["--config"]).arg(&config).env("PATH", path).spawn();
        let mut containerd = Containerd { directory, daemon: Some(daemon), binary };
        eventually(LIMIT, || {
            let daemon = containerd.daemon.as_mut().expect("started");
            assert!(daemon.is_running(), "containerd ended: {}", daemon.stderr());
            containerd.quiet(&["version"]).is_some()
        });
        containerd
    }

    /// Returns the socket on which it serves gRPC.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("containerd.sock")
    }

    /// Returns its program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Returns the directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns its process.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("it runs until dropped").pid()
    }

    /// Returns `ctr` with these arguments, connected to it.
    pub fn ctr(&self, arguments: &[&str]) -> Run {
        program("ctr", ["--address"]).arg(self.socket()).args(arguments)
    }

    /// Builds [`IMAGE`] and [`PAUSE`] and imports them.
    #[track_caller]
    pub fn import_image(&self) {
        self.import_image_into("default");
    }

    /// Builds [`IMAGE`] and [`PAUSE`] and imports them into a namespace of containerd; that of pods
    /// is `k8s.io`.
    #[track_caller]
    pub fn import_image_into(&self, namespace: &str) {
        let archive = image::archive(&self.directory.path().join("image"));
        let archive = archive.to_str().expect("a path that is text");
        let import = ["images", "import", "--snapshotter", "native", archive];
        self.ctr(&["--namespace", namespace]).args(import).run().ok();
    }

    /// Builds [`IMAGE`] and [`PAUSE`], and returns the directory with their OCI layout, without
    /// importing it.
    #[track_caller]
    pub fn image_layout(&self) -> PathBuf {
        image::layout(&self.directory.path().join("image"))
    }

    /// Starts a container of [`IMAGE`], and returns the process id of its first process. `options`
    /// are those of `ctr run`.
    #[track_caller]
    pub fn run(&self, id: &str, options: &[&str], command: &[&str]) -> u32 {
        let runc = self.directory.path().join("runc");
        let fifos = self.directory.path().join("fifos");
        let words = ["run", "--detach", "--snapshotter", "native"];
        let run = self.ctr(&words).arg("--runc-root").arg(runc).arg("--fifo-dir").arg(fifos);
        run.args(options).args([IMAGE, id]).args(command).run().ok();
        self.pid_of(id)
    }

    #[track_caller]
    fn pid_of(&self, id: &str) -> u32 {
        let listing = self.ctr(&["tasks", "ls"]).run().ok().text();
        let line = listing.lines().find(|line| line.split_whitespace().next() == Some(id));
        let pid = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        pid.unwrap_or_else(|| panic!("no task {id} in\n{listing}"))
    }

    /// Returns the output of `ctr`, without a panic: a drop may be caused by one.
    fn quiet(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("timeout");
        command.args(["20", "ctr", "--address"]).arg(self.socket()).args(arguments);
        let output = command.stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Shims outlive containerd by design; each ends with its container.
    fn remove_containers(&self, namespace: &str) {
        let ctr = |words: &[&str]| self.quiet(&[&["--namespace", namespace], words].concat());
        let tasks = ctr(&["tasks", "ls", "--quiet"]).unwrap_or_default();
        for id in tasks.lines() {
            let _ = ctr(&["tasks", "rm", "--force", id]);
        }
        let containers = ctr(&["containers", "ls", "--quiet"]).unwrap_or_default();
        for id in containers.lines() {
            let _ = ctr(&["containers", "rm", id]);
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // Its own, and those of pods.
        self.remove_containers("default");
        self.remove_containers("k8s.io");
        drop(self.daemon.take());
    }
}
