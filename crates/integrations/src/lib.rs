//! How other systems speak to Carillon in their own protocols. Each folder is a thin adapter: it reads what another system
//! says, calls one operation of the engine in the name of whoever asks, and writes the answer in that system's shape.
//!
//! What comes in this way is an ordinary event: the same rights, scopes, limits and audit, the same explanation. No rule
//! lives here, and nothing here goes past the engine.

pub mod asterisk;
mod charset;
pub mod cloudevents;
mod door;
pub mod graph;
pub mod intake;
pub mod smtp_in;
pub mod voicemail_mail;
pub mod webhook;

use axum::Router;
use engine::Engine;
use intake::{Desk, Intake};
use std::sync::Arc;

/// Every path of other systems' protocols over an engine. `graph` is how the outside reaches this server, where Graph's calls
/// are wanted.
pub fn doors(engine: &Engine, graph: Option<&str>) -> Vec<Router> {
    let desk = |by: &str| Arc::new(Desk::new(engine.clone(), by)) as Arc<dyn Intake>;
    let mut doors = vec![
        cloudevents::route::router(engine.clone(), desk("CloudEvents")),
        voicemail_mail::route::router(engine.clone(), desk("mailcmd")),
    ];
    doors.extend(graph.map(|public_url| graph::router(engine.clone(), public_url)));
    doors
}
