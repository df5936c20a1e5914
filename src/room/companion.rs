//! All held calls of the gateway: joins webhooks, events and ready signals to the call they are about, keeps the timers,
//! and absorbs repetitions. Sans-IO like `held`, and apart from it because this half is bookkeeping and that half is
//! one call's fate.

use super::budget::Budget;
use super::daily::webhook::{DialIn, Event, EventKind};
use super::held::{Choice, Effect, Held, Input, Names, Proof, Ready, ReadySource, Spare, Stage, Timer};
use super::leases::Leases;
use super::plan;
use super::request::{Reply, Request};
use super::seen::{Novelty, Seen};
use super::timers::{TimerKey, Timers};
use super::{Instruction, Meter, Report, Settings};
use crate::clock::Entropy;
use crate::config::room::OnFailure;
use crate::config::value::Secret;
use crate::error::{Cause, Termination};
use crate::record::{CallFacts, CallId, Step};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a webhook whose call we do not know waits for it: the report of the call may be on its way.
pub const GRACE: Duration = Duration::from_secs(2);

/// More calls than one machine has ports for.
pub const MOST_CALLS: usize = 65_536;

/// Webhooks that wait for their call at the same time.
const MOST_EARLY: usize = 4_096;

/// Names of webhooks and of events that are remembered.
const MOST_REMEMBERED: usize = 262_144;

/// Names one request that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightId(u64);

/// What the driver is to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send this; hand the reply to [`Companion::landed`].
    Perform(FlightId, Request),
    /// Stop waiting for it.
    Abort(FlightId),
    /// Tell the SIP side.
    Instruct(CallId, Instruction),
}

/// What became of a ready signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyVerdict {
    /// It counts, or counted already.
    Accepted,
    /// No held call has this room.
    UnknownRoom,
    /// The token is not the room's.
    WrongToken,
}

/// What the companion holds. All zero once every call has ended, and the memory's time has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Calls that were placed and have not ended.
    pub calls: usize,
    /// Rooms that these calls have.
    pub rooms: usize,
    /// Requests that are out.
    pub flights: usize,
    /// Armed timers.
    pub timers: usize,
    /// Webhooks that wait for their call.
    pub early: usize,
    /// Names remembered against repetition.
    pub remembered: usize,
}

/// All held calls.
pub struct Companion {
    settings: Arc<Settings>,
    meter: Arc<dyn Meter>,
    entropy: Entropy,
    calls: HashMap<CallId, Entry>,
    rooms: HashMap<String, Vec<CallId>>,
    flights: HashMap<FlightId, CallId>,
    rest: RestQueue,
    leases: Leases,
    early: HashMap<CallId, (DialIn, TimerKey)>,
    dial_ins: Seen,
    events: Seen,
    timers: Timers<Due>,
    next_flight: u64,
    actions: VecDeque<Action>,
}

struct Entry {
    held: Held,
    /// Of its plan.
    position: usize,
    timers: Vec<(Timer, TimerKey)>,
    flights: Vec<FlightId>,
}

enum Due {
    Call(CallId, Timer),
    Early(CallId),
}

// === impl Companion ===

impl Companion {
    /// One without calls.
    #[must_use]
    pub fn new(settings: Settings, meter: Arc<dyn Meter>, entropy: Entropy) -> Self {
        let (memory, budget) = (settings.memory, Budget::new(settings.limits));
        Self {
            settings: Arc::new(settings),
            meter,
            entropy,
            calls: HashMap::new(),
            rooms: HashMap::new(),
            flights: HashMap::new(),
            rest: RestQueue::new(budget),
            leases: Leases::default(),
            early: HashMap::new(),
            dial_ins: Seen::new(memory, MOST_REMEMBERED),
            events: Seen::new(memory, MOST_REMEMBERED),
            timers: Timers::default(),
            next_flight: 0,
            actions: VecDeque::new(),
        }
    }

    /// The SIP side reports.
    pub fn report(&mut self, now: Instant, report: Report) {
        match report {
            Report::Placed(facts) if self.calls.contains_key(&facts.call_id) => {
                let call = facts.call_id.clone();
                self.feed(now, &call, Input::PlacedAgain(facts));
                self.deliver_early(now, &call);
            }
            Report::Placed(facts) => self.place(now, facts),
            Report::Answered(call) => self.feed(now, &call, Input::Answered),
            Report::Ended(call) => self.end(now, &call),
        }
    }

