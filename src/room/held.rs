//! One held call, from the INVITE to Daily until the caller is connected or given up: a sans-IO state machine.
//!
//! It stands apart from `companion`, which owns many, so that every race of webhook, REST, bot and hang-up is a row of a
//! table under a virtual clock. The one promise that all of it serves: `pinlessCallUpdate` is sent only after ready,
//! only while the caller is there, and never again once a try may have worked.

mod lease;
mod stage;
mod tries;

use super::daily::webhook::DialIn;
use super::request::{Product, Reply, Request, Room};
use super::retry::TRIES_IN_A_STAGE;
use super::{Instruction, Settings};
use crate::clock::Entropy;
use crate::config::room::{Connect, RoomPlan};
use crate::config::value::Secret;
use crate::error::{Cause, Termination};
use crate::record::call::DailyFacts;
use crate::record::{CallFacts, Lane, Step};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use stage::{Stage, Timer};

/// Nobody rings for so long; the SIP side's `ring_timeout` comes first. Only keeps a forgotten call from staying.
pub const UNANSWERED: Duration = Duration::from_secs(300);

/// A call that was given up is remembered for so long at most, so that a webhook which comes too late is told apart from
/// one that is nobody's. The report of its end normally comes first.
pub const LINGER: Duration = Duration::from_secs(120);

/// What others can make us write into one call's ladder.
const MOST_NOTES: u32 = 50;

/// What a held call is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// The call moved on to another target of Daily's: another webhook is due.
    PlacedAgain(CallFacts),
    /// Daily answered.
    Answered,
    /// Daily's webhook.
    DialIn(DialIn),
    /// A request ended.
    Reply(Reply),
    /// The room can take the caller.
    Ready(Ready),
    /// A SIP caller is in the room.
    InRoom(Proof),
    /// The SIP caller left the room.
    LeftRoom(Proof),
    /// Daily's event: something worth noting.
    Remark(String),
    /// This SIP address of its existing room is the call's until its end.
    Lent(String),
    /// All of them are lent; one may come free.
    AllLent,
    /// A timer fired.
    Timer(Timer),
    /// The caller is gone, or no longer Daily's.
    Ended,
}

/// That the room can take the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// At which SIP address, with scheme; `None` means the room's.
    pub endpoint: Option<String>,
    /// Who says so.
    pub source: ReadySource,
}

/// Who says that the room is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadySource {
    /// Whoever has the ready token.
    Bot,
    /// Daily's `dialin.ready`.
    Event,
}

/// How much it proves that somebody is in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Daily's event names the room only: in a shared room it may be anybody.
    Event,
    /// Daily's event names the call.
    Named,
    /// The bot says so, with the call's token.
    Bot,
}

/// What a held call wants done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Send this and hand back the reply.
    Request(Request),
    /// Forget the requests that are out.
    CancelRequests,
    /// Forget those of them that were not sent yet: what they were for is over.
    Withdraw,
    /// Arm this timer; it replaces one of the same name.
    Arm(Timer, Instant),
    /// Disarm it, if it is armed.
    Disarm(Timer),
    /// Lend the call one of these SIP addresses; the answer is [`Input::Lent`] or [`Input::AllLent`].
    Lease(Vec<String>),
    /// The bot's starter has no capacity: call [`Held::replan`] with the next plan that fits.
    NextPlan,
    /// A bot's start ended so: `started`, `ready`, `at_capacity`, `failed`.
    BotStart(&'static str),
    /// Tell the SIP side.
    Instruct(Instruction),
    /// A stage ended.
    Measured(&'static str, Duration),
}

/// The names that a call is given at its start; random, so that they cannot be guessed.
#[derive(Debug, Clone)]
pub struct Names {
    /// Its room: the plan's, or one to be created.
    pub room: String,
    /// The bearer token of its ready URL.
    pub ready_token: Secret,
    /// W3C trace context.
    pub traceparent: String,
}

/// The plan that serves a call.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The plan.
    pub plan: Arc<RoomPlan>,
    /// Whether one after it fits too.
    pub spare: Spare,
}

