//! What a request brings along, taken in only as it is meant.

use axum::body::Bytes;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::served::Shared;

/// What stands behind the `?`.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Refusal> {
        extract::Query::try_from_uri(&parts.uri)
            .map(|extract::Query(query)| Self(query))
            .map_err(|rejection| Refusal::unclear(rejection.body_text()))
    }
}

/// Nothing may stand there: what is not understood is not passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The one part of the path that differs.
pub(super) struct Named(pub(super) String);

impl FromRequestParts<Shared> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, served: &Shared) -> Result<Self, Refusal> {
        extract::Path::from_request_parts(parts, served)
            .await
            .map(|extract::Path(name)| Self(name))
            .map_err(|rejection| Refusal::unclear(rejection.body_text()))
    }
}

/// The body, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, served: &Shared) -> Result<Self, Refusal> {
        let bytes =
            Bytes::from_request(request, served)
                .await
                .map_err(|rejection| match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => {
                        let limit = served.app().limits.body;
                        let error = format!("the body is larger than {limit} bytes");
                        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
                            .hint("ask in several requests")
                    }
                    status => Refusal::new(status, rejection.body_text()),
                })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Refusal::unclear(format!("the body is not what it should be: {error}"))
                .hint("GET /api/v1/openapi.json describes it")
        })
    }
}
