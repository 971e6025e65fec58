//! Who may change something: whoever knows what is in the token's file.

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::answer::{Refusal, chain};
use super::served::Shared;
use crate::manifest::SecretRef;
use crate::submit::secret;

/// The file that holds the token; read at each use, so that a rotation needs
/// no restart.
#[derive(Clone, Debug)]
pub struct TokenFile(SecretRef);

impl TokenFile {
    /// The file at `path`.
    pub fn new(path: impl Into<String>) -> Self {
        Self(SecretRef::File(path.into()))
    }

    fn accepts(&self, shown: &SecretString) -> Result<(), Refusal> {
        let token = secret::read(&self.0).map_err(|error| {
            let error = format!("nobody may change anything: {}", chain(&error));
            Refusal::new(StatusCode::FORBIDDEN, error)
                .hint("put a token into the file that `--api-token-file` names")
        })?;
        let (token, shown) = (token.expose_secret(), shown.expose_secret());
        if bool::from(token.as_bytes().ct_eq(shown.as_bytes())) {
            return Ok(());
        }
        Err(unauthorized("this is not the token"))
    }
}

/// Lets through who shows the token.
pub(super) async fn required(
    State(served): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let Some(file) = served.app().token.clone() else {
        let error = "nobody may change anything here: there is no token";
        return Err(Refusal::new(StatusCode::FORBIDDEN, error)
            .hint("name a file that holds one with `--api-token-file`"));
    };
    let shown = shown(request.headers())
        .ok_or_else(|| unauthorized("whoever changes something must show the token"))?;
    served.aside(move |_| file.accepts(&shown)).await?;
    Ok(next.run(request).await)
}

fn unauthorized(error: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, error)
        .hint("send `Authorization: Bearer` and what is in the file that `--api-token-file` names")
}

fn shown(headers: &HeaderMap) -> Option<SecretString> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim_start_matches(' ').to_owned().into())
}
