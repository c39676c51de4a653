//! `cargo xtask models`: tests of lock-free code under loom, which runs them in every order that
//! the memory model permits.
//!
//! Such tests are compiled only with `--cfg loom`, which applies to all crates of a build, so they
//! are built into a directory of their own, and only for crates whose dependencies can be built
//! so.

use crate::{Outcome, cargo, succeed};

/// Each package with such tests, and the module that has them.
const MODELS: &[(&str, &str)] = &[("stoop-memory", "ring::model")];

/// Runs every model.
pub fn run() -> Outcome {
    MODELS.iter().try_for_each(|(package, module)| {
        // Optimized: a model runs some ten thousand times. What it replaces is not used.
        let mut command =
            cargo(&["test", "-q", "--lib", "--target-dir", "target/models", "-p", package, module]);
        command
            .env("RUSTFLAGS", "--cfg loom -A dead_code -A unused_imports")
            .env("CARGO_PROFILE_TEST_OPT_LEVEL", "2");
        succeed(&mut command)
    })
}
