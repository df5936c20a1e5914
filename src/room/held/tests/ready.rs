//! The ready signal: from whom, when, where to, and how often.

use super::*;

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
        Room { url: Some("u".to_owned()), endpoint: None, ..Room::default() },
        Room { url: None, endpoint: Some("sip:a@example.com".to_owned()), ..Room::default() },
    ] {
        let mut line = Line::new(WITH_BOT);
        line.webhook().reply(Operation::Room, Ok(Product::Room(room)));
        assert_eq!(line.cause(), Some(Cause::RoomFailed));
    }
}

#[test]
fn an_existing_room_without_sip_address_needs_one_from_the_ready_signal() {
    let room = || Ok(Product::Room(Room { url: Some("u".to_owned()), endpoint: None, ..Room::default() }));
    let mut line = Line::new(EXISTING);
    line.webhook().reply(Operation::Room, room()).ready(ReadySource::Event);
    assert_eq!(line.cause(), Some(Cause::UpdateFailed));
    let mut line = Line::new(EXISTING);
    let endpoint = Some("sip:lobby@example.com".to_owned());
    line.webhook().reply(Operation::Room, room()).feed(Input::Ready(Ready { endpoint, source: ReadySource::Event }));
    assert_eq!(line.held.stage(), Stage::Update);
}
