//! Health, metrics, and the API's own description.

use crate::App;
use crate::answer::{Reply, text};
use crate::problem::Problem;
use crate::routes::{Access, Doc, Route, get};
use crate::serve::Stopping;
use crate::{docs, openapi, routes};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use model::Refusal;

fn doc(id: &'static str, summary: &'static str) -> Doc {
    Doc::new("Service", id, summary, Access::Anyone)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    vec![
        get("/healthz", routing::get(healthz), doc("health", "Is the process alive?").gives_text(200, "`ok`", "text/plain")),
        get(
            "/readyz",
            routing::get(readyz),
            doc("readiness", "Can it take requests?")
                .detail("No while it starts, stops, or cannot reach its store.")
                .gives_text(200, "`ready`", "text/plain")
                .refuses(503, "unavailable"),
        ),
        get("/metrics", routing::get(metrics), doc("metrics", "Metrics for Prometheus").gives_text(200, "The metrics.", "text/plain")),
        get(
            "/openapi.json",
            routing::get(description),
            doc("openapi", "This description").gives_text(200, "OpenAPI 3.1.", "application/json"),
        ),
        get("/docs", routing::get(viewer), doc("docs", "This description, for people").gives_text(200, "A page.", "text/html")),
        get("/docs/style.css", routing::get(style), doc("docsStyle", "The page's style").gives_text(200, "CSS.", "text/css")),
    ]
}

async fn healthz() -> Response {
    text("text/plain; charset=utf-8", "ok")
}

async fn readyz(State(app): State<App>, stopping: Option<Extension<Stopping>>) -> Reply {
    let closing = stopping.is_some_and(|Extension(Stopping(token))| token.is_cancelled());
    if closing || app.engine.stopping().is_cancelled() {
        return Err(Refusal::unavailable("the server is stopping").into());
    }
    if !app.engine.ready().await {
        return Err(Refusal::unavailable("the store does not answer").into());
    }
    Ok(text("text/plain; charset=utf-8", "ready"))
}

async fn metrics(State(app): State<App>) -> Response {
    app.engine.gauge_health();
    text("text/plain; version=0.0.4; charset=utf-8", (app.extras.metrics)())
}

fn document(app: &App) -> Bytes {
    let made = app.made.openapi.get_or_init(|| {
        let declared: Vec<_> = app.engine.object_declarations().collect();
        let document = openapi::document(&routes::all(&declared), &declared, &app.extras.version, &app.extras.public_url);
        Bytes::from(document.to_pretty_json().expect("a description has only names as keys"))
    });
    made.clone()
}

async fn description(State(app): State<App>) -> Response {
    text("application/json", document(&app))
}

/// The viewer loads its own style and nothing else; it has no script.
const VIEWER_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn viewer(State(app): State<App>) -> Result<Response, Problem> {
    let page = match app.made.docs.get() {
        Some(page) => page.clone(),
        None => {
            let document = serde_json::from_slice(&document(&app)).map_err(|e| {
                tracing::error!(error = %e, "the description cannot be read");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the description cannot be shown; see the server's log")
            })?;
            app.made.docs.get_or_init(|| Bytes::from(docs::page(&document))).clone()
        }
    };
    let mut response = text("text/html; charset=utf-8", page);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(VIEWER_POLICY));
    Ok(response)
}

async fn style() -> Response {
    let mut response = text("text/css; charset=utf-8", docs::STYLE).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}
