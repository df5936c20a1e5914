//! The doing: each command of the bridge table as the calls to the endpoint, the relay and the record that it means.

use super::bridge::{Command, State};
use super::desk::{Desk, Output};
use super::events::Notice;
use super::leg::Phase;
use super::negotiation;
use super::state::{Asked, Call};
use super::teardown::EndedBy;
use crate::error::{Cause, Termination};
use crate::media::Side;
use crate::record::{CallState, Lane};
use crate::room;
use crate::sip::endpoint::Headers;
use crate::sip::{HeaderName, Message, StatusCode};
use std::time::Instant;

impl Call {
    /// Does what a row of the table says.
    pub fn execute(&mut self, desk: &mut Desk, now: Instant, side: Side, command: Command, notice: &Notice) {
        let message = notice.message.as_ref();
        match command {
            Command::PassProgress => self.pass_progress(desk, now, notice),
            Command::PassAnswer => self.pass_answer(desk, now, message),
            Command::JoinFallback => self.take_fallback(desk, now, message),
            Command::NextTarget | Command::FallbackFailed => {
                if !self.redirected(desk, now, notice.status, message) {
                    self.next_target(desk, now, failure(notice));
                }
            }
            Command::Complete => {
                self.state = State::Up;
                self.take_late_answer(desk, now, message);
            }
            Command::TakeAnswer => self.take_late_answer(desk, now, message),
            Command::PassReinvite => self.pass_change(desk, now, side, Asked::Reinvite, message),
            Command::KeepReinvite => self.kept_change = notice.message.clone().map(|kept| (Asked::Reinvite, kept)),
            Command::PassUpdate => self.pass_update(desk, now, side, notice),
            Command::KeepUpdate => self.keep_update(desk, now, side, notice),
            Command::PassEarlyUpdate => self.pass_early_update(desk, now, side, notice),
            Command::RefuseUpdate => self.refuse_update(desk, now, side, notice),
            Command::PassKeptReinvite => {
                self.pass_kept_change(desk, now);
                self.catch_up(desk, now);
            }
            Command::PassReinviteAnswer => self.pass_reinvite_answer(desk, now, side, message),
            Command::PassReinviteRefusal => self.pass_reinvite_refusal(desk, now, notice),
            Command::WithdrawChange => self.withdraw_change(desk, now, side),
            Command::RefuseGlare => self.refuse(desk, now, side, StatusCode::REQUEST_PENDING, Vec::new()),
            Command::EndCancelled => {
                let end = Termination::new(Cause::CallerCancelled);
                self.end_with(desk, now, end, EndedBy::Side(Side::A), message);
            }
            Command::EndHungUp => self.hung_up(desk, now, side, message),
            Command::EndUnacknowledged => self.end(desk, now, Termination::new(Cause::NoAck), EndedBy::Gateway),
            Command::EndDialogLost => {
                let cause = if side == Side::A { Cause::PbxLostDialog } else { Cause::CloudLostDialog };
                self.lost(desk, now, side, Termination::new(cause), EndedBy::Side(side));
            }
            Command::EndExpired => {
                let cause = if side == Side::A { Cause::SessionExpiredPbx } else { Cause::SessionExpiredCloud };
                self.lost(desk, now, side, Termination::new(cause), EndedBy::Gateway);
            }
            Command::EndUnpracked => self.end(desk, now, Termination::new(Cause::NoPrack), EndedBy::Gateway),
            Command::AcknowledgeOnly => self.acknowledge(desk, now, side),
            Command::FinishExchange => self.finish_exchange(desk, now, side, message),
        }
    }

    pub fn acknowledge(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        let lane = self.lane(side);
        let Some(leg) = self.leg(side) else { return };
        if desk.endpoint.acknowledge(now, leg.id, None).is_ok() {
            self.journal.moment(now, Lane::Trunkline, lane, "ACK", None);
        }
    }

    pub fn refuse(&mut self, desk: &mut Desk, now: Instant, side: Side, status: StatusCode, headers: Headers) {
        let lane = self.lane(side);
        let Some(leg) = self.leg(side) else { return };
        if desk.endpoint.reject(now, leg.id, status, None, headers).is_ok() {
            let what = format!("{} {}", status.get(), status.reason());
            self.journal.moment(now, Lane::Trunkline, lane, what, None);
        }
    }

    /// 2xx of leg B: ACK there, 200 here; or, where the PBX is to believe that it rings, when the caller meets the bot.
    fn pass_answer(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        self.disarm_ring(desk);
        if let Err(end) = self.take_and_acknowledge(desk, now, message) {
            self.lose_b(desk, now, end);
            return;
        }
        if self.rings_until_met() {
            self.wait_for_bot(desk, now);
            return;
        }
        self.answer_a(desk, now);
        if self.state == State::Answering && self.hold_dropped() {
            self.journal.record_mut().state = CallState::Held;
            desk.outputs.push_back(Output::Report(room::Report::Answered(self.id.clone())));
        }
    }

    /// Leg B holds the caller's place, who still hears the PBX's own ringing.
    fn wait_for_bot(&mut self, desk: &mut Desk, now: Instant) {
        self.ring_once(desk, now);
        self.state = State::Waiting;
        self.note_media(Side::B);
        self.journal.record_mut().state = CallState::Held;
        desk.outputs.push_back(Output::Report(room::Report::Answered(self.id.clone())));
    }

