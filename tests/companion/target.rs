//! What Daily's SIP side can do to a call, and what the caller gets instead.

use crate::world::{Setup, World};
use trunkline::sim::daily::{Misbehaviour, Stage};

/// No second chance: the caller sees what Daily did.
fn bare(misbehaviour: Misbehaviour) -> Setup {
    Setup { route: String::new(), ..Setup::with_calls(misbehaviour) }
}

fn rejecting(status: u16) -> Misbehaviour {
    Misbehaviour { reject: Some(status), ..Misbehaviour::default() }
}

async fn refused(setup: Setup, status: u16, phrase: &str, code: &str) -> World {
    let mut world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_refused_with(status, phrase);
    story.ended_as(code);
    assert!(story.pbx.reason.as_deref().is_some_and(|reason| reason.contains(code)), "{:?}", story.pbx.reason);
    world.nothing_was_started();
    world
}

#[tokio::test]
async fn a_refusal_of_daily_reaches_the_caller() {
    for (status, passed, phrase, code) in [
        (486, 486, "Busy Here", "target_busy"),
        (603, 603, "Decline", "target_declined"),
        (503, 503, "Service Unavailable", "target_overloaded"),
        (404, 404, "Not Found", "target_not_found"),
        (480, 480, "Temporarily Unavailable", "target_unavailable"),
    ] {
        refused(bare(rejecting(status)), passed, phrase, code).await.close().await;
    }
}

#[tokio::test]
async fn a_refusal_of_daily_sends_the_caller_to_a_human() {
    for status in [486, 603, 503, 404, 500, 401] {
        let mut world = Setup::with_calls(rejecting(status)).start().await;
        let story = world.call(world.plan_for_a_human()).await;
        story.was_sent_to_a_human(&world, "calling 7001");
        world.nothing_was_started();
        world.close().await;
    }
}

#[tokio::test]
async fn a_fallback_status_replaces_what_daily_said_with_its_own_words() {
    let mut setup = bare(rejecting(486));
    setup.route = r#"fallback = { status = 480, reason = "All bots are asleep" }"#.to_owned();
    refused(setup, 480, "All bots are asleep", "target_busy").await.close().await;
}

#[tokio::test]
async fn a_fallback_status_without_words_has_the_standard_ones_and_says_the_cause_once() {
    let mut setup = bare(rejecting(486));
    setup.route = "fallback = { status = 480 }".to_owned();
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_refused_with(480, "Temporarily Unavailable");
    let reason = story.pbx.reason.clone().unwrap_or_default();
    assert_eq!(reason.matches("target is busy").count(), 1, "{reason}");
    assert!(reason.contains("486 Busy Here"), "{reason}");
    world.close().await;
}

#[tokio::test]
async fn a_daily_that_rings_for_ever_is_given_up_after_the_rings_patience() {
    let mut setup = bare(Misbehaviour { ring_only: true, ..Misbehaviour::default() });
    setup.route = "ring_timeout = \"300ms\"".to_owned();
    let world = refused(setup, 480, "target did not answer in time", "no_answer").await;
    assert_eq!((world.held().status, world.held().ended_by), (Some(487), Some("far")));
    world.close().await;

    let mut setup = Setup::with_calls(Misbehaviour { ring_only: true, ..Misbehaviour::default() });
    setup.route += "\nring_timeout = \"300ms\"";
    let world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "calling 7001");
    world.close().await;
}

#[tokio::test]
async fn a_daily_that_does_not_respond_is_given_up_after_timer_b() {
    let mut setup = Setup::with_calls(Misbehaviour { dead: true, ..Misbehaviour::default() });
    setup.sip = "t1 = \"20ms\"".to_owned();
    let world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "calling 7001");
    world.close().await;

    let mut setup = bare(Misbehaviour { dead: true, ..Misbehaviour::default() });
    setup.sip = "t1 = \"20ms\"".to_owned();
    refused(setup, 408, "target did not respond", "target_unreachable").await.close().await;
}

#[tokio::test]
async fn a_daily_that_hangs_up_during_hold_loses_the_caller_to_a_human() {
    let wrong = Misbehaviour { bye_at: Some(Stage::Held), ..Misbehaviour::default() };
    let mut setup = Setup::with_calls(wrong);
    setup.bot.bot_never_ready = true;
    let mut world = setup.start().await;
    let story = world.call(world.plan_for_a_human()).await;
    story.was_sent_to_a_human(&world, "calling 7001");
    assert_eq!(world.requests("POST pinlessCallUpdate"), 0);
    assert_eq!(world.held().ended_by, Some("daily"));
    world.close().await;
}

#[tokio::test]
async fn a_daily_that_hangs_up_during_hold_without_fallback_ends_the_call_with_a_reason() {
    let mut setup = bare(Misbehaviour { bye_at: Some(Stage::Held), ..Misbehaviour::default() });
    setup.bot.bot_never_ready = true;
    let world = setup.start().await;
    let story = world.call(world.patient_plan()).await;
    story.was_hung_up_with("hold_dropped");
    story.ended_as("hold_dropped");
    world.close().await;
}

#[tokio::test]
async fn a_daily_that_hangs_up_after_the_update_ends_an_ordinary_call() {
    let wrong = Misbehaviour { bye_at: Some(Stage::Bridged), bye_delay_ms: 300, ..Misbehaviour::default() };
    let world = Setup::with_calls(wrong).start().await;
    let story = world.call(world.patient_plan()).await;
    assert_eq!((story.pbx.status, story.pbx.ended_by), (Some(200), "far"));
    story.ended_as("callee_hung_up");
    assert_eq!((world.held().updates, world.pbx.taken().len()), (1, 0));
    world.close().await;
}

#[tokio::test]
async fn lost_and_reordered_answers_of_daily_cost_nothing() {
    for wrong in [
        Misbehaviour { lose_first: Some(200), ..Misbehaviour::default() },
        Misbehaviour { reorder: true, ..Misbehaviour::default() },
        Misbehaviour { answer_delay_ms: 300, ..Misbehaviour::default() },
    ] {
        let world = Setup::with_calls(wrong).start().await;
        let story = world.call(world.plan()).await;
        story.was_connected_to_the_bot(&world.held());
        world.close().await;
    }
}

#[tokio::test]
async fn a_target_that_fails_leads_to_the_next_one_of_the_route() {
    let mut setup =
        Setup { targets: r#"["daily", "second"]"#, route: "retry_on = [503]".to_owned(), ..Setup::default() };
    setup.daily.script = vec![rejecting(503)];
    setup.target = "uri = \"DAILY\"\n[[target]]\nname = \"second\"\nkind = \"daily\"\nuri = \"DAILY\"".to_owned();
    let world = setup.start().await;
    let story = world.call(world.plan()).await;
    let calls = world.daily.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].status, Some(503));
    story.was_connected_to_the_bot(&calls[1]);
    assert_eq!((story.record.target.as_deref(), world.bot.starts().len()), (Some("second"), 1));
    world.close().await;
}
