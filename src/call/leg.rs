//! One leg: a dialog, its session description on both ends, and what was negotiated. Both legs of a call are of this
//! one type; whatever differs by side is a value in it.

use crate::sdp::{Description, Direction, Format, Origin};
use crate::sip::endpoint::LegId;
use std::net::IpAddr;

/// A leg.
#[derive(Debug)]
pub struct Leg {
    /// Its name at the endpoint.
    pub id: LegId,
    /// How far its dialog is.
    pub phase: Phase,
    /// Our `o=` line towards this peer.
    pub origin: Origin,
    /// The peer's session description, the last one that holds.
    pub remote: Option<Description>,
    /// What our INVITE offered: an early answer and the final one each choose from it (RFC 3261 §13.2.1, forks).
    pub offered: Vec<Format>,
    /// The formats as we described them: the payload types that the peer sends to us.
    pub formats: Vec<Format>,
    /// The formats as the peer described them: the payload types that we send to it. An answerer may number a codec
    /// differently from the offer (RFC 3264 §6.1).
    pub theirs: Vec<Format>,
    /// Codecs this peer may be offered, by name; `None` for whatever the other side has.
    pub takes: Option<Vec<String>>,
    /// Where its signalling comes from: RTP may come from there too (far-end NAT).
    pub signalling: Option<IpAddr>,
}

/// How far a leg's dialog is, as far as ending it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The peer's INVITE waits for our final response.
    Incoming,
    /// Our INVITE waits for the peer's final response.
    Outgoing,
    /// The peer owes the ACK to our 2xx.
    AwaitingAck,
    /// Both ends know the dialog.
    Up,
    /// We have done all there is to do.
    Released,
}

// === impl Leg ===

impl Leg {
    /// A leg in its first phase.
    #[must_use]
    pub fn new(id: LegId, phase: Phase, session: u64) -> Self {
        Self {
            id,
            phase,
            origin: Origin::new(session),
            remote: None,
            offered: Vec::new(),
            formats: Vec::new(),
            theirs: Vec::new(),
            takes: None,
            signalling: None,
        }
    }

    /// The direction that the peer asked for, from its own point of view.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.remote.as_ref().and_then(Description::audio).map_or(Direction::SendRecv, |audio| audio.direction)
    }
}
