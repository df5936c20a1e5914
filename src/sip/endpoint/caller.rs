//! The commands of the calling side, and those that both sides have in a dialog: invite, acknowledge, reinvite, bye
//! (RFC 3261 §13.2, §14.1, §15.1.1). Apart from the called side, which they mirror.

use super::super::auth::Tries;
use super::super::dialog::state::tagged;
use super::super::transaction::ClientId;
use super::super::transaction::client::Client;
use super::super::transaction::client_invite::ClientInvite;
use super::super::transaction::key::Kind;
use super::super::transaction::{Change, Reliability};
use super::super::{Hop, Method, StatusCode};
use super::aim::{Errand, Path};
use super::compose::{ContactScheme, MAX_FORWARDS, Outline, Reply, Way, contact_towards};
use super::extensions::Terms;
use super::leg::{Bye, Leg};
use super::table::{Ack, Alarms, Cancel, ClientEntry, ClientMachine, Owner, Purpose};
use super::{Body, CommandError, Endpoint, Headers, Invite, LegId, methods};
use crate::sip::uri;

use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

/// A request in a dialog, before it has an address.
#[derive(Debug)]
pub(super) struct Intent<'a> {
    pub(super) method: Method,
    /// The sequence number; `None` takes the next one.
    pub(super) number: Option<u32>,
    pub(super) headers: &'a Headers,
    pub(super) body: Option<&'a Body>,
}

/// A request in a dialog, ready to be sent.
#[derive(Debug)]
pub(super) struct Addressed {
    pub(super) hop: Hop,
    /// The address it has to leave from; `None` for any that fits.
    pub(super) from: Option<SocketAddr>,
    pub(super) branch: String,
    pub(super) payload: Bytes,
}

// === impl Endpoint ===

