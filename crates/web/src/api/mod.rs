//! The operations under `/api/v1`, one file for each kind of object. A handler reads the request, calls one operation of
//! the engine and writes its answer; the description of each route stands beside it.

pub mod access;
pub mod app;
pub mod audit;
pub mod bulk_acts;
pub mod devices;
pub mod directory;
pub mod events;
pub mod groups;
pub mod mails;
pub mod notifications;
pub mod objects;
pub mod roles;
pub mod settings;
pub mod users;
