//! Carillon.
fn main() {}
