//! The commands of the called side: provisional, answer, reject, and the response to other requests (RFC 3261 §13.3).
//! Apart from the calling side, which they mirror.

use super::super::{Method, StatusCode};
use super::compose::Reply;
use super::leg::{Bye, Unacknowledged};
use super::table::ServerMachine;
use super::{Body, CommandError, Endpoint, Headers, LegId, RequestId};
use crate::sip::transaction::server;

use std::time::Instant;

// === impl Endpoint ===

impl Endpoint {
    /// Sends a provisional response above 100 to the pending INVITE; it is repeated every minute (§13.3.1.1).
    ///
    /// # Errors
    /// `WrongState` if no INVITE waits or the status is not 101..=199.
    pub fn provisional(
        &mut self,
        now: Instant,
        leg: LegId,
        status: StatusCode,
        reason: Option<&str>,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<(), CommandError> {
        let server = self.pending(leg)?;
        if !(101..200).contains(&status.get()) {
            return Err(CommandError::WrongState);
        }
        self.reply(now, server, &Reply { status, reason, headers: &headers, body: body.as_ref() });
        Ok(())
    }

    /// Sends 200 to the pending INVITE, first or re-INVITE; it is repeated until the ACK, which comes up as
    /// `Acknowledged`, or for 64*T1, which comes up as `Unacknowledged` (§13.3.1.4).
    ///
    /// # Errors
    /// `WrongState` if no INVITE waits.
    pub fn answer(
        &mut self,
        now: Instant,
        leg: LegId,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<(), CommandError> {
        let server = self.pending(leg)?;
        let request = self.servers.get(server).and_then(|entry| entry.request.as_deref());
        let (Some(request), Some(state)) = (request, self.legs.get_mut(leg.0)) else {
            return Err(CommandError::WrongState);
        };
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let offered_by_us = request.body().is_empty();
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
        let server = self.pending(leg)?;
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

    /// Answers a request of [`super::Event::OutOfDialog`].
    ///
    /// # Errors
    /// `WrongState` if it has its final response already or waited longer than 64*T1.
    pub fn respond(
        &mut self,
        now: Instant,
        request: RequestId,
        status: StatusCode,
        reason: Option<&str>,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<(), CommandError> {
        let machine = self.servers.get(request.0).map(|entry| &entry.machine);
        let open = match machine {
            Some(ServerMachine::Other(machine)) => {
                matches!(machine.state(), server::State::Trying | server::State::Proceeding)
            }
            _ => false,
        };
        if open && status.is_success() {
            self.refresh_by(request.0);
        }
        let reply = Reply { status, reason, headers: &headers, body: body.as_ref() };
        if open && self.reply(now, request.0, &reply) { Ok(()) } else { Err(CommandError::WrongState) }
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

    fn pending(&self, leg: LegId) -> Result<u64, CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        match (&state.bye, state.incoming) {
            (Bye::No, Some(server)) => Ok(server),
            _ => Err(CommandError::WrongState),
        }
    }
}
