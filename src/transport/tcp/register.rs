//! Which connections there are, how each is found, and how many a peer may have. Apart from the tasks, because it is
//! the only state they share: plain maps under one lock.

use super::connection::Outgoing;
use super::{Census, Settings, Welcome};
use crate::sip::{ConnectionId, Hop, HopAddress, Protocol};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// Process-wide: an id of a connection that is gone must never name another one, of whatever hub.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// All connections of a hub.
#[derive(Default)]
pub(super) struct Register {
    connections: HashMap<ConnectionId, Entry>,
    /// Every address that a connection can be found under.
    reach: HashMap<Door, ConnectionId>,
    inbound_per_source: HashMap<IpAddr, usize>,
    inbound: usize,
    refused: u64,
    closed: bool,
    /// One task per listener.
    pub(super) acceptors: JoinSet<()>,
    /// One task per connection.
    pub(super) tasks: JoinSet<()>,
}

/// What a connection can be found under. A connection over TLS that was opened for a name serves that name alone: its
/// certificate was for no other (RFC 5923 §6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Door {
    protocol: Protocol,
    address: HopAddress,
}

struct Entry {
    queue: mpsc::Sender<Outgoing>,
    stop: Arc<Notify>,
    addresses: Vec<Door>,
    /// Who opened it, if a peer did.
    inbound: Option<IpAddr>,
}

/// A connection's own end of its entry.
pub(super) struct Place {
    pub(super) id: ConnectionId,
    /// Ends without a message only when the hub closes: then what is queued is written and the stream closed.
    pub(super) queue: mpsc::Receiver<Outgoing>,
    /// Ends the connection at once.
    pub(super) stop: Arc<Notify>,
}

/// What became of a message.
pub(super) enum Found {
    /// It waits in the queue of a connection.
    Queued,
    /// It cannot be sent.
    Refused(Outgoing),
    /// There is no connection for it yet.
    Nothing(Outgoing),
}

// === impl Door ===

impl Door {
    /// Where a hop leads.
    pub(super) fn of(hop: &Hop) -> Self {
        let address = match (&hop.address, hop.protocol) {
            (HopAddress::Server { address, .. }, Protocol::Tcp | Protocol::Udp) => HopAddress::Socket(*address),
            (address, _) => address.clone(),
        };
        Self { protocol: hop.protocol, address }
    }

    /// A peer's own end.
    pub(super) fn peer(protocol: Protocol, peer: SocketAddr) -> Self {
        Self { protocol, address: HopAddress::Socket(peer) }
    }
}

// === impl Register ===
impl Register {
    /// Queues on the connection that the hop names, or on one that reaches its address.
    pub(super) fn enqueue(&mut self, outgoing: Outgoing) -> Found {
        if self.closed {
            return Found::Refused(outgoing);
        }
        let hop = &outgoing.transmit.hop;
        let named = hop.connection.filter(|id| self.connections.contains_key(id));
        let Some(id) = named.or_else(|| self.reach.get(&Door::of(hop)).copied()) else {
            return Found::Nothing(outgoing);
        };
        let Some(entry) = self.connections.get(&id) else { return Found::Nothing(outgoing) };
        match entry.queue.try_send(outgoing) {
            Ok(()) => Found::Queued,
            // The peer does not read: whatever we say to it is late, and a new connection may be better.
            Err(mpsc::error::TrySendError::Full(outgoing)) => {
                entry.stop.notify_one();
                self.forget(id);
                Found::Refused(outgoing)
            }
            // Its task has just ended without having been here yet.
            Err(mpsc::error::TrySendError::Closed(outgoing)) => {
                self.forget(id);
                Found::Nothing(outgoing)
            }
        }
    }

    /// A place for a connection of ours to `address`, with its first message; the message comes back if it cannot be.
    pub(super) fn open(&mut self, door: Door, queue: usize, first: Outgoing) -> (Option<Place>, Option<Outgoing>) {
        if self.closed {
            return (None, Some(first));
        }
        let place = self.enter(vec![door], queue, None);
        let Some(entry) = self.connections.get(&place.id) else { return (Some(place), Some(first)) };
        let refused = match entry.queue.try_send(first) {
            Ok(()) => None,
            Err(refused) => Some(refused.into_inner()),
        };
        (Some(place), refused)
    }

    /// A place for a connection that a peer opened; `None` if it has too many, or all together do.
    pub(super) fn admit(
        &mut self,
        door: Door,
        peer: SocketAddr,
        welcome: Welcome,
        settings: &Settings,
    ) -> Option<Place> {
        let source = source_of(peer.ip());
        let own = self.inbound_per_source.get(&source).copied().unwrap_or(0);
        let (all, each) = match welcome {
            Welcome::Peer => (settings.inbound, settings.inbound_per_source),
            // What strangers leave is enough for the peers.
            Welcome::Stranger { at_once } => (settings.inbound / 2, at_once.min(settings.inbound_per_source)),
            Welcome::Nobody => (0, 0),
        };
        if self.closed || self.inbound >= all || own >= each {
            self.refused += 1;
            return None;
        }
        self.inbound += 1;
        self.inbound_per_source.insert(source, own + 1);
        Some(self.enter(vec![door], settings.queue, Some(source)))
    }

    fn enter(&mut self, addresses: Vec<Door>, queue: usize, inbound: Option<IpAddr>) -> Place {
        // Finished tasks stay in the set until they are joined.
        while self.tasks.try_join_next().is_some() {}
        let id = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = mpsc::channel(queue.max(1));
        let stop = Arc::new(Notify::new());
        for address in &addresses {
            self.reach.insert(address.clone(), id);
        }
        self.connections.insert(id, Entry { queue: sender, stop: Arc::clone(&stop), addresses, inbound });
        Place { id, queue: receiver, stop }
    }

    /// Takes a connection off; nothing more is queued on it.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.remove(&id) else { return };
        for address in &entry.addresses {
            if self.reach.get(address) == Some(&id) {
                self.reach.remove(address);
            }
        }
        let Some(source) = entry.inbound else { return };
        self.inbound = self.inbound.saturating_sub(1);
        if let Some(own) = self.inbound_per_source.get_mut(&source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.inbound_per_source.remove(&source);
            }
        }
    }

    /// Nothing is queued or admitted any more; hands the tasks out to be waited for or aborted.
    pub(super) fn close(&mut self) -> (JoinSet<()>, JoinSet<()>) {
        self.closed = true;
        self.connections.clear();
        self.reach.clear();
        self.inbound_per_source.clear();
        self.inbound = 0;
        (std::mem::take(&mut self.acceptors), std::mem::take(&mut self.tasks))
    }

    pub(super) fn census(&self) -> Census {
        let outbound = self.connections.len().saturating_sub(self.inbound);
        Census { inbound: self.inbound, outbound, refused: self.refused }
    }
}

/// What counts as one source: an IPv4 address, or the /64 of IPv6 that one host has for itself.
fn source_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}
