//! `doctor`: whether everything is there that a run takes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace;
use crate::daemon::provisions;
use crate::declare::Declared;
use crate::inspect::doctor as here;
use crate::provider::checkup::Finding;
use crate::report::doctor::{Examined, report};
use crate::submit::checkup;
use crate::submit::courier::Courier;
use crate::submit::origin::Origin;
use crate::submit::transport::{Patience, Transport};

/// `doctor`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Give up on a Cdn after this long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::duration::parse_ms)]
    pub(super) timeout: u64,
    /// A host besides the provider's own that may be sent credentials
    #[arg(long, value_name = "ORIGIN")]
    pub(super) allow_endpoint: Vec<Origin>,
}

/// Looks at everything, and changes nothing.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    let (declared, visited) = workspace::visited(global)?;
    // Manifests, state and folders are looked at while the Cdns answer.
    let (cdns, machine) = std::thread::scope(|scope| {
        let machine = scope.spawn(|| {
            let mut findings = vec![here::manifests(&declared)];
            findings.extend(here::state(&global.state, &global.manifests));
            findings.push(provisions::watcher(&global.manifests, &visited));
            findings
        });
        (cdns(arguments, &declared), machine.join())
    });
    let machine = machine.unwrap_or_else(|_| vec![defect()]);
    let mut examined = vec![(None, machine)];
    examined.extend(cdns?);
    let report = report(&examined);
    output.report(&report, None)?;
    Ok(Exit::first([
        (declared.cdns.is_empty(), Exit::Nothing),
        (report.wire.failed > 0, Exit::Failed),
    ]))
}

/// Examines every Cdn, all at once.
fn cdns(arguments: &Arguments, declared: &Declared) -> Result<Vec<Examined>, Failure> {
    let transport = Transport::new(Patience::default()).context("failed to set up TLS")?;
    let courier = Arc::new(Courier::new(transport, arguments.allow_endpoint.clone()));
    let cdns = declared.cdns.values();
    let providers = cdns.map(|cdn| Arc::clone(&cdn.provider)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let limit = Duration::from_millis(arguments.timeout);
    let examined = runtime.block_on(checkup::examine_all(&courier, providers, limit));
    let names = declared.cdns.keys().map(|name| Some(name.clone()));
    Ok(names.zip(examined).collect())
}

fn defect() -> Finding {
    let message = "freshen failed while it looked at this machine";
    Finding::failed("here", message, "this is a defect, please report it")
}
