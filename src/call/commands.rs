//! The doing: each command of the bridge table as the calls to the endpoint, the relay and the record that it means.

use super::bridge::{Command, State};
use super::events::Notice;
use super::leg::Phase;
use super::negotiation::{self, Kind};
use super::setup::text_of;
use super::shard::Output;
use super::state::{Call, Desk, Exchange};
use super::teardown::EndedBy;
use crate::error::{Cause, Termination};
use crate::media::Side;
use crate::record::{CallState, Lane};
use crate::room;
use crate::sdp::negotiate;
use crate::sip::endpoint::Headers;
use crate::sip::{HeaderName, Message, StatusCode};
use std::borrow::Cow;
use std::time::Instant;

impl Call {
    /// Does what a row of the table says.
    pub fn execute(&mut self, desk: &mut Desk, now: Instant, side: Side, command: Command, notice: &Notice) {
        let message = notice.message.as_ref();
        match command {
            Command::PassProgress => self.pass_progress(desk, now, notice),
            Command::PassAnswer => self.pass_answer(desk, now, message),
            Command::JoinFallback => self.take_fallback(desk, now, message),
            Command::NextTarget => self.next_target(desk, now, failure(notice)),
            Command::FallbackFailed => self.next_target(desk, now, failure(notice)),
            Command::Complete => self.complete(desk, now, message),
            Command::PassReinvite => self.pass_reinvite(desk, now, side, message),
            Command::PassReinviteAnswer => self.pass_reinvite_answer(desk, now, side, message),
            Command::PassReinviteRefusal => self.pass_reinvite_refusal(desk, now, notice),
            Command::RefuseGlare => self.refuse(desk, now, side, StatusCode::REQUEST_PENDING, Vec::new()),
            Command::EndCancelled => {
                let end = Termination::new(Cause::CallerCancelled);
                self.end_with(desk, now, end, EndedBy::Side(Side::A), message);
            }
            Command::EndHungUp => self.hung_up(desk, now, side, message),
            Command::EndUnacknowledged => self.end(desk, now, Termination::new(Cause::NoAck), EndedBy::Gateway),
            Command::EndDialogLost => {
                let cause = if side == Side::A { Cause::PbxLostDialog } else { Cause::CloudLostDialog };
                self.end(desk, now, Termination::new(cause), EndedBy::Side(side));
            }
            Command::AcknowledgeOnly => self.acknowledge(desk, now, side),
            Command::FinishExchange => self.finish_exchange(desk, now, side, message),
        }
    }

    fn acknowledge(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        let lane = self.lane(side);
        let Some(leg) = self.leg(side) else { return };
        if desk.endpoint.acknowledge(now, leg.id, None).is_ok() {
            self.journal.moment(now, Lane::Trunkline, lane, "ACK", None);
        }
    }

    fn refuse(&mut self, desk: &mut Desk, now: Instant, side: Side, status: StatusCode, headers: Headers) {
        let lane = self.lane(side);
        let Some(leg) = self.leg(side) else { return };
        if desk.endpoint.reject(now, leg.id, status, None, headers).is_ok() {
            let what = format!("{} {}", status.get(), status.reason());
            self.journal.moment(now, Lane::Trunkline, lane, what, None);
        }
    }

    /// 1xx of leg B: towards leg A with a description of ours if it brought one.
    fn pass_progress(&mut self, desk: &mut Desk, now: Instant, notice: &Notice) {
        let Some(status) = StatusCode::new(notice.status) else { return };
        // A broken preview does not cost the call: the answer will tell.
        let described =
            notice.message.as_ref().and_then(|message| negotiation::description(message, Cause::TargetBadAnswer).ok());
        let early = described.flatten().is_some_and(|description| self.take_from_b(description).is_ok());
        // Without an offer from leg A its answer cannot go out in a provisional response (RFC 3261 §13.2.1).
        let body = if early && !self.offerless { self.describe_for_a(desk) } else { None };
        if body.is_some() {
            self.configure_relay();
        }
        if desk.endpoint.provisional(now, self.a.id, status, None, Vec::new(), body).is_ok() {
            let what = format!("{} {}", status.get(), status.reason());
            self.journal.moment(now, Lane::Trunkline, Lane::Pbx, what, None);
        }
        if self.journal.record().state == CallState::Calling {
            self.journal.record_mut().state = CallState::Ringing;
        }
    }

