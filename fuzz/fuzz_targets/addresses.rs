//! Fuzz target: what devices and browsers say about where they are reached. Its body is `strangers::addresses`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::addresses(bytes));
