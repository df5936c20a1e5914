//! A leg that has missed a change of the other one, and is told what holds now by a re-INVITE that nobody asked for. Apart
//! from changes that are passed on, because here the gateway itself is the offerer, who has to give way in a glare and
//! to try again (RFC 3261 §14.1).

use super::bridge::State;
use super::desk::{CallTimer, Desk};
use super::state::{Asked, Behind, Call, Exchange, ExchangeStage};
use crate::media::Side;
use crate::record::Step;
use crate::sdp::format::Role;
use crate::sdp::negotiate;
use std::time::{Duration, Instant};

/// Offers that meet another one again and again are given up: the next change brings the legs together.
const TRIES: u8 = 5;

/// RFC 3261 §14.1: the wait is drawn in steps of this length.
const STEP: Duration = Duration::from_millis(10);

/// How long the UA that lost a glare waits: 2.1 to 4 s if it owns the Call-ID of the dialog, else up to 2 s, so that one
/// of the two is always first. `draw` gives a number below its argument.
fn patience(owner: Owner, mut draw: impl FnMut(u64) -> u64) -> Duration {
    let steps = match owner {
        Owner::Us => 210 + draw(191),
        Owner::Peer => draw(201),
    };
    STEP * u32::try_from(steps).unwrap_or(0)
}

/// Who made the Call-ID of a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Us,
    Peer,
}

impl Call {
    /// Notes that `side` has missed a change, and tells it as soon as that can be done.
    pub fn align(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        self.behind = Some(Behind { side, tries: 0 });
        self.catch_up(desk, now);
    }

    /// Tells a leg that is behind what holds now, if there is one and it can be told.
    pub fn catch_up(&mut self, desk: &mut Desk, now: Instant) {
        let Some(Behind { side, tries }) = self.behind.filter(|_| self.state == State::Up) else { return };
        let telling = self.exchange.as_ref().is_some_and(|exchange| exchange.stage == ExchangeStage::Aligning);
        if self.glare_timer.is_some() || telling {
            return;
        }
        if tries >= TRIES {
            self.behind = None;
            self.note_change(side, "given up: the other side was never ready for it");
            return;
        }
        self.behind = Some(Behind { side, tries: tries + 1 });
        if self.exchange.as_ref().is_some_and(Exchange::is_open) {
            self.try_later(desk, now, side);
            return;
        }
        let initiator = side.other();
        let held = self.leg(initiator).and_then(|leg| leg.remote.clone());
        let Ok(proposal) = self.plan_change(desk, initiator, held.as_ref()) else {
            self.behind = None;
            self.configure_relay();
            return;
        };
        match self.propose(desk, now, side, &proposal, Asked::Reinvite) {
            Some(sent) => {
                let stage = ExchangeStage::Aligning;
                let (asked, before) = (Asked::Reinvite, Vec::new());
                self.exchange = Some(Exchange { initiator, asked, offered: None, proposal, before, sent, stage });
            }
            None => self.try_later(desk, now, side),
        }
    }

    /// The other side's change came first: ours waits as §14.1 has it.
    pub fn try_later(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        let owner = if self.leg(side).is_some_and(|leg| leg.called) { Owner::Us } else { Owner::Peer };
        let after = patience(owner, |bound| desk.entropy.below(bound));
        self.disarm_glare(desk);
        self.glare_timer = Some(desk.timers.insert(now + after, (self.key, CallTimer::Glare)));
    }

    /// Nobody is behind any more: a change went through both legs.
    pub fn aligned(&mut self, desk: &mut Desk) {
        self.behind = None;
        self.disarm_glare(desk);
    }

    fn disarm_glare(&mut self, desk: &mut Desk) {
        if let Some(timer) = self.glare_timer.take() {
            desk.timers.cancel(timer);
        }
    }

    /// The other leg settled on less than `side` was told: if `side` now speaks a codec that nobody understands, it is
    /// offered those that are left. An offer of ours is answered by one leg before the other one (RFC 3261 §13.2.1).
    pub fn reconcile(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        let (Some(leg), Some(other)) = (self.leg(side), self.leg(side.other())) else { return };
        let spoken = leg.theirs.iter().find(|format| format.role() == Role::Voice);
        let heard = |number: u8| {
            let map = negotiate::payload_map(&leg.formats, &other.theirs);
            map.get(usize::from(number)).copied().flatten().is_some()
        };
        let ours = spoken.and_then(|spoken| leg.formats.iter().find(|format| format.same_codec(spoken)));
        if ours.is_some_and(|format| !heard(format.payload_type)) {
            self.align(desk, now, side);
        }
    }

    /// Notes what became of a change.
    pub fn note_change(&mut self, side: Side, outcome: impl Into<String>) {
        let leg = if side == Side::A { "a" } else { "b" }.to_owned();
        self.journal.step(Step::Change { leg, outcome: outcome.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_the_call_id_waits_longer_than_the_other_ever_does() {
        let first = |_| 0;
        let last = |bound| bound - 1;
        let milliseconds = |owner, draw: fn(u64) -> u64| patience(owner, draw).as_millis();
        assert_eq!((milliseconds(Owner::Us, first), milliseconds(Owner::Us, last)), (2100, 4000));
        assert_eq!((milliseconds(Owner::Peer, first), milliseconds(Owner::Peer, last)), (0, 2000));
    }
}
