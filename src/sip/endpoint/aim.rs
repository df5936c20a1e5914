//! Which address a request goes to when a name stands for several, and what follows when one does not serve (RFC 3263
//! §4.3): a new transaction with a new branch to the next. Apart from the transactions, which have one address each.

use super::super::header::address::NameAddr;
use super::super::transaction::client_invite::Report;
use super::super::transaction::key::Kind;
use super::super::transaction::{Change, ClientId, Timer, client};
use super::super::{HeaderName, Hop, HopAddress, Message, Protocol, StatusCode, Writer};
use super::caller::Addressed;
use super::compose::{self, Way};
use super::table::{Cancel, ClientEntry, Owner, Purpose};
use super::{Endpoint, Event, LegId};

use bytes::Bytes;
use memchr::memmem;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the endpoint wants from whoever knows names and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Find the addresses of this hop; [`Endpoint::located`] is the answer.
    Locate {
        /// The transaction that waits.
        transaction: ClientId,
        /// The name.
        hop: Hop,
    },
    /// This address did not serve: others of its name are better for a while.
    Avoid {
        /// The address.
        hop: Hop,
        /// For how long, if the server said it.
        span: Option<Duration>,
    },
}

/// How requests find their way, for all legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// A request with more bytes than this goes by TCP where the peer takes it (RFC 3261 §18.1.1) [1300]; `None` for
    /// UDP however large it is.
    pub datagram: Option<usize>,
    /// How long one address of several may stay without a word before the next is tried [4 s].
    pub next_after: Duration,
}

/// Whether the address in a Contact is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nat {
    /// Unless it is private while its message came from an address that is not.
    #[default]
    Auto,
    /// Never: requests go to where the peer was last heard.
    On,
    /// Always.
    Off,
}

/// How one leg's peer is reached, where that is not the usual way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    /// Host of our Via and Contact; `None` for the listener's.
    pub advertised: Option<String>,
    /// Whether its Contact is believed.
    pub nat: Nat,
    /// Whether large requests may go by a stream.
    pub large: Large,
}

/// What becomes of a request that is too large for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Large {
    /// It goes by a stream if the peer takes one.
    #[default]
    Stream,
    /// It goes as it is: the peer has nothing but UDP.
    Datagram,
}

/// Peers that refused a stream are asked again after this.
const STREAM_REFUSED: Duration = Duration::from_secs(600);
/// As many of them are remembered.
const REMEMBERED: usize = 1024;
/// A server's own word on when to come back counts up to this.
const LONGEST_AVOIDED: u64 = 300;

/// Peers without streams, and until when that is believed.
#[derive(Debug, Default)]
pub(super) struct DatagramOnly(HashMap<SocketAddr, Instant>);

/// A request that may be sent once more, to another address.
#[derive(Debug)]
pub(super) struct Spare {
    kind: Kind,
    request: Bytes,
    failed: Hop,
    others: VecDeque<Hop>,
    purpose: Purpose,
    from: Option<SocketAddr>,
    name: u64,
}

// === impl Reach ===

impl Default for Reach {
    fn default() -> Self {
        Self { datagram: Some(1300), next_after: Duration::from_secs(4) }
    }
}

// === impl DatagramOnly ===

impl DatagramOnly {
    fn contains(&self, address: SocketAddr, now: Instant) -> bool {
        self.0.get(&address).is_some_and(|until| *until > now)
    }

