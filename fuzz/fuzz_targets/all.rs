//! Every target under libFuzzer in one program, so that all of them link once. `FUZZ_TARGET` names
//! the one to run.
#![no_main]

use std::sync::OnceLock;

use stoop_fuzz::{FuzzTarget, TARGETS};

/// The target that this process runs.
static TARGET: OnceLock<FuzzTarget> = OnceLock::new();

/// Looks up the target by its name in the environment. Exits the process if it is unknown.
fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some(target) => _ = TARGET.set(*target),
        None => {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!("set FUZZ_TARGET to one of: {}", names.join(" "));
            std::process::exit(2);
        }
    }
}

libfuzzer_sys::fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some((_, target)) = TARGET.get() {
        target(data);
    }
});
