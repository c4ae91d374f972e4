//! Fuzz target: the first bytes of a connection. Its body is `strangers::head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::head(bytes));
