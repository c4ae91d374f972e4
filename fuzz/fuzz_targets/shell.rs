//! Fuzz target: texts for the admin shell. Its body is `strangers::shell`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::shell(bytes));
