//! `stoop_inspect::fuzzing::tables` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_inspect::fuzzing::tables(data));
