//! The simulators against each other, with a companion in miniature between them.

use super::bot::{Bot, BotMisbehaviour, BotOptions};
use super::companion_for_tests::Companion;
use super::daily::{Daily, DailyOptions, Misbehaviour, RestFault, Stage, WebhookFault};
use super::leg::Timing;
use super::pbx::*;
use crate::clock::Entropy;
use serde_json::json;
use std::time::Duration;

struct World {
    pbx: Pbx,
    daily: Daily,
    bot: Bot,
    _companion: Companion,
}

/// Fast SIP timers: 64 * T1 is a good second.
fn fast() -> Timing {
    Timing { t1: Duration::from_millis(20), t2: Duration::from_millis(160) }
}

impl World {
    async fn with(misbehaviour: Misbehaviour) -> Self {
        Self::of(DailyOptions { misbehaviour, ..DailyOptions::default() }, BotMisbehaviour::default(), 1).await
    }

    async fn of(daily: DailyOptions, misbehaviour: BotMisbehaviour, updates: u32) -> Self {
        let daily = DailyOptions { timing: fast(), ready_delay: Duration::from_millis(5), ..daily };
        let (key, hmac) = (daily.api_key.clone(), daily.hmac.clone());
        let daily = Daily::start(daily).await.unwrap();
        let bot = Bot::start(BotOptions { misbehaviour, ..BotOptions::default() }).await.unwrap();
        let companion = Companion::start(daily.api_url(), &key, &hmac, bot.start_url(), updates).await;
        daily.announce_to(companion.webhook());
        let options = PbxOptions { timing: fast(), entropy: Entropy::seeded(7), ..PbxOptions::default() };
        Self { pbx: Pbx::start(options).await.unwrap(), daily, bot, _companion: companion }
    }

    /// A call straight to Daily's static address, with the headers the gateway would add.
    fn plan(&self) -> CallPlan {
        let mut plan = CallPlan::new(self.daily.sip_address(), "+15550101", "+15550100");
        plan.request_user = Some("static-address--1".into());
        plan.extra = vec![("x-caller".into(), "+15550101".into()), ("x-called".into(), "+15550100".into())];
        plan.hang_up = HangUp::AfterBot(10);
        plan.patience = Duration::from_secs(10);
        plan
    }

    async fn call(&self) -> CallOutcome {
        self.pbx.call(self.plan()).await.unwrap()
    }

    fn violations(&self) -> Vec<String> {
        [self.pbx.violations(), self.daily.violations(), self.bot.violations()].concat()
    }

