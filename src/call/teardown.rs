//! The end of a call, claimed once: whoever comes first names the cause, everything the call owned is freed at that
//! moment, and the legs are let go in the way that their phase allows.

use super::bridge::State;
use super::desk::{Desk, Output};
use super::journal::Journal;
use super::leg::{Leg, Phase};
use super::refusal;
use super::state::{Attempt, Call, Hold};
use crate::error::Termination;
use crate::media::{Counts, Side};
use crate::observe::{Metrics, metrics as metric};
use crate::record::call::{LegPackets, MediaSummary};
use crate::record::{CallState, Lane, Step};
use crate::room;
use crate::sip::endpoint::{Headers, LegId};
use crate::sip::{HeaderName, Message, StatusCode};
use std::borrow::Cow;
use std::time::Instant;

/// Which party's action ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// The peer of this side.
    Side(Side),
    /// This gateway.
    Gateway,
}

impl EndedBy {
    fn label(self) -> &'static str {
        match self {
            Self::Side(Side::A) => "a",
            Self::Side(Side::B) => "b",
            Self::Gateway => "gateway",
        }
    }
}

/// Refuses an INVITE that never became a call.
pub(super) fn refuse(
    desk: &mut Desk,
    now: Instant,
    leg: LegId,
    mut journal: Journal,
    termination: &Termination,
    demanded: Headers,
) {
    let sent = send_refusal(desk, now, leg, termination, demanded);
    note_end(&mut journal, now, termination, EndedBy::Gateway);
    journal.moment(now, Lane::Trunkline, Lane::Pbx, sent, Some(termination.cause.entry().code.to_owned()));
    let record = journal.finish();
    desk.metrics.admission_refused(termination.cause.entry().code);
    desk.metrics.call_finished(&record);
    desk.outputs.push_back(Output::Finished(record));
}

/// Refuses the pending INVITE of a leg; gives back status and phrase, for the record.
fn send_refusal(desk: &mut Desk, now: Instant, leg: LegId, termination: &Termination, demanded: Headers) -> String {
    // An ordinary end (an operator's, say) before the answer is a refusal all the same.
    let status = match termination.sip_status() {
        0..300 => StatusCode::DECLINE,
        status => StatusCode::new(status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR),
    };
    let mut headers = refusal::headers(termination, &desk.settings.from_host);
    headers.extend(demanded);
    if let Some(contact) = &termination.contact {
        headers.push((std::borrow::Cow::Borrowed("Contact"), contact.clone()));
    }
    // The leg may be gone already (its CANCEL crossed this); then there is nobody left to tell.
    let phrase = phrase(termination);
    let _ = desk.endpoint.reject(now, leg, status, Some(phrase), headers);
    format!("{} {phrase}", status.get())
}

/// The reason phrase of a refusal: the fallback's own, the standard one for a passed-on status, else the catalogue's.
fn phrase(termination: &Termination) -> &str {
    match (&termination.phrase, termination.status.and_then(StatusCode::new)) {
        (Some(phrase), _) => phrase,
        (None, Some(status)) => status.reason(),
        (None, None) => termination.cause.entry().text,
    }
}

fn note_end(journal: &mut Journal, now: Instant, termination: &Termination, by: EndedBy) {
    let entry = termination.cause.entry();
    // The end is told however long the call's story is.
    journal.steps().push(Step::Termination {
        code: entry.code.to_owned(),
        fault: format!("{:?}", entry.fault).to_lowercase(),
        remedy: entry.remedy.to_owned(),
        detail: termination.detail.clone(),
    });
    let elapsed = journal.elapsed_ms(now);
    let record = journal.record_mut();
    record.state = CallState::Ended;
    record.duration_ms = Some(elapsed);
    record.ended_by = Some(by.label().to_owned());
    record.termination = Some(termination.clone());
}

impl Call {
    /// Ends the call. Only the first claim counts.
    pub fn end(&mut self, desk: &mut Desk, now: Instant, termination: Termination, by: EndedBy) {
        self.end_with(desk, now, termination, by, None);
    }

    /// Ends the call and hands the peer's own `Reason` on to the other leg.
    pub fn end_with(&mut self, desk: &mut Desk, now: Instant, end: Termination, by: EndedBy, told: Option<&Message>) {
        if self.state == State::Ending {
            return;
        }
        self.state = State::Ending;
        self.disarm_ring(desk);
        self.drop_update(desk, now);
        self.turn_down(desk, now);
        let timers = [self.hard_timer.take(), self.exchange_timer.take(), self.glare_timer.take()];
        for timer in timers.into_iter().flatten() {
            desk.timers.cancel(timer);
        }
        let told = told.and_then(|message| message.text(HeaderName::Reason).map(std::borrow::Cow::into_owned));
        let reason = told.clone().unwrap_or_else(|| end.reason_header());
        self.end_transfers(desk, now, &reason);
        // The PBX's next route may hang on the status and the cause; the far side hears what happened.
        let to_pbx = self.trunk.told(&end);
        let reason_to_pbx = told.unwrap_or_else(|| to_pbx.reason_header());
        self.release(desk, now, Side::A, &to_pbx, &reason_to_pbx);
        self.release(desk, now, Side::B, &end, &reason);
        if let Some(parting) = self.parting.take() {
            self.let_go(desk, now, parting, Lane::CloudSip, &reason);
        }
        self.account(desk, now, &end, by);
    }

