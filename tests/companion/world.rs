//! The world of one test: what is configured, what is wrong with it, and what has to be true of every call afterwards.

use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use trunkline::clock;
use trunkline::gateway::Gateway;
use trunkline::observe::metrics::Load;
use trunkline::record::{CallRecord, CallState, Lane, Step};
use trunkline::room::Census;
use trunkline::sim::bot::{Bot, BotMisbehaviour, BotOptions};
use trunkline::sim::daily::{Daily, DailyCall, DailyOptions, Misbehaviour, Stage};
use trunkline::sim::pbx::{AnswerPlan, CallOutcome, CallPlan, HangUp, Pbx, PbxOptions};
use trunkline::sim::{Observation, Observer, web};

/// Longer than anything takes on a busy machine; no test waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(45);
/// The fallback that most tests configure.
pub const TO_A_HUMAN: &str = r#"fallback = { trunk = "pbx", number = "7001" }"#;
/// The plan that most tests use; `BOT` is the bot's address.
pub const OWN_ROOM: &str = "[[room]]\nbot = { start_url = \"BOT\" }\n";
/// Packets of a voice that prove that it is heard.
const ENOUGH: u64 = 25;

/// What the world is made of. The texts are lines for the sections that they are named after.
pub struct Setup {
    pub sip: String,
    pub target: String,
    pub targets: &'static str,
    pub route: String,
    pub account: String,
    pub rooms: String,
    pub daily: DailyOptions,
    pub bot: BotMisbehaviour,
    pub bot_token: Option<String>,
    pub human: AnswerPlan,
}

/// Everything, running.
pub struct World {
    pub pbx: Arc<Pbx>,
    pub daily: Daily,
    pub bot: Bot,
    pub gateway: Gateway,
    pub http: reqwest::Client,
    options: DailyOptions,
    stream: mpsc::UnboundedReceiver<Observation>,
    pub seen: Vec<Observation>,
}

/// A call under way.
pub struct Dialled {
    outcome: JoinHandle<CallOutcome>,
    hang_up: Arc<Notify>,
}

/// A call that is over, from all sides.
pub struct Story {
    pub pbx: CallOutcome,
    pub record: Arc<CallRecord>,
}

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self {
            sip: String::new(),
            target: String::new(),
            targets: r#"["daily"]"#,
            route: TO_A_HUMAN.to_owned(),
            account: String::new(),
            rooms: OWN_ROOM.to_owned(),
            daily: DailyOptions::default(),
            bot: BotMisbehaviour::default(),
            bot_token: None,
            human: AnswerPlan::default(),
        }
    }
}

impl Setup {
    /// All calls at Daily go wrong in this way.
    pub fn with_calls(misbehaviour: Misbehaviour) -> Self {
        let mut setup = Self::default();
        setup.daily.misbehaviour = misbehaviour;
        setup
    }

    pub async fn start(self) -> World {
        World::start(self).await
    }

    fn configuration(&self, pbx: &Pbx, daily: &Daily, bot: &Bot) -> String {
        let (first, last) = media_ports();
        let Self { sip, account, route, targets, .. } = self;
        let target =
            if self.target.is_empty() { format!("uri = \"{}\"", daily.sip_uri()) } else { self.target.clone() };
        let target = target.replace("DAILY", &daily.sip_uri());
        let hmac =
            if account.starts_with("hmac =") { String::new() } else { format!("hmac = \"{}\"", self.daily.hmac) };
        let rooms = self.rooms.replace("BOT", &bot.start_url());
        format!(
            r#"
[sip]
listen = ["udp:127.0.0.1:0"]
{sip}

[media]
bind = "127.0.0.1"
ports = "{first}-{last}"
workers = 1

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
{target}

[[route]]
targets = {targets}
{route}

[daily]
api_key = "{key}"
api_url = "{api}"
{hmac}
{account}

{rooms}
"#,
            pbx = pbx.sip_address(),
            key = self.daily.api_key,
            api = daily.api_url(),
        )
    }
}

/// A range of its own for each gateway of this run, below the ephemeral ports; another run takes another start, and
/// what another program holds is passed by.
fn media_ports() -> (u16, u16) {
    const EACH: u16 = 32;
    const RANGES: u16 = 600;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let run = u16::try_from(std::process::id() % 16).unwrap() * (RANGES / 16);
    let mut firsts = (0..RANGES).map(|_| 12_288 + (run + NEXT.fetch_add(1, Ordering::Relaxed)) % RANGES * EACH);
    let free = |port: u16| UdpSocket::bind(("127.0.0.1", port)).is_ok();
    let first = firsts.find(|first| (*first..first + EACH).all(free)).expect("free media ports");
    (first, first + EACH - 1)
}

// === impl World ===

