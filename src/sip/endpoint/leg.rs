//! One leg: the dialogs that one INVITE made, and which INVITE, ACK or BYE is under way in them. Apart from the
//! transactions, which it names by number and outlives.

use super::super::dialog::{Dialog, OutOfOrder, Sequence};
use super::super::header::via::Via;
use super::super::uri::{self, Uri};
use super::super::{Hop, HopAddress, Message, Protocol, Source};
use super::challenged::Proof;
use super::doubt::Protection;
use super::{Endpoint, Event, Headers, LegId};

use smallvec::SmallVec;
use std::time::Instant;

/// More early dialogs than this are not remembered: their requests would get 481, the INVITE still works.
const EARLY_DIALOGS: usize = 32;

/// A leg.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) call_id: String,
    pub(super) local_tag: String,
    /// Our Contact, in angle brackets.
    pub(super) contact: String,
    /// Where the peer was last heard, and by which stream.
    pub(super) peer: Option<Source>,
    /// Where the first INVITE went; `None` for a leg that called us.
    pub(super) sent_to: Option<Hop>,
    /// The From of our first INVITE, with tag; empty for a leg that called us.
    pub(super) from: Vec<u8>,
    /// The callee's dialog from the INVITE on, the caller's from the first 2xx on.
    pub(super) dialog: Option<Dialog>,
    /// The caller's dialogs before the first 2xx.
    pub(super) early: Vec<Early>,
    /// Whether a 2xx came or went.
    pub(super) answered: bool,
    /// Whether the first 2xx of ours was ACKed or given up (§15: no BYE of the callee before that).
    pub(super) confirmed: bool,
    /// The peer's INVITE that we have not answered.
    pub(super) incoming: Option<u64>,
    /// Our 2xx that the peer has not ACKed.
    pub(super) unacknowledged: SmallVec<[Unacknowledged; 1]>,
    /// Our INVITE without final response.
    pub(super) outgoing: Option<u64>,
    /// The 2xx that we have not ACKed.
    pub(super) to_acknowledge: Option<ToAcknowledge>,
    /// Our first INVITE is being cancelled: an answer comes too late.
    pub(super) cancelled: bool,
    pub(super) bye: Bye,
    /// What challenges to its requests are answered with.
    pub(super) proof: Option<Box<Proof>>,
    /// Who may speak in it, if that has to be proven.
    pub(super) protection: Option<Box<Protection>>,
}

/// An early dialog of the caller: enough to know its requests.
#[derive(Debug)]
pub(super) struct Early {
    tag: Option<Box<[u8]>>,
    sequence: Sequence,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Unacknowledged {
    pub(super) server: u64,
    pub(super) number: u32,
    /// The INVITE had no offer, so the ACK brings the answer.
    pub(super) offered_by_us: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ToAcknowledge {
    pub(super) client: u64,
    pub(super) number: u32,
}

/// How far our BYE is.
#[derive(Debug, Default)]
pub(super) enum Bye {
    #[default]
    No,
    /// Waits for the ACK to our first 2xx (§15).
    Deferred(Headers),
    Sent,
}

// === impl Leg ===

impl Leg {
    pub(super) fn dialogs(&self) -> usize {
        self.early.len() + usize::from(self.dialog.is_some())
    }

    /// Takes the number of a request of the peer; `None` if its tag belongs to no dialog of this leg.
    pub(super) fn take(&mut self, tag: Option<&[u8]>, number: u32) -> Option<Result<(), OutOfOrder>> {
        match &mut self.dialog {
            Some(dialog) if dialog.remote_tag() == tag => Some(dialog.take(number)),
            Some(_) => None,
            None => {
                self.early.iter_mut().find(|early| early.tag.as_deref() == tag).map(|early| early.sequence.take(number))
            }
        }
    }

    /// Notes the early dialog that a provisional response made.
    pub(super) fn note_early(&mut self, response: &Message) {
        let tag = response.to_tag();
        let known = self.early.iter().any(|early| early.tag.as_deref() == tag);
        if tag.is_some() && !known && self.early.len() < EARLY_DIALOGS {
            self.early.push(Early { tag: tag.map(Box::from), sequence: Sequence::new(0, None) });
        }
    }

    /// Where a request to `uri` goes in this leg.
    pub(super) fn hop_to(&self, uri: &[u8]) -> Option<Hop> {
        let parsed = Uri::parse(uri).ok();
        let Some(mut hop) = parsed.as_ref().and_then(uri::hop) else {
            // An address that cannot be used: back to where the peer was heard, or where its INVITE went.
            return self.peer.map(hop_of).or_else(|| self.sent_to.clone());
        };
        let Some(peer) = self.peer.filter(|peer| peer.protocol != Protocol::Udp) else { return Some(hop) };
        let same_address = match &hop.address {
            HopAddress::Socket(address) => address.ip().to_canonical() == peer.peer.ip().to_canonical(),
            name @ HopAddress::Name { .. } => self.sent_to.as_ref().is_some_and(|sent| sent.address == *name),
        };
        // RFC 3263 §4.1 would use UDP for a URI without `transport`; peers that came by a stream and do not write it
        // are served by the stream that is known to work.
        let unsaid = parsed.is_some_and(|uri| !uri.params.has("transport") && uri.scheme == uri::Scheme::Sip);
        if same_address && (hop.protocol == peer.protocol || unsaid) {
            hop.protocol = peer.protocol;
            hop.connection = peer.connection;
        }
        Some(hop)
    }
}

/// Back to where a message came from.
pub(super) fn hop_of(source: Source) -> Hop {
    Hop { protocol: source.protocol, address: HopAddress::Socket(source.peer), connection: source.connection }
}

/// Where the responses to a request go: RFC 3261 §18.2.2, RFC 3581 §4.
pub(super) fn hop_of_response(source: &Source, via: &Via<'_>) -> Hop {
    let mut hop = hop_of(*source);
    let default = if source.protocol == Protocol::Tls { 5061 } else { 5060 };
    if source.protocol != Protocol::Udp || via.rport.is_none() {
        // On a stream this is only for when the connection is gone. `maddr` is not followed: a request must not be
        // able to point our responses at somebody else.
        hop.address = HopAddress::Socket((source.peer.ip(), via.port.unwrap_or(default)).into());
    }
    hop
}

// === impl Endpoint ===

impl Endpoint {
    /// Takes a leg off the books: nothing more can happen to the call. Its transactions finish by themselves.
    pub(super) fn end_leg(&mut self, now: Instant, id: LegId) {
        let key = self.legs.get(id.0).map(|leg| self.keyer.leg(leg.call_id.as_bytes(), leg.local_tag.as_bytes()));
        if let Some(client) = self.legs.get(id.0).and_then(|leg| leg.outgoing) {
            self.release(now, client);
        }
        // §13.2.2.4: whatever came of the call, its 2xx is ACKed, or it would be repeated for half a minute.
        self.acknowledge_anyway(id);
        let Some(leg) = self.legs.remove(id.0) else { return };
        self.dialogs -= leg.dialogs();
        if let Some(key) = key {
            self.leg_index.remove(&key);
        }
        for waiting in leg.unacknowledged {
            self.stop_repeating(now, waiting.server);
        }
        self.events.push_back(Event::Closed { leg: id });
    }
}
