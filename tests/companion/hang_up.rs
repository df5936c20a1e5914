//! The caller hangs up, in every stage: nothing more is sent for the call, and Daily's leg is let go.

use crate::world::{Dialled, OWN_ROOM, Setup, World};
use trunkline::record::Lane;
use trunkline::sim::daily::{Endpoint, Misbehaviour, RestFault, WebhookFault};

/// Calls, waits until `what` is seen and the call is answered, hangs up, and looks at what is left.
async fn in_the_middle(setup: Setup, (from, to, what): (Lane, Lane, &str)) -> World {
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.sees(from, to, what).await;
    world.caller_is_answered().await;
    ends_without_a_trace(world, call, "caller_hung_up").await
}

/// Hangs up, and looks at what is left.
async fn ends_without_a_trace(world: World, call: Dialled, code: &str) -> World {
    call.hang_up();
    let story = world.story(call).await;
    story.ended_as(code);
    // Without flights and timers nothing more can be sent.
    world.nothing_is_left().await;
    assert_eq!(world.pbx.taken().len(), 0, "nobody is left to be sent anywhere");
    world
}

fn busy(endpoint: Endpoint) -> Setup {
    let mut setup = Setup { account: "rest_timeout = \"20s\"".to_owned(), ..Setup::default() };
    setup.daily.rest_faults = vec![RestFault::always(endpoint, 429)];
    setup
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_daily_rings_cancels_both_legs() {
    let setup = Setup::with_calls(Misbehaviour { ring_only: true, ..Misbehaviour::default() });
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.sees(Lane::Trunkline, Lane::Pbx, "180").await;
    let mut world = ends_without_a_trace(world, call, "caller_cancelled").await;
    assert_eq!(world.held().status, Some(487));
    world.nothing_was_started();
    world.close().await;
}

/// Daily sends its webhook and its answer at the same time, on two ways: the room may be in the making while the caller
/// still hears ringing.
#[tokio::test]
async fn a_caller_who_cancels_while_the_room_is_made_gets_no_bot() {
    let mut setup = busy(Endpoint::Rooms);
    setup.daily.misbehaviour.ring_only = true;
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.sees(Lane::Trunkline, Lane::Pbx, "180").await;
    let held = world.held();
    let body = world.webhook(&held, held.sip_headers.clone().into());
    assert_eq!(world.announce(&body).await, 200);
    world.sees(Lane::Trunkline, Lane::Rest, "POST /rooms").await;
    let mut world = ends_without_a_trace(world, call, "caller_cancelled").await;
    assert_eq!(world.held().status, Some(487));
    assert_eq!(world.requests("POST /meeting-tokens") + world.bot.starts().len(), 0);
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_the_webhook_starts_nothing() {
    let setup = Setup::with_calls(Misbehaviour { webhook: WebhookFault::Missing, ..Misbehaviour::default() });
    let mut world = in_the_middle(setup, (Lane::Trunkline, Lane::Pbx, "RTP hold music")).await;
    assert_eq!(world.held().ended_by, Some("far"));
    world.nothing_was_started();
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_room_is_made_gets_no_bot() {
    let seen = (Lane::Trunkline, Lane::Rest, "POST /rooms");
    let mut world = in_the_middle(busy(Endpoint::Rooms), seen).await;
    assert_eq!(world.requests("POST /meeting-tokens") + world.bot.starts().len(), 0);
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_a_request_is_out_stops_it() {
    let mut setup = Setup { account: "rest_timeout = \"40s\"".to_owned(), ..Setup::default() };
    setup.daily.rest_delay = std::time::Duration::from_secs(120);
    let mut world = in_the_middle(setup, (Lane::Trunkline, Lane::Rest, "POST /rooms")).await;
    assert_eq!(world.requests(""), 1);
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_token_is_made_gets_no_bot() {
    let seen = (Lane::Trunkline, Lane::Rest, "POST /meeting-tokens");
    let world = in_the_middle(busy(Endpoint::Tokens), seen).await;
    assert_eq!(world.bot.starts().len(), 0);
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_bot_is_started_is_not_connected() {
    for status in [None, Some(503)] {
        let rooms = OWN_ROOM.replace("\"BOT\"", "\"BOT\", timeout = \"40s\"");
        let mut setup = Setup { rooms, ..Setup::default() };
        setup.bot.bot_status = status;
        setup.bot.bot_delay_ms = if status.is_some() { 0 } else { 120_000 };
        let mut world = in_the_middle(setup, (Lane::Trunkline, Lane::Bot, "POST start")).await;
        assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
        world.close().await;
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_ready_is_not_connected() {
    let mut setup = Setup { rooms: format!("{OWN_ROOM}ready_timeout = \"40s\"\n"), ..Setup::default() };
    setup.bot.bot_never_ready = true;
    let mut world = in_the_middle(setup, (Lane::CloudSip, Lane::Bot, "dialin-ready")).await;
    assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_during_the_update_is_not_updated_again() {
    let seen = (Lane::Trunkline, Lane::Rest, "POST pinlessCallUpdate");
    let mut world = in_the_middle(busy(Endpoint::Update), seen).await;
    assert!(world.requests("POST pinlessCallUpdate") <= 2);
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_human_rings_cancels_that_call_too() {
    let mut setup = Setup::with_calls(Misbehaviour { webhook: WebhookFault::Missing, ..Misbehaviour::default() });
    setup.account = "webhook_timeout = \"100ms\"".to_owned();
    setup.human.status = None;
    let world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world.eventually("the human's telephone", async || world.pbx.taken().first().map(|_| ())).await;
    call.hang_up();
    let story = world.story(call).await;
    story.was_diverted_because("never came");
    story.ended_as("caller_hung_up");
    world.nothing_is_left().await;
    let taken =
        world.eventually("487", async || world.pbx.taken().into_iter().find(|one| one.ended_by.is_some())).await;
    assert_eq!(taken.status, Some(487));
    world.close().await;
}
