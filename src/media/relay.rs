//! What a relay does with each packet, without sockets: who may speak, under which payload type it goes on, and where
//! to. Apart from the worker so that every rule of it is tested without a thread, and so that the worker is system
//! calls and nothing else.

use super::latch::{Admission, Latch};
use super::packet::{self, Datagram, Renumbering, Stamp};
use super::silence::{Expectation, Silence};
use super::tone::{Score, Tone};
use super::{Counters, Flow, MediaEvent, Side, SideConfig, Timeouts, Traffic};
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

/// A place for the packets of one call, both ways: lent to call after call, and at rest in between.
#[derive(Debug)]
pub struct Forwarder {
    halves: [Half; 2],
    /// The owner's token; `None` at rest.
    owner: Option<u64>,
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where it goes; `None` when it ends here.
    pub forward: Option<Forward>,
    /// It is the first one that was accepted from this side's peer: the owner wants to know.
    pub first: Option<u64>,
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
///
/// The order of fields is kept and starts on a cache line, because with thousands of streams every line that a packet
/// needs is fetched anew: the first of both sides, and the one with the packet's payload type.
#[derive(Debug)]
#[repr(C, align(64))]
struct Half {
    latch: Latch,
    counters: Arc<Counters>,
    /// Does what this peer says pass to the other one?
    passes: Flow,
    /// Anything came from the peer since the last sweep.
    heard: bool,
    /// An RTP packet of the peer was accepted.
    started: bool,
    traffic: Traffic,
    renumbering: Renumbering,
    /// May the peer be sent what the other side says?
    send: Flow,
    /// May the peer send?
    receive: Flow,
    silence: Option<Silence>,
    /// What the peer hears while the other side says nothing.
    tone: Option<Box<Tone>>,
}

const ENDS_HERE: Step = Step { forward: None, first: None };

// === impl Forwarder ===

impl Forwarder {
    /// At rest: nobody is declared, so everything is refused, and counted by `nobody`.
    #[must_use]
    pub fn at_rest(nobody: &Arc<Counters>) -> Self {
        let mut forwarder = Self { halves: [Half::new(nobody), Half::new(nobody)], owner: None };
        forwarder.close(nobody);
        forwarder
    }

    /// A call begins: both its peers are unknown until they are configured.
    pub fn open(&mut self, owner: u64, counters: &Arc<Counters>) {
        self.owner = Some(owner);
        for half in &mut self.halves {
            half.counters = Arc::clone(counters);
            half.latch.wake();
        }
    }

    /// The call ended.
    pub fn close(&mut self, nobody: &Arc<Counters>) {
        self.owner = None;
        for half in &mut self.halves {
            *half = Half::new(nobody);
            half.latch.rest();
        }
    }

    /// Does a call have it?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.owner.is_some()
    }

