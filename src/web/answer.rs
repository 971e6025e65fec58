//! Answers: JSON, whatever happens.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::inspect::wanted::Refused;
use crate::report::api::ErrorDocument;
use crate::report::json;
use crate::state::StateError;

/// A document under a status.
pub(super) struct Json<W>(pub(super) StatusCode, pub(super) W);

impl<W: Serialize> IntoResponse for Json<W> {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(json::document(&self.1)));
        *response.status_mut() = self.0;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

/// What most handlers come to.
pub(super) type Answer<W> = Result<Json<W>, Refusal>;

/// All is well.
pub(super) fn ok<W>(wire: W) -> Json<W> {
    Json(StatusCode::OK, wire)
}

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
    hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            hint: None,
        }
    }

    /// The request makes no sense.
    pub(super) fn unclear(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// It may make sense later.
    pub(super) fn not_now(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    /// The same, with its cure.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = Json(status, ErrorDocument::new(self.error, self.hint)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        let status = match &error {
            StateError::Unknown { .. } => StatusCode::NOT_FOUND,
            StateError::Absent { .. } | StateError::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = error.hint();
        Self {
            status,
            error: chain(&error),
            hint,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(error: Refused) -> Self {
        let status = match error {
            Refused::State(error) => return error.into(),
            Refused::Unclear { .. } => StatusCode::BAD_REQUEST,
            Refused::Pointless { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let hint = error.hint();
        Self {
            status,
            error: error.to_string(),
            hint,
        }
    }
}

/// An error with all that caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// There is nothing of that name.
pub(super) async fn not_found(uri: Uri) -> Refusal {
    let error = format!("there is nothing at `{}`", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, error).hint("GET /api/v1/openapi.json lists all there is")
}

/// There is, but not for this method.
pub(super) async fn not_allowed(method: Method, uri: Uri) -> Refusal {
    let error = format!("`{}` does not answer {method}", uri.path());
    let hint = "the header `Allow` names what it answers";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error).hint(hint)
}
