//! The sandbox: an IPS endpoint, an origin and an edge on loopback.
//!
//! It answers as the WSDL says and not as our own client expects, so that a
//! stock SOAP client can drive it; what is known to go wrong can be switched
//! on. Tests run it in their own process, `freshen sandbox` for a person.

mod account;
mod assets;
mod control;
mod cut;
mod edge;
mod faults;
mod operations;
mod options;
mod origin;
mod server;
mod soap;
mod world;

pub use edge::Keyed;
pub use faults::{Account, Failure, Faults, Poison, Rule};
pub use operations::operations;
pub use options::Options;
pub use server::Sandbox;
pub use world::Received;
