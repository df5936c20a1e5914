//! `[[route]]`: which calls go to which targets.

use super::value::{HeaderMatch, Later, Pattern, Span};
use serde::{Deserialize, Serialize};

/// One route; all conditions that are given must hold.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Fallback {
    /// A new call to a number of the PBX while the caller stays on the line.
    Trunk(TrunkFallback),
    /// This status if the call is not answered yet, else BYE with it as reason.
    Status(StatusFallback),
}

/// `{ trunk, number, ring_timeout }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrunkFallback {
    /// The trunk, whose `address` is called.
    pub trunk: String,
    /// The number, as the PBX dials it.
    pub number: String,
    /// How long it may ring: a person has to reach the telephone.
    #[serde(default = "ring")]
    pub ring_timeout: Span,
}

/// `{ status, reason }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusFallback {
    /// SIP status, 400 to 699.
    pub status: u16,
    /// Reason phrase.
    #[serde(default)]
    pub reason: Option<String>,
}

// === impl Fallback ===

impl<'de> Deserialize<'de> for Fallback {
    // Not derived: an untagged enum can only say that nothing fitted, neither where nor why.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Either {
            trunk: Option<String>,
            number: Option<String>,
            ring_timeout: Option<Span>,
            status: Option<u16>,
            reason: Option<String>,
        }
        match Either::deserialize(deserializer)? {
            Either { trunk: Some(trunk), number: Some(number), ring_timeout, status: None, reason: None } => {
                Ok(Self::Trunk(TrunkFallback { trunk, number, ring_timeout: ring_timeout.unwrap_or_else(ring) }))
            }
            Either { trunk: None, number: None, ring_timeout: None, status: Some(status), reason } => {
                Ok(Self::Status(StatusFallback { status, reason }))
            }
            _ => Err(serde::de::Error::custom(
                "a fallback is either a call or a status; write { trunk = \"..\", number = \"..\" } or { status = 480, reason = \"..\" }",
            )),
        }
    }
}

fn ring() -> Span {
    Span::from_secs(60)
}