impl World {
    async fn start(mut setup: Setup) -> Self {
        let (observer, stream) = Observer::channel();
        setup.daily.observer = observer.clone();
        let bot = BotOptions {
            observer: observer.clone(),
            misbehaviour: setup.bot.clone(),
            token: setup.bot_token.clone(),
            ..BotOptions::default()
        };
        let pbx = PbxOptions { observer, answer: setup.human.clone(), ..PbxOptions::default() };
        let (pbx, bot) = (Pbx::start(pbx).await.unwrap(), Bot::start(bot).await.unwrap());
        let daily = Daily::start(setup.daily.clone()).await.unwrap();
        let config = trunkline::config::parse(&setup.configuration(&pbx, &daily, &bot));
        let gateway = Gateway::start(config.unwrap_or_else(|problem| panic!("{problem}"))).await;
        let gateway = gateway.unwrap_or_else(|problem| panic!("{problem}"));
        daily.announce_to(format!("http://{}/daily/dialin", gateway.addresses().http));
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { pbx: Arc::new(pbx), daily, bot, gateway, http, options: setup.daily, stream, seen: vec![] }
    }

    pub fn sip(&self) -> SocketAddr {
        self.gateway.addresses().sip[0].1
    }

    /// A caller who listens to the bot for half a second, or to a human, whoever comes, and waits long for either.
    pub fn plan(&self) -> CallPlan {
        let mut plan = CallPlan::new(self.sip(), "+12025550101", "2025550100");
        plan.hang_up = HangUp::AfterBot(ENOUGH);
        plan.patience = PATIENCE;
        plan
    }

    /// The same, who wants to hear a human.
    pub fn plan_for_a_human(&self) -> CallPlan {
        CallPlan { hang_up: HangUp::AfterHuman(ENOUGH), ..self.plan() }
    }

    /// The same, who hangs up only when told.
    pub fn patient_plan(&self) -> CallPlan {
        CallPlan { hang_up: HangUp::Never, ..self.plan() }
    }

    pub fn dial(&self, mut plan: CallPlan) -> Dialled {
        let (hang_up, pbx) = (Arc::new(Notify::new()), Arc::clone(&self.pbx));
        plan.hang_up_on = Some(Arc::clone(&hang_up));
        Dialled { outcome: tokio::spawn(async move { pbx.call(plan).await.unwrap() }), hang_up }
    }

    /// Places the call and waits for its end and its record.
    pub async fn call(&self, plan: CallPlan) -> Story {
        let call = self.dial(plan);
        self.story(call).await
    }

    /// Waits for the end of a call and its record.
    pub async fn story(&self, call: Dialled) -> Story {
        let pbx = tokio::time::timeout(PATIENCE * 2, call.outcome).await.expect("the call ends").unwrap();
        let record = self.eventually("the record of the ended call", async || {
            let calls = self.gateway.calls().await;
            calls.into_iter().find(|one| one.pbx_call_id == pbx.call_id && one.state == CallState::Ended)
        });
        let record = record.await;
        self.the_api_shows(&record).await;
        Story { pbx, record }
    }

