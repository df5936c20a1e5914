//! What can be wrong with the bot and its starter.

use crate::world::{OWN_ROOM, Reading as _, Setup, World};
use serde_json::json;
use trunkline::record::Lane;
use trunkline::sim::bot::BotMisbehaviour;

fn with(bot: BotMisbehaviour) -> Setup {
    Setup { bot, ..Setup::default() }
}

fn impatient(bot: BotMisbehaviour) -> Setup {
    let rooms = "[[room]]\nbot = { start_url = \"BOT\", timeout = \"1500ms\" }\nready_timeout = \"400ms\"\n";
    Setup { rooms: rooms.to_owned(), ..with(bot) }
}

async fn connects(setup: Setup) -> World {
    let world = setup.start().await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    world
}

async fn falls_back(setup: Setup, why: &str) -> World {
    let mut world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, why);
    assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
    world
}

#[tokio::test]
async fn a_starter_that_fails_is_asked_once_and_the_caller_goes_to_a_human() {
    for status in [500, 401, 404] {
        let wrong = BotMisbehaviour { bot_status: Some(status), ..BotMisbehaviour::default() };
        let world = falls_back(with(wrong), "bot could not be started").await;
        assert_eq!(world.bot.starts().len(), 1, "{status}");
        world.close().await;
    }
}

#[tokio::test]
async fn a_starter_at_capacity_is_asked_again_and_then_the_caller_goes_to_a_human() {
    for status in [429, 503] {
        let wrong = BotMisbehaviour { bot_status: Some(status), ..BotMisbehaviour::default() };
        let world = falls_back(impatient(wrong), "bot could not be started").await;
        assert!(world.bot.starts().len() > 1, "{status}");
        world.close().await;
    }
}

#[tokio::test]
async fn a_starter_that_answers_slowly_only_costs_time() {
    let world = connects(with(BotMisbehaviour { bot_delay_ms: 600, ..BotMisbehaviour::default() })).await;
    assert_eq!(world.bot.starts().len(), 1);
    world.close().await;
}

#[tokio::test]
async fn a_starter_that_answers_too_late_is_not_asked_twice() {
    let wrong = BotMisbehaviour { bot_delay_ms: 20_000, ..BotMisbehaviour::default() };
    let mut world = falls_back(impatient(wrong), "bot could not be started").await;
    assert_eq!(world.count(Lane::Trunkline, Lane::Bot, "POST start"), 1);
    world.close().await;
}

#[tokio::test]
async fn a_bot_that_never_joins_or_never_gets_ready_is_not_waited_for_for_ever() {
    for (joins, reports) in [(false, true), (true, false)] {
        let wrong =
            BotMisbehaviour { bot_never_joins: !joins, bot_never_ready: !reports, ..BotMisbehaviour::default() };
        falls_back(impatient(wrong), "bot did not get ready in time").await.close().await;
    }
}

#[tokio::test]
async fn a_bot_that_reports_ready_with_another_token_is_not_believed() {
    let wrong = BotMisbehaviour { bot_wrong_token: true, ..BotMisbehaviour::default() };
    let mut world = falls_back(impatient(wrong), "bot did not get ready in time").await;
    assert_eq!(world.count(Lane::Trunkline, Lane::Bot, "401"), 1);
    world.close().await;
}

#[tokio::test]
async fn ready_twice_is_accepted_twice_and_connects_once() {
    let mut setup = with(BotMisbehaviour { bot_duplicate_ready: true, ..BotMisbehaviour::default() });
    setup.account = format!("events_hmac = \"{}\"", setup.daily.events_hmac);
    let mut world = connects(setup).await;
    assert_eq!(world.count(Lane::Bot, Lane::Trunkline, "POST ready"), 2);
    assert_eq!(world.requests("POST pinlessCallUpdate"), 1);
    world.close().await;
}

