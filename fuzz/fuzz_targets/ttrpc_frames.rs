//! `stoop_fuzz::ttrpc_frames` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::ttrpc_frames(data));
