//! When nothing fails.

use crate::world::{Reading as _, Setup};
use std::time::Duration;
use trunkline::record::Lane;
use trunkline::sim::daily::{Misbehaviour, Stage, TimestampUnit};

#[tokio::test]
async fn a_caller_meets_the_bot_with_the_true_numbers_and_both_hear_each_other() {
    let world = Setup::default().start().await;
    let story = world.call(world.plan()).await;
    let held = world.held();
    story.was_connected_to_the_bot(&held);
    assert!(story.pbx.heard.hold_music > 0, "{:#?}", story.pbx);
    for (name, value) in [
        ("x-caller", "+12025550101"),
        ("x-called", "+12025550100"),
        ("x-trunkline-call", story.record.call_id.as_str()),
    ] {
        assert_eq!(held.sip_headers[name], value);
    }
    let [start] = &world.bot.starts()[..] else { panic!("one start") };
    assert_eq!((start["caller"].as_str(), start["called"].as_str()), (Some("+12025550101"), Some("+12025550100")));
    assert_eq!(start["call_id"], story.record.call_id.as_str());
    assert_eq!(start["dialin_settings"]["call_id"], held.call_id);
    assert_eq!(start["dialin_settings"]["sip_headers"]["x-caller"], "+12025550101");
    let daily = story.record.daily.clone().expect("Daily's names");
    assert_eq!((daily.call_id, daily.call_domain, daily.room), (held.call_id, held.call_domain, held.room));
    assert_eq!((story.record.caller.as_deref(), story.record.ended_by.as_deref()), (Some("+12025550101"), Some("a")));
    assert!(story.record.media.a.received > 0 && story.record.media.b.received > 0, "{:?}", story.record.media);
    assert_eq!(world.pbx.taken().len(), 0, "no fallback");
    world.close().await;
}

#[tokio::test]
async fn each_step_follows_the_one_before_and_the_update_comes_once_and_after_ready() {
    let mut world = Setup::default().start().await;
    let story = world.call(world.plan()).await;
    let (us, rest, bot) = (Lane::Trunkline, Lane::Rest, Lane::Bot);
    let order = [
        world.place_of(Lane::Webhook, us, "POST dialin"),
        world.place_of(us, rest, "POST /rooms"),
        world.place_of(us, rest, "POST /meeting-tokens"),
        world.place_of(us, bot, "POST start"),
        world.place_of(bot, us, "POST ready"),
        world.place_of(us, rest, "POST pinlessCallUpdate"),
    ];
    assert!(order.is_sorted(), "{order:?} {:#?}", world.seen);
    assert_eq!(
        ["POST /rooms", "POST /meeting-tokens", "POST pinlessCallUpdate"].map(|one| world.requests(one)),
        [1; 3]
    );
    // The record tells the same story.
    let stages: Vec<&str> = story.record.companion().map(|(stage, _)| stage).collect();
    assert_eq!(stages, ["webhook", "room", "token", "bot", "ready", "update"]);
    let told = |from, to, what: &str| {
        let found =
            story.record.timeline.iter().position(|one| one.from == from && one.to == to && one.what.contains(what));
        found.unwrap_or_else(|| panic!("{what}: {:#?}", story.record.timeline))
    };
    // Daily's webhook and its 200 are sent at the same time: either may arrive first.
    let order = [
        told(Lane::Pbx, us, "INVITE"),
        told(us, Lane::CloudSip, "INVITE"),
        told(Lane::CloudSip, us, "200"),
        told(us, Lane::Pbx, "200"),
        told(Lane::Pbx, us, "BYE"),
    ];
    assert!(order.is_sorted(), "{order:?} {:#?}", story.record.timeline);
    let order = [
        told(Lane::Webhook, us, "/daily/dialin"),
        told(us, rest, "/rooms"),
        told(us, rest, "/meeting-tokens"),
        told(bot, us, "ready"),
        told(us, rest, "pinlessCallUpdate"),
        told(Lane::Pbx, us, "BYE"),
        told(us, Lane::CloudSip, "BYE"),
    ];
    assert!(order.is_sorted(), "{order:?} {:#?}", story.record.timeline);
    world.close().await;
}

