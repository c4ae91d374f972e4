//! Telephony's rules, held against samples and tables.

mod acts;
mod gathered;
mod samples;
