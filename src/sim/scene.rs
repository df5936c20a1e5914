//! The whole simulated world around one gateway: PBX, Daily and bot on loopback, the configuration that makes a gateway
//! part of it, the calls, and the verdict. The demo prints it; tests can play in it too.

use super::bot::{Bot, BotOptions};
use super::daily::{Daily, DailyCall, DailyOptions, Stage};
use super::ladder;
use super::observation::{Observation, Observer};
use super::pbx::{CallOutcome, CallPlan, Dialect, HangUp, Pbx, PbxOptions};
use crate::clock::{self, Entropy};
use crate::record::moment::Moment;
use crate::record::{CallRecord, Lane};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Packets of the bot that a caller wants to hear before hanging up: half a second.
const ENOUGH: u64 = 25;
/// Between two calls of one scene.
const PACE: Duration = Duration::from_millis(40);
/// The number that all callers dial, in national form, and as the bot must get to know it.
const DIALLED: (&str, &str) = ("2025550100", "+12025550100");
/// Where the configuration sends callers when the bot cannot be reached.
const FALLBACK: &str = "7001";

/// The simulated world.
#[derive(Debug)]
pub struct Scene {
    /// The PBX.
    pub pbx: Pbx,
    /// Daily.
    pub daily: Daily,
    /// The bot.
    pub bot: Bot,
    stream: mpsc::UnboundedReceiver<Observation>,
    seen: Vec<Observation>,
    first_port: u16,
}

/// What came of the calls.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `bridged` if every call was, `failed` otherwise.
    pub verdict: &'static str,
    /// One entry a call.
    pub calls: Vec<CallReport>,
    /// Which call the ladder shows: the first that failed, else the first.
    pub ladder_of: String,
    /// Its joined timeline.
    pub ladder: Vec<Moment>,
    /// What the gateway did against the protocols or the contract, as the simulators saw it.
    pub violations: Vec<String>,
}

/// One call, seen from all sides.
#[derive(Debug, Serialize)]
pub struct CallReport {
    /// Whether the caller and the bot heard each other.
    pub bridged: bool,
    /// Why not, if not.
    pub problems: Vec<String>,
    /// The gateway's name for it.
    pub trunkline_call: Option<String>,
    /// `x-caller` and `x-called` as Daily received them.
    pub mapped: [Option<String>; 2],
    /// The PBX's side.
    pub pbx: CallOutcome,
    /// Daily's side.
    pub daily: Option<DailyCall>,
}

// === impl Scene ===

