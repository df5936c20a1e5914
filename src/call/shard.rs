//! A shard: some of the gateway's calls with everything they need, owned by one thread and shared with none. It is
//! sans-IO: messages, instructions and time go in; messages, reports and finished records come out.

use super::desk::{Answer, CallTimer, Desk, OWNER_PLACE, Output, ShardSettings};
use super::events::notice;
use super::setup::{self, Arrival};
use super::state::Call;
use super::teardown::{self, EndedBy};
use super::{Policy, bridge, door, registering, transfer};
use crate::clock::Entropy;
use crate::error::{Cause, Termination};
use crate::media::{MediaEvent, Plane, Side};
use crate::observe::Metrics;
use crate::observe::metrics::Direction;
use crate::record::{CallId, CallRecord};
use crate::room::Instruction;
use crate::sip::HeaderName;
use crate::sip::endpoint::NoDialog;
use crate::sip::endpoint::aim::{Errand, Reach};
use crate::sip::endpoint::{Census, Endpoint, Event, Headers, LegId, RequestId, SentId, Settings, Standalone};
use crate::sip::header::Replaces;
use crate::sip::timer::TimerWheel;
use crate::sip::transaction::ClientId;
use crate::sip::{Hop, Message, Method, Source, StatusCode, Transmit, auth};
use bytes::Bytes;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Places of calls that one page of records looks at: some ten microseconds of a shard's time.
const PAGE: usize = 128;

/// Some of a shard's live calls.
#[derive(Debug, Default)]
pub struct Page {
    /// Their records, without decisions and timelines.
    pub records: Vec<CallRecord>,
    /// Where the next page starts, if there is one.
    pub next: Option<usize>,
}

/// Some of the gateway's calls.
pub struct Shard {
    desk: Desk,
    calls: Slab<Call>,
    by_id: HashMap<CallId, usize>,
    policy: Arc<Policy>,
}

