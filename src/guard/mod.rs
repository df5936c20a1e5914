//! The guard: what strangers may do before anybody reads what they say. It stands before parsing and before the calls, so
//! that a flood costs nanoseconds a packet and a fixed amount of memory, however many addresses it pretends to come from.
//!
//! A stranger is whoever is no peer of a trunk and has not been spoken to by us. Over UDP a source address can be written
//! by anybody, so nothing that comes in the name of a peer can be held against it: peers have no bucket here, collect no
//! strikes and are never banned. Their limits are those of their trunk.

mod bucket;
mod explicit;
mod known;
mod pending;
mod signature;
mod table;

use crate::config;
use bucket::Bucket;
use explicit::Explicit;
use ipnet::IpNet;
use known::{Acquainted, Peers};
use pending::HalfOpen;
use signature::Signatures;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use table::{Charge, Table};

pub use pending::Pending;

/// Why something was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its source is in `deny`.
    Denied,
    /// Its source is banned.
    Banned,
    /// Its source sends too fast.
    Rate,
    /// All strangers together send new requests too fast.
    RateAll,
    /// Its `User-Agent` is that of a scanner.
    Scanner,
    /// Its source is no peer, and `unknown` is `drop`.
    Unknown,
    /// Its source has too many INVITEs without a final response.
    HalfOpen,
}

/// What a stranger did that counts towards a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A new request that was refused, or dropped.
    Refused,
    /// Credentials that were wrong.
    Login,
    /// The `User-Agent` of a scanner; bans at once.
    Scanner,
}

/// A source that is not listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Which addresses.
    pub source: IpNet,
    /// For what: `refused`, `login`, `scanner`, `operator`.
    pub reason: &'static str,
    /// How much longer.
    pub left: Duration,
}

/// Who a TCP connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A peer, or somebody we spoke to.
    Known,
    /// Somebody else, who may have so many connections.
    Stranger(u32),
}

/// Why a ban by hand was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbannable {
    /// It would cover a peer of a trunk.
    #[error("it covers a peer of a trunk, and peers are never banned")]
    Peer,
    /// There are as many bans by hand as fit.
    #[error("there are too many bans by hand; lift some first, or use `deny` of [guard]")]
    Full,
}

/// The guard of one configuration. What it remembers is shared with the guard of the next one.
#[derive(Debug)]
pub struct Guard {
    settings: config::guard::Guard,
    peers: Peers,
    deny: Vec<IpNet>,
    signatures: Signatures,
    memory: Arc<Memory>,
}

/// What outlives a reload.
#[derive(Debug, Default)]
struct Memory {
    base: OnceLock<Instant>,
    strangers: Table,
    all: Bucket,
    explicit: Explicit,
    acquainted: Acquainted,
    half_open: Arc<HalfOpen>,
}

// === impl Guard ===

impl Guard {
    /// For these peers.
    #[must_use]
    pub fn new(settings: &config::guard::Guard, peers: &[IpNet]) -> Self {
        Self::with(settings, peers, Arc::default())
    }

    /// The same after a reload, or when names of peers got other addresses: bans stay.
    #[must_use]
    pub fn after(previous: &Self, settings: &config::guard::Guard, peers: &[IpNet]) -> Self {
        Self::with(settings, peers, Arc::clone(&previous.memory))
    }

    fn with(settings: &config::guard::Guard, peers: &[IpNet], memory: Arc<Memory>) -> Self {
        Self {
            peers: Peers::new(peers),
            deny: settings.deny.iter().map(|network| network.0).collect(),
            signatures: Signatures::new(&settings.scanners),
            settings: settings.clone(),
            memory,
        }
    }

    /// May these bytes be read? Asked for each datagram and each framed message before it is parsed.
    ///
    /// # Errors
    /// Why not; they are to be dropped without a word.
    pub fn packet(&self, now: Instant, source: IpAddr, bytes: &[u8]) -> Result<(), Refusal> {
        let source = source.to_canonical();
        if self.knows(source) {
            return Ok(());
        }
        self.listed(now, source)?;
        // A response does nothing unless it fits a request of ours, and we may be waiting for it.
        let response = bytes.starts_with(b"SIP/2.0");
        let charge = if response || self.settings.rate == 0 { Charge::Nothing } else { self.charge() };
        self.memory.strangers.take(self.at(now), subject(source), charge)?;
        if !response && self.signatures.match_in(bytes) {
            self.strike(now, source, Offence::Scanner, 0);
            return Err(Refusal::Scanner);
        }
        Ok(())
    }

    /// May this source open a TCP connection, and how many?
    ///
    /// # Errors
    /// It is denied or banned.
    pub fn connection(&self, now: Instant, source: IpAddr) -> Result<Caller, Refusal> {
        let source = source.to_canonical();
        if self.knows(source) {
            return Ok(Caller::Known);
        }
        self.listed(now, source)?;
        self.memory.strangers.take(self.at(now), subject(source), Charge::Nothing)?;
        Ok(Caller::Stranger(self.settings.connections))
    }

    /// Is it neither a peer nor somebody we spoke to?
    #[must_use]
    pub fn is_stranger(&self, source: IpAddr) -> bool {
        !self.knows(source.to_canonical())
    }

