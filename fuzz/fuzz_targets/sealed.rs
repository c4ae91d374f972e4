//! Fuzz target: what claims to be sealed at rest. Its body is `strangers::sealed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::sealed(bytes));
