//! All that there is: one list, which the router and the `OpenAPI` document are
//! made from.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{self, MethodRouter};
use schemars::JsonSchema;

use super::answer::{not_allowed, not_found};
use super::openapi::Component;
use super::served::{Served, Shared};
use super::{App, ask, guard, probe, read, token};
use crate::report::{api, explain, history, plan, set, status, validate};

/// Something that can be read, or asked for.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: Option<Component>,
    pub(super) body: Option<Component>,
    pub(super) answer: Content,
    /// Changes something, so the token is required.
    pub(super) is_change: bool,
    /// The status of an answer that is no refusal.
    pub(super) status: u16,
    serve: MethodRouter<Shared>,
}

/// What an answer holds.
pub(super) enum Content {
    /// A JSON document with a schema.
    Document(Component),
    /// Any JSON document.
    Json,
    /// Text of this type.
    Text(&'static str),
}

/// Every operation.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = probes();
    operations.extend(documents());
    operations.extend(changes());
    operations
}

fn probes() -> Vec<Operation> {
    vec![
        get("/-/healthy", probe::healthy)
            .tells("Whether the daemon makes progress")
            .answers::<api::HealthDocument>(),
        get("/-/ready", probe::ready)
            .tells("Whether the manifests are read and the state can be written")
            .answers::<api::HealthDocument>(),
        get("/metrics", probe::metrics)
            .tells("The metrics, for Prometheus")
            .writes(probe::OPEN_METRICS),
    ]
}

fn documents() -> Vec<Operation> {
    vec![
        get("/api/v1/status", read::status)
            .tells("How every set stands at every target")
            .answers::<status::StatusDocument>(),
        get("/api/v1/plan", read::plan)
            .tells("What would be sent, and why")
            .answers::<plan::PlanDocument>(),
        get("/api/v1/history", read::history)
            .tells("The batches that were sent")
            .asked::<read::Batches>()
            .answers::<history::HistoryDocument>(),
        get("/api/v1/sets/{name}", read::set)
            .tells("One set, from every side")
            .answers::<set::OneSet>(),
        get("/api/v1/explain", read::explain)
            .tells("What is known of a URL or an asset")
            .asked::<read::About>()
            .answers::<explain::Explained>(),
        get("/api/v1/requests/{id}", read::request)
            .tells("A request, and what came of it")
            .answers::<api::RequestDocument>(),
        get("/api/v1/openapi.json", read::openapi).tells("This document"),
    ]
}

fn changes() -> Vec<Operation> {
    vec![
        post("/-/reload", ask::reload)
            .tells("Read all manifests now: the problems found")
            .answers::<validate::Validation>(),
        post("/api/v1/reconcile", ask::reconcile)
            .tells("Look again now")
            .accepts(),
        post("/api/v1/invalidate", ask::invalidate)
            .tells("Send again, whatever is recorded")
            .takes::<ask::Invalidation>()
            .accepts(),
        post("/api/v1/suspend", ask::suspend)
            .tells("Send nothing until resumed")
            .takes::<ask::Held>()
            .accepts(),
        post("/api/v1/resume", ask::resume)
            .tells("Take a suspension back")
            .takes::<ask::Held>()
            .accepts(),
        post("/api/v1/approve/{plan}", ask::approve)
            .tells("Let a blocked plan through, exactly as it was shown")
            .accepts(),
    ]
}

fn get<T: 'static>(path: &'static str, handler: impl Handler<T, Shared>) -> Operation {
    Operation {
        path,
        summary: "",
        query: None,
        body: None,
        answer: Content::Json,
        is_change: false,
        status: 200,
        serve: routing::get(handler),
    }
}

fn post<T: 'static>(path: &'static str, handler: impl Handler<T, Shared>) -> Operation {
    Operation {
        is_change: true,
        serve: routing::post(handler.clone()),
        ..get(path, handler)
    }
}

impl Operation {
    fn tells(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    fn asked<T: JsonSchema>(mut self) -> Self {
        self.query = Some(Component::of::<T>());
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Component::of::<T>());
        self
    }

    fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Content::Document(Component::of::<T>());
        self
    }

    fn accepts(mut self) -> Self {
        self.status = 202;
        self.answers::<api::Asked>()
    }

    fn writes(mut self, media: &'static str) -> Self {
        self.answer = Content::Text(media);
        self
    }
}

/// The router over every operation, behind every guard.
pub(super) fn router(app: Arc<App>) -> Router {
    let limit = DefaultBodyLimit::max(app.limits.body);
    let served = Served::new(app);
    let token = from_fn_with_state(Arc::clone(&served), token::required);
    let mut router = Router::new();
    for operation in operations() {
        let mut serve = operation.serve;
        if operation.is_change {
            serve = serve.route_layer(token.clone());
        }
        router = router.route(operation.path, serve);
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(limit)
        .layer(from_fn_with_state(Arc::clone(&served), guard::visitors))
        .layer(from_fn_with_state(Arc::clone(&served), guard::patience))
        .layer(map_response(guard::sealed))
        .with_state(served)
}
