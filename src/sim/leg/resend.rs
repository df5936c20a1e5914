//! Retransmission as RFC 3261 §17 wants it, for requests, for final responses and for the 2xx of §13.3.1.4.
//! One clockwork for all of them: they differ in the cap of the interval only.

use super::super::message::Datagram;
use std::time::{Duration, Instant};

/// T1 and T2.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Round trip estimate.
    pub t1: Duration,
    /// Longest interval.
    pub t2: Duration,
}

/// A datagram that is repeated until somebody answers.
#[derive(Debug, Clone)]
pub(super) struct Resend {
    pub(super) datagram: Datagram,
    next: Instant,
    interval: Duration,
    cap: Duration,
    gives_up: Instant,
    active: bool,
}

/// What became due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Send it again.
    Again(Datagram),
    /// 64 * T1 are over.
    GaveUp,
}

// === impl Timing ===

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4) }
    }
}

impl Timing {
    /// Timers B, F, H, J: 64 * T1.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }
}

// === impl Resend ===

impl Resend {
    /// Timer A: doubles without a cap.
    pub(super) fn invite(now: Instant, datagram: Datagram, timing: Timing) -> Self {
        Self::new(now, datagram, timing, Duration::MAX)
    }

    /// Timers E and G, and the 2xx: doubles up to T2.
    pub(super) fn capped(now: Instant, datagram: Datagram, timing: Timing) -> Self {
        Self::new(now, datagram, timing, timing.t2)
    }

    fn new(now: Instant, datagram: Datagram, timing: Timing, cap: Duration) -> Self {
        let interval = timing.t1.min(cap);
        Self { datagram, next: now + interval, interval, cap, gives_up: now + timing.patience(), active: true }
    }

    /// Somebody answered: nothing is sent any more and nobody gives up.
    pub(super) fn stop(&mut self) {
        self.active = false;
    }

    /// Sends nothing for now but gives up at `at`.
    pub(super) fn wait_until(&mut self, at: Instant) {
        self.active = true;
        self.next = at;
        self.gives_up = at;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.active.then(|| self.next.min(self.gives_up))
    }

    pub(super) fn expire(&mut self, now: Instant) -> Due {
        if !self.active || self.deadline().is_none_or(|at| at > now) {
            return Due::Nothing;
        }
        if now >= self.gives_up {
            self.active = false;
            return Due::GaveUp;
        }
        self.interval = self.interval.saturating_mul(2).min(self.cap);
        self.next = now.checked_add(self.interval).unwrap_or(self.gives_up);
        Due::Again(self.datagram.clone())
    }
}
