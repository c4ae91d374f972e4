//! Fuzz target: CSV files of the directory. Its body is `strangers::import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strangers::import(bytes));
