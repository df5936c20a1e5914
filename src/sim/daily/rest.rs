//! The REST interface of a simulated Daily (`/v1`), and beside it what bots and scripts need of the simulation (`/sim`).

use super::rooms::Update;
use super::{DailyCall, Endpoint, Misbehaviour, RestFault, Shared, webhook};
use crate::clock;
use crate::record::moment::Lane;
use crate::sim::observation::{Observation, locked};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a bot may wait for `dialin-ready` with one request.
const LONG_POLL: Duration = Duration::from_secs(30);

pub(super) type Held = State<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> axum::Router {
    axum::Router::new()
        .route("/v1/rooms", post(create_room))
        .route("/v1/rooms/{name}", get(show_room).delete(delete_room))
        .route("/v1/meeting-tokens", post(create_token))
        .route("/v1/dialin/pinlessCallUpdate", post(update_call))
        .route("/sim/rooms/{name}/join", post(join))
        .route("/sim/rooms/{name}/leave", post(leave))
        .route("/sim/rooms/{name}/dialin-ready", get(wait_for_ready))
        .route("/sim/calls", get(calls))
        .route("/sim/violations", get(violations))
        .route("/sim/misbehaviour", post(misbehave))
        .route("/sim/rest-faults", post(break_rest))
        .merge(super::provisioning::router())
        .with_state(shared)
}

/// What every REST request has to pass: delay, scripted failure, key. `key` names the call for the ladder.
pub(super) async fn admit(
    shared: &Shared,
    headers: &HeaderMap,
    endpoint: Endpoint,
    seen: Observation,
) -> Result<(), Response> {
    let call = seen.call.clone();
    shared.options.observer.saw(seen);
    if !shared.options.rest_delay.is_zero() {
        clock::sleep(shared.options.rest_delay).await;
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let fault = locked(&shared.state).fault(endpoint);
    let refusal = match (fault, bearer.map(|value| value.strip_prefix("Bearer "))) {
        (Some(429), _) => problem(429, "rate-limit-error", "too many requests"),
        (Some(status), _) => problem(status, "server-error", "as scripted"),
        (None, None | Some(None)) => {
            shared.violation("REST request without bearer key");
            problem(400, "authorization-header-error", "missing or malformed authorization header")
        }
        (None, Some(Some(key))) if key != shared.options.api_key => {
            shared.violation("REST request with a wrong key");
            problem(401, "authentication-error", "invalid api key")
        }
        _ => return Ok(()),
    };
    answered(shared, &call, refusal.status());
    Err(refusal)
}

fn problem(status: u16, error: &str, info: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": error, "info": info }))).into_response()
}

fn answered(shared: &Shared, call: &str, status: StatusCode) {
    shared.options.observer.saw(Observation::new(call, Lane::Rest, Lane::Trunkline, status.as_u16().to_string()));
}

pub(super) fn done(shared: &Shared, call: &str, body: Value) -> Response {
    answered(shared, call, StatusCode::OK);
    Json(body).into_response()
}

pub(super) fn refuse(shared: &Shared, call: &str, status: u16, error: &str, info: &str) -> Response {
    let response = problem(status, error, info);
    answered(shared, call, response.status());
    response
}

fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str)
}

async fn create_room(State(shared): Held, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let name = text(&body, "/name").map(str::to_owned);
    let name = name.unwrap_or_else(|| format!("room-{}", locked(&shared.state).entropy.hex(12)));
    let seen = Observation::new(&name, Lane::Trunkline, Lane::Rest, "POST /rooms").detail(&name);
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Rooms, seen).await {
        return refusal;
    }
    let invalid = |info: &str| refuse(&shared, &name, 400, "invalid-request-error", info);
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !plain || name.is_empty() || name.len() > 128 {
        return invalid("name may hold letters, digits, - and _");
    }
    let sip = body.pointer("/properties/sip").filter(|sip| !sip.is_null());
    if let Some(sip) = sip
        && (text(sip, "/sip_mode") != Some("dial-in") || text(sip, "/display_name").is_none())
    {
        return invalid("sip needs display_name and sip_mode \"dial-in\"");
    }
    let now = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    if body.pointer("/properties/exp").and_then(Value::as_u64).is_some_and(|exp| exp <= now) {
        return invalid("exp is in the past (it is Unix seconds)");
    }
    let endpoint = sip.map(|_| format!("{name}.0@simulated.sip.example.com"));
    if !locked(&shared.state).open_room(&name, endpoint) {
        return invalid("a room of this name already exists");
    }
    let description = describe(&shared, &name, body.get("properties"));
    done(&shared, &name, description)
}