    /// The admin API has the whole record, with decisions and timeline.
    async fn the_api_shows(&self, record: &CallRecord) {
        let shown = self.get(&format!("/api/calls/{}", record.call_id)).await;
        assert_eq!(shown["state"], "ended", "{shown:#}");
        assert_eq!(shown["termination"]["code"], record.code(), "{shown:#}");
        assert!(shown["termination"]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{shown:#}");
        assert_eq!(shown["timeline"][0]["what"], "INVITE", "{shown:#}");
        let steps: Vec<&str> =
            shown["decisions"].as_array().unwrap().iter().filter_map(|s| s["step"].as_str()).collect();
        assert_eq!((steps.first(), steps.last()), (Some(&"trunk"), Some(&"termination")), "{shown:#}");
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("http://{}{path}", self.gateway.addresses().admin)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// The text of the metrics page.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.gateway.addresses().admin);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until a simulator saw this.
    pub async fn sees(&mut self, from: Lane, to: Lane, what: &str) -> Observation {
        let wanted = |one: &Observation| one.from == from && one.to == to && one.what.starts_with(what);
        if let Some(known) = self.seen.iter().find(|one| wanted(one)) {
            return known.clone();
        }
        let waiting = async {
            loop {
                let next = self.stream.recv().await.expect("the simulators live");
                self.seen.push(next.clone());
                if wanted(&next) {
                    return next;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("nobody saw {what} from {from:?} to {to:?}: {:#?}", self.seen))
    }

    /// Waits until the caller has the answer and said so: hanging up is a BYE from now on. Daily's webhook, and all that
    /// follows from it, may be there earlier, and hanging up is a CANCEL then.
    pub async fn caller_is_answered(&mut self) {
        self.sees(Lane::Pbx, Lane::Trunkline, "ACK").await;
    }

    /// How often the simulators saw this so far.
    pub fn count(&mut self, from: Lane, to: Lane, what: &str) -> usize {
        self.catch_up();
        self.seen.iter().filter(|one| one.from == from && one.to == to && one.what.starts_with(what)).count()
    }

    /// Where in the common order this was seen first.
    pub fn place_of(&mut self, from: Lane, to: Lane, what: &str) -> usize {
        self.catch_up();
        let found = self.seen.iter().position(|one| one.from == from && one.to == to && one.what.starts_with(what));
        found.unwrap_or_else(|| panic!("nobody saw {what} from {from:?} to {to:?}: {:#?}", self.seen))
    }

    fn catch_up(&mut self) {
        while let Ok(one) = self.stream.try_recv() {
            self.seen.push(one);
        }
    }

    /// The REST requests of one kind.
    pub fn requests(&mut self, what: &str) -> usize {
        self.count(Lane::Trunkline, Lane::Rest, what)
    }

    /// Nothing was asked of anybody: no room, no token, no bot, no update.
    pub fn nothing_was_started(&mut self) {
        assert_eq!(self.requests(""), 0, "{:#?}", self.seen);
        assert_eq!(self.bot.starts(), Vec::<Value>::new());
    }

    /// Daily's only call.
    pub fn held(&self) -> DailyCall {
        let calls = self.daily.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls[0].clone()
    }

    /// A webhook of the only call, as Daily would send it, with these SIP headers.
    pub fn webhook(&self, call: &DailyCall, headers: Value) -> Value {
        json!({
            "To": call.to, "From": call.from, "callId": call.call_id, "callDomain": call.call_domain,
            "sipHeaders": headers,
        })
    }

    /// Signs and sends a webhook; its status.
    pub async fn announce(&self, body: &Value) -> u16 {
        let body = body.to_string();
        let timestamp = unix_seconds().to_string();
        let signature = web::sign(&self.options.hmac, &timestamp, body.as_bytes()).unwrap();
        let headers = [("X-Pinless-Timestamp", timestamp.as_str()), ("X-Pinless-Signature", signature.as_str())];
        self.post("/daily/dialin", &headers, body).await
    }

    /// Signs and sends an event; its status.
    pub async fn event(&self, kind: &str, payload: Value) -> u16 {
        let body = json!({ "version": "1.0.0", "type": kind, "payload": payload }).to_string();
        let timestamp = (unix_seconds() * 1_000).to_string();
        let signature = web::sign(&self.options.events_hmac, &timestamp, body.as_bytes()).unwrap();
        let headers = [("X-Webhook-Timestamp", timestamp.as_str()), ("X-Webhook-Signature", signature.as_str())];
        self.post("/daily/events", &headers, body).await
    }

    /// Posts to the webhook listener; the status.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> u16 {
        let url = format!("http://{}{path}", self.gateway.addresses().http);
        let request = headers.iter().fold(self.http.post(url), |request, (name, value)| request.header(*name, *value));
        request.body(body).send().await.unwrap().status().as_u16()
    }

    /// Posts to the simulated Daily, as somebody with its key would.
    pub async fn rest(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.daily.api_url());
        let request = self.http.post(url).bearer_auth(&self.options.api_key).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The simulation's own interface, for what a bot does in a room.
    pub async fn in_room(&self, room: &str, action: &str, token: &str) -> u16 {
        let base = self.daily.api_url().trim_end_matches("/v1").to_owned();
        let url = format!("{base}/sim/rooms/{room}/{action}");
        self.http.post(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    }

    /// Looks until there is something to see: again whenever the gateway or a simulator says that something changed.
    pub async fn eventually<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let (mut gateway, mut daily, mut pbx) = (self.gateway.changes(), self.daily.watch(), self.pbx.watch_taken());
        let looking = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::select! {
                    () = gateway.next() => {}
                    _ = daily.changed() => {}
                    _ = pbx.changed() => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// What must hold after every test: nothing is left anywhere.
    pub async fn nothing_is_left(&self) {
        self.eventually("an empty gateway", async || {
            let Load { calls, dialogs, media_ports, .. } = self.gateway.metrics().load();
            let Census { calls: held, rooms, flights, timers, early, .. } = self.gateway.held().await;
            let left = [calls, dialogs, media_ports].into_iter().sum::<u64>() == 0
                && [held, rooms, flights, timers, early].into_iter().sum::<usize>() == 0;
            left.then_some(())
        })
        .await;
    }

    /// The end of a test in which all behaved: nothing is left, nobody complains.
    pub async fn close(self) {
        let complaints = self.close_with_complaints().await;
        assert_eq!(complaints, Vec::<String>::new());
    }

    /// The end of a test that provoked complaints.
    pub async fn close_with_complaints(mut self) -> Vec<String> {
        self.nothing_is_left().await;
        self.eventually("the end of Daily's calls", async || {
            let deaf = |call: &DailyCall| call.status.is_none() && self.options.misbehaviour.dead;
            let over = self.daily.calls().iter().all(|call| call.stage == Stage::Ended || deaf(call));
            let taken = self.pbx.taken().iter().all(|call| call.ended_by.is_some());
            (over && taken).then_some(())
        })
        .await;
        self.gateway.stop().await;
        [self.pbx.violations(), self.daily.violations(), self.bot.violations()].concat()
    }
}

// === impl Dialled ===

impl Dialled {
    pub fn hang_up(&self) {
        self.hang_up.notify_one();
    }
}

// === impl Story ===

impl Story {
    /// The caller and the bot heard each other, and the caller hung up.
    pub fn was_connected_to_the_bot(&self, daily: &DailyCall) {
        assert_eq!((self.pbx.status, self.pbx.ended_by), (Some(200), "caller"), "{:#?} {:#?}", self.pbx, self.record);
        assert!(self.pbx.heard.bot >= ENOUGH, "{:#?}", self.pbx);
        assert!(daily.heard_in_room > 0, "{daily:#?}");
        assert_eq!(daily.updates, 1, "{daily:#?}");
        self.ended_as("caller_hung_up");
    }

    /// The caller and the human at the fallback heard each other, and the caller hung up.
    pub fn was_sent_to_a_human(&self, world: &World, why: &str) {
        assert_eq!((self.pbx.status, self.pbx.ended_by), (Some(200), "caller"), "{:#?} {:#?}", self.pbx, self.record);
        assert!(self.pbx.heard.human >= ENOUGH, "{:#?}", self.pbx);
        let taken = world.pbx.taken();
        assert_eq!(taken.len(), 1, "{taken:#?}");
        assert_eq!((taken[0].called.as_str(), taken[0].status), ("7001", Some(200)));
        assert!(taken[0].heard.caller > 0, "{taken:#?}");
        self.was_diverted_because(why);
        self.ended_as("caller_hung_up");
    }

    /// The decision record names the failure and the fallback after it.
    pub fn was_diverted_because(&self, why: &str) {
        let outcomes: Vec<(&str, &str)> = self.record.companion().collect();
        assert!(outcomes.iter().any(|(_, outcome)| outcome.contains(why)), "{why}: {outcomes:#?}");
        assert!(outcomes.contains(&("fallback", "calling 7001 at trunk pbx")), "{outcomes:#?}");
    }

    /// The termination's code, in the record's step too.
    pub fn ended_as(&self, code: &str) {
        assert_eq!(self.record.code(), code, "{:#?}", self.record);
        let Some(Step::Termination { code: told, .. }) = self.record.decisions.last() else {
            panic!("{:#?}", self.record)
        };
        assert_eq!(told, code);
    }

    /// An answered caller heard BYE with this in its `Reason`.
    pub fn was_hung_up_with(&self, reason: &str) {
        assert_eq!((self.pbx.status, self.pbx.ended_by), (Some(200), "far"), "{:#?} {:#?}", self.pbx, self.record);
        let told = self.pbx.reason.as_deref().unwrap_or_default();
        assert!(told.contains(reason), "{told}");
    }

    /// An unanswered caller got this final response.
    pub fn was_refused_with(&self, status: u16, phrase: &str) {
        let refused = (self.pbx.status, self.pbx.phrase.as_deref(), self.pbx.ended_by);
        assert_eq!(refused, (Some(status), Some(phrase), "refused"), "{:#?} {:#?}", self.pbx, self.record);
    }
}

/// What tests ask of a record.
pub trait Reading {
    fn code(&self) -> &'static str;
    fn companion(&self) -> impl Iterator<Item = (&str, &str)>;
    fn happened(&self, from: Lane, to: Lane, what: &str) -> bool;
}

impl Reading for CallRecord {
    fn code(&self) -> &'static str {
        self.termination.as_ref().map_or("none", |termination| termination.cause.entry().code)
    }

    fn companion(&self) -> impl Iterator<Item = (&str, &str)> {
        self.decisions.iter().filter_map(|step| match step {
            Step::Companion { stage, outcome } => Some((stage.as_str(), outcome.as_str())),
            _ => None,
        })
    }

    fn happened(&self, from: Lane, to: Lane, what: &str) -> bool {
        self.timeline.iter().any(|one| one.from == from && one.to == to && one.what.starts_with(what))
    }
}

fn unix_seconds() -> u64 {
    clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
