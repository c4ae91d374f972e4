//! How other systems speak to Carillon in their own protocols. Each folder is a thin adapter: it reads what another system
//! says, calls one operation of the engine in the name of whoever asks, and writes the answer in that system's shape.
//!
//! What comes in this way is an ordinary event: the same rights, scopes, limits and audit, the same explanation. No rule
//! lives here, and nothing here goes past the engine.

pub mod graph;
