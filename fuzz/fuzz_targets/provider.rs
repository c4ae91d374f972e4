//! Fuzz target: providers' answers: status, headers, body. Its body is `strangers::provider`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::provider(bytes));
