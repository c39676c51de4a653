//! `stoop_fuzz::btf_scan` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::btf_scan(data));
