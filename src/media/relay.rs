//! What a relay does with each packet, without sockets: who may speak, under which payload type it goes on, and where
//! to. Apart from the worker so that every rule of it is tested without a thread, and so that the worker is system
//! calls and nothing else.

use super::latch::{Admission, Latch, Stale};
use super::packet::{self, Datagram, Renumbering, Stamp};
use super::silence::{Expectation, Silence};
use super::{Counters, Flow, MediaEvent, Side, SideConfig, Timeouts};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One of the two ports of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The even port.
    Rtp,
    /// The next one.
    Rtcp,
}

/// The packets of one call, both ways.
#[derive(Debug)]
pub struct Forwarder {
    owner: u64,
    counters: Arc<Counters>,
    halves: [Half; 2],
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where it goes; `None` when it ends here.
    pub forward: Option<Forward>,
    /// It is the first one that was accepted from this side's peer.
    pub first: bool,
}

/// A packet to be sent by the other side's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Which socket of the other side.
    pub channel: Channel,
    /// To whom.
    pub to: SocketAddr,
}

/// One side: what its peer may do, and how the peer is reached.
#[derive(Debug)]
struct Half {
    latch: Latch,
    renumbering: Renumbering,
    /// May the peer be sent what the other side says?
    send: Flow,
    /// May the peer send?
    receive: Flow,
    /// Anything came from the peer since the last sweep.
    heard: bool,
    /// An RTP packet of the peer was accepted.
    started: bool,
    silence: Option<Silence>,
}

const ENDS_HERE: Step = Step { forward: None, first: false };

// === impl Forwarder ===

impl Forwarder {
    /// A relay whose sides are both unknown: everything is refused. `stale` is what was heard on each side's RTP port
    /// while it rested.
    #[must_use]
    pub fn new(owner: u64, counters: Arc<Counters>, stale: [Option<Stale>; 2]) -> Self {
        Self { owner, counters, halves: stale.map(|stale| Half::new(Latch::new(stale))) }
    }

    /// The owner's token.
    #[must_use]
    pub fn owner(&self) -> u64 {
        self.owner
    }

    /// A datagram came in on the RTP port of `side`; its payload type is renumbered in place. `source` must be
    /// [canonical](super::latch::canonical).
    pub fn rtp(&mut self, side: Side, source: SocketAddr, packet: &mut [u8]) -> Step {
        match packet::datagram(packet) {
            Datagram::Rtp(stamp) => self.speech(side, source, stamp, packet),
            Datagram::Rtcp if self.halves(side).0.latch.knows(source) => self.report(side),
            Datagram::Rtcp | Datagram::Other => self.refuse(side),
        }
    }

    /// A datagram came in on the RTCP port of `side`. `source` must be [canonical](super::latch::canonical).
    pub fn rtcp(&mut self, side: Side, source: SocketAddr, packet: &[u8]) -> Step {
        if packet::rtcp(packet) && self.halves_mut(side).0.latch.admit_rtcp(source) {
            self.report(side)
        } else {
            self.refuse(side)
        }
    }

    /// Counts a packet that was, or could not be, sent to the peer of `side`.
    pub fn sent(&self, side: Side, channel: Channel, result: &std::io::Result<()>) {
        count(match (result, channel) {
            (Err(_), _) => of(&self.counters.unsent, side),
            (Ok(()), Channel::Rtp) => of(&self.counters.sent, side),
            (Ok(()), Channel::Rtcp) => of(&self.counters.rtcp_sent, side),
        });
    }

    /// Takes new negotiated state of one side.
    pub fn configure(&mut self, side: Side, config: SideConfig) {
        let (half, _) = self.halves_mut(side);
        half.latch.declare(config.remote, config.remote_rtcp, config.may_come_from);
        half.renumbering = Renumbering::from(&config.payload_map);
        half.send = config.send;
        half.receive = config.receive;
    }

