//! One leg: a dialog, its session description on both ends, and what was negotiated. Both legs of a call are of this
//! one type; whatever differs by side is a value in it.

use super::late::Late;
use crate::sdp::{Description, Direction, Format, Origin};
use crate::sip::endpoint::LegId;
use crate::sip::{HeaderName, Message};
use std::net::IpAddr;

/// A leg.
#[derive(Debug)]
pub struct Leg {
    /// Its name at the endpoint.
    pub id: LegId,
    /// How far its dialog is.
    pub phase: Phase,
    /// We called this peer, so that the Call-ID is ours.
    pub called: bool,
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
    /// Every format that was ever described on this leg: a payload type never changes its codec within a session
    /// (RFC 3264 §8.3.2).
    pub bound: Vec<Format>,
    /// The peer takes UPDATE (RFC 3311): its last `Allow` said so.
    pub updates: bool,
    /// It refused one all the same.
    pub refused_update: bool,
    /// Codecs this peer may be offered, by name; `None` for whatever the other side has.
    pub takes: Option<Vec<String>>,
    /// The peer makes the offer: our INVITE had none.
    pub late: Option<Late>,
    /// Where its signalling comes from: RTP may come from there too (far-end NAT).
    pub signalling: Option<IpAddr>,
    /// The address that it is told to send media to, if not the usual one.
    pub media_address: Option<IpAddr>,
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
            called: phase == Phase::Outgoing,
            origin: Origin::new(session),
            remote: None,
            offered: Vec::new(),
            formats: Vec::new(),
            theirs: Vec::new(),
            bound: Vec::new(),
            updates: false,
            refused_update: false,
            takes: None,
            late: None,
            signalling: None,
            media_address: None,
        }
    }

    /// Reads what the peer says of itself in a message; one without `Allow` says nothing.
    pub fn learn(&mut self, message: &Message) {
        if message.value(HeaderName::Allow).is_some() {
            let mut methods = message.elements(HeaderName::Allow);
            self.updates =
                !self.refused_update && methods.any(|method| method.trim_ascii().eq_ignore_ascii_case(b"UPDATE"));
        }
    }

    /// Notes formats that are about to be described.
    pub fn bind(&mut self, formats: &[Format]) {
        for format in formats {
            if !self.bound.iter().any(|known| known.payload_type == format.payload_type) {
                self.bound.push(format.clone());
            }
        }
    }

    /// Does its last description put the call on fax?
    #[must_use]
    pub fn is_fax(&self) -> bool {
        self.remote.as_ref().is_some_and(Description::is_fax)
    }

    /// The direction that the peer asked for, from its own point of view.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match &self.remote {
            Some(off) if off.is_switched_off() => Direction::Inactive,
            remote => remote.as_ref().and_then(Description::audio).map_or(Direction::SendRecv, |audio| audio.direction),
        }
    }
}
