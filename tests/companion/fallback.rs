//! What becomes of a caller whose bot cannot be reached.

use crate::world::{OWN_ROOM, Reading as _, Setup, World};
use trunkline::record::{CallState, Lane};
use trunkline::sim::daily::{Misbehaviour, Stage, WebhookFault};

/// The webhook never comes: the simplest failure of a held call.
fn lost() -> Setup {
    let mut setup = Setup::with_calls(Misbehaviour { webhook: WebhookFault::Missing, ..Misbehaviour::default() });
    setup.account = "webhook_timeout = \"150ms\"".to_owned();
    setup
}

async fn called_the_human_in_vain(world: &World) {
    let story = world.call(world.patient_plan()).await;
    story.was_hung_up_with("fallback_failed");
    story.was_diverted_because("never came");
    story.ended_as("fallback_failed");
    let detail = story.record.termination.as_ref().and_then(|end| end.detail.clone()).unwrap_or_default();
    assert!(detail.contains("webhook_missing"), "the first failure is told too: {detail}");
}

#[tokio::test]
async fn a_plan_that_hangs_up_tells_an_answered_caller_why_by_bye() {
    let mut setup = lost();
    setup.rooms = format!("{OWN_ROOM}on_failure = \"hangup\"\n");
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_hung_up_with("webhook_missing");
    story.ended_as("webhook_missing");
    assert_eq!(world.pbx.taken().len(), 0, "the route's fallback is not asked");
    world.close().await;
}

#[tokio::test]
async fn a_fallback_status_ends_an_answered_call_with_bye_and_that_reason() {
    let mut setup = lost();
    setup.route = r#"fallback = { status = 480, reason = "All bots are asleep" }"#.to_owned();
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_hung_up_with("SIP;cause=480");
    story.was_hung_up_with("All bots are asleep");
    story.was_hung_up_with("webhook_missing");
    story.ended_as("webhook_missing");
    world.close().await;
}

#[tokio::test]
async fn without_any_fallback_the_caller_hears_bye_with_the_cause() {
    let world = Setup { route: String::new(), ..lost() }.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_hung_up_with("webhook_missing");
    story.ended_as("webhook_missing");
    world.close().await;
}

#[tokio::test]
async fn the_caller_stays_on_the_line_and_hears_the_music_until_the_human_answers() {
    let mut setup = lost();
    setup.human.ring = std::time::Duration::from_millis(800);
    let mut world = setup.start().await;
    let call = world.dial(world.plan_for_a_human());
    world.eventually("the human's telephone", async || world.pbx.taken().first().map(|_| ())).await;
    let live = world.gateway.calls().await.remove(0);
    assert_eq!(live.state, CallState::Diverting);
    assert_eq!(world.held().stage, Stage::Held, "Daily still plays");
    let story = world.story(call).await;
    story.was_sent_to_a_human(&world, "never came");
    assert_eq!(world.count(Lane::Pbx, Lane::Trunkline, "INVITE"), 1, "the caller is not asked to call again");
    let taken = world.pbx.taken().remove(0);
    assert!(taken.from.contains("+12025550101"), "the human sees the true caller: {taken:?}");
    let order = ["INVITE", "BYE"].map(|what| {
        story.record.timeline.iter().rposition(|one| one.to == Lane::CloudSip && one.what == what).unwrap()
    });
    assert!(order.is_sorted(), "{:#?}", story.record.timeline);
    world.close().await;
}

#[tokio::test]
async fn a_human_who_is_busy_or_declines_ends_the_call_with_a_reason() {
    for status in [486, 603, 404, 503] {
        let mut setup = lost();
        setup.human.status = Some(status);
        let world = setup.start().await;
        called_the_human_in_vain(&world).await;
        world.close().await;
    }
}

#[tokio::test]
async fn a_human_who_never_answers_is_rung_for_the_configured_time_only() {
    let mut setup = lost();
    setup.route = r#"fallback = { trunk = "pbx", number = "7001", ring_timeout = "300ms" }"#.to_owned();
    setup.human.status = None;
    let world = setup.start().await;
    called_the_human_in_vain(&world).await;
    let taken =
        world.eventually("487", async || world.pbx.taken().into_iter().find(|one| one.ended_by.is_some())).await;
    assert_eq!(taken.status, Some(487));
    world.close().await;
}

#[tokio::test]
async fn a_human_who_hangs_up_ends_the_call() {
    let mut setup = lost();
    setup.human.hang_up_after = Some(std::time::Duration::from_millis(300));
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    assert_eq!((story.pbx.status, story.pbx.ended_by), (Some(200), "far"));
    story.ended_as("callee_hung_up");
    world.close().await;
}

#[tokio::test]
async fn a_daily_that_hangs_up_while_the_human_rings_changes_nothing() {
    let mut setup = lost();
    setup.daily.misbehaviour.bye_at = Some(Stage::Held);
    setup.daily.misbehaviour.bye_delay_ms = 600;
    setup.human.ring = std::time::Duration::from_millis(1_500);
    let world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "never came");
    assert_eq!(world.held().ended_by, Some("daily"));
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_is_not_answered_yet_gets_the_human_as_answer() {
    let mut setup = Setup::with_calls(Misbehaviour { reject: Some(486), ..Misbehaviour::default() });
    setup.human.ring = std::time::Duration::from_millis(200);
    let mut world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "calling 7001");
    assert!(world.count(Lane::Trunkline, Lane::Pbx, "180") > 0, "ringing is passed on");
    world.close().await;
}

#[tokio::test]
async fn a_caller_who_is_not_answered_yet_is_refused_when_the_human_is_busy_too() {
    let mut setup = Setup::with_calls(Misbehaviour { reject: Some(486), ..Misbehaviour::default() });
    setup.human.status = Some(486);
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_refused_with(503, "fallback could not be reached either");
    story.ended_as("fallback_failed");
    world.close().await;
}

#[tokio::test]
async fn a_caller_without_an_offer_reaches_the_human_too() {
    let world = lost().start().await;
    let mut plan = world.plan_for_a_human();
    plan.faults.late_offer = true;
    let story = world.call(plan).await;
    story.was_sent_to_a_human(&world, "never came");
    world.close().await;
}

#[tokio::test]
async fn the_decision_record_says_in_order_what_failed_and_where_the_caller_went() {
    let world = lost().start().await;
    let story = world.call(world.plan_for_a_human()).await;
    let stages: Vec<(&str, &str)> = story.record.companion().collect();
    let [(first, why), .., last] = &stages[..] else { panic!("{stages:?}") };
    assert_eq!((*first, *last), ("webhook", ("fallback", "calling 7001 at trunk pbx")));
    assert!(why.contains("150ms"), "{why}");
    world.close().await;
}
