//! Fuzz target: requests to the API, with a server behind it. Its body is `strangers::ask`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::ask(bytes));
