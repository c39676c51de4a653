//! `stoop_fuzz::frame_decode` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::frame_decode(data));
