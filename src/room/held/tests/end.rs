//! The end of the call at every stage, and what comes twice.

use super::*;

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
        line.feed(Input::Timer(Timer::Retry)).feed(Input::InRoom(Proof::Event)).feed(Input::Answered);
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
