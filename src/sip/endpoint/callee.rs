//! The commands of the called side: provisional, answer, reject, and the response to other requests (RFC 3261 §13.3).
//! Apart from the calling side, which they mirror.

use super::super::{Message, Method, StatusCode};
use super::compose::Reply;
use super::leg::{Bye, Unacknowledged};
use super::table::ServerMachine;
use super::{Body, CommandError, Endpoint, Headers, LegId, RequestId};
use crate::sip::transaction::server;

use std::time::Instant;

// === impl Endpoint ===

impl Endpoint {
    /// Sends 200 to the pending INVITE, first or re-INVITE; it is repeated until the ACK, which comes up as
    /// `Acknowledged`, or for 64*T1, which comes up as `Unacknowledged` (§13.3.1.4). While a description in a reliable
    /// provisional response is not acknowledged, it waits (RFC 3262 §3).
    ///
    /// # Errors
    /// `WrongState` if no INVITE waits.
    pub fn answer(
        &mut self,
        now: Instant,
        leg: LegId,
        mut headers: Headers,
        mut body: Option<Body>,
    ) -> Result<(), CommandError> {
        let server = self.pending(leg)?;
        let first = self.legs.get_mut(leg.0).filter(|state| !state.answered);
        let mut offered_in_advance = false;
        if let Some(state) = first
            && let Some(extensions) = state.extensions.as_mut()
        {
            if extensions.outbox.holds_back_success() {
                extensions.held = Some((headers, body));
                return Ok(());
            }
            // The offer and its answer were exchanged before: another description would be another offer.
            offered_in_advance = !state.offered && extensions.described;
        }
        self.end_provisional(leg);
        let request = self.servers.get(server).and_then(|entry| entry.request.clone());
        if let Some(request) = &request {
            headers.extend(self.grant(now, leg, request));
        }
        if offered_in_advance {
            body = None;
        }
        let request = self.servers.get(server).and_then(|entry| entry.request.as_deref());
        let (Some(request), Some(state)) = (request, self.legs.get_mut(leg.0)) else {
            return Err(CommandError::WrongState);
        };
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let offered_by_us = request.body().is_empty() && !offered_in_advance;
        if state.answered
            && let Some(dialog) = &mut state.dialog
        {
            dialog.refresh(request);
        }
        state.answered = true;
        state.incoming = None;
        state.unacknowledged.push(Unacknowledged { server, number, offered_by_us });
        let reply = Reply { headers: &headers, body: body.as_ref(), ..Reply::bare(StatusCode::OK) };
        self.reply(now, server, &reply);
        Ok(())
    }

    /// Sends a final response of 300 or above to the pending INVITE. Rejecting the first one closes the leg, rejecting
    /// a re-INVITE leaves the dialog as it was (§14.2).
    ///
    /// # Errors
    /// `WrongState` if no INVITE waits or the status is below 300.
    pub fn reject(
        &mut self,
        now: Instant,
        leg: LegId,
        status: StatusCode,
        reason: Option<&str>,
        headers: Headers,
    ) -> Result<(), CommandError> {
        let server = self.incoming(leg)?;
        if status.get() < 300 {
            return Err(CommandError::WrongState);
        }
        self.reply(now, server, &Reply { status, reason, headers: &headers, body: None });
        let Some(state) = self.legs.get_mut(leg.0) else { return Ok(()) };
        state.incoming = None;
        if !state.answered {
            self.end_leg(now, leg);
        }
        Ok(())
    }

    /// Answers a request of [`super::Event::OutOfDialog`] or [`super::Event::Requested`].
    ///
    /// # Errors
    /// `WrongState` if it has its final response already or waited longer than 64*T1.
    pub fn respond(
        &mut self,
        now: Instant,
        request: RequestId,
        status: StatusCode,
        reason: Option<&str>,
        mut headers: Headers,
        body: Option<Body>,
    ) -> Result<(), CommandError> {
        let machine = self.servers.get(request.0).map(|entry| &entry.machine);
        let open = match machine {
            Some(ServerMachine::Other(machine)) => {
                matches!(machine.state(), server::State::Trying | server::State::Proceeding)
            }
            _ => false,
        };
        if !open {
            return Err(CommandError::WrongState);
        }
        let (leg, asked) = self.servers.get(request.0).map_or((None, None), |entry| (entry.leg, entry.request.clone()));
        let method = asked.as_deref().map(Message::method);
        if let (Some(leg), Some(asked), Some(Method::Update), true) = (leg, &asked, &method, status.is_success()) {
            headers.extend(self.grant(now, leg, asked));
        }
        if status.is_success() {
            self.refresh_by(request.0);
        }
        let reply = Reply { status, reason, headers: &headers, body: body.as_ref() };
        self.reply(now, request.0, &reply);
        if let (Some(leg), Some(Method::Prack)) = (leg, method) {
            self.go_on(now, leg);
        }
        Ok(())
    }

    /// RFC 3311 §5.2: an UPDATE that is taken moves the target.
    fn refresh_by(&mut self, server: u64) {
        let Some(entry) = self.servers.get(server) else { return };
        let Some(request) = entry.request.as_deref().filter(|request| request.method() == Method::Update) else {
            return;
        };
        let dialog = entry.leg.and_then(|leg| self.legs.get_mut(leg.0)).and_then(|leg| leg.dialog.as_mut());
        if let Some(dialog) = dialog {
            dialog.refresh(request);
        }
    }

    /// The INVITE that waits for a response of ours, and has not been promised its answer.
    pub(super) fn pending(&self, leg: LegId) -> Result<u64, CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        let promised = state.extensions.as_ref().is_some_and(|extensions| extensions.held.is_some());
        if promised { Err(CommandError::WrongState) } else { self.incoming(leg) }
    }

    fn incoming(&self, leg: LegId) -> Result<u64, CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        match (&state.bye, state.incoming) {
            (Bye::No, Some(server)) => Ok(server),
            _ => Err(CommandError::WrongState),
        }
    }
}
