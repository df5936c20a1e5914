//! UPDATE with an offer (RFC 3311): a change that is answered at once, and that may come before the call is up. Apart from
//! re-INVITE, which has an ACK, a transaction that waits, and no early dialog.

use super::desk::{Answer, Desk};
use super::events::Notice;
use super::negotiation::{self, Kind};
use super::refusal;
use super::state::{Asked, Call, Exchange, ExchangeStage};
use super::teardown::EndedBy;
use crate::error::{Cause, Termination};
use crate::media::Side;
use crate::sdp::{Description, Direction, negotiate};
use crate::sip::endpoint::{Headers, RequestId, SentId};
use crate::sip::{Message, StatusCode};
use std::borrow::Cow;
use std::time::Instant;

/// RFC 3311 §5.2: a second offer before the answer to the first is to be tried again after up to this many seconds.
const RETRY_AFTER: u64 = 10;

impl Call {
    /// The peer of `side` sent an UPDATE: with an offer it is a row of the bridge table, without one it only refreshes.
    pub fn on_update(&mut self, desk: &mut Desk, now: Instant, side: Side, id: RequestId, request: &Message) {
        match negotiation::description(request, Cause::BadSdp) {
            Ok(None) => self.respond_to(desk, now, side, id, StatusCode::OK, Headers::new(), None),
            Ok(Some(_)) => {
                let happened = super::bridge::Happened::Updated;
                let notice = Notice { happened, message: Some(request.clone()), status: 0, request: Some(id) };
                self.follow(desk, now, side, &notice);
            }
            Err(end) => {
                let headers = refusal::headers(&end, &desk.settings.from_host);
                self.respond_to(desk, now, side, id, refusal::status(&end), headers, None);
            }
        }
    }

    pub fn pass_update(&mut self, desk: &mut Desk, now: Instant, side: Side, notice: &Notice) {
        let Some(id) = notice.request else { return };
        self.pass_change(desk, now, side, Asked::Update(id), notice.message.as_ref());
    }

    /// Leg B is up, leg A owes its ACK.
    pub fn keep_update(&mut self, desk: &mut Desk, now: Instant, side: Side, notice: &Notice) {
        match (notice.request, &notice.message, &self.kept_change) {
            (Some(id), Some(message), None) => self.kept_change = Some((Asked::Update(id), message.clone())),
            _ => self.refuse_update(desk, now, side, notice),
        }
    }

    /// RFC 3311 §5.2: while an offer of the peer is unanswered it gets 500 and is told when to come again, while one of
    /// ours is it gets 491.
    pub fn refuse_update(&mut self, desk: &mut Desk, now: Instant, side: Side, notice: &Notice) {
        let Some(id) = notice.request else { return };
        let its_own = self.exchange.as_ref().is_some_and(|exchange| exchange.initiator == side)
            || (side == Side::A && !self.answered())
            || self.kept_change.is_some();
        if its_own {
            let headers = vec![(Cow::Borrowed("Retry-After"), desk.entropy.below(RETRY_AFTER + 1).to_string())];
            self.respond_to(desk, now, side, id, StatusCode::SERVER_INTERNAL_ERROR, headers, None);
        } else {
            self.respond_to(desk, now, side, id, StatusCode::REQUEST_PENDING, Headers::new(), None);
        }
    }

    /// Before the answer: passed to the other leg if it takes UPDATE and has the description of an early dialog to be
    /// changed; else answered from what is negotiated, and the other leg hears of it once the call is up.
    pub fn pass_early_update(&mut self, desk: &mut Desk, now: Instant, side: Side, notice: &Notice) {
        let settled = |leg: &super::leg::Leg| !leg.formats.is_empty() && leg.remote.is_some();
        let described = self.b.as_ref().is_some_and(|b| b.remote.is_some()) && settled(&self.a);
        if !described || self.exchange.as_ref().is_some_and(Exchange::is_open) {
            self.refuse_update(desk, now, side, notice);
            return;
        }
        let (Some(id), Some(message)) = (notice.request, &notice.message) else { return };
        let Ok(Some(offer)) = negotiation::description(message, Cause::BadSdp) else { return };
        let asked = Asked::Update(id);
        if self.repeats(side, &offer) {
            self.answer_unchanged(desk, now, side, asked, &offer);
            return;
        }
        let passed = match self.plan_change(desk, side, Some(&offer)) {
            Ok(proposal) if self.takes_early_update(side.other()) => self
                .propose(desk, now, side.other(), &proposal, asked)
                .filter(Option::is_some)
                .map(|sent| (proposal, sent)),
            Ok(_) => None,
            Err(end) => {
                self.refuse_change_for(desk, now, side, asked, &end);
                return;
            }
        };
        match passed {
            Some((proposal, sent)) => {
                self.early.changed |= side == Side::A;
                let stage = ExchangeStage::Offered;
                let (offered, before) = (Some(offer), Vec::new());
                self.exchange = Some(Exchange { initiator: side, asked, offered, proposal, before, sent, stage });
                self.note_change(side, "passed by UPDATE");
            }
            None => self.answer_here(desk, now, side, asked, offer),
        }
    }

