//! `[[trunk]]`: a peer on the enterprise side.

use super::auth::TrunkAuth;
use super::target::Transfer;
use super::value::{Later, Number, Pattern, Peer};
use serde::{Deserialize, Serialize};

/// One trunk.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// Its name: metric label, log key.
    pub name: String,
    /// The PBX family; this version knows `generic` and treats the others alike.
    #[serde(default)]
    pub profile: Profile,
    /// Addresses, CIDRs or DNS names that calls of this trunk come from.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// SIP URI for calls towards it (fallback).
    #[serde(default)]
    pub address: Option<String>,
    /// ISO 3166 region of its numbers; default: `country` of `[numbers]`.
    #[serde(default)]
    pub country: Option<String>,
    /// Are its identity headers (P-Asserted-Identity, Remote-Party-ID) believed?
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
    /// User and password that its requests must prove.
    #[serde(default)]
    pub auth: Option<TrunkAuth>,
    /// May it register here? Its calls then come from, and calls to it go to, where it registered from.
    #[serde(default)]
    pub register: bool,
    /// Not in this version.
    #[serde(default)]
    pub keepalive: Option<Later>,
    /// Not in this version.
    #[serde(default)]
    pub srtp: Option<Later>,
    /// Not in this version.
    #[serde(default)]
    pub dtmf: Option<Later>,
    /// Not in this version.
    #[serde(default)]
    pub session_timer: Option<Later>,
    /// Not in this version.
    #[serde(default)]
    pub reliable: Option<Later>,
    /// Not in this version.
    #[serde(default)]
    pub answer: Option<Later>,
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

/// Where a calling number may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallerSource {
    /// RFC 3325.
    PAssertedIdentity,
    /// The draft that many PBXs still send.
    RemotePartyId,
    /// RFC 3261.
    From,
}

/// Where a called number may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CalledSource {
    /// The Request-URI.
    RequestUri,
    /// RFC 3261 `To`.
    To,
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
        vec![Self::PAssertedIdentity, Self::RemotePartyId, Self::From]
    }
}

impl CalledSource {
    /// The usual order.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        vec![Self::RequestUri, Self::To]
    }
}

fn yes() -> bool {
    true
}
