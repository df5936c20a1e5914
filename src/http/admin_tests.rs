//! The admin listener as its callers see it, with a gateway of three calls behind it.

use super::*;
use crate::config::admin::{Admin, Token};
use crate::config::value::Secret;
use crate::error::{Cause, Termination};
use crate::http::peers::{BanStatus, HealthStatus, TargetStatus, Trouble, TrunkStatus};
use crate::record::Step;
use crate::trunk::health::Standing;
use axum::body::Body;
use axum::http::{HeaderMap, Method};
use ipnet::IpNet;
use std::sync::Mutex;
use tower::ServiceExt as _;

const LIVE: &str = "tl00-0000000000000001aaaaaaaa";
const OVER: &str = "tl01-0000000000000002bbbbbbbb";

struct Gateway {
    readiness: Mutex<Readiness>,
    calls: Vec<Arc<CallRecord>>,
    asked: Mutex<Vec<Filter>>,
    banned: Mutex<Vec<IpNet>>,
}

impl Gateway {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            readiness: Mutex::new(Readiness::Ready),
            calls: vec![Arc::new(record(LIVE, CallState::Connected)), Arc::new(record(OVER, CallState::Ended))],
            asked: Mutex::default(),
            banned: Mutex::default(),
        })
    }
}

impl Peers for Gateway {
    fn trunks(&self) -> Vec<TrunkStatus> {
        let peers = vec!["192.0.2.10".to_owned()];
        vec![TrunkStatus {
            name: "pbx".to_owned(),
            peers,
            address: None,
            calls: 2,
            max_calls: None,
            contacts: vec![],
            health: health(),
        }]
    }

    fn targets(&self) -> Vec<TargetStatus> {
        let uri = "sip:bot@sip.example.com".to_owned();
        vec![TargetStatus {
            name: "daily".to_owned(),
            uri,
            calls: 2,
            max_calls: Some(9),
            registration: None,
            health: health(),
        }]
    }

    fn bans(&self) -> Vec<BanStatus> {
        let banned = self.banned.lock().unwrap();
        let until = "2026-01-01T00:00:00Z";
        let status = |net: &IpNet| BanStatus { source: net.to_string(), reason: "operator", until: until.to_owned() };
        banned.iter().map(status).collect()
    }

    fn ban(&self, source: IpNet, time: Option<Duration>) -> Result<(), String> {
        if time == Some(Duration::ZERO) {
            return Err("that is no time".to_owned());
        }
        self.banned.lock().unwrap().push(source);
        Ok(())
    }

    fn unban(&self, source: IpNet) -> bool {
        let mut banned = self.banned.lock().unwrap();
        let before = banned.len();
        banned.retain(|net| *net != source);
        banned.len() != before
    }
}

fn health() -> HealthStatus {
    let last_error =
        Trouble { at: "2026-01-01T00:00:00Z".to_owned(), text: "no answer in time".to_owned(), remedy: "look" };
    HealthStatus {
        state: Standing::Down,
        since: Some("2026-01-01T00:00:01Z".to_owned()),
        heard: None,
        last_error: Some(last_error),
        rests_until: None,
        keepalive: None,
    }
}

impl Operations for Gateway {
    fn readiness(&self) -> Readiness {
        self.readiness.lock().unwrap().clone()
    }

    fn calls(&self, filter: Filter) -> Answer<'_, Vec<Arc<CallRecord>>> {
        let calls = self.calls.iter().filter(|call| filter.wants(call)).take(filter.limit).cloned().collect();
        self.asked.lock().unwrap().push(filter);
        Box::pin(async { calls })
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<Arc<CallRecord>>> {
        Box::pin(async move { self.calls.iter().find(|call| call.call_id == id).cloned() })
    }