    /// A new request of a stranger, `call` being its Call-ID: counts towards its ban and asks what to do with it.
    ///
    /// # Errors
    /// It is to be dropped without a word.
    pub fn new_request(&self, now: Instant, source: IpAddr, call: &[u8]) -> Result<(), Refusal> {
        if !self.memory.all.take(self.at(now), self.settings.rate_all, 1) {
            return Err(Refusal::RateAll);
        }
        self.strike(now, source, Offence::Refused, self.memory.strangers.mark(call));
        match self.settings.unknown {
            config::guard::Unknown::Drop => Err(Refusal::Unknown),
            config::guard::Unknown::Refuse => Ok(()),
        }
    }

    /// Somebody gave wrong credentials; peers are forgiven, as their address can be forged.
    pub fn failed_login(&self, now: Instant, source: IpAddr) {
        self.strike(now, source, Offence::Login, 0);
    }

    /// We sent a request there: what comes back is expected.
    pub fn acquaint(&self, address: IpAddr) {
        let address = address.to_canonical();
        if !self.peers.contains(address) {
            self.memory.acquainted.insert(address);
        }
    }

    /// A place for an INVITE of this source until it has its final response.
    ///
    /// # Errors
    /// Too many wait already.
    pub fn pending(&self, source: IpAddr) -> Result<Pending, Refusal> {
        HalfOpen::admit(&self.memory.half_open, subject(source.to_canonical()), self.settings.half_open)
            .ok_or(Refusal::HalfOpen)
    }

    /// All bans that are in force.
    #[must_use]
    pub fn bans(&self, now: Instant) -> Vec<Ban> {
        let at = self.at(now);
        let mut bans = self.memory.explicit.list(at);
        bans.extend(self.memory.strangers.bans(at));
        bans
    }

    /// Bans by hand.
    ///
    /// # Errors
    /// It cannot be.
    pub fn ban(&self, now: Instant, source: IpNet, time: Option<Duration>) -> Result<(), Unbannable> {
        if self.peers.overlaps(&source) {
            return Err(Unbannable::Peer);
        }
        let time = time.unwrap_or_else(|| self.settings.ban_time.get());
        let until = self.at(now).saturating_add(nanos(time));
        if self.memory.explicit.insert(self.at(now), source, until) { Ok(()) } else { Err(Unbannable::Full) }
    }

    /// Lifts every ban that lies within `source`; says whether there was one.
    pub fn unban(&self, now: Instant, source: IpNet) -> bool {
        let explicit = self.memory.explicit.remove(source);
        let strangers = self.memory.strangers.pardon(self.at(now), source);
        explicit || strangers
    }

    fn knows(&self, source: IpAddr) -> bool {
        self.peers.contains(source) || self.memory.acquainted.contains(source)
    }

    /// The lists that were written by hand.
    fn listed(&self, now: Instant, source: IpAddr) -> Result<(), Refusal> {
        if self.deny.iter().any(|net| net.contains(&source)) {
            return Err(Refusal::Denied);
        }
        if self.memory.explicit.contains(source, || self.at(now)) {
            return Err(Refusal::Banned);
        }
        Ok(())
    }

    fn strike(&self, now: Instant, source: IpAddr, offence: Offence, mark: u64) {
        let source = source.to_canonical();
        let after = match offence {
            Offence::Scanner => self.settings.ban_after.min(1),
            Offence::Refused | Offence::Login => self.settings.ban_after,
        };
        if after == 0 || self.knows(source) {
            return;
        }
        let rule = table::Rule {
            after,
            window: nanos(self.settings.ban_window.get()),
            time: nanos(self.settings.ban_time.get()),
        };
        if self.memory.strangers.strike(self.at(now), subject(source), offence, mark, &rule) {
            tracing::debug!(%source, ?offence, "a stranger is banned");
        }
    }

    fn charge(&self) -> Charge {
        Charge::Message { rate: self.settings.rate }
    }

    /// Nanoseconds since the guard was first asked.
    fn at(&self, now: Instant) -> u64 {
        // One second on the clock already, so that nothing that was never set looks recent.
        nanos(now.saturating_duration_since(*self.memory.base.get_or_init(|| now))).saturating_add(SECOND)
    }
}

// === impl Refusal, Offence ===

impl Refusal {
    /// The label of the metric.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Denied => "source_denied",
            Self::Banned => "source_banned",
            Self::Rate => "source_rate",
            Self::RateAll => "strangers_rate",
            Self::Scanner => "scanner",
            Self::Unknown => "unknown_source",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Offence {
    /// The reason that a ban shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Login => "login",
            Self::Scanner => "scanner",
        }
    }
}

const SECOND: u64 = 1_000_000_000;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whom something is counted for: an IPv4 address, or the /64 of IPv6 that one host has for itself. IPv4 is mapped into
/// `::ffff:0:0/96`, which no IPv6 host's /64 is.
fn subject(source: IpAddr) -> u128 {
    match source {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

/// The network that a subject stands for.
fn network(subject: u128) -> IpNet {
    match IpAddr::V6(Ipv6Addr::from_bits(subject)).to_canonical() {
        IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            IpNet::new(IpAddr::V6(address), 64).unwrap_or_else(|_| IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
        }
    }
}

#[cfg(test)]
mod tests;
