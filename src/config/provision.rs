//! `[daily.provision]`: what `trunkline provision daily` makes of the account. Apart from the account's own keys, because
//! the running gateway reads none of it.

use serde::{Deserialize, Serialize};

/// The table.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Provision {
    /// Which of Daily's two interfaces.
    pub api: ProvisionApi,
    /// `name_prefix` of this gateway's entries; default: `trunkline-` and the host of `public_url`.
    pub name: Option<String>,
    /// Have a SIP interconnect entry (one without phone number)?
    pub interconnect: bool,
    /// Numbers bought from Daily that shall reach this gateway too, in E.164.
    pub numbers: Vec<String>,
    /// MP3 that a held caller hears; left as it is if absent.
    pub hold_music: Option<String>,
    /// Spoken to a caller whose webhook is not answered; left as it is if absent.
    pub timeout_message: Option<String>,
    /// The target whose `uri` is the entry's `sip_uri`; needed if several are of kind `daily`.
    pub target: Option<String>,
    /// Have a domain webhook for `/daily/events`? It needs `events_hmac`.
    pub events: bool,
}

/// Which of Daily's two interfaces for dial-in entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisionApi {
    /// `entries`, unless the account has none or our entry is only in the array
    #[default]
    Auto,
    /// /domain-dialin-config: one entry at a time
    Entries,
    /// pinless_dialin of the domain: the whole array at once
    Array,
}

// === impl Provision ===

impl Default for Provision {
    fn default() -> Self {
        Self {
            api: ProvisionApi::Auto,
            name: None,
            interconnect: true,
            numbers: vec![],
            hold_music: None,
            timeout_message: None,
            target: None,
            events: true,
        }
    }
}
