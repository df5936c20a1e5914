//! What the endpoint, the media worker, the companion and the timers say about a call, translated into rows of the
//! bridge table. The translation keeps each leg's phase; it decides nothing.

use super::bridge::{Happened, State, react};
use super::desk::{CallTimer, Desk};
use super::leg::Phase;
use super::state::{Call, Hold};
use super::teardown::EndedBy;
use crate::config::room::OnFailure;
use crate::error::{Cause, Termination};
use crate::media::{MediaEvent, Side, SilenceClock};
use crate::record::{CallState, Lane, Step};
use crate::room::Instruction;
use crate::sip::Message;
use crate::sip::endpoint::{Event, LegId, RequestId, Silence};
use std::time::Instant;

/// One event of a leg, with the message that brought it.
pub(super) struct Notice {
    pub happened: Happened,
    pub message: Option<Message>,
    /// The status of a failure without message (a timeout counts as 408).
    pub status: u16,
    /// What to answer it by, if it is no INVITE.
    pub request: Option<RequestId>,
}

/// Splits an endpoint's event into the leg and what happened there; `None` for events that are not about a call.
pub(super) fn notice(event: Event) -> Option<(LegId, Notice)> {
    let with = |leg, happened, message: Message| {
        let status = message.status().map_or(0, crate::sip::StatusCode::get);
        Some((leg, Notice { happened, message: Some(message), status, request: None }))
    };
    let without = |leg, happened, status| Some((leg, Notice { happened, message: None, status, request: None }));
    match event {
        Event::Progress { leg, response } => with(leg, Happened::Progress, response),
        Event::Answered { leg, response } => with(leg, Happened::Answered, response),
        Event::Refused { leg, response } => with(leg, Happened::Refused, response),
        Event::Unanswered { leg, why: Silence::Timeout } => without(leg, Happened::Unanswered, 408),
        Event::Unanswered { leg, why: Silence::Transport } => without(leg, Happened::Unanswered, 503),
        Event::Reinvited { leg, request } => with(leg, Happened::Reinvited, request),
        Event::ReinviteAnswered { leg, response } => with(leg, Happened::ReinviteAnswered, response),
        Event::ReinviteRefused { leg, status, response } => {
            // RFC 3261 §12.2.1.2: these two say that the dialog is gone.
            let lost = matches!(status.get(), 408 | 481);
            let happened = if lost { Happened::DialogLost } else { Happened::ReinviteRefused };
            Some((leg, Notice { happened, message: response, status: status.get(), request: None }))
        }
        Event::SessionExpired { leg } => without(leg, Happened::SessionExpired, 408),
        Event::Unpracked { leg } => without(leg, Happened::Unpracked, 504),
        Event::Acknowledged { leg, request } => with(leg, Happened::Acknowledged, request),
        Event::Unacknowledged { leg } => without(leg, Happened::Unacknowledged, 408),
        Event::Cancelled { leg, request } => with(leg, Happened::Cancelled, request),
        Event::HungUp { leg, request } => with(leg, Happened::HungUp, request),
        Event::Invited { .. }
        | Event::Doubted { .. }
        | Event::OutOfDialog { .. }
        | Event::Requested { .. }
        | Event::Replied { .. }
        | Event::Noted { .. }
        | Event::Refreshed { .. }
        | Event::RefreshDue { .. }
        | Event::Closed { .. } => None,
    }
}

impl Call {
    /// Takes one event of one of its legs.
    pub fn on_leg(&mut self, desk: &mut Desk, now: Instant, leg: LegId, notice: &Notice) {
        let Some(side) = self.side_of(leg) else {
            self.on_other_leg(desk, now, leg, notice);
            return;
        };
        self.note(now, side, notice);
        if side == Side::B {
            self.note_reach(desk, now, notice);
        }
        self.advance(side, notice);
        self.follow(desk, now, side, notice);
    }

    /// Does what the table says follows.
    pub fn follow(&mut self, desk: &mut Desk, now: Instant, side: Side, notice: &Notice) {
        if let (Some(leg), Some(message)) = (self.leg_mut(side), &notice.message) {
            leg.learn(message);
        }
        for command in react(self.state, side, notice.happened) {
            self.execute(desk, now, side, *command, notice);
        }
    }

    /// A leg that parts still plays hold music; when it hangs up by itself, that is all.
    fn on_other_leg(&mut self, desk: &mut Desk, now: Instant, leg: LegId, notice: &Notice) {
        if self.on_transfer_leg(desk, now, leg, notice) {
            return;
        }
        match notice.happened {
            Happened::HungUp => {
                if let Some(parting) = self.parting.take_if(|parting| parting.id == leg) {
                    self.released.push(parting.id);
                    self.ring_back(desk, std::time::Duration::ZERO);
                }
            }
            Happened::Reinvited => {
                let _ = desk.endpoint.reject(now, leg, crate::sip::StatusCode::REQUEST_PENDING, None, Vec::new());
            }
            Happened::Answered | Happened::ReinviteAnswered => {
                let _ = desk.endpoint.acknowledge(now, leg, None);
            }
            _ => {}
        }
    }

