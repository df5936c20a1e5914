//! Reliable provisional responses on the wire (RFC 3262): ours go out one by one and hold the answer back, the peer's are
//! acknowledged with PRACK in the early dialog that they belong to. The rules are in `session::reliable`; here are the
//! messages.

use super::super::header::RAck;
use super::super::session::reliable::{Arrival, Described, Due, Verdict, Wish};
use super::super::transaction::key::Kind;
use super::super::{HeaderName, Message, Method, StatusCode};
use super::caller::Addressed;
use super::compose::{MAX_FORWARDS, Outline, Reply, Way};
use super::extensions::{Extensions, Peer, RELIABLE, rseq_of};
use super::inbound::Fresh;
use super::leg::Leg;
use super::table::{Alarm, Purpose};
use super::{ALLOW, Body, CommandError, Endpoint, Event, Headers, LegId, RequestId};

use bytes::Bytes;
use std::time::Instant;

/// A provisional response of ours that is to be acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Provisional {
    status: StatusCode,
    reason: Option<String>,
    headers: Headers,
    body: Option<Body>,
    /// As it was sent.
    payload: Bytes,
}

/// How a provisional response of ours is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    Reliable,
    /// Not at all: the peer takes only reliable ones, and this one would need an offer that it has not.
    Never,
}

// === impl Endpoint ===

impl Endpoint {
    // --- the called side

