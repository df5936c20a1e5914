//! From the room to the bot's start: every deadline, and what is asked again.

use super::*;

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