    fn hang_up(&self, id: CallId) -> Answer<'_, HangUp> {
        Box::pin(async move {
            match self.calls.iter().find(|call| call.call_id == id).map(|call| call.state) {
                None => HangUp::Unknown,
                Some(CallState::Ended) => HangUp::Over,
                Some(_) => HangUp::Ending,
            }
        })
    }

    fn explain(&self, ask: Ask) -> Answer<'_, Result<serde_json::Value, String>> {
        Box::pin(async move {
            match ask.trunk.as_deref() {
                Some("unknown") => Err("there is no such trunk".to_owned()),
                _ => Ok(serde_json::json!({ "asked": format!("{ask:?}") })),
            }
        })
    }

    fn drain(&self) -> Answer<'_, Readiness> {
        *self.readiness.lock().unwrap() = Readiness::Draining { calls: 1, reasons: vec![] };
        Box::pin(async { self.readiness() })
    }
}

fn record(id: &str, state: CallState) -> CallRecord {
    CallRecord {
        call_id: CallId::parse(id).unwrap(),
        pbx_call_id: "1@192.0.2.1".to_owned(),
        cloud_call_id: None,
        started: std::time::UNIX_EPOCH,
        state,
        trunk: Some("pbx".to_owned()),
        target: Some("daily".to_owned()),
        fallback: None,
        caller: Some("+15550100123".to_owned()),
        correlation: std::collections::BTreeMap::new(),
        called: Some("+15550100999".to_owned()),
        answered_ms: Some(120),
        duration_ms: None,
        ended_by: None,
        termination: (state == CallState::Ended).then(|| Termination::new(Cause::CallerHungUp)),
        daily: None,
        media: Default::default(),
        decisions: vec![Step::Admission { gate: "max_calls".to_owned(), verdict: "granted".to_owned() }],
        timeline: vec![],
    }
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answered {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn ask_with(gateway: &Arc<Gateway>, section: &Admin, method: Method, path: &str, token: &str) -> Answered {
    let router = router(Arc::clone(gateway) as Arc<dyn Operations>, Metrics::new(), Access::new(section));
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answered { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn ask(gateway: &Arc<Gateway>, method: Method, path: &str) -> Answered {
    ask_with(gateway, &Admin::default(), method, path, "").await
}

#[tokio::test]
async fn health_is_live_always_and_ready_until_the_gateway_drains() {
    let gateway = Gateway::new();
    assert_eq!(ask(&gateway, Method::GET, "/health/live").await.status, 200);
    let ready = ask(&gateway, Method::GET, "/health/ready").await;
    assert_eq!((ready.status, ready.json()["status"].clone()), (200, "ready".into()));

    let order = ask(&gateway, Method::POST, "/api/drain").await;
    assert_eq!((order.status, order.json()["status"].clone()), (202, "draining".into()));

    let ready = ask(&gateway, Method::GET, "/health/ready").await;
    assert_eq!((ready.status, ready.json()["calls"].clone()), (503, 1.into()));
    assert_eq!(ask(&gateway, Method::GET, "/health/live").await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_cannot_take_calls_says_why() {
    let gateway = Gateway::new();
    *gateway.readiness.lock().unwrap() = Readiness::Unable { reasons: vec![Reason::of(Cause::NoMediaPort)] };
    let ready = ask(&gateway, Method::GET, "/health/ready").await;
    let reason = &ready.json()["reasons"][0];
    assert_eq!((ready.status, reason["code"].clone()), (503, "no_media_port".into()));
    assert!(reason["remedy"].as_str().is_some_and(|remedy| remedy.contains("ports")));
}

#[tokio::test]
async fn trunks_and_targets_show_how_they_stand_and_what_to_do() {
    let gateway = Gateway::new();
    let trunks = ask(&gateway, Method::GET, "/api/trunks").await.json();
    assert_eq!((&trunks["trunks"][0]["name"], &trunks["trunks"][0]["state"]), (&"pbx".into(), &"down".into()));
    let targets = ask(&gateway, Method::GET, "/api/targets").await.json();
    assert_eq!(targets["targets"][0]["last_error"]["remedy"], "look");
    assert_eq!(targets["targets"][0]["max_calls"], 9);
}

#[tokio::test]
async fn a_ban_by_hand_is_made_shown_and_lifted() {
    let gateway = Gateway::new();
    let ban = async |body: &'static str| {
        let router =
            router(Arc::clone(&gateway) as Arc<dyn Operations>, Metrics::new(), Access::new(&Admin::default()));
        let request = Request::builder().method(Method::POST).uri("/api/bans").body(Body::from(body)).unwrap();
        router.oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ban(r#"{"source":"203.0.113.77/24","seconds":60}"#).await, 201);
    assert_eq!(ban(r#"{"source":"203.0.113.9","seconds":0}"#).await, 409);
    assert_eq!(ban(r#"{"source":"nobody"}"#).await, 400);
    assert_eq!(ban(r#"{"source":"203.0.113.9","for":"1h"}"#).await, 400);
    assert_eq!(ask(&gateway, Method::GET, "/api/bans").await.json()["bans"][0]["source"], "203.0.113.0/24");
    assert_eq!(ask(&gateway, Method::DELETE, "/api/bans/203.0.113.0/24").await.status, 204);
    assert_eq!(ask(&gateway, Method::DELETE, "/api/bans/203.0.113.0%2F24").await.status, 404);
    assert_eq!(ask(&gateway, Method::DELETE, "/api/bans/nobody").await.status, 400);
}

#[tokio::test]
async fn metrics_are_served_in_the_type_that_prometheus_asks_for() {
    let page = ask(&Gateway::new(), Method::GET, "/metrics").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers[header::CONTENT_TYPE], metrics::CONTENT_TYPE);
    assert!(page.body.contains("trunkline_calls_active 0"));
}

#[tokio::test]
async fn the_list_of_calls_keeps_to_the_filter() {
    let gateway = Gateway::new();
    let all = ask(&gateway, Method::GET, "/api/calls").await.json();
    assert_eq!(all["calls"].as_array().unwrap().len(), 2);
    assert_eq!(all["calls"][0]["call_id"], LIVE);
    assert_eq!(all["calls"][1]["reason"], "caller_hung_up");
    assert!(all["calls"][0].get("decisions").is_none(), "a list shows no decision records");

    let some = ask(&gateway, Method::GET, "/api/calls?state=ended&trunk=pbx&limit=1").await.json();
    assert_eq!(some["calls"][0]["call_id"], OVER);
    let none = ask(&gateway, Method::GET, "/api/calls?since=60").await.json();
    assert_eq!(none["calls"].as_array().unwrap().len(), 0);
    assert_eq!(gateway.asked.lock().unwrap()[1].limit, 1);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_a_problem_not_an_empty_list() {
    let gateway = Gateway::new();
    for query in ["state=asleep", "limit=0", "limit=1001", "limit=ten", "colour=red", "since=-1"] {
        let answer = ask(&gateway, Method::GET, &format!("/api/calls?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
    }
}

#[tokio::test]
async fn one_call_is_shown_whole() {
    let answer = ask(&Gateway::new(), Method::GET, &format!("/api/calls/{LIVE}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["decisions"][0]["gate"], "max_calls");
    assert_eq!(answer.json()["started"], "1970-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_name_that_no_call_has_is_not_found_whatever_it_looks_like() {
    let gateway = Gateway::new();
    for id in ["tl00-ffffffffffffffffffffffff", "..%2F..%2Fetc%2Fpasswd", "1"] {
        for method in [Method::GET, Method::DELETE] {
            let answer = ask(&gateway, method, &format!("/api/calls/{id}")).await;
            assert_eq!((answer.status, answer.json()["code"].clone()), (404, "not_found".into()), "{id}");
        }
    }
}

#[tokio::test]
async fn an_operator_ends_a_live_call_once() {
    let gateway = Gateway::new();
    assert_eq!(ask(&gateway, Method::DELETE, &format!("/api/calls/{LIVE}")).await.status, 202);
    let over = ask(&gateway, Method::DELETE, &format!("/api/calls/{OVER}")).await;
    assert_eq!((over.status, over.json()["code"].clone()), (409, "call_over".into()));
}

#[tokio::test]
async fn roles_divide_reading_acting_and_changing() {
    let token = |role, token: &str| Token { name: token.to_owned(), role, token: Secret::new(token) };
    let tokens = vec![token(Role::Viewer, "v"), token(Role::Operator, "o"), token(Role::Admin, "a")];
    let section = Admin { listen: ([0, 0, 0, 0], 0).into(), tokens };
    let call = format!("/api/calls/{LIVE}");
    let rows = [
        (Method::GET, "/health/ready", [200, 200, 200, 200]),
        (Method::GET, "/metrics", [401, 200, 200, 200]),
        (Method::GET, "/api/calls", [401, 200, 200, 200]),
        (Method::GET, call.as_str(), [401, 200, 200, 200]),
        (Method::DELETE, call.as_str(), [401, 403, 202, 202]),
        (Method::POST, "/api/drain", [401, 403, 403, 202]),
        (Method::GET, "/api/trunks", [401, 200, 200, 200]),
        (Method::GET, "/api/bans", [401, 200, 200, 200]),
        (Method::DELETE, "/api/bans/192.0.2.1", [401, 403, 404, 404]),
    ];
    for (method, path, wanted) in rows {
        for (token, status) in ["", "v", "o", "a"].into_iter().zip(wanted) {
            let answer = ask_with(&Gateway::new(), &section, method.clone(), path, token).await;
            assert_eq!(answer.status, status, "{method} {path} with `{token}`");
            assert_eq!(answer.headers.contains_key(header::WWW_AUTHENTICATE), status == 401);
        }
    }
}

#[tokio::test]
async fn what_a_later_version_will_have_is_named_as_such() {
    for (method, path) in [
        (Method::GET, "/".to_owned()),
        (Method::GET, "/openapi.json".to_owned()),
        (Method::POST, "/api/calls".to_owned()),
        (Method::GET, format!("/api/calls/{LIVE}/ladder.svg")),
        (Method::GET, format!("/api/calls/{LIVE}/capture.pcap")),
        (Method::POST, format!("/api/calls/{LIVE}/transfer")),
        (Method::POST, "/api/reload".to_owned()),
    ] {
        let answer = ask(&Gateway::new(), method, &path).await;
        assert_eq!((answer.status, answer.json()["detail"].clone()), (501, "not in this version".into()), "{path}");
    }
}

#[tokio::test]
async fn every_answer_is_hardened_and_every_error_is_a_problem() {
    for (method, path, status) in
        [(Method::GET, "/nothing", 404), (Method::PUT, "/api/drain", 405), (Method::GET, "/health/live", 200)]
    {
        let answer = ask(&Gateway::new(), method, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        if status != 200 {
            assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(answer.json()["status"], status);
        }
    }
}

#[tokio::test]
async fn explain_hands_the_question_on_and_tells_the_askers_mistakes() {
    let answer = ask(&Gateway::new(), Method::POST, "/api/explain?trunk=pbx&source=192.0.2.1&call_id=1").await;
    assert_eq!(answer.status, 200);
    let asked = answer.json()["asked"].as_str().unwrap().to_owned();
    for part in ["Some(\"pbx\")", "Some(192.0.2.1)", "Some(\"1\")"] {
        assert!(asked.contains(part), "{asked}");
    }
    let answer = ask(&Gateway::new(), Method::POST, "/api/explain?trunk=unknown").await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (422, "not_explained".into()));
    for path in ["/api/explain?source=somewhere", "/api/explain?colour=red"] {
        assert_eq!(ask(&Gateway::new(), Method::POST, path).await.status, 400, "{path}");
    }
    assert_eq!(ask(&Gateway::new(), Method::GET, "/api/explain").await.status, 405);
}