#[tokio::test]
async fn the_record_of_a_live_call_says_where_it_stands() {
    let mut setup = Setup::default();
    setup.bot.bot_never_ready = true;
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.sees(Lane::CloudSip, Lane::Bot, "dialin-ready").await;
    let live = world.eventually("the held call", async || {
        let calls = world.get("/api/calls").await["calls"].clone();
        (calls[0]["state"] == "held").then(|| calls[0].clone())
    });
    let live = live.await;
    // Its bot never reports ready; somebody with the ready token does.
    let start = world.bot.starts().remove(0);
    let bearer = format!("Bearer {}", start["ready_token"].as_str().unwrap());
    let path = format!("/rooms/{}/ready", start["room_url"].as_str().unwrap().rsplit('/').next().unwrap());
    assert_eq!(world.post(&path, &[("Authorization", &bearer)], String::new()).await, 200);
    let whole = format!("/api/calls/{}", live["call_id"].as_str().unwrap());
    world
        .eventually("the connected call", async || {
            let shown = world.get(&whole).await;
            (shown["state"] == "connected" && shown["daily"]["room"].is_string()).then_some(())
        })
        .await;
    call.hang_up();
    world.story(call).await.ended_as("caller_hung_up");
    world.close().await;
}

#[tokio::test]
async fn two_calls_at_once_do_not_mix() {
    let mut setup = Setup { sip: "shards = 2".to_owned(), ..Setup::default() };
    setup.daily.ready_delay = Duration::from_millis(200);
    let world = setup.start().await;
    let callers = ["+12025550101", "+12025550102", "+12025550103", "+12025550104"];
    let calls = callers.map(|caller| {
        let mut plan = world.plan();
        plan.caller = caller.to_owned();
        world.dial(plan)
    });
    let mut rooms = vec![];
    for (call, caller) in calls.into_iter().zip(callers) {
        let story = world.story(call).await;
        let held =
            world.daily.calls().into_iter().find(|one| Some(&one.sip_call_id) == story.record.cloud_call_id.as_ref());
        let held = held.expect("Daily's side");
        story.was_connected_to_the_bot(&held);
        assert_eq!(held.sip_headers["x-caller"], caller);
        let starts = world.bot.starts();
        let start = starts.iter().find(|start| start["call_id"] == story.record.call_id.as_str()).expect("its start");
        assert_eq!(start["caller"], caller);
        assert_eq!(story.record.daily.as_ref().unwrap().room, held.room);
        rooms.extend(held.room);
    }
    rooms.sort();
    rooms.dedup();
    assert_eq!((rooms.len(), world.bot.starts().len()), (4, 4));
    world.close().await;
}

#[tokio::test]
async fn timestamps_in_seconds_are_taken_like_those_in_milliseconds() {
    let mut setup = Setup::default();
    setup.daily.timestamp = TimestampUnit::S;
    let world = setup.start().await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    world.close().await;
}

#[tokio::test]
async fn a_bot_that_leaves_ends_the_call_as_hung_up_by_the_far_side() {
    let mut setup = Setup::default();
    setup.bot.bot_leaves_after_ms = Some(300);
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    assert_eq!(story.pbx.ended_by, "far");
    assert!(story.pbx.reason.as_deref().is_some_and(|reason| reason.contains("room is over")), "{:?}", story.pbx);
    story.ended_as("callee_hung_up");
    assert_eq!((world.held().updates, world.pbx.taken().len()), (1, 0));
    world.close().await;
}

#[tokio::test]
async fn a_caller_without_an_offer_is_connected_all_the_same() {
    let world = Setup::with_calls(Misbehaviour { answer_delay_ms: 50, ..Misbehaviour::default() }).start().await;
    let mut plan = world.plan();
    plan.faults.late_offer = true;
    let story = world.call(plan).await;
    story.was_connected_to_the_bot(&world.held());
    assert_eq!(world.held().stage, Stage::Ended);
    world.close().await;
}
