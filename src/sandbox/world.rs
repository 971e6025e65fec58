//! What the sandbox knows and does, apart from HTTP.
#![expect(clippy::disallowed_methods, reason = "the sandbox lives in real time")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::account;
use super::assets::Assets;
use super::edge::{Edge, Served, target_of};
use super::faults::{Failure, Faults};
use super::operations::perform;
use super::options::Options;
use super::origin::Origin;
use super::soap::{self, Request, ServiceFault};
use crate::provider::dynamic_media::xml::Element;

/// URLs in one call, at most.
const MAX_URLS: usize = 1000;

/// A call that reached the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// Counted from 1.
    pub number: u64,
    /// Milliseconds since the sandbox started.
    pub at_ms: u64,
    /// Such as `cdnCacheInvalidation`; `?` where it could not be told.
    pub operation: String,
    /// In the order of the call.
    pub urls: Vec<String>,
    /// Whether it took effect.
    pub accepted: bool,
    /// What was answered: `ok`, a fault's code and reason, an HTTP status.
    pub outcome: String,
}

/// What to answer, and how.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) retry_after: Option<String>,
    pub(super) body: String,
    pub(super) manner: Manner,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Sent,
    Dropped,
    Never,
}

/// All state, behind one lock.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    started: Instant,
    /// Added to the clock by tests, so that none has to sleep.
    pub(super) ahead: Duration,
    pub(super) origin: Origin,
    /// Published assets that the origin does not serve yet.
    late: BTreeSet<String>,
    pub(super) assets: Assets,
    edge: Edge,
    pub(super) faults: Faults,
    pub(super) calls: Vec<Received>,
    /// How often each URL was accepted.
    pub(super) accepted: BTreeMap<String, u64>,
    /// How often the edge was visited.
    pub(super) visits: u64,
    /// How often the origin was, past the edge.
    pub(super) origin_visits: u64,
    /// Whether the call at hand reaches the edge.
    has_effect: bool,
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        Self {
            started: Instant::now(),
            ahead: Duration::ZERO,
            origin: Origin::new(&options.root),
            late: BTreeSet::new(),
            assets: Assets::new(&options.root),
            edge: Edge::new(options.keyed),
            faults: Faults::default(),
            calls: Vec::new(),
            accepted: BTreeMap::new(),
            visits: 0,
            origin_visits: 0,
            has_effect: true,
            options,
        }
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// The `Date` of answers.
    pub(super) fn date(&self) -> String {
        let off = Duration::from_secs(self.faults.clock_ahead_s.unsigned_abs());
        let now = SystemTime::now();
        let shown = if self.faults.clock_ahead_s < 0 {
            now - off
        } else {
            now + off
        };
        httpdate::fmt_http_date(shown)
    }

    /// What a visitor of the edge gets for a path and query.
    pub(super) fn visit(&mut self, target: &str) -> Option<Served> {
        let now = self.now();
        self.visits += 1;
        if !self.faults.late_origin {
            for asset in std::mem::take(&mut self.late) {
                self.origin.publish(&asset);
            }
        }
        self.edge.get(target, &self.origin, now)
    }

    /// Answers a SOAP call; `basic` are credentials of HTTP itself.
    pub(super) fn answer(
        &mut self,
        request: Result<Request, ServiceFault>,
        basic: Option<(String, String)>,
    ) -> Reply {
        let request = match request {
            Ok(request) => request,
            Err(fault) => {
                self.record("?", Vec::new(), Err(&fault));
                return reply(500, fault.envelope());
            }
        };
        let urls = match request.operation.as_str() {
            "cdnCacheInvalidation" => url_array(&request.parameter),
            _ => Vec::new(),
        };
        let failure = self.faults.take(&request.operation);
        let mut drops = self.faults.poison.iter().filter(|poison| poison.drops);
        self.has_effect = !matches!(failure, Some(Failure::NoEffect));
        let manner = match &failure {
            Some(Failure::DropReply) => Manner::Dropped,
            Some(Failure::Hang) => Manner::Never,
            None if drops.any(|poison| urls.contains(&poison.url)) => Manner::Dropped,
            _ => Manner::Sent,
        };
        if let Some(reply) = failure.and_then(|failure| self.fail(failure, &request, &urls)) {
            return Reply { manner, ..reply };
        }
        let done = self
            .authenticate(&request, basic)
            .and_then(|()| perform(self, &request, &urls));
        let reply = match &done {
            Ok(None) => reply(500, soap::unknown_operation(&request.operation)),
            Ok(Some(body)) => reply(200, body.clone()),
            Err(fault) => reply(request.fault_status.unwrap_or(500), fault.envelope()),
        };
        self.record(&request.operation, urls, done.as_ref().map(Option::is_some));
        Reply { manner, ..reply }
    }

    /// The reply of a failure that keeps the call from being performed.
    fn fail(&mut self, failure: Failure, request: &Request, urls: &[String]) -> Option<Reply> {
        let (outcome, reply) = match failure {
            Failure::DropReply | Failure::NoEffect => return None,
            Failure::Hang => ("no answer".to_owned(), reply(200, String::new())),
            Failure::Code(code) => {
                let fault = ServiceFault::new(code, "a fault that was switched on");
                let status = request.fault_status.unwrap_or(500);
                (code.to_string(), reply(status, fault.envelope()))
            }
            Failure::Status {
                status,
                retry_after,
            } => {
                let page = format!(
                    "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\
                     <body><h1>Service unavailable</h1><br></body></html>\n"
                );
                let reply = Reply {
                    content_type: "text/html",
                    retry_after,
                    ..reply(status, page)
                };
                (format!("HTTP {status}"), reply)
            }
            Failure::ErrorCount(count) => {
                let succeeded = (urls.len() as u64).saturating_sub(count);
                let body = soap::counts(&request.namespace, succeeded, count);
                (format!("errorCount {count}"), reply(200, body))
            }
        };
        self.push(&request.operation, urls.to_vec(), false, outcome);
        Some(reply)
    }

    fn authenticate(
        &self,
        request: &Request,
        basic: Option<(String, String)>,
    ) -> Result<(), ServiceFault> {
        if let Some(token) = &request.token {
            let is_valid = *token == self.options.access_token;
            let fault = ServiceFault::new(10_001, "invalid credentials");
            return is_valid.then_some(()).ok_or(fault);
        }
        match request.credentials.clone().or(basic) {
            None => Err(ServiceFault::new(10_000, "no credentials")),
            Some((user, password))
                if user == self.options.user && password == self.options.password =>
            {
                Ok(())
            }
            Some(_) => Err(ServiceFault::new(10_001, "invalid credentials")),
        }
    }

    /// Answers `cdnCacheInvalidation`.
    pub(super) fn invalidate(
        &mut self,
        request: &Request,
        urls: &[String],
    ) -> Result<String, ServiceFault> {
        in_order(
            &request.parameter,
            &["companyHandle", "confirmation", "urlArray"],
        )?;
        account::of_company(request, &self.options)?;
        if urls.is_empty() {
            return Err(ServiceFault::new(30_002, "missing parameter: urlArray"));
        }
        if urls.len() > MAX_URLS {
            return Err(ServiceFault::new(
                30_001,
                "invalid parameter: more than 1000 URLs",
            ));
        }
        urls.iter().try_for_each(|url| self.check(url))?;
        for url in urls {
            *self.accepted.entry(url.clone()).or_default() += 1;
        }
        let effective = self.now() + self.options.effect_delay;
        if self.has_effect {
            self.edge.invalidate(urls, effective);
        }
        let seconds = self.options.effect_delay.as_millis().div_ceil(1000) as u64;
        let number = self.calls.len() as u64 + 1;
        Ok(soap::invalidated(
            &request.namespace,
            number,
            urls.len(),
            seconds,
        ))
    }

    /// Stores an asset's new bytes, which its account notices.
    pub(super) fn upload(&mut self, asset: &str, bytes: Vec<u8>) {
        self.assets.upload(asset, SystemTime::now() + self.ahead);
        self.origin.upload(asset, bytes);
    }

    /// Lets the origin serve what was last uploaded, which its account takes
    /// down; `false` where nothing was.
    pub(super) fn publish(&mut self, asset: &str) -> bool {
        if !self.origin.has(asset) {
            return false;
        }
        let now = SystemTime::now() + self.ahead;
        let moves_time = self.options.publish_modifies;
        self.assets.publish(asset, moves_time, now);
        if self.faults.late_origin {
            self.late.insert(asset.to_owned());
        } else {
            self.origin.publish(asset);
        }
        true
    }

    /// Puts an asset of that type into a folder.
    pub(super) fn put(&mut self, asset: &str, folder: &str, kind: &str) {
        let now = SystemTime::now() + self.ahead;
        self.assets.put(asset, folder, kind, now);
    }

    /// Defines an image preset, or defines it anew.
    pub(super) fn define(&mut self, preset: &str, modifier: &str) {
        let presets = &mut self.options.presets;
        presets.retain(|(name, _)| name != preset);
        presets.push((preset.to_owned(), modifier.to_owned()));
    }

    /// Takes all image presets away.
    pub(super) fn remove_presets(&mut self) {
        self.options.presets.clear();
    }

    fn check(&self, url: &str) -> Result<(), ServiceFault> {
        if let Some(poison) = self.faults.poison.iter().find(|poison| poison.url == url) {
            let reason = if poison.named {
                format!("invalid URL: {url}")
            } else {
                "one of the URLs is invalid".to_owned()
            };
            return Err(ServiceFault::new(poison.code, reason));
        }
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        let root_path = account::root_path(&self.options, &self.faults.account);
        let is_ours = target_of(url).is_some_and(|target| {
            target
                .strip_prefix("/is/image/")
                .or_else(|| target.strip_prefix("/is/content/"))
                .is_some_and(|rest| rest.starts_with(&root_path))
        });
        if is_http && is_ours {
            return Ok(());
        }
        let reason = format!("URL is not of the company: {url}");
        Err(ServiceFault::new(30_001, reason))
    }

    fn record(&mut self, operation: &str, urls: Vec<String>, done: Result<bool, &ServiceFault>) {
        let outcome = match done {
            Ok(true) => "ok".to_owned(),
            Ok(false) => "unknown operation".to_owned(),
            Err(fault) => format!("{} {}", fault.code, fault.reason),
        };
        self.push(operation, urls, done.is_ok_and(|done| done), outcome);
    }

    fn push(&mut self, operation: &str, urls: Vec<String>, accepted: bool, outcome: String) {
        self.calls.push(Received {
            number: self.calls.len() as u64 + 1,
            at_ms: self.started.elapsed().as_millis() as u64,
            operation: operation.to_owned(),
            urls,
            accepted,
            outcome,
        });
    }
}

fn reply(status: u16, body: String) -> Reply {
    Reply {
        status,
        content_type: "text/xml; charset=UTF-8",
        retry_after: None,
        body,
        manner: Manner::Sent,
    }
}

fn url_array(parameter: &Element) -> Vec<String> {
    let array = parameter.child("urlArray");
    let items = array.iter().flat_map(|array| &array.children);
    items.map(|item| item.text.clone()).collect()
}

/// The schema has sequences: elements come in its order, each at most once.
pub(super) fn in_order(parameter: &Element, names: &[&str]) -> Result<(), ServiceFault> {
    let mut rest = names.iter();
    for child in &parameter.children {
        if child.namespace != parameter.namespace || !rest.any(|name| *name == child.name) {
            let reason = format!("invalid request XML: {} is out of place", child.name);
            return Err(ServiceFault::new(30_003, reason));
        }
    }
    Ok(())
}