#[tokio::test]
async fn a_bot_that_lies_about_ready_costs_its_call_and_nothing_else() {
    let world = with(BotMisbehaviour { bot_early_ready: true, ..BotMisbehaviour::default() }).start().await;
    let mut plan = world.patient_plan();
    plan.hang_up = trunkline::sim::pbx::HangUp::AfterHuman(25);
    let story = world.call(plan).await;
    // Daily accepts the update and drops the call at once: which of the two arrives first is open.
    match story.record.code() {
        "callee_hung_up" => assert_eq!(world.pbx.taken().len(), 0),
        _ => story.was_sent_to_a_human(&world, "calling 7001"),
    }
    assert_eq!(world.held().updates, 1);
    let complaints = world.close_with_complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("before dialin-ready")), "{complaints:?}");
}

#[tokio::test]
async fn ready_comes_as_an_event_of_daily_too() {
    let mut setup = with(BotMisbehaviour { bot_never_ready: true, ..BotMisbehaviour::default() });
    setup.account = format!("events_hmac = \"{}\"", setup.daily.events_hmac);
    let world = setup.start().await;
    world.daily.tell_events_to(format!("http://{}/daily/events", world.gateway.addresses().http));
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    assert!(story.record.happened(Lane::Webhook, Lane::Trunkline, "dialin.ready"), "{:#?}", story.record.timeline);
    world.close().await;
}

#[tokio::test]
async fn ready_by_bot_and_by_event_connects_once() {
    let mut setup = Setup::default();
    setup.account = format!("events_hmac = \"{}\"", setup.daily.events_hmac);
    let world = setup.start().await;
    world.daily.tell_events_to(format!("http://{}/daily/events", world.gateway.addresses().http));
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    world.close().await;
}

#[tokio::test]
async fn an_event_of_another_room_or_of_no_room_connects_nobody() {
    let mut setup = impatient(BotMisbehaviour { bot_never_ready: true, ..BotMisbehaviour::default() });
    setup.rooms = setup.rooms.replace("400ms", "2s");
    setup.account = format!("events_hmac = \"{}\"", setup.daily.events_hmac);
    let mut world = setup.start().await;
    let call = world.dial(world.plan_for_a_human());
    world.sees(Lane::CloudSip, Lane::Bot, "dialin-ready").await;
    let payload = json!({ "room": "somebody-elses", "sip_endpoint": "sip:x@sip.example.com" });
    assert_eq!(world.event("dialin.ready", payload).await, 200);
    assert_eq!(world.event("dialin.ready", json!({})).await, 400);
    assert_eq!(world.event("participant.joined", json!({ "room": "x" })).await, 200);
    let story = world.story(call).await;
    story.was_sent_to_a_human(&world, "bot did not get ready in time");
    assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
    world.close().await;
}

#[tokio::test]
async fn the_starter_gets_its_token_and_what_the_plan_adds_to_the_body() {
    let rooms =
        OWN_ROOM.replace("\"BOT\"", "\"BOT\", token = \"starter-key\", body = { flow = \"sales\", caller = \"x\" }");
    let setup = Setup { rooms, bot_token: Some("starter-key".to_owned()), ..Setup::default() };
    let world = connects(setup).await;
    let start = world.bot.starts().remove(0);
    assert_eq!((start["flow"].as_str(), start["caller"].as_str()), (Some("sales"), Some("+12025550101")));
    world.close().await;
}

#[tokio::test]
async fn ready_is_not_taken_after_the_call() {
    let mut setup = with(BotMisbehaviour { bot_never_ready: true, ..BotMisbehaviour::default() });
    setup.rooms = format!("{OWN_ROOM}ready_timeout = \"30s\"\n");
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.sees(Lane::CloudSip, Lane::Bot, "dialin-ready").await;
    world.caller_is_answered().await;
    call.hang_up();
    world.story(call).await.ended_as("caller_hung_up");
    world.nothing_is_left().await;
    let start = world.bot.starts().remove(0);
    let bearer = format!("Bearer {}", start["ready_token"].as_str().unwrap());
    let path = format!("/rooms/{}/ready", start["room_url"].as_str().unwrap().rsplit('/').next().unwrap());
    assert_eq!(world.post(&path, &[("Authorization", &bearer)], String::new()).await, 404);
    assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
    world.close().await;
}
