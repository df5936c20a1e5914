//! `[[target]]`: a SIP address on the cloud side.

use super::auth::{Register, TargetAuth};
use super::keepalive::Keepalive;
use super::session::{Offer, Reliable, SessionTimer};
use super::trunk::PrivacyPolicy;
use super::value::Later;
use super::way::{Nat, Oversize, PeerTls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One target.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name: metric label, log key.
    pub name: String,
    /// What stands behind it.
    pub kind: TargetKind,
    /// Its address, with or without `sip:`; a `?name=value` part becomes headers.
    pub uri: String,
    /// Where to send instead of the host of `uri`: `sip:host[:port][;transport=..]`.
    #[serde(default)]
    pub outbound_proxy: Option<String>,
    /// Host that this peer knows us by in signalling, without port; default: `advertise` of `[sip]`.
    #[serde(default)]
    pub advertise: Option<String>,
    /// Address that this peer sends media to; default: `advertise` of this entry if that is an address, else that of `[media]`.
    #[serde(default)]
    pub advertise_media: Option<std::net::IpAddr>,
    /// Is the address in its Contact believed?
    #[serde(default)]
    pub nat: Nat,
    /// What becomes of a request to it that is too large for a datagram.
    #[serde(default)]
    pub oversize: Oversize,
    /// How it is called by TLS.
    #[serde(default)]
    pub tls: Option<PeerTls>,
    /// Headers of the INVITE, name = template; default for `daily`: `x-caller`, `x-called`, `x-trunkline-call`.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
    /// Bytes that these headers, those of `uri` and those that are passed on may take together; default for `daily`:
    /// 1024, for others: no limit.
    #[serde(default)]
    pub header_limit: Option<u32>,
    /// Headers of the PBX that go on to it, by name; `X-Genesys-*` stands for all that start so.
    #[serde(default)]
    pub pass_headers: Vec<String>,
    /// May it see who asked not to be shown? Default: no, unless the trunk's own `privacy` reveals it.
    #[serde(default)]
    pub privacy: Option<PrivacyPolicy>,
    /// Codecs it takes, by name, in order; default for `daily`: PCMU, PCMA, G722, opus; for others: any.
    #[serde(default)]
    pub codecs: Option<Vec<String>>,
    /// Calls at the same time; no limit if absent.
    #[serde(default)]
    pub max_calls: Option<u32>,
    /// Calls per second; no limit if absent.
    #[serde(default)]
    pub max_rate: Option<u32>,
    /// User and password for its challenges.
    #[serde(default)]
    pub auth: Option<TargetAuth>,
    /// Register at it.
    #[serde(default)]
    pub register: Option<Register>,
    /// Not in this version.
    #[serde(default)]
    pub srtp: Option<Later>,
    /// How often it is asked by OPTIONS whether it is there; not at all if absent.
    #[serde(default)]
    pub keepalive: Option<Keepalive>,
    /// Session timers (RFC 4028).
    #[serde(default = "accept")]
    pub session_timer: SessionTimer,
    /// Reliable provisional responses (RFC 3262).
    #[serde(default = "off")]
    pub reliable: Reliable,
    /// Early or late offer: with `late` its INVITE carries no description, and the target makes the offer.
    #[serde(default)]
    pub offer: Offer,
    /// Not in this version.
    #[serde(default)]
    pub peers: Option<Later>,
    /// What is done when it asks for a transfer (REFER).
    #[serde(default)]
    pub transfer: Transfer,
    /// What is done when it redirects a call (3xx).
    #[serde(default)]
    pub redirect: Redirect,
}

/// What is done with a REFER (RFC 3515) of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transfer {
    /// The gateway calls the new party itself; the other leg notices nothing but another voice.
    #[default]
    Local,
    /// The other leg is asked to call the new party.
    Pass,
    /// It is refused.
    Refuse,
}

/// What is done with a 3xx of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redirect {
    /// The addresses in its Contact are called, best first.
    #[default]
    Follow,
    /// The PBX gets it with the Contact as it came.
    Pass,
    /// It counts as a failure of the target.
    Refuse,
}

/// What stands behind a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// Daily's static `sip_uri`: the call is answered, held, and announced by webhook.
    Daily,
    /// Daily's SIP trunk product (not in this version).
    DailyTrunk,
    /// SignalWire (not in this version).
    Signalwire,
    /// Any SIP address.
    Sip,
}

/// What Daily's webhook and the bots behind it look for, and the name by which everything finds its call.
const DAILY_HEADERS: [(&str, &str); 3] =
    [("x-caller", "{caller}"), ("x-called", "{called}"), ("x-trunkline-call", "{call_id}")];

// === impl Target ===

impl Target {
    /// Its headers, defaults of its kind filled in: name and template.
    #[must_use]
    pub fn effective_headers(&self) -> Vec<(String, String)> {
        match (&self.headers, self.kind) {
            (Some(headers), _) => headers.iter().map(|(name, template)| (name.clone(), template.clone())).collect(),
            (None, TargetKind::Daily) => {
                DAILY_HEADERS.iter().map(|(name, template)| ((*name).to_owned(), (*template).to_owned())).collect()
            }
            (None, _) => vec![],
        }
    }

    /// The bytes its headers may take, default of its kind filled in. Daily names no limit; 1024 is what the carriers
    /// and platforms that do name one have in common.
    #[must_use]
    pub fn effective_header_limit(&self) -> Option<u32> {
        self.header_limit.or((self.kind == TargetKind::Daily).then_some(1024))
    }

    /// Its codecs, defaults of its kind filled in; `None` for all.
    #[must_use]
    pub fn effective_codecs(&self) -> Option<Vec<String>> {
        match (&self.codecs, self.kind) {
            (Some(codecs), _) => Some(codecs.clone()),
            (None, TargetKind::Daily) => Some(["PCMU", "PCMA", "G722", "opus"].map(str::to_owned).to_vec()),
            (None, _) => None,
        }
    }
}

fn accept() -> SessionTimer {
    SessionTimer::ACCEPT
}

fn off() -> Reliable {
    Reliable::Off
}