    /// Frees what the call owned and closes its record.
    fn account(&mut self, desk: &mut Desk, now: Instant, end: &Termination, by: EndedBy) {
        let counts = self.relay.as_ref().map(crate::media::Relay::counts).unwrap_or_default();
        self.journal.record_mut().media = summary(&counts);
        count_packets(&desk.metrics, &counts);
        desk.active = desk.active.saturating_sub(1);
        self.relay = None;
        self.pending = None;
        self.trunk_slot = None;
        self.target_slot = None;
        note_end(&mut self.journal, now, end, by);
        if self.hold != Hold::None {
            desk.outputs.push_back(Output::Report(room::Report::Ended(self.id.clone())));
        }
        let record = self.journal.finish();
        desk.metrics.call_finished(&record);
        desk.outputs.push_back(Output::Finished(record));
    }

    /// Lets a side's leg go.
    fn release(&mut self, desk: &mut Desk, now: Instant, side: Side, end: &Termination, reason: &str) {
        let lane = self.lane(side);
        let Some(leg) = self.leg_mut(side) else { return };
        let (id, phase) = (leg.id, leg.phase);
        leg.phase = Phase::Released;
        let headers: Headers = vec![(Cow::Borrowed("Reason"), reason.to_owned())];
        match phase {
            Phase::Incoming => {
                let what = send_refusal(desk, now, id, end, Headers::new());
                self.journal.moment(now, Lane::Trunkline, lane, what, Some(end.cause.entry().code.to_owned()));
            }
            Phase::Outgoing => {
                let _ = desk.endpoint.cancel(now, id, headers);
                self.journal.moment(now, Lane::Trunkline, lane, "CANCEL", None);
            }
            // While the ACK is due, the endpoint keeps the BYE until it arrives (RFC 3261 §15).
            Phase::AwaitingAck | Phase::Up => {
                let _ = desk.endpoint.bye(now, id, headers);
                self.journal.moment(now, Lane::Trunkline, lane, "BYE", Some(end.cause.entry().code.to_owned()));
            }
            Phase::Released => {}
        }
    }

    /// Lets a leg go that the call goes on without.
    pub fn let_go(&mut self, desk: &mut Desk, now: Instant, leg: Leg, lane: Lane, reason: &str) {
        let headers: Headers = vec![(Cow::Borrowed("Reason"), reason.to_owned())];
        let done = match leg.phase {
            Phase::Outgoing => ("CANCEL", desk.endpoint.cancel(now, leg.id, headers)),
            Phase::AwaitingAck | Phase::Up => ("BYE", desk.endpoint.bye(now, leg.id, headers)),
            Phase::Incoming | Phase::Released => ("", Ok(())),
        };
        if !done.0.is_empty() && done.1.is_ok() {
            self.journal.moment(now, Lane::Trunkline, lane, done.0, None);
        }
        self.released.push(leg.id);
    }

    /// The lane of a side's peer: a fallback's leg B is at the PBX too.
    pub fn lane(&self, side: Side) -> Lane {
        match (side, &self.attempt) {
            (Side::B, Attempt::Target { .. }) => Lane::CloudSip,
            (Side::B, Attempt::Transferred { lane }) => *lane,
            (Side::A, _) | (Side::B, Attempt::Fallback { .. }) => Lane::Pbx,
        }
    }
}

fn count_packets(metrics: &Metrics, counts: &Counts) {
    for (leg, side) in [(metric::Leg::A, Side::A), (metric::Leg::B, Side::B)] {
        let at = |pair: [u64; 2]| pair.get(side.index()).copied().unwrap_or(0);
        metrics.rtp_packets(leg, metric::Direction::In, at(counts.received));
        metrics.rtp_packets(leg, metric::Direction::Out, at(counts.sent));
    }
}

fn summary(counts: &Counts) -> MediaSummary {
    let leg = |side: usize| {
        let at = |pair: [u64; 2]| pair.get(side).copied().unwrap_or(0);
        LegPackets { received: at(counts.received), sent: at(counts.sent), dropped: at(counts.dropped) }
    };
    MediaSummary { a: leg(0), b: leg(1) }
}

/// A record's packets while the call lives.
pub(super) fn live_summary(call: &Call) -> MediaSummary {
    summary(&call.relay.as_ref().map(crate::media::Relay::counts).unwrap_or_default())
}
