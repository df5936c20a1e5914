//! Whose packets a side takes, and where it sends: symmetric RTP (RFC 4961) that only ever follows a source which the
//! signalling allows. Apart from the relay because this is the whole defence against RTP bleed (CVE-2017-14114) and
//! stale streams, so it is a table that is tested row by row.

use super::packet::Stamp;
use std::net::{IpAddr, SocketAddr};

/// Packets in a row that a source other than the declared one must send before it is believed.
pub const PROBATION: u8 = 3;

/// The latch of one side: closed until the peer's SDP is known, locked to one source after that.
///
/// What every packet asks for stands apart from the terms, so that a packet fetches one cache line and not four.
#[derive(Debug, Default)]
pub struct Latch {
    /// The source that is believed, or what the peer's SDP declares while none is.
    target: Option<SocketAddr>,
    locked: bool,
    terms: Box<Terms>,
}

/// What signalling allows, and what was learned under it.
#[derive(Debug, Default)]
struct Terms {
    /// What the peer's SDP declares.
    declared: Option<SocketAddr>,
    candidate: Option<Candidate>,
    may_come_from: Vec<IpAddr>,
    /// No call has this port.
    resting: bool,
    stale: Option<Stale>,
    /// Where RTCP really comes from.
    rtcp_locked: Option<SocketAddr>,
    rtcp_declared: Option<SocketAddr>,
}

/// A stream that still came in while the ports were at rest: the last call's, whose end its sender has not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stale {
    /// Where it came from.
    source: SocketAddr,
    /// Its synchronisation source: the same device calling again picks another (RFC 3550 §8).
    ssrc: u32,
}

/// What becomes of one RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// From the locked source.
    Accepted,
    /// This packet locked the latch to its source.
    Latched,
    /// Its source may be the peer, but has not shown it yet.
    Probation,
    /// Not from where signalling allows, or after another source was locked.
    Stranger,
}

/// A source on probation.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    /// The sequence number that continues the row.
    next: u16,
    /// Packets in the row so far.
    row: u8,
}

// === impl Latch ===

impl Latch {
    /// Nobody's: forgets everything, and remembers what comes in from now on so that the next call refuses it.
    pub fn rest(&mut self) {
        *self = Self::default();
        self.terms.resting = true;
    }

    /// Somebody's, whose SDP is not known yet.
    pub fn wake(&mut self) {
        self.terms.resting = false;
    }

    /// Takes what the peer's SDP declares. Another RTP address than before unlocks; the same one changes nothing that
    /// was learned. An unspecified address or port 0 (old hold, RFC 3264 §8.4; a refused stream, §6) is none.
    pub fn declare(&mut self, rtp: Option<SocketAddr>, rtcp: Option<SocketAddr>, may_come_from: Vec<IpAddr>) {
        let rtp = rtp.filter(usable).map(canonical);
        let rtcp = rtcp.filter(usable).map(canonical);
        let terms = &mut *self.terms;
        terms.may_come_from = may_come_from;
        terms.may_come_from.iter_mut().for_each(|address| *address = address.to_canonical());
        if rtp != terms.declared {
            self.locked = false;
            self.target = rtp;
            terms.declared = rtp;
            terms.candidate = None;
            terms.rtcp_locked = None;
        }
        if rtcp != terms.rtcp_declared {
            terms.rtcp_locked = None;
        }
        terms.rtcp_declared = rtcp;
    }

    /// Judges an RTP packet. `source` must be [`canonical`].
    #[inline]
    pub fn admit(&mut self, source: SocketAddr, stamp: Stamp) -> Admission {
        if self.locked && self.target == Some(source) { Admission::Accepted } else { self.consider(source, stamp) }
    }

    /// Judges an RTCP packet: from the declared RTCP address, or once RTP is locked from the address that it comes from.
    /// `source` must be [`canonical`].
    pub fn admit_rtcp(&mut self, source: SocketAddr) -> bool {
        let locked = self.locked();
        let terms = &mut *self.terms;
        if terms.rtcp_locked == Some(source) {
            return true;
        }
        if terms.declared_rtcp().is_some_and(|declared| same(declared, source)) {
            terms.rtcp_locked = Some(source);
            return true;
        }
        let beside_rtp = locked.is_some_and(|locked| locked.ip() == source.ip());
        if beside_rtp && terms.rtcp_locked.is_none() {
            terms.rtcp_locked = Some(source);
        }
        beside_rtp
    }

