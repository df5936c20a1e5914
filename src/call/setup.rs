//! From the PBX's INVITE to the INVITE at the target: trunk, admission, numbers, route, media, headers. Each decision
//! leaves its step in the record, and a refusal goes out with the reason that the step names.

use super::bridge::State;
use super::desk::{CallTimer, Desk, Output};
use super::early::Early;
use super::entry::{self, Turned, Visitor};
use super::journal::Journal;
use super::late::Late;
use super::leg::{Leg, Phase};
use super::negotiation::{self, Kind};
use super::redirect::Redirection;
use super::state::{Attempt, Call, Hold};
use super::transfer::Referrals;
use super::{Policy, teardown, terms};
use crate::config::session::{Answer, Offer};
use crate::config::target::TargetKind;
use crate::error::{Cause, Termination};
use crate::guard::Pending;
use crate::identity::shown::{Shown, Viewer};
use crate::identity::{self, template};
use crate::media::Side;
use crate::observe::metrics::Reach;
use crate::record::{CallFacts, CallId, Lane, Step};
use crate::route::{Query, Route, Target};
use crate::sip::auth::Credentials;
use crate::sip::endpoint::{Headers, Invite, LegId, Terms};
use crate::sip::timer::TimerKey;
use crate::sip::uri::escape_user;
use crate::sip::{Hop, Message, Source};
use crate::trunk::health::{Sign, Witness};
use crate::trunk::{Trunk, admission};
use crate::{room, sdp};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// What `Max-Forwards` is when the PBX sends none (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// An INVITE that starts a call.
pub(super) struct Arrival {
    pub leg: LegId,
    pub request: Message,
    pub source: Source,
}

/// What was decided about an arrival before a call exists.
struct Decided {
    trunk: Arc<Trunk>,
    slot: admission::Slot,
    pending: Pending,
    numbers: identity::Numbers,
    route: Arc<Route>,
    offer: Option<sdp::Description>,
}

/// Decides about a new INVITE: a call that was placed, or a refusal that was sent.
pub(super) fn admit(desk: &mut Desk, policy: &Arc<Policy>, key: usize, now: Instant, arrival: Arrival) -> Option<Call> {
    let call_id = CallId::new(desk.settings.shard, &desk.entropy.hex(24));
    let pbx_call_id = String::from_utf8_lossy(arrival.request.call_id()).into_owned();
    let mut journal = Journal::new(call_id, pbx_call_id, now, desk.settings.wall(now));
    let uri = arrival.request.request_uri().map(|uri| String::from_utf8_lossy(uri).into_owned());
    journal.moment(now, Lane::Pbx, Lane::Trunkline, "INVITE", uri);
    match decide(desk, policy, now, &arrival, &mut journal) {
        Ok(decided) => place(desk, policy, key, now, arrival, decided, journal),
        Err(Turned::Challenged(status, headers)) => {
            // Not the end of a call, but half of its beginning: the INVITE comes again, with credentials.
            let _ = desk.endpoint.reject(now, arrival.leg, status, None, headers);
            None
        }
        Err(Turned::Refused(termination, headers)) => {
            let trunk = journal.record().trunk.as_ref().and_then(|name| policy.trunks.by_name(name));
            let told = trunk.map_or_else(|| termination.clone(), |trunk| trunk.told(&termination));
            teardown::refuse(desk, now, arrival.leg, journal, &told, headers);
            None
        }
    }
}