// === impl Shard ===

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(
        settings: ShardSettings,
        sip: Settings,
        policy: Arc<Policy>,
        plane: Box<dyn Plane>,
        metrics: Metrics,
        mut entropy: Entropy,
    ) -> Self {
        let mut endpoint = Endpoint::new(sip, entropy.fork());
        let door =
            auth::Settings { realm: settings.from_host.clone(), lifetime: policy.config.sip.nonce_lifetime.get() };
        endpoint.set_guard(auth::Guard::new(door, &mut entropy.fork(), settings.epoch.0));
        let timers = TimerWheel::new();
        let desk = Desk {
            endpoint,
            timers,
            plane,
            outputs: VecDeque::new(),
            metrics,
            entropy,
            settings,
            active: 0,
            turns: 0,
            legs: HashMap::new(),
        };
        Self { desk, calls: Slab::new(), by_id: HashMap::new(), policy }
    }

    // --- in

    /// A datagram or framed message arrived.
    pub fn receive(&mut self, now: Instant, source: Source, payload: Bytes) {
        self.desk.metrics.sip_message(Direction::In, &payload);
        if let Ok(message) = Message::parse(payload) {
            self.take_in(now, source, message);
        }
    }

    /// A message that was parsed to find this shard.
    pub fn receive_message(&mut self, now: Instant, source: Source, message: Message) {
        self.desk.metrics.sip_message(Direction::In, message.bytes());
        self.take_in(now, source, message);
    }

    fn take_in(&mut self, now: Instant, source: Source, message: Message) {
        if door::opens(&self.desk, &self.policy, now, &source, &message) {
            self.desk.endpoint.receive_message(now, source, message);
            self.drain_events(now);
        }
    }

    /// Sending for this client transaction failed.
    pub fn transport_failed(&mut self, now: Instant, transaction: ClientId) {
        self.desk.endpoint.transport_failed(now, transaction);
        self.drain_events(now);
    }

    /// The same, with the reason.
    pub fn undelivered(&mut self, now: Instant, transaction: ClientId, why: &str) {
        self.desk.endpoint.undelivered(now, transaction, why);
        self.drain_events(now);
    }

    /// A datagram came back as undeliverable, with its beginning.
    pub fn undeliverable(&mut self, now: Instant, to: SocketAddr, quoted: &[u8]) {
        self.desk.endpoint.undeliverable(now, to, quoted);
        self.drain_events(now);
    }

    /// A name was looked up: its addresses and what said so, or why there are none.
    pub fn located(&mut self, now: Instant, transaction: ClientId, found: Result<(Vec<Hop>, &str), &str>) {
        self.desk.endpoint.located(now, transaction, found);
        self.drain_events(now);
    }

    /// How requests find their way.
    pub fn set_reach(&mut self, reach: Reach) {
        self.desk.endpoint.set_reach(reach);
    }

    /// A media worker noticed something.
    pub fn media(&mut self, now: Instant, event: MediaEvent) {
        let (MediaEvent::FirstPacket { owner, .. } | MediaEvent::Silent { owner, .. }) = event;
        // An event may be older than its call: the place is taken again, the name is not.
        let key = (owner & OWNER_PLACE) as usize;
        if let Some(call) = self.calls.get_mut(key).filter(|call| call.owner == owner && call.relay.is_some()) {
            self.desk.turns += 1;
            call.on_media(&mut self.desk, now, event);
        }
        self.drain_events(now);
    }

    /// The companion says something about a call.
    pub fn instruct(&mut self, now: Instant, call_id: &CallId, instruction: Instruction) {
        if let Some(call) = self.by_id.get(call_id).and_then(|key| self.calls.get_mut(*key)) {
            self.desk.turns += 1;
            call.on_instruction(&mut self.desk, now, instruction);
        }
        self.drain_events(now);
    }

    /// Ends one call; false if there is none of this name.
    pub fn hang_up(&mut self, now: Instant, call_id: &CallId, end: Termination) -> bool {
        let Some(call) = self.by_id.get(call_id).and_then(|key| self.calls.get_mut(*key)) else { return false };
        let live = call.state != bridge::State::Ending;
        self.desk.turns += 1;
        call.end(&mut self.desk, now, end, EndedBy::Gateway);
        self.drain_events(now);
        live
    }

    /// Sends a request outside of all calls; [`Output::Replied`] with the same name follows.
    pub fn ask(&mut self, now: Instant, question: Standalone) -> SentId {
        self.desk.endpoint.send_standalone(now, question)
    }

    /// Refuses new calls from now on.
    pub fn drain(&mut self) {
        self.desk.settings.draining = true;
    }

    /// Ends every call.
    fn hang_up_all(&mut self, now: Instant, end: &Termination) {
        for (_, call) in &mut self.calls {
            self.desk.turns += 1;
            call.end(&mut self.desk, now, end.clone(), EndedBy::Gateway);
        }
        self.drain_events(now);
    }

    /// Ends every call because the gateway stops.
    pub fn stop(&mut self, now: Instant) {
        self.hang_up_all(now, &Termination::new(Cause::GatewayStopped));
    }

    /// Time passed.
    pub fn expire(&mut self, now: Instant) {
        self.desk.endpoint.expire(now);
        while let Some((key, timer)) = self.desk.timers.pop(now) {
            self.on_timer(now, key, timer);
        }
        self.drain_events(now);
    }

    fn on_timer(&mut self, now: Instant, key: usize, timer: CallTimer) {
        if let Some(call) = self.calls.get_mut(key) {
            self.desk.turns += 1;
            call.on_timer(&mut self.desk, now, timer);
        }
    }

    // --- out

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.desk.endpoint.poll_transmit()?;
        self.desk.metrics.sip_message(Direction::Out, &transmit.payload);
        Some(transmit)
    }

    /// The next thing to find out about names and addresses.
    pub fn poll_errand(&mut self) -> Option<Errand> {
        self.desk.endpoint.poll_errand()
    }

    /// The next report or record.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.desk.outputs.pop_front()
    }

    /// When [`Shard::expire`] wants to be called.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        match (self.desk.endpoint.next_timeout(), self.desk.timers.next()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    // --- looking in

    /// Records of the calls that live now at [`PAGE`] places from `from` on, if they are wanted: without their decisions
    /// and timelines, which [`Shard::record`] has.
    #[must_use]
    pub fn page(&mut self, from: usize, wanted: impl Fn(&CallRecord) -> bool) -> Page {
        let places = self.calls.capacity();
        let to = from.saturating_add(PAGE).min(places);
        let mut records = Vec::new();
        for key in from..to {
            let Some(call) = self.calls.get_mut(key) else { continue };
            if call.state != bridge::State::Ending && wanted(call.journal.record()) {
                let media = teardown::live_summary(call);
                records.push(CallRecord { media, ..call.journal.outline() });
            }
        }
        Page { records, next: (to < places).then_some(to) }
    }

    /// The record of one live call.
    #[must_use]
    pub fn record(&self, call_id: &CallId) -> Option<CallRecord> {
        self.by_id.get(call_id).and_then(|key| self.calls.get(*key)).and_then(live_record)
    }

    /// Calls whose end was not claimed yet.
    #[must_use]
    pub fn active(&self) -> usize {
        self.desk.active
    }

    /// Calls that still have a leg to close, ended ones included.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.calls.len()
    }

    /// How often a call was given something to do so far: while this stands still, so does every record.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.desk.turns
    }

    /// Live objects of the SIP stack.
    #[must_use]
    pub fn census(&self) -> Census {
        self.desk.endpoint.census()
    }

    /// Media ports of open relays.
    #[must_use]
    pub fn ports_in_use(&self) -> usize {
        self.desk.plane.ports_in_use()
    }

    // --- inside

    fn drain_events(&mut self, now: Instant) {
        while let Some(event) = self.desk.endpoint.poll_event() {
            self.on_event(now, event);
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        self.desk.turns += 1;
        match event {
            Event::Invited { leg, request, source } => self.invited(now, Arrival { leg, request, source }),
            Event::OutOfDialog { id, request, source } if request.method() == Method::Register => {
                registering::register(&mut self.desk, &self.policy, now, id, &request, &source);
            }
            Event::OutOfDialog { id, source, .. } => self.options(now, id, source),
            Event::Doubted { leg, why } => self.doubted(leg, why),
            Event::Closed { leg } => self.closed(now, leg),
            Event::Requested { leg, id, request } => self.requested(now, leg, id, &request),
            Event::Replied { sent, leg, status, response } => self.replied(now, leg, sent, Answer { status, response }),
            Event::Noted { leg, note } => self.noted(now, leg, note),
            Event::RefreshDue { leg } => self.with_leg(leg, |call, desk, side| call.refresh(desk, now, side)),
            Event::Refreshed { leg, response } => {
                self.with_leg(leg, |call, _, side| call.take_refresh(now, side, &response));
            }
            event => {
                let Some((leg, notice)) = notice(event) else { return };
                let Some(key) = self.desk.legs.get(&leg).copied() else { return };
                if let Some(call) = self.calls.get_mut(key) {
                    call.on_leg(&mut self.desk, now, leg, &notice);
                }
            }
        }
    }

    /// The call and side of a leg in use, if there is one.
    fn with_leg(&mut self, leg: LegId, act: impl FnOnce(&mut Call, &mut Desk, Side)) {
        let call = self.desk.legs.get(&leg).and_then(|key| self.calls.get_mut(*key));
        if let Some((call, side)) = call.and_then(|call| call.side_of(leg).map(|side| (call, side))) {
            act(call, &mut self.desk, side);
        }
    }

    fn invited(&mut self, now: Instant, arrival: Arrival) {
        if let Some(value) = arrival.request.value(HeaderName::Replaces) {
            let named = Replaces::parse(value);
            return self.replacing(now, &arrival, named.ok());
        }
        let key = self.calls.vacant_key();
        let policy = self.policy.clone();
        if let Some(call) = setup::admit(&mut self.desk, &policy, key, now, arrival) {
            self.by_id.insert(call.id.clone(), key);
            self.calls.insert(call);
        }
    }

    /// A request in the dialog of a call that is none of the table's.
    fn requested(&mut self, now: Instant, leg: LegId, id: RequestId, request: &Message) {
        let call = self.desk.legs.get(&leg).and_then(|key| self.calls.get_mut(*key));
        // A new party that changes its session before it answers is early, and must not believe that it is forgotten.
        let early = call.as_ref().is_some_and(|call| call.referrals.awaits(leg)) && request.method() == Method::Update;
        match call.and_then(|call| call.side_of(leg).map(|side| (call, side))) {
            Some((call, side)) => call.on_request(&mut self.desk, now, side, id, request),
            // A leg that parts has nothing more to say.
            None => {
                let status = if early { StatusCode::REQUEST_PENDING } else { StatusCode::NO_SUCH_TRANSACTION };
                let _ = self.desk.endpoint.respond(now, id, status, None, Headers::new(), None);
            }
        }
    }

    /// Somebody spoke in the name of a peer from elsewhere.
    fn doubted(&self, leg: LegId, why: auth::Refusal) {
        let call = self.desk.legs.get(&leg).and_then(|key| self.calls.get(*key));
        if let Some(call) = call {
            self.desk.metrics.auth_attempt(&call.trunk.config.name, why.as_str());
        }
    }

    fn replied(&mut self, now: Instant, leg: Option<LegId>, sent: SentId, answer: Answer) {
        let Some(leg) = leg else {
            self.desk.outputs.push_back(Output::Replied(sent, Box::new(answer)));
            return;
        };
        let call = self.desk.legs.get(&leg).and_then(|key| self.calls.get_mut(*key));
        if let Some(call) = call {
            call.on_reply(&mut self.desk, now, leg, sent, &answer);
        }
    }

    /// An INVITE with `Replaces` (RFC 3891 §3): into the place of a leg of the same trunk's call, or refused.
    fn replacing(&mut self, now: Instant, arrival: &Arrival, named: Option<Replaces>) {
        let Some(trunk) = transfer::arrived(&mut self.desk, &self.policy, now, arrival) else { return };
        let found = match named {
            None => Err((StatusCode::BAD_REQUEST, "Replaces cannot be read")),
            Some(named) => self.desk.endpoint.replaced_by(&named).map_err(|no| match no {
                NoDialog::Unknown => (StatusCode::NO_SUCH_TRANSACTION, "Replaces names no call of this gateway"),
                NoDialog::Ended => (StatusCode::DECLINE, "the call that Replaces names has ended"),
                NoDialog::Answered => (StatusCode::BUSY_HERE, "the call that Replaces names is answered already"),
            }),
        };
        let leg = found.and_then(|leg| {
            let call = self.desk.legs.get(&leg).and_then(|key| self.calls.get_mut(*key));
            let call = call.filter(|call| call.trunk.config.name == trunk.config.name);
            let place = call.and_then(|call| call.side_of(leg).map(|side| (call, side)));
            place.ok_or((StatusCode::NO_SUCH_TRANSACTION, "Replaces names no call of this trunk"))
        });
        match leg {
            Ok((call, side)) => call.replace(&mut self.desk, now, side, arrival),
            Err((status, why)) => transfer::refuse(&mut self.desk, now, arrival, (status, why.to_owned())),
        }
    }

    /// What became of the way of an INVITE belongs to its call's record.
    fn noted(&mut self, now: Instant, leg: LegId, note: String) {
        let call = self.desk.legs.get(&leg).and_then(|key| self.calls.get_mut(*key));
        if let Some((call, side)) = call.and_then(|call| call.side_of(leg).map(|side| (call, side))) {
            call.note_way(now, side, note);
        }
    }

    /// OPTIONS tells the truth: 503 while new calls would be refused.
    fn options(&mut self, now: Instant, id: RequestId, source: Source) {
        let (status, headers) = door::ping(&self.desk, &self.policy, now, source.peer.ip());
        let _ = self.desk.endpoint.respond(now, id, status, None, headers, None);
    }

    /// A leg is gone; its call goes with the last one.
    fn closed(&mut self, now: Instant, leg: LegId) {
        let Some(key) = self.desk.legs.remove(&leg) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        call.released.retain(|released| *released != leg);
        if call.parting.as_ref().is_some_and(|parting| parting.id == leg) {
            call.parting = None;
        }
        if call.side_of(leg).is_some() && !call.outlives(leg) {
            // A leg in use that is gone without a word: its call must not outlive it. Usually the end was claimed.
            call.end(&mut self.desk, now, Termination::new(Cause::Internal), EndedBy::Gateway);
        }
        let over =
            call.state == bridge::State::Ending && !call.leg_ids().any(|id| self.desk.legs.get(&id) == Some(&key));
        if over {
            let call = self.calls.remove(key);
            self.by_id.remove(&call.id);
        }
    }
}

/// The record of a call whose end was not claimed, with its packets so far.
fn live_record(call: &Call) -> Option<CallRecord> {
    if call.state == bridge::State::Ending {
        return None;
    }
    let mut record = call.journal.record().clone();
    record.media = teardown::live_summary(call);
    Some(record)
}
