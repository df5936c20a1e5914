//! When a side has been quiet for too long: three clocks for one side, looked at now and then. Apart from the relay
//! because it is the only part of media that knows time, and so that no packet has to: the relay only notes that
//! something was heard, and the sweep asks whether it was.

use super::{SilenceClock, Timeouts};
use std::time::Instant;

/// What a side's peer is expected to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing: its SDP is not known, or it was reset.
    Nothing,
    /// To send.
    Speech,
    /// It is held, or holds us: it may send music, RTCP, or nothing for long.
    Held,
}

/// The silence clocks of one side, from `watch` on.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    timeouts: Timeouts,
    /// The quiet time counts from here.
    since: Instant,
    expectation: Expectation,
    heard: bool,
    reported: bool,
}

// === impl Silence ===

impl Silence {
    /// Starts the clocks.
    #[must_use]
    pub fn watch(timeouts: Timeouts, expectation: Expectation, now: Instant) -> Self {
        Self { timeouts, since: now, expectation, heard: false, reported: false }
    }

    /// Looks once. `heard` tells whether anything came from the peer since the last look. A clock that ran out is
    /// told once, and again only after the peer was heard or expected to behave otherwise. Late by at most the time
    /// between looks, never early.
    pub fn look(&mut self, now: Instant, heard: bool, expectation: Expectation) -> Option<SilenceClock> {
        if expectation != self.expectation {
            // Time spent on hold is no silence after it; and a peer that is new has its first packet before it.
            self.heard &= expectation != Expectation::Nothing && self.expectation != Expectation::Nothing;
            self.expectation = expectation;
            self.since = now;
            self.reported = false;
        }
        if heard {
            self.since = now;
            self.heard = true;
            self.reported = false;
        }
        let (limit, clock) = match self.expectation {
            Expectation::Nothing => return None,
            Expectation::Held => (self.timeouts.held, SilenceClock::Held),
            Expectation::Speech if self.heard => (self.timeouts.ongoing, SilenceClock::Ongoing),
            Expectation::Speech => (self.timeouts.initial, SilenceClock::Initial),
        };
        if heard || self.reported || now.saturating_duration_since(self.since) < limit {
            return None;
        }
        self.reported = true;
        Some(clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Expectation::{Held, Nothing, Speech};
    use std::time::Duration;

    const TIMEOUTS: Timeouts = Timeouts {
        initial: Duration::from_secs(30),
        ongoing: Duration::from_secs(60),
        held: Duration::from_secs(1_800),
    };

    /// A watch and a way to look at it some seconds after its start.
    fn watch(expectation: Expectation) -> impl FnMut(u64, bool, Expectation) -> Option<SilenceClock> {
        let start = crate::clock::now();
        let mut silence = Silence::watch(TIMEOUTS, expectation, start);
        move |second, heard, expectation| silence.look(start + Duration::from_secs(second), heard, expectation)
    }

    #[test]
    fn a_side_that_never_speaks_runs_out_of_its_initial_clock_once() {
        let mut look = watch(Speech);
        assert_eq!(look(29, false, Speech), None);
        assert_eq!(look(30, false, Speech), Some(SilenceClock::Initial));
        assert_eq!(look(31, false, Speech), None);
        assert_eq!(look(9_999, false, Speech), None);
    }

    #[test]
    fn after_the_first_packet_the_ongoing_clock_counts_from_the_last() {
        let mut look = watch(Speech);
        assert_eq!(look(29, true, Speech), None);
        assert_eq!(look(88, false, Speech), None);
        assert_eq!(look(89, false, Speech), Some(SilenceClock::Ongoing));
        assert_eq!(look(90, true, Speech), None, "back again");
        assert_eq!(look(149, false, Speech), None);
        assert_eq!(look(150, false, Speech), Some(SilenceClock::Ongoing), "and told again");
    }

    #[test]
    fn a_held_side_has_its_own_patience() {
        let mut look = watch(Speech);
        assert_eq!(look(1, true, Speech), None);
        assert_eq!(look(50, false, Held), None);
        assert_eq!(look(1_849, false, Held), None);
        assert_eq!(look(1_850, false, Held), Some(SilenceClock::Held));
    }

    #[test]
    fn time_on_hold_is_no_silence_after_it() {
        let mut look = watch(Speech);
        assert_eq!(look(1, true, Speech), None);
        assert_eq!(look(2, false, Held), None);
        assert_eq!(look(1_000, false, Speech), None);
        assert_eq!(look(1_059, false, Speech), None);
        assert_eq!(look(1_060, false, Speech), Some(SilenceClock::Ongoing));
    }

    #[test]
    fn nothing_is_expected_of_an_unknown_peer_and_a_new_one_starts_with_its_initial_clock() {
        let mut look = watch(Speech);
        assert_eq!(look(1, true, Speech), None);
        assert_eq!(look(2, false, Nothing), None);
        assert_eq!(look(9_000, false, Nothing), None);
        assert_eq!(look(9_001, false, Speech), None);
        assert_eq!(look(9_030, false, Speech), None);
        assert_eq!(look(9_031, false, Speech), Some(SilenceClock::Initial));
    }
}