fn decide(
    desk: &mut Desk,
    policy: &Policy,
    now: Instant,
    arrival: &Arrival,
    journal: &mut Journal,
) -> Result<Decided, Turned> {
    let visitor = Visitor { request: &arrival.request, source: &arrival.source };
    let trunk = entry::enter(desk, policy, now, visitor, journal.steps())?;
    journal.record_mut().trunk = Some(trunk.config.name.clone());
    if trunk.health.note(now, Witness::Caller, Sign::Alive).is_some() {
        desk.metrics.trunk_reach(&trunk.config.name, Reach::Up);
    }
    if desk.settings.draining {
        return Err(Termination::new(Cause::Draining).into());
    }
    if let Some(login) = &trunk.login {
        desk.endpoint.protect(arrival.leg, trunk.config.name.clone(), Arc::clone(login));
    }
    desk.endpoint.agree(arrival.leg, terms::of_caller(&trunk.config)).map_err(|unfit| {
        let termination = terms::termination(&unfit);
        let gate = termination.cause.entry().code.to_owned();
        journal.step(Step::Admission { gate, verdict: unfit.to_string() });
        Turned::Refused(termination, unfit.headers())
    })?;
    let slot = trunk.admission.admit(now).map_err(|refused| {
        let cause = match refused {
            admission::Refused::Calls => Cause::TrunkFull,
            admission::Refused::Rate => Cause::TrunkRate,
        };
        refused_admission(journal, cause)
    })?;
    let source = arrival.source.peer.ip().to_canonical();
    let pending = policy.guard.pending(source).map_err(|_| refused_admission(journal, Cause::HalfOpen))?;
    let numbers = identity::decide(&arrival.request, &trunk, &policy.config.numbers, journal.steps());
    identity::survey::unread(&arrival.request, journal.steps());
    let numbers = numbers?;
    let viewer = Viewer { target: "", trunk: trunk.config.privacy, own: None };
    journal.record_mut().caller = Some(numbers.shown(viewer, &mut Vec::new()).caller);
    journal.record_mut().called = Some(numbers.called.written(numbers.form).0);
    journal.record_mut().correlation =
        numbers.correlation.iter().map(|(id, value)| (id.to_owned(), value.to_owned())).collect();
    let query = Query {
        trunk: &trunk.config.name,
        caller: numbers.caller_key(),
        called: numbers.called_key(),
        request: &arrival.request,
    };
    let Some(route) = policy.routes.pick(&query, journal.steps()) else {
        return Err(Termination::new(Cause::NoRoute).into());
    };
    let offer = negotiation::description(&arrival.request, Cause::BadSdp)?;
    if let Some(offer) = &offer {
        negotiation::audio_formats(offer)?;
        negotiation::in_reach(policy, desk.settings.media_address, offer)?;
    }
    Ok(Decided { trunk, slot, pending, numbers, route, offer })
}

fn refused_admission(journal: &mut Journal, cause: Cause) -> Termination {
    let termination = Termination::new(cause);
    journal.step(Step::Admission { gate: cause.entry().code.to_owned(), verdict: termination.text() });
    termination
}

fn place(
    desk: &mut Desk,
    policy: &Arc<Policy>,
    key: usize,
    now: Instant,
    arrival: Arrival,
    decided: Decided,
    mut journal: Journal,
) -> Option<Call> {
    let owner = desk.settings.owner(key, desk.entropy.next_u64());
    let relay = match desk.plane.open(owner) {
        Ok(relay) => relay,
        Err(exhausted) => {
            let termination = Termination::with_detail(Cause::NoMediaPort, exhausted.to_string());
            journal.step(Step::Admission { gate: "ports".to_owned(), verdict: exhausted.to_string() });
            teardown::refuse(desk, now, arrival.leg, journal, &decided.trunk.told(&termination), Headers::new());
            return None;
        }
    };
    let ours = [Some(desk.settings.media_address), decided.trunk.config.media_address()];
    let looping =
        decided.offer.as_ref().map_or(Ok(()), |offer| negotiation::refuse_loop(&relay, &ours, offer, Cause::MediaLoop));
    if let Err(termination) = looping {
        teardown::refuse(desk, now, arrival.leg, journal, &termination, Headers::new());
        return None;
    }
    let mut a = Leg::new(arrival.leg, Phase::Incoming, desk.entropy.next_u64() >> 1);
    a.takes.clone_from(&decided.trunk.config.codecs);
    a.media_address = decided.trunk.config.media_address();
    desk.endpoint.set_path(arrival.leg, decided.trunk.config.path());
    a.signalling = Some(arrival.source.peer.ip().to_canonical());
    a.learn(&arrival.request);
    a.remote = decided.offer;
    let Some(first) = decided.route.targets.first().cloned() else {
        let no_route = Termination::new(Cause::NoRoute);
        teardown::refuse(desk, now, arrival.leg, journal, &no_route, Headers::new());
        return None;
    };
    let hard = now + policy.config.sip.max_duration.get();
    let mut call = Call {
        id: journal.record().call_id.clone(),
        key,
        owner,
        state: State::Calling,
        offerless: a.remote.is_none(),
        a,
        b: None,
        parting: None,
        released: Vec::new(),
        exchange: None,
        kept_change: None,
        behind: None,
        relay: Some(relay),
        policy: policy.clone(),
        trunk: decided.trunk,
        route: decided.route,
        attempt: Attempt::Target { position: 0, target: first },
        hold: Hold::None,
        numbers: decided.numbers,
        request: arrival.request,
        early: Early::default(),
        ring_timer: None,
        exchange_timer: None,
        glare_timer: None,
        hard_timer: Some(desk.timers.insert(hard, (key, CallTimer::Hard))),
        referrals: Referrals::default(),
        redirection: Redirection::default(),
        journal,
        pending: Some(decided.pending),
        trunk_slot: Some(decided.slot),
        target_slot: None,
    };
    desk.legs.insert(call.a.id, key);
    desk.active += 1;
    if call.trunk.config.answer == Answer::Immediate {
        call.answer_at_once(desk, now);
    }
    call.try_target(desk, now, 0);
    Some(call)
}

