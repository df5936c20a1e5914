//! The state machine of one held call, row by row under a virtual clock.

use super::*;
use crate::config::room::OnFailure;
use crate::room::Evidence;
use crate::room::held::fixture::{self, WITH_BOT};
use crate::room::request::{Failure, FailureKind, Operation};
use crate::room::retry::TRIES_AFTER_404;

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
        let names = Names {
            room: plan.use_room.clone().unwrap_or_else(|| "call-1".to_owned()),
            ready_token: Secret::new("ready-token"),
            traceparent: "00-1-2-01".to_owned(),
        };
        let mut effects = vec![];
        let held =
            Held::new(now, Arc::new(settings), (plan, fixture::facts(), names), Entropy::seeded(7), &mut effects);
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
        self.keep(effects);
        self
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
            Ok(Product::Room(Room { url, endpoint: Some("sip:call-1@example.com".to_owned()) })),
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

#[test]
fn ready_before_the_webhook_is_remembered() {
    let mut line = Line::new(EXISTING);
    assert_eq!(line.ready(ReadySource::Event).look(), (Stage::Webhook, vec![Timer::Unanswered], vec![]));
    line.webhook().requests();
    assert_eq!(line.room().look(), asked(Stage::Update, Timer::Update, "pinlessCallUpdate"));
}

#[test]
fn ready_from_the_bot_does_not_wait_for_its_starter() {
    let mut line = Line::new(WITH_BOT);
    line.until_bot().requests();
    let look = line.ready(ReadySource::Bot).look();
    assert_eq!(look, asked(Stage::Update, Timer::Update, "pinlessCallUpdate"));
    line.refused(Operation::Bot, FailureKind::Lost);
    assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
    assert!(line.updated().connected());
}

#[test]
fn ready_from_an_event_waits_for_the_starter() {
    let mut line = Line::new(WITH_BOT);
    line.until_bot().requests();
    assert_eq!(line.ready(ReadySource::Event).look(), (Stage::Bot, vec![Timer::Bot], vec![]));
    assert_eq!(line.bot().look(), asked(Stage::Update, Timer::Update, "pinlessCallUpdate"));
}

#[test]
fn ready_once_for_every_endpoint_makes_one_update() {
    let mut line = Line::new(WITH_BOT);
    line.until_update().requests();
    for _ in 0..3 {
        line.ready(ReadySource::Event).ready(ReadySource::Bot);
    }
    assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
    line.updated().ready(ReadySource::Bot);
    assert_eq!(line.look(), (Stage::Connected, vec![], vec![]));
}

#[test]
fn the_endpoint_that_was_reported_ready_is_the_one_used() {
    let sip_uri = |line: &Line| {
        line.effects.iter().find_map(|effect| match effect {
            Effect::Request(Request::Update { call_id, call_domain, sip_uri }) => {
                Some((call_id.clone(), call_domain.clone(), sip_uri.clone()))
            }
            _ => None,
        })
    };
    let expected = |sip_uri: &str| Some(("c-1".to_owned(), "d-1".to_owned(), sip_uri.to_owned()));
    let mut line = Line::new(WITH_BOT);
    line.until_update();
    assert_eq!(sip_uri(&line), expected("sip:call-1@example.com"));
    let mut line = Line::new(WITH_BOT);
    let endpoint = Some("sip:call-1.1@example.com".to_owned());
    line.until_bot().bot().feed(Input::Ready(Ready { endpoint, source: ReadySource::Bot }));
    assert_eq!(sip_uri(&line), expected("sip:call-1.1@example.com"));
}

#[test]
fn a_created_room_without_sip_address_or_url_fails_the_call() {
    for room in [
        Room { url: Some("u".to_owned()), endpoint: None },
        Room { url: None, endpoint: Some("sip:a@example.com".to_owned()) },
    ] {
        let mut line = Line::new(WITH_BOT);
        line.webhook().reply(Operation::Room, Ok(Product::Room(room)));
        assert_eq!(line.cause(), Some(Cause::RoomFailed));
    }
}

#[test]
fn an_existing_room_without_sip_address_needs_one_from_the_ready_signal() {
    let room = || Ok(Product::Room(Room { url: Some("u".to_owned()), endpoint: None }));
    let mut line = Line::new(EXISTING);
    line.webhook().reply(Operation::Room, room()).ready(ReadySource::Event);
    assert_eq!(line.cause(), Some(Cause::UpdateFailed));
    let mut line = Line::new(EXISTING);
    let endpoint = Some("sip:lobby@example.com".to_owned());
    line.webhook().reply(Operation::Room, room()).feed(Input::Ready(Ready { endpoint, source: ReadySource::Event }));
    assert_eq!(line.held.stage(), Stage::Update);
}

