//! Fuzz target: words of fields, queries and settings. Its body is `strangers::words`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::words(bytes));