    /// A signed webhook announced a held call.
    pub fn dial_in(&mut self, now: Instant, dial_in: DialIn) {
        if self.dial_ins.note(now, &dial_in.call_id) == Novelty::Repeated {
            return self.meter.webhook("dialin", "duplicate");
        }
        match dial_in.call() {
            Some(call) if self.calls.contains_key(&call) => {
                self.meter.webhook("dialin", "accepted");
                self.feed(now, &call, Input::DialIn(dial_in));
            }
            Some(call) if self.early.len() < MOST_EARLY && !self.early.contains_key(&call) => {
                let timer = self.timers.arm(now + GRACE, Due::Early(call.clone()));
                self.early.insert(call, (dial_in, timer));
            }
            // A number of the same domain, another gateway, or nothing we can keep.
            _ => self.meter.webhook("dialin", "unmatched"),
        }
    }

    /// A signed event of the domain.
    pub fn event(&mut self, now: Instant, event: Event) {
        if event.id.is_some_and(|id| self.events.note(now, &id) == Novelty::Repeated) {
            return self.meter.webhook("events", "duplicate");
        }
        let named = event.call.is_some();
        let call = match event.call {
            Some(call) => Some(call).filter(|call| self.calls.contains_key(call)),
            None => self.concerned(&event.room, &event.kind),
        };
        let Some(call) = call else {
            return self.meter.webhook("events", "unmatched");
        };
        self.meter.webhook("events", "accepted");
        let input = match event.kind {
            EventKind::Ready(endpoint) => {
                let endpoint = endpoint.as_deref().and_then(super::daily::rest::sip_uri);
                Input::Ready(Ready { endpoint, source: ReadySource::Event })
            }
            EventKind::Connected => Input::InRoom(if named { Proof::Named } else { Proof::Event }),
            EventKind::Stopped => Input::LeftRoom(if named { Proof::Named } else { Proof::Event }),
            EventKind::Warning(words) => Input::Remark(format!("dialin.warning: {words}")),
            EventKind::Error(words) => Input::Remark(format!("dialin.error: {words}")),
        };
        self.feed(now, &call, input);
    }

    /// Somebody reports a room ready; `endpoint` is an address with scheme.
    pub fn ready(&mut self, now: Instant, room: &str, token: &str, endpoint: Option<String>) -> ReadyVerdict {
        self.signalled(now, room, token, Input::Ready(Ready { endpoint, source: ReadySource::Bot }))
    }

    /// The bot reports that it connected the caller itself.
    pub fn bot_connected(&mut self, now: Instant, room: &str, token: &str) -> ReadyVerdict {
        self.signalled(now, room, token, Input::InRoom(Proof::Bot))
    }

    fn signalled(&mut self, now: Instant, room: &str, token: &str, signal: Input) -> ReadyVerdict {
        let calls = self.rooms.get(room).map(Vec::as_slice).unwrap_or_default();
        let held = |call: &CallId| self.calls.get(call).map(|entry| &entry.held);
        let mut open =
            calls.iter().filter(|call| held(call).is_some_and(|held| held.stage() != Stage::Over)).peekable();
        if open.peek().is_none() {
            return ReadyVerdict::UnknownRoom;
        }
        let allowed: Vec<&CallId> =
            open.filter(|call| held(call).is_some_and(|held| held.ready_token().is(token))).collect();
        // Several calls may wait in one shared room: the one that waits longest is served.
        let waits = |held: &Held| match signal {
            Input::InRoom(_) => held.stage() != Stage::Connected,
            Input::Ready(ref ready) => held.awaits_ready() && held.may_use(ready),
            _ => false,
        };
        let waiting = allowed.iter().find(|call| held(call).is_some_and(waits));
        let Some(call) = waiting.or(allowed.first()).map(|call| (*call).clone()) else {
            return ReadyVerdict::WrongToken;
        };
        self.feed(now, &call, signal);
        ReadyVerdict::Accepted
    }

    /// A request ended.
    pub fn landed(&mut self, now: Instant, flight: FlightId, reply: Reply) {
        if let Some(call) = self.flights.remove(&flight) {
            self.heed_refusal(now, &reply);
            if let Some(entry) = self.calls.get_mut(&call) {
                entry.flights.retain(|other| *other != flight);
            }
            self.feed(now, &call, Input::Reply(reply));
        }
    }

