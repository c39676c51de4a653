//! `stoop_inspect::fuzzing::proc_text` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_inspect::fuzzing::proc_text(data));