    fn note(&mut self, address: SocketAddr, now: Instant) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(address, now + STREAM_REFUSED);
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Changes how requests find their way, from the next one on.
    pub fn set_reach(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// The next thing to find out, or to know.
    pub fn poll_errand(&mut self) -> Option<Errand> {
        self.errands.pop_front()
    }

    /// What became of an [`Errand::Locate`]: the addresses, best first, or why there are none.
    pub fn located(&mut self, now: Instant, transaction: ClientId, found: Result<(Vec<Hop>, &str), &str>) {
        let id = transaction.0;
        let Some(entry) = self.clients.get(id).filter(|entry| entry.hop.address.socket().is_none()) else { return };
        let (name, purpose) = (entry.hop.to_string(), entry.purpose);
        let wanted = matches!(entry.cancel, Cancel::No);
        match found {
            Ok((hops, by)) if wanted && !hops.is_empty() => {
                let (kind, request, from, outcome) = (entry.kind, entry.request.clone(), entry.from, entry.name);
                if let Some(first) = hops.first() {
                    let more = match hops.len() - 1 {
                        0 => String::new(),
                        more => format!(", and {more} more to try"),
                    };
                    self.note(purpose, || format!("{name} is {first} by {by}{more}"));
                }
                self.close_client(now, id);
                let spare =
                    Spare { kind, request, failed: no_hop(), others: hops.into(), purpose, from, name: outcome };
                self.launch(now, spare, id);
            }
            Ok(_) => self.transport_failed(now, transaction),
            Err(why) => {
                self.note(purpose, || why.to_owned());
                self.transport_failed(now, transaction);
            }
        }
    }

    /// The transport could not deliver the request of this transaction, and says why.
    pub fn undelivered(&mut self, now: Instant, transaction: ClientId, why: &str) {
        if let Some(entry) = self.clients.get(transaction.0).filter(|entry| !entry.heard) {
            let (purpose, hop) = (entry.purpose, entry.hop.clone());
            self.note(purpose, || format!("{hop}: {why}"));
        }
        self.transport_failed(now, transaction);
    }

    /// A datagram to `to` came back as undeliverable (ICMP), with the beginning of what it held. Only our branch in it is
    /// believed, for nobody can guess that.
    pub fn undeliverable(&mut self, now: Instant, to: SocketAddr, quoted: &[u8]) {
        let Some(branch) = branch_of(quoted) else { return };
        for kind in [Kind::Invite, Kind::Other, Kind::Cancel] {
            let id = self.client_index.get(&self.keyer.client(branch, kind)).copied();
            if let Some(id) = id
                && self.clients.get(id).is_some_and(|entry| entry.hop.address.socket() == Some(to))
            {
                self.undelivered(now, ClientId(id), "nobody listens there (ICMP)");
            }
        }
    }

    /// A request that is too large for a datagram goes by a stream first.
    pub(super) fn widen(&mut self, now: Instant, kind: Kind, size: usize, purpose: Purpose, hop: Hop) -> VecDeque<Hop> {
        let address = hop.address.socket().filter(|_| hop.protocol == Protocol::Udp && kind != Kind::Cancel);
        let too_large =
            self.reach.datagram.is_some_and(|limit| size > limit) && self.path_of(purpose).large == Large::Stream;
        match address.filter(|address| too_large && !self.datagram_only.contains(*address, now)) {
            Some(_) => {
                let stream = Hop { protocol: Protocol::Tcp, ..hop.clone() };
                self.note(purpose, || {
                    format!("{size} bytes are too many for a datagram: {stream} first (RFC 3261 §18.1.1)")
                });
                VecDeque::from([stream, hop])
            }
            None => VecDeque::from([hop]),
        }
    }

    /// The same request written for a stream, with the datagram as the next best, if it is too large for one.
    pub(super) fn by_stream(
        &mut self,
        now: Instant,
        kind: Kind,
        request: &Addressed,
        purpose: Purpose,
    ) -> Option<(Addressed, VecDeque<Hop>)> {
        let mut hops = self.widen(now, kind, request.payload.len(), purpose, request.hop.clone());
        let hop = hops.pop_front().filter(|hop| hop.protocol != request.hop.protocol)?;
        let (addressed, contact) = self.readdress(&request.payload, hop, request.from, purpose)?;
        self.show_contact(purpose, contact);
        Some((addressed, hops))
    }

    /// Takes what is needed to try the next address, if this outcome asks for it.
    pub(super) fn spare_invite(
        &mut self,
        now: Instant,
        id: u64,
        report: Option<Report>,
        response: Option<&Message>,
    ) -> Option<Spare> {
        let unavailable = response.and_then(Message::status) == Some(StatusCode::SERVICE_UNAVAILABLE);
        match report {
            Some(Report::Timeout | Report::Transport) => self.spare(now, id, None),
            Some(Report::Failure) if unavailable => self.spare(now, id, response),
            _ => None,
        }
    }

    /// The same for other requests.
    pub(super) fn spare_other(&mut self, now: Instant, id: u64, report: Option<client::Report>) -> Option<Spare> {
        match report {
            Some(client::Report::Timeout | client::Report::Transport) => self.spare(now, id, None),
            _ => None,
        }
    }

    fn spare(&mut self, now: Instant, id: u64, response: Option<&Message>) -> Option<Spare> {
        let entry = self.clients.get_mut(id)?;
        let answered = !entry.answers.is_empty() || matches!(entry.purpose, Purpose::Forsaken);
        let address = entry.hop.address.socket().filter(|_| !answered)?;
        let span = response
            .and_then(|response| response.text(HeaderName::RetryAfter)?.split([';', ' ', '(']).next()?.parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(LONGEST_AVOIDED)));
        self.errands.push_back(Errand::Avoid { hop: entry.hop.clone(), span });
        let same = |other: &Hop| other.protocol == Protocol::Udp && other.address.socket() == Some(address);
        if entry.hop.protocol == Protocol::Tcp && entry.others.front().is_some_and(same) {
            // It was sent there for its size only (§18.1.1): UDP will do until the peer is asked again.
            self.datagram_only.note(address, now);
        }
        if entry.others.is_empty() || !matches!(entry.cancel, Cancel::No) {
            return None;
        }
        let spare = Spare {
            kind: entry.kind,
            request: entry.request.clone(),
            failed: entry.hop.clone(),
            others: std::mem::take(&mut entry.others),
            purpose: entry.purpose,
            from: entry.from,
            name: entry.name,
        };
        self.waits(spare.purpose, id).then_some(spare)
    }

