//! `[sip]`: where we listen, how we call ourselves, and the timers of RFC 3261.

use super::value::{Listen, NameServer, Span};
use super::way::SipTls;
use serde::{Deserialize, Serialize};

/// The section.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sip {
    /// `udp|tcp|tls:ADDR:PORT`.
    pub listen: Vec<Listen>,
    /// Host or address peers see; default: the listening address.
    pub advertise: Option<String>,
    /// `User-Agent` and `Server`.
    pub user_agent: String,
    /// RFC 3261 T1.
    pub t1: Span,
    /// RFC 3261 T2.
    pub t2: Span,
    /// The longest a call may last.
    pub max_duration: Span,
    /// How long a drain waits for live calls before it ends them.
    pub drain_timeout: Span,
    /// How long a nonce of ours may be used before it is stale.
    pub nonce_lifetime: Span,
    /// The shortest registration that is taken; shorter ones get 423.
    pub register_min: Span,
    /// The longest registration that is given.
    pub register_max: Span,
    /// Shards, each on a thread of its own; 0 means one per core.
    pub shards: u8,
    /// Certificates, and whom to trust.
    pub tls: Option<SipTls>,
    /// Name servers, `udp|tcp:ADDR:PORT`; none for those of this machine.
    pub resolver: Vec<NameServer>,
    /// Requests with more bytes than this go by TCP where the peer takes it; 0 for UDP however large they are.
    pub max_datagram: u16,
    /// How long one address of several may stay without a word before the next is tried.
    pub failover_after: Span,
    /// How long an address that failed is tried last.
    pub avoid_failed: Span,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: vec![],
            advertise: None,
            user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
            t1: Span::from_millis(500),
            t2: Span::from_secs(4),
            max_duration: Span::from_secs(4 * 3600),
            drain_timeout: Span::from_secs(30),
            nonce_lifetime: Span::from_secs(300),
            register_min: Span::from_secs(60),
            register_max: Span::from_secs(3600),
            shards: 0,
            tls: None,
            resolver: vec![],
            max_datagram: 1300,
            failover_after: Span::from_secs(4),
            avoid_failed: Span::from_secs(30),
        }
    }
}
