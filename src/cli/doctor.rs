//! `doctor`: whether everything is there that a run takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::purge::{self, PurgeTest};
use super::workspace::{self, refused};
use crate::daemon::provisions;
use crate::declare::{Cdn, Declared};
use crate::inspect::{doctor as here, wanted};
use crate::provider::checkup::Finding;
use crate::report::doctor::report;
use crate::submit::checkup;
use crate::submit::courier::Courier;
use crate::submit::origin::Origin;
use crate::submit::transport::{Patience, Transport};

/// `doctor`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only this Cdn
    #[arg(long, value_name = "NAME")]
    pub(super) cdn: Option<String>,
    /// Fetch this URL, invalidate it once, and see whether a fresh copy comes
    #[arg(long, value_name = "URL")]
    pub(super) purge_test: Option<String>,
    /// Give up on a Cdn after this long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::duration::parse_ms)]
    pub(super) timeout: u64,
    /// A host besides the provider's own that may be sent credentials
    #[arg(long, value_name = "ORIGIN")]
    pub(super) allow_endpoint: Vec<Origin>,
}

/// Looks at everything, and changes nothing but for a purge test.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    let (declared, visited) = workspace::visited(global)?;
    let only = arguments.cdn.as_deref();
    wanted::cdn(&declared, only).map_err(refused)?;
    let tested = arguments.purge_test.as_deref();
    let tested = tested.map(|url| Ok::<_, Failure>((url, purge::covering(&declared, url, only)?)));
    let tested = tested.transpose()?;
    let transport = Transport::new(Patience::default()).context("failed to set up TLS")?;
    // Manifests, state and folders are looked at while the Cdns answer.
    let (cdns, machine) = std::thread::scope(|scope| {
        let machine = scope.spawn(|| {
            let mut findings = vec![here::manifests(&declared)];
            findings.extend(here::state(&global.state, &global.manifests));
            findings.push(provisions::watcher(&global.manifests, &visited));
            findings
        });
        (cdns(arguments, &declared, &transport), machine.join())
    });
    let mut cdns = cdns?;
    if let Some((url, cdn)) = &tested {
        let test = PurgeTest {
            url,
            cdn,
            declared: &declared,
            global,
            arguments,
        };
        test.run(&transport, cdns.entry(cdn.clone()).or_default())?;
    }
    let mut examined = vec![(None, machine.unwrap_or_else(|_| vec![defect()]))];
    examined.extend(
        cdns.into_iter()
            .map(|(name, findings)| (Some(name), findings)),
    );
    let report = report(&examined);
    output.report(&report, None)?;
    Ok(Exit::first([
        (declared.cdns.is_empty(), Exit::Nothing),
        (report.wire.failed > 0, Exit::Failed),
    ]))
}

/// Examines every Cdn, all at once.
fn cdns(
    arguments: &Arguments,
    declared: &Declared,
    transport: &Transport,
) -> Result<BTreeMap<String, Vec<Finding>>, Failure> {
    let courier = Arc::new(Courier::new(
        transport.clone(),
        arguments.allow_endpoint.clone(),
    ));
    let is_meant = |cdn: &&Cdn| arguments.cdn.as_ref().is_none_or(|name| *name == cdn.name);
    let cdns = || declared.cdns.values().filter(is_meant);
    let providers = cdns().map(|cdn| Arc::clone(&cdn.provider)).collect();
    let limit = Duration::from_millis(arguments.timeout);
    let examined = checkup::examine_all(&courier, providers, limit);
    let examined = runtime()?.block_on(examined);
    Ok(cdns().map(|cdn| cdn.name.clone()).zip(examined).collect())
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    Ok(runtime.context("failed to start the runtime")?)
}

fn defect() -> Finding {
    let message = "freshen failed while it looked at this machine";
    Finding::failed("here", message, "this is a defect, please report it")
}
