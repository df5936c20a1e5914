//! `connect = "bot"`: the bot connects the caller itself, and the gateway watches.

use crate::world::{Setup, World};
use trunkline::record::Lane;
use trunkline::sim::bot::BotMisbehaviour;

fn setup(bot: BotMisbehaviour) -> Setup {
    let mut setup = Setup { bot, ..Setup::default() };
    let (key, hmac) = (&setup.daily.api_key, &setup.daily.events_hmac);
    setup.rooms = format!(
        "[[room]]\nconnect = \"bot\"\nready_timeout = \"3s\"\n\
         bot = {{ start_url = \"BOT\", body = {{ daily_api_key = \"{key}\" }} }}\n"
    );
    setup.account = format!("events_hmac = \"{hmac}\"\nrest_timeout = \"1s\"");
    setup
}

async fn start(bot: BotMisbehaviour) -> World {
    let world = setup(bot).start().await;
    world.daily.tell_events_to(format!("http://{}/daily/events", world.gateway.addresses().http));
    world
}

fn only_the_bot_updated(world: &mut World) {
    let by_bot = world.count(Lane::Bot, Lane::Rest, "POST pinlessCallUpdate");
    assert_eq!((by_bot, world.requests("POST pinlessCallUpdate")), (1, 0));
}

#[tokio::test]
async fn dialin_connected_shows_that_the_bot_connected_the_caller() {
    let mut world = start(BotMisbehaviour { bot_never_tells: true, ..BotMisbehaviour::default() }).await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    only_the_bot_updated(&mut world);
    world.close().await;
}

#[tokio::test]
async fn the_bots_own_word_shows_it_when_no_event_comes() {
    let mut world = setup(BotMisbehaviour::default()).start().await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    only_the_bot_updated(&mut world);
    world.close().await;
}

#[tokio::test]
async fn a_bot_that_does_not_connect_the_caller_sends_him_to_a_human() {
    let mut world = start(BotMisbehaviour { bot_never_connects: true, ..BotMisbehaviour::default() }).await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "the bot did not connect the caller");
    assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
    world.close().await;
}

#[tokio::test]
async fn connected_needs_the_token_of_the_call() {
    let mut world = start(BotMisbehaviour { bot_never_connects: true, ..BotMisbehaviour::default() }).await;
    let call = world.dial(world.plan_for_a_human());
    world.sees(Lane::Bot, Lane::Trunkline, "POST ready").await;
    let start = world.bot.starts()[0].clone();
    let path = start["connected_url"].as_str().unwrap();
    let path = &path[path.find("/rooms/").unwrap()..];
    assert_eq!(world.post(path, &[], String::new()).await, 401);
    assert_eq!(world.post(path, &[("Authorization", "Bearer another")], String::new()).await, 401);
    assert_eq!(world.post("/rooms/none/connected", &[("Authorization", "Bearer x")], String::new()).await, 404);
    world.story(call).await.was_sent_to_a_human(&world, "the bot did not connect the caller");
    world.close().await;
}