impl Endpoint {
    /// Sends an INVITE that is to make a dialog. `Progress`, then one of `Answered`, `Refused` and `Unanswered` follow.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> LegId {
        self.invite_by(now, invite, Path::default(), &Terms::PLAIN)
    }

    /// The same, on terms besides RFC 3261.
    pub fn invite_on(&mut self, now: Instant, invite: Invite, terms: &Terms) -> LegId {
        self.invite_by(now, invite, Path::default(), terms)
    }

    /// The same, to a peer that is not reached in the usual way.
    pub fn invite_by(&mut self, now: Instant, mut invite: Invite, path: Path, terms: &Terms) -> LegId {
        let (extensions, headers) = self.propose(terms);
        invite.headers.extend(headers);
        let call_id = format!("{}{}", self.settings.call_id_prefix, self.entropy.hex(24));
        let local_tag = self.entropy.hex(16);
        let branch = self.branch();
        let from = tagged(invite.from.as_bytes(), &local_tag);
        let way = Way { hop: &invite.hop, from: None, advertised: path.advertised.as_deref() };
        let secure = ContactScheme::of(invite.request_uri.as_bytes());
        let user = uri::escape_user(&invite.contact_user);
        let contact = contact_towards(&self.settings, &way, user.as_bytes(), secure);
        let outline = Outline {
            method: Method::Invite,
            request_uri: invite.request_uri.as_bytes(),
            way,
            branch: &branch,
            routes: &[],
            last_route: None,
            from: &from,
            to: invite.to.as_bytes(),
            call_id: call_id.as_bytes(),
            number: 1,
            max_forwards: invite.max_forwards,
            contact: Some(&contact),
            headers: &invite.headers,
            body: invite.body.as_ref(),
        };
        let payload = outline.write(&self.settings);
        let key = self.keyer.leg(call_id.as_bytes(), local_tag.as_bytes());
        let id = self.legs.insert(Leg {
            call_id,
            local_tag,
            contact,
            peer: None,
            sent_to: Some(invite.hop.clone()),
            path,
            from,
            dialog: None,
            early: Vec::new(),
            answered: false,
            confirmed: true,
            incoming: None,
            unacknowledged: SmallVec::new(),
            outgoing: None,
            to_acknowledge: None,
            cancelled: false,
            offered: invite.body.is_some(),
            extensions,
            bye: Bye::No,
            proof: None,
            protection: None,
        });
        self.leg_index.insert(key, id);
        let request = Addressed { hop: invite.hop, from: None, branch, payload };
        let client = self.start_client(now, Kind::Invite, request, Purpose::Invite(LegId(id)));
        if let Some(leg) = self.legs.get_mut(id) {
            leg.outgoing = Some(client);
        }
        LegId(id)
    }

    /// Sends the ACK to the 2xx of our INVITE, with the answer if the 2xx had the offer. It is kept and sent again
    /// for each 2xx that comes again (§13.2.2.4).
    ///
    /// # Errors
    /// `WrongState` if no 2xx waits for it.
    pub fn acknowledge(&mut self, _now: Instant, leg: LegId, body: Option<Body>) -> Result<(), CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        if state.to_acknowledge.is_none() {
            return Err(CommandError::WrongState);
        }
        self.send_ack(leg, body.as_ref());
        Ok(())
    }

    /// Sends a re-INVITE. `ReinviteAnswered` or `ReinviteRefused` follows.
    ///
    /// # Errors
    /// `Pending` while another INVITE of either side is in progress (§14.1), `WrongState` without a dialog.
    pub fn reinvite(
        &mut self,
        now: Instant,
        leg: LegId,
        mut headers: Headers,
        body: Option<Body>,
    ) -> Result<(), CommandError> {
        let state = self.legs.get(leg.0).ok_or(CommandError::NoSuchLeg)?;
        if !state.answered || !matches!(state.bye, Bye::No) {
            return Err(CommandError::WrongState);
        }
        let ours = state.outgoing.is_some() || state.to_acknowledge.is_some();
        if ours || state.incoming.is_some() || !state.unacknowledged.is_empty() {
            return Err(CommandError::Pending);
        }
        headers.extend(self.refresh_headers(leg));
        let intent = Intent { method: Method::Invite, number: None, headers: &headers, body: body.as_ref() };
        let request = self.address(leg, &intent).ok_or(CommandError::WrongState)?;
        let client = self.start_client(now, Kind::Invite, request, Purpose::Reinvite(leg));
        if let Some(state) = self.legs.get_mut(leg.0) {
            state.outgoing = Some(client);
        }
        Ok(())
    }

    /// Ends an answered call: `Closed` follows when the BYE is answered or given up. A pending INVITE of the peer gets
    /// 487, a 2xx that was not acknowledged its ACK. The called side's BYE waits until its 2xx is ACKed or given up
    /// (§15). An answer that still waits for a PRACK becomes a refusal.
    ///
    /// # Errors
    /// `WrongState` before the answer (`cancel` or `reject` is meant) and after the first time.
    pub fn bye(&mut self, now: Instant, leg: LegId, headers: Headers) -> Result<(), CommandError> {
        if let Some(status) = self.refusal_of_promise(leg) {
            return self.reject(now, leg, status, None, headers);
        }
        self.stop_session(leg);
        let state = self.legs.get_mut(leg.0).ok_or(CommandError::NoSuchLeg)?;
        if !state.answered || !matches!(state.bye, Bye::No) {
            return Err(CommandError::WrongState);
        }
        let confirmed = state.confirmed;
        state.bye = Bye::Deferred(headers);
        if let Some(pending) = state.incoming.take() {
            self.reply(now, pending, &Reply::bare(StatusCode::REQUEST_TERMINATED));
        }
        self.acknowledge_anyway(leg);
        if confirmed {
            self.send_deferred_bye(now, leg);
        }
        Ok(())
    }

    /// Sends the BYE that waited, if one did.
    pub(super) fn send_deferred_bye(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let headers = match std::mem::take(&mut state.bye) {
            Bye::Deferred(headers) => headers,
            other => {
                state.bye = other;
                return;
            }
        };
        state.bye = Bye::Sent;
        let intent = Intent { method: Method::Bye, number: None, headers: &headers, body: None };
        match self.address(leg, &intent) {
            Some(request) => {
                self.start_client(now, Kind::Other, request, Purpose::Bye(leg));
            }
            None => self.end_leg(now, leg),
        }
    }

    /// ACKs a 2xx that the layer above did not acknowledge before the call ended.
    pub(super) fn acknowledge_anyway(&mut self, leg: LegId) {
        if self.legs.get(leg.0).is_some_and(|state| state.to_acknowledge.is_some()) {
            self.send_ack(leg, None);
        }
    }

    fn send_ack(&mut self, leg: LegId, body: Option<&Body>) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let Some(waiting) = state.to_acknowledge.take() else { return };
        let headers = Headers::new();
        let intent = Intent { method: Method::Ack, number: Some(waiting.number), headers: &headers, body };
        let Some(ack) = self.address(leg, &intent) else { return };
        if let Some(entry) = self.clients.get_mut(waiting.client)
            && let Some(answer) = entry.answers.first_mut()
        {
            answer.ack = Some(Ack { hop: ack.hop.clone(), from: ack.from, payload: ack.payload.clone() });
        }
        self.send(ack.hop, ack.from, ack.payload, None);
    }

    /// Writes a request in the dialog of a leg; `None` if it has none, or no way to its peer.
    pub(super) fn address(&mut self, leg: LegId, intent: &Intent<'_>) -> Option<Addressed> {
        let branch = self.branch();
        let state = self.legs.get_mut(leg.0)?;
        let number = match intent.number {
            Some(number) => number,
            None => match (&mut state.dialog, state.early.as_mut_slice()) {
                (Some(dialog), _) => dialog.advance(),
                // RFC 3311 §5.1: the session of an early dialog can be changed; of several, none is the one.
                (None, [only]) if intent.method == Method::Update => only.dialog.advance(),
                (None, _) => return None,
            },
        };
        let dialog = state.dialog.as_ref().or(state.early.first().map(|early| &early.dialog))?;
        let plan = dialog.plan();
        let hop = state.hop_to(plan.next)?;
        let from = state.leaves_by(&hop);
        let body = intent.body.map_or(&b""[..], |body| &body.bytes);
        let mut headers = state.proof.as_mut().map(|proof| proof.of(&intent.method, &plan.request_uri, body));
        if let Some(headers) = &mut headers {
            headers.extend_from_slice(intent.headers);
        }
        let outline = Outline {
            method: intent.method.clone(),
            request_uri: &plan.request_uri,
            way: Way { hop: &hop, from, advertised: state.path.advertised.as_deref() },
            branch: &branch,
            routes: plan.routes,
            last_route: plan.last.as_deref(),
            from: dialog.local(),
            to: dialog.remote(),
            call_id: state.call_id.as_bytes(),
            number,
            max_forwards: MAX_FORWARDS,
            contact: Some(state.contact.as_str()).filter(|_| methods::shows_contact(&intent.method)),
            headers: headers.as_ref().unwrap_or(intent.headers),
            body: intent.body,
        };
        let payload = outline.write(&self.settings);
        Some(Addressed { hop, from, branch, payload })
    }

    /// Sends a request in a client transaction of its own: at once, or when its name is resolved.
    pub(super) fn start_client(&mut self, now: Instant, kind: Kind, request: Addressed, purpose: Purpose) -> u64 {
        if request.hop.address.socket().is_none() {
            let hop = request.hop.clone();
            let id = self.open_client(now, kind, request, purpose, VecDeque::new());
            self.errands.push_back(Errand::Locate { transaction: ClientId(id), hop });
            return id;
        }
        match self.by_stream(now, kind, &request, purpose) {
            Some((request, others)) => self.open_client(now, kind, request, purpose, others),
            None => self.open_client(now, kind, request, purpose, VecDeque::new()),
        }
    }

    /// Makes a client transaction and sends its request, unless its name has to be resolved first.
    pub(super) fn open_client(
        &mut self,
        now: Instant,
        kind: Kind,
        request: Addressed,
        purpose: Purpose,
        others: VecDeque<Hop>,
    ) -> u64 {
        let reliability = Reliability::from(request.hop.protocol);
        let (machine, repeat, limit): (_, Change, Change) = if kind == Kind::Invite {
            let (machine, step) = ClientInvite::start(self.timers(), reliability);
            (ClientMachine::Invite(machine), step.repeat, step.limit)
        } else {
            let (machine, step) = Client::start(self.timers(), reliability);
            (ClientMachine::Other(machine), step.repeat, step.limit)
        };
        let key = self.keyer.client(request.branch.as_bytes(), kind);
        let id = self.clients.insert(ClientEntry {
            machine,
            key,
            kind,
            name: 0,
            hop: request.hop.clone(),
            from: request.from,
            heard: false,
            others,
            request: request.payload.clone(),
            ack: None,
            answers: Vec::new(),
            purpose,
            cancel: Cancel::No,
            tries: Tries::default(),
            alarms: Alarms::default(),
        });
        if let Some(entry) = self.clients.get_mut(id) {
            entry.name = id;
        }
        self.client_index.insert(key, id);
        self.arm(now, Owner::Client(id), repeat, limit);
        self.hasten(now, id);
        if request.hop.address.socket().is_some() {
            self.send(request.hop, request.from, request.payload, Some(id));
        }
        id
    }

    /// §8.1.1.7: the cookie and enough randomness to be unique in space and time.
    pub(super) fn branch(&mut self) -> String {
        let mut branch = self.entropy.hex(20);
        branch.insert_str(0, "z9hG4bK");
        branch
    }
}