impl Call {
    /// Calls the target at `position` of the route, or whatever follows when that cannot be done.
    pub fn try_target(&mut self, desk: &mut Desk, now: Instant, position: usize) {
        let position = self.worth_a_try(now, position);
        let Some(target) = self.route.targets.get(position).cloned() else {
            self.divert_or_end(desk, now, Termination::new(Cause::NoRoute));
            return;
        };
        self.attempt = Attempt::Target { position, target: target.clone() };
        self.redirection = Redirection::default();
        self.journal.record_mut().target = Some(target.name.clone());
        match self.invite_target_at(desk, now, &target, (target.request_uri.clone(), target.hop.clone())) {
            Ok(()) => {}
            Err(termination) => {
                self.journal.step(Step::Route {
                    route: self.route.index,
                    targets: vec![target.name.clone()],
                    failed: Some(termination.text()),
                });
                self.next_target(desk, now, termination);
            }
        }
    }

    /// Calls a target at its own address, or at one that it redirected to.
    pub fn invite_target_at(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        target: &Arc<Target>,
        (request_uri, hop): (String, Hop),
    ) -> Result<(), Termination> {
        let slot = target.admission.admit(now).map_err(|refused| {
            let cause = match refused {
                admission::Refused::Calls => Cause::TargetFull,
                admission::Refused::Rate => Cause::TargetRate,
            };
            refused_admission(&mut self.journal, cause)
        })?;
        let formats = self.formats_for(target.codecs.as_deref())?;
        let viewer = Viewer { target: &target.name, trunk: self.trunk.config.privacy, own: target.recipe.privacy };
        let shown = self.numbers.shown(viewer, self.journal.steps());
        self.journal.record_mut().caller = Some(shown.caller.clone());
        let headers = self.headers_for(target, &shown);
        let outgoing = Outgoing {
            to: None,
            // A party that a target redirects to is another one, unless the realm says that it may ask.
            credentials: target.credentials.clone().filter(|own| own.realm.is_some() || hop == target.hop),
            request_uri,
            hop,
            from: self.sender_for(desk, &shown.caller, shown.caller_name.as_deref()),
            headers,
            takes: target.codecs.clone(),
            path: target.path.clone(),
            media_address: target.media_address,
            formats,
            ring: self.route.ring_timeout,
            to_lane: Lane::CloudSip,
            terms: terms::of_target(target),
            offer: target.offer,
        };
        self.target_slot = Some(slot);
        desk.metrics.call_started(&self.trunk.config.name, &target.name);
        self.send_invite(desk, now, outgoing);
        if target.kind == TargetKind::Daily {
            // After another target of Daily's it is the same held call: its room and its bot stay.
            self.hold = Hold::Waiting;
            let facts = self.facts(target, shown);
            desk.outputs.push_back(Output::Report(room::Report::Placed(facts)));
        } else {
            self.leave_companion(desk);
        }
        Ok(())
    }

    /// Sends leg B's INVITE and arms its ring timer.
    pub fn send_invite(&mut self, desk: &mut Desk, now: Instant, outgoing: Outgoing) {
        let mut leg = Leg::new(LegId(0), Phase::Outgoing, desk.entropy.next_u64() >> 1);
        leg.offered.clone_from(&outgoing.formats);
        leg.formats = outgoing.formats;
        leg.takes = outgoing.takes;
        leg.media_address = outgoing.media_address;
        leg.signalling = outgoing.hop.address.socket().map(|address| address.ip());
        leg.late = (outgoing.offer == Offer::Late).then(Late::default);
        self.b = Some(leg);
        self.forget_early();
        let direction = self.a.direction();
        let body = if self.is_late() { None } else { self.describe(desk, Side::B, direction, Kind::Offer) };
        let max_forwards = self.request.max_forwards().unwrap_or(MAX_FORWARDS).saturating_sub(1);
        let invite = Invite {
            to: outgoing.to.unwrap_or_else(|| format!("<{}>", outgoing.request_uri)),
            request_uri: outgoing.request_uri,
            hop: outgoing.hop.clone(),
            from: outgoing.from,
            contact_user: "trunkline".to_owned(),
            max_forwards,
            headers: outgoing.headers,
            body,
        };
        self.note_invite(&outgoing.hop, &invite);
        let uri = invite.request_uri.clone();
        let id = desk.endpoint.invite_by(now, invite, outgoing.path, &outgoing.terms);
        if let Some(credentials) = outgoing.credentials {
            desk.endpoint.answer_challenges(id, credentials);
        }
        desk.legs.insert(id, self.key);
        if let Some(b) = self.b.as_mut() {
            b.id = id;
        }
        self.journal.record_mut().cloud_call_id = desk.endpoint.call_id(id).map(str::to_owned);
        self.journal.moment(now, Lane::Trunkline, outgoing.to_lane, "INVITE", Some(uri));
        self.arm_ring(desk, now + outgoing.ring);
    }

