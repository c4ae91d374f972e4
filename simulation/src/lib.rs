//! The simulation: the real engine, with the real store in SQLite under it, on a fake clock and a fake network. A seed
//! decides everything: which faults there are, when a process crashes and between which two steps, what a provider
//! answers, what administrators do meanwhile. The same seed gives the same run.
//!
//! Here: `run` (one run), `process` (a life of a process, with time of its own), `seam` (between a process and the store,
//! where calls fail and processes crash), `provider` (the other side), `errands` (what people do), `calls` (what telephones say), `truth` and
//! `judgement` (what must hold), `planted` (bugs to see that it is noticed), `seeds` (the runs that once found something).

mod between;
mod calls;
mod chance;
mod errands;
mod faults;
mod house;
pub mod invariant;
mod judgement;
pub mod planted;
mod process;
mod provider;
pub mod run;
mod seam;
pub mod seeds;
mod trace;
mod truth;
mod world;