    /// 2xx of leg B: ACK there, 200 here.
    fn pass_answer(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        self.disarm_ring(desk);
        self.acknowledge(desk, now, Side::B);
        if let Err(end) = self.take_answer(message) {
            self.lose_b(desk, now, end);
            return;
        }
        let body = self.describe_for_a(desk);
        if self.a.formats.is_empty() || body.is_none() {
            self.lose_b(desk, now, Termination::with_detail(Cause::TargetBadAnswer, "answer has no offered codec"));
            return;
        }
        self.configure_relay();
        self.note_media(Side::A);
        self.note_media(Side::B);
        if desk.endpoint.answer(now, self.a.id, Vec::new(), body).is_err() {
            // Its CANCEL won; the endpoint's event about it is on the way.
            return;
        }
        self.a.phase = Phase::AwaitingAck;
        self.state = State::Answering;
        self.watch_media();
        let elapsed = self.journal.elapsed_ms(now);
        self.journal.record_mut().answered_ms = Some(elapsed);
        self.journal.moment(now, Lane::Trunkline, Lane::Pbx, "200 OK", None);
        self.journal.record_mut().state = CallState::Connected;
        if self.hold_dropped() {
            self.journal.record_mut().state = CallState::Held;
            desk.outputs.push_back(Output::Report(room::Report::Answered(self.id.clone())));
        }
    }

    /// Reads leg B's answer; without a body an earlier provisional one holds (RFC 3261 §13.2.1).
    fn take_answer(&mut self, message: Option<&Message>) -> Result<(), Termination> {
        let described = match message {
            Some(message) => negotiation::description(message, Cause::TargetBadAnswer)?,
            None => None,
        };
        match described {
            Some(description) => self.take_from_b(description),
            None if self.b.as_ref().is_some_and(|b| b.remote.is_some()) => Ok(()),
            None => Err(Termination::with_detail(Cause::TargetBadAnswer, "no session description in the answer")),
        }
    }

    /// Leg B answered with something unusable: hang it up and go on as after a refusal.
    fn lose_b(&mut self, desk: &mut Desk, now: Instant, end: Termination) {
        if let Some(b) = self.b.take() {
            self.let_go(desk, now, b, &end.reason_header());
        }
        self.next_target(desk, now, end);
    }

    fn take_fallback(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        self.acknowledge(desk, now, Side::B);
        match self.take_answer(message) {
            Ok(()) => self.join_fallback(desk, now),
            Err(end) => self.lose_b(desk, now, end),
        }
    }

    /// The ACK to our first 200.
    fn complete(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        self.state = State::Up;
        if !self.offerless {
            return;
        }
        let answer = message.map_or(Ok(None), |ack| negotiation::description(ack, Cause::BadSdp));
        match answer.and_then(|answer| self.take_answer_of_a(answer)) {
            Ok(()) => {
                self.configure_relay();
                self.note_media(Side::A);
            }
            Err(end) => self.end(desk, now, end, EndedBy::Gateway),
        }
    }

    fn hung_up(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        if side == Side::B && self.hold_dropped() && self.state != State::Diverting {
            let told = message.and_then(|message| text_of(message, HeaderName::Reason));
            let end = Termination { detail: told, ..Termination::new(Cause::HoldDropped) };
            self.divert_or_end(desk, now, end);
            return;
        }
        let cause = if side == Side::A { Cause::CallerHungUp } else { Cause::CalleeHungUp };
        self.end_with(desk, now, Termination::new(cause), EndedBy::Side(side), message);
    }

    // --- a change of the session

    /// A re-INVITE of `side`: offered to the other leg, whose answer is the answer.
    fn pass_reinvite(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        let other = side.other();
        if self.exchange.is_some() {
            self.refuse(desk, now, side, StatusCode::REQUEST_PENDING, Vec::new());
            return;
        }
        let offered = message.map_or(Ok(None), |request| negotiation::description(request, Cause::BadSdp));
        let planned =
            offered.and_then(|offered| self.plan_reinvite(side, offered.as_ref()).map(|plan| (offered, plan)));
        let (offered, (formats, direction)) = match planned {
            Ok(planned) => planned,
            Err(refusal) => {
                let status = StatusCode::new(refusal.sip_status()).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
                let reason = vec![(Cow::Borrowed("Reason"), refusal.reason_header())];
                self.refuse(desk, now, side, status, reason);
                return;
            }
        };
        let kept = self.leg_mut(other).map(|leg| std::mem::replace(&mut leg.formats, formats));
        let body = self.describe(desk, other, direction, Kind::Offer);
        let proposed = match (kept, self.leg_mut(other)) {
            // What is in use stays until the answer says otherwise.
            (Some(kept), Some(leg)) => std::mem::replace(&mut leg.formats, kept),
            _ => Vec::new(),
        };
        let Some(id) = self.leg(other).map(|leg| leg.id) else { return };
        if desk.endpoint.reinvite(now, id, Vec::new(), body).is_err() {
            self.refuse(desk, now, side, StatusCode::REQUEST_PENDING, Vec::new());
            return;
        }
        self.exchange = Some(Exchange { initiator: side, offered, proposed, answered: false });
        let lane = self.lane(other);
        self.journal.moment(now, Lane::Trunkline, lane, "re-INVITE", None);
    }