    /// Daily's view of the first call once it fits.
    async fn daily_call(&self, fits: impl Fn(&super::daily::DailyCall) -> bool) -> super::daily::DailyCall {
        let found = async {
            loop {
                if let Some(call) = self.daily.calls().into_iter().next().filter(&fits) {
                    return call;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found)
            .await
            .unwrap_or_else(|_| panic!("{:?}", self.daily.calls()))
    }
}

const NONE: Vec<String> = Vec::new();

#[tokio::test]
async fn a_call_is_held_announced_connected_and_heard_both_ways() {
    let world = World::with(Misbehaviour::default()).await;
    let outcome = world.call().await;
    let call = world.daily_call(|call| call.stage == Stage::Ended).await;
    assert_eq!((outcome.status, outcome.ended_by), (Some(200), "caller"));
    assert!(outcome.heard.bot >= 10, "{outcome:?}");
    assert!(outcome.bot_ms.is_some());
    assert_eq!((outcome.heard.other, outcome.heard.unreadable, outcome.heard.restarts), (0, 0, 0));
    assert!(call.heard_in_room > 0 && call.heard.caller >= call.heard_in_room, "{call:?}");
    assert_eq!(call.webhook_answers, [200]);
    assert_eq!((call.updates, call.ended_by), (1, Some("far")));
    assert_eq!(serde_json::Value::from(call.sip_headers), json!({ "x-caller": "+15550101", "x-called": "+15550100" }));
    assert_eq!(world.bot.starts().len(), 1);
    assert_eq!(world.violations(), NONE);
}

#[tokio::test]
async fn an_avaya_call_with_a_late_offer_in_a_law_only_goes_through_the_proxies_of_both_houses() {
    let world = World::with(Misbehaviour::default()).await;
    let mut plan = world.plan();
    plan.dialect = Dialect::Avaya;
    plan.faults.late_offer = true;
    plan.laws = vec![super::audio::Law::A];
    let outcome = world.pbx.call(plan).await.unwrap();
    assert!(outcome.heard.bot >= 10, "{outcome:?}");
    let call = world.daily_call(|call| call.stage == Stage::Ended).await;
    assert!(call.heard_in_room > 0);
    // The simulated switch has no proxies of its own on the wire, so Daily's requests reach it with their Route on.
    assert_eq!(world.violations(), NONE);
}

#[tokio::test]
async fn hold_and_resume_stop_and_restart_what_the_caller_hears() {
    let world = World::with(Misbehaviour { webhook: WebhookFault::Missing, ..Misbehaviour::default() }).await;
    let mut plan = world.plan();
    plan.hold = Some(Hold { after: Duration::from_millis(60), lasts: Duration::from_millis(200) });
    plan.hang_up = HangUp::After(Duration::from_millis(400));
    let outcome = world.pbx.call(plan).await.unwrap();
    assert_eq!(world.violations(), NONE);
    let full = outcome.duration_ms / 20;
    assert!(outcome.heard.hold_music > 0 && outcome.heard.hold_music < full, "{outcome:?}");
}

#[tokio::test]
async fn every_refusal_is_seen_as_it_was_scripted() {
    for status in [404, 486, 503, 603] {
        let world = World::with(Misbehaviour { reject: Some(status), ..Misbehaviour::default() }).await;
        let outcome = world.call().await;
        assert_eq!((outcome.status, outcome.ended_by), (Some(status), "refused"));
        assert_eq!(world.violations(), NONE);
    }
}

#[tokio::test]
async fn a_call_to_another_user_is_not_found() {
    let world = World::with(Misbehaviour::default()).await;
    let mut plan = world.plan();
    plan.request_user = None;
    assert_eq!(world.pbx.call(plan).await.unwrap().status, Some(404));
}

#[tokio::test]
async fn who_only_rings_can_be_cancelled() {
    let world = World::with(Misbehaviour { ring_only: true, ..Misbehaviour::default() }).await;
    let mut plan = world.plan();
    plan.cancel_after = Some(Duration::from_millis(30));
    let outcome = world.pbx.call(plan).await.unwrap();
    assert_eq!((outcome.status, outcome.ended_by), (Some(487), "cancel"));
    assert!(outcome.ringing_ms.is_some());
    assert_eq!(world.daily_call(|call| call.stage == Stage::Ended).await.status, Some(487));
    assert_eq!(world.violations(), NONE);
}

#[tokio::test]
async fn who_does_not_respond_at_all_is_given_up() {
    let world = World::with(Misbehaviour { dead: true, ..Misbehaviour::default() }).await;
    let outcome = world.call().await;
    assert_eq!((outcome.status, outcome.ended_by), (None, "silence"));
}

#[tokio::test]
async fn a_lost_or_reordered_answer_still_makes_a_call() {
    for misbehaviour in [
        Misbehaviour { lose_first: Some(200), ..Misbehaviour::default() },
        Misbehaviour { reorder: true, ..Misbehaviour::default() },
        Misbehaviour { answer_delay_ms: 30, ..Misbehaviour::default() },
    ] {
        let world = World::with(misbehaviour).await;
        assert!(world.call().await.heard.bot >= 10);
        assert_eq!(world.violations(), NONE);
    }
}

#[tokio::test]
async fn daily_hangs_up_at_every_stage_it_is_told_to() {
    for stage in [Stage::Answered, Stage::Held, Stage::Bridged] {
        let world = World::with(Misbehaviour { bye_at: Some(stage), ..Misbehaviour::default() }).await;
        let mut plan = world.plan();
        plan.hang_up = HangUp::Never;
        let outcome = world.pbx.call(plan).await.unwrap();
        assert_eq!(outcome.ended_by, "far", "{stage:?}");
        assert_eq!(world.daily.calls()[0].ended_by, Some("daily"));
        assert_eq!(world.violations(), NONE);
    }
}

#[tokio::test]
async fn a_webhook_is_wrong_in_the_way_it_was_scripted() {
    for (webhook, answers) in [
        (WebhookFault::WrongSignature, vec![401]),
        (WebhookFault::Unsigned, vec![401]),
        (WebhookFault::Stale, vec![401]),
        (WebhookFault::Duplicate, vec![200, 200]),
        (WebhookFault::Missing, vec![]),
    ] {
        // Daily itself ends the call when the webhook is answered, so that nothing here depends on time.
        let world = World::with(Misbehaviour { webhook, bye_at: Some(Stage::Held), ..Misbehaviour::default() }).await;
        let mut plan = world.plan();
        plan.hang_up = HangUp::Never;
        assert_eq!(world.pbx.call(plan).await.unwrap().ended_by, "far");
        assert_eq!(world.daily.calls()[0].webhook_answers, answers, "{webhook:?}");
    }
}

#[tokio::test]
async fn a_caller_without_audio_hears_and_is_not_heard() {
    let world = World::with(Misbehaviour::default()).await;
    let mut plan = world.plan();
    plan.faults.no_rtp = true;
    assert!(world.pbx.call(plan).await.unwrap().heard.bot >= 10);
    assert_eq!(world.daily_call(|call| call.stage == Stage::Ended).await.heard.received, 0);
    let world = World::with(Misbehaviour { no_rtp: true, ..Misbehaviour::default() }).await;
    let mut plan = world.plan();
    plan.hang_up = HangUp::After(Duration::from_millis(200));
    assert_eq!(world.pbx.call(plan).await.unwrap().heard.received, 0);
}

#[tokio::test]
async fn an_update_before_ready_drops_the_call_and_is_a_violation() {
    let early = BotMisbehaviour { bot_early_ready: true, ..BotMisbehaviour::default() };
    let world = World::of(DailyOptions { never_ready: true, ..DailyOptions::default() }, early, 1).await;
    let outcome = world.call().await;
    assert_eq!(outcome.ended_by, "far");
    assert!(outcome.reason.unwrap().contains("updated before dialin-ready"));
    assert!(world.daily.violations()[0].contains("before dialin-ready"), "{:?}", world.violations());
}

#[tokio::test]
async fn a_second_update_is_a_violation() {
    let world = World::of(DailyOptions::default(), BotMisbehaviour::default(), 2).await;
    assert!(world.call().await.heard.bot >= 10);
    assert!(world.daily.violations()[0].contains("second update"), "{:?}", world.violations());
}

#[tokio::test]
async fn the_bot_leaving_ends_the_call() {
    let leaves = BotMisbehaviour { bot_leaves_after_ms: Some(20), ..BotMisbehaviour::default() };
    let world = World::of(DailyOptions::default(), leaves, 1).await;
    let mut plan = world.plan();
    plan.hang_up = HangUp::Never;
    let outcome = world.pbx.call(plan).await.unwrap();
    assert_eq!(outcome.ended_by, "far");
    assert!(outcome.reason.unwrap().contains("room is over"));
}

#[tokio::test]
async fn rest_refuses_wrong_keys_unknown_calls_and_what_it_was_told_to() {
    let daily = DailyOptions { rest_faults: vec!["rooms=429x1".parse().unwrap()], ..DailyOptions::default() };
    let daily = Daily::start(daily).await.unwrap();
    let client = super::web::client(Duration::from_secs(5)).unwrap();
    let post = async |path: &str, key: &str, body: serde_json::Value| {
        let request = client.post(format!("{}{path}", daily.api_url())).bearer_auth(key).json(&body);
        request.send().await.unwrap().status().as_u16()
    };
    let key = "simulated-api-key";
    assert_eq!(post("/rooms", key, json!({ "name": "a" })).await, 429);
    assert_eq!(post("/rooms", key, json!({ "name": "a" })).await, 200);
    assert_eq!(post("/rooms", key, json!({ "name": "a" })).await, 400);
    assert_eq!(post("/rooms", key, json!({ "name": "b", "properties": { "sip": {} } })).await, 400);
    assert_eq!(post("/rooms", "wrong", json!({})).await, 401);
    assert_eq!(post("/meeting-tokens", key, json!({ "properties": { "room_name": "none" } })).await, 404);
    assert_eq!(post("/dialin/pinlessCallUpdate", key, json!({ "callId": "x" })).await, 400);
    let unknown = json!({ "callId": "x", "callDomain": "y", "sipUri": "sip:z@example.com" });
    assert_eq!(post("/dialin/pinlessCallUpdate", key, unknown.clone()).await, 404);
    daily.break_rest(vec![RestFault::always(super::daily::Endpoint::Update, 500)]);
    assert_eq!(post("/dialin/pinlessCallUpdate", key, unknown).await, 500);
    assert_eq!(daily.violations().len(), 3, "{:?}", daily.violations());
}

#[tokio::test]
async fn the_pbx_answers_its_own_number_and_a_person_speaks() {
    let (one, two) =
        (Pbx::start(PbxOptions::default()).await.unwrap(), Pbx::start(PbxOptions::default()).await.unwrap());
    let mut plan = CallPlan::new(two.sip_address(), "+15550101", "7001");
    plan.hang_up = HangUp::AfterHuman(5);
    let outcome = one.call(plan).await.unwrap();
    assert!(outcome.heard.human >= 5);
    let taken = two.taken();
    assert_eq!((taken[0].called.as_str(), taken[0].status), ("7001", Some(200)));
    assert!(taken[0].asserted.as_ref().unwrap().contains("+15550101"));
    assert_eq!([one.violations(), two.violations()].concat(), NONE);
}
