//! A change of the session while the call is up: offered by one leg, passed to the other, whose answer is the answer.
//! Apart from the other commands because it is the only thing in a call that two legs can do against each other.

use super::bridge::State;
use super::desk::{CallTimer, Desk};
use super::events::Notice;
use super::negotiation::{self, Kind};
use super::state::{Call, Exchange, ExchangeStage};
use super::teardown::EndedBy;
use crate::error::{Cause, Termination};
use crate::media::Side;
use crate::record::Lane;
use crate::sdp::{Description, Direction, Format, negotiate};
use crate::sip::{Message, StatusCode};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How long the other leg may take over a change: 64*T1. A provisional response ends the transaction's own patience
/// (RFC 3261 §17.1.1.2), and nobody rings for a re-INVITE.
const PATIENCE: Duration = Duration::from_secs(32);

impl Call {
    /// A re-INVITE of `side`: offered to the other leg, whose answer is the answer.
    pub fn pass_reinvite(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        if self.exchange.is_some() {
            self.refuse(desk, now, side, StatusCode::REQUEST_PENDING, Vec::new());
            return;
        }
        let offered = message.map_or(Ok(None), |request| negotiation::description(request, Cause::BadSdp));
        let offered = offered.and_then(|offered| {
            offered.as_ref().map_or(Ok(()), |offer| negotiation::refuse_loop(desk, offer, Cause::MediaLoop))?;
            Ok(offered)
        });
        let planned =
            offered.and_then(|offered| self.plan_reinvite(side, offered.as_ref()).map(|plan| (offered, plan)));
        let (offered, plan) = match planned {
            Ok(planned) => planned,
            Err(refusal) => {
                let status = StatusCode::new(refusal.sip_status()).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
                let reason = vec![(Cow::Borrowed("Reason"), refusal.reason_header())];
                self.refuse(desk, now, side, status, reason);
                return;
            }
        };
        match self.propose(desk, now, side.other(), plan) {
            Some(proposed) => {
                self.exchange = Some(Exchange { initiator: side, offered, proposed, stage: ExchangeStage::Offered });
            }
            None => self.refuse(desk, now, side, StatusCode::REQUEST_PENDING, Vec::new()),
        }
    }

    /// The caller's ACK is there: leg A can be offered what leg B asked for in the meantime.
    pub fn pass_kept_reinvite(&mut self, desk: &mut Desk, now: Instant) {
        let Some(kept) = self.kept_change.take().filter(|_| self.state == State::Up) else { return };
        self.pass_reinvite(desk, now, Side::B, Some(&kept));
    }

    /// What the other leg is offered for a change of `side`.
    fn plan_reinvite(
        &self,
        side: Side,
        offered: Option<&Description>,
    ) -> Result<(Vec<Format>, Direction), Termination> {
        let other = self.leg(side.other()).ok_or_else(|| Termination::new(Cause::Internal))?;
        let Some(offered) = offered else {
            return Ok((other.formats.clone(), Direction::SendRecv));
        };
        let audio =
            offered.usable_audio().map_err(|why| Termination::with_detail(Cause::NoUsableMedia, why.to_string()))?;
        let formats = negotiate::for_target_within(&audio.formats, other.takes.as_deref(), &other.formats);
        if formats.is_empty() {
            return Err(Termination::with_detail(Cause::NoUsableMedia, "no codec in common"));
        }
        Ok((formats, audio.direction))
    }

    /// Sends a re-INVITE to `side` and gives back what it offered; `None` if none can be sent now.
    pub fn propose(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        (formats, direction): (Vec<Format>, Direction),
    ) -> Option<Vec<Format>> {
        let kept = std::mem::replace(&mut self.leg_mut(side)?.formats, formats);
        let body = self.describe(desk, side, direction, Kind::Offer);
        let leg = self.leg_mut(side)?;
        // What is in use stays until the answer says otherwise.
        let proposed = std::mem::replace(&mut leg.formats, kept);
        desk.endpoint.reinvite(now, leg.id, Vec::new(), body).ok()?;
        self.exchange_timer = Some(desk.timers.insert(now + PATIENCE, (self.key, CallTimer::Exchange)));
        let lane = self.lane(side);
        self.journal.moment(now, Lane::Trunkline, lane, "re-INVITE", None);
        Some(proposed)
    }

