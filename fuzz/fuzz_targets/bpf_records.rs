//! `stoop_fuzz::bpf_records` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::bpf_records(data));
