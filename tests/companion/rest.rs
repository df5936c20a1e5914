//! What can be wrong with Daily's REST interface while a caller is held.

use crate::world::{Setup, World};
use serde_json::json;
use std::time::Duration;
use trunkline::record::Lane;
use trunkline::sim::daily::{Endpoint, RestFault};

const NAMES: [(Endpoint, &str, &str); 3] = [
    (Endpoint::Rooms, "POST /rooms", "room could not be created"),
    (Endpoint::Tokens, "POST /meeting-tokens", "meeting token could not be created"),
    (Endpoint::Update, "POST pinlessCallUpdate", "caller could not be connected"),
];

fn with(fault: RestFault) -> Setup {
    let mut setup = Setup::default();
    setup.daily.rest_faults = vec![fault];
    setup
}

async fn connects(setup: Setup) -> World {
    let world = setup.start().await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    world
}

async fn falls_back(setup: Setup, why: &str) -> World {
    let world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, why);
    assert_eq!(world.held().room, None, "nobody was connected");
    world
}

#[tokio::test]
async fn too_many_requests_are_tried_again_at_every_endpoint() {
    for (endpoint, request, _) in NAMES {
        let mut world = connects(with(RestFault::first(endpoint, 429, 2))).await;
        assert_eq!((world.requests(request), world.bot.starts().len()), (3, 1), "{request}");
        world.close().await;
    }
}

#[tokio::test]
async fn too_many_requests_for_ever_send_the_caller_to_a_human() {
    for (endpoint, request, why) in NAMES {
        let mut setup = with(RestFault::always(endpoint, 429));
        setup.account = "rest_timeout = \"500ms\"".to_owned();
        let mut world = falls_back(setup, why).await;
        assert!(world.requests(request) > 1);
        world.close().await;
    }
}

#[tokio::test]
async fn a_server_error_of_rooms_or_tokens_is_tried_again() {
    for (endpoint, request, _) in [NAMES[0], NAMES[1]] {
        for status in [500, 503] {
            let mut world = connects(with(RestFault::first(endpoint, status, 1))).await;
            assert_eq!((world.requests(request), world.bot.starts().len()), (2, 1), "{request}");
            world.close().await;
        }
    }
}

#[tokio::test]
async fn a_server_error_of_rooms_or_tokens_for_ever_sends_the_caller_to_a_human() {
    for (endpoint, _, why) in [NAMES[0], NAMES[1]] {
        let mut setup = with(RestFault::always(endpoint, 500));
        setup.account = "rest_timeout = \"500ms\"".to_owned();
        let world = falls_back(setup, why).await;
        assert_eq!(world.bot.starts().len(), 0);
        world.close().await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_not_tried_again() {
    for (endpoint, request, why) in NAMES {
        let mut world = falls_back(with(RestFault::always(endpoint, 401)), why).await;
        assert_eq!(world.requests(request), 1, "{request}");
        world.close().await;
    }
}

#[tokio::test]
async fn a_server_error_of_the_update_is_never_repeated_because_it_may_have_worked() {
    for status in [500, 502, 503] {
        let mut world = falls_back(with(RestFault::always(Endpoint::Update, status)), "it may have worked").await;
        assert_eq!(world.requests("POST pinlessCallUpdate"), 1);
        world.close().await;
    }
}

#[tokio::test]
async fn an_update_in_doubt_is_settled_by_the_event_that_the_caller_is_connected() {
    let mut setup = with(RestFault::always(Endpoint::Update, 500));
    setup.account = format!("events_hmac = \"{}\"", setup.daily.events_hmac);
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.sees(Lane::Trunkline, Lane::Rest, "POST pinlessCallUpdate").await;
    let room = world.bot.starts()[0]["room_url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(world.event("dialin.connected", json!({ "room": room })).await, 200);
    world
        .eventually("the connected call", async || {
            (world.get("/api/calls").await["calls"][0]["state"] == "connected").then_some(())
        })
        .await;
    call.hang_up();
    world.story(call).await.ended_as("caller_hung_up");
    assert_eq!((world.requests("POST pinlessCallUpdate"), world.pbx.taken().len()), (1, 0));
    world.close().await;
}

#[tokio::test]
async fn an_update_that_is_not_found_at_first_is_tried_again_briefly() {
    for times in [1, 3] {
        let mut world = connects(with(RestFault::first(Endpoint::Update, 404, times))).await;
        assert_eq!(world.requests("POST pinlessCallUpdate"), times as usize + 1);
        world.close().await;
    }
}

#[tokio::test]
async fn an_update_that_is_never_found_sends_the_caller_to_a_human_after_four_tries() {
    let mut world = falls_back(with(RestFault::always(Endpoint::Update, 404)), "caller could not be connected").await;
    assert_eq!(world.requests("POST pinlessCallUpdate"), 4);
    world.close().await;
}

#[tokio::test]
async fn an_update_that_the_call_itself_is_refused_sends_the_caller_to_a_human() {
    let mut setup = Setup::default();
    setup.daily.misbehaviour.refuse_update = Some(400);
    let world = falls_back(setup, "caller could not be connected").await;
    assert_eq!(world.held().updates, 1);
    world.close().await;
}

#[tokio::test]
async fn an_interface_that_answers_slowly_only_costs_time() {
    let mut setup = Setup::default();
    setup.daily.rest_delay = Duration::from_millis(300);
    connects(setup).await.close().await;
}

#[tokio::test]
async fn an_interface_that_does_not_answer_sends_the_caller_to_a_human() {
    let mut setup = Setup { account: "rest_timeout = \"200ms\"".to_owned(), ..Setup::default() };
    setup.daily.rest_delay = Duration::from_secs(30);
    falls_back(setup, "room could not be created").await.close().await;
}
