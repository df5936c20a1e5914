//! Session timers on the wire (RFC 4028): what our requests and answers say of them, the refreshes, and what comes of
//! those. The rules are in `session::session_timer`; here are the messages.

use super::super::header::session_expires::min_se;
use super::super::session::session_timer::{After, Due, TooSmall};
use super::super::transaction::client;
use super::super::transaction::key::Kind;
use super::super::{HeaderName, Message, Method, Source, StatusCode};
use super::caller::Intent;
use super::compose::Reply;
use super::extensions::{TIMER, Unfit, asked, expires_of};
use super::inbound::Fresh;
use super::leg::{Bye, ToAcknowledge};
use super::table::{Alarm, Answer, Purpose};
use super::{Body, CommandError, Endpoint, Event, Headers, LegId, SUPPORTED};

use bytes::Bytes;
use std::time::{Duration, Instant};

/// RFC 3261 §14.1: who made the Call-ID waits longer, in units of 10 ms.
const OWNER_WAITS: (u64, u64) = (210, 190);
const OTHER_WAITS: (u64, u64) = (0, 201);

/// A `Retry-After` is read up to this; what is longer comes after the end of any session.
const LONGEST_WAIT: u64 = 86_400;

// === impl Endpoint ===

impl Endpoint {
    // --- the peer's requests

    /// Why a re-INVITE or UPDATE of the peer cannot be taken: timers are off, or its interval is too small.
    pub(super) fn refusal_of_interval(&self, leg: LegId, request: &Message) -> Option<(StatusCode, Headers)> {
        let extensions = self.legs.get(leg.0)?.extensions.as_ref();
        let known = extensions.is_some_and(|extensions| extensions.timer.is_known());
        if !known && request.lists(HeaderName::Require, TIMER) {
            return Some((Unfit::Off(TIMER).status(), Unfit::Off(TIMER).headers()));
        }
        let extensions = extensions?;
        let TooSmall { min_se } = extensions.timer.judge(&asked(request)).err()?;
        let unfit = Unfit::TooSmall(TooSmall { min_se });
        Some((unfit.status(), unfit.headers()))
    }

    /// A request of the peer that refreshes the session is answered 2xx: what the answer says of timers (§9).
    pub(super) fn grant(&mut self, now: Instant, leg: LegId, request: &Message) -> Headers {
        let mut headers = Headers::new();
        let Some(state) = self.legs.get_mut(leg.0) else { return headers };
        let Some(extensions) = state.extensions.as_mut() else { return headers };
        extensions.learn(request);
        let granted = extensions.timer.grant(now, &asked(request));
        if extensions.timer.is_known() {
            headers.push(("Supported".into(), format!("{SUPPORTED}, {TIMER}")));
        }
        if let Some(granted) = granted {
            headers.push(("Session-Expires".into(), granted.expires.to_string()));
            if granted.required {
                headers.push(("Require".into(), TIMER.to_owned()));
            }
        }
        self.arm_session(leg);
        headers
    }

    /// An UPDATE without a description: it refreshes the session and the target, and nobody else need know.
    pub(super) fn refreshed(&mut self, now: Instant, leg: LegId, fresh: Fresh) {
        let headers = self.grant(now, leg, &fresh.message);
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        if let Some(dialog) = &mut state.dialog {
            dialog.refresh(&fresh.message);
        }
        let tag = state.local_tag.clone();
        if let Some(server) = self.open(now, fresh, tag, Some(leg)) {
            self.reply(now, server, &Reply::with(StatusCode::OK, &headers));
        }
    }

    // --- our requests

    /// What a re-INVITE or UPDATE of ours says of timers.
    pub(super) fn refresh_headers(&self, leg: LegId) -> Headers {
        let extensions = self.legs.get(leg.0).and_then(|state| state.extensions.as_ref());
        extensions.map(|extensions| extensions.refresh_headers()).unwrap_or_default()
    }

