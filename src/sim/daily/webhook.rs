//! The signed requests that a simulated Daily sends: `room_creation_api` for a held call and `dialin.ready`.

use super::{DailyCall, Shared, TimestampUnit, WebhookFault};
use crate::clock;
use crate::record::moment::Lane;
use crate::sim::observation::{Observation, locked};
use crate::sim::web;
use serde_json::json;
use std::time::{Duration, UNIX_EPOCH};

/// A signed request about to leave.
struct Letter {
    url: String,
    body: String,
    timestamp: String,
    signature: Option<String>,
    headers: [&'static str; 2],
}

/// Sends the webhook of a held call as the call's misbehaviour has it; the statuses of the answers.
pub(super) async fn announce(shared: &Shared, call: &DailyCall, fault: WebhookFault) -> Vec<u16> {
    let Some(url) = locked(&shared.state).webhook.clone() else {
        shared.violation(format!("call {}: no room_creation_api is set", call.call_id));
        return vec![];
    };
    let mut body = json!({
        "To": call.to,
        "From": call.from,
        "callId": call.call_id,
        "callDomain": call.call_domain,
    });
    let headers = if fault == WebhookFault::WithoutHeaders { serde_json::Map::new() } else { call.sip_headers.clone() };
    if let Some(fields) = body.as_object_mut() {
        fields.insert("sipHeaders".to_owned(), headers.into());
    }
    let letter = pinless(shared, url, body.to_string(), fault);
    let repeats = match fault {
        WebhookFault::Missing => 0,
        WebhookFault::Duplicate => 2,
        _ => 1,
    };
    let mut answers = vec![];
    for _ in 0..repeats {
        let seen = Observation::new(&call.sip_call_id, Lane::Webhook, Lane::Trunkline, "POST dialin");
        shared.options.observer.saw(seen.detail(format!("callId {}", call.call_id)).also(&call.call_id));
        let status = send(shared, &letter).await;
        let what = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        shared.options.observer.saw(Observation::new(&call.sip_call_id, Lane::Trunkline, Lane::Webhook, what));
        answers.extend(status);
    }
    answers
}

/// Tells the domain webhook that a room is ready, if there is one.
pub(super) async fn ready(shared: &Shared, room: &str, endpoint: &str) {
    let payload = json!({ "room": room, "sip_endpoint": format!("sip:{endpoint}") });
    event(shared, "dialin.ready", room, payload).await;
}

/// Tells the domain webhook that a caller is in a room, if there is one.
pub(super) async fn connected(shared: &Shared, call_id: &str) {
    let call = locked(&shared.state).calls().into_iter().find(|call| call.call_id == call_id);
    let Some((call, room)) = call.and_then(|call| call.room.clone().map(|room| (call, room))) else { return };
    let payload = json!({
        "room": room, "session_id": call.call_id, "sip_from": call.from, "display_name": "caller",
        "sip_headers": call.sip_headers,
    });
    event(shared, "dialin.connected", &room, payload).await;
}

async fn event(shared: &Shared, kind: &str, room: &str, mut payload: serde_json::Value) {
    let Some(url) = locked(&shared.state).events.clone() else { return };
    let now = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = locked(&shared.state).uuid();
    if let Some(payload) = payload.as_object_mut() {
        payload.insert("timestamp".to_owned(), json!(now.as_secs_f64()));
        payload.insert("domain_id".to_owned(), json!("simulated-domain"));
    }
    let body = json!({ "version": "1.0.0", "type": kind, "id": id, "payload": payload, "event_ts": now.as_secs_f64() });
    let body = body.to_string();
    let timestamp = timestamp(TimestampUnit::Ms, Duration::ZERO);
    let secret = locked(&shared.state).events_hmac.clone();
    let signature = web::sign(&secret, &timestamp, body.as_bytes()).ok();
    let letter = Letter { url, body, timestamp, signature, headers: ["X-Webhook-Timestamp", "X-Webhook-Signature"] };
    shared.options.observer.saw(Observation::new(room, Lane::Webhook, Lane::Trunkline, format!("POST {kind}")));
    if send(shared, &letter).await != Some(200) {
        shared.violation(format!("{kind} of {room} was not answered with 200"));
    }
}

fn pinless(shared: &Shared, url: String, body: String, fault: WebhookFault) -> Letter {
    let age = if fault == WebhookFault::Stale { Duration::from_secs(3_600) } else { Duration::ZERO };
    let timestamp = timestamp(shared.options.timestamp, age);
    let own = locked(&shared.state).hmac.clone();
    let secret = if fault == WebhookFault::WrongSignature { "YW5vdGhlciBzZWNyZXQ=" } else { &own };
    let signature = web::sign(secret, &timestamp, body.as_bytes());
    if let Err(problem) = &signature {
        shared.violation(problem);
    }
    let signature = signature.ok().filter(|_| fault != WebhookFault::Unsigned);
    Letter { url, body, timestamp, signature, headers: ["X-Pinless-Timestamp", "X-Pinless-Signature"] }
}

fn timestamp(unit: TimestampUnit, age: Duration) -> String {
    let at = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(age);
    match unit {
        TimestampUnit::Ms => at.as_millis().to_string(),
        TimestampUnit::S => at.as_secs().to_string(),
    }
}

async fn send(shared: &Shared, letter: &Letter) -> Option<u16> {
    let [timestamp, signature] = letter.headers;
    let mut request = shared.client.post(&letter.url).header("Content-Type", "application/json");
    if let Some(value) = &letter.signature {
        request = request.header(timestamp, &letter.timestamp).header(signature, value);
    }
    match request.body(letter.body.clone()).send().await {
        Ok(answer) => Some(answer.status().as_u16()),
        Err(error) => {
            tracing::debug!(%error, url = %letter.url, "webhook");
            None
        }
    }
}
