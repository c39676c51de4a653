//! The JSON mapping, compared with protobuf's own on random messages of proto2, proto3 and an
//! edition. `STOOP_CASES` sets their number, `STOOP_SEED` makes a run repeatable.

use std::path::Path;
use std::time::Duration;

use stoop_e2e::{binary, program};
use stoop_testkit::{deadline, has_program, skip, tempdir};

const CASES: u64 = 60;

/// The number of messages of each syntax that one run compares, within the limit of a run.
const PER_RUN: u64 = 100;

/// The limit for one run.
const LIMIT_PER_RUN: Duration = Duration::from_secs(120);

#[test]
fn random_messages_agree_with_protobufs_own_json() {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join("python");
    if !library.join("grpc_reflection").is_dir() || !has_program("python3") {
        skip!("lacks Python with grpcio and grpcio-reflection (./test installs them)");
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let cases = number("STOOP_CASES").unwrap_or(CASES);
    let seed = number("STOOP_SEED").unwrap_or_else(|| std::process::id().into());
    let runs = cases.div_ceil(PER_RUN);
    deadline(LIMIT_PER_RUN * runs as u32, move || {
        for run in 0..runs {
            let directory = tempdir();
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/random_json.py");
            let compare = program("python3", [script]).arg(directory.path().join("app.sock")).arg(binary());
            let compare = compare.arg(cases.min(PER_RUN).to_string()).arg((seed + run).to_string());
            let text = compare.env("PYTHONPATH", &library).run().ok().text();
            assert_eq!(text.lines().count(), 3, "{text}");
        }
    });
}
