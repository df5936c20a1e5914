//! What a leg does about a session besides the call itself: `reliable` and `session_timer`, which trunks and targets share,
//! `answer` of a trunk and `offer` of a target.

use super::value::Span;
use serde::{Deserialize, Serialize, de};
use std::fmt;

/// Reliable provisional responses (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reliable {
    /// Not used; a caller that requires them is refused with 420.
    Off,
    /// Used with a peer that can.
    Supported,
    /// No call without them; a caller that cannot is refused with 421.
    Required,
}

/// Session timers (RFC 4028): `"off"`, `"accept"`, or `{ expires, min_se, refresher }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum SessionTimer {
    /// Without an interval of ours.
    Plain(PlainTimer),
    /// With one.
    Own(OwnTimer),
}

/// A session timer without an interval of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlainTimer {
    /// What the peer says about timers is not understood.
    Off,
    /// The peer's timers are taken; none is asked for.
    Accept,
}

/// A session timer that we ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnTimer {
    /// How long a session lives without a refresh.
    #[serde(default = "half_an_hour")]
    pub expires: Span,
    /// The smallest interval that is accepted from the peer.
    #[serde(default = "ninety_seconds")]
    pub min_se: Span,
    /// Who is to refresh.
    #[serde(default)]
    pub refresher: Refresher,
}

/// Who is to refresh a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Refresher {
    /// Whoever the peer chooses.
    #[default]
    Any,
    /// This gateway.
    Us,
    /// The peer.
    Peer,
}

/// When a caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// When the target answers.
    #[default]
    Target,
    /// At once; ringback is played until the target answers.
    Immediate,
    /// When the caller has met the bot; it rings until then.
    Ringing,
}

/// Who describes the session of a call first (RFC 3261 §13.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Offer {
    /// This gateway, in the INVITE.
    #[default]
    Early,
    /// The target, in its response to an INVITE without offer.
    Late,
}

// === impl SessionTimer ===

impl SessionTimer {
    /// The peer's timers are taken.
    pub const ACCEPT: Self = Self::Plain(PlainTimer::Accept);
}

impl<'de> Deserialize<'de> for SessionTimer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: that would lose the place and the words of an error inside.
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = SessionTimer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"accept\" or { expires = \"30m\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SessionTimer, E> {
                PlainTimer::deserialize(de::value::StrDeserializer::new(text)).map(SessionTimer::Plain)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SessionTimer, A::Error> {
                OwnTimer::deserialize(de::value::MapAccessDeserializer::new(map)).map(SessionTimer::Own)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn half_an_hour() -> Span {
    Span::from_secs(1_800)
}

fn ninety_seconds() -> Span {
    Span::from_secs(90)
}
