//! The driver against small HTTP servers on loopback that stand for Daily's REST interface and for the bot's starter.

use super::*;
use crate::config::value::Secret;
use crate::record::CallId;
use crate::room::held::fixture;
use crate::room::{Evidence, Instruction};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Longer than any test takes; only so that a broken one ends.
const GUARD: std::time::Duration = std::time::Duration::from_secs(60);

/// A request as the servers saw it.
#[derive(Debug, Clone)]
struct Seen {
    at: std::time::Instant,
    line: String,
    headers: HeaderMap,
    body: Value,
}

/// What a path answers next; the default is a healthy answer.
enum Script {
    Status(u16, Value, Vec<(&'static str, &'static str)>),
    /// The connection is held and nothing is said.
    Silence,
}

#[derive(Clone, Default)]
struct Cloud {
    seen: Arc<Mutex<Vec<Seen>>>,
    scripts: Arc<Mutex<HashMap<String, VecDeque<Script>>>>,
    arrived: Arc<tokio::sync::Notify>,
}

impl Cloud {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(serve).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    fn script(&self, path: &str, script: Script) {
        self.scripts.lock().unwrap().entry(path.to_owned()).or_default().push_back(script);
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }

    fn request(&self, line: &str) -> Seen {
        self.seen.lock().unwrap().iter().find(|seen| seen.line == line).cloned().expect(line)
    }

    /// Waits for a request.
    async fn arrival(&self, line: &str) {
        let arrived = async {
            loop {
                let notified = self.arrived.notified();
                if self.lines().iter().any(|seen| seen == line) {
                    break;
                }
                notified.await;
            }
        };
        tokio::time::timeout(GUARD, arrived).await.expect(line);
    }
}

