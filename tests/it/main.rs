//! The one integration binary: every test that crosses a module's border.
#![expect(
    clippy::disallowed_methods,
    reason = "tests set up and look at the world that the edges touch"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod accounts;
mod alerts;
mod aloud;
mod apart;
mod architecture;
mod asks;
mod bad_input;
mod bad_names;
mod bad_sizes;
mod beside;
mod between;
mod catalogue;
mod causes;
mod choices;
mod cli;
mod clocks;
mod contents;
mod converged;
mod daemon;
mod deploy;
mod doctor;
mod examples;
mod expand;
mod flows;
mod formats;
mod granularity;

mod house;
mod import;
mod ips;
mod keeper;
mod kills;
mod life;
mod load;
mod lookups;
mod manifests;
mod metrics;
mod newcomer;
mod operate;
mod origins;
mod outages;
mod outputs;
mod program;
mod properties;
mod publications;
mod recovery;
mod removal;
mod sandbox;
mod schemas;
mod screens;
mod service;
mod since;
mod site;
mod soak;
mod state;
mod systemd;
mod tiers;
mod told;
mod verify;
mod waits;
mod watching;
mod web;
mod wires;
mod world;
