//! `[daily]`: the account.

use super::provision::Provision;
use super::value::{OneOrMany, Secret, Span};
use serde::{Deserialize, Serialize};

/// The section.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Daily {
    /// REST key.
    pub api_key: Secret,
    /// REST base.
    #[serde(default = "api_url")]
    pub api_url: String,
    /// Secret of the pinless entry, base64; several while rotating.
    pub hmac: OneOrMany<Secret>,
    /// Secret of the domain webhook, base64; `/daily/events` is refused without it.
    #[serde(default)]
    pub events_hmac: Option<OneOrMany<Secret>>,
    /// How far a webhook's timestamp may be from our clock.
    #[serde(default = "max_skew")]
    pub max_skew: Span,
    /// How long a held call may wait for its webhook.
    #[serde(default = "webhook_timeout")]
    pub webhook_timeout: Span,
    /// Deadline of one REST request.
    #[serde(default = "rest_timeout")]
    pub rest_timeout: Span,
    /// REST requests a second that all calls of this process may cause together.
    #[serde(default = "budget")]
    pub budget: u32,
    /// Of these `pinlessCallUpdate`, if the account counts it in a smaller class of its own.
    #[serde(default)]
    pub update_budget: Option<u32>,
    /// What `trunkline provision daily` makes of the account.
    #[serde(default)]
    pub provision: Provision,
}

fn api_url() -> String {
    "https://api.daily.co/v1".to_owned()
}

fn max_skew() -> Span {
    Span::from_secs(300)
}

fn webhook_timeout() -> Span {
    Span::from_secs(15)
}

fn budget() -> u32 {
    20
}

fn rest_timeout() -> Span {
    Span::from_secs(5)
}
