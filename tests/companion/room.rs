//! Room plans and targets: which one a call gets, and what goes into the INVITE.

use crate::world::{OWN_ROOM, Reading as _, Setup, World};
use serde_json::json;
use trunkline::record::{Lane, Step};

const LOBBY: &str = "[[room]]\nuse = \"lobby\"\n";

async fn open_lobby(world: &World) -> String {
    let sip = json!({ "display_name": "caller", "sip_mode": "dial-in" });
    let room = world.rest("/rooms", json!({ "name": "lobby", "properties": { "sip": sip } })).await;
    assert_eq!(room["name"], "lobby", "{room}");
    let token = world.rest("/meeting-tokens", json!({ "properties": { "room_name": "lobby" } })).await;
    token["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_named_room_is_looked_up_and_its_started_bot_is_met_there() {
    let rooms = format!("{LOBBY}bot = {{ start_url = \"BOT\" }}\n");
    let mut world = Setup { rooms, ..Setup::default() }.start().await;
    open_lobby(&world).await;
    let made = world.requests("POST /rooms");
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    assert_eq!((world.held().room.as_deref(), world.requests("GET /rooms")), (Some("lobby"), 1));
    assert_eq!(world.requests("POST /rooms"), made, "none is created");
    world.close().await;
}

#[tokio::test]
async fn a_named_room_that_is_not_there_sends_the_caller_to_a_human() {
    let world = Setup { rooms: LOBBY.to_owned(), ..Setup::default() }.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "room could not be created");
    world.close().await;
}

#[tokio::test]
async fn a_bot_that_waits_in_a_named_room_reports_ready_with_the_plans_token() {
    let rooms = format!("{LOBBY}ready_token = \"lobby-key\"\n");
    let mut world = Setup { rooms, ..Setup::default() }.start().await;
    let token = open_lobby(&world).await;
    let call = world.dial(world.plan());
    world.sees(Lane::Trunkline, Lane::Rest, "GET /rooms").await;
    assert_eq!(world.in_room("lobby", "join", &token).await, 200);
    world.sees(Lane::CloudSip, Lane::Bot, "dialin-ready").await;
    let ready = |key: &'static str| {
        let world = &world;
        async move { world.post("/rooms/lobby/ready", &[("Authorization", key)], String::new()).await }
    };
    assert_eq!(ready("Bearer another").await, 401);
    assert_eq!(ready("Bearer lobby-key").await, 200);
    let story = world.story(call).await;
    story.was_connected_to_the_bot(&world.held());
    assert_eq!(world.bot.starts().len(), 0);
    world.close().await;
}

#[tokio::test]
async fn a_bot_that_waits_in_a_named_room_is_found_by_the_event() {
    let mut setup = Setup { rooms: LOBBY.to_owned(), ..Setup::default() };
    setup.account = format!("events_hmac = \"{}\"", setup.daily.events_hmac);
    let mut world = setup.start().await;
    world.daily.tell_events_to(format!("http://{}/daily/events", world.gateway.addresses().http));
    let token = open_lobby(&world).await;
    let call = world.dial(world.plan());
    world.sees(Lane::Trunkline, Lane::Rest, "GET /rooms").await;
    assert_eq!(world.in_room("lobby", "join", &token).await, 200);
    let story = world.story(call).await;
    story.was_connected_to_the_bot(&world.held());
    world.close().await;
}

#[tokio::test]
async fn the_second_caller_of_a_named_room_waits_until_its_only_sip_address_is_free() {
    let rooms = format!("{LOBBY}bot = {{ start_url = \"BOT\" }}\n");
    let account = "rest_timeout = \"12s\"".to_owned();
    let mut world = Setup { rooms, account, ..Setup::default() }.start().await;
    open_lobby(&world).await;
    let first = world.dial(world.patient_plan());
    world
        .eventually("the first caller with the bot", async || {
            world.daily.calls().iter().any(|call| call.room.is_some()).then_some(())
        })
        .await;
    let second = world.dial(world.plan());
    world
        .eventually("the second caller in the queue", async || {
            world.metrics().await.contains("trunkline_room_leases{state=\"waiting\"} 1").then_some(())
        })
        .await;
    assert_eq!((world.requests("POST pinlessCallUpdate"), world.bot.starts().len()), (1, 1));
    first.hang_up();
    world.story(first).await.ended_as("caller_hung_up");
    let story = world.story(second).await;
    assert!(story.record.companion().any(|(_, told)| told.contains("the call waits for one")), "{:#?}", story.record);
    assert!(story.pbx.heard.bot > 0, "{:#?}", story.record);
    assert_eq!((world.requests("POST pinlessCallUpdate"), world.bot.starts().len()), (2, 2));
    world.close().await;
}

