//! `[guard]`: what strangers may do before anybody looks at what they say. A stranger is whoever is no peer of a trunk and
//! has not been spoken to by us.

use super::value::{Network, Span};
use serde::{Deserialize, Serialize};

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// What a new request of a stranger gets.
    pub unknown: Unknown,
    /// Messages per second from one stranger (an IPv4 address, an IPv6 /64), twice as many at once; 0 means no limit.
    pub rate: u32,
    /// New requests per second of all strangers together, looked at; more are dropped. 0 means no limit.
    pub rate_all: u32,
    /// INVITEs of one source address, peers too, that may wait for their final response; 0 means no limit.
    pub half_open: u32,
    /// TCP connections of one stranger.
    pub connections: u32,
    /// A stranger is banned after so many refusals or failed logins within `ban_window`; 0 means never.
    pub ban_after: u32,
    /// See `ban_after`.
    pub ban_window: Span,
    /// How long a ban lasts.
    pub ban_time: Span,
    /// Addresses and networks that are never listened to.
    pub deny: Vec<Network>,
    /// Parts of `User-Agent` by which scanners are known, any case; they are dropped and banned.
    pub scanners: Vec<String>,
}

/// What a new request of a stranger gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Nothing.
    Drop,
    /// 403 that says why, until the ban.
    #[default]
    Refuse,
}

/// The names that scanners give themselves in the wild.
const SCANNERS: [&str; 14] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sundayddr",
    "sipcli",
    "pplsip",
    "sip-scan",
    "siparmyknife",
    "sipptk",
    "vaxsipuseragent",
    "warvox",
    "sivus",
    "smap",
    "iwar",
];

// === impl Guard ===

impl Default for Guard {
    fn default() -> Self {
        Self {
            unknown: Unknown::default(),
            rate: 20,
            rate_all: 50,
            half_open: 2_000,
            connections: 16,
            ban_after: 10,
            ban_window: Span::from_secs(60),
            ban_time: Span::from_secs(3_600),
            deny: vec![],
            scanners: SCANNERS.map(str::to_owned).to_vec(),
        }
    }
}
