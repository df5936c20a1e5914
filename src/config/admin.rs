//! `[admin]`: the listener for health, metrics and the API.

use super::value::Secret;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// `[admin]`.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// API, metrics, health.
    pub listen: SocketAddr,
    /// Who may use it; required unless it listens on loopback.
    pub tokens: Vec<Token>,
}

/// A bearer token of the admin listener.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is, for the audit log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The token.
    pub token: Secret,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Viewer,
    /// And act on calls.
    Operator,
    /// And change the gateway.
    Admin,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8081)), tokens: vec![] }
    }
}
