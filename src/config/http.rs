//! `[http]`: the webhook listener.

use super::way::HttpTls;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The section.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where webhooks and bots reach us.
    pub listen: SocketAddr,
    /// The same as the outside sees it, for `ready_url`; default: `http://` and the listening address.
    pub public_url: Option<String>,
    /// Its certificate; without, put a TLS terminator before it.
    pub tls: Option<HttpTls>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 8080)), public_url: None, tls: None }
    }
}