    /// Leg B is up: leg A is answered with what leg B answered.
    pub fn answer_a(&mut self, desk: &mut Desk, now: Instant) {
        let body = self.describe_for_a(desk);
        if self.a.formats.is_empty() || body.is_none() {
            self.lose_b(desk, now, Termination::with_detail(Cause::TargetBadAnswer, "answer has no offered codec"));
            return;
        }
        self.stop_ringing_back();
        self.configure_relay();
        self.note_media(Side::A);
        self.note_media(Side::B);
        if desk.endpoint.answer(now, self.a.id, Vec::new(), body).is_err() {
            // Its CANCEL won; the endpoint's event about it is on the way.
            return;
        }
        self.a.phase = Phase::AwaitingAck;
        self.pending = None;
        self.state = State::Answering;
        self.watch_media();
        let elapsed = self.journal.elapsed_ms(now);
        self.journal.record_mut().answered_ms = Some(elapsed);
        self.journal.moment(now, Lane::Trunkline, Lane::Pbx, "200 OK", None);
        self.journal.record_mut().state = CallState::Connected;
    }

    /// Reads leg B's answer; without a body an earlier provisional one holds (RFC 3261 §13.2.1).
    pub fn take_answer(&mut self, desk: &Desk, message: Option<&Message>) -> Result<(), Termination> {
        if self.early.changed {
            // An UPDATE has gone further than what a reliable provisional response said, which is repeated at most.
            return self.take_what_was_heard();
        }
        let described = match message {
            Some(message) => negotiation::description(message, Cause::TargetBadAnswer)?,
            None => None,
        };
        match described {
            Some(description) => {
                self.refuse_loop(desk, &description, Cause::TargetBadAnswer)?;
                self.take_from_b(description)
            }
            None => match message.and_then(Message::to_tag).and_then(|tag| self.early.of(tag)) {
                // Of several early dialogs the one that answered is meant, whoever was heard last.
                Some(early) => self.take_from_b(early),
                None => self.take_what_was_heard(),
            },
        }
    }

    fn take_what_was_heard(&self) -> Result<(), Termination> {
        match self.b.as_ref().and_then(|b| b.remote.as_ref()) {
            Some(_) => Ok(()),
            None => Err(Termination::with_detail(Cause::TargetBadAnswer, "no session description in the answer")),
        }
    }

    /// Leg B answered with something unusable: hang it up and go on as after a refusal.
    pub fn lose_b(&mut self, desk: &mut Desk, now: Instant, end: Termination) {
        self.turn_down(desk, now);
        if let Some(b) = self.b.take() {
            let lane = self.lane(Side::B);
            self.let_go(desk, now, b, lane, &end.reason_header());
        }
        self.next_target(desk, now, end);
    }

    fn take_fallback(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        match self.take_and_acknowledge(desk, now, message) {
            Ok(()) => self.join_fallback(desk, now),
            Err(end) => self.lose_b(desk, now, end),
        }
    }

    /// The ACK to our first 200: the answer, if the offer was ours.
    fn take_late_answer(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        if !self.offerless || self.a.remote.is_some() {
            return;
        }
        let answer = message.map_or(Ok(None), |ack| negotiation::description(ack, Cause::BadSdp));
        let sound = answer.and_then(|answer| {
            answer.as_ref().map_or(Ok(()), |answer| self.refuse_loop(desk, answer, Cause::MediaLoop))?;
            self.take_answer_of_a(answer)?;
            self.pass_late_answer(desk, now)
        });
        match sound {
            Ok(()) => {
                self.configure_relay();
                self.note_media(Side::A);
            }
            Err(end) => self.end(desk, now, end, EndedBy::Gateway),
        }
    }

    fn hung_up(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        if self.orphan(side) {
            return;
        }
        if side == Side::B && self.hold_dropped() && self.state != State::Diverting {
            let told = message.and_then(|message| message.text(HeaderName::Reason).map(std::borrow::Cow::into_owned));
            let end = Termination { detail: told, ..Termination::new(Cause::HoldDropped) };
            self.divert_or_end(desk, now, end);
            return;
        }
        let cause = if side == Side::A { Cause::CallerHungUp } else { Cause::CalleeHungUp };
        self.end_with(desk, now, Termination::new(cause), EndedBy::Side(side), message);
    }
}

impl Call {
    /// A leg is lost without a BYE: a caller who is still held for the bot is diverted, as if leg B had hung up.
    fn lost(&mut self, desk: &mut Desk, now: Instant, side: Side, end: Termination, by: EndedBy) {
        if side == Side::B && self.hold_dropped() && self.state != State::Diverting && self.route.fallback.is_some() {
            self.divert_or_end(desk, now, end);
        } else {
            self.end(desk, now, end, by);
        }
    }
}

/// The end that a failed INVITE means.
fn failure(notice: &Notice) -> Termination {
    match &notice.message {
        Some(bye) if bye.is_request() => Termination::with_detail(Cause::TargetUnavailable, "BYE before the answer"),
        Some(response) => Termination::from_target(notice.status, &response.reason()),
        None if notice.status == 503 => Termination::new(Cause::TargetTransport),
        None => Termination::new(Cause::TargetUnreachable),
    }
}
