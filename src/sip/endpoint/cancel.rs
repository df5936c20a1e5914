//! CANCEL on both sides (RFC 3261 §9). Apart because it is a transaction about a transaction: it shares the branch of
//! the INVITE and races with its answer.

use super::super::transaction::ClientId;
use super::super::transaction::client_invite::State;
use super::super::transaction::key::Kind;
use super::super::transaction::server_invite;
use super::super::{HeaderName, Message, Method, StatusCode, Writer};
use super::caller::Addressed;
use super::compose::{MAX_FORWARDS, Reply};
use super::inbound::Fresh;
use super::table::{Cancel, ClientMachine, Owner, Purpose, ServerMachine};
use super::{CommandError, Endpoint, Event, Headers, LegId};

use std::time::Instant;

// === impl Endpoint ===

impl Endpoint {
    /// Cancels our INVITE, first or re-INVITE: the CANCEL goes out once a provisional response is there (§9.1), and
    /// a final response is waited for 64*T1 after it. The 487 comes up as `Refused` (`ReinviteRefused`), silence as
    /// `Unanswered`. If a 2xx to the first INVITE wins the race, it is ACKed and BYEd inside and only `Closed` comes up.
    ///
    /// # Errors
    /// `WrongState` if no INVITE of ours waits for its final response.
    pub fn cancel(&mut self, now: Instant, leg: LegId, headers: Headers) -> Result<(), CommandError> {
        let state = self.legs.get_mut(leg.0).ok_or(CommandError::NoSuchLeg)?;
        let client = state.outgoing.ok_or(CommandError::WrongState)?;
        let entry = self.clients.get_mut(client).ok_or(CommandError::WrongState)?;
        state.cancelled |= matches!(entry.purpose, Purpose::Invite(_));
        if matches!(entry.cancel, Cancel::No) {
            entry.cancel = Cancel::Wanted(headers);
            self.send_cancel(now, client);
        }
        Ok(())
    }

    /// Sends the CANCEL that is wanted, if the INVITE has its provisional response.
    pub(super) fn send_cancel(&mut self, now: Instant, client: u64) {
        let Some(entry) = self.clients.get_mut(client) else { return };
        let ClientMachine::Invite(machine) = &mut entry.machine else { return };
        let Cancel::Wanted(headers) = &entry.cancel else { return };
        if entry.hop.address.socket().is_none() {
            // Its name is still asked for: nothing went out that could be cancelled.
            return self.transport_failed(now, ClientId(client));
        }
        let late = machine.state() == State::Abandoned && entry.purpose == Purpose::Forsaken && entry.heard;
        if machine.state() != State::Proceeding && !late {
            return;
        }
        let Some((branch, payload)) = cancel_of(&entry.request, headers, &self.settings.user_agent) else { return };
        let step = machine.cancelled();
        entry.cancel = Cancel::Sent;
        let request = Addressed { hop: entry.hop.clone(), from: entry.from, branch, payload };
        self.arm(now, Owner::Client(client), step.repeat, step.limit);
        self.start_client(now, Kind::Cancel, request, Purpose::Nobody);
    }

    /// Nobody waits for this INVITE any more: it must not ring on, and it must end.
    pub(super) fn release(&mut self, now: Instant, client: u64) {
        let Some(entry) = self.clients.get_mut(client) else { return };
        if matches!(entry.cancel, Cancel::No) {
            entry.cancel = Cancel::Wanted(Headers::new());
        }
        self.send_cancel(now, client);
    }

    /// §9.2.
    pub(super) fn cancel_received(&mut self, now: Instant, fresh: Fresh) {
        let lookup = |endpoint: &Self, kind| {
            endpoint.keyer.server(&fresh.message, kind).and_then(|key| endpoint.server_index.get(&key).copied())
        };
        let Some(target) = lookup(self, Kind::Invite).or_else(|| lookup(self, Kind::Other)) else {
            return self.refuse(now, fresh, StatusCode::NO_SUCH_TRANSACTION, &Headers::new());
        };
        let Some(entry) = self.servers.get(target) else { return };
        let pending = match &entry.machine {
            ServerMachine::Invite(machine) => machine.state() == server_invite::State::Proceeding,
            // Other requests are answered at once: there is nothing left to cancel.
            ServerMachine::Other(_) => false,
        };
        let (tag, leg) = (entry.tag.clone(), entry.leg);
        let request = fresh.message.clone();
        // The same tag as in the response to the INVITE.
        if let Some(id) = self.open(now, fresh, tag, None) {
            self.reply(now, id, &Reply::bare(StatusCode::OK));
        }
        let Some(leg) = leg.filter(|_| pending) else { return };
        self.reply(now, target, &Reply::bare(StatusCode::REQUEST_TERMINATED));
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        state.incoming = None;
        let first = !state.answered;
        self.events.push_back(Event::Cancelled { leg, request });
        if first {
            self.end_leg(now, leg);
        }
    }
}

/// The CANCEL of an INVITE of ours and its branch: §9.1, the same Request-URI, Call-ID, To, From, Route and number, and
/// the one Via.
fn cancel_of(invite: &bytes::Bytes, headers: &Headers, user_agent: &str) -> Option<(String, bytes::Bytes)> {
    let invite = Message::parse(invite.clone()).ok()?;
    let branch = String::from_utf8_lossy(invite.top_via()?.branch?).into_owned();
    let mut writer = Writer::request(&Method::Cancel, invite.request_uri()?);
    writer.copy(&invite, HeaderName::Via).copy(&invite, HeaderName::Route);
    writer.header("Max-Forwards", MAX_FORWARDS.to_string());
    writer.copy(&invite, HeaderName::From).copy(&invite, HeaderName::To).copy(&invite, HeaderName::CallId);
    writer.header("CSeq", format!("{} CANCEL", invite.cseq()?.number)).header("User-Agent", user_agent);
    for (name, value) in headers {
        writer.header(name.as_ref(), value);
    }
    Some((branch, writer.finish()))
}

/// The ACK to a failure of an INVITE of ours (§17.1.1.3): as the INVITE, with the To of the response.
pub(super) fn ack_of(invite: &bytes::Bytes, response: &Message, user_agent: &str) -> Option<bytes::Bytes> {
    let invite = Message::parse(invite.clone()).ok()?;
    let mut writer = Writer::request(&Method::Ack, invite.request_uri()?);
    writer.copy(&invite, HeaderName::Via).copy(&invite, HeaderName::Route);
    writer.header("Max-Forwards", MAX_FORWARDS.to_string());
    writer.copy(&invite, HeaderName::From).copy(response, HeaderName::To).copy(&invite, HeaderName::CallId);
    writer.header("CSeq", format!("{} ACK", invite.cseq()?.number)).header("User-Agent", user_agent);
    Some(writer.finish())
}
