//! A server of another project: gRPC's C core, by Python.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use stoop_dynamic::Schema;
use stoop_e2e::{Run, Running, program, stoop};
use stoop_testkit::{TempDir, tempdir};

/// Longer than any of these takes.
pub const LONG: Duration = Duration::from_secs(60);

pub const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/talk.proto");

/// The peer, and its address.
pub struct Talk {
    pub directory: TempDir,
    pub _server: Running,
}

impl Talk {
    /// Starts it; `None` if Python has no grpcio.
    pub fn start(options: &[&str]) -> Option<Talk> {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join("python");
        if !library.join("grpc_reflection").is_dir() || !stoop_testkit::has_program("python3") {
            return None;
        }
        let directory = tempdir();
        let descriptors = directory.path().join("talk.bin");
        std::fs::write(&descriptors, descriptor_set()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/talk_server.py");
        let address = format!("unix:{}", directory.path().join("talk.sock").display());
        let server = program("python3", [script, &address]).arg(&descriptors).args(options);
        let server = server.env("PYTHONPATH", library).open_input().spawn();
        server.wait_stdout("serving");
        Some(Talk { directory, _server: server })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns `stoop grpc` with its address.
    pub fn grpc(&self, arguments: &[&str]) -> Run {
        stoop(["grpc"]).arg(self.file("talk.sock")).args(arguments)
    }

    /// Returns the one message that a call prints.
    pub fn answer(&self, arguments: &[&str]) -> Value {
        let text = self.grpc(arguments).run().ok().text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}

fn descriptor_set() -> Vec<u8> {
    Schema::from_protos(&[PROTO], &[]).unwrap().descriptor_set()
}

/// Runs a test with the peer, or skips it.
macro_rules! with_talk {
    ($options:expr, $test:expr) => {{
        let Some(talk) = $crate::talk::Talk::start($options) else {
            stoop_testkit::skip!(
                "lacks Python with grpcio, grpcio-reflection and grpcio-status (./test installs them)"
            );
        };
        let test: fn($crate::talk::Talk) = $test;
        stoop_testkit::deadline($crate::talk::LONG, move || test(talk));
    }};
}

pub(crate) use with_talk;
