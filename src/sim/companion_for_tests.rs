//! The smallest thing that can stand where the gateway's companion stands: webhook in, room, token, bot, update out.
//! It lets the simulators be tested against each other; what it leaves out (retries, deadlines) is the gateway's work.

use super::observation::locked;
use super::web::{self, Server};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) struct Companion {
    server: Server,
}

struct Shared {
    api: String,
    key: String,
    hmac: String,
    bot: String,
    client: reqwest::Client,
    base: Mutex<String>,
    held: Mutex<HashMap<String, Value>>,
    updates: u32,
}

impl Companion {
    pub(super) async fn start(api: String, key: &str, hmac: &str, bot: String, updates: u32) -> Self {
        let shared = Arc::new(Shared {
            api,
            key: key.to_owned(),
            hmac: hmac.to_owned(),
            bot,
            client: web::client(Duration::from_secs(5)).unwrap(),
            base: Mutex::default(),
            held: Mutex::default(),
            updates,
        });
        let router = axum::Router::new()
            .route("/daily/dialin", axum::routing::post(dialin))
            .route("/rooms/{room}/ready", axum::routing::post(ready))
            .with_state(Arc::clone(&shared));
        let server = Server::start("127.0.0.1:0".parse().unwrap(), router).await.unwrap();
        *locked(&shared.base) = format!("http://{}", server.address());
        Self { server }
    }

    pub(super) fn webhook(&self) -> String {
        format!("http://{}/daily/dialin", self.server.address())
    }
}

async fn dialin(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let timestamp = header("x-pinless-timestamp");
    let expected = web::sign(&shared.hmac, &timestamp, &body).unwrap();
    let now = crate::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let fresh = timestamp.parse::<u64>().is_ok_and(|at| now.abs_diff(at / 1_000).min(now.abs_diff(at)) < 300);
    if header("x-pinless-signature") != expected || !fresh {
        return StatusCode::UNAUTHORIZED;
    }
    let call: Value = serde_json::from_slice(&body).unwrap();
    tokio::spawn(prepare(shared, call));
    StatusCode::OK
}

async fn post(shared: &Shared, url: String, body: &Value) -> Option<Value> {
    let answer = shared.client.post(url).bearer_auth(&shared.key).json(body).send().await.ok()?;
    if answer.status().is_success() { answer.json().await.ok() } else { None }
}

async fn prepare(shared: Arc<Shared>, call: Value) -> Option<()> {
    let sip = json!({ "properties": { "sip": { "sip_mode": "dial-in", "display_name": "caller" } } });
    let room = post(&shared, format!("{}/rooms", shared.api), &sip).await?;
    let name = room["name"].as_str()?.to_owned();
    let properties = json!({ "properties": { "room_name": name, "is_owner": true } });
    let token = post(&shared, format!("{}/meeting-tokens", shared.api), &properties).await?;
    locked(&shared.held).insert(name.clone(), call.clone());
    let base = locked(&shared.base).clone();
    let start = json!({
        "room_url": room["url"], "token": token["token"],
        "sip_uri": format!("sip:{}", room["config"]["sip_uri"]["endpoint"].as_str()?),
        "call_id": "tl00-0123456789abcdef01234567", "ready_url": format!("{base}/rooms/{name}/ready"),
        "ready_token": "r", "caller": call["sipHeaders"]["x-caller"], "called": call["sipHeaders"]["x-called"],
        "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        "dialin_settings": {
            "call_id": call["callId"], "call_domain": call["callDomain"], "From": call["From"], "To": call["To"],
            "from": call["From"], "to": call["To"], "sip_headers": call["sipHeaders"],
        },
    });
    post(&shared, shared.bot.clone(), &start).await.map(drop)
}

async fn ready(State(shared): State<Arc<Shared>>, Path(room): Path<String>, Json(body): Json<Value>) -> StatusCode {
    let Some(call) = locked(&shared.held).get(&room).cloned() else { return StatusCode::NOT_FOUND };
    let update = json!({ "callId": call["callId"], "callDomain": call["callDomain"], "sipUri": body["sipEndpoint"] });
    for _ in 0..shared.updates {
        post(&shared, format!("{}/dialin/pinlessCallUpdate", shared.api), &update).await;
    }
    StatusCode::OK
}
