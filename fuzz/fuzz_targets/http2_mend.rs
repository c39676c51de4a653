//! `stoop_fuzz::http2_mend` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::http2_mend(data));
