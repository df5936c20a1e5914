//! The webhook listener when no call is held: who may start something, and what everybody else is told.

use crate::world::{Setup, World};
use serde_json::json;
use trunkline::sim::web;

const CALL: &str = r#"{"callId":"c-1","callDomain":"d-1","From":"sip:a@example.com","To":"sip:b@example.com"}"#;

async fn nothing_happened(mut world: World) {
    world.nothing_was_started();
    assert!(world.gateway.calls().await.is_empty());
    world.close().await;
}

#[tokio::test]
async fn a_probe_without_call_id_is_200_and_starts_nothing() {
    let world = Setup::default().start().await;
    for body in [r#"{"Test":"test"}"#, r#"{"test":"test"}"#, r#"{"To":"+12025550100"}"#, "{}"] {
        assert_eq!(world.post("/daily/dialin", &[], body.to_owned()).await, 200, "{body}");
        let forged = [("X-Pinless-Timestamp", "1"), ("X-Pinless-Signature", "AAAA")];
        assert_eq!(world.post("/daily/dialin", &forged, body.to_owned()).await, 200, "{body}");
    }
    assert_eq!(world.post("/daily/events", &[], "{}".to_owned()).await, 200);
    nothing_happened(world).await;
}

#[tokio::test]
async fn a_call_that_is_not_signed_as_it_should_be_is_401() {
    let world = Setup::default().start().await;
    let now = trunkline::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let hmac = trunkline::sim::daily::DailyOptions::default().hmac;
    let events = trunkline::sim::daily::DailyOptions::default().events_hmac;
    let signed = |secret: &str, at: u64, body: &str| {
        let at = at.to_string();
        let signature = web::sign(secret, &at, body.as_bytes()).unwrap();
        (at, signature)
    };
    let cases = [
        signed(&events, now, CALL),
        signed(&hmac, now - 3_600, CALL),
        signed(&hmac, now + 3_600, CALL),
        signed(&hmac, now, "{}"),
        (now.to_string(), String::new()),
        (String::new(), signed(&hmac, now, CALL).1),
        (format!("{now}0"), signed(&hmac, now, CALL).1),
    ];
    for (at, signature) in &cases {
        let headers = [("X-Pinless-Timestamp", at.as_str()), ("X-Pinless-Signature", signature.as_str())];
        assert_eq!(world.post("/daily/dialin", &headers, CALL.to_owned()).await, 401, "{at} {signature}");
    }
    let (at, signature) = signed(&hmac, now, CALL);
    for headers in [
        vec![],
        vec![("X-Pinless-Timestamp", at.as_str())],
        vec![("X-Pinless-Signature", signature.as_str())],
        vec![("X-Webhook-Timestamp", at.as_str()), ("X-Webhook-Signature", signature.as_str())],
    ] {
        assert_eq!(world.post("/daily/dialin", &headers, CALL.to_owned()).await, 401, "{headers:?}");
    }
    nothing_happened(world).await;
}

#[tokio::test]
async fn a_signed_call_of_nobody_is_200_and_starts_nothing() {
    let world = Setup::default().start().await;
    assert_eq!(world.announce(&serde_json::from_str(CALL).unwrap()).await, 200);
    for headers in [json!({}), json!(null), json!([]), json!("x"), json!({ "x-trunkline-call": "tl00-none" })] {
        let body = json!({ "callId": headers.to_string(), "callDomain": "d", "sipHeaders": headers });
        assert_eq!(world.announce(&body).await, 200, "{body}");
    }
    nothing_happened(world).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_the_senders_fault_and_never_ours() {
    let world = Setup::default().start().await;
    let (deep, long) = ("[".repeat(50_000), format!("{{\"a\":\"{}\"}}", "x".repeat(70_000)));
    for (body, status) in
        [("", 400), ("null", 400), ("[]", 400), ("{", 400), ("\u{0}", 400), (&deep, 400), (&long, 413)]
    {
        assert_eq!(world.post("/daily/dialin", &[], body.to_owned()).await, status, "{:.20}", body);
    }
    for broken in [json!({ "callId": null }), json!({ "callId": "", "callDomain": "d" }), json!({ "callId": "c" })] {
        assert_eq!(world.post("/daily/dialin", &[], broken.to_string()).await, 401, "{broken}");
        assert_eq!(world.announce(&broken).await, 400, "{broken}");
    }
    let event = r#"{"type":"dialin.ready","payload":{"room":"r"}}"#;
    assert_eq!(world.post("/daily/events", &[], event.to_owned()).await, 403, "no events_hmac");
    assert_eq!(world.post("/rooms/nobody/ready", &[], String::new()).await, 401);
    assert_eq!(world.post("/rooms/nobody/ready", &[("Authorization", "Bearer x")], String::new()).await, 404);
    assert_eq!(world.post("/somewhere", &[], String::new()).await, 404);
    let answer =
        world.http.get(format!("http://{}/daily/dialin", world.gateway.addresses().http)).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    nothing_happened(world).await;
}