#[tokio::test]
async fn the_first_plan_whose_conditions_hold_is_taken() {
    let rooms = r#"
[[room]]
called = "^\\+1202555019"
bot = { start_url = "BOT", body = { plan = "called" } }
[[room]]
caller = "^\\+12025550177$"
bot = { start_url = "BOT", body = { plan = "caller" } }
[[room]]
header = { name = "X-Flow", match = "^vip$" }
create = { name_prefix = "vip-", expires = "10m" }
bot = { start_url = "BOT", body = { plan = "header" } }
[[room]]
trunk = "pbx"
bot = { start_url = "BOT", body = { plan = "trunk" } }
"#;
    let world = Setup { rooms: rooms.to_owned(), ..Setup::default() }.start().await;
    for (number, (caller, called, flow, plan)) in [
        ("+12025550101", "2025550191", None, "called"),
        ("+12025550177", "2025550100", None, "caller"),
        ("+12025550101", "2025550100", Some("vip"), "header"),
        ("+12025550101", "2025550100", Some("other"), "trunk"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut dialled = world.plan();
        (dialled.caller, dialled.called) = (caller.to_owned(), called.to_owned());
        dialled.extra.extend(flow.map(|flow| ("x-flow".to_owned(), flow.to_owned())));
        let story = world.call(dialled).await;
        story.was_connected_to_the_bot(&world.daily.calls()[number]);
        assert_eq!(world.bot.starts()[number]["plan"], plan);
        let room = world.daily.calls()[number].room.clone().unwrap();
        assert_eq!(room.starts_with("vip-"), plan == "header", "{room}");
        let tried = story.record.decisions.iter().filter(|step| matches!(step, Step::Room { .. })).count();
        assert_eq!(tried, number + 1, "each plan that was looked at is in the record");
    }
    world.close().await;
}

#[tokio::test]
async fn a_call_without_a_plan_goes_to_a_human_and_starts_nothing() {
    let rooms = "[[room]]\ncalled = \"^nobody$\"\n".to_owned() + "bot = { start_url = \"BOT\" }\n";
    let mut world = Setup { rooms, ..Setup::default() }.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "no room plan for this call");
    world.nothing_was_started();
    world.close().await;
}

#[tokio::test]
async fn templates_fill_the_headers_and_the_uris_own_part_becomes_headers() {
    let target = r#"uri = "DAILY?x-tenant=acme%20corp&x-empty="
headers = { x-caller = "{caller}", x-called = "{called}", x-trunkline-call = "{call_id}", x-name = "{caller_name}", x-leg = "{trunk}/{pbx_call_id}", x-flow = "{header:X-Flow}", x-none = "{header:X-None}", x-fixed = "one two" }"#;
    let world = Setup { target: target.to_owned(), ..Setup::default() }.start().await;
    let mut plan = world.plan();
    plan.caller_name = Some("Example, Caller".to_owned());
    plan.extra.push(("X-Flow".to_owned(), "vip; a=\"b\", c".to_owned()));
    let story = world.call(plan).await;
    let held = world.held();
    story.was_connected_to_the_bot(&held);
    let header = |name: &str| held.sip_headers.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    assert_eq!(header("x-tenant").as_deref(), Some("acme corp"));
    assert_eq!(header("x-leg"), Some(format!("pbx/{}", story.pbx.call_id)));
    assert_eq!(header("x-flow").as_deref(), Some("vip; a=\"b\", c"));
    assert_eq!((header("x-none"), header("x-fixed").as_deref()), (None, Some("one two")));
    assert!(header("x-name").as_deref() == Some("Example, Caller"), "{held:?}");
    let start = world.bot.starts().remove(0);
    assert_eq!(start["dialin_settings"]["sip_headers"]["x-tenant"], "acme corp");
    world.close().await;
}

#[tokio::test]
async fn the_same_plan_serves_every_call_with_a_room_of_its_own() {
    let world = Setup { rooms: OWN_ROOM.to_owned(), ..Setup::default() }.start().await;
    for number in 0..2 {
        let story = world.call(world.plan()).await;
        story.was_connected_to_the_bot(&world.daily.calls()[number]);
    }
    let rooms: Vec<_> = world.daily.calls().into_iter().map(|call| call.room).collect();
    assert_ne!(rooms[0], rooms[1]);
    world.close().await;
}
