//! One leg: the dialogs that one INVITE made, and which INVITE, ACK or BYE is under way in them. Apart from the
//! transactions, which it names by number and outlives.

use super::super::dialog::{Dialog, OutOfOrder};
use super::super::header::via::Via;
use super::super::session::reliable::Inbox;
use super::super::uri::{self, Uri};
use super::super::{HeaderName, Hop, HopAddress, Message, Protocol, Source};
use super::aim::{Nat, Path};
use super::challenged::Proof;
use super::doubt::Protection;
use super::extensions::Extensions;
use super::{Endpoint, Event, Headers, LegId};

use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};
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
    /// How the peer is reached, where that is not the usual way.
    pub(super) path: Path,
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
    /// Our first INVITE, or the peer's, carried an offer.
    pub(super) offered: bool,
    /// What this leg does besides RFC 3261.
    pub(super) extensions: Option<Box<Extensions>>,
    pub(super) bye: Bye,
    /// What challenges to its requests are answered with.
    pub(super) proof: Option<Box<Proof>>,
    /// Who may speak in it, if that has to be proven.
    pub(super) protection: Option<Box<Protection>>,
}

/// An early dialog of the caller.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// The order of the reliable provisional responses in it.
    pub(super) inbox: Inbox,
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
                let early = self.early.iter_mut().find(|early| early.dialog.remote_tag() == tag);
                early.map(|early| early.dialog.take(number))
            }
        }
    }

    /// Notes the early dialog that a provisional response made.
    pub(super) fn note_early(&mut self, response: &Message) {
        let tag = response.to_tag();
        let known = self.early.iter().any(|early| early.dialog.remote_tag() == tag);
        if tag.is_some() && !known && self.early.len() < EARLY_DIALOGS {
            // Without Contact, as RFC 2543 allowed: the address that was called.
            let fallback = response.address(HeaderName::To).map_or(&b""[..], |to| to.uri);
            let dialog = Dialog::of_answer(response, &self.from, fallback);
            self.early.push(Early { dialog, inbox: Inbox::default() });
        }
    }

    /// The address that a request to this hop leaves from: where the peer's own came to, if that one can reach it.
    /// Peers behind a firewall let nothing else in.
    pub(super) fn leaves_by(&self, hop: &Hop) -> Option<SocketAddr> {
        let local = self.peer.filter(|peer| peer.protocol == Protocol::Udp && hop.protocol == Protocol::Udp)?.local;
        let family = hop.address.socket().map_or(local.is_ipv4(), |address| address.is_ipv4());
        (local.is_ipv4() == family).then_some(local)
    }

    /// The early dialog of this tag.
    pub(super) fn early_mut(&mut self, tag: Option<&[u8]>) -> Option<&mut Early> {
        self.early.iter_mut().find(|early| early.dialog.remote_tag() == tag)
    }

    /// Where a request to `uri` goes in this leg.
    pub(super) fn hop_to(&self, uri: &[u8]) -> Option<Hop> {
        let parsed = Uri::parse(uri).ok();
        let Some(mut hop) = parsed.as_ref().and_then(uri::hop) else {
            // An address that cannot be used: back to where the peer was heard, or where its INVITE went.
            return self.peer.map(hop_of).or_else(|| self.sent_to.clone());
        };
        let Some(peer) = self.peer else { return Some(hop) };
        if self.is_behind_nat(&hop, &peer) {
            return Some(hop_of(peer));
        }
        let same_address = match &hop.address {
            HopAddress::Socket(address) | HopAddress::Server { address, .. } => {
                address.ip().to_canonical() == peer.peer.ip().to_canonical()
            }
            name if self.sent_to.as_ref().is_some_and(|sent| sent.address == *name) => {
                // RFC 3263 §4: the name may mean another server by now; this one has the dialog.
                let host = name.name().unwrap_or_default().to_owned();
                hop.address = HopAddress::Server { host, address: peer.peer };
                hop.protocol = peer.protocol;
                hop.connection = peer.connection;
                return Some(hop);
            }
            _ => false,
        };
        if peer.protocol == Protocol::Udp {
            return Some(hop);
        }
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

impl Leg {
    /// Is the address in the peer's Contact one that only its own network knows (RFC 3581 §1)?
    fn is_behind_nat(&self, hop: &Hop, peer: &Source) -> bool {
        let source = peer.peer.ip().to_canonical();
        match self.path.nat {
            Nat::Off => false,
            Nat::On => hop.address.socket().is_none_or(|address| address != peer.peer),
            Nat::Auto => {
                let contact = hop.address.socket().map(|address| address.ip().to_canonical());
                contact.is_some_and(|contact| contact != source && is_inside(contact) && !is_inside(source))
            }
        }
    }
}

/// Is this an address that means another machine in each network: private, shared (RFC 6598), link-local, loopback, or
/// unique local?
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let none = address.is_unspecified() || address.is_loopback() || address.is_link_local();
            address.is_private() || shared || none
        }
        IpAddr::V6(address) => {
            address.is_unspecified()
                || address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_unique_local()
        }
    }
}

/// Back to where a message came from.
pub(super) fn hop_of(source: Source) -> Hop {
    Hop { protocol: source.protocol, address: HopAddress::Socket(source.peer), connection: source.connection }
}

/// Where the responses to a request go: RFC 3261 §18.2.2, RFC 3581 §4.
pub(super) fn hop_of_response(source: &Source, via: &Via<'_>) -> Hop {
    let mut hop = hop_of(*source);
    let default = source.protocol.port();
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
        self.disarm_extensions(id);
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
