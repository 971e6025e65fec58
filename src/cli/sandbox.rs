//! `sandbox`: the CDN of the demo, for trying things out.

use anyhow::Context as _;

use super::args::Sandbox as Arguments;
use super::exit::{Exit, Failure};
use super::output;
use crate::sandbox::{Options, Sandbox};

/// Serves until it is interrupted.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut options = Options::default();
    options.listen.set_port(arguments.port);
    let (company, user, password) = (
        options.company.clone(),
        options.user.clone(),
        options.password.clone(),
    );
    let sandbox = Sandbox::start(options).context("failed to start the sandbox")?;
    output::text(&format!(
        "edge      {}\norigin    {}\nendpoint  {}\ncompany   {company}\nuser      {user}\npassword  {password}\n",
        sandbox.url(),
        sandbox.origin_url(),
        sandbox.endpoint(),
    ))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(tokio::signal::ctrl_c())
        .context("failed to wait for the interrupt")?;
    sandbox.stop();
    Ok(Exit::Fine)
}
