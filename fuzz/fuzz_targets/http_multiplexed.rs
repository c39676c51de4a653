//! `stoop_fuzz::http_multiplexed` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::http_multiplexed(data));