async fn serve(State(cloud): State<Cloud>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let line = format!("{method} {path}");
    let name = body["name"].as_str().unwrap_or("lobby").to_owned();
    cloud.seen.lock().unwrap().push(Seen { at: clock::now(), line, headers, body });
    cloud.arrived.notify_waiters();
    let script = cloud.scripts.lock().unwrap().get_mut(&path).and_then(VecDeque::pop_front);
    let (status, answer, headers) = match script {
        Some(Script::Silence) => return std::future::pending().await,
        Some(Script::Status(status, answer, headers)) => (status, answer, headers),
        None => (200, healthy(&path, &name), vec![]),
    };
    let mut response = (StatusCode::from_u16(status).unwrap(), axum::Json(answer)).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn healthy(path: &str, name: &str) -> Value {
    match path {
        "/meeting-tokens" => json!({ "token": "meeting-token" }),
        "/start" => json!({}),
        "/dialin/pinlessCallUpdate" => json!({ "ok": "true" }),
        _ => json!({
            "name": name,
            "url": format!("https://d.example.com/{name}"),
            "config": { "sip_uri": { "endpoint": format!("{name}.0@d.example.com") } },
        }),
    }
}

struct House {
    cloud: Cloud,
    base: String,
    companion: CompanionHandle,
    task: JoinHandle<()>,
    told: mpsc::UnboundedReceiver<(CallId, Instruction)>,
}

impl House {
    async fn new(rooms: &str) -> Self {
        Self::with(rooms, |_| {}).await
    }

    async fn with(rooms: &str, adjust: fn(&mut Settings)) -> Self {
        let cloud = Cloud::default();
        let base = cloud.start().await;
        let mut settings = fixture::settings(&rooms.replace("http://bots.example.com", &base));
        settings.api_url.clone_from(&base);
        adjust(&mut settings);
        let (sender, told) = mpsc::unbounded_channel();
        let sink: Sink = Arc::new(move |call, instruction| drop(sender.send((call, instruction))));
        let (companion, task) = spawn(settings, sink, Arc::new(()), Entropy::seeded(5)).unwrap();
        Self { cloud, base, companion, task, told }
    }

    fn hold(&self) {
        self.companion.report(Report::Placed(fixture::facts()));
        self.companion.report(Report::Answered(fixture::call()));
        self.companion.dial_in(fixture::dial_in("c-1"));
    }

    /// What the SIP side is told, up to the verdict.
    async fn verdict(&mut self) -> Instruction {
        loop {
            let told = tokio::time::timeout(GUARD, self.told.recv()).await.expect("a verdict in time");
            let (call, instruction) = told.expect("the companion lives");
            assert_eq!(call, fixture::call());
            if matches!(instruction, Instruction::Connected | Instruction::Failed { .. }) {
                return instruction;
            }
        }
    }

    async fn failure(&mut self) -> (&'static str, String) {
        match self.verdict().await {
            Instruction::Failed { termination, .. } => {
                (termination.cause.entry().code, termination.detail.unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    }

    /// The room and the ready token, from the bot's start.
    async fn started(&self) -> (String, String) {
        self.cloud.arrival("POST /start").await;
        let body = self.cloud.request("POST /start").body;
        let url = body["ready_url"].as_str().unwrap().to_owned();
        let room = url.trim_end_matches("/ready").rsplit('/').next().unwrap().to_owned();
        (room, body["ready_token"].as_str().unwrap().to_owned())
    }

    async fn stop(self) {
        self.companion.report(Report::Ended(fixture::call()));
        let census = self.companion.census().await;
        assert_eq!((census.calls, census.rooms, census.flights, census.timers), (0, 0, 0, 0));
        self.companion.shutdown();
        tokio::time::timeout(GUARD, self.task).await.expect("it stops").unwrap();
    }
}

#[tokio::test]
async fn a_held_caller_is_connected_to_its_bot() {
    let mut house = House::new(fixture::WITH_BOT).await;
    house.hold();
    let (room, token) = house.started().await;
    assert!(!house.cloud.lines().contains(&"POST /dialin/pinlessCallUpdate".to_owned()), "not before ready");
    let verdict = house.companion.ready(room.clone(), token, None).await;
    assert_eq!(verdict, ReadyVerdict::Accepted);
    assert_eq!(house.verdict().await, Instruction::Connected);

    let lines = ["POST /rooms", "POST /meeting-tokens", "POST /start", "POST /dialin/pinlessCallUpdate"];
    assert_eq!(house.cloud.lines(), lines);
    for line in ["POST /rooms", "POST /meeting-tokens", "POST /dialin/pinlessCallUpdate"] {
        assert_eq!(house.cloud.request(line).headers["authorization"], "Bearer api-key", "{line}");
    }
    let room_request = house.cloud.request("POST /rooms").body;
    assert_eq!((&room_request["name"], &room_request["privacy"]), (&json!(room), &json!("private")));
    let token_request = house.cloud.request("POST /meeting-tokens").body;
    assert_eq!(token_request["properties"]["room_name"], json!(room));
    assert_eq!(token_request["properties"]["exp"], room_request["properties"]["exp"]);
    let start = house.cloud.request("POST /start");
    assert_eq!(start.headers["authorization"], "Bearer bot-key");
    assert_eq!(start.headers["idempotency-key"], fixture::call().as_str());
    assert_eq!(start.headers["traceparent"], start.body["traceparent"].as_str().unwrap());
    assert_eq!(start.body["token"], "meeting-token");
    assert_eq!(start.body["sip_uri"], json!(format!("sip:{room}.0@d.example.com")));
    let update = house.cloud.request("POST /dialin/pinlessCallUpdate").body;
    let expected = json!({ "callId": "c-1", "callDomain": "d-1", "sipUri": format!("sip:{room}.0@d.example.com") });
    assert_eq!(update, expected);
    house.stop().await;
}

#[tokio::test]
async fn an_existing_room_is_looked_up_by_its_escaped_name() {
    let mut house = House::new("[[room]]\nuse = 'big lobby'\nready_token = 'key'\n").await;
    house.hold();
    house.cloud.arrival("GET /rooms/big%20lobby").await;
    let verdict = house.companion.ready("big lobby".to_owned(), "key".to_owned(), None).await;
    assert_eq!(verdict, ReadyVerdict::Accepted);
    assert_eq!(house.verdict().await, Instruction::Connected);
    house.stop().await;
}

#[tokio::test]
async fn what_was_refused_for_a_moment_is_tried_again() {
    let mut house = House::new(fixture::WITH_BOT).await;
    let limited = json!({ "error": "rate-limit-error", "info": "slow down" });
    house.cloud.script("/rooms", Script::Status(429, limited, vec![("retry-after", "0")]));
    house.cloud.script("/start", Script::Status(503, json!({}), vec![]));
    house.cloud.script("/dialin/pinlessCallUpdate", Script::Status(404, json!({}), vec![]));
    house.hold();
    let (room, token) = house.started().await;
    house.companion.ready(room, token, None).await;
    assert_eq!(house.verdict().await, Instruction::Connected);
    let count = |line: &str| house.cloud.lines().iter().filter(|seen| *seen == line).count();
    assert_eq!((count("POST /rooms"), count("POST /dialin/pinlessCallUpdate")), (2, 2));
    house.stop().await;
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_who_refused() {
    let rows = [
        ("/rooms", 401, "room_failed", "401 authentication-error: no such key"),
        ("/meeting-tokens", 400, "token_failed", "400 authentication-error: no such key"),
        ("/start", 500, "bot_failed", "500 authentication-error: no such key"),
    ];
    for (path, status, code, detail) in rows {
        let mut house = House::new(fixture::WITH_BOT).await;
        let body = json!({ "error": "authentication-error", "info": "no such key" });
        house.cloud.script(path, Script::Status(status, body, vec![]));
        house.hold();
        assert_eq!(house.failure().await, (code, detail.to_owned()));
        house.stop().await;
    }
}

#[tokio::test]
async fn an_update_that_gets_no_answer_is_not_sent_twice() {
    let mut house =
        House::with(fixture::WITH_BOT, |settings| settings.rest_timeout = std::time::Duration::from_secs(2)).await;
    house.cloud.script("/dialin/pinlessCallUpdate", Script::Silence);
    house.hold();
    let (room, token) = house.started().await;
    house.companion.ready(room, token, None).await;
    let (code, detail) = house.failure().await;
    assert_eq!(code, "update_failed");
    assert!(detail.contains("no answer in time") && detail.contains("not repeated"), "{detail}");
    assert_eq!(house.cloud.lines().iter().filter(|line| line.contains("pinlessCallUpdate")).count(), 1);
    house.stop().await;
}

#[tokio::test]
async fn an_event_settles_an_update_in_doubt() {
    let mut house = House::with(fixture::WITH_BOT, |settings| settings.evidence = Evidence::Events).await;
    house.cloud.script("/dialin/pinlessCallUpdate", Script::Status(502, json!({}), vec![]));
    house.hold();
    let (room, token) = house.started().await;
    house.companion.ready(room.clone(), token, None).await;
    house.cloud.arrival("POST /dialin/pinlessCallUpdate").await;
    let kind = crate::room::daily::webhook::EventKind::Connected;
    house.companion.event(Event { id: None, kind, room, call: None });
    assert_eq!(house.verdict().await, Instruction::Connected);
    house.stop().await;
}

/// Counted from the first that could leave, so that a busy machine can only make the bound easier to keep.
#[tokio::test]
async fn hundreds_of_callers_at_once_cause_no_more_requests_than_the_budget() {
    let limits = crate::room::budget::Limits { all: 100, updates: Some(40) };
    let mut house = House::with("[[room]]\n", |_| {}).await;
    let settings = Settings { limits, api_url: house.base.clone(), ..fixture::settings("[[room]]\n") };
    let (sender, told) = mpsc::unbounded_channel();
    let sink: Sink = Arc::new(move |call, instruction| drop(sender.send((call, instruction))));
    house.companion.shutdown();
    (house.companion, house.task) = spawn(settings, sink, Arc::new(()), Entropy::seeded(5)).unwrap();
    house.told = told;
    let start = clock::now();
    for number in 0..200 {
        let call = fixture::numbered_call(number);
        house.companion.report(Report::Placed(fixture::facts_of(call.clone())));
        house.companion.dial_in(fixture::dial_in_of(&call, &format!("c-{number}")));
    }
    let mut verdicts = 0;
    while verdicts < 200 {
        let told = tokio::time::timeout(GUARD, house.told.recv()).await.expect("verdicts in time");
        match told.expect("the companion lives").1 {
            // Nobody joins these rooms, so that Daily's event has to say that they are ready.
            Instruction::Decided(crate::record::Step::Companion { stage, outcome }) if stage == "room" => {
                let Some(room) = outcome.strip_suffix(" created") else { continue };
                let kind = crate::room::daily::webhook::EventKind::Ready(None);
                house.companion.event(Event { id: None, kind, room: room.to_owned(), call: None });
            }
            Instruction::Connected | Instruction::Failed { .. } => verdicts += 1,
            _ => {}
        }
    }
    let seen = house.cloud.seen.lock().unwrap().clone();
    let check = |limit: u32, times: Vec<std::time::Instant>| {
        let (burst, rate) = (limit / 5, limit - limit / 5 + 1);
        for (before, at) in times.iter().enumerate() {
            let allowed = f64::from(burst) + at.duration_since(start).as_secs_f64() * f64::from(rate);
            assert!(before as f64 <= allowed, "{} requests after {:?}", before + 1, at.duration_since(start));
        }
    };
    check(100, seen.iter().map(|seen| seen.at).collect());
    check(40, seen.iter().filter(|seen| seen.line.contains("pinless")).map(|seen| seen.at).collect());
    assert!(seen.len() > 300, "{} requests", seen.len());
}

#[tokio::test]
async fn a_port_where_nobody_listens_proves_that_nothing_was_sent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = Settings { api_url: format!("http://{closed}"), ..fixture::settings("") };
    let client = Client::new(&settings).unwrap();
    let update = || crate::room::request::Request::Update {
        call_id: "c".to_owned(),
        call_domain: "d".to_owned(),
        sip_uri: "sip:a@example.com".to_owned(),
    };
    let failure = client.perform(update()).await.outcome.unwrap_err();
    assert_eq!(failure.kind, crate::room::request::FailureKind::NotSent);
    let settings = Settings { api_url: "no url".to_owned(), ..settings };
    let failure = Client::new(&settings).unwrap().perform(update()).await.outcome.unwrap_err();
    assert_eq!(failure.kind, crate::room::request::FailureKind::Impossible);
}

#[tokio::test]
async fn what_succeeds_without_saying_what_is_needed_is_unreadable() {
    for (path, answer, code) in [
        ("/rooms", json!("a room"), "room_failed"),
        ("/rooms", json!({ "url": "u" }), "room_failed"),
        ("/meeting-tokens", json!({ "token": 7 }), "token_failed"),
    ] {
        let mut house = House::new(fixture::WITH_BOT).await;
        house.cloud.script(path, Script::Status(200, answer, vec![]));
        house.hold();
        assert_eq!(house.failure().await.0, code);
        house.stop().await;
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_takes_the_request_along() {
    let house = House::new(fixture::WITH_BOT).await;
    house.cloud.script("/rooms", Script::Silence);
    house.hold();
    house.cloud.arrival("POST /rooms").await;
    assert_eq!(house.companion.census().await.flights, 1);
    house.companion.report(Report::Ended(fixture::call()));
    assert_eq!(house.companion.census().await.flights, 0);
    let cloud = house.cloud.clone();
    house.stop().await;
    assert_eq!(cloud.lines(), ["POST /rooms"]);
}

#[tokio::test]
async fn after_the_shutdown_nothing_happens_and_nothing_hangs() {
    let house = House::new(fixture::WITH_BOT).await;
    house.cloud.script("/rooms", Script::Silence);
    house.hold();
    house.cloud.arrival("POST /rooms").await;
    house.companion.shutdown();
    tokio::time::timeout(GUARD, house.task).await.expect("it stops").unwrap();
    house.companion.report(Report::Placed(fixture::facts()));
    assert_eq!(house.companion.ready("r".to_owned(), "t".to_owned(), None).await, ReadyVerdict::UnknownRoom);
    assert_eq!(house.companion.census().await, Census::default());
}

#[tokio::test]
async fn the_task_ends_with_its_last_handle() {
    let house = House::new(fixture::WITH_BOT).await;
    drop(house.companion);
    tokio::time::timeout(GUARD, house.task).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn reports_come_from_threads_that_know_no_runtime() {
    let mut house = House::new("").await;
    let companion = house.companion.clone();
    std::thread::spawn(move || companion.report(Report::Placed(fixture::facts()))).join().unwrap();
    assert_eq!(house.failure().await.0, "no_room_plan");
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let settings = fixture::settings(fixture::WITH_BOT);
    let client = Client::new(&settings).unwrap();
    for shown in [format!("{settings:?}"), format!("{client:?}")] {
        assert!(!shown.contains("api-key") && !shown.contains("bot-key"), "{shown}");
    }
    let product = crate::room::request::Product::Token(Secret::new("meeting-token"));
    assert!(!format!("{product:?}").contains("meeting-token"));
}
