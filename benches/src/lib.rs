//! The benchmark programs and their sinks.
