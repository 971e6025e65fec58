//! What the sandbox is to be.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::edge::Keyed;

/// What the sandbox is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// On loopback; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Name of the only company.
    pub company: String,
    /// Its handle.
    pub company_handle: String,
    /// What follows `/is/image/` in its URLs.
    pub root: String,
    /// Its image presets, by name, and what each adds to a URL.
    pub presets: Vec<(String, String)>,
    /// Who may call.
    pub user: String,
    /// With which password.
    pub password: String,
    /// A token that does instead of both.
    pub access_token: String,
    /// From an accepted invalidation to its effect on the edge.
    pub effect_delay: Duration,
    /// What one invalidated URL clears.
    pub keyed: Keyed,
    /// Whether publishing an asset moves its `lastModified`, as uploading does:
    /// what Adobe does is not known.
    pub publish_modifies: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            company: "AcmeCorp".to_owned(),
            company_handle: "c|6".to_owned(),
            root: "AcmeCorp".to_owned(),
            presets: vec![
                ("thumbnail".to_owned(), "wid=100&hei=100".to_owned()),
                ("product".to_owned(), "wid=800&fmt=webp".to_owned()),
                ("large".to_owned(), "wid=2000".to_owned()),
            ],
            user: "sandbox@example.com".to_owned(),
            password: "sandbox".to_owned(),
            access_token: "sandbox-token".to_owned(),
            effect_delay: Duration::ZERO,
            keyed: Keyed::default(),
            publish_modifies: false,
        }
    }
}
