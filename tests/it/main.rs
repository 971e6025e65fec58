//! The one integration binary: every test that crosses a module's border.
#![expect(
    clippy::disallowed_methods,
    reason = "tests set up and look at the world that the edges touch"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod apart;
mod architecture;
mod asks;
mod bad_input;
mod causes;
mod cli;
mod examples;
mod expand;
mod flows;
mod house;
mod ips;
mod kills;
mod load;
mod manifests;
mod newcomer;
mod operate;
mod outages;
mod program;
mod properties;
mod sandbox;
mod schemas;
mod site;
mod state;
mod web;
mod world;