#[test]
fn every_deadline_ends_the_call_with_its_own_cause() {
    type Approach = fn(&mut Line);
    let rows: [(Approach, Timer, u64, Cause); 7] = [
        (|_| {}, Timer::Unanswered, 300, Cause::WebhookMissing),
        (
            |line| {
                line.feed(Input::Answered);
            },
            Timer::Webhook,
            15,
            Cause::WebhookMissing,
        ),
        (
            |line| {
                line.webhook();
            },
            Timer::Room,
            15,
            Cause::RoomFailed,
        ),
        (
            |line| {
                line.webhook().room();
            },
            Timer::Token,
            15,
            Cause::TokenFailed,
        ),
        (
            |line| {
                line.until_bot();
            },
            Timer::Bot,
            10,
            Cause::BotFailed,
        ),
        (
            |line| {
                line.until_bot().bot();
            },
            Timer::Ready,
            20,
            Cause::BotNotReady,
        ),
        (
            |line| {
                line.until_update();
            },
            Timer::Update,
            15,
            Cause::UpdateFailed,
        ),
    ];
    for (approach, timer, seconds, cause) in rows {
        let mut line = Line::new(WITH_BOT);
        approach(&mut line);
        let start = line.now;
        assert_eq!(line.fire(), timer);
        assert_eq!(line.now - start, Duration::from_secs(seconds), "{timer:?}");
        let (found, detail) = line.failure().expect("it failed");
        assert_eq!(found, cause);
        assert!(detail.contains(&format!("{seconds}s")), "{detail}");
        assert!(line.effects.iter().any(|effect| matches!(effect, Effect::CancelRequests)));
        let (stage, timers, _) = line.look();
        assert_eq!((stage, timers), (Stage::Over, vec![Timer::Linger]), "{timer:?}");
    }
}

#[test]
fn the_plan_says_what_becomes_of_the_caller() {
    let mut line = Line::new("[[room]]\non_failure = 'hangup'\n");
    line.feed(Input::Answered).fire();
    let hangs_up =
        |effect: &Effect| matches!(effect, Effect::Instruct(Instruction::Failed { on_failure: OnFailure::Hangup, .. }));
    assert!(line.effects.iter().any(hangs_up));
}

#[test]
fn a_refused_room_is_tried_again_after_429_and_5xx_until_it_works() {
    let mut line = Line::new(WITH_BOT);
    line.webhook().requests();
    for kind in [FailureKind::Refused(429), FailureKind::Refused(503), FailureKind::Lost, FailureKind::NotSent] {
        line.refused(Operation::Room, kind);
        assert_eq!(line.requests(), Vec::<String>::new());
        assert_eq!(line.fire(), Timer::Retry);
        assert_eq!(line.requests(), ["POST /rooms"], "{kind:?}");
    }
    line.room();
    assert_eq!(line.look(), asked(Stage::Token, Timer::Token, "POST /meeting-tokens"));
}

#[test]
fn a_room_that_a_lost_try_made_is_looked_up_when_its_name_is_taken() {
    let mut line = Line::new(WITH_BOT);
    line.webhook().refused(Operation::Room, FailureKind::Lost);
    line.fire();
    line.requests();
    assert_eq!(line.refused(Operation::Room, FailureKind::Refused(400)).requests(), ["GET /rooms/call-1"]);
    assert_eq!(line.room().look(), asked(Stage::Token, Timer::Token, "POST /meeting-tokens"));
}

#[test]
fn a_refusal_that_is_no_doubt_is_final() {
    for (operation, cause) in [(Operation::Room, Cause::RoomFailed), (Operation::Token, Cause::TokenFailed)] {
        for status in [400, 401, 403, 404] {
            let mut line = Line::new(WITH_BOT);
            line.webhook();
            if operation == Operation::Token {
                line.room();
            }
            line.refused(operation, FailureKind::Refused(status));
            assert_eq!(line.cause(), Some(cause), "{operation:?} {status}");
        }
    }
}