    /// Does anybody still wait for this transaction?
    fn waits(&self, purpose: Purpose, id: u64) -> bool {
        match purpose {
            Purpose::Invite(leg) | Purpose::Reinvite(leg) => {
                self.legs.get(leg.0).is_some_and(|leg| leg.outgoing == Some(id) && !leg.cancelled)
            }
            Purpose::Bye(leg) | Purpose::Refresh(leg) => self.legs.get(leg.0).is_some(),
            Purpose::Forsaken => false,
            _ => true,
        }
    }

    /// Sends a request to its next address, after the attempt `before`.
    pub(super) fn retry(&mut self, now: Instant, spare: Spare, before: u64, why: &str) {
        if let Some(next) = spare.others.front() {
            self.note(spare.purpose, || format!("{}: {why}; next {next}", spare.failed));
        }
        if let Some(entry) = self.clients.get_mut(before) {
            // RFC 3263 §4.3: if the old server wakes up after all, it is cancelled or hung up, whatever it says.
            entry.purpose = Purpose::Forsaken;
            if matches!(entry.cancel, Cancel::No) {
                entry.cancel = Cancel::Wanted(super::Headers::new());
            }
        }
        self.launch(now, spare, before);
    }

    fn launch(&mut self, now: Instant, spare: Spare, before: u64) {
        let Spare { kind, request, mut others, purpose, from, name, .. } = spare;
        let Some(hop) = others.pop_front() else { return };
        let mut hops = self.widen(now, kind, request.len(), purpose, hop);
        let Some(hop) = hops.pop_front() else { return };
        hops.append(&mut others);
        let Some((addressed, contact)) = self.readdress(&request, hop, from, purpose) else { return };
        let id = self.open_client(now, kind, addressed, purpose, hops);
        if let Some(entry) = self.clients.get_mut(id) {
            entry.name = name;
        }
        if let Some(leg) = purpose.leg().and_then(|leg| self.legs.get_mut(leg.0))
            && leg.outgoing == Some(before)
        {
            leg.outgoing = Some(id);
        }
        self.show_contact(purpose, contact);
    }

