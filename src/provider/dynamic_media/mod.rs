//! Adobe Dynamic Media, through the IPS web service (SOAP 1.1).
//!
//! Nobody here has an account with Adobe: what the service does beyond its
//! WSDL and its documentation is unknown, and everything below tolerates that.

mod block;
mod checkup;
mod codec;
mod culprits;
mod decode;
mod listing;
mod read;
mod soap;
pub mod xml;

pub use block::Block;
pub use codec::DynamicMedia;
pub(super) use decode::decode;
pub use decode::{judge_root, judge_server};
