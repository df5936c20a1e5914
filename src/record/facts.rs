//! What the companion may know of a call: plain values, no SIP.

use super::CallId;
use serde::Serialize;

/// A call as the room plans see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallFacts {
    /// Our name for it.
    pub call_id: CallId,
    /// The trunk it came from.
    pub trunk: String,
    /// The target it was sent to.
    pub target: String,
    /// The calling number as sent to the cloud (`x-caller`).
    pub caller: String,
    /// The called number as sent to the cloud (`x-called`).
    pub called: String,
    /// The caller's display name.
    pub caller_name: Option<String>,
    /// The PBX's own Call-ID.
    pub pbx_call_id: String,
    /// Header fields of the PBX's INVITE that room plans may match on: name in lower case, value.
    pub headers: Vec<(String, String)>,
}