    /// Is this the peer's RTP source or the one that it declares? For RTCP that shares the RTP port.
    #[must_use]
    pub fn knows(&self, source: SocketAddr) -> bool {
        self.locked() == Some(source) || self.terms.declared.is_some_and(|declared| same(declared, source))
    }

    /// Where this peer's RTP goes: where its own comes from, and until then where its SDP asks for it.
    #[inline]
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.target
    }

    /// Where this peer's RTCP goes. Behind a NAT the declared address leads nowhere, so the port after the RTP source
    /// stands in until RTCP has come from somewhere (RFC 3550 §11).
    #[must_use]
    pub fn rtcp_target(&self) -> Option<SocketAddr> {
        let declared = self.terms.declared?;
        if self.terms.rtcp_locked.is_some() {
            return self.terms.rtcp_locked;
        }
        match self.locked() {
            Some(locked) if !same(locked, declared) => next_port(locked),
            _ => self.terms.declared_rtcp(),
        }
    }

    /// Is the peer's SDP known?
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.terms.declared.is_some()
    }

    fn locked(&self) -> Option<SocketAddr> {
        self.target.filter(|_| self.locked)
    }

    /// Every packet that is not from the locked source.
    #[cold]
    fn consider(&mut self, source: SocketAddr, stamp: Stamp) -> Admission {
        let terms = &mut *self.terms;
        let Some(declared) = terms.declared else {
            if terms.resting {
                terms.stale = Some(Stale { source, ssrc: stamp.ssrc });
            }
            return Admission::Stranger;
        };
        if same(source, declared) {
            // The declared address needs no probation, unless it is to take over from a source that passed one: then a
            // single forged packet must not be enough. Packets of the locked source in between do not break its row,
            // or a stale stream that was faster than the peer could keep the peer out for ever.
            if !self.locked {
                return self.lock(source);
            }
        } else {
            let address = source.ip();
            let allowed = address == declared.ip() || terms.may_come_from.contains(&address);
            let stale = terms.stale == Some(Stale { source, ssrc: stamp.ssrc });
            if self.locked || !allowed || stale {
                return Admission::Stranger;
            }
        }
        let row = match terms.candidate {
            Some(Candidate { source: known, ssrc, next, row })
                if known == source && ssrc == stamp.ssrc && next == stamp.sequence =>
            {
                row + 1
            }
            _ => 1,
        };
        if row >= PROBATION {
            return self.lock(source);
        }
        terms.candidate = Some(Candidate { source, ssrc: stamp.ssrc, next: stamp.sequence.wrapping_add(1), row });
        Admission::Probation
    }

    fn lock(&mut self, source: SocketAddr) -> Admission {
        self.target = Some(source);
        self.locked = true;
        self.terms.candidate = None;
        self.terms.rtcp_locked = None;
        Admission::Latched
    }
}

// === impl Terms ===

impl Terms {
    fn declared_rtcp(&self) -> Option<SocketAddr> {
        self.rtcp_declared.or_else(|| self.declared.and_then(next_port))
    }
}

/// An address in the one form that comparisons use: IPv4 as IPv4 though it came through a dual-stack socket, no flow label.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(mut v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => {
                v6.set_flowinfo(0);
                SocketAddr::V6(v6)
            }
        },
    }
}

/// SDP carries no scope, so a link-local source may differ from its declaration by that.
fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip() == other.ip()
}

fn usable(address: &SocketAddr) -> bool {
    address.port() != 0 && !address.ip().to_canonical().is_unspecified()
}

fn next_port(mut address: SocketAddr) -> Option<SocketAddr> {
    address.set_port(address.port().checked_add(1)?);
    Some(address)
}

#[cfg(test)]
#[path = "latch_tests.rs"]
mod tests;
