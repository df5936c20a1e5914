//! The record of one call, as the API shows it and the store keeps it.

use super::{CallId, Moment, Step};
use crate::error::Termination;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// The target is being called.
    Calling,
    /// The caller hears ringing or early media.
    Ringing,
    /// Answered, but the bot is not there yet (Daily's hold).
    Held,
    /// Bridged to its destination.
    Connected,
    /// The companion failed and the caller is on the way to the fallback.
    Diverting,
    /// Over.
    Ended,
}

/// Everything known of one call.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    /// Our name for it.
    pub call_id: CallId,
    /// The PBX's Call-ID.
    pub pbx_call_id: String,
    /// The Call-ID of leg B, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_call_id: Option<String>,
    /// Wall-clock time of the first message, RFC 3339 when shown.
    #[serde(serialize_with = "rfc3339")]
    pub started: SystemTime,
    /// Where it stands.
    pub state: CallState,
    /// The trunk, once matched.
    pub trunk: Option<String>,
    /// The target, once chosen.
    pub target: Option<String>,
    /// The trunk that the caller was sent to in its place, if it came to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Caller as sent to the cloud.
    pub caller: Option<String>,
    /// Called as sent to the cloud.
    pub called: Option<String>,
    /// Identifiers of the PBX's own systems, by their template words: `ucid`, `session_id`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub correlation: BTreeMap<String, String>,
    /// Milliseconds from the INVITE to our 200 towards the caller.
    pub answered_ms: Option<u64>,
    /// Milliseconds from first message to end.
    pub duration_ms: Option<u64>,
    /// Which side ended it: `a`, `b`, `gateway`.
    pub ended_by: Option<String>,
    /// Why it ended.
    pub termination: Option<Termination>,
    /// The companion's room, callId and domain, if it went that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<DailyFacts>,
    /// Packets.
    pub media: crate::record::call::MediaSummary,
    /// Why each decision fell.
    pub decisions: Vec<Step>,
    /// What happened when.
    pub timeline: Vec<Moment>,
}

/// The companion's names for a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DailyFacts {
    /// Daily's `callId`.
    pub call_id: String,
    /// Daily's `callDomain`.
    pub call_domain: String,
    /// The room.
    pub room: Option<String>,
}

/// Packets per leg: from and to the peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MediaSummary {
    /// Received from and sent to the PBX.
    pub a: LegPackets,
    /// Received from and sent to the cloud.
    pub b: LegPackets,
}

/// Packets of one leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LegPackets {
    /// RTP packets accepted from the peer.
    pub received: u64,
    /// RTP packets sent to the peer.
    pub sent: u64,
    /// RTP packets refused.
    pub dropped: u64,
}

fn rfc3339<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::record::moment::rfc3339(*at))
}
