//! `[[trunk]]`: a peer on the enterprise side.

use super::auth::TrunkAuth;
use super::causes::Causes;
use super::extensions::ExtensionList;
use super::keepalive::Keepalive;
use super::session::{Answer, Reliable, SessionTimer};
use super::target::Transfer;
use super::value::{Later, Number, Pattern, Peer};
use super::way::{Nat, Oversize, PeerTls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One trunk.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// Its name: metric label, log key.
    pub name: String,
    /// The PBX family: it fills in what is left out here.
    #[serde(default)]
    pub profile: Profile,
    /// Addresses, CIDRs or DNS names that calls of this trunk come from.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// SIP URI for calls towards it (fallback).
    #[serde(default)]
    pub address: Option<String>,
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
    /// ISO 3166 region of its numbers; default: `country` of `[numbers]`.
    #[serde(default)]
    pub country: Option<String>,
    /// Are its assertions believed: identity headers, Diversion, History-Info, Referred-By?
    #[serde(default = "yes")]
    pub trust: bool,
    /// Where the calling number is looked for, in this order.
    #[serde(default = "CallerSource::standard")]
    pub identity: Vec<CallerSource>,
    /// Where the called number is looked for, in this order.
    #[serde(default = "CalledSource::standard")]
    pub called: Vec<CalledSource>,
    /// Rewrites of numbers, in order, before normalisation.
    #[serde(default)]
    pub translate: Vec<Translate>,
    /// Numbers for what is dialled inside the PBX, `{ 7100 = "+12025550110" }`, looked up behind `translate`.
    #[serde(default)]
    pub extensions: BTreeMap<String, String>,
    /// The same as CSV text, normally `"${file:extensions.csv}"`: extension, number; `extensions` wins.
    #[serde(default)]
    pub extensions_csv: Option<ExtensionList>,
    /// May targets see who asked not to be shown? Default: no, unless the target's own `privacy` reveals it.
    #[serde(default)]
    pub privacy: Option<PrivacyPolicy>,
    /// Headers of the PBX that go on to every target, by name; `X-Genesys-*` stands for all that start so.
    #[serde(default)]
    pub pass_headers: Vec<String>,
    /// Calls at the same time; no limit if absent.
    #[serde(default)]
    pub max_calls: Option<u32>,
    /// Calls per second; no limit if absent.
    #[serde(default)]
    pub max_rate: Option<u32>,
    /// What is done when it asks for a transfer (REFER).
    #[serde(default)]
    pub transfer: Transfer,
    /// Codecs it may use, by name; default: whatever both sides share.
    #[serde(default)]
    pub codecs: Option<Vec<String>>,
    /// A change to fax over T.38 in its calls: refused so that audio stays, or passed to the other side.
    #[serde(default)]
    pub t38: T38,
    /// What the PBX is told of an end instead of what the catalogue says, by code.
    #[serde(default)]
    pub causes: Causes,
    /// User and password that its requests must prove.
    #[serde(default)]
    pub auth: Option<TrunkAuth>,
    /// May it register here? Its calls then come from, and calls to it go to, where it registered from.
    #[serde(default)]
    pub register: bool,
    /// How often it is asked by OPTIONS whether it is there; not at all if absent.
    #[serde(default)]
    pub keepalive: Option<Keepalive>,
    /// Not in this version.
    #[serde(default)]
    pub srtp: Option<Later>,
    /// Not in this version.
    #[serde(default)]
    pub dtmf: Option<Later>,
    /// Session timers (RFC 4028).
    #[serde(default = "accept")]
    pub session_timer: SessionTimer,
    /// Reliable provisional responses (RFC 3262); default: `supported` towards callers, `off` for fallbacks.
    #[serde(default)]
    pub reliable: Option<Reliable>,
    /// When its calls are answered.
    #[serde(default)]
    pub answer: Answer,
}

/// A PBX family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// No assumption.
    #[default]
    Generic,
    /// Avaya Aura.
    AvayaAura,
    /// Avaya IP Office.
    AvayaIpo,
    /// Cisco Unified Communications Manager.
    CiscoCucm,
    /// Asterisk and FreePBX.
    Asterisk,
    /// FreeSWITCH and FusionPBX.
    Freeswitch,
    /// Microsoft Teams behind an SBC.
    Teams,
    /// Genesys.
    Genesys,
}

/// What becomes of fax over T.38.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum T38 {
    /// It is refused with 488, and the call goes on with audio.
    #[default]
    Refuse,
    /// It is offered to the other side, and its datagrams are relayed as they are.
    Pass,
}

/// Where a calling number may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallerSource {
    /// RFC 3325.
    PAssertedIdentity,
    /// The draft that many PBXs still send; of several parties the calling one.
    RemotePartyId,
    /// RFC 3325, what a telephone proposes to its own proxy.
    PPreferredIdentity,
    /// RFC 3261.
    From,
    /// RFC 3892: who transferred the call.
    ReferredBy,
    /// RFC 5806: who redirected the call to us.
    Diversion,
    /// RFC 7044: who redirected the call to us.
    HistoryInfo,
}

/// What becomes of a caller's wish not to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrivacyPolicy {
    /// Number and name do not leave.
    Withhold,
    /// They leave all the same, unless the wish is `critical`.
    Reveal,
}

/// Where a called number may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CalledSource {
    /// The Request-URI.
    RequestUri,
    /// RFC 3261 `To`.
    To,
    /// RFC 7315: the address that the call was for before it was routed to us.
    PCalledPartyId,
    /// RFC 5806: the number that the caller dialled first.
    Diversion,
    /// RFC 7044: the same.
    HistoryInfo,
}

/// One rewrite: `match` is replaced by `replace` (`$1` names a group); numbers that do not match stay.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Translate {
    /// Which number.
    pub number: Number,
    /// Regular expression on the number.
    #[serde(rename = "match")]
    pub pattern: Pattern,
    /// The replacement.
    pub replace: String,
}

impl CallerSource {
    /// The order of a PBX that is believed.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        vec![Self::PAssertedIdentity, Self::RemotePartyId, Self::PPreferredIdentity, Self::From]
    }
}

impl CalledSource {
    /// The usual order.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        vec![Self::RequestUri, Self::To, Self::PCalledPartyId]
    }
}

fn accept() -> SessionTimer {
    SessionTimer::ACCEPT
}

fn yes() -> bool {
    true
}
