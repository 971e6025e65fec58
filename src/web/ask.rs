//! What can be asked for: requests, left for whoever holds the state.

use std::net::IpAddr;

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::App;
use super::answer::{Answer, Json, Refusal, ok};
use super::input::{Body, Named};
use super::served::Shared;
use crate::inspect::validate::validate;
use crate::inspect::wanted;
use crate::reconcile::asks::Ask;
use crate::reconcile::forcing::Selection;
use crate::report::api::Asked;
use crate::report::validate::Validation;
use crate::state::{self, Scope};

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// What to send again: what all of these hold for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Invalidation {
    /// Only of this set.
    set: Option<String>,
    /// Only URLs of this asset.
    asset: Option<String>,
    /// Only URLs that match, `*` standing for anything.
    pattern: Option<String>,
    /// Exactly these URLs, declared or not.
    urls: Option<Vec<String>>,
    /// Only at this Cdn.
    cdn: Option<String>,
    /// Why, for the history.
    reason: Option<String>,
}

impl From<Invalidation> for Selection {
    fn from(wanted: Invalidation) -> Self {
        Self {
            set: wanted.set,
            asset: wanted.asset,
            pattern: wanted.pattern,
            urls: wanted.urls,
            cdn: wanted.cdn,
            reason: wanted.reason,
        }
    }
}

/// What to hold back, or to let go on.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Held {
    /// This set.
    Set(String),
    /// This Cdn.
    Cdn(String),
    /// Everything.
    All(Yes),
}

/// `true`, and nothing else.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "bool")]
#[schemars(extend("const" = true))]
pub(super) struct Yes;

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(yes: bool) -> Result<Self, Self::Error> {
        yes.then_some(Self).ok_or("`all` can only be true")
    }
}

impl From<Held> for Scope {
    fn from(held: Held) -> Self {
        match held {
            Held::Set(name) => Self::Set(name),
            Held::Cdn(name) => Self::Cdn(name),
            Held::All(Yes) => Self::All,
        }
    }
}

pub(super) async fn reload(State(served): State<Shared>) -> Answer<Validation> {
    let reloading = (served.app().reload)();
    let declared = reloading.await.map_err(|error| {
        Refusal::not_now(error).hint("the daemon goes on with what it read last; ask again")
    })?;
    let look = served.in_turn(move |_| Ok(validate(&declared).wire));
    look.await.map(ok)
}

pub(super) async fn reconcile(State(served): State<Shared>) -> Json<Asked> {
    (served.app().hint)();
    Json(StatusCode::ACCEPTED, Asked::new(None))
}

pub(super) async fn invalidate(
    State(served): State<Shared>,
    Extension(peer): Extension<Peer>,
    Body(wanted): Body<Invalidation>,
) -> Answer<Asked> {
    let work = served.in_turn(move |app| {
        let ask = {
            let (declared, reader) = (app.declared()?, app.reader()?);
            wanted::invalidation(&declared, Some(&reader), wanted.into())?
        };
        leave(app, &ask, peer)
    });
    work.await
}

pub(super) async fn suspend(
    State(served): State<Shared>,
    Extension(peer): Extension<Peer>,
    Body(held): Body<Held>,
) -> Answer<Asked> {
    let work = served.aside(move |app| {
        let ask = wanted::suspension(&*app.declared()?, held.into())?;
        leave(app, &ask, peer)
    });
    work.await
}

pub(super) async fn resume(
    State(served): State<Shared>,
    Extension(peer): Extension<Peer>,
    Body(held): Body<Held>,
) -> Answer<Asked> {
    let work = served.aside(move |app| {
        let ask = {
            let (declared, reader) = (app.declared()?, app.reader()?);
            wanted::resumption(&declared, Some(&reader), held.into())?
        };
        leave(app, &ask, peer)
    });
    work.await
}

pub(super) async fn approve(
    State(served): State<Shared>,
    Extension(peer): Extension<Peer>,
    Named(plan): Named,
) -> Answer<Asked> {
    let work = served.in_turn(move |app| {
        let ask = {
            let (declared, reader) = (app.declared()?, app.reader()?);
            wanted::approval(&declared, Some(&reader), &plan, (app.now_ms)())?
        };
        leave(app, &ask, peer)
    });
    work.await
}

/// Leaves a request with the holder of the state.
fn leave(app: &App, ask: &Ask, Peer(ip): Peer) -> Result<Json<Asked>, Refusal> {
    let row = ask.row(&format!("the API, from {ip}"));
    let id = state::ask(&app.state, &row, (app.now_ms)())?;
    Ok(Json(StatusCode::ACCEPTED, Asked::new(Some(id))))
}