/// The answer to creating and to showing a room.
fn describe(shared: &Shared, name: &str, properties: Option<&Value>) -> Value {
    let mut state = locked(&shared.state);
    let base = state.api.map(|address| format!("http://{address}")).unwrap_or_default();
    let endpoint = state.room(name).and_then(|room| room.endpoint.clone());
    let mut config = properties.cloned().unwrap_or_else(|| json!({}));
    if let (Some(fields), Some(endpoint)) = (config.as_object_mut(), endpoint) {
        fields.insert("sip_uri".to_owned(), json!({ "endpoint": endpoint }));
    }
    let created = crate::record::moment::rfc3339(clock::wall());
    json!({
        "id": state.uuid(), "name": name, "api_created": true, "privacy": "public",
        "url": format!("{base}/{name}"), "created_at": created, "config": config,
    })
}

async fn show_room(State(shared): Held, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let seen = Observation::new(&name, Lane::Trunkline, Lane::Rest, "GET /rooms").detail(&name);
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Room, seen).await {
        return refusal;
    }
    let known = locked(&shared.state).room(&name).is_some();
    if known { done(&shared, &name, describe(&shared, &name, None)) } else { missing(&shared, &name) }
}

async fn delete_room(State(shared): Held, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let seen = Observation::new(&name, Lane::Trunkline, Lane::Rest, "DELETE /rooms").detail(&name);
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Room, seen).await {
        return refusal;
    }
    let known = locked(&shared.state).close_room(&name);
    if known { done(&shared, &name, json!({ "deleted": true, "name": name })) } else { missing(&shared, &name) }
}

fn missing(shared: &Shared, name: &str) -> Response {
    refuse(shared, name, 404, "not-found", &format!("room {name} not found"))
}

async fn create_token(State(shared): Held, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let name = text(&body, "/properties/room_name").unwrap_or_default().to_owned();
    let seen = Observation::new(&name, Lane::Trunkline, Lane::Rest, "POST /meeting-tokens");
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Tokens, seen).await {
        return refusal;
    }
    if name.is_empty() {
        // Daily allows it, but such a token opens every room of the domain.
        shared.violation("a token without room_name was asked for");
    }
    let token = {
        let mut state = locked(&shared.state);
        let token = format!("token-{}", state.entropy.hex(24));
        state.room(&name).map(|room| {
            room.tokens.push(token.clone());
            token
        })
    };
    match token {
        Some(token) => done(&shared, &name, json!({ "token": token })),
        None => missing(&shared, &name),
    }
}

