//! Fuzz target: a relay's replies. Its body is `strangers::relay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::relay(bytes));
