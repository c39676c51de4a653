//! `stoop_fuzz::cgroup_place` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stoop_fuzz::cgroup_place(data));
