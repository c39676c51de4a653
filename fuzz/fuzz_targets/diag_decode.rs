//! `stoop_fuzz::diag_decode` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::diag_decode(data));
