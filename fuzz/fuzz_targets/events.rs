//! Fuzz target: CloudEvents over HTTP. Its body is `strangers::events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::events(bytes));