    /// Sends a provisional response above 100 to the pending INVITE. An unreliable one is repeated every minute
    /// (RFC 3261 §13.3.1.1); a reliable one until its PRACK, or for 64*T1, which comes up as `Unpracked`. It waits while
    /// one before it is not acknowledged.
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
        let described = if body.is_some() { Described::Yes } else { Described::No };
        let manner = self.legs.get(leg.0).map_or(Manner::Plain, |state| manner(state, described));
        if manner == Manner::Plain {
            self.reply(now, server, &Reply { status, reason, headers: &headers, body: body.as_ref() });
        }
        if manner == Manner::Reliable {
            let reason = reason.map(str::to_owned);
            let item = Provisional { status, reason, headers, body, payload: Bytes::new() };
            let extensions = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut());
            if let Some(Verdict::Send(item, number)) = extensions.map(|some| some.outbox.push(now, item, described)) {
                self.send_reliably(now, leg, server, item, number);
            }
        }
        Ok(())
    }

    fn send_reliably(&mut self, now: Instant, leg: LegId, server: u64, mut item: Provisional, number: u32) {
        let mut headers = item.headers.clone();
        headers.push(("Require".into(), RELIABLE.to_owned()));
        headers.push(("RSeq".into(), number.to_string()));
        // RFC 3311 §5.1: here is where the peer learns that the early session can be changed.
        headers.push(("Allow".into(), ALLOW.to_owned()));
        let (reason, body) = (item.reason.as_deref(), item.body.as_ref());
        self.reply(now, server, &Reply { status: item.status, reason, headers: &headers, body });
        item.payload = self.servers.get(server).and_then(|entry| entry.response.clone()).unwrap_or_default();
        if let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) {
            extensions.described |= item.body.is_some();
            extensions.outbox.keep(item);
        }
        self.arm_provisional(leg);
    }

    fn arm_provisional(&mut self, leg: LegId) {
        let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) else { return };
        if let Some(alarm) = extensions.outbox_alarm.take() {
            self.wheel.cancel(alarm);
        }
        extensions.outbox_alarm = extensions.outbox.due().map(|at| self.wheel.insert(at, Alarm::Provisional(leg)));
    }

    /// The timer of the response that waits for its PRACK.
    pub(super) fn repeat_provisional(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let (server, Some(extensions)) = (state.incoming, state.extensions.as_mut()) else { return };
        extensions.outbox_alarm = None;
        match extensions.outbox.fired(now) {
            Due::Nothing => {}
            Due::Again(item) => {
                let payload = item.payload.clone();
                if let Some(entry) = server.and_then(|server| self.servers.get(server)) {
                    let (hop, local) = (entry.hop.clone(), entry.local);
                    self.send_back(hop, local, payload);
                }
            }
            Due::GivenUp => {
                extensions.given_up = true;
                self.events.push_back(Event::Unpracked { leg });
            }
        }
        self.arm_provisional(leg);
    }

    /// A PRACK (§3). One that brings a description, or should, is the layer above's to answer.
    pub(super) fn pracked(&mut self, now: Instant, id: LegId, fresh: Fresh) {
        let Some(rack) = fresh.message.value(HeaderName::RAck).and_then(|value| RAck::parse(value).ok()) else {
            return self.refuse(now, fresh, StatusCode::BAD_REQUEST, &Headers::new());
        };
        let Some(state) = self.legs.get_mut(id.0) else { return };
        let (offered, tag) = (state.offered, state.local_tag.clone());
        let acknowledged = state.extensions.as_mut().and_then(|extensions| {
            let fits = rack.method == Method::Invite && rack.number == extensions.invite;
            fits.then(|| extensions.outbox.acknowledge(rack.response).ok()).flatten()
        });
        let Some(described) = acknowledged else {
            return self.refuse(now, fresh, StatusCode::NO_SUCH_TRANSACTION, &Headers::new());
        };
        self.arm_provisional(id);
        let answers_us = !offered && described == Described::Yes;
        if fresh.message.body().is_empty() && !answers_us {
            self.refuse(now, fresh, StatusCode::OK, &Headers::new());
            return self.go_on(now, id);
        }
        let request = fresh.message.clone();
        if let Some(server) = self.open(now, fresh, tag, Some(id)) {
            self.events.push_back(Event::Requested { leg: id, id: RequestId(server), request });
        }
    }

    /// What waited for a PRACK goes out: the answer, else the next provisional response.
    pub(super) fn go_on(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let (server, Some(extensions)) = (state.incoming, state.extensions.as_mut()) else { return };
        if let Some((headers, body)) = extensions.held.take() {
            let _ = self.answer(now, leg, headers, body);
            return;
        }
        if let Some((server, (item, number))) = server.zip(extensions.outbox.next(now)) {
            self.send_reliably(now, leg, server, item, number);
        }
    }

    /// The status that an answer becomes which was promised and never sent; `None` if there is none.
    pub(super) fn refusal_of_promise(&self, leg: LegId) -> Option<StatusCode> {
        let extensions = self.legs.get(leg.0)?.extensions.as_ref()?;
        extensions.held.as_ref()?;
        // §3: 5xx when no PRACK came.
        Some(if extensions.given_up { StatusCode::SERVER_TIMEOUT } else { StatusCode::TEMPORARILY_UNAVAILABLE })
    }

    /// The final response goes out: nothing provisional is sent or repeated after it.
    pub(super) fn end_provisional(&mut self, leg: LegId) {
        if let Some(extensions) = self.legs.get_mut(leg.0).and_then(|state| state.extensions.as_mut()) {
            extensions.outbox.close();
            self.arm_provisional(leg);
        }
    }

    // --- the calling side

    /// Takes a provisional response to our INVITE; `None` if it is not to be looked at: a repeated one, or one that
    /// overtook another (§4).
    pub(super) fn take_provisional(&mut self, now: Instant, leg: LegId, response: &Message) -> Option<()> {
        let state = self.legs.get_mut(leg.0)?;
        let offered = state.offered;
        let Some(number) = rseq_of(response) else { return Some(()) };
        let early = state.early_mut(response.to_tag())?;
        match early.inbox.take(number) {
            Arrival::Repeated | Arrival::TooEarly => return None,
            Arrival::Next => {}
        }
        // An offer of the peer wants its answer in the PRACK, and that is for the layer above to give.
        if offered || response.body().is_empty() {
            self.send_prack(now, leg, response, None);
        }
        Some(())
    }

    /// Acknowledges a reliable provisional response that carries the offer, with the answer (§5). All others are
    /// acknowledged inside.
    ///
    /// # Errors
    /// `WrongState` if the response is not reliable or its early dialog is unknown.
    pub fn prack(
        &mut self,
        now: Instant,
        leg: LegId,
        response: &Message,
        answer: Option<&Body>,
    ) -> Result<(), CommandError> {
        self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        self.send_prack(now, leg, response, answer).ok_or(CommandError::WrongState)
    }

    fn send_prack(&mut self, now: Instant, leg: LegId, response: &Message, body: Option<&Body>) -> Option<()> {
        let (number, invite) = (rseq_of(response)?, response.cseq()?.number);
        let branch = self.branch();
        let state = self.legs.get_mut(leg.0)?;
        let cseq = state.early_mut(response.to_tag())?.dialog.advance();
        let dialog = &state.early_mut(response.to_tag())?.dialog.clone();
        let plan = dialog.plan();
        let hop = state.hop_to(plan.next)?;
        let from = state.leaves_by(&hop);
        let body_bytes = body.map_or(&b""[..], |body| &body.bytes);
        let proof = state.proof.as_mut().map(|proof| proof.of(&Method::Prack, &plan.request_uri, body_bytes));
        let mut headers: Headers = vec![("RAck".into(), format!("{number} {invite} INVITE"))];
        headers.extend(proof.unwrap_or_default());
        let outline = Outline {
            method: Method::Prack,
            request_uri: &plan.request_uri,
            way: Way { hop: &hop, from, advertised: state.path.advertised.as_deref() },
            branch: &branch,
            routes: plan.routes,
            last_route: plan.last.as_deref(),
            from: dialog.local(),
            to: dialog.remote(),
            call_id: state.call_id.as_bytes(),
            number: cseq,
            max_forwards: MAX_FORWARDS,
            contact: None,
            headers: &headers,
            body,
        };
        let payload = outline.write(&self.settings);
        // Whatever comes of it: a peer that gets no PRACK refuses the INVITE, and that is told.
        self.start_client(now, Kind::Other, Addressed { hop, from, branch, payload }, Purpose::Nobody);
        Some(())
    }
}

/// How a provisional response of this leg goes out.
fn manner(leg: &Leg, described: Described) -> Manner {
    let Some(extensions) = leg.extensions.as_deref().filter(|_| !leg.answered) else { return Manner::Plain };
    let Extensions { reliable, peer_acknowledges, described: earlier, .. } = extensions;
    let (Wish::Supported | Wish::Required, Some(peer)) = (reliable, peer_acknowledges) else { return Manner::Plain };
    // RFC 3261 §13.2.1: without an offer in the INVITE, the first reliable response has to make it.
    let lacks_offer = !leg.offered && described == Described::No && !earlier;
    match (lacks_offer, peer, reliable) {
        (false, _, _) => Manner::Reliable,
        (true, Peer::Supports, Wish::Supported) => Manner::Plain,
        (true, _, _) => Manner::Never,
    }
}