    /// A 2xx to an INVITE, re-INVITE or UPDATE of ours.
    pub(super) fn note_success(&mut self, now: Instant, leg: LegId, response: &Message) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let Some(extensions) = state.extensions.as_mut() else { return };
        extensions.learn(response);
        extensions.timer.answered(now, expires_of(response));
        self.arm_session(leg);
    }

    /// The answer to a request in the dialog: an UPDATE refreshes the session, whatever else it was sent for.
    pub(super) fn note_reply(&mut self, now: Instant, leg: LegId, response: &Message) {
        if response.method() != Method::Update {
            return;
        }
        match response.status() {
            Some(status) if status.is_success() => self.note_success(now, leg, response),
            // Whoever sent it decides; the next one asks for enough.
            _ => drop(self.enlarge(leg, response)),
        }
    }

    /// A 422 to a request of ours: is there sense in asking again? The next request says what the peer wants.
    pub(super) fn enlarge(&mut self, leg: LegId, response: &Message) -> bool {
        let wanted = response.value(HeaderName::MinSe).and_then(|value| min_se(value).ok());
        let extensions = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut());
        response.status() == Some(StatusCode::SESSION_INTERVAL_TOO_SMALL)
            && extensions.is_some_and(|extensions| extensions.timer.enlarge(wanted))
    }

    // --- time

    pub(super) fn arm_session(&mut self, leg: LegId) {
        let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) else { return };
        if let Some(alarm) = extensions.timer_alarm.take() {
            self.wheel.cancel(alarm);
        }
        extensions.timer_alarm = extensions.timer.due().map(|at| self.wheel.insert(at, Alarm::Session(leg)));
    }

    /// The session ends: its timer does, too.
    pub(super) fn stop_session(&mut self, leg: LegId) {
        if let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) {
            extensions.timer.stop();
            self.arm_session(leg);
        }
    }

    pub(super) fn session_fired(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let Some(extensions) = state.extensions.as_mut() else { return };
        extensions.timer_alarm = None;
        let (due, updates) = (extensions.timer.fired(now), extensions.updates);
        match due {
            Due::Nothing => {}
            Due::Expired => self.events.push_back(Event::SessionExpired { leg }),
            Due::Refresh if self.is_changing(leg) => self.refresh_failed(now, leg, StatusCode::REQUEST_PENDING, None),
            Due::Refresh if updates => self.update(now, leg),
            Due::Refresh => self.events.push_back(Event::RefreshDue { leg }),
        }
        self.arm_session(leg);
    }

    /// An INVITE of either side is in progress: it refreshes the session itself, or is over soon.
    fn is_changing(&self, leg: LegId) -> bool {
        self.legs.get(leg.0).is_some_and(|state| {
            let ours = state.outgoing.is_some() || state.to_acknowledge.is_some();
            ours || state.incoming.is_some() || !state.unacknowledged.is_empty()
        })
    }

    fn update(&mut self, now: Instant, leg: LegId) {
        let headers = self.refresh_headers(leg);
        let intent = Intent { method: Method::Update, number: None, headers: &headers, body: None };
        if let Some(request) = self.address(leg, &intent) {
            self.start_client(now, Kind::Other, request, Purpose::Refresh(leg));
        }
    }

    /// Refreshes the session by a re-INVITE that changes nothing: the answer to `RefreshDue`, with the description that
    /// the peer has. What comes of it is dealt with inside, but a new description of the peer, which comes up as
    /// `Refreshed`. While another change is in progress, it is tried again later.
    ///
    /// # Errors
    /// `WrongState` without a dialog or after [`Endpoint::bye`].
    pub fn refresh(&mut self, now: Instant, leg: LegId, body: Option<&Body>) -> Result<(), CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        if !state.answered || !matches!(state.bye, Bye::No) {
            return Err(CommandError::WrongState);
        }
        if self.is_changing(leg) {
            self.refresh_failed(now, leg, StatusCode::REQUEST_PENDING, None);
            return Ok(());
        }
        let headers = self.refresh_headers(leg);
        let intent = Intent { method: Method::Invite, number: None, headers: &headers, body };
        let request = self.address(leg, &intent).ok_or(CommandError::WrongState)?;
        let client = self.start_client(now, Kind::Invite, request, Purpose::Refresh(leg));
        if let Some(state) = self.legs.get_mut(leg.0) {
            state.outgoing = Some(client);
        }
        Ok(())
    }

    /// The 2xx to a refresh by re-INVITE: acknowledged at once.
    pub(super) fn refresh_answered(&mut self, now: Instant, id: u64, leg: LegId, source: &Source, response: Message) {
        let Some(state) = self.legs.get_mut(leg.0) else {
            return self.acknowledge_late(id, source, &response);
        };
        if state.outgoing != Some(id) {
            return;
        }
        state.outgoing = None;
        let number = response.cseq().map_or(1, |cseq| cseq.number);
        state.to_acknowledge = Some(ToAcknowledge { client: id, number });
        if let Some(dialog) = &mut state.dialog {
            dialog.refresh(&response);
        }
        let over = !matches!(state.bye, Bye::No);
        if let Some(entry) = self.clients.get_mut(id) {
            entry.request = Bytes::new();
            entry.answers.push(Answer { tag: response.to_tag().map(Box::from), ack: None });
        }
        self.acknowledge_anyway(leg);
        if over {
            return;
        }
        self.note_success(now, leg, &response);
        self.events.push_back(Event::Refreshed { leg, response });
    }

    /// A refresh by UPDATE has its answer, or none.
    pub(super) fn update_replied(&mut self, now: Instant, leg: LegId, report: client::Report, input: Option<&Message>) {
        let status = match (report, input.and_then(Message::status)) {
            (client::Report::Final, Some(status)) => status,
            (client::Report::Transport, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::REQUEST_TIMEOUT,
        };
        match input.filter(|_| status.is_success()) {
            Some(response) if self.legs.get(leg.0).is_some_and(|state| matches!(state.bye, Bye::No)) => {
                if let Some(dialog) = self.legs.get_mut(leg.0).and_then(|state| state.dialog.as_mut()) {
                    dialog.refresh(response);
                }
                self.note_success(now, leg, response);
            }
            Some(_) => {}
            None => self.refresh_failed(now, leg, status, input),
        }
    }

    /// A refresh by re-INVITE has its final failure, or none.
    pub(super) fn refresh_refused(&mut self, now: Instant, leg: LegId, status: StatusCode, response: Option<&Message>) {
        if let Some(state) = self.legs.get_mut(leg.0) {
            state.outgoing = None;
        }
        self.refresh_failed(now, leg, status, response);
    }

    /// A refresh came to nothing.
    pub(super) fn refresh_failed(&mut self, now: Instant, leg: LegId, status: StatusCode, response: Option<&Message>) {
        let glare = self.glare(leg);
        if !self.legs.get(leg.0).is_some_and(|state| matches!(state.bye, Bye::No)) {
            return;
        }
        let method = response.map(Message::method);
        let retry_after = response.and_then(|response| response.value(HeaderName::RetryAfter)).and_then(retry_after);
        let enlarged = response.is_some_and(|response| self.enlarge(leg, response));
        if enlarged {
            match method {
                Some(Method::Update) => self.update(now, leg),
                _ => self.events.push_back(Event::RefreshDue { leg }),
            }
            return;
        }
        let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) else { return };
        match extensions.timer.refresh_failed(now, status.get(), retry_after, glare) {
            After::Over => {
                extensions.timer.stop();
                self.events.push_back(Event::ReinviteRefused { leg, status, response: None });
            }
            After::Otherwise if method == Some(Method::Update) => {
                extensions.updates = false;
                self.events.push_back(Event::RefreshDue { leg });
            }
            After::Again | After::Otherwise => {}
        }
        self.arm_session(leg);
    }

    /// How long a request that met another one waits (RFC 3261 §14.1).
    fn glare(&mut self, leg: LegId) -> Duration {
        let ours = self.legs.get(leg.0).is_some_and(|state| state.sent_to.is_some());
        let (least, more) = if ours { OWNER_WAITS } else { OTHER_WAITS };
        Duration::from_millis((least + self.entropy.below(more)) * 10)
    }
}

/// The seconds of a `Retry-After` (RFC 3261 §20.33).
fn retry_after(value: &[u8]) -> Option<Duration> {
    let digits: &[u8] = value.split(|byte| !byte.is_ascii_digit()).next()?;
    let seconds = std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}