    /// Forgets the peer of one side; its silence clocks wait for the next one.
    pub fn reset(&mut self, side: Side) {
        let (half, _) = self.halves_mut(side);
        *half = Half { silence: half.silence, ..Half::new(Latch::default()) };
    }

    /// Starts the silence clocks of both sides, again if they run.
    pub fn watch(&mut self, timeouts: Timeouts, now: Instant) {
        for half in &mut self.halves {
            half.heard = false;
            half.silence = Some(Silence::watch(timeouts, half.expectation(), now));
        }
    }

    /// Do silence clocks run?
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.halves.iter().any(|half| half.silence.is_some())
    }

    /// Looks at the silence clocks and tells those that ran out.
    pub fn sweep(&mut self, now: Instant, tell: &dyn Fn(MediaEvent)) {
        for side in [Side::A, Side::B] {
            let owner = self.owner;
            let (half, _) = self.halves_mut(side);
            let heard = std::mem::take(&mut half.heard);
            let expectation = half.expectation();
            let clock = half.silence.as_mut().and_then(|silence| silence.look(now, heard, expectation));
            if let Some(clock) = clock {
                tell(MediaEvent::Silent { owner, side, clock });
            }
        }
    }

    /// RTP: every packet is either received or dropped, and every received one is sent or unsent on the other side.
    fn speech(&mut self, side: Side, source: SocketAddr, stamp: Stamp, packet: &mut [u8]) -> Step {
        let (near, far) = self.halves_mut(side);
        match near.latch.admit(source, stamp) {
            Admission::Accepted | Admission::Latched => near.heard = true,
            Admission::Probation | Admission::Stranger => return self.refuse(side),
        }
        let may_pass = near.receive == Flow::Open && far.send == Flow::Open;
        if !may_pass || !near.renumbering.apply(packet) {
            return self.refuse(side);
        }
        let first = !std::mem::replace(&mut near.started, true);
        let forward = far.latch.target().map(|to| Forward { channel: Channel::Rtp, to });
        count(of(&self.counters.received, side));
        add(of(&self.counters.bytes, side), packet.len());
        if forward.is_none() {
            count(of(&self.counters.unsent, side.other()));
        }
        Step { forward, first }
    }

    /// RTCP of a known source. It flows while held too (RFC 3264 §5.1).
    fn report(&mut self, side: Side) -> Step {
        let (near, far) = self.halves_mut(side);
        near.heard = true;
        let forward = far.latch.rtcp_target().map(|to| Forward { channel: Channel::Rtcp, to });
        Step { forward, first: false }
    }

    fn refuse(&self, side: Side) -> Step {
        count(of(&self.counters.dropped, side));
        ENDS_HERE
    }

    /// This side's half and the other one.
    fn halves(&self, side: Side) -> (&Half, &Half) {
        let [a, b] = &self.halves;
        match side {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }

    fn halves_mut(&mut self, side: Side) -> (&mut Half, &mut Half) {
        let [a, b] = &mut self.halves;
        match side {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }
}

// === impl Half ===

impl Half {
    fn new(latch: Latch) -> Self {
        Self {
            latch,
            renumbering: Renumbering::closed(),
            send: Flow::Held,
            receive: Flow::Held,
            heard: false,
            started: false,
            silence: None,
        }
    }

    /// A peer that holds us (`sendonly`) may send music or nothing, so either direction makes a hold.
    fn expectation(&self) -> Expectation {
        match (self.latch.is_declared(), self.receive, self.send) {
            (false, _, _) => Expectation::Nothing,
            (true, Flow::Open, Flow::Open) => Expectation::Speech,
            (true, _, _) => Expectation::Held,
        }
    }
}

fn of(counter: &[AtomicU64; 2], side: Side) -> &AtomicU64 {
    let [a, b] = counter;
    match side {
        Side::A => a,
        Side::B => b,
    }
}

fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// The worker is the only writer of a relay's counters, so a load and a store do what a locked addition would.
fn add(counter: &AtomicU64, amount: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount as u64), Ordering::Relaxed);
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
