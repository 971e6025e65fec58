//! What can be read: the documents of the commands.

use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Answer, Json, Refusal, ok};
use super::input::{Named, Nothing, Query};
use super::served::Shared;
use crate::inspect;
use crate::report::api::RequestDocument;
use crate::report::explain::Explained;
use crate::report::history::HistoryDocument;
use crate::report::plan::PlanDocument;
use crate::report::set::OneSet;
use crate::report::status::{self, StatusDocument};

/// Batches shown where nobody says how many.
const BATCHES: u32 = 100;

pub(super) async fn status(
    State(served): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<StatusDocument> {
    let look = served.in_turn(|app| {
        let (declared, reader) = (app.declared()?, app.reader()?);
        let recorded = inspect::status::read(&declared, &reader, None, &app.moment())?;
        Ok(status::report(&recorded).wire)
    });
    look.await.map(ok)
}

pub(super) async fn plan(
    State(served): State<Shared>,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<PlanDocument> {
    let look = served.in_turn(|app| {
        let (declared, reader) = (app.declared()?, app.reader()?);
        let options = inspect::plan::Options {
            now_ms: (app.now_ms)(),
            ..inspect::plan::Options::default()
        };
        let found = inspect::plan::plan(&declared, Some(&reader), &options)?;
        Ok(found.report.wire)
    });
    look.await.map(ok)
}

/// Which batches.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Batches {
    /// Only batches with a share of this set.
    set: Option<String>,
    /// Only the latest so many; 100 unless given.
    last: Option<u32>,
}

pub(super) async fn history(
    State(served): State<Shared>,
    Query(batches): Query<Batches>,
) -> Answer<HistoryDocument> {
    let look = served.in_turn(move |app| {
        let (set, last) = (batches.set.as_deref(), batches.last.unwrap_or(BATCHES));
        let names = app.declared().map(|declared| declared.names_of_targets());
        let names = names.unwrap_or_default();
        Ok(inspect::history::history(&*app.reader()?, &names, set, last)?.wire)
    });
    look.await.map(ok)
}

pub(super) async fn set(
    State(served): State<Shared>,
    Named(name): Named,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<OneSet> {
    let look = served.in_turn(move |app| {
        let (declared, reader) = (app.declared()?, app.reader()?);
        Ok(inspect::set::set(&declared, &reader, &name, &app.moment())?)
    });
    look.await.map(ok)
}

/// Of what.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct About {
    /// A URL as a browser shows it, or an asset's id.
    subject: String,
}

pub(super) async fn explain(
    State(served): State<Shared>,
    Query(about): Query<About>,
) -> Answer<Explained> {
    let look = served.in_turn(move |app| {
        let (declared, reader) = (app.declared()?, app.reader()?);
        let moment = app.moment();
        let found = inspect::explain::explain(&declared, Some(&reader), &about.subject, &moment)?;
        Ok(found.report.wire)
    });
    look.await.map(ok)
}

pub(super) async fn request(
    State(served): State<Shared>,
    Named(id): Named,
    Query(Nothing {}): Query<Nothing>,
) -> Answer<RequestDocument> {
    let look = served.aside(move |app| {
        let reader = app.reader()?;
        let mut requests = reader.requests(false)?.into_iter();
        let Some(found) = requests.find(|request| request.id.to_string() == id) else {
            let refusal =
                Refusal::new(StatusCode::NOT_FOUND, format!("there is no request `{id}`"));
            return Err(refusal.hint("what was answered 90 days ago is forgotten"));
        };
        let advance = reader.advance(found.id)?;
        Ok(RequestDocument::of(found, advance))
    });
    look.await.map(ok)
}

pub(super) async fn openapi() -> Json<serde_json::Value> {
    ok(super::openapi())
}
