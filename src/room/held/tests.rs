//! The state machine of one held call, row by row under a virtual clock.

use super::*;
use crate::config::room::OnFailure;
use crate::room::Evidence;
use crate::room::held::fixture::{self, WITH_BOT};
use crate::room::request::{Failure, FailureKind, Operation};
use crate::room::retry::TRIES_AFTER_404;

mod by_bot;
mod end;
mod ready;
mod start;
mod update;

const WITHOUT_BOT: &str = "[[room]]\n";
const EXISTING: &str = "[[room]]\nuse = 'lobby'\n";

/// A call, its clock, the timers it armed and what it wanted done since the last look.
struct Line {
    now: Instant,
    held: Held,
    effects: Vec<Effect>,
    armed: Vec<(Timer, Instant)>,
}

impl Line {
    fn new(rooms: &str) -> Self {
        Self::with(fixture::settings(rooms))
    }

    fn with_evidence(rooms: &str) -> Self {
        Self::with(Settings { evidence: Evidence::Events, ..fixture::settings(rooms) })
    }

    fn with(settings: Settings) -> Self {
        let now = crate::clock::now();
        let plan = Arc::clone(&settings.plans[0]);
        let spare = if settings.plans.len() > 1 { Spare::Another } else { Spare::Nothing };
        let names = Names {
            room: plan.use_room.clone().unwrap_or_else(|| "call-1".to_owned()),
            ready_token: Secret::new("ready-token"),
            traceparent: "00-1-2-01".to_owned(),
        };
        let mut effects = vec![];
        let held = Held::new(
            now,
            Arc::new(settings),
            (Choice { plan, spare }, fixture::facts(), names),
            Entropy::seeded(7),
            &mut effects,
        );
        let mut line = Self { now, held, effects: vec![], armed: vec![] };
        line.keep(effects);
        line
    }

    fn keep(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Arm(timer, at) => {
                    self.armed.retain(|(name, _)| name != timer);
                    self.armed.push((*timer, *at));
                }
                Effect::Disarm(timer) => self.armed.retain(|(name, _)| name != timer),
                _ => {}
            }
        }
        self.effects.extend(effects);
    }

    fn feed(&mut self, input: Input) -> &mut Self {
        let mut effects = vec![];
        self.held.handle(self.now, input, &mut effects);
        let asked = effects.iter().find_map(|effect| match effect {
            Effect::Lease(addresses) => Some(addresses[0].clone()),
            _ => None,
        });
        self.keep(effects);
        match asked {
            Some(address) => self.feed(Input::Lent(address)),
            None => self,
        }
    }

    /// Lets the next timer fire.
    fn fire(&mut self) -> Timer {
        self.armed.sort_by_key(|(_, at)| *at);
        let (timer, at) = self.armed.remove(0);
        self.now = at;
        self.feed(Input::Timer(timer));
        timer
    }

    fn webhook(&mut self) -> &mut Self {
        self.feed(Input::DialIn(fixture::dial_in("c-1")))
    }

    fn reply(&mut self, operation: Operation, outcome: Result<Product, Failure>) -> &mut Self {
        self.feed(Input::Reply(Reply { operation, what: "200 OK".to_owned(), outcome }))
    }

    fn refused(&mut self, operation: Operation, kind: FailureKind) -> &mut Self {
        self.reply(operation, Err(Failure { kind, text: format!("{kind:?}"), retry_after: None }))
    }

    fn room(&mut self) -> &mut Self {
        let url = Some("https://d.example.com/call-1".to_owned());
        self.reply(
            Operation::Room,
            Ok(Product::Room(Room { url, endpoint: Some("sip:call-1@example.com".to_owned()), ..Room::default() })),
        )
    }

    fn token(&mut self) -> &mut Self {
        self.reply(Operation::Token, Ok(Product::Token(Secret::new("t"))))
    }

    fn bot(&mut self) -> &mut Self {
        self.reply(Operation::Bot, Ok(Product::Effect))
    }

    fn updated(&mut self) -> &mut Self {
        self.reply(Operation::Update, Ok(Product::Effect))
    }

    fn ready(&mut self, source: ReadySource) -> &mut Self {
        self.feed(Input::Ready(Ready { endpoint: None, source }))
    }

    /// Up to the bot's start.
    fn until_bot(&mut self) -> &mut Self {
        self.feed(Input::Answered).webhook().room().token()
    }

    /// Up to the update.
    fn until_update(&mut self) -> &mut Self {
        self.until_bot().bot().ready(ReadySource::Bot)
    }

    /// What was requested since the last look.
    fn requests(&mut self) -> Vec<String> {
        let effects = std::mem::take(&mut self.effects);
        effects
            .iter()
            .filter_map(|effect| if let Effect::Request(request) = effect { Some(request.line()) } else { None })
            .collect()
    }

    fn failure(&self) -> Option<(Cause, String)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Instruct(Instruction::Failed { termination, .. }) => {
                Some((termination.cause, termination.detail.clone().unwrap_or_default()))
            }
            _ => None,
        })
    }

    fn cause(&self) -> Option<Cause> {
        self.failure().map(|(cause, _)| cause)
    }

    fn connected(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Instruct(Instruction::Connected)))
    }

    /// The stage, the timers that run, in order of name, and the requests since the last look.
    fn look(&mut self) -> (Stage, Vec<Timer>, Vec<String>) {
        let mut timers: Vec<Timer> = self.armed.iter().map(|(timer, _)| *timer).collect();
        timers.sort_by_key(|timer| format!("{timer:?}"));
        (self.held.stage(), timers, self.requests())
    }
}