#[test]
fn a_wait_beyond_the_deadline_is_not_begun() {
    // The last one is what a broken or hostile server may ask for: it must not end the whole companion.
    for asked in [Duration::from_secs(60), Duration::from_secs(u64::MAX)] {
        let mut line = Line::new(WITH_BOT);
        let failure = Failure { kind: FailureKind::Refused(429), text: "429".to_owned(), retry_after: Some(asked) };
        line.webhook().reply(Operation::Room, Err(failure));
        assert_eq!(line.failure(), Some((Cause::RoomFailed, "429; no time for another try".to_owned())));
    }
}

#[test]
fn a_bot_is_started_again_only_when_it_surely_was_not() {
    for (kind, again) in [
        (FailureKind::Refused(429), true),
        (FailureKind::Refused(503), true),
        (FailureKind::NotSent, true),
        (FailureKind::Refused(500), false),
        (FailureKind::Refused(404), false),
        (FailureKind::Lost, false),
    ] {
        let mut line = Line::new(WITH_BOT);
        line.until_bot().requests();
        line.refused(Operation::Bot, kind);
        if again {
            assert_eq!(line.fire(), Timer::Retry);
            assert_eq!(line.requests(), ["start bot"], "{kind:?}");
        } else {
            assert_eq!(line.cause(), Some(Cause::BotFailed), "{kind:?}");
        }
    }
}

#[test]
fn the_bots_start_is_one_start_however_often_it_is_sent() {
    let mut line = Line::new(WITH_BOT);
    line.until_bot().refused(Operation::Bot, FailureKind::Refused(503));
    line.fire();
    let starts: Vec<_> = line
        .effects
        .iter()
        .filter_map(|effect| if let Effect::Request(Request::StartBot(start)) = effect { Some(start) } else { None })
        .collect();
    let [first, second] = starts.as_slice() else { panic!("{} starts", starts.len()) };
    assert_eq!(first.call, fixture::call());
    assert_eq!((&first.call, &first.body), (&second.call, &second.body));
    assert_eq!(first.body["ready_url"], "https://gw.example.com/rooms/call-1/ready");
    assert_eq!(first.body["ready_token"], "ready-token");
    assert_eq!(first.timeout, Duration::from_secs(10));
    assert!(second.timeout < first.timeout, "the deadline does not move");
    assert!(!format!("{first:?}").contains("ready-token"));
}

#[test]
fn an_update_that_surely_did_nothing_is_repeated() {
    for kind in [FailureKind::Refused(429), FailureKind::NotSent, FailureKind::Refused(404)] {
        let mut line = Line::new(WITH_BOT);
        line.until_update().requests();
        line.refused(Operation::Update, kind);
        assert_eq!(line.requests(), Vec::<String>::new());
        assert_eq!(line.fire(), Timer::Retry);
        assert_eq!(line.requests(), ["pinlessCallUpdate"], "{kind:?}");
        assert!(line.updated().connected());
    }
}

#[test]
fn an_update_that_may_have_worked_is_never_repeated() {
    for kind in [FailureKind::Lost, FailureKind::Refused(500), FailureKind::Refused(502), FailureKind::Refused(503)] {
        let mut line = Line::new(WITH_BOT);
        line.until_update().requests();
        line.refused(Operation::Update, kind);
        let (cause, detail) = line.failure().unwrap();
        assert_eq!(cause, Cause::UpdateFailed);
        assert!(detail.contains("may have worked"), "{detail}");
        assert_eq!(line.requests(), Vec::<String>::new());
    }
}

#[test]
fn a_doubtful_update_waits_for_evidence_where_there_can_be_some() {
    let doubtful = || {
        let mut line = Line::with_evidence(WITH_BOT);
        line.until_update().requests();
        line.refused(Operation::Update, FailureKind::Refused(502));
        assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
        line
    };
    assert!(doubtful().feed(Input::InRoom).connected());
    let mut line = doubtful();
    assert_eq!(line.fire(), Timer::Update);
    let (cause, detail) = line.failure().unwrap();
    assert_eq!(cause, Cause::UpdateFailed);
    assert!(detail.contains("Refused(502)"), "{detail}");
}

#[test]
fn a_404_is_retried_a_few_times_and_not_after_the_caller_left() {
    let mut line = Line::new(WITH_BOT);
    line.until_update();
    for _ in 1..TRIES_AFTER_404 {
        line.refused(Operation::Update, FailureKind::Refused(404));
        assert_eq!(line.fire(), Timer::Retry);
    }
    assert_eq!(line.refused(Operation::Update, FailureKind::Refused(404)).cause(), Some(Cause::UpdateFailed));
    let mut line = Line::new(WITH_BOT);
    line.until_update().refused(Operation::Update, FailureKind::Refused(404)).requests();
    assert_eq!(line.feed(Input::LeftRoom).cause(), Some(Cause::UpdateFailed));
    assert_eq!(line.look(), (Stage::Over, vec![Timer::Linger], vec![]));
}

