//! What is remembered: verbs, not tables.
