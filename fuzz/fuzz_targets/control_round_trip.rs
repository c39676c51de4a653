//! `stoop_fuzz::control_round_trip` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::control_round_trip(data));