#[test]
fn a_caller_that_somebody_else_connected_is_not_connected_again() {
    let mut line = Line::new(WITH_BOT);
    line.until_bot().bot().requests();
    assert!(line.feed(Input::InRoom).connected());
    line.ready(ReadySource::Bot);
    assert_eq!(line.look(), (Stage::Connected, vec![], vec![]));
}

#[test]
fn in_a_shared_room_a_stranger_proves_nothing() {
    let mut line = Line::with_evidence(EXISTING);
    line.webhook().room().ready(ReadySource::Event).requests();
    line.feed(Input::InRoom).feed(Input::LeftRoom);
    assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
    let failed = line.refused(Operation::Update, FailureKind::Lost).cause();
    assert_eq!(failed, Some(Cause::UpdateFailed));
}

#[test]
fn the_end_of_the_call_stops_everything_at_every_stage() {
    type Approach = fn(&mut Line);
    let approaches: [Approach; 8] = [
        |_| {},
        |line| {
            line.feed(Input::Answered);
        },
        |line| {
            line.webhook();
        },
        |line| {
            line.webhook().room();
        },
        |line| {
            line.until_bot();
        },
        |line| {
            line.until_bot().bot();
        },
        |line| {
            line.until_update();
        },
        |line| {
            line.until_update().refused(Operation::Update, FailureKind::Refused(429));
        },
    ];
    for (row, approach) in approaches.into_iter().enumerate() {
        let mut line = Line::new(WITH_BOT);
        approach(&mut line);
        line.effects.clear();
        line.feed(Input::Ended);
        assert!(line.effects.iter().any(|effect| matches!(effect, Effect::CancelRequests)), "row {row}");
        assert_eq!(line.look(), (Stage::Over, vec![], vec![]), "row {row}");
        line.webhook().room().token().bot().ready(ReadySource::Bot).updated();
        line.feed(Input::Timer(Timer::Retry)).feed(Input::InRoom).feed(Input::Answered);
        assert_eq!((line.failure(), line.connected()), (None, false), "row {row}");
        assert_eq!(line.look(), (Stage::Over, vec![], vec![]), "row {row}");
    }
}

#[test]
fn a_second_webhook_of_the_same_call_changes_nothing() {
    let mut line = Line::new(WITH_BOT);
    line.until_bot().bot().feed(Input::DialIn(fixture::dial_in("c-2"))).requests();
    line.ready(ReadySource::Bot);
    let takes_first =
        |effect: &Effect| matches!(effect, Effect::Request(Request::Update { call_id, .. }) if call_id == "c-1");
    assert!(line.effects.iter().any(takes_first));
}

#[test]
fn a_call_that_moves_to_another_target_waits_for_the_webhook_from_there() {
    let mut line = Line::new(WITH_BOT);
    line.until_update().requests();
    line.feed(Input::PlacedAgain(fixture::facts()));
    assert!(line.effects.iter().any(|effect| matches!(effect, Effect::CancelRequests)));
    assert_eq!(line.look(), (Stage::Ready, vec![Timer::Ready], vec![]));
    line.feed(Input::DialIn(fixture::dial_in("c-2")));
    let takes_second =
        |effect: &Effect| matches!(effect, Effect::Request(Request::Update { call_id, .. }) if call_id == "c-2");
    assert!(line.effects.iter().any(takes_second));

    let mut line = Line::new(WITH_BOT);
    line.until_update().feed(Input::PlacedAgain(fixture::facts())).requests();
    assert_eq!(line.fire(), Timer::Ready);
    assert_eq!(line.cause(), Some(Cause::WebhookMissing));

    let mut line = Line::new(WITH_BOT);
    line.feed(Input::Answered).feed(Input::PlacedAgain(fixture::facts()));
    assert_eq!(line.look(), (Stage::Webhook, vec![Timer::Unanswered], vec![]));
}

#[test]
fn a_talkative_neighbour_cannot_flood_the_ladder() {
    let mut line = Line::new(WITH_BOT);
    for _ in 0..10_000 {
        line.ready(ReadySource::Bot);
    }
    assert_eq!(line.effects.iter().filter(|effect| matches!(effect, Effect::Instruct(_))).count(), MOST_NOTES as usize);
}
