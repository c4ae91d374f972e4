//! Fuzz target: a session with the listener for mails. Its body is `strangers::smtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::smtp(bytes));
