//! `stoop_fuzz::grpc_json` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::grpc_json(data));
