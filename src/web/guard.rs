//! Who is answered at all, for how long, and what every answer says to a
//! browser.
//!
//! A page that somebody visits can make his browser call what listens on his
//! machine: by its own name, led to loopback (DNS rebinding), or across
//! origins. Neither gets an answer.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::Response;

use super::answer::Refusal;
use super::served::Shared;

/// Lets through whoever comes under a name of this daemon, from no other origin.
pub(super) async fn visitors(
    State(served): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let host = host(&request)?;
    if !is_ours(host.host(), &served.app().hosts) {
        let error = format!("nothing is served under the name `{}`", host.host());
        let hint = "come by address or as `localhost`, or allow the name with `--allow-host`";
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, error).hint(hint));
    }
    if !is_same_origin(request.headers(), &host) {
        let error = "pages of another origin are not answered";
        return Err(Refusal::new(StatusCode::FORBIDDEN, error));
    }
    Ok(next.run(request).await)
}

/// The one name that the request is for.
fn host(request: &Request) -> Result<Authority, Refusal> {
    let unclear = || Refusal::unclear("the request does not name one host");
    let mut named = request.headers().get_all(HOST).iter();
    let host = named.next().filter(|_| named.next().is_none());
    let host = Authority::try_from(host.ok_or_else(unclear)?.as_bytes()).map_err(|_| unclear())?;
    let port = host.as_str().strip_prefix(host.host());
    let is_plain = port.is_some_and(|port| port.is_empty() || port.starts_with(':'));
    // A request line may name a host too, which then counts instead.
    let is_agreed = request.uri().authority().is_none_or(|other| *other == host);
    if is_plain && is_agreed {
        Ok(host)
    } else {
        Err(unclear())
    }
}

/// An address cannot be led elsewhere; a name can, by whoever owns it.
fn is_ours(host: &str, allowed: &[String]) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        || host.parse::<Ipv4Addr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Browsers say which page asks, where it is not a mere visit. Whether TLS ends
/// before us, we cannot see.
fn is_same_origin(headers: &HeaderMap, host: &Authority) -> bool {
    headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = ["http://", "https://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(scheme));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
    })
}

/// Ends what takes too long.
pub(super) async fn patience(
    State(served): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let limit = served.app().limits.request;
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    answered.map_err(|_| {
        let error = format!("not done within {} seconds", limit.as_secs_f32());
        Refusal::not_now(error).hint("try again when less is going on")
    })
}

/// What a browser must not do with an answer.
pub(super) async fn sealed(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