    /// The next thing to do; to be asked until it is `None` after everything else that is called.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`expire`](Self::expire) is due.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        self.timers.due().into_iter().chain(self.rest.due()).min()
    }

    /// Fires what is due.
    pub fn expire(&mut self, now: Instant) {
        while let Some((key, due)) = self.timers.expired(now) {
            match due {
                Due::Call(call, Timer::Linger) => self.end(now, &call),
                Due::Call(call, timer) => {
                    if let Some(entry) = self.calls.get_mut(&call) {
                        entry.timers.retain(|(_, armed)| *armed != key);
                    }
                    self.feed(now, &call, Input::Timer(timer));
                }
                Due::Early(call) => {
                    self.early.remove(&call);
                    self.meter.webhook("dialin", "unmatched");
                }
            }
        }
        self.let_go(now);
        self.dial_ins.forget(now);
        self.events.forget(now);
    }

    /// Forgets every call without a word; requests that are out are aborted.
    pub fn stop(&mut self, now: Instant) {
        let calls: Vec<CallId> = self.calls.keys().cloned().collect();
        for call in calls {
            self.end(now, &call);
        }
        for (_, (_, timer)) in self.early.drain() {
            self.timers.disarm(timer);
        }
    }

    /// What it holds.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            calls: self.calls.len(),
            rooms: self.rooms.len(),
            flights: self.flights.len(),
            timers: self.timers.len(),
            early: self.early.len(),
            remembered: self.dial_ins.len() + self.events.len(),
        }
    }

    // --- one call

    fn place(&mut self, now: Instant, facts: CallFacts) {
        let call = facts.call_id.clone();
        let mut steps = vec![];
        let plan = self.choose(0, &facts, &mut steps);
        self.actions.extend(steps.into_iter().map(|step| Action::Instruct(call.clone(), Instruction::Decided(step))));
        let refusal = match plan {
            None => Termination::new(Cause::NoRoomPlan),
            Some(_) if self.calls.len() >= MOST_CALLS => {
                Termination::with_detail(Cause::Internal, format!("the companion holds {MOST_CALLS} calls"))
            }
            Some((position, choice)) => {
                let names = self.names(&choice.plan);
                self.rooms.entry(names.room.clone()).or_default().push(call.clone());
                let mut effects = vec![];
                let settings = Arc::clone(&self.settings);
                let held = Held::new(now, settings, (choice, facts, names), self.entropy.fork(), &mut effects);
                self.calls.insert(call.clone(), Entry { held, position, timers: vec![], flights: vec![] });
                self.carry_out(now, &call, effects);
                return self.deliver_early(now, &call);
            }
        };
        let failed = Instruction::Failed { termination: refusal, on_failure: OnFailure::default() };
        self.actions.push_back(Action::Instruct(call, failed));
    }

    fn names(&mut self, plan: &crate::config::room::RoomPlan) -> Names {
        let prefix = plan.create.as_ref().map_or_else(|| "call-".to_owned(), |create| create.name_prefix.clone());
        let room = plan.use_room.clone().unwrap_or_else(|| format!("{prefix}{}", self.entropy.hex(16)));
        // A started bot gets a token that nobody else has. Without one, the plan's, or one that nobody has at all.
        let ready_token = match (&plan.bot, &plan.ready_token) {
            (None, Some(token)) => token.clone(),
            _ => Secret::new(self.entropy.hex(48)),
        };
        let traceparent = format!("00-{}-{}-01", self.entropy.hex(32), self.entropy.hex(16));
        Names { room, ready_token, traceparent }
    }

    fn deliver_early(&mut self, now: Instant, call: &CallId) {
        if let Some((dial_in, timer)) = self.early.remove(call) {
            self.timers.disarm(timer);
            self.meter.webhook("dialin", "accepted");
            self.feed(now, call, Input::DialIn(dial_in));
        }
    }

    fn end(&mut self, now: Instant, call: &CallId) {
        self.feed(now, call, Input::Ended);
        let Some(entry) = self.calls.remove(call) else { return };
        for (_, timer) in entry.timers {
            self.timers.disarm(timer);
        }
        self.vacate(entry.held.room(), call);
        self.release(now, call);
    }

    fn vacate(&mut self, room: &str, call: &CallId) {
        if let Some(calls) = self.rooms.get_mut(room) {
            calls.retain(|other| other != call);
            if calls.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    /// The first plan that fits, from position `first` on, and whether there is another after it.
    fn choose(&self, first: usize, facts: &CallFacts, steps: &mut Vec<Step>) -> Option<(usize, Choice)> {
        let plans = &self.settings.plans;
        let (position, plan) = plan::choose_from(plans, first, facts, steps)?;
        let another = plan::choose_from(plans, position + 1, facts, &mut vec![]).is_some();
        Some((position, Choice { plan, spare: if another { Spare::Another } else { Spare::Nothing } }))
    }

    fn lease(&mut self, now: Instant, call: &CallId, addresses: Vec<String>) {
        let answer = self.leases.take(call, addresses).map_or(Input::AllLent, Input::Lent);
        self.show_leases();
        self.feed(now, call, answer);
    }

    fn release(&mut self, now: Instant, call: &CallId) {
        let lucky = self.leases.release(call);
        self.show_leases();
        for (call, address) in lucky {
            self.feed(now, &call, Input::Lent(address));
        }
    }

    fn show_leases(&self) {
        let (lent, waiting) = self.leases.count();
        self.meter.leases(lent, waiting);
    }

    /// The call's plan has no capacity.
    fn next_plan(&mut self, now: Instant, call: &CallId) {
        let Some(entry) = self.calls.get(call) else { return };
        let mut steps = vec![];
        let next = self.choose(entry.position + 1, entry.held.facts(), &mut steps);
        let old = entry.held.room().to_owned();
        self.actions.extend(steps.into_iter().map(|step| Action::Instruct(call.clone(), Instruction::Decided(step))));
        let names = next.as_ref().map(|(_, choice)| self.names(&choice.plan));
        let Some(entry) = self.calls.get_mut(call) else { return };
        let mut effects = vec![];
        match next.zip(names) {
            Some(((position, choice), names)) => {
                let new = names.room.clone();
                entry.position = position;
                entry.held.replan(now, choice, names, &mut effects);
                self.vacate(&old, call);
                self.release(now, call);
                self.rooms.entry(new).or_default().push(call.clone());
            }
            None => entry.held.is_without_plan(now, &mut effects),
        }
        self.carry_out(now, call, effects);
    }

    /// Whose an event is. Events name the room only: with several calls in a shared room, ready goes to the one that
    /// waits longest, and anything else could be anybody's.
    fn concerned(&self, room: &str, kind: &EventKind) -> Option<CallId> {
        let calls = self.rooms.get(room)?;
        // An address that is lent tells whose event it is; one that is not, and is named, is nobody's yet.
        let named = match kind {
            EventKind::Ready(Some(address)) => self.leases.holder(address).filter(|call| calls.contains(call)),
            _ => None,
        };
        if named.is_some() {
            return named.cloned();
        }
        let ready = match kind {
            EventKind::Ready(endpoint) => Ready { endpoint: endpoint.clone(), source: ReadySource::Event },
            _ => Ready { endpoint: None, source: ReadySource::Event },
        };
        let held = |call: &CallId| self.calls.get(call).map(|entry| &entry.held);
        let waits = |call: &&CallId| held(call).is_some_and(|held| held.awaits_ready() && held.may_use(&ready));
        match (calls.as_slice(), kind) {
            ([only], _) => Some(only.clone()),
            (several, EventKind::Ready(_)) => several.iter().find(waits).cloned(),
            _ => None,
        }
    }

    fn feed(&mut self, now: Instant, call: &CallId, input: Input) {
        let Some(entry) = self.calls.get_mut(call) else { return };
        let mut effects = vec![];
        entry.held.handle(now, input, &mut effects);
        self.carry_out(now, call, effects);
    }

    fn carry_out(&mut self, now: Instant, call: &CallId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Request(request) => self.request(now, call, request),
                Effect::CancelRequests => {
                    self.cancel(call);
                    self.leases.stop_waiting(call);
                }
                Effect::Withdraw => self.withdraw(call),
                Effect::Lease(addresses) => self.lease(now, call, addresses),
                Effect::NextPlan => self.next_plan(now, call),
                Effect::BotStart(result) => self.meter.bot_start(result),
                Effect::Arm(timer, at) => {
                    self.disarm(call, timer);
                    let key = self.timers.arm(at, Due::Call(call.clone(), timer));
                    if let Some(entry) = self.calls.get_mut(call) {
                        entry.timers.push((timer, key));
                    }
                }
                Effect::Disarm(timer) => self.disarm(call, timer),
                Effect::Instruct(instruction) => {
                    self.actions.push_back(Action::Instruct(call.clone(), instruction));
                }
                Effect::Measured(stage, took) => self.meter.stage(stage, took),
            }
        }
        self.let_go(now);
    }

    fn disarm(&mut self, call: &CallId, timer: Timer) {
        let Some(entry) = self.calls.get_mut(call) else { return };
        let timers = &mut self.timers;
        entry.timers.retain(|(name, key)| {
            let keep = *name != timer;
            if !keep {
                timers.disarm(*key);
            }
            keep
        });
    }
}

mod outgoing;

use outgoing::RestQueue;

#[cfg(test)]
mod chaos_tests;
#[cfg(test)]
mod tests;
