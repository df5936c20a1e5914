//! Responses to our requests, and their absence: what the client transactions report becomes events of the leg. Apart
//! from the machines, which do not know what their request was for.

use super::super::dialog::Dialog;
use super::super::header::Via;
use super::super::transaction::client::{self, Resend};
use super::super::transaction::client_invite::{Report, Send};
use super::super::transaction::key::Kind;
use super::super::transaction::{Class, ClientId, Step};
use super::super::{HeaderName, Hop, HopAddress, Message, Method, Source, StatusCode};
use super::cancel::ack_of;
use super::fork::ANSWERS;
use super::leg::{Bye, ToAcknowledge};
use super::table::{Answer, ClientMachine, Owner, Purpose};
use super::{Endpoint, Event, LegId, Silence};

use bytes::Bytes;
use std::time::Instant;

type InviteStep = Step<Send, Report>;
type OtherStep = Step<Resend, client::Report>;

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn response(&mut self, now: Instant, source: Source, message: Message) {
        let mut vias = message.elements(HeaderName::Via);
        let top = vias.next();
        // §8.1.3.3: a response with more Vias than ours went astray.
        if vias.next().is_some() {
            return;
        }
        drop(vias);
        let Some(branch) = top.and_then(|top| Via::parse(top).ok()).and_then(|via| via.branch) else { return };
        let method = message.method();
        let key = self.keyer.client(branch, Kind::of(&method));
        let (Some(id), Some(status)) = (self.client_index.get(&key).copied(), message.status()) else { return };
        let Some(entry) = self.clients.get_mut(id) else { return };
        let class = Class::of(status.get());
        pin(&mut entry.hop, &source);
        entry.heard = true;
        match &mut entry.machine {
            ClientMachine::Invite(machine) if method == Method::Invite => {
                let step = machine.response(class);
                if entry.purpose == Purpose::Forsaken && class == Class::Provisional {
                    self.send_cancel(now, id);
                }
                self.invite_step(now, id, step, Some((source, message)));
            }
            ClientMachine::Invite(_) => {}
            ClientMachine::Other(machine) => {
                let step = machine.response(class);
                self.other_step(now, id, step, Some(message));
            }
        }
    }

    /// The transport could not deliver what a [`super::super::Transmit`] with this transaction held.
    pub fn transport_failed(&mut self, now: Instant, transaction: ClientId) {
        let Some(entry) = self.clients.get_mut(transaction.0) else { return };
        match &mut entry.machine {
            ClientMachine::Invite(machine) => {
                let step = machine.transport_failed();
                self.invite_step(now, transaction.0, step, None);
            }
            ClientMachine::Other(machine) => {
                let step = machine.transport_failed();
                self.other_step(now, transaction.0, step, None);
            }
        }
    }

    pub(super) fn invite_step(&mut self, now: Instant, id: u64, step: InviteStep, input: Option<(Source, Message)>) {
        let Some(entry) = self.clients.get(id) else { return };
        let purpose = entry.purpose;
        let spare = self.spare_invite(now, id, step.report, input.as_ref().map(|(_, message)| message));
        let response = input.as_ref().map(|(_, message)| message).filter(|_| step.report == Some(Report::Failure));
        let challenged = self.challenged(id, response);
        let too_small = self.too_small(id, response);
        match step.send {
            Some(Send::Request) => self.repeat_request(id),
            Some(Send::Ack) => self.acknowledge_failure(id, input.as_ref().map(|(_, message)| message)),
            None => {}
        }
        if step.over {
            self.close_client(now, id);
        } else {
            self.arm(now, Owner::Client(id), step.repeat, step.limit);
        }
        if let Some(spare) = spare {
            return self.retry(now, spare, id, why_of(step.report));
        }
        if let (Some(too_small), Some((_, response))) = (too_small, &input)
            && self.ask_for_more(now, *too_small, purpose, response)
        {
            return;
        }
        match (step.report, input) {
            (Some(Report::Provisional), Some((source, response))) => {
                self.progressed(now, id, purpose, source, response);
            }
            (Some(Report::Success), Some((source, response))) => self.accepted(now, id, purpose, &source, response),
            (Some(Report::Failure), Some((_, response))) => {
                let again = challenged.is_some_and(|request| self.send_again(now, purpose, request, &response));
                if !again {
                    self.failed(now, purpose, response);
                }
            }
            (Some(Report::Timeout), _) => self.silent(now, purpose, Silence::Timeout),
            (Some(Report::Transport), _) => self.silent(now, purpose, Silence::Transport),
            _ => {}
        }
    }

    pub(super) fn other_step(&mut self, now: Instant, id: u64, step: OtherStep, input: Option<Message>) {
        let spare = self.spare_other(now, id, step.report);
        let response = input.as_ref().filter(|_| step.report == Some(client::Report::Final));
        let challenged = self.challenged(id, response);
        let Some(entry) = self.clients.get_mut(id) else { return };
        let (purpose, name) = (entry.purpose, entry.name);
        if step.report == Some(client::Report::Final) {
            entry.request = Bytes::new();
        }
        if step.send.is_some() {
            self.repeat_request(id);
        }
        if step.over {
            self.close_client(now, id);
        } else {
            self.arm(now, Owner::Client(id), step.repeat, step.limit);
        }
        if let Some(spare) = spare {
            return self.retry(now, spare, id, "no answer");
        }
        if let (Some(challenged), Some(response)) = (challenged, &input)
            && self.send_again(now, purpose, challenged, response)
        {
            return;
        }
        match (purpose, step.report) {
            (_, None | Some(client::Report::Provisional)) => {}
            // §15.1.1: whatever came of the BYE, the session is over.
            (Purpose::Bye(leg), Some(_)) => self.end_leg(now, leg),
            (Purpose::Refresh(leg), Some(report)) => self.update_replied(now, leg, report, input.as_ref()),
            (Purpose::Question(leg), Some(report)) => {
                if let (Some(leg), Some(response)) = (leg, &input) {
                    self.note_reply(now, leg, response);
                }
                self.replied(name, leg, report, input);
            }
            _ => {}
        }
    }

    fn repeat_request(&mut self, id: u64) {
        let Some(entry) = self.clients.get(id) else { return };
        let (hop, from, request) = (entry.hop.clone(), entry.from, entry.request.clone());
        // While its name is asked for, there is nowhere to send it again.
        if hop.address.socket().is_some() {
            self.send(hop, from, request, Some(id));
        }
    }

    /// §17.1.1.3: the ACK to a failure goes the way of the INVITE, each time the failure comes.
    fn acknowledge_failure(&mut self, id: u64, response: Option<&Message>) {
        let Some(entry) = self.clients.get_mut(id) else { return };
        if entry.ack.is_none()
            && let Some(response) = response
        {
            entry.ack = ack_of(&entry.request, response, &self.settings.user_agent);
            entry.request = Bytes::new();
        }
        if let Some(ack) = entry.ack.clone() {
            let (hop, from) = (entry.hop.clone(), entry.from);
            self.send(hop, from, ack, None);
        }
    }

    fn progressed(&mut self, now: Instant, id: u64, purpose: Purpose, source: Source, response: Message) {
        if let Purpose::Invite(leg) = purpose
            && response.status().is_some_and(|status| status.get() > 100)
            && let Some(state) = self.legs.get_mut(leg.0)
        {
            let (before, cancelled) = (state.dialogs(), state.cancelled);
            state.note_early(&response);
            self.dialogs += state.dialogs() - before;
            if !cancelled {
                state.peer = Some(source);
            }
            // A peer that we cancel wants its PRACK all the same, or it repeats its response until the CANCEL is there.
            if self.take_provisional(now, leg, &response).is_some() && !cancelled {
                self.events.push_back(Event::Progress { leg, response });
            }
        }
        self.send_cancel(now, id);
    }

    /// A 2xx: the first one, one that came before, or one of another fork.
    fn accepted(&mut self, now: Instant, id: u64, purpose: Purpose, source: &Source, response: Message) {
        let Some(entry) = self.clients.get(id) else { return };
        if let Some(answer) = entry.answers.iter().find(|answer| answer.tag.as_deref() == response.to_tag()) {
            // The ACK was lost, or is still with the layer above.
            if let Some(ack) = answer.ack.clone() {
                self.send(ack.hop, ack.from, ack.payload, None);
            }
            return;
        }
        if entry.answers.len() >= ANSWERS {
            return;
        }
        match purpose {
            Purpose::Invite(leg) => self.answered(now, id, leg, source, response),
            Purpose::Reinvite(leg) => self.reinvite_answered(now, id, leg, source, response),
            Purpose::Refresh(leg) => self.refresh_answered(now, id, leg, source, response),
            // Too late: another address has the call.
            Purpose::Forsaken => self.decline(now, id, source, &response),
            Purpose::Bye(_) | Purpose::Question(_) | Purpose::Nobody => {}
        }
    }

    fn answered(&mut self, now: Instant, id: u64, leg: LegId, source: &Source, response: Message) {
        let Some(state) = self.legs.get_mut(leg.0).filter(|state| !state.cancelled && !state.answered) else {
            self.decline(now, id, source, &response);
            if let Some(state) = self.legs.get_mut(leg.0).filter(|state| !state.answered) {
                // The answer won against our CANCEL.
                state.outgoing = None;
                self.end_leg(now, leg);
            }
            return;
        };
        let Some(entry) = self.clients.get_mut(id) else { return };
        // RFC 2543 peers may leave Contact out: then the Request-URI stays the target.
        let invite = Message::parse(std::mem::take(&mut entry.request)).ok();
        let fallback = invite.as_ref().and_then(Message::request_uri).unwrap_or_default();
        state.peer = Some(*source);
        self.dialogs -= state.dialogs();
        let mut dialog = Dialog::of_answer(&response, &state.from, fallback);
        if let Some(early) = state.early_mut(response.to_tag()) {
            dialog.resume(&early.dialog);
        }
        state.dialog = Some(dialog);
        state.early = Vec::new();
        self.dialogs += state.dialogs();
        state.answered = true;
        state.outgoing = None;
        let number = response.cseq().map_or(1, |cseq| cseq.number);
        state.to_acknowledge = Some(ToAcknowledge { client: id, number });
        entry.answers.push(Answer { tag: response.to_tag().map(Box::from), ack: None });
        self.note_success(now, leg, &response);
        self.learn_nonce(leg, &response);
        self.events.push_back(Event::Answered { leg, response });
    }

    fn reinvite_answered(&mut self, now: Instant, id: u64, leg: LegId, source: &Source, response: Message) {
        let Some(state) = self.legs.get_mut(leg.0) else {
            return self.acknowledge_late(id, source, &response);
        };
        // A re-INVITE does not fork: another tag than the first is nobody's.
        if state.outgoing != Some(id) {
            return;
        }
        state.peer = Some(*source);
        state.outgoing = None;
        let number = response.cseq().map_or(1, |cseq| cseq.number);
        state.to_acknowledge = Some(ToAcknowledge { client: id, number });
        if let Some(dialog) = &mut state.dialog {
            dialog.refresh(&response);
        }
        if let Some(entry) = self.clients.get_mut(id) {
            entry.request = Bytes::new();
            entry.answers.push(Answer { tag: response.to_tag().map(Box::from), ack: None });
        }
        self.learn_nonce(leg, &response);
        let hanging_up = !matches!(self.legs.get(leg.0).map(|state| &state.bye), Some(Bye::No));
        if hanging_up {
            // The layer above is done with this leg.
            self.acknowledge_anyway(leg);
        } else {
            self.note_success(now, leg, &response);
            self.events.push_back(Event::ReinviteAnswered { leg, response });
        }
    }

    fn failed(&mut self, now: Instant, purpose: Purpose, response: Message) {
        match purpose {
            Purpose::Invite(leg) => {
                let Some(state) = self.legs.get_mut(leg.0) else { return };
                state.outgoing = None;
                self.events.push_back(Event::Refused { leg, response });
                self.end_leg(now, leg);
            }
            Purpose::Reinvite(leg) => {
                let status = response.status().unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
                self.reinvite_refused(leg, status, Some(response));
            }
            Purpose::Refresh(leg) => {
                let status = response.status().unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
                self.refresh_refused(now, leg, status, Some(&response));
            }
            Purpose::Bye(_) | Purpose::Question(_) | Purpose::Forsaken | Purpose::Nobody => {}
        }
    }

    fn silent(&mut self, now: Instant, purpose: Purpose, why: Silence) {
        match purpose {
            Purpose::Invite(leg) => {
                let Some(state) = self.legs.get_mut(leg.0) else { return };
                state.outgoing = None;
                self.events.push_back(Event::Unanswered { leg, why });
                self.end_leg(now, leg);
            }
            Purpose::Reinvite(leg) => self.reinvite_refused(leg, status_of(why), None),
            Purpose::Refresh(leg) => self.refresh_refused(now, leg, status_of(why), None),
            Purpose::Bye(_) | Purpose::Question(_) | Purpose::Forsaken | Purpose::Nobody => {}
        }
    }

    fn reinvite_refused(&mut self, leg: LegId, status: StatusCode, response: Option<Message>) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        state.outgoing = None;
        if matches!(state.bye, Bye::No) {
            self.events.push_back(Event::ReinviteRefused { leg, status, response });
        }
    }
}

/// Why the next address is tried, in words.
const fn why_of(report: Option<Report>) -> &'static str {
    match report {
        Some(Report::Timeout) => "no answer",
        Some(Report::Failure) => "503",
        _ => "cannot be reached",
    }
}

/// §8.1.3.1: silence is 408, a transport error 503.
fn status_of(why: Silence) -> StatusCode {
    match why {
        Silence::Timeout => StatusCode::REQUEST_TIMEOUT,
        Silence::Transport => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// RFC 3263 §4: CANCEL, and the ACK to a failure, must reach the very server that the request reached. A name could be
/// resolved to another one next time, so whoever answered is the one.
fn pin(hop: &mut Hop, source: &Source) {
    if hop.protocol != source.protocol {
        return;
    }
    if source.connection.is_some() {
        hop.connection = source.connection;
    } else if hop.address.socket().is_none() {
        hop.address = HopAddress::Socket(source.peer);
    }
}