    /// Can this leg be sent an UPDATE before the answer? Leg B's answer to our offer has to hold already.
    fn takes_early_update(&self, side: Side) -> bool {
        self.leg(side).is_some_and(|leg| leg.updates) && (side == Side::A || self.early.can_change())
    }

    /// Answers an offer from what the other leg has settled on.
    fn answer_here(&mut self, desk: &mut Desk, now: Instant, side: Side, asked: Asked, offer: Description) {
        let Some(other) = self.leg(side.other()) else { return };
        let asked_for = offer.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
        let formats = negotiate::for_caller(&asked_for, &other.formats);
        if formats.is_empty() {
            self.refuse_change_for(
                desk,
                now,
                side,
                asked,
                &refusal::no_codec("no codec that the other side settled on"),
            );
            return;
        }
        let far = self.follows(side.other());
        let Some(leg) = self.leg_mut(side) else { return };
        leg.formats.clone_from(&formats);
        leg.theirs = formats;
        leg.remote = Some(offer.clone());
        let direction = negotiate::answer_direction(leg.direction(), far);
        let body = self.describe(desk, side, direction, Kind::Answer(&offer));
        self.configure_relay();
        self.accept_change(desk, now, side, asked, body);
        self.note_change(side, "answered here: the other side cannot be asked before the answer");
        self.align(desk, now, side.other());
    }

    /// What `side` will do when it is told of a change: what it did so far, unless it only took all that it was offered. A
    /// call that begins inactive until the caller has its resources (RFC 3312 §5) gets audio by this.
    fn follows(&self, side: Side) -> Direction {
        let (Some(leg), Some(other)) = (self.leg(side), self.leg(side.other())) else { return Direction::Inactive };
        let most = negotiate::answer_direction(other.direction(), Direction::SendRecv);
        if leg.direction() == most { Direction::SendRecv } else { leg.direction() }
    }

    /// Our UPDATE towards `side` has its answer.
    pub fn on_update_reply(&mut self, desk: &mut Desk, now: Instant, side: Side, sent: SentId, answer: &Answer) {
        let Some(exchange) = self.exchange.as_ref().filter(|exchange| exchange.sent == Some(sent)) else { return };
        let message = answer.response.as_ref();
        match answer.status.get() {
            200..=299 => self.take_change_answer(desk, now, side, message),
            // RFC 3261 §12.2.1.2: these two say that the dialog is gone.
            408 | 481 => {
                let cause = if side == Side::A { Cause::PbxLostDialog } else { Cause::CloudLostDialog };
                self.end(desk, now, Termination::new(cause), EndedBy::Side(side));
            }
            405 | 501 | 504 if exchange.stage == ExchangeStage::Offered && self.both_up() => {
                self.ask_by_reinvite(desk, now, side);
            }
            status => self.take_change_refusal(desk, now, status, message),
        }
    }

    /// The peer cannot do by UPDATE what it may do by re-INVITE (RFC 3311 §5.2: 504 asks for just that).
    fn ask_by_reinvite(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        let Some(mut exchange) = self.exchange.take() else { return };
        if let Some(leg) = self.leg_mut(side) {
            (leg.updates, leg.refused_update) = (false, true);
        }
        self.disarm_exchange(desk);
        match self.propose(desk, now, side, &exchange.proposal, exchange.asked) {
            Some(sent) => {
                exchange.sent = sent;
                self.exchange = Some(exchange);
            }
            None => {
                let pending = StatusCode::REQUEST_PENDING;
                self.refuse_change(desk, now, exchange.initiator, exchange.asked, pending, Headers::new());
            }
        }
    }

    fn both_up(&self) -> bool {
        self.state == super::bridge::State::Up
    }

    /// The call ends while an UPDATE waits for its answer (RFC 3261 §15.1.2).
    pub fn drop_update(&mut self, desk: &mut Desk, now: Instant) {
        let kept = self.kept_change.take().map(|(asked, _)| (Side::B, asked));
        let open = self.exchange.as_ref().filter(|exchange| exchange.stage == ExchangeStage::Offered);
        let open = open.map(|exchange| (exchange.initiator, exchange.asked));
        for (side, asked) in kept.into_iter().chain(open) {
            if let Asked::Update(id) = asked {
                self.respond_to(desk, now, side, id, StatusCode::REQUEST_TERMINATED, Headers::new(), None);
            }
        }
    }
}
