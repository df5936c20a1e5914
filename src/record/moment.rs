//! One line of a call's timeline: who said what to whom, when.

use serde::{Deserialize, Serialize};

/// A party of the joined ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// The PBX's trunk (leg A), or the PBX as fallback destination.
    Pbx,
    /// This gateway.
    Trunkline,
    /// The cloud's SIP side (leg B).
    CloudSip,
    /// The cloud's webhooks.
    Webhook,
    /// The cloud's REST interface.
    Rest,
    /// The bot and its starter.
    Bot,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Microseconds since the call's first message.
    pub at_us: u64,
    /// Who acted.
    pub from: Lane,
    /// On whom.
    pub to: Lane,
    /// What, in a few words: `INVITE`, `200 OK`, `POST /rooms`.
    pub what: String,
    /// More, if it helps: a reason, a status, a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// UTC with milliseconds, RFC 3339.
#[must_use]
pub fn rfc3339(at: std::time::SystemTime) -> String {
    let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to civil date: the era arithmetic of the proleptic Gregorian calendar, years starting in March.
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_millis()
    )
}
