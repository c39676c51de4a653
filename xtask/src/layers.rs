//! Who may lean on whom: the edges between the crates here, the crates that may carry a heavy dependency, the
//! places where `unsafe` may stand, and the parts that must stay pure.
//!
//! The tables below are the law; everything after them is a function from text to findings. An edge that is
//! not in a table is a finding, and so is a crate that no table knows.

use crate::tree::{self, Source};
use crate::{Outcome, cargo, output_of, settle};
use serde_json::Value;

/// Each crate here, and the crates here that it may depend on. Arrows point down only.
const EDGES: &[(&str, &[&str])] = &[
    // what users get
    ("stoop", &[]),
    ("stoop-memory", &[]),
    ("stoop-bpf", &[]),
    ("stoop-inspect", &["stoop", "stoop-bpf"]),
    ("stoop-grpc", &["stoop"]),
    ("stoop-cli", &["stoop", "stoop-grpc", "stoop-inspect", "stoop-memory"]),
    // what proves it
    ("stoop-testkit", &[]),
    ("stoop-kernel-facts", &["stoop-testkit"]),
    ("stoop-e2e", &["stoop", "stoop-grpc", "stoop-testkit"]),
    ("stoop-bench", &["stoop"]),
    ("stoop-fuzz", &["stoop", "stoop-bpf", "stoop-grpc"]),
    ("xtask", &[]),
];

/// Any crate's own tests may use these.
const FOR_TESTS: &[&str] = &["stoop-testkit", "stoop-kernel-facts"];

/// Heavy crates, and who may depend on them outside tests. Whoever uses the library pays for none of these.
const HEAVY: &[(&str, &[&str])] = &[
    ("clap", &["stoop-cli"]),
    ("clap_complete", &["stoop-cli"]),
    ("clap_mangen", &["stoop-cli"]),
    ("rustyline", &["stoop-cli"]),
    ("signal-hook", &["stoop-cli"]),
    ("serde", &["stoop-cli", "stoop-grpc"]),
    ("serde_json", &["stoop-cli", "stoop-grpc", "stoop-bench", "stoop-e2e", "stoop-fuzz", "xtask"]),
    ("tokio", &["stoop-bench", "stoop-cli", "stoop-grpc"]),
    ("tracing", &[]),
    ("hyper", &["stoop-grpc"]),
    ("tonic", &["stoop-grpc"]),
    ("prost", &["stoop-fuzz", "stoop-grpc"]),
    ("prost-reflect", &["stoop-grpc"]),
    ("protox", &["stoop-grpc"]),
];

/// Heavy crates that may stand behind a feature, and whose.
const OPTIONAL: &[(&str, &[&str])] = &[("tokio", &["stoop"]), ("tracing", &["stoop"])];

/// Sources of each shipped crate, and the directories in them where `unsafe` may stand.
const UNSAFE: &[(&str, &[&str])] = &[
    ("crates/stoop/src", &["crates/stoop/src/sys/"]),
    ("crates/stoop-memory/src", &["crates/stoop-memory/src/sys/"]),
    ("crates/stoop-bpf/src", &["crates/stoop-bpf/src/sys/"]),
    ("crates/stoop-inspect/src", &[]),
    ("crates/stoop-grpc/src", &[]),
    ("crates/stoop-cli/src", &[]),
];

/// Parts that are driven by property tests and fuzzers: no I/O, no clock, no system calls of their own.