    fn note_invite(&mut self, hop: &Hop, invite: &Invite) {
        let offer = self.b.iter().filter(|leg| leg.late.is_none()).flat_map(|leg| &leg.offered);
        self.journal.step(Step::Invite {
            to: hop.to_string(),
            request_uri: invite.request_uri.clone(),
            from: invite.from.clone(),
            // `Name: value` and the line end.
            header_bytes: invite.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum(),
            offer: offer.map(|f| format!("{} {}/{}", f.payload_type, f.encoding, f.clock)).collect(),
        });
    }

    fn arm_ring(&mut self, desk: &mut Desk, at: Instant) {
        self.disarm_ring(desk);
        self.ring_timer = Some(desk.timers.insert(at, (self.key, CallTimer::Ring)));
    }

    /// Ends the wait for leg B's answer.
    pub fn disarm_ring(&mut self, desk: &mut Desk) {
        silence(desk, &mut self.ring_timer);
    }

    /// `From` towards a target or fallback: the true caller at our own address.
    pub fn sender_for(&self, desk: &Desk, caller: &str, name: Option<&str>) -> String {
        let host = desk.settings.from_host.as_str();
        let uri = if caller.is_empty() || caller == identity::ANONYMOUS {
            "sip:anonymous@anonymous.invalid".to_owned() // RFC 3323 §4.1.1.3
        } else {
            format!("sip:{}@{host}", escape_user(caller))
        };
        match name {
            Some(name) if !name.is_empty() => format!("\"{}\" <{uri}>", quoted(name)),
            _ => format!("<{uri}>"),
        }
    }

    /// The headers of a target's INVITE beside those of the protocol.
    fn headers_for(&mut self, target: &Target, shown: &Shown) -> Headers {
        let pbx_call_id = self.journal.record().pbx_call_id.clone();
        let values = template::Values {
            numbers: &self.numbers,
            shown,
            pbx_call_id: &pbx_call_id,
            call_id: self.id.as_str(),
            trunk: &self.trunk,
            request: &self.request,
        };
        let composed = target.recipe.compose(&values, self.journal.steps());
        composed.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect()
    }

    fn facts(&self, target: &Target, shown: Shown) -> CallFacts {
        let headers = self
            .policy
            .room_headers
            .iter()
            .filter_map(|name| {
                let value = self.request.named(name).next()?;
                Some((name.clone(), String::from_utf8_lossy(value).into_owned()))
            })
            .collect();
        CallFacts {
            call_id: self.id.clone(),
            trunk: self.trunk.config.name.clone(),
            target: target.name.clone(),
            caller: shown.caller,
            called: shown.called,
            caller_name: shown.caller_name,
            pbx_call_id: self.journal.record().pbx_call_id.clone(),
            headers,
        }
    }
}

/// Disarms a timer of a call, if it is armed.
pub(super) fn silence(desk: &mut Desk, timer: &mut Option<TimerKey>) {
    if let Some(timer) = timer.take() {
        desk.timers.cancel(timer);
    }
}

/// Leg B's INVITE before it has a leg.
pub(super) struct Outgoing {
    pub request_uri: String,
    /// `To`, if it is not the Request-URI.
    pub to: Option<String>,
    /// What the peer's challenges are answered with: its own, or nothing.
    pub credentials: Option<Arc<Credentials>>,
    pub hop: Hop,
    pub from: String,
    pub headers: Headers,
    pub takes: Option<Vec<String>>,
    pub path: crate::sip::endpoint::aim::Path,
    pub media_address: Option<std::net::IpAddr>,
    pub formats: Vec<sdp::Format>,
    pub ring: std::time::Duration,
    pub to_lane: Lane,
    pub terms: Terms,
    pub offer: Offer,
}

/// The inside of a quoted string (RFC 3261 §25.1).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}