impl Scene {
    /// Starts the three simulators on ephemeral ports of loopback.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub async fn start() -> io::Result<Self> {
        let (observer, stream) = Observer::channel();
        let mut entropy = Entropy::from_system();
        let daily = DailyOptions { observer: observer.clone(), entropy: entropy.fork(), ..DailyOptions::default() };
        let bot = BotOptions { observer: observer.clone(), ..BotOptions::default() };
        let pbx = PbxOptions { observer, entropy: entropy.fork(), ..PbxOptions::default() };
        Ok(Self {
            daily: Daily::start(daily).await?,
            bot: Bot::start(bot).await?,
            pbx: Pbx::start(pbx).await?,
            stream,
            seen: vec![],
            // Below the ephemeral ports, from which the simulated phones take theirs; apart from a neighbour's scene.
            first_port: 10_000 + 2_000 * entropy.below(10) as u16,
        })
    }

    /// The gateway's configuration file in this world.
    #[must_use]
    pub fn configuration(&self) -> String {
        let options = DailyOptions::default();
        let (pbx, daily, first) = (self.pbx.sip_address(), self.daily.sip_uri(), self.first_port);
        format!(
            r#"[sip]
listen = ["udp:127.0.0.1:0"]

[media]
bind = "127.0.0.1"
advertise = "127.0.0.1"
ports = "{first}-{last}"

[http]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[trunk]]
name = "pbx"
peers = ["127.0.0.1"]
address = "sip:{pbx}"

[[target]]
name = "daily"
kind = "daily"
uri = "{daily}"

[[route]]
targets = ["daily"]
fallback = {{ trunk = "pbx", number = "{FALLBACK}" }}

[daily]
api_key = "{key}"
api_url = "{api}"
hmac = "{hmac}"

[[room]]
bot = {{ start_url = "{bot}" }}
ready_timeout = "5s"
"#,
            last = first + 1_999,
            key = options.api_key,
            api = self.daily.api_url(),
            hmac = options.hmac,
            bot = self.bot.start_url(),
        )
    }

    /// Tells Daily where the gateway's webhook listener is.
    pub fn connect(&self, webhooks: SocketAddr) {
        self.daily.announce_to(format!("http://{webhooks}/daily/dialin"));
    }

    /// The plan of the call with this number, from 0.
    #[must_use]
    pub fn plan(gateway: SocketAddr, number: u32) -> CallPlan {
        let mut plan = CallPlan::new(gateway, caller(number), DIALLED.0);
        plan.caller_name = Some("Example Caller".to_owned());
        plan.dialect = Dialect::Avaya;
        plan.hang_up = HangUp::AfterBot(ENOUGH);
        plan.patience = Duration::from_secs(10);
        plan
    }

    /// Places the calls, each a little after the one before, and waits for the last to end.
    ///
    /// # Errors
    /// When no media port is free.
    pub async fn play(&self, gateway: SocketAddr, calls: u32) -> io::Result<Vec<CallOutcome>> {
        let placed = (0..calls).map(|number| async move {
            clock::sleep(PACE * number).await;
            self.pbx.call(Self::plan(gateway, number)).await
        });
        let outcomes = join_all(placed.collect()).await;
        outcomes.into_iter().collect()
    }

    /// Waits until Daily's side of every call is over too, but not longer than `patience`.
    pub async fn settle(&self, patience: Duration) {
        let mut changes = self.daily.watch();
        let over = async {
            while self.daily.calls().iter().any(|call| call.stage != Stage::Ended) {
                // The simulation lives as long as the borrow of it, so waiting cannot fail.
                let _ = changes.changed().await;
            }
        };
        // What is still open then is part of the report.
        let _ = tokio::time::timeout(patience, over).await;
    }

    /// Judges the calls. `records` are the gateway's own, to know which name means which call.
    pub fn report(&mut self, outcomes: Vec<CallOutcome>, records: &[CallRecord]) -> Report {
        while let Ok(observation) = self.stream.try_recv() {
            self.seen.push(observation);
        }
        let daily = self.daily.calls();
        let calls: Vec<CallReport> =
            outcomes.into_iter().enumerate().map(|(number, pbx)| judge(number, pbx, &daily, records)).collect();
        let shown = calls.iter().find(|call| !call.bridged).or(calls.first());
        let ladder_of = shown.map(|call| call.pbx.call_id.clone()).unwrap_or_default();
        let same: Vec<(String, String)> = calls.iter().flat_map(CallReport::same_names).collect();
        let violations = [self.pbx.violations(), self.daily.violations(), self.bot.violations()].concat();
        let good = violations.is_empty() && !calls.is_empty() && calls.iter().all(|call| call.bridged);
        Report {
            verdict: if good { "bridged" } else { "failed" },
            ladder: ladder::join(&self.seen, &same, &ladder_of),
            calls,
            ladder_of,
            violations,
        }
    }
}

/// The true caller of a call: one of the numbers that are reserved for examples.
fn caller(number: u32) -> String {
    format!("+120255501{:02}", 1 + number % 99)
}

/// Polls all futures until all are done.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut open: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = open.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in open.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

