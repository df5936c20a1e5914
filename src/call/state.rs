//! A call as a value in its shard: both legs, what was decided about it, and everything it owns while it lives. Apart
//! from what is done with it, so that a reader sees on one page all that a call can be.

use super::bridge::State;
use super::early::Early;
use super::journal::Journal;
use super::leg::Leg;
use super::redirect::Redirection;
use super::transfer::Referrals;
use super::{Policy, leg};
use crate::error::Termination;
use crate::guard::Pending;
use crate::identity::Numbers;
use crate::media::{Relay, Side};
use crate::record::{CallId, Lane};
use crate::route::{Route, Target};
use crate::sdp::{Description, Direction, Format};
use crate::sip::Message;
use crate::sip::endpoint::{LegId, RequestId, SentId};
use crate::sip::timer::TimerKey;
use crate::trunk::{Trunk, admission::Slot};
use std::sync::Arc;

/// One call.
pub(super) struct Call {
    pub id: CallId,
    /// Its place in the shard.
    pub key: usize,
    /// Its name at the media plane.
    pub owner: u64,
    pub state: State,
    pub a: Leg,
    pub b: Option<Leg>,
    /// A leg that still plays while its replacement is being called.
    pub parting: Option<Leg>,
    /// Legs that were let go and still have to close.
    pub released: Vec<LegId>,
    pub exchange: Option<Exchange>,
    /// A change that leg B asked for before the caller's ACK; the endpoint holds its transaction open.
    pub kept_change: Option<(Asked, Message)>,
    /// A leg that has yet to be told what holds now.
    pub behind: Option<Behind>,
    pub relay: Option<Relay>,
    pub policy: Arc<Policy>,
    pub trunk: Arc<Trunk>,
    pub route: Arc<Route>,
    pub attempt: Attempt,
    pub hold: Hold,
    pub numbers: Numbers,
    /// The INVITE of the PBX: templates and room plans read it.
    pub request: Message,
    /// The PBX made no offer: ours goes out in the 200, its answer comes in the ACK (RFC 3261 §13.2.1).
    pub offerless: bool,
    /// What leg B has said before its answer.
    pub early: Early,
    pub ring_timer: Option<TimerKey>,
    pub hard_timer: Option<TimerKey>,
    pub exchange_timer: Option<TimerKey>,
    pub referrals: Referrals,
    pub redirection: Redirection,
    pub glare_timer: Option<TimerKey>,
    pub journal: Journal,
    /// Held until leg A has its final response.
    pub pending: Option<Pending>,
    /// Held while the call lives: the trunk's slot and the target's.
    pub trunk_slot: Option<Slot>,
    pub target_slot: Option<Slot>,
}

/// Whom leg B is an attempt to reach.
#[derive(Debug, Clone)]
pub(super) enum Attempt {
    /// A target of the route, by position.
    Target { position: usize, target: Arc<Target> },
    /// The route's fallback, after this failure.
    Fallback { after: Termination },
    /// Nobody any more: a transfer put another party there.
    Transferred { lane: Lane },
}

/// Where a call stands with the companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// The companion has nothing to do with it.
    None,
    /// The cloud holds the caller, or will.
    Waiting,
    /// The caller met the bot.
    Over,
}

/// A change of the session in progress.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Who asked.
    pub initiator: Side,
    /// How it asked.
    pub asked: Asked,
    /// What it described; `None` if it made no offer.
    pub offered: Option<Description>,
    /// What the other leg was offered for it.
    pub proposal: Proposal,
    /// The formats that the initiator had before it got an offer of ours.
    pub before: Vec<Format>,
    /// The UPDATE that carries it there; `None` for a re-INVITE.
    pub sent: Option<SentId>,
    pub stage: ExchangeStage,
}

/// How a change was asked for: this says how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// By re-INVITE.
    Reinvite,
    /// By this UPDATE.
    Update(RequestId),
}

/// What a leg is offered.
#[derive(Debug, Clone)]
pub(super) enum Proposal {
    /// To talk.
    Audio { formats: Vec<Format>, direction: Direction, ptime: Option<u32>, maxptime: Option<u32> },
    /// To go over to fax, by a terminal with these attributes.
    Fax { attributes: Vec<String> },
}

/// A leg that has yet to be told what holds now, because the other one changed without it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    pub side: Side,
    /// How often it was tried already.
    pub tries: u8,
}

/// How far a change of the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExchangeStage {
    /// The other leg's answer is awaited.
    Offered,
    /// The other leg answered, the initiator's ACK is awaited.
    Answered,
    /// The initiator has its final response; the other leg is asked to forget the change, and may take it yet.
    Withdrawn,
    /// Nobody asked: the other leg is told what holds now.
    Aligning,
}

// === impl Exchange ===

impl Exchange {
    /// Is an offer of it unanswered? An answered one only waits for its ACK and is in nobody's way.
    pub fn is_open(&self) -> bool {
        self.stage != ExchangeStage::Answered || self.offered.is_none()
    }
}

// === impl Call ===

impl Call {
    /// Which side a leg is; `None` for a leg that parts or was released.
    pub fn side_of(&self, leg: LegId) -> Option<Side> {
        if self.a.id == leg {
            Some(Side::A)
        } else if self.b.as_ref().is_some_and(|b| b.id == leg) {
            Some(Side::B)
        } else {
            None
        }
    }

    /// The leg of a side.
    pub fn leg(&self, side: Side) -> Option<&Leg> {
        match side {
            Side::A => Some(&self.a),
            Side::B => self.b.as_ref(),
        }
    }

    /// The leg of a side, to change it.
    pub fn leg_mut(&mut self, side: Side) -> Option<&mut Leg> {
        match side {
            Side::A => Some(&mut self.a),
            Side::B => self.b.as_mut(),
        }
    }

    /// The target that leg B is an attempt to reach, if it is one.
    pub fn target(&self) -> Option<&Arc<Target>> {
        match &self.attempt {
            Attempt::Target { target, .. } => Some(target),
            Attempt::Fallback { .. } | Attempt::Transferred { .. } => None,
        }
    }

    /// Every leg that may still have to close.
    pub fn leg_ids(&self) -> impl Iterator<Item = LegId> {
        let named = [Some(&self.a), self.b.as_ref(), self.parting.as_ref()];
        let in_use = named.into_iter().flatten().map(|leg| leg.id);
        in_use.chain(self.referrals.legs()).chain(self.released.iter().copied())
    }

    /// Was leg A answered?
    pub fn answered(&self) -> bool {
        !matches!(self.a.phase, leg::Phase::Incoming)
    }
}