fn asked(stage: Stage, timer: Timer, request: &str) -> (Stage, Vec<Timer>, Vec<String>) {
    (stage, vec![timer], vec![request.to_owned()])
}

#[test]
fn a_call_goes_from_hold_to_connected_in_order() {
    let mut line = Line::new(WITH_BOT);
    assert_eq!(line.look(), (Stage::Webhook, vec![Timer::Unanswered], vec![]));
    assert_eq!(line.feed(Input::Answered).look(), (Stage::Webhook, vec![Timer::Webhook], vec![]));
    assert_eq!(line.webhook().look(), asked(Stage::Room, Timer::Room, "POST /rooms"));
    assert_eq!(line.room().look(), asked(Stage::Token, Timer::Token, "POST /meeting-tokens"));
    assert_eq!(line.token().look(), asked(Stage::Bot, Timer::Bot, "start bot"));
    assert_eq!(line.bot().look(), (Stage::Ready, vec![Timer::Ready], vec![]));
    assert_eq!(line.ready(ReadySource::Bot).look(), asked(Stage::Update, Timer::Update, "pinlessCallUpdate"));
    line.updated();
    assert!(line.connected());
    assert_eq!(line.look(), (Stage::Connected, vec![], vec![]));
}

#[test]
fn every_stage_is_measured_and_the_hold_as_a_whole() {
    let mut line = Line::new(WITH_BOT);
    line.until_update().updated();
    let measured: Vec<_> = line
        .effects
        .iter()
        .filter_map(|effect| if let Effect::Measured(stage, _) = effect { Some(*stage) } else { None })
        .collect();
    assert_eq!(measured, ["webhook", "room", "token", "bot", "ready", "update", "hold"]);
}

#[test]
fn the_ladder_shows_who_spoke_to_whom() {
    let mut line = Line::new(WITH_BOT);
    line.until_update().updated();
    let moments: Vec<_> = line
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Instruct(Instruction::Happened { from, to, what, .. }) => Some((*from, *to, what.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        moments,
        [
            (Lane::Webhook, Lane::Trunkline, "POST /daily/dialin"),
            (Lane::Trunkline, Lane::Rest, "POST /rooms"),
            (Lane::Rest, Lane::Trunkline, "200 OK"),
            (Lane::Trunkline, Lane::Rest, "POST /meeting-tokens"),
            (Lane::Rest, Lane::Trunkline, "200 OK"),
            (Lane::Trunkline, Lane::Bot, "start bot"),
            (Lane::Bot, Lane::Trunkline, "200 OK"),
            (Lane::Bot, Lane::Trunkline, "ready"),
            (Lane::Trunkline, Lane::Rest, "pinlessCallUpdate"),
            (Lane::Rest, Lane::Trunkline, "200 OK"),
        ]
    );
}

#[test]
fn the_webhook_may_come_before_the_answer() {
    let mut line = Line::new(WITH_BOT);
    assert_eq!(line.webhook().look(), asked(Stage::Room, Timer::Room, "POST /rooms"));
    assert_eq!(line.feed(Input::Answered).look(), (Stage::Room, vec![Timer::Room], vec![]));
}

#[test]
fn without_a_bot_no_token_is_made_and_ready_is_waited_for() {
    let mut line = Line::new(WITHOUT_BOT);
    line.feed(Input::Answered).webhook().requests();
    assert_eq!(line.room().look(), (Stage::Ready, vec![Timer::Ready], vec![]));
    let look = line.ready(ReadySource::Event).look();
    assert_eq!(look, asked(Stage::Update, Timer::Update, "pinlessCallUpdate"));
}

#[test]
fn an_existing_room_is_looked_up() {
    let mut line = Line::new(EXISTING);
    assert_eq!(line.webhook().look(), asked(Stage::Room, Timer::Room, "GET /rooms/lobby"));
}
