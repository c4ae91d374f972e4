//! Real servers for tests and benchmarks, started privately: nothing that runs on the machine already is touched, and
//! nothing stays behind. Where a server is not installed the caller is told so, and says that it skips.

mod postgres;

pub use postgres::PrivatePostgres;
