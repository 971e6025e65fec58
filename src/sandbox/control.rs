//! Requests over HTTP: the service, the edge, and the sandbox's own controls.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::cut::Cut;
use super::server::{SERVICE_PATH, lock};
use super::soap;
use super::world::{Manner, World};

/// Bytes of a request, at most.
const MAX_REQUEST: usize = 16 << 20;

type Shared = Arc<Mutex<World>>;

/// Answers any request.
pub(super) async fn handle(
    State(world): State<Shared>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let response = match (&parts.method, parts.uri.path()) {
        (&Method::POST, SERVICE_PATH) => call(&world, &cut, &parts, &body).await,
        (_, path) if path.starts_with("/-/") => control(&world, &parts, &body),
        (&Method::GET | &Method::HEAD, _) => visit(&world, &parts),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    let date = lock(&world).date();
    ([(header::DATE, date)], response).into_response()
}

async fn call(world: &Shared, cut: &Cut, parts: &Parts, body: &Bytes) -> Response {
    let request = soap::read(body, header_text(parts, "soapaction"));
    let pause = Duration::from_millis(lock(world).faults.latency_ms) / 2;
    wait(pause).await;
    let reply = lock(world).answer(request, basic(parts));
    wait(pause).await;
    match reply.manner {
        Manner::Sent => {}
        Manner::Dropped => cut.cut(),
        Manner::Never => std::future::pending().await,
    }
    let mut response = Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, reply.content_type);
    if let Some(retry_after) = reply.retry_after {
        response = response.header(header::RETRY_AFTER, retry_after);
    }
    let accepted = header_text(parts, "accept-encoding").unwrap_or_default();
    let body = if accepted.contains("gzip") {
        response = response.header(header::CONTENT_ENCODING, "gzip");
        gzip(reply.body.as_bytes())
    } else {
        reply.body.into_bytes()
    };
    response
        .body(Body::from(body))
        .unwrap_or_else(|error| bad_request(&error))
}

async fn wait(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn visit(world: &Shared, parts: &Parts) -> Response {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let Some(served) = lock(world).visit(target) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let modified = httpdate::fmt_http_date(served.content.modified);
    let x_cache = if served.is_hit { "HIT" } else { "MISS" };
    let headers = [
        ("content-type", "application/octet-stream".to_owned()),
        ("cache-control", "max-age=36000".to_owned()),
        ("etag", served.content.etag),
        ("last-modified", modified),
        ("age", served.age.as_secs().to_string()),
        ("x-cache", x_cache.to_owned()),
    ];
    (headers, served.content.body).into_response()
}

/// Answers a visitor of the origin.
pub(super) async fn show(State(world): State<Shared>, request: Request) -> Response {
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    let mut world = lock(&world);
    world.origin_visits += 1;
    let Some(content) = world.origin.get(target) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        ("content-type", "application/octet-stream".to_owned()),
        ("etag", content.etag),
        ("last-modified", httpdate::fmt_http_date(content.modified)),
    ];
    (headers, content.body).into_response()
}

fn control(world: &Shared, parts: &Parts, body: &Bytes) -> Response {
    let mut world = lock(world);
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/-/calls") => {
            json_response(&json!({ "calls": world.calls, "accepted": world.accepted }))
        }
        (&Method::GET, "/-/faults") => json_response(&json!(world.faults)),
        (&Method::POST, "/-/faults") => match serde_json::from_slice(body) {
            Ok(faults) => {
                world.faults = faults;
                StatusCode::NO_CONTENT.into_response()
            }
            Err(error) => bad_request(&error),
        },
        (&Method::POST, "/-/upload") => match asset(parts) {
            Some(asset) => {
                if let Some(folder) = parameter(parts, "folder") {
                    let kind = parameter(parts, "type").unwrap_or_else(|| "Image".to_owned());
                    world.put(&asset, &folder, &kind);
                }
                world.upload(&asset, body.to_vec());
                StatusCode::NO_CONTENT.into_response()
            }
            None => bad_request(&"name the asset: ?asset=ID"),
        },
        (&Method::POST, "/-/publish") => match asset(parts) {
            Some(asset) if world.publish(&asset) => StatusCode::NO_CONTENT.into_response(),
            Some(_) => (StatusCode::NOT_FOUND, "nothing was uploaded\n").into_response(),
            None => bad_request(&"name the asset: ?asset=ID"),
        },
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn json_response(value: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (headers, format!("{value}\n")).into_response()
}

fn bad_request(error: &dyn std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

fn asset(parts: &Parts) -> Option<String> {
    parameter(parts, "asset")
}

fn parameter(parts: &Parts, wanted: &str) -> Option<String> {
    let query = parts.uri.query()?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, text) = pairs.find(|(name, _)| name == wanted)?;
    (!text.is_empty()).then(|| text.into_owned())
}

fn header_text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

/// Credentials given by HTTP Basic.
fn basic(parts: &Parts) -> Option<(String, String)> {
    let text = header_text(parts, "authorization")?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64.decode(text.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory cannot fail")
}