    /// The Contact that the leg's peer was given.
    fn show_contact(&mut self, purpose: Purpose, contact: Option<String>) {
        if let Some(contact) = contact
            && let Some(leg) = purpose.leg().and_then(|leg| self.legs.get_mut(leg.0))
        {
            leg.contact = contact;
        }
    }

    /// The same request with a Via for another hop and a branch of its own, and the Contact that fits.
    fn readdress(
        &mut self,
        request: &Bytes,
        hop: Hop,
        from: Option<SocketAddr>,
        purpose: Purpose,
    ) -> Option<(Addressed, Option<String>)> {
        let message = Message::parse(request.clone()).ok()?;
        let branch = self.branch();
        let from = from.filter(|_| hop.protocol == Protocol::Udp);
        let path = self.path_of(purpose);
        let way = Way { hop: &hop, from, advertised: path.advertised.as_deref() };
        let uri = message.request_uri()?;
        let mut writer = Writer::request(&message.method(), uri);
        let mut contact = None;
        for (spelling, name, value) in message.headers() {
            match name {
                HeaderName::Via => {
                    writer.header("Via", compose::via_of(&self.settings, &way, &branch));
                }
                HeaderName::Contact => {
                    let old = NameAddr::parse(value).ok();
                    let user = old.as_ref().and_then(|old| old.uri().ok()).and_then(|uri| uri.user).unwrap_or_default();
                    let new = compose::contact_towards(&self.settings, &way, user, compose::ContactScheme::of(uri));
                    let behind = memchr::memchr(b'>', value).and_then(|at| value.get(at + 1..)).unwrap_or_default();
                    writer.header("Contact", [new.as_bytes(), behind].concat());
                    contact = Some(new);
                }
                HeaderName::ContentType => {}
                _ => {
                    writer.header(spelling, value);
                }
            }
        }
        if !message.body().is_empty() {
            let content_type = message.text(HeaderName::ContentType)?;
            writer.body(&content_type, message.body());
        }
        let payload = writer.finish();
        Some((Addressed { hop, from, branch, payload }, contact))
    }

    /// While there is another address, one that says nothing is not waited for as long as Timer B has it.
    pub(super) fn hasten(&mut self, now: Instant, id: u64) {
        let next_after = self.reach.next_after.min(self.timers().long());
        let hasty = |entry: &ClientEntry| entry.kind == Kind::Invite && !entry.others.is_empty();
        if self.clients.get(id).is_some_and(hasty) {
            self.arm(now, Owner::Client(id), Change::Keep, Change::Arm(Timer::B, next_after));
        }
    }

    /// How the peer of this request is reached.
    pub(super) fn path_of(&self, purpose: Purpose) -> Path {
        let leg = purpose.leg().and_then(|leg| self.legs.get(leg.0));
        leg.map(|leg| leg.path.clone()).unwrap_or_default()
    }

    fn note(&mut self, purpose: Purpose, words: impl FnOnce() -> String) {
        if let Purpose::Invite(leg) | Purpose::Reinvite(leg) = purpose {
            self.note_leg(leg, words());
        }
    }

    fn note_leg(&mut self, leg: LegId, note: String) {
        self.events.push_back(Event::Noted { leg, note });
    }
}

/// The branch of the first Via in the beginning of a message.
fn branch_of(quoted: &[u8]) -> Option<&[u8]> {
    let start = memmem::find(quoted, b";branch=")? + b";branch=".len();
    let rest = quoted.get(start..)?;
    let end = rest.iter().position(|byte| matches!(byte, b';' | b'\r' | b'\n' | b',' | b' '))?;
    rest.get(..end)
}

/// Nothing has failed yet.
fn no_hop() -> Hop {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    Hop { protocol: Protocol::Udp, address: HopAddress::Socket(nowhere), connection: None }
}
