//! Media: RTP and RTCP between the two legs. The protocol parts are sans-IO and get plain values; only `worker`, `socket`
//! and `plane` touch sockets, packets move on threads of their own, with no allocation and no lock per packet.

pub mod latch;
pub mod packet;
pub mod plane;
pub mod ports;
pub mod relay;
pub mod silence;
pub mod socket;
pub mod tone;
pub mod worker;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One side of a relay. `A` faces who called, `B` whom we called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The calling side.
    A,
    /// The called side.
    B,
}

/// Names a relay within its plane; never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayId(pub u64);

/// What one side of a relay accepts and where it sends, from the negotiated SDP.
#[derive(Debug, Clone)]
pub struct SideConfig {
    /// Where this side's peer wants its RTP; `None` before its SDP is known.
    pub remote: Option<SocketAddr>,
    /// Where this side's peer wants its RTCP (RFC 3605); `None` for `remote` port + 1.
    pub remote_rtcp: Option<SocketAddr>,
    /// Addresses a packet of this peer may come from besides `remote`'s own (its signalling address behind NAT).
    pub may_come_from: Vec<IpAddr>,
    /// Payload types received on this side → payload types sent on the other; `None` drops.
    pub payload_map: PayloadMap,
    /// May the peer of this side receive what the other side sends (its direction attribute)?
    pub send: Flow,
    /// May the peer of this side send?
    pub receive: Flow,
    /// What its datagrams are.
    pub traffic: Traffic,
}

/// What the datagrams of a side are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Traffic {
    /// RTP, and RTCP beside it.
    #[default]
    Rtp,
    /// Passed as they are, of whatever form: UDPTL (fax).
    Opaque,
}

/// Whether packets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Open,
    /// They are counted and dropped.
    Held,
}

/// Payload type of the receiving side → payload type of the sending side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadMap(pub Box<[Option<u8>; 128]>);

/// Deadlines of one side without any packet, each with its own clock.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From `watch` to the first packet.
    pub initial: Duration,
    /// Between packets.
    pub ongoing: Duration,
    /// Between packets while the side is held.
    pub held: Duration,
}

/// Packets counted by the worker, read by anyone.
///
/// Laid out so that what a packet counts (the first four) is one cache line: with thousands of streams each line is
/// fetched anew for each packet.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Counters {
    /// Per side: RTP packets received from the peer and accepted.
    pub received: [AtomicU64; 2],
    /// Per side: bytes of accepted packets.
    pub bytes: [AtomicU64; 2],
    /// Per side: RTP packets sent to the peer.
    pub sent: [AtomicU64; 2],
    /// Per side: accepted packets that could not be sent to the peer: it is not known yet, or the system refused.
    pub unsent: [AtomicU64; 2],
    /// Per side: packets refused: stranger, probation, unknown payload type, held, not RTP.
    pub dropped: [AtomicU64; 2],
    /// Per side: RTCP packets relayed to the peer.
    pub rtcp_sent: [AtomicU64; 2],
}

/// A plain copy of [`Counters`], indexed by [`Side::index`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Packets accepted from each side's peer.
    pub received: [u64; 2],
    /// Bytes accepted from each side's peer.
    pub bytes: [u64; 2],
    /// Packets sent to each side's peer.
    pub sent: [u64; 2],
    /// Accepted packets that could not be sent to each side's peer.
    pub unsent: [u64; 2],
    /// Packets refused on each side.
    pub dropped: [u64; 2],
    /// RTCP packets sent to each side's peer.
    pub rtcp_sent: [u64; 2],
}

/// What a worker tells the owner of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first accepted packet of this side's peer.
    FirstPacket {
        /// The owner's own token, as given to [`Plane::open`].
        owner: u64,
        /// Whose packet.
        side: Side,
    },
    /// A deadline of [`Timeouts`] passed for this side.
    Silent {
        /// The owner's own token.
        owner: u64,
        /// Who is silent.
        side: Side,
        /// Which clock ran out.
        clock: SilenceClock,
    },
}

/// The clock that ran out in [`MediaEvent::Silent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceClock {
    /// No first packet.
    Initial,
    /// Packets stopped.
    Ongoing,
    /// Packets stopped while held.
    Held,
}

