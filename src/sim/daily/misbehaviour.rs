//! What the simulated Daily does wrong on purpose, per call and per REST endpoint.
//! One struct serves the tests, the command line and `POST /sim/misbehaviour`.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What is wrong with one call. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Misbehaviour {
    /// What is wrong with the webhook
    #[arg(long, value_enum, default_value = "none")]
    pub webhook: WebhookFault,
    /// Milliseconds between answer and webhook
    #[arg(long, default_value_t = 0)]
    pub webhook_delay_ms: u64,
    /// Refuse the INVITE with this status
    #[arg(long)]
    pub reject: Option<u16>,
    /// Ring (180) and never answer
    #[arg(long)]
    pub ring_only: bool,
    /// Do not respond to the INVITE at all
    #[arg(long)]
    pub dead: bool,
    /// Milliseconds between INVITE and answer
    #[arg(long, default_value_t = 0)]
    pub answer_delay_ms: u64,
    /// Lose the first response with this status
    #[arg(long)]
    pub lose_first: Option<u16>,
    /// Ring, but let the 180 arrive after the 200
    #[arg(long)]
    pub reorder: bool,
    /// Send no audio
    #[arg(long)]
    pub no_rtp: bool,
    /// Do not answer the far side's BYE
    #[arg(long)]
    pub ignore_bye: bool,
    /// Hang up at this stage
    #[arg(long, value_enum)]
    pub bye_at: Option<Stage>,
    /// Milliseconds between that stage and the BYE
    #[arg(long, default_value_t = 0)]
    pub bye_delay_ms: u64,
    /// Answer pinlessCallUpdate for this call with this status
    #[arg(long)]
    pub refuse_update: Option<u16>,
}

/// What is wrong with a webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookFault {
    /// Nothing.
    #[default]
    None,
    /// It is never sent.
    Missing,
    /// It is sent twice.
    Duplicate,
    /// It is signed with another secret.
    WrongSignature,
    /// It carries no signature.
    Unsigned,
    /// Its timestamp is an hour old (and the signature fits it).
    Stale,
    /// It carries none of the call's headers.
    WithoutHeaders,
}

/// Where a call stands at Daily.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Answered, on hold, webhook not sent yet.
    Answered,
    /// On hold, webhook delivered.
    Held,
    /// Connected to a room.
    Bridged,
    /// Over.
    Ended,
}

/// An endpoint of the REST interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// `POST /v1/rooms`.
    Rooms,
    /// `GET /v1/rooms/{name}`.
    Room,
    /// `POST /v1/meeting-tokens`.
    Tokens,
    /// `POST /v1/dialin/pinlessCallUpdate`.
    Update,
    /// `GET /v1/`.
    Domain,
    /// `POST /v1/`.
    SetDomain,
    /// `GET /v1/domain-dialin-config` and one of them.
    Entries,
    /// `POST`, `PUT` and `DELETE` there.
    SetEntries,
    /// `GET /v1/webhooks`.
    Webhooks,
    /// `POST` there.
    SetWebhooks,
}

/// A REST failure: `ENDPOINT=STATUS` for ever or `ENDPOINT=STATUSxN` for the first N requests. The status `lost` of an
/// endpoint `set-...` lets the request take effect and never answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestFault {
    /// Where.
    pub endpoint: Endpoint,
    /// What is answered.
    pub status: u16,
    /// How often; `None` is always.
    pub times: Option<u32>,
}

// === impl RestFault ===

impl RestFault {
    /// The status of an answer that is lost after the request took effect.
    pub const LOST: u16 = 0;

    /// `status` at `endpoint`, for ever.
    #[must_use]
    pub const fn always(endpoint: Endpoint, status: u16) -> Self {
        Self { endpoint, status, times: None }
    }

    /// `status` for the first `times` requests of `endpoint`.
    #[must_use]
    pub const fn first(endpoint: Endpoint, status: u16, times: u32) -> Self {
        Self { endpoint, status, times: Some(times) }
    }
}

impl FromStr for RestFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wants = || {
            format!(
                "`{text}`: write rooms|room|tokens|update|domain|entries|webhooks|set-domain|set-entries|set-webhooks and =STATUS \
                 or =STATUSxN, for example rooms=429x2 or set-entries=lostx1"
            )
        };
        let (endpoint, rest) = text.split_once('=').ok_or_else(wants)?;
        let endpoint = match endpoint {
            "rooms" => Endpoint::Rooms,
            "room" => Endpoint::Room,
            "tokens" => Endpoint::Tokens,
            "update" => Endpoint::Update,
            "domain" => Endpoint::Domain,
            "set-domain" => Endpoint::SetDomain,
            "entries" => Endpoint::Entries,
            "set-entries" => Endpoint::SetEntries,
            "webhooks" => Endpoint::Webhooks,
            "set-webhooks" => Endpoint::SetWebhooks,
            _ => return Err(wants()),
        };
        let losable = matches!(endpoint, Endpoint::SetDomain | Endpoint::SetEntries | Endpoint::SetWebhooks);
        if let Some(times) = rest.strip_prefix("lost").filter(|_| losable) {
            let times = times.strip_prefix('x').map(str::parse).transpose().map_err(|_| wants())?;
            return Ok(Self { endpoint, status: Self::LOST, times });
        }
        let (status, times) = match rest.split_once('x') {
            Some((status, times)) => (status, Some(times.parse().map_err(|_| wants())?)),
            None => (rest, None),
        };
        let status = status.parse().ok().filter(|status| (400..600).contains(status)).ok_or_else(wants)?;
        Ok(Self { endpoint, status, times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_fault_is_read_from_its_short_form() {
        assert_eq!("rooms=429x2".parse(), Ok(RestFault::first(Endpoint::Rooms, 429, 2)));
        assert_eq!("update=404".parse(), Ok(RestFault::always(Endpoint::Update, 404)));
        assert_eq!("set-entries=lostx1".parse(), Ok(RestFault::first(Endpoint::SetEntries, RestFault::LOST, 1)));
        for wrong in ["rooms", "rooms=lost", "set-domain=lostxx", "rooms=200", "house=500", "rooms=500xmany"] {
            assert!(wrong.parse::<RestFault>().unwrap_err().contains("rooms=429x2"), "{wrong}");
        }
    }

    #[test]
    fn a_misbehaviour_is_read_from_json_and_unknown_keys_are_refused() {
        let read: Misbehaviour = serde_json::from_str(r#"{"webhook":"wrong-signature","bye-at":"held"}"#).unwrap();
        assert_eq!((read.webhook, read.bye_at), (WebhookFault::WrongSignature, Some(Stage::Held)));
        assert!(serde_json::from_str::<Misbehaviour>(r#"{"webhok":"none"}"#).is_err());
    }
}
