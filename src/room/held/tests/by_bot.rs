//! `connect = "bot"`: the bot sends the update, and we only watch.

use super::*;

const BY_BOT: &str =
    "[[room]]\nconnect = 'bot'\nbot = { start_url = 'http://bots.example.com/start', token = 'bot-key' }\n";
const SHARED: &str = "[[room]]\nuse = 'lobby'\nconnect = 'bot'\n";

#[test]
fn nothing_is_sent_after_ready_and_the_event_connects() {
    for proof in [Proof::Event, Proof::Named, Proof::Bot] {
        let mut line = Line::with_evidence(BY_BOT);
        line.until_bot().bot().requests();
        assert_eq!(line.ready(ReadySource::Bot).look(), (Stage::Update, vec![Timer::Update], vec![]));
        assert!(line.feed(Input::InRoom(proof)).connected());
        line.ready(ReadySource::Event).feed(Input::InRoom(proof));
        assert_eq!(line.look(), (Stage::Connected, vec![], vec![]));
    }
}

#[test]
fn connected_may_come_before_ready_and_before_the_starter_answers() {
    let mut line = Line::with_evidence(BY_BOT);
    line.until_bot().requests();
    assert!(line.feed(Input::InRoom(Proof::Event)).connected());
    line.bot().ready(ReadySource::Event).ready(ReadySource::Bot);
    assert_eq!(line.look(), (Stage::Connected, vec![], vec![]));
}

#[test]
fn a_bot_that_does_not_connect_costs_the_stages_deadline_and_no_more() {
    let mut line = Line::with_evidence(BY_BOT);
    line.until_bot().bot().ready(ReadySource::Event).requests();
    let since = line.now;
    assert_eq!(line.fire(), Timer::Update);
    assert_eq!(line.now - since, Duration::from_secs(15));
    let (cause, detail) = line.failure().unwrap();
    assert_eq!((cause, detail.contains("the bot did not connect the caller")), (Cause::UpdateFailed, true), "{detail}");
    assert_eq!(line.requests(), Vec::<String>::new());
}

#[test]
fn a_bot_that_gets_never_ready_costs_the_ready_timeout() {
    let mut line = Line::with_evidence(BY_BOT);
    line.until_bot().bot().requests();
    assert_eq!(line.fire(), Timer::Ready);
    assert_eq!(line.cause(), Some(Cause::BotNotReady));
}

#[test]
fn in_a_shared_room_only_an_event_that_names_the_call_connects_it() {
    let mut line = Line::with_evidence(SHARED);
    line.webhook().room().ready(ReadySource::Event).requests();
    line.feed(Input::InRoom(Proof::Event));
    assert_eq!(line.look(), (Stage::Update, vec![Timer::Update], vec![]));
    assert!(line.feed(Input::InRoom(Proof::Named)).connected());
}

#[test]
fn a_claim_that_comes_before_daily_named_the_call_is_not_believed() {
    let mut line = Line::with_evidence(SHARED);
    line.feed(Input::InRoom(Proof::Bot)).feed(Input::InRoom(Proof::Named));
    assert_eq!(line.look(), (Stage::Webhook, vec![Timer::Unanswered], vec![]));
}

#[test]
fn the_bot_is_told_that_connecting_is_its_affair_and_where_to_say_so() {
    let mut line = Line::with_evidence(BY_BOT);
    line.until_bot();
    let body = line.effects.iter().find_map(|effect| match effect {
        Effect::Request(Request::StartBot(start)) => Some(start.body.clone()),
        _ => None,
    });
    let body = body.unwrap();
    assert_eq!(body["connect"], "bot");
    assert_eq!(body["connected_url"], "https://gw.example.com/rooms/call-1/connected");
    let mut line = Line::new(WITH_BOT);
    line.until_bot();
    let Some(Effect::Request(Request::StartBot(start))) =
        line.effects.iter().find(|effect| matches!(effect, Effect::Request(Request::StartBot(_))))
    else {
        panic!("no start")
    };
    assert!(!start.body.contains_key("connect") && !start.body.contains_key("connected_url"));
}