async fn update_call(State(shared): Held, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let field = |name: &str| text(&body, name).unwrap_or_default().to_owned();
    let (call_id, call_domain, sip_uri) = (field("/callId"), field("/callDomain"), field("/sipUri"));
    // The simulated bot shows who it is; a real one looks like anybody with the key.
    let from = if headers.contains_key("x-simulated-bot") { Lane::Bot } else { Lane::Trunkline };
    let seen = Observation::new(&call_id, from, Lane::Rest, "POST pinlessCallUpdate").detail(&sip_uri);
    if let Err(refusal) = admit(&shared, &headers, Endpoint::Update, seen).await {
        return refusal;
    }
    if [&call_id, &call_domain, &sip_uri].into_iter().any(String::is_empty) {
        shared.violation("pinlessCallUpdate with missing fields");
        return refuse(&shared, &call_id, 400, "invalid-request-error", "Missing fields");
    }
    let update = locked(&shared.state).update(&call_id, &call_domain, &sip_uri);
    match update {
        Update::Done(room) => {
            let seen = Observation::new(&call_id, Lane::Rest, Lane::Trunkline, "200").detail("connected").also(room);
            shared.options.observer.saw(seen);
            let shared = Arc::clone(&shared);
            shared.clone().in_background(async move { webhook::connected(&shared, &call_id).await });
            Json(json!({ "ok": "true" })).into_response()
        }
        Update::Dropped(violation) => {
            shared.violation(violation);
            done(&shared, &call_id, json!({ "ok": "true" }))
        }
        Update::Refused { status, violation } => {
            violation.into_iter().for_each(|violation| shared.violation(violation));
            refuse(&shared, &call_id, status, "call-forwarding-failed", "Call Forwarding Failed")
        }
    }
}

async fn join(State(shared): Held, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let endpoint = {
        let mut state = locked(&shared.state);
        let Some(room) = state.room(&name) else { return missing(&shared, &name) };
        if !room.tokens.iter().any(|known| known == token) {
            drop(state);
            shared.violation(format!("somebody tried to join {name} without a token of that room"));
            return problem(403, "forbidden-error", "token is not for this room");
        }
        room.joined = true;
        room.endpoint.clone()
    };
    shared.options.observer.saw(Observation::new(&name, Lane::Bot, Lane::Rest, "joins").detail(&name));
    if let Some(endpoint) = endpoint.filter(|_| !shared.options.never_ready) {
        shared.in_background(become_ready(Arc::clone(&shared), name, endpoint));
    }
    Json(json!({})).into_response()
}

/// The SIP worker of the room registers some time after the session began.
async fn become_ready(shared: Arc<Shared>, name: String, endpoint: String) {
    clock::sleep(shared.options.ready_delay).await;
    let fired = {
        let mut state = locked(&shared.state);
        let room = state.room(&name).filter(|room| room.joined);
        room.is_some_and(|room| !room.ready.send_replace(true))
    };
    if fired {
        let seen = Observation::new(&name, Lane::CloudSip, Lane::Bot, "dialin-ready").detail(format!("sip:{endpoint}"));
        shared.options.observer.saw(seen);
        webhook::ready(&shared, &name, &endpoint).await;
    }
}

async fn leave(State(shared): Held, Path(name): Path<String>) -> Response {
    shared.options.observer.saw(Observation::new(&name, Lane::Bot, Lane::Rest, "leaves").detail(&name));
    locked(&shared.state).leave_room(&name);
    Json(json!({})).into_response()
}

async fn wait_for_ready(State(shared): Held, Path(name): Path<String>) -> Response {
    let (mut ready, endpoint) = {
        let mut state = locked(&shared.state);
        let Some(room) = state.room(&name) else { return missing(&shared, &name) };
        (room.ready.subscribe(), room.endpoint.clone())
    };
    let waited = tokio::time::timeout(LONG_POLL, ready.wait_for(|ready| *ready)).await;
    match (waited, endpoint) {
        (Ok(Ok(_)), Some(endpoint)) => Json(json!({ "sipEndpoint": format!("sip:{endpoint}") })).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn calls(State(shared): Held) -> Json<Vec<DailyCall>> {
    Json(locked(&shared.state).calls())
}

async fn violations(State(shared): Held) -> Json<Vec<String>> {
    Json(shared.violations.list())
}

async fn misbehave(State(shared): Held, Json(misbehaviour): Json<Misbehaviour>) -> StatusCode {
    locked(&shared.state).misbehaviour = misbehaviour;
    StatusCode::NO_CONTENT
}

async fn break_rest(State(shared): Held, Json(faults): Json<Vec<RestFault>>) -> StatusCode {
    locked(&shared.state).rest_faults = faults;
    StatusCode::NO_CONTENT
}
