//! Whether the daemon lives and is ready, and its metrics.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::answer::{Answer, Refusal, ok};
use super::served::Shared;
use crate::report::api::HealthDocument;

/// What metrics are written as.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn healthy(State(served): State<Shared>) -> Answer<HealthDocument> {
    let app = served.app();
    if app.health.is_healthy((app.steady_ms)()) {
        return Ok(ok(HealthDocument::new("healthy")));
    }
    Err(Refusal::not_now("not healthy: the daemon stands still").hint("restart it"))
}

pub(super) async fn ready(State(served): State<Shared>) -> Answer<HealthDocument> {
    match served.app().health.missing() {
        None => Ok(ok(HealthDocument::new("ready"))),
        Some(missing) => Err(Refusal::not_now(format!("not ready: {missing}"))),
    }
}

pub(super) async fn metrics(State(served): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], (served.app().metrics)())
}
