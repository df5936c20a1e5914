//! What can be wrong with Daily's webhook while a caller is held.

use crate::world::{Reading as _, Setup};
use serde_json::json;
use trunkline::record::Lane;
use trunkline::sim::daily::{Misbehaviour, Stage, WebhookFault};

fn with(webhook: WebhookFault) -> Setup {
    let mut setup = Setup::with_calls(Misbehaviour { webhook, ..Misbehaviour::default() });
    setup.account = "webhook_timeout = \"1500ms\"".to_owned();
    setup
}

#[tokio::test]
async fn a_slow_webhook_only_costs_time() {
    let setup = Setup::with_calls(Misbehaviour { webhook_delay_ms: 700, ..Misbehaviour::default() });
    let world = setup.start().await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    world.close().await;
}

#[tokio::test]
async fn a_webhook_that_never_comes_sends_the_caller_to_a_human() {
    let mut setup = with(WebhookFault::Missing);
    setup.account = "webhook_timeout = \"200ms\"".to_owned();
    let mut world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "webhook for this call never came");
    world.nothing_was_started();
    let held = world.held();
    assert_eq!((held.ended_by, held.updates), (Some("far"), 0));
    assert!(held.reason.as_deref().is_some_and(|reason| reason.contains("webhook_missing")), "{held:?}");
    world.close().await;
}

#[tokio::test]
async fn a_webhook_that_comes_twice_starts_one_bot_and_one_update() {
    let mut world = with(WebhookFault::Duplicate).start().await;
    let story = world.call(world.plan()).await;
    story.was_connected_to_the_bot(&world.held());
    assert_eq!(world.held().webhook_answers, [200, 200]);
    assert_eq!((world.bot.starts().len(), world.requests("POST /rooms")), (1, 1));
    let metrics = world.metrics().await;
    assert!(metrics.contains("webhook_requests_total{source=\"dialin\",result=\"duplicate\"} 1"), "{metrics}");
    world.close().await;
}

async fn is_refused(fault: WebhookFault) {
    let mut world = with(fault).start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "webhook for this call never came");
    assert_eq!(world.held().webhook_answers, [401]);
    world.nothing_was_started();
    world.close().await;
}

#[tokio::test]
async fn a_webhook_with_a_wrong_signature_is_401_and_its_caller_falls_back() {
    is_refused(WebhookFault::WrongSignature).await;
}

#[tokio::test]
async fn a_webhook_without_signature_is_401_and_its_caller_falls_back() {
    is_refused(WebhookFault::Unsigned).await;
}

#[tokio::test]
async fn a_webhook_with_a_stale_timestamp_is_401_and_its_caller_falls_back() {
    is_refused(WebhookFault::Stale).await;
}

#[tokio::test]
async fn a_webhook_without_our_header_is_200_but_nobodys_and_the_caller_falls_back() {
    let mut world = with(WebhookFault::WithoutHeaders).start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "webhook for this call never came");
    assert_eq!(world.held().webhook_answers, [200]);
    world.nothing_was_started();
    world.close().await;
}

#[tokio::test]
async fn our_header_is_found_in_any_case_and_as_a_list() {
    for (name, in_list) in [("X-Trunkline-Call", false), ("X-TRUNKLINE-CALL", true), ("x-Trunkline-call", false)] {
        let mut world = Setup::with_calls(Misbehaviour { webhook: WebhookFault::Missing, ..Misbehaviour::default() });
        world.account = "webhook_timeout = \"30s\"".to_owned();
        let mut world = world.start().await;
        let call = world.dial(world.plan());
        world.sees(Lane::CloudSip, Lane::Trunkline, "200").await;
        let held = world.held();
        let ours = held.sip_headers["x-trunkline-call"].clone();
        let value = if in_list { json!([ours]) } else { ours };
        let body = world.webhook(&held, json!({ "X-Other": 5, name: value }));
        assert_eq!(world.announce(&body).await, 200);
        let story = world.story(call).await;
        story.was_connected_to_the_bot(&world.held());
        world.close().await;
    }
}

#[tokio::test]
async fn a_webhook_after_the_fallback_is_200_and_moves_nobody() {
    let mut setup = with(WebhookFault::Missing);
    setup.account = "webhook_timeout = \"200ms\"".to_owned();
    let mut world = setup.start().await;
    let call = world.dial(world.patient_plan());
    world
        .eventually("the human", async || world.pbx.taken().iter().any(|one| one.heard.caller > 5).then_some(()))
        .await;
    let held = world.held();
    let body = world.webhook(&held, held.sip_headers.clone().into());
    assert_eq!(world.announce(&body).await, 200);
    // The companion has taken it when the grace for unknown calls is over.
    world.nothing_was_started();
    call.hang_up();
    let story = world.story(call).await;
    story.was_diverted_because("never came");
    story.ended_as("caller_hung_up");
    world.nothing_is_left().await;
    world.nothing_was_started();
    world.close().await;
}

#[tokio::test]
async fn any_of_several_secrets_opens_the_door_while_they_rotate() {
    let old = "b2xkIHNlY3JldCBvZiB0aGUgcGlubGVzcyBlbnRyeQ==";
    let new = "bmV3IHNlY3JldCBvZiB0aGUgcGlubGVzcyBlbnRyeQ==";
    for used in [old, new] {
        let mut setup = Setup { account: format!("hmac = [\"{old}\", \"{new}\"]"), ..Setup::default() };
        setup.daily.hmac = used.to_owned();
        let world = setup.start().await;
        let story = world.call(world.plan()).await;
        story.was_connected_to_the_bot(&world.held());
        world.close().await;
    }
}

#[tokio::test]
async fn a_held_call_that_daily_drops_before_the_webhook_goes_to_a_human() {
    let wrong =
        Misbehaviour { webhook: WebhookFault::Missing, bye_at: Some(Stage::Answered), ..Misbehaviour::default() };
    let mut world = Setup::with_calls(Misbehaviour { bye_delay_ms: 100, ..wrong }).start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "calling 7001");
    assert!(story.record.happened(Lane::CloudSip, Lane::Trunkline, "BYE"), "{:#?}", story.record.timeline);
    world.nothing_was_started();
    world.close().await;
}
