//! Stories: one file per feature, end to end through the real binary.
