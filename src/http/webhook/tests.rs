//! The webhook listener from outside, one request at a time.

use super::*;
use crate::clock::Entropy;
use crate::config::value::Secret;
use crate::record::CallId;
use crate::room::daily::verify;
use crate::room::held::fixture::{self, Counts};
use crate::room::{Instruction, Report, Sink};
use axum::http::{Method, Request};
use axum::response::Response;
use std::time::UNIX_EPOCH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tower::ServiceExt as _;

const PINLESS: &str = "9jyatvPWQfBymCGDOYPYKF/TRZXR+08Gj4bvPF78pH0=";
const EVENTS: &str = "bm90IHRoZSBzYW1lIHNlY3JldA==";
const GUARD: Duration = Duration::from_secs(60);

struct Door {
    router: Router,
    companion: CompanionHandle,
    counts: Arc<Counts>,
    told: mpsc::UnboundedReceiver<(CallId, Instruction)>,
}

impl Door {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: fn(&mut Webhooks)) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let sink: Sink = Arc::new(move |call, instruction| drop(sender.send((call, instruction))));
        let counts = Arc::new(Counts::default());
        let settings = fixture::settings("[[room]]\nuse = 'lobby'\nready_token = 'lobby-key'\n");
        let (companion, _task) =
            crate::room::spawn(settings, sink, Arc::clone(&counts) as _, Entropy::seeded(1)).unwrap();
        let skew = Duration::from_secs(300);
        let mut webhooks = Webhooks {
            companion: companion.clone(),
            dialin: Verifier::pinless(&[Secret::new(PINLESS)], skew).unwrap(),
            events: Some(Verifier::events(&[Secret::new(EVENTS)], skew).unwrap()),
            meter: Arc::clone(&counts) as _,
            patience: GUARD,
        };
        adjust(&mut webhooks);
        Self { router: router(webhooks), companion, counts, told }
    }

    async fn send(&self, request: Request<Body>) -> (u16, String) {
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let problem = response.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
        assert_eq!(problem, !status.is_success(), "{status}");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn status(&self, request: Request<Body>) -> u16 {
        self.send(request).await.0
    }

    /// What was counted, after everything that was handed over was taken.
    async fn counted(&self) -> Vec<(&'static str, &'static str)> {
        self.companion.census().await;
        self.counts.all()
    }

    fn hold(&self) {
        self.companion.report(Report::Placed(fixture::facts()));
    }
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

fn signed(path: &str, kind: &str, secret: &str, body: &str) -> Request<Body> {
    let timestamp = clock::wall().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
    let signature = verify::sign(&Secret::new(secret), &timestamp, body.as_bytes()).unwrap();
    Request::post(path)
        .header(format!("X-{kind}-Timestamp"), timestamp)
        .header(format!("X-{kind}-Signature"), signature)
        .body(body.to_owned().into())
        .unwrap()
}

fn dialin(body: &str) -> Request<Body> {
    signed("/daily/dialin", "Pinless", PINLESS, body)
}

fn event(body: &str) -> Request<Body> {
    signed("/daily/events", "Webhook", EVENTS, body)
}

fn ready(room: &str, token: &str, body: &str) -> Request<Body> {
    Request::post(format!("/rooms/{room}/ready"))
        .header("authorization", format!("Bearer {token}"))
        .body(body.to_owned().into())
        .unwrap()
}

fn announcement() -> String {
    let call = fixture::call();
    format!(r#"{{"From":"a","To":"b","callId":"c-1","callDomain":"d-1","sipHeaders":{{"X-Trunkline-Call":"{call}"}}}}"#)
}

#[tokio::test]
async fn a_signed_webhook_reaches_its_call() {
    let mut door = Door::new();
    door.hold();
    assert_eq!(door.send(dialin(&announcement())).await, (200, "{}".to_owned()));
    let named = async {
        while let Some((call, told)) = door.told.recv().await {
            if let Instruction::Named(names) = told {
                return (call, names.call_id);
            }
        }
        panic!("it was never named");
    };
    let named = tokio::time::timeout(GUARD, named).await.unwrap();
    assert_eq!(named, (fixture::call(), "c-1".to_owned()));
    assert_eq!(door.counted().await, [("dialin", "accepted")]);
}

#[tokio::test]
async fn a_webhook_is_answered_alike_whether_its_call_is_ours_or_not_and_however_often_it_comes() {
    let door = Door::new();
    for _ in 0..3 {
        assert_eq!(door.status(dialin(r#"{"callId":"x","callDomain":"d"}"#)).await, 200);
    }
    let expected = [("dialin", "unmatched"), ("dialin", "duplicate"), ("dialin", "duplicate")];
    assert_eq!(door.counted().await, expected);
}

#[tokio::test]
async fn a_probe_is_answered_though_nobody_signed_it_and_starts_nothing() {
    let door = Door::new();
    for body in [r#"{"To":"+15550100"}"#, r#"{"test":"test"}"#, "{}"] {
        assert_eq!(door.status(post("/daily/dialin", body)).await, 200, "{body}");
        assert_eq!(door.status(post("/daily/events", body)).await, 200, "{body}");
    }
    let census = door.companion.census().await;
    assert_eq!((census.early, census.remembered), (0, 0));
    assert!(door.counted().await.iter().all(|(_, result)| *result == "probe"));
}

#[tokio::test]
async fn whatever_has_a_call_id_needs_a_signature() {
    let door = Door::new();
    door.hold();
    let body = announcement();
    for body in [body.as_str(), r#"{"callId":null}"#, r#"{"callId":""}"#, r#"{"callId":7}"#] {
        assert_eq!(door.status(post("/daily/dialin", body.to_owned())).await, 401, "{body}");
    }
    assert_eq!(door.status(signed("/daily/dialin", "Pinless", EVENTS, &body)).await, 401, "another secret");
    assert_eq!(door.status(signed("/daily/dialin", "Webhook", PINLESS, &body)).await, 401, "other headers");
    let mut twice = dialin(&body);
    let value = twice.headers()["x-pinless-signature"].clone();
    twice.headers_mut().append("x-pinless-signature", value);
    assert_eq!(door.status(twice).await, 401, "two signatures");
    let old = Request::post("/daily/dialin")
        .header("x-pinless-timestamp", "1717171717")
        .header("x-pinless-signature", verify::sign(&Secret::new(PINLESS), "1717171717", body.as_bytes()).unwrap());
    assert_eq!(door.status(old.body(body.into()).unwrap()).await, 401, "an old one");
    assert_eq!(door.companion.census().await.remembered, 0);
    assert_eq!(door.counted().await, [("dialin", "unauthorized"); 8]);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_bad_request() {
    let door = Door::new();
    for body in ["", "{", "[]", "\"x\"", "callId=1"] {
        assert_eq!(door.status(post("/daily/dialin", body)).await, 400, "{body}");
    }
    assert_eq!(door.status(dialin(r#"{"callId":"c"}"#)).await, 400, "no callDomain");
    assert_eq!(door.status(dialin(r#"{"callId":[],"callDomain":"d"}"#)).await, 400, "callId is no text");
    assert_eq!(door.status(event(r#"{"type":"dialin.ready","payload":{}}"#)).await, 400, "no room");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_with_and_without_its_length() {
    let door = Door::new();
    let long = "x".repeat(LONGEST_BODY + 1);
    for path in ["/daily/dialin", "/daily/events", "/rooms/lobby/ready"] {
        assert_eq!(door.status(post(path, long.clone())).await, 413, "{path}");
    }
    let just = format!(r#"{{"test":"{}"}}"#, "x".repeat(LONGEST_BODY - 11));
    assert_eq!(just.len(), LONGEST_BODY);
    assert_eq!(door.status(post("/daily/dialin", just)).await, 200);
}

#[tokio::test]
async fn other_paths_and_methods_do_not_exist() {
    let door = Door::new();
    for path in ["/", "/daily", "/daily/dialin/", "/daily/Dialin", "/rooms/ready", "/rooms/a/b/ready", "/daily/trunks"]
    {
        assert_eq!(door.status(post(path, "{}")).await, 404, "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let request = Request::builder().method(method).uri("/daily/dialin").body(Body::empty()).unwrap();
        let response = door.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn endpoints_of_later_versions_are_refused_by_name() {
    let door = Door::new();
    for path in ["/daily/trunk", "/signalwire/voice", "/signalwire/swml", "/signalwire/status"] {
        assert_eq!(door.status(post(path, "{}")).await, 501, "{path}");
    }
    assert!(door.counted().await.is_empty());
}

#[tokio::test]
async fn events_are_believed_only_when_signed() {
    let door = Door::new();
    door.hold();
    let body = r#"{"type":"dialin.ready","id":"e-1","payload":{"room":"lobby","sip_endpoint":"lobby@example.com"}}"#;
    assert_eq!(door.status(post("/daily/events", body)).await, 401);
    assert_eq!(door.status(signed("/daily/events", "Webhook", PINLESS, body)).await, 401);
    assert_eq!(door.status(event(body)).await, 200);
    assert_eq!(door.status(event(body)).await, 200);
    assert_eq!(door.status(event(r#"{"type":"meeting.started","payload":{}}"#)).await, 200);
    let expected =
        ["unauthorized", "unauthorized", "accepted", "duplicate", "ignored"].map(|result| ("events", result));
    let mut counted = door.counted().await;
    counted.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(counted, expected);
}

#[tokio::test]
async fn events_are_refused_where_no_secret_is_configured() {
    let door = Door::with(|webhooks| webhooks.events = None);
    assert_eq!(door.status(event(r#"{"type":"dialin.ready","payload":{"room":"lobby"}}"#)).await, 403);
    assert_eq!(door.status(post("/daily/events", r#"{"test":"test"}"#)).await, 200, "so that it can be set up");
}

#[tokio::test]
async fn ready_needs_the_rooms_token() {
    let door = Door::new();
    assert_eq!(door.status(ready("lobby", "lobby-key", "")).await, 404, "no call is held");
    door.hold();
    assert_eq!(door.status(post("/rooms/lobby/ready", "")).await, 401);
    assert_eq!(door.status(ready("lobby", "guess", "")).await, 401);
    let mut twice = ready("lobby", "lobby-key", "");
    twice.headers_mut().append("authorization", "Bearer guess".parse().unwrap());
    assert_eq!(door.status(twice).await, 401);
    let basic = Request::post("/rooms/lobby/ready").header("authorization", "Basic lobby-key");
    assert_eq!(door.status(basic.body(Body::empty()).unwrap()).await, 401);
    assert_eq!(door.status(ready("elsewhere", "lobby-key", "")).await, 404);
    assert_eq!(door.status(ready("lobby", "lobby-key", "")).await, 200);
    let expected =
        ["unknown_room", "unauthorized", "unauthorized", "unauthorized", "unauthorized", "unknown_room", "accepted"];
    assert_eq!(door.counted().await, expected.map(|result| ("ready", result)));
}

#[tokio::test]
async fn a_ready_signal_may_name_its_endpoint_or_not() {
    let door = Door::new();
    door.hold();
    for body in
        ["", " ", "{}", r#"{"sipEndpoint":null}"#, r#"{"sipEndpoint":""}"#, r#"{"sipEndpoint":"r@example.com"}"#]
    {
        assert_eq!(door.status(ready("lobby", "lobby-key", body)).await, 200, "{body}");
    }
    for body in ["[]", "{", "x", r#"{"sipEndpoint":7}"#, r#"{"sipEndpoint":"nowhere"}"#, r#"{"sipEndpoint":"a b@c"}"#] {
        assert_eq!(door.status(ready("lobby", "lobby-key", body)).await, 400, "{body}");
    }
}

#[tokio::test]
async fn nothing_answers_5xx_even_when_the_companion_is_gone() {
    let door = Door::new();
    door.companion.shutdown();
    assert_eq!(door.status(dialin(&announcement())).await, 200);
    assert_eq!(door.status(event(r#"{"type":"dialin.ready","payload":{"room":"lobby"}}"#)).await, 200);
    assert_eq!(door.status(ready("lobby", "lobby-key", "")).await, 404);
}

#[tokio::test]
async fn a_client_that_dawdles_is_sent_away() {
    let door = Door::with(|webhooks| webhooks.patience = Duration::from_millis(20));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, door.router.clone()).into_future());
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"POST /daily/dialin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(GUARD, client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    server.abort();
    assert_eq!(door.counted().await, [("dialin", "timeout")]);
}
