//! The transactions as the endpoint keeps them: a state machine each, the bytes it may have to repeat, its two timers,
//! and whom its outcome concerns. Apart from the machines, which know neither bytes nor tables.

use super::super::auth::Tries;
use super::super::timer::{TimerKey, TimerWheel};
use super::super::transaction::client::Client;
use super::super::transaction::client_invite::ClientInvite;
use super::super::transaction::key::{Key, Kind};
use super::super::transaction::server::Server;
use super::super::transaction::server_invite::ServerInvite;
use super::super::transaction::{Change, ClientId, Timer};
use super::super::{Hop, Message, Transmit};
use super::{Endpoint, Headers, LegId};

use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// A timer in the wheel.
#[derive(Debug, Clone, Copy)]
pub(super) enum Alarm {
    /// Of a transaction.
    Transaction(Owner, Timer),
    /// The next repetition, or the end, of a leg's reliable provisional response.
    Provisional(LegId),
    /// The next refresh, or the end, of a leg's session.
    Session(LegId),
}

/// Whose timer it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    Client(u64),
    Server(u64),
}

/// The two timers that a transaction can have at a time.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    repeat: Option<TimerKey>,
    limit: Option<TimerKey>,
}

/// A client transaction.
#[derive(Debug)]
pub(super) struct ClientEntry {
    pub(super) machine: ClientMachine,
    pub(super) key: Key,
    pub(super) kind: Kind,
    /// What its outcome is known by: the first attempt's number, whichever address it goes to by now.
    pub(super) name: u64,
    pub(super) hop: Hop,
    /// Where it leaves from, if that matters.
    pub(super) from: Option<SocketAddr>,
    /// Whether a response came.
    pub(super) heard: bool,
    /// The addresses to try after this one.
    pub(super) others: VecDeque<Hop>,
    /// The request, while it may have to be repeated, or copied into an ACK or CANCEL.
    pub(super) request: Bytes,
    /// The ACK to a failure response.
    pub(super) ack: Option<Bytes>,
    /// The 2xx that came, one for each tag of To.
    pub(super) answers: Vec<Answer>,
    pub(super) purpose: Purpose,
    pub(super) cancel: Cancel,
    /// The challenges that were answered for it.
    pub(super) tries: Tries,
    pub(super) alarms: Alarms,
}

#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}

/// Whom the outcome of a client transaction concerns. The leg may be gone when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Invite(LegId),
    Reinvite(LegId),
    Bye(LegId),
    /// A request that changes no dialog: the layer above waits for its answer.
    Question(Option<LegId>),
    /// An INVITE that was sent to another address since: whatever comes of it is ended.
    Forsaken,
    /// A refresh of the session, by UPDATE or re-INVITE.
    Refresh(LegId),
    /// PRACK, CANCEL, and the BYE of a fork that lost: nobody waits.
    Nobody,
}

/// How far a CANCEL of an INVITE is.
#[derive(Debug)]
pub(super) enum Cancel {
    No,
    /// Waits for a provisional response (§9.1).
    Wanted(Headers),
    Sent,
}

/// A 2xx to our INVITE, and its ACK once there is one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) tag: Option<Box<[u8]>>,
    pub(super) ack: Option<Ack>,
}

/// An ACK to a 2xx, to be sent again whenever the 2xx comes again.
#[derive(Debug, Clone)]
pub(super) struct Ack {
    pub(super) hop: Hop,
    pub(super) from: Option<SocketAddr>,
    pub(super) payload: Bytes,
}

/// A server transaction.
#[derive(Debug)]
pub(super) struct ServerEntry {
    pub(super) machine: ServerMachine,
    pub(super) key: Option<Key>,
    pub(super) merge: Option<Key>,
    /// Where responses go.
    pub(super) hop: Hop,
    /// Where the request came from.
    pub(super) peer: SocketAddr,
    /// Where it came to.
    pub(super) local: SocketAddr,
    /// The request, until the final response.
    pub(super) request: Option<Box<Message>>,
    /// The last response, while it may have to be repeated.
    pub(super) response: Option<Bytes>,
    /// Our tag of To.
    pub(super) tag: String,
    pub(super) leg: Option<LegId>,
    pub(super) alarms: Alarms,
}

#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

// === impl Purpose ===

impl Purpose {
    /// The leg of whose dialog the request is. Those outside of all calls prove themselves: who asks keeps the nonces.
    pub(super) const fn leg(self) -> Option<LegId> {
        match self {
            Self::Invite(leg)
            | Self::Reinvite(leg)
            | Self::Refresh(leg)
            | Self::Bye(leg)
            | Self::Question(Some(leg)) => Some(leg),
            Self::Question(None) | Self::Forsaken | Self::Nobody => None,
        }
    }
}

// === impl Alarms ===

impl Alarms {
    fn change(&mut self, wheel: &mut TimerWheel<Alarm>, now: Instant, owner: Owner, repeat: Change, limit: Change) {
        for (slot, change) in [(&mut self.repeat, repeat), (&mut self.limit, limit)] {
            if change == Change::Keep {
                continue;
            }
            if let Some(key) = slot.take() {
                wheel.cancel(key);
            }
            if let Change::Arm(timer, after) = change {
                *slot = Some(wheel.insert(now + after, Alarm::Transaction(owner, timer)));
            }
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Sends a request; `from` is the address it has to leave from, if that matters.
    pub(super) fn send(&mut self, hop: Hop, from: Option<SocketAddr>, payload: Bytes, transaction: Option<u64>) {
        self.transmits.push_back(Transmit { hop, from, payload, transaction: transaction.map(ClientId) });
    }

    /// Sends a response from the address that its request came to.
    pub(super) fn send_back(&mut self, hop: Hop, from: SocketAddr, payload: Bytes) {
        self.transmits.push_back(Transmit { hop, from: Some(from), payload, transaction: None });
    }

    pub(super) fn arm(&mut self, now: Instant, owner: Owner, repeat: Change, limit: Change) {
        let alarms = match owner {
            Owner::Client(id) => self.clients.get_mut(id).map(|entry| &mut entry.alarms),
            Owner::Server(id) => self.servers.get_mut(id).map(|entry| &mut entry.alarms),
        };
        if let Some(alarms) = alarms {
            alarms.change(&mut self.wheel, now, owner, repeat, limit);
        }
    }

    pub(super) fn close_client(&mut self, now: Instant, id: u64) {
        self.arm(now, Owner::Client(id), Change::Stop, Change::Stop);
        if let Some(entry) = self.clients.remove(id) {
            self.client_index.remove(&entry.key);
        }
    }

    pub(super) fn close_server(&mut self, now: Instant, id: u64) {
        self.arm(now, Owner::Server(id), Change::Stop, Change::Stop);
        let Some(entry) = self.servers.remove(id) else { return };
        if let Some(key) = entry.key {
            self.server_index.remove(&key);
        }
        if let Some(merge) = entry.merge {
            self.merge_index.remove(&merge);
        }
    }
}
