//! `[[route]]`: which calls go to which targets.

use super::value::{HeaderMatch, Later, Pattern, Span};
use serde::Deserialize;

/// One route; all conditions that are given must hold.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Only calls of this trunk.
    #[serde(default)]
    pub trunk: Option<String>,
    /// On the normalised called number.
    #[serde(default)]
    pub called: Option<Pattern>,
    /// On the normalised calling number.
    #[serde(default)]
    pub caller: Option<Pattern>,
    /// On a header of the PBX's INVITE.
    #[serde(default)]
    pub header: Option<HeaderMatch>,
    /// The targets to try, in order.
    pub targets: Vec<String>,
    /// Final statuses of a target after which the next one is tried; default 408, 430, 500-599 of the target.
    #[serde(default)]
    pub retry_on: Option<Vec<u16>>,
    /// How long the target may ring.
    #[serde(default = "ring")]
    pub ring_timeout: Span,
    /// Where the caller goes when the bot cannot be reached.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// Not in this version: calls from the cloud.
    #[serde(default)]
    pub target: Option<Later>,
}

/// Where a caller goes when the bot cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Fallback {
    /// A new call to a number of the PBX while the caller stays on the line.
    Trunk(TrunkFallback),
    /// This status if the call is not answered yet, else BYE with it as reason.
    Status(StatusFallback),
}

/// `{ trunk, number }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkFallback {
    /// The trunk, whose `address` is called.
    pub trunk: String,
    /// The number, as the PBX dials it.
    pub number: String,
}

/// `{ status, reason }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusFallback {
    /// SIP status, 400 to 699.
    pub status: u16,
    /// Reason phrase.
    #[serde(default)]
    pub reason: Option<String>,
}

fn ring() -> Span {
    Span::from_secs(60)
}