    /// The other leg took the change: ACK there, 200 to the initiator.
    pub fn pass_reinvite_answer(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        self.acknowledge(desk, now, side);
        let Some(exchange) = self.exchange.take_if(|exchange| exchange.initiator != side) else { return };
        self.disarm_exchange(desk);
        let answer = message.map_or(Ok(None), |answer| negotiation::description(answer, Cause::TargetBadAnswer));
        let usable = answer.ok().flatten().and_then(|answer| {
            let settled = negotiation::settle(&exchange.proposed, &answer)?;
            Some((answer, settled))
        });
        let Some((answer, (formats, theirs))) = usable else {
            self.refuse(desk, now, exchange.initiator, StatusCode::NOT_ACCEPTABLE_HERE, Vec::new());
            return;
        };
        let far = answer.audio().map_or(Direction::SendRecv, |audio| audio.direction);
        if let Some(leg) = self.leg_mut(side) {
            leg.formats = formats;
            leg.theirs = theirs;
            leg.remote = Some(answer);
        }
        match exchange.stage {
            ExchangeStage::Offered | ExchangeStage::Answered => self.answer_initiator(desk, now, exchange, far),
            ExchangeStage::Withdrawn => self.restore(desk, now, exchange.initiator),
            ExchangeStage::Restoring => self.configure_relay(),
        }
    }

    fn answer_initiator(&mut self, desk: &mut Desk, now: Instant, mut exchange: Exchange, far: Direction) {
        let initiator = exchange.initiator;
        let settled = self.leg(initiator.other()).map(|leg| leg.formats.clone()).unwrap_or_default();
        let body = match &exchange.offered {
            Some(offer) => {
                let asked = offer.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
                let direction = offer.audio().map_or(far, |audio| negotiate::answer_direction(audio.direction, far));
                if let Some(leg) = self.leg_mut(initiator) {
                    leg.formats = negotiate::for_caller(&asked, &settled);
                    leg.theirs.clone_from(&leg.formats);
                    leg.remote = Some(offer.clone());
                }
                self.describe(desk, initiator, direction, Kind::Answer(offer))
            }
            None => self.describe(desk, initiator, far, Kind::Offer),
        };
        self.configure_relay();
        let Some(id) = self.leg(initiator).map(|leg| leg.id) else { return };
        if desk.endpoint.answer(now, id, Vec::new(), body).is_ok() {
            let lane = self.lane(initiator);
            self.journal.moment(now, Lane::Trunkline, lane, "200 OK", None);
            exchange.proposed = Vec::new();
            exchange.stage = ExchangeStage::Answered;
            self.exchange = Some(exchange);
        }
    }