fn judge(number: usize, pbx: CallOutcome, daily: &[DailyCall], records: &[CallRecord]) -> CallReport {
    let record = records.iter().find(|record| record.pbx_call_id == pbx.call_id);
    let by_record =
        |call: &&DailyCall| record.and_then(|record| record.cloud_call_id.as_ref()) == Some(&call.sip_call_id);
    // Without a record: the calls reach Daily in the order in which they were placed.
    let daily = if record.is_some() { daily.iter().find(by_record) } else { daily.get(number) };
    let header = |name: &str| {
        let headers = daily.map(|call| call.sip_headers.iter());
        let found = headers.and_then(|mut headers| headers.find(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
    };
    let mapped = [header("x-caller"), header("x-called")];
    let mut problems = vec![];
    let mut demand = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    demand(pbx.status == Some(200), format!("the PBX's INVITE got {:?} {:?}", pbx.status, pbx.phrase));
    demand(daily.is_some(), "Daily never saw the call".to_owned());
    if let Some(call) = daily {
        demand(call.room.is_some(), "the call was never connected to a room".to_owned());
        demand(call.heard_in_room > 0, "the bot did not hear the caller".to_owned());
    }
    demand(pbx.heard.bot >= ENOUGH, format!("the caller heard {} packets of the bot", pbx.heard.bot));
    demand(pbx.ended_by == "caller", format!("ended by {} {:?}", pbx.ended_by, pbx.reason));
    let expected = [Some(pbx.caller.clone()), Some(DIALLED.1.to_owned())];
    demand(mapped == expected, format!("x-caller and x-called are {mapped:?} instead of {expected:?}"));
    CallReport {
        bridged: problems.is_empty(),
        problems,
        trunkline_call: record.map(|record| record.call_id.to_string()).or_else(|| header("x-trunkline-call")),
        mapped,
        pbx,
        daily: daily.cloned(),
    }
}

// === impl CallReport ===

impl CallReport {
    /// Pairs of names that mean this call: what joins the PBX's side with the rest.
    fn same_names(&self) -> Vec<(String, String)> {
        let pbx = || self.pbx.call_id.clone();
        let others = [self.trunkline_call.clone(), self.daily.as_ref().map(|call| call.sip_call_id.clone())];
        others.into_iter().flatten().map(|other| (pbx(), other)).collect()
    }
}

// === impl Report ===

impl Report {
    /// The stages of the shown call's setup: name, milliseconds since the INVITE.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, f64)> {
        let at = |from: Lane, to: Lane, what: &str| {
            let found = self.ladder.iter().find(|one| one.from == from && one.to == to && one.what.starts_with(what));
            found.map(|one| one.at_us as f64 / 1_000.0)
        };
        let stages = [
            ("answered", at(Lane::Trunkline, Lane::Pbx, "200")),
            ("webhook", at(Lane::Webhook, Lane::Trunkline, "POST")),
            (
                "room",
                at(Lane::Trunkline, Lane::Rest, "POST /meeting-tokens").or(at(Lane::Rest, Lane::Trunkline, "200")),
            ),
            ("bot started", at(Lane::Bot, Lane::Trunkline, "200")),
            ("ready", at(Lane::Bot, Lane::Trunkline, "POST ready")),
            ("connected", at(Lane::Trunkline, Lane::Rest, "POST pinlessCallUpdate")),
            ("bot heard", at(Lane::Trunkline, Lane::Pbx, "RTP bot")),
        ];
        stages.into_iter().filter_map(|(name, at)| at.map(|at| (name, at))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::companion_for_tests::Companion;
    use super::*;

    #[tokio::test]
    async fn the_configuration_of_the_scene_is_a_real_one() {
        let scene = Scene::start().await.unwrap();
        let config = crate::config::parse(&scene.configuration()).unwrap();
        assert_eq!(config.targets[0].uri, scene.daily.sip_uri());
        assert_eq!(config.daily.unwrap().api_url, scene.daily.api_url());
        assert_eq!(config.rooms[0].bot.as_ref().unwrap().start_url, scene.bot.start_url());
        assert!(config.routes[0].fallback.is_some());
    }

    #[tokio::test]
    async fn a_scene_without_a_gateway_fails_with_reasons() {
        let mut scene = Scene::start().await.unwrap();
        // The PBX itself takes the place of the gateway: it answers, but it is no bot.
        let mut plan = Scene::plan(scene.pbx.sip_address(), 0);
        plan.dialect = Dialect::Plain;
        plan.hang_up = HangUp::AfterHuman(3);
        let other = Pbx::start(PbxOptions::default()).await.unwrap();
        plan.hop = other.sip_address();
        let outcome = scene.pbx.call(plan).await.unwrap();
        let report = scene.report(vec![outcome], &[]);
        assert_eq!(report.verdict, "failed");
        let problems = report.calls[0].problems.join("\n");
        assert!(problems.contains("Daily never saw the call") && problems.contains("packets of the bot"), "{problems}");
        assert_eq!(report.ladder.first().map(|moment| moment.what.as_str()), Some("INVITE"));
        assert!(report.stages().iter().any(|(name, _)| *name == "answered"));
    }

    #[tokio::test]
    async fn calls_with_a_companion_are_bridged_and_the_ladder_shows_every_party() {
        let mut scene = Scene::start().await.unwrap();
        let options = DailyOptions::default();
        let (api, bot) = (scene.daily.api_url(), scene.bot.start_url());
        let companion = Companion::start(api, &options.api_key, &options.hmac, bot, 1).await;
        scene.daily.announce_to(companion.webhook());
        let mut plan = Scene::plan(scene.daily.sip_address(), 0);
        plan.request_user = Some(options.user);
        plan.extra = vec![("x-caller".into(), plan.caller.clone()), ("x-called".into(), DIALLED.1.into())];
        let outcome = scene.pbx.call(plan).await.unwrap();
        scene.settle(Duration::from_secs(5)).await;
        let mut report = scene.report(vec![outcome], &[]);
        assert_eq!(report.violations, Vec::<String>::new());
        assert_eq!((report.verdict, &report.calls[0].problems), ("bridged", &vec![]));
        let sip_call_id = report.calls[0].daily.as_ref().unwrap().sip_call_id.clone();
        // The companion of the tests names no call of its own in SIP; the room does.
        let room = report.calls[0].daily.as_ref().unwrap().room.clone().unwrap();
        report.ladder = ladder::join(&scene.seen, &[(sip_call_id.clone(), room)], &sip_call_id);
        let stages: Vec<&str> = report.stages().into_iter().map(|(name, _)| name).collect();
        assert_eq!(stages, ["answered", "webhook", "room", "bot started", "ready", "connected", "bot heard"]);
        println!("{}", ladder::draw(&report.ladder, ladder::Paint::Plain));
    }

    #[test]
    fn callers_are_example_numbers() {
        assert_eq!(
            (caller(0), caller(98), caller(99)),
            ("+12025550101".into(), "+12025550199".into(), "+12025550101".into())
        );
    }
}
