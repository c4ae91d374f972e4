//! How people and programs see Carillon: the HTTP API under `/api/v1`, its description (`/openapi.json`) and a viewer for
//! it (`/docs`), health and metrics.
//!
//! Handlers are thin: they read a request (`ask`), call one operation of the engine, and write its answer (`answer`) or its
//! refusal (`problem`). No rule and no query lives here. Every route stands once, with its description beside it, in
//! [`routes`]: the router and the OpenAPI document are both made from that list, so they cannot differ.

mod answer;
mod api;
mod aside;
mod ask;
mod docs;
mod lean;
mod limits;
mod openapi;
mod pace;
mod places;
pub mod problem;
mod report;
mod rewound;
mod routes;
mod serve;
mod service;
mod stream;
mod tls;
mod watch;

pub use ask::bearer;
pub use axum::Router;
pub use limits::{Limits, Network};
pub use serve::{serve, serve_tls};
pub use tls::Tls;

/// What strangers write before there is a request, for tests that read arbitrary bytes.
#[doc(hidden)]
pub mod strangers {
    pub use crate::lean::{Head, known as head};
}

use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware;
use engine::Engine;
use http::StatusCode;
use problem::Problem;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// What the binary hands in beside the engine.
pub struct Extras {
    /// Renders the metrics in Prometheus' text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The program's version.
    pub version: String,
    /// How the outside reaches this server, such as `https://carillon.example.org`; empty when that is not known.
    pub public_url: String,
    /// The public key with which browsers subscribe (VAPID, base64url).
    pub web_push_key: String,
    /// Whether this process answers requests to the API, or only those about its own health.
    pub api: bool,
    /// What answers in other systems' protocols, beside the API. Its paths are its own; it is bounded and counted like the rest.
    pub integrations: Vec<Router>,
    /// What strangers may take of it.
    pub limits: Limits,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub engine: Engine,
    pub extras: Arc<Extras>,
    pub made: Arc<Made>,
    pub pace: Arc<pace::Pace>,
}

/// Documents that are made when they are first asked for: most starts never show them.
#[derive(Default)]
pub(crate) struct Made {
    openapi: OnceLock<bytes::Bytes>,
    docs: OnceLock<bytes::Bytes>,
}

/// The whole HTTP surface over an engine.
pub fn router(engine: Engine, mut extras: Extras) -> Router {
    let integrations = std::mem::take(&mut extras.integrations);
    let pace = Arc::new(pace::Pace::new(extras.limits.clone()));
    let app = App { engine, extras: Arc::new(extras), made: Arc::default(), pace };
    let mut paths: BTreeMap<&'static str, axum::routing::MethodRouter<App>> = BTreeMap::new();
    let declared: Vec<_> = app.engine.object_declarations().collect();
    for route in routes::all(&declared).into_iter().filter(|route| app.extras.api || !route.path.starts_with("/api/")) {
        let before = paths.remove(route.path).unwrap_or_default();
        let watched = middleware::from_fn_with_state((app.clone(), route.doc.id), watch::refused);
        paths.insert(route.path, before.merge(route.handler.layer(watched)));
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        router = router.route(path, methods);
    }
    for integration in integrations {
        router = router.merge(integration.with_state(()));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // Bodies are bounded where they are read; imports by their own bound.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(watch::bounded))
        .layer(middleware::from_fn_with_state(app.clone(), pace::paced))
        .layer(middleware::from_fn(watch::sealed))
        .with_state(app)
}

async fn unknown_path(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(StatusCode::NOT_FOUND, "unknown_path", format!("there is nothing at {path}; see /docs for what there is"))
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("{} is not possible here; see the Allow header for what is", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