/// Whether there is another plan for the call if this one has no capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    /// There is.
    Another,
    /// This is the last that fits.
    Nothing,
}

/// How the room is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// It is created.
    Create,
    /// It exists: the plan's, or one that a lost try made, as its taken name shows.
    LookUp,
}

/// One held call.
#[derive(Debug)]
pub struct Held {
    settings: Arc<Settings>,
    plan: Arc<RoomPlan>,
    spare: Spare,
    plans_before: u32,
    facts: CallFacts,
    names: Names,
    entropy: Entropy,
    stage: Stage,
    placed: Instant,
    entered: Instant,
    deadline: Instant,
    tries: u32,
    errand: Errand,
    in_doubt: bool,
    last_failure: Option<String>,
    notes: u32,
    dial_in: Option<DialIn>,
    room: Room,
    token: Option<Secret>,
    ready: Option<Ready>,
    lease: Option<String>,
}

// === impl Errand ===

impl Errand {
    fn of(plan: &RoomPlan) -> Self {
        if plan.use_room.is_none() { Self::Create } else { Self::LookUp }
    }
}

// === impl Held ===

impl Held {
    /// A call that was just placed.
    pub fn new(
        now: Instant,
        settings: Arc<Settings>,
        (Choice { plan, spare }, facts, names): (Choice, CallFacts, Names),
        entropy: Entropy,
        out: &mut Vec<Effect>,
    ) -> Self {
        let deadline = now + UNANSWERED;
        out.push(Effect::Arm(Timer::Unanswered, deadline));
        Self {
            settings,
            errand: Errand::of(&plan),
            plan,
            spare,
            plans_before: 0,
            facts,
            names,
            entropy,
            stage: Stage::Webhook,
            placed: now,
            entered: now,
            deadline,
            tries: 0,
            in_doubt: false,
            last_failure: None,
            notes: 0,
            dial_in: None,
            room: Room::default(),
            token: None,
            ready: None,
            lease: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Its room's name.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.names.room
    }

    /// What is known of it.
    #[must_use]
    pub fn facts(&self) -> &CallFacts {
        &self.facts
    }

    /// When its stage has to be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The bearer token of its ready URL.
    #[must_use]
    pub fn ready_token(&self) -> &Secret {
        &self.names.ready_token
    }

    /// Whether a ready signal is news for it.
    #[must_use]
    pub fn awaits_ready(&self) -> bool {
        self.ready.is_none() && !matches!(self.stage, Stage::Update | Stage::Connected | Stage::Over)
    }

    /// Takes one input; what follows from it is appended to `out`.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::PlacedAgain(facts) => self.placed_again(now, facts, out),
            Input::Answered => self.answered(now, out),
            Input::DialIn(dial_in) => self.announced(now, dial_in, out),
            Input::Reply(reply) => self.replied(now, reply, out),
            Input::Ready(ready) => self.reported_ready(now, ready, out),
            Input::InRoom(proof) => self.in_room(now, proof, out),
            Input::LeftRoom(proof) => self.left_room(now, proof, out),
            Input::Lent(address) => self.lent(now, address, out),
            Input::AllLent => self.all_lent(out),
            Input::Remark(remark) => self.note(Lane::Webhook, &remark, None, out),
            Input::Timer(timer) => self.fired(now, timer, out),
            Input::Ended => self.ended(now, out),
        }
    }

    fn placed_again(&mut self, now: Instant, facts: CallFacts, out: &mut Vec<Effect>) {
        self.facts = facts;
        // The earlier target's callId died with its leg. Room, bot and readiness are the call's and stay.
        self.dial_in = None;
        match self.stage {
            Stage::Webhook => {
                out.push(Effect::Disarm(Timer::Webhook));
                self.entered = now;
                self.deadline = now + UNANSWERED;
                out.push(Effect::Arm(Timer::Unanswered, self.deadline));
            }
            Stage::Update => {
                out.push(Effect::CancelRequests);
                self.enter(now, Stage::Ready, out);
            }
            _ => {}
        }
    }

    fn answered(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.stage != Stage::Webhook {
            return;
        }
        out.push(Effect::Disarm(Timer::Unanswered));
        self.entered = now;
        self.deadline = now + self.settings.webhook_timeout;
        out.push(Effect::Arm(Timer::Webhook, self.deadline));
    }

    fn announced(&mut self, now: Instant, dial_in: DialIn, out: &mut Vec<Effect>) {
        let detail = match self.stage {
            Stage::Over => Some("too late: the call was given up already".to_owned()),
            _ if self.dial_in.is_some() => Some("not the first of this call: ignored".to_owned()),
            _ => Some(format!("callId {}", dial_in.call_id)),
        };
        self.note(Lane::Webhook, "POST /daily/dialin", detail, out);
        if self.dial_in.is_some() || matches!(self.stage, Stage::Connected | Stage::Over) {
            return;
        }
        self.dial_in = Some(dial_in);
        self.name_the_call(out);
        self.decide("webhook", "the call is on hold at Daily".to_owned(), out);
        match self.stage {
            Stage::Webhook => self.enter(now, Stage::Room, out),
            Stage::Ready => self.connect_if_ready(now, out),
            _ => {}
        }
    }

    fn replied(&mut self, now: Instant, reply: Reply, out: &mut Vec<Effect>) {
        let detail = match &reply.outcome {
            Ok(_) => reply.operation.name().to_owned(),
            Err(failure) => format!("{}: {}", reply.operation.name(), failure.text),
        };
        self.happened(reply.operation.lane(), Lane::Trunkline, reply.what, Some(detail), out);
        if Some(reply.operation) != self.stage.operation() {
            // The bot reported ready before its starter answered: what the starter says no longer matters.
            return;
        }
        match reply.outcome {
            Ok(Product::Room(room)) => self.has_room(now, room, out),
            Ok(Product::Token(token)) => {
                self.token = Some(token);
                self.decide("token", "created".to_owned(), out);
                self.enter(now, Stage::Bot, out);
            }
            Ok(Product::Effect) if self.stage == Stage::Bot => {
                self.decide("bot", "started".to_owned(), out);
                out.push(Effect::BotStart("started"));
                self.enter(now, Stage::Ready, out);
            }
            Ok(Product::Effect) => {
                self.decide("update", format!("accepted at try {}", self.tries), out);
                self.enter(now, Stage::Connected, out);
            }
            Err(failure) => self.failed_try(now, failure, out),
        }
    }

    fn has_room(&mut self, now: Instant, room: Room, out: &mut Vec<Effect>) {
        if self.is_own_room() && room.endpoint.is_none() {
            return self.fail(now, Cause::RoomFailed, "the answer names no SIP address for the room".to_owned(), out);
        }
        if self.plan.bot.is_some() && room.url.is_none() {
            return self.fail(now, Cause::RoomFailed, "the answer names no URL for the room".to_owned(), out);
        }
        self.room = room;
        let verb = if self.is_own_room() { "created" } else { "found" };
        self.decide("room", format!("{} {verb}", self.names.room), out);
        if self.is_own_room() || self.room.endpoint.is_none() {
            self.go_into_room(now, out)
        } else {
            self.ask_for_lease(out)
        }
    }

    fn go_into_room(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let next = if self.plan.bot.is_some() { Stage::Token } else { Stage::Ready };
        self.enter(now, next, out);
    }

    fn reported_ready(&mut self, now: Instant, ready: Ready, out: &mut Vec<Effect>) {
        let (from, what) = match ready.source {
            ReadySource::Bot => (Lane::Bot, "ready"),
            ReadySource::Event => (Lane::Webhook, "dialin.ready"),
        };
        let first = self.awaits_ready() && self.may_use(&ready);
        let detail = match (first, self.awaits_ready()) {
            (true, _) => ready.endpoint.clone(),
            (false, true) => Some("another SIP address than the call's: ignored".to_owned()),
            (false, false) => Some("already known: ignored".to_owned()),
        };
        self.note(from, what, detail, out);
        let source = ready.source;
        if first {
            // Daily reports every endpoint of a room; one is enough, and a second update would be one too many.
            self.ready = Some(ready);
        }
        match self.stage {
            Stage::Ready => self.connect_if_ready(now, out),
            // Nobody but the started bot has the token, so this proves the start, whatever the starter still says. An
            // event proves only that somebody is in the room; then the starter's answer is waited for.
            Stage::Bot if source == ReadySource::Bot => {
                self.decide("bot", "reported ready before its starter answered".to_owned(), out);
                out.push(Effect::BotStart("ready"));
                self.enter(now, Stage::Ready, out);
            }
            _ => {}
        }
    }

    /// The ready gate: the only way into [`Stage::Update`].
    fn connect_if_ready(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.ready.is_none() || self.dial_in.is_none() {
            return;
        }
        if self.plan.connect == Connect::Bot {
            self.decide("ready", "the bot may connect the caller; dialin.connected is waited for".to_owned(), out);
            return self.enter(now, Stage::Update, out);
        }
        match self.endpoint() {
            Some(endpoint) => {
                self.decide("ready", endpoint, out);
                self.enter(now, Stage::Update, out);
            }
            None => {
                let detail = "neither the room nor the ready signal names a SIP address".to_owned();
                self.fail(now, Cause::UpdateFailed, detail, out);
            }
        }
    }

    fn in_room(&mut self, now: Instant, proof: Proof, out: &mut Vec<Effect>) {
        let (from, what) = match proof {
            Proof::Bot => (Lane::Bot, "connected"),
            Proof::Event | Proof::Named => (Lane::Webhook, "dialin.connected"),
        };
        self.note(from, what, None, out);
        // No callId, no update: what the bot claims before it can have done it is not believed.
        let possible = self.dial_in.is_some() && matches!(self.stage, Stage::Bot | Stage::Ready | Stage::Update);
        if !self.is_about_us(proof) || !possible {
            return;
        }
        let outcome = match (self.plan.connect, self.stage) {
            (Connect::Bot, _) => "the bot connected the caller",
            (Connect::Gateway, Stage::Update) => "it worked",
            (Connect::Gateway, _) => "somebody else connected the caller, so it is not done again",
        };
        self.decide("update", format!("{what}: {outcome}"), out);
        self.enter(now, Stage::Connected, out);
    }

    fn left_room(&mut self, now: Instant, proof: Proof, out: &mut Vec<Effect>) {
        self.note(Lane::Webhook, "dialin.stopped", None, out);
        if self.is_about_us(proof) && self.stage == Stage::Update {
            self.fail(now, Cause::UpdateFailed, "dialin.stopped: the caller left the room at once".to_owned(), out);
        }
    }

    fn fired(&mut self, now: Instant, timer: Timer, out: &mut Vec<Effect>) {
        let last = self.last_failure.clone();
        match timer {
            Timer::Retry => self.try_once(now, out),
            Timer::Unanswered | Timer::Webhook if self.stage == Stage::Webhook => {
                let detail = format!("nothing within {:?}", self.deadline.saturating_duration_since(self.entered));
                self.fail(now, Cause::WebhookMissing, detail, out);
            }
            Timer::Ready if self.stage == Stage::Ready && self.dial_in.is_none() => {
                let detail = "the call moved to another target, and no webhook came from there".to_owned();
                self.fail(now, Cause::WebhookMissing, detail, out);
            }
            _ if self.stage.timer() == Some(timer) => {
                let span = self.deadline.saturating_duration_since(self.entered);
                let detail = match last {
                    Some(last) => format!("not within {span:?}; at last {last}"),
                    None if self.stage == Stage::Update && self.plan.connect == Connect::Bot => {
                        format!("the bot did not connect the caller: no dialin.connected within {span:?}")
                    }
                    None => format!("nothing within {span:?}"),
                };
                self.fail(now, self.stage.cause(), detail, out);
            }
            _ => {}
        }
    }

    fn ended(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.leave(now, out);
        out.push(Effect::CancelRequests);
        self.stage = Stage::Over;
    }

    // --- moving between stages

    fn enter(&mut self, now: Instant, stage: Stage, out: &mut Vec<Effect>) {
        self.leave(now, out);
        self.stage = stage;
        self.entered = now;
        self.tries = 0;
        self.in_doubt = false;
        self.last_failure = None;
        if let (Some(timer), Some(patience)) = (stage.timer(), self.patience(stage)) {
            self.deadline = now + patience;
            out.push(Effect::Arm(timer, self.deadline));
        }
        match stage {
            Stage::Room | Stage::Token | Stage::Bot | Stage::Update => self.try_once(now, out),
            Stage::Ready => self.connect_if_ready(now, out),
            Stage::Connected => {
                out.push(Effect::Measured("hold", now.saturating_duration_since(self.placed)));
                out.push(Effect::Instruct(Instruction::Connected));
            }
            Stage::Webhook | Stage::Over => {}
        }
    }

    fn leave(&self, now: Instant, out: &mut Vec<Effect>) {
        let Some(timer) = self.stage.timer() else { return };
        out.push(Effect::Measured(self.stage.name(), now.saturating_duration_since(self.entered)));
        out.push(Effect::Disarm(timer));
        out.push(Effect::Withdraw);
        out.push(Effect::Disarm(if self.stage == Stage::Webhook { Timer::Unanswered } else { Timer::Retry }));
    }

    fn fail(&mut self, now: Instant, cause: Cause, detail: String, out: &mut Vec<Effect>) {
        let termination = Termination::with_detail(cause, detail);
        if cause == Cause::BotFailed {
            out.push(Effect::BotStart("failed"));
        }
        self.decide(self.stage.name(), termination.text(), out);
        self.ended(now, out);
        out.push(Effect::Arm(Timer::Linger, now + LINGER));
        out.push(Effect::Instruct(Instruction::Failed { termination, on_failure: self.plan.on_failure }));
    }

    fn patience(&self, stage: Stage) -> Option<Duration> {
        match stage {
            Stage::Webhook => Some(self.settings.webhook_timeout),
            Stage::Room | Stage::Token | Stage::Update => Some(self.settings.rest_timeout * TRIES_IN_A_STAGE),
            Stage::Bot => self.plan.bot.as_ref().map(|bot| bot.timeout.get()),
            Stage::Ready => Some(self.plan.ready_timeout.get()),
            Stage::Connected | Stage::Over => None,
        }
    }

    // --- small things

    fn name_the_call(&self, out: &mut Vec<Effect>) {
        let Some(dial_in) = &self.dial_in else { return };
        out.push(Effect::Instruct(Instruction::Named(DailyFacts {
            call_id: dial_in.call_id.clone(),
            call_domain: dial_in.call_domain.clone(),
            room: Some(self.names.room.clone()),
        })));
    }

    /// In a room of its own it can only be this caller.
    fn is_about_us(&self, proof: Proof) -> bool {
        proof != Proof::Event || self.is_own_room()
    }

    fn is_own_room(&self) -> bool {
        self.plan.use_room.is_none()
    }

    fn endpoint(&self) -> Option<String> {
        let ready = || self.ready.as_ref().and_then(|ready| ready.endpoint.clone());
        self.lease.clone().or_else(ready).or_else(|| self.room.endpoint.clone())
    }

    fn decide(&self, stage: &str, outcome: String, out: &mut Vec<Effect>) {
        let step = Step::Companion { stage: stage.to_owned(), outcome };
        out.push(Effect::Instruct(Instruction::Decided(step)));
    }

    /// A line of the ladder that somebody outside caused; only so many are written.
    fn note(&mut self, from: Lane, what: &str, detail: Option<String>, out: &mut Vec<Effect>) {
        if self.notes < MOST_NOTES {
            self.notes += 1;
            self.happened(from, Lane::Trunkline, what.to_owned(), detail, out);
        }
    }

    fn happened(&self, from: Lane, to: Lane, what: String, detail: Option<String>, out: &mut Vec<Effect>) {
        out.push(Effect::Instruct(Instruction::Happened { from, to, what, detail }));
    }
}

#[cfg(test)]
pub mod fixture;
#[cfg(test)]
mod tests;