    /// What the other leg is offered for a change of `side`.
    fn plan_reinvite(
        &self,
        side: Side,
        offered: Option<&crate::sdp::Description>,
    ) -> Result<(Vec<crate::sdp::Format>, crate::sdp::Direction), Termination> {
        let other = self.leg(side.other()).ok_or_else(|| Termination::new(Cause::Internal))?;
        let Some(offered) = offered else {
            return Ok((other.formats.clone(), crate::sdp::Direction::SendRecv));
        };
        let audio =
            offered.usable_audio().map_err(|why| Termination::with_detail(Cause::NoUsableMedia, why.to_string()))?;
        let formats = negotiate::for_target_within(&audio.formats, other.takes.as_deref(), &other.formats);
        if formats.is_empty() {
            return Err(Termination::with_detail(Cause::NoUsableMedia, "no codec in common"));
        }
        Ok((formats, audio.direction))
    }

    /// The other leg took the change: ACK there, 200 to the initiator.
    fn pass_reinvite_answer(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        self.acknowledge(desk, now, side);
        let Some(mut exchange) = self.exchange.take() else { return };
        let initiator = exchange.initiator;
        let answer = message.map_or(Ok(None), |answer| negotiation::description(answer, Cause::TargetBadAnswer));
        let usable = answer.ok().flatten().and_then(|answer| {
            let settled = negotiation::settle(&exchange.proposed, &answer)?;
            Some((answer, settled))
        });
        let Some((answer, (formats, theirs))) = usable else {
            self.refuse(desk, now, initiator, StatusCode::NOT_ACCEPTABLE_HERE, Vec::new());
            return;
        };
        let far = answer.audio().map_or(crate::sdp::Direction::SendRecv, |audio| audio.direction);
        if let Some(leg) = self.leg_mut(side) {
            leg.formats.clone_from(&formats);
            leg.theirs = theirs;
            leg.remote = Some(answer);
        }
        let offered = exchange.offered.take();
        let body = match &offered {
            Some(offer) => {
                let asked = offer.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
                let direction = offer.audio().map_or(far, |audio| negotiate::answer_direction(audio.direction, far));
                if let Some(leg) = self.leg_mut(initiator) {
                    leg.formats = negotiate::for_caller(&asked, &formats);
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
            self.exchange = Some(Exchange { initiator, offered, proposed: Vec::new(), answered: true });
        }
    }

    /// The other leg keeps the session as it is, and so does the initiator.
    fn pass_reinvite_refusal(&mut self, desk: &mut Desk, now: Instant, notice: &Notice) {
        let Some(exchange) = self.exchange.take() else { return };
        let status = match notice.status {
            // Credentials and repairs between us and the other leg are not the initiator's business.
            401 | 407 | 420 | 421 | 422 | 0..=399 => StatusCode::NOT_ACCEPTABLE_HERE,
            status => StatusCode::new(status).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE),
        };
        self.refuse(desk, now, exchange.initiator, status, Vec::new());
    }

    /// The initiator's ACK; with an answer in it if the offer was ours.
    fn finish_exchange(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        let Some(exchange) = self.exchange.take_if(|exchange| exchange.initiator == side && exchange.answered) else {
            return;
        };
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
}

/// The end that a failed INVITE means.
fn failure(notice: &Notice) -> Termination {
    match &notice.message {
        Some(response) => Termination::from_target(notice.status, &response.reason()),
        None if notice.status == 503 => Termination::new(Cause::TargetTransport),
        None => Termination::new(Cause::TargetUnreachable),
    }
}