    /// Keeps the leg's phase.
    fn advance(&mut self, side: Side, notice: &Notice) {
        let Some(leg) = self.leg_mut(side) else { return };
        match (leg.phase, notice.happened) {
            (Phase::Outgoing, Happened::Answered) => leg.phase = Phase::Up,
            (Phase::AwaitingAck, Happened::Acknowledged | Happened::Unacknowledged) => leg.phase = Phase::Up,
            (_, Happened::HungUp)
            | (Phase::Incoming, Happened::Cancelled)
            | (Phase::Outgoing, Happened::Refused | Happened::Unanswered) => leg.phase = Phase::Released,
            _ => {}
        }
    }

    /// Writes the event into the timeline.
    fn note(&mut self, now: Instant, side: Side, notice: &Notice) {
        let lane = self.lane(side);
        let status = notice.message.as_ref().filter(|message| !message.is_request());
        let what = match (notice.happened, status) {
            (_, Some(message)) => {
                let reason = message.reason();
                format!("{} {reason}", message.status().map_or(0, crate::sip::StatusCode::get)).trim_end().to_owned()
            }
            (Happened::Acknowledged, _) => "ACK".to_owned(),
            (Happened::Cancelled, _) => "CANCEL".to_owned(),
            (Happened::HungUp, _) => "BYE".to_owned(),
            (Happened::Reinvited, _) => "re-INVITE".to_owned(),
            (Happened::Unanswered, _) => "no response".to_owned(),
            (Happened::Unacknowledged, _) => "no ACK".to_owned(),
            (Happened::Unpracked, _) => "no PRACK".to_owned(),
            (Happened::SessionExpired, _) => "session expired".to_owned(),
            _ => "failure".to_owned(),
        };
        self.journal.moment(now, lane, Lane::Trunkline, what, None);
    }

    /// Which address is tried, and why another one than the first.
    pub fn note_way(&mut self, now: Instant, side: Side, note: String) {
        let lane = self.lane(side);
        self.journal.step(Step::Hop { note: note.clone() });
        self.journal.moment(now, Lane::Trunkline, lane, "way", Some(note));
    }

    /// A named wait is over.
    pub fn on_timer(&mut self, desk: &mut Desk, now: Instant, timer: CallTimer) {
        match timer {
            CallTimer::Ring => {
                self.ring_timer = None;
                self.note_no_answer(desk, now);
                let termination = Termination::new(Cause::NoAnswer);
                self.abandon_b(desk, now, &termination);
                self.next_target(desk, now, termination);
            }
            CallTimer::Exchange => {
                self.exchange_timer = None;
                self.give_up_exchange(desk, now);
            }
            CallTimer::Transfer => self.transfer_rang_out(desk, now),
            CallTimer::Glare => {
                self.glare_timer = None;
                self.catch_up(desk, now);
            }
            CallTimer::Hard => {
                self.hard_timer = None;
                self.end(desk, now, Termination::new(Cause::TooLong), EndedBy::Gateway);
            }
        }
    }

    /// The media worker noticed something.
    pub fn on_media(&mut self, desk: &mut Desk, now: Instant, event: MediaEvent) {
        match event {
            MediaEvent::FirstPacket { side, .. } => {
                let lane = self.lane(side);
                self.journal.moment(now, lane, Lane::Trunkline, "first RTP", None);
                if side == Side::B {
                    self.far_side_heard();
                }
            }
            MediaEvent::Silent { side: Side::A, clock, .. } => {
                let cause = match clock {
                    SilenceClock::Initial => Cause::NoAudioFromPbx,
                    SilenceClock::Ongoing | SilenceClock::Held => Cause::AudioStoppedPbx,
                };
                self.end(desk, now, Termination::new(cause), EndedBy::Gateway);
            }
            // A quiet room is not a dead call: as long as the caller is there, this is noted and nothing more.
            MediaEvent::Silent { side: Side::B, clock, .. } => {
                let cause = match clock {
                    SilenceClock::Initial => Cause::NoAudioFromCloud,
                    SilenceClock::Ongoing | SilenceClock::Held => Cause::AudioStoppedCloud,
                };
                let lane = self.lane(Side::B);
                self.journal.moment(now, lane, Lane::Trunkline, "silence", Some(cause.entry().text.to_owned()));
            }
        }
    }

    /// The companion says what became of the held caller.
    pub fn on_instruction(&mut self, desk: &mut Desk, now: Instant, instruction: Instruction) {
        if self.state == State::Ending {
            return;
        }
        match instruction {
            Instruction::Decided(step) => self.journal.step(step),
            Instruction::Happened { from, to, what, detail } => self.journal.moment(now, from, to, what, detail),
            Instruction::Named(facts) => self.journal.record_mut().daily = Some(facts),
            // Said before the companion heard that the call is no longer its own.
            Instruction::Connected | Instruction::Failed { .. } if self.hold != Hold::Waiting => {}
            Instruction::Connected => {
                if self.state == State::Waiting {
                    self.answer_a(desk, now);
                }
                self.hold = Hold::Over;
                if self.answered() {
                    self.journal.record_mut().state = CallState::Connected;
                }
            }
            Instruction::Failed { termination, on_failure } => {
                self.journal.step(Step::Companion { stage: "fallback".to_owned(), outcome: termination.text() });
                match on_failure {
                    OnFailure::Hangup => self.end(desk, now, termination, EndedBy::Gateway),
                    OnFailure::Fallback | OnFailure::Announce => self.divert_or_end(desk, now, termination),
                }
            }
        }
    }
}