    /// The other leg keeps the session as it is, and so does the initiator.
    pub fn pass_reinvite_refusal(&mut self, desk: &mut Desk, now: Instant, notice: &Notice) {
        let Some(exchange) = self.exchange.take() else { return };
        self.disarm_exchange(desk);
        let status = match notice.status {
            // Credentials and repairs between us and the other leg are not the initiator's business.
            401 | 407 | 420 | 421 | 422 | 0..=399 => StatusCode::NOT_ACCEPTABLE_HERE,
            status => StatusCode::new(status).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE),
        };
        match exchange.stage {
            ExchangeStage::Offered | ExchangeStage::Answered => {
                self.refuse(desk, now, exchange.initiator, status, Vec::new());
            }
            // The initiator has its answer already; both legs have what they had.
            ExchangeStage::Withdrawn => {}
            ExchangeStage::Restoring => self.configure_relay(),
        }
    }

    /// The initiator's ACK; with an answer in it if the offer was ours.
    pub fn finish_exchange(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        let finished =
            |exchange: &mut Exchange| exchange.initiator == side && exchange.stage == ExchangeStage::Answered;
        let Some(exchange) = self.exchange.take_if(finished) else { return };
        if exchange.offered.is_some() {
            return;
        }
        let answer = message.map_or(Ok(None), |ack| negotiation::description(ack, Cause::BadSdp));
        let usable = answer.ok().flatten().and_then(|answer| {
            let settled = negotiation::settle(&self.leg(side)?.formats, &answer)?;
            Some((answer, settled))
        });
        match (usable, self.leg_mut(side)) {
            (Some((answer, (formats, theirs))), Some(leg)) => {
                leg.formats = formats;
                leg.theirs = theirs;
                leg.remote = Some(answer);
                self.configure_relay();
            }
            _ => {
                let end = Termination::with_detail(Cause::NoUsableMedia, "the ACK carries no answer to our offer");
                self.end(desk, now, end, EndedBy::Gateway);
            }
        }
    }

    // --- changes that come to nothing

    /// The initiator cancelled its change; the endpoint has answered it 487.
    pub fn withdraw_change(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        if side == Side::B {
            self.kept_change = None;
        }
        let open = |exchange: &&mut Exchange| exchange.initiator == side && exchange.stage == ExchangeStage::Offered;
        if self.exchange.as_mut().filter(open).is_some() {
            self.withdraw(desk, now);
        }
    }

    /// The other leg has taken too long.
    pub fn give_up_exchange(&mut self, desk: &mut Desk, now: Instant) {
        let Some(Exchange { initiator, stage, .. }) = self.exchange else { return };
        if stage == ExchangeStage::Offered {
            // Not 408: that would end the initiator's dialog (RFC 3261 §12.2.1.2).
            self.refuse(desk, now, initiator, StatusCode::SERVER_TIMEOUT, Vec::new());
        }
        if stage != ExchangeStage::Withdrawn {
            self.withdraw(desk, now);
        }
    }

    /// Asks the other leg to forget the change. Its answer may win all the same: then it is offered the old session.
    fn withdraw(&mut self, desk: &mut Desk, now: Instant) {
        let Some(exchange) = self.exchange.as_mut() else { return };
        exchange.stage = ExchangeStage::Withdrawn;
        let other = exchange.initiator.other();
        let Some(id) = self.leg(other).map(|leg| leg.id) else { return };
        if desk.endpoint.cancel(now, id, Vec::new()).is_ok() {
            let lane = self.lane(other);
            self.journal.moment(now, Lane::Trunkline, lane, "CANCEL", None);
        }
    }

    /// The other leg took a change that its initiator does not know of: it is offered what the initiator still has.
    fn restore(&mut self, desk: &mut Desk, now: Instant, initiator: Side) {
        let held = self.leg(initiator).and_then(|leg| leg.remote.clone());
        let plan = self.plan_reinvite(initiator, held.as_ref()).ok();
        match plan.and_then(|plan| self.propose(desk, now, initiator.other(), plan)) {
            Some(proposed) => {
                let stage = ExchangeStage::Restoring;
                self.exchange = Some(Exchange { initiator, offered: None, proposed, stage });
            }
            None => self.configure_relay(),
        }
    }

    /// Leg B is about to be replaced: a change that waits for it, or came from it, has lost its other half.
    pub fn drop_exchange(&mut self, desk: &mut Desk, now: Instant) {
        if self.kept_change.take().is_some() {
            self.refuse(desk, now, Side::B, StatusCode::REQUEST_PENDING, Vec::new());
        }
        let lost = |exchange: &mut Exchange| exchange.initiator == Side::B || exchange.stage != ExchangeStage::Answered;
        let Some(exchange) = self.exchange.take_if(lost) else { return };
        self.disarm_exchange(desk);
        if exchange.initiator == Side::A && exchange.stage == ExchangeStage::Offered {
            self.refuse(desk, now, Side::A, StatusCode::REQUEST_PENDING, Vec::new());
        }
    }

    /// The leg of `side` is about to be replaced in a call that goes on: a change that it began, or was asked for, is
    /// over; one that only waits for an ACK of the other leg is not.
    pub fn abandon_exchange(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        self.kept_change = None;
        let lost = |exchange: &mut Exchange| exchange.initiator == side || exchange.stage != ExchangeStage::Answered;
        let Some(exchange) = self.exchange.take_if(lost) else { return };
        self.disarm_exchange(desk);
        if exchange.initiator != side && exchange.stage == ExchangeStage::Offered {
            self.refuse(desk, now, exchange.initiator, StatusCode::REQUEST_PENDING, Vec::new());
        }
    }

    fn disarm_exchange(&mut self, desk: &mut Desk) {
        if let Some(timer) = self.exchange_timer.take() {
            desk.timers.cancel(timer);
        }
    }
}
