//! `[media]`: ports, addresses and patience of the relay.

use super::value::{PortRange, Span};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The section.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Address the media sockets bind to; default 0.0.0.0.
    pub bind: Option<IpAddr>,
    /// Address written into SDP; default: `advertise` of `[sip]`.
    pub advertise: Option<String>,
    /// Ports, both ends included; RTP takes the even ones, RTCP the next.
    pub ports: PortRange,
    /// Worker threads; 0 means one per core.
    pub workers: u8,
    /// How long a freed port pair rests before it is used again.
    pub rest: Span,
    /// From answer to the first packet of a side.
    pub timeout_initial: Span,
    /// Without packets while the call is up.
    pub timeout: Span,
    /// Without packets while held.
    pub timeout_hold: Span,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            bind: None,
            advertise: None,
            ports: PortRange { first: 20_000, last: 29_999 },
            workers: 0,
            rest: Span::from_secs(2),
            timeout_initial: Span::from_secs(300),
            timeout: Span::from_secs(60),
            timeout_hold: Span::from_secs(1_800),
        }
    }
}