    /// A datagram came in on the RTP port of `side`; its payload type is renumbered in place. `source` must be
    /// [canonical](super::latch::canonical).
    pub fn rtp(&mut self, side: Side, source: SocketAddr, packet: &mut [u8]) -> Step {
        if self.halves(side).0.traffic == Traffic::Opaque {
            return match packet::udptl(packet) {
                Some(stamp) => self.speech(side, source, stamp, packet),
                None => self.refuse(side),
            };
        }
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

    /// Counts a packet of `side` that was, or could not be, sent to the other side's peer.
    pub fn sent(&self, side: Side, channel: Channel, result: &std::io::Result<()>) {
        let counters = &self.halves(side).0.counters;
        let far = side.other();
        count(match (result, channel) {
            (Err(_), _) => far.of(&counters.unsent),
            (Ok(()), Channel::Rtp) => far.of(&counters.sent),
            (Ok(()), Channel::Rtcp) => far.of(&counters.rtcp_sent),
        });
    }

    /// Takes new negotiated state of one side.
    pub fn configure(&mut self, side: Side, config: SideConfig) {
        let (half, _) = self.halves_mut(side);
        half.latch.declare(config.remote, config.remote_rtcp, config.may_come_from);
        half.renumbering = Renumbering::from(&config.payload_map);
        half.send = config.send;
        half.receive = config.receive;
        half.traffic = config.traffic;
        self.agree();
    }

    /// Plays a tone to the peer of one side until the other side is heard.
    pub fn play(&mut self, side: Side, score: Score) {
        let (half, other) = self.halves_mut(side);
        half.tone = Some(Box::new(Tone::new(score)));
        // So that the next packet of the other side is its first one again, and stops the tone.
        other.started = false;
    }

    /// Stops the tone that the peer of one side hears.
    pub fn quiet(&mut self, side: Side) {
        self.halves_mut(side).0.tone = None;
    }

    /// Does the peer of this side hear a tone?
    #[must_use]
    pub fn plays(&self, side: Side) -> bool {
        self.halves(side).0.tone.is_some()
    }

    /// The next 20 ms of the tone that the peer of one side hears: how long, and where to. Its time passes while the
    /// peer is on hold or not known yet, too.
    pub fn tone(&mut self, side: Side, out: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let (half, _) = self.halves_mut(side);
        let length = half.tone.as_mut()?.packet(out);
        let to = half.latch.target().filter(|_| length > 0 && half.send == Flow::Open)?;
        Some((length, to))
    }

    /// Forgets the peer of one side; its silence clocks wait for the next one.
    pub fn reset(&mut self, side: Side) {
        let (half, _) = self.halves_mut(side);
        *half = Half { silence: half.silence, ..Half::new(&half.counters) };
        self.agree();
    }

    /// What one side may send passes when the other may be sent something.
    fn agree(&mut self) {
        for side in [Side::A, Side::B] {
            let (near, far) = self.halves_mut(side);
            near.passes = match (near.receive, far.send) {
                (Flow::Open, Flow::Open) => Flow::Open,
                _ => Flow::Held,
            };
        }
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
        let Some(owner) = self.owner else { return };
        for side in [Side::A, Side::B] {
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
        let owner = self.owner;
        let (near, far) = self.halves_mut(side);
        match near.latch.admit(source, stamp) {
            Admission::Accepted | Admission::Latched => near.heard = true,
            Admission::Probation | Admission::Stranger => return self.refuse(side),
        }
        if near.passes == Flow::Held || (near.traffic == Traffic::Rtp && !near.renumbering.apply(packet)) {
            return self.refuse(side);
        }
        let first = if near.started { None } else { owner };
        if !near.started {
            // Somebody speaks: the tone in their place has done its work.
            far.tone = None;
            near.started = true;
        }
        let forward = far.latch.target().map(|to| Forward { channel: Channel::Rtp, to });
        count(side.of(&near.counters.received));
        add(side.of(&near.counters.bytes), packet.len());
        if forward.is_none() {
            count(side.other().of(&near.counters.unsent));
        }
        Step { forward, first }
    }

    /// RTCP of a known source. It flows while held too (RFC 3264 §5.1).
    fn report(&mut self, side: Side) -> Step {
        let (near, far) = self.halves_mut(side);
        near.heard = true;
        let forward = far.latch.rtcp_target().map(|to| Forward { channel: Channel::Rtcp, to });
        Step { forward, first: None }
    }

    fn refuse(&self, side: Side) -> Step {
        count(side.of(&self.halves(side).0.counters.dropped));
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
    fn new(counters: &Arc<Counters>) -> Self {
        Self {
            latch: Latch::default(),
            counters: Arc::clone(counters),
            passes: Flow::Held,
            renumbering: Renumbering::closed(),
            send: Flow::Held,
            receive: Flow::Held,
            heard: false,
            started: false,
            traffic: Traffic::Rtp,
            silence: None,
            tone: None,
        }
    }

    /// A peer that holds us (`sendonly`) may send music or nothing, so either direction makes a hold.
    fn expectation(&self) -> Expectation {
        match (self.latch.is_declared(), self.receive, self.send) {
            (false, _, _) => Expectation::Nothing,
            // Fax says nothing while it has nothing to say.
            (true, _, _) if self.traffic == Traffic::Opaque => Expectation::Held,
            (true, Flow::Open, Flow::Open) => Expectation::Speech,
            (true, _, _) => Expectation::Held,
        }
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