/// What a [`Relay`] says to whatever moves its packets.
#[derive(Debug, Clone)]
pub enum RelayCommand {
    /// New negotiated state of one side. A changed `remote` unlocks that side's latch.
    Configure {
        /// The side.
        side: Side,
        /// Its new state.
        config: SideConfig,
    },
    /// Start the silence clocks (again).
    Watch(Timeouts),
    /// Forget the peer of this side: unlatch and wait for a new `Configure` (the leg behind it was replaced).
    Reset(Side),
    /// Play this to the peer of this side until the other side is heard.
    Play {
        /// Who hears it.
        side: Side,
        /// What.
        score: tone::Score,
    },
    /// Stop playing to the peer of this side.
    Quiet(Side),
    /// The relay ended: both port pairs go to rest.
    Close,
}

/// Moves packets: the real one is [`plane::SocketPlane`]; the simulation has its own that only counts ports.
pub trait Plane {
    /// Opens a relay with one RTP and one RTCP port on each side. `owner` comes back in every [`MediaEvent`].
    ///
    /// # Errors
    /// [`PortsExhausted`] when no pair of ports is free or can be bound.
    fn open(&mut self, owner: u64) -> Result<Relay, PortsExhausted>;

    /// Ports that belong to open relays now.
    fn ports_in_use(&self) -> usize;

    /// Is there room for another relay?
    fn has_room(&self) -> bool {
        true
    }
}

/// No free pair of media ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no free pair of media ports in {first}-{last}: widen [media] ports")]
pub struct PortsExhausted {
    /// First port of the range.
    pub first: u16,
    /// Last port of the range.
    pub last: u16,
}

/// Receives the commands of relays.
pub trait RelaySink {
    /// Takes one command. `Close` is the last for its relay.
    fn command(&self, relay: RelayId, command: RelayCommand);
}

/// A guard: two port pairs and their worker slot. Dropping it frees them.
pub struct Relay {
    id: RelayId,
    ports: [u16; 2],
    counters: Arc<Counters>,
    sink: Rc<dyn RelaySink>,
}

// === impl Side ===

impl Side {
    /// 0 for `A`, 1 for `B`.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// Of two things, `A`'s and `B`'s, this side's.
    #[must_use]
    pub const fn of<T>(self, pair: &[T; 2]) -> &T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }

    /// The opposite side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

// === impl PayloadMap ===

impl PayloadMap {
    /// Nothing passes.
    #[must_use]
    pub fn closed() -> Self {
        Self(Box::new([None; 128]))
    }

    /// Every payload type passes as it is.
    #[must_use]
    pub fn identity() -> Self {
        let mut map = Self::closed();
        for (number, slot) in map.0.iter_mut().enumerate() {
            *slot = u8::try_from(number).ok();
        }
        map
    }

    /// Adds or replaces one pair; numbers above 127 are ignored.
    pub fn set(&mut self, received: u8, sent: u8) {
        if let Some(slot) = self.0.get_mut(usize::from(received)) {
            *slot = Some(sent & 0x7f);
        }
    }
}

// === impl Counters ===

impl Counters {
    /// Reads all counters.
    #[must_use]
    pub fn read(&self) -> Counts {
        let pair = |counter: &[AtomicU64; 2]| {
            let [a, b] = counter;
            [a.load(Ordering::Relaxed), b.load(Ordering::Relaxed)]
        };
        Counts {
            received: pair(&self.received),
            bytes: pair(&self.bytes),
            sent: pair(&self.sent),
            unsent: pair(&self.unsent),
            dropped: pair(&self.dropped),
            rtcp_sent: pair(&self.rtcp_sent),
        }
    }
}

// === impl Relay ===

impl Relay {
    /// For planes: a guard over ports already taken.
    #[must_use]
    pub fn new(id: RelayId, ports: [u16; 2], counters: Arc<Counters>, sink: Rc<dyn RelaySink>) -> Self {
        Self { id, ports, counters, sink }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RelayId {
        self.id
    }

    /// Our RTP port that the peer of `side` sends to; RTCP is the next one.
    #[must_use]
    pub fn port(&self, side: Side) -> u16 {
        *side.of(&self.ports)
    }

    /// Sends a command; `Close` is sent by dropping the guard instead.
    pub fn command(&self, command: RelayCommand) {
        self.sink.command(self.id, command);
    }

    /// Packets so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.sink.command(self.id, RelayCommand::Close);
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("id", &self.id).field("ports", &self.ports).finish_non_exhaustive()
    }
}
