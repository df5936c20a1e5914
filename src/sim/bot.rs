//! A simulated bot and its starter: checks the start request against the contract, joins the room, waits for
//! `dialin-ready` and reports it, as a real bot would, and misbehaves where it is told to.

use super::observation::{Observation, Observer, Violations, locked};
use super::task::Task;
use super::web::{self, Server};
use crate::clock;
use crate::record::moment::Lane;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Fields of the start request that have to be non-empty strings.
const STRINGS: [&str; 15] = [
    "/room_url",
    "/token",
    "/sip_uri",
    "/call_id",
    "/ready_url",
    "/ready_token",
    "/caller",
    "/called",
    "/traceparent",
    "/dialin_settings/call_id",
    "/dialin_settings/call_domain",
    "/dialin_settings/From",
    "/dialin_settings/To",
    "/dialin_settings/from",
    "/dialin_settings/to",
];

/// How a bot is set up.
#[derive(Debug, Clone)]
pub struct BotOptions {
    /// Listener; port 0 picks one.
    pub listen: SocketAddr,
    /// The bearer token that the start request must carry.
    pub token: Option<String>,
    /// What it does wrong.
    pub misbehaviour: BotMisbehaviour,
    /// Who is told.
    pub observer: Observer,
}

/// What a bot does wrong on purpose.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BotMisbehaviour {
    /// Answer the start request with this status
    #[arg(long)]
    pub bot_status: Option<u16>,
    /// Milliseconds before the start request is answered
    #[arg(long, default_value_t = 0)]
    pub bot_delay_ms: u64,
    /// Never join the room
    #[arg(long)]
    pub bot_never_joins: bool,
    /// Join, but never report ready
    #[arg(long)]
    pub bot_never_ready: bool,
    /// Report ready at once, before dialin-ready
    #[arg(long)]
    pub bot_early_ready: bool,
    /// Report ready twice
    #[arg(long)]
    pub bot_duplicate_ready: bool,
    /// Report ready with another token than the one given
    #[arg(long)]
    pub bot_wrong_token: bool,
    /// With `connect = "bot"`: never connect the caller
    #[arg(long)]
    pub bot_never_connects: bool,
    /// With `connect = "bot"`: never say that the caller is connected
    #[arg(long)]
    pub bot_never_tells: bool,
    /// Leave the room this many milliseconds after ready
    #[arg(long)]
    pub bot_leaves_after_ms: Option<u64>,
}

/// A running bot starter. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Bot {
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Debug)]
struct Shared {
    options: BotOptions,
    client: reqwest::Client,
    violations: Violations,
    starts: Mutex<Vec<Value>>,
    sessions: Mutex<Vec<Task>>,
}

/// What one bot works with.
struct Session {
    shared: Arc<Shared>,
    call_id: String,
    room: String,
    base: String,
    token: String,
    sip_uri: String,
    ready_url: String,
    ready_token: String,
    /// Where to report and what to send, if connecting the caller is the bot's affair.
    errand: Option<Errand>,
}

/// `connect = "bot"`.
struct Errand {
    connected_url: String,
    api_key: String,
    call_id: String,
    call_domain: String,
}

// === impl BotOptions ===

impl Default for BotOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
            misbehaviour: BotMisbehaviour::default(),
            observer: Observer::silent(),
        }
    }
}

// === impl Bot ===

impl Bot {
    /// Opens its listener.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn start(options: BotOptions) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            client: web::client(Duration::from_secs(40))?,
            violations: Violations::default(),
            starts: Mutex::default(),
            sessions: Mutex::default(),
            options,
        });
        let router = axum::Router::new().route("/start", axum::routing::post(start)).with_state(Arc::clone(&shared));
        let server = Server::start(shared.options.listen, router).await?;
        Ok(Self { shared, server })
    }

    /// What a room plan's `start_url` has to be.
    #[must_use]
    pub fn start_url(&self) -> String {
        format!("http://{}/start", self.server.address())
    }

    /// The bodies of all start requests so far.
    #[must_use]
    pub fn starts(&self) -> Vec<Value> {
        locked(&self.shared.starts).clone()
    }

    /// What the gateway did wrong.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations.list()
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        locked(&self.shared.sessions).clear();
    }
}

async fn start(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let call_id = field(&body, "/call_id");
    let seen = Observation::new(&call_id, Lane::Trunkline, Lane::Bot, "POST start");
    let seen = seen.detail(format!("caller {} called {}", field(&body, "/caller"), field(&body, "/called")));
    shared.options.observer.saw(seen.also(room_name(&field(&body, "/room_url"))));
    let wrong = &shared.options.misbehaviour;
    if wrong.bot_delay_ms > 0 {
        clock::sleep(Duration::from_millis(wrong.bot_delay_ms)).await;
    }
    locked(&shared.starts).push(body.clone());
    let status = match (wrong.bot_status, judge(&shared, &headers, &body)) {
        (Some(status), _) | (None, Err(status)) => status,
        (None, Ok(())) => 200,
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    shared.options.observer.saw(Observation::new(&call_id, Lane::Bot, Lane::Trunkline, status.as_u16().to_string()));
    if !status.is_success() {
        return (status, Json(json!({ "error": "bot not started" }))).into_response();
    }
    let session = Session::new(Arc::clone(&shared), &body);
    let mut sessions = locked(&shared.sessions);
    sessions.retain(|task| !task.is_finished());
    sessions.push(Task::spawn(session.run()));
    Json(json!({ "started": true })).into_response()
}

/// Whether the request is as the contract says; what is wrong is recorded.
fn judge(shared: &Shared, headers: &HeaderMap, body: &Value) -> Result<(), u16> {
    if let Some(token) = &shared.options.token {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if bearer.and_then(|value| value.strip_prefix("Bearer ")) != Some(token) {
            shared.violations.add("bot start without its bearer token");
            return Err(401);
        }
    }
    let missing: Vec<&str> = STRINGS.into_iter().filter(|pointer| field(body, pointer).is_empty()).collect();
    if !missing.is_empty() {
        shared.violations.add(format!("bot start lacks {}", missing.join(" ")));
    }
    if !body.pointer("/dialin_settings/sip_headers").is_some_and(Value::is_object) {
        shared.violations.add("bot start lacks /dialin_settings/sip_headers");
        return Err(400);
    }
    if !field(body, "/sip_uri").starts_with("sip:") {
        shared.violations.add("sip_uri of the bot start has no scheme");
    }
    if missing.is_empty() { Ok(()) } else { Err(400) }
}

fn field(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn room_name(room_url: &str) -> String {
    room_url.rsplit('/').next().unwrap_or_default().to_owned()
}

// === impl Session ===

impl Session {
    fn new(shared: Arc<Shared>, body: &Value) -> Self {
        let room_url = field(body, "/room_url");
        let room = room_name(&room_url);
        Self {
            shared,
            call_id: field(body, "/call_id"),
            base: room_url.strip_suffix(&format!("/{room}")).unwrap_or(&room_url).to_owned(),
            room,
            token: field(body, "/token"),
            sip_uri: field(body, "/sip_uri"),
            ready_url: field(body, "/ready_url"),
            ready_token: field(body, "/ready_token"),
            errand: (field(body, "/connect") == "bot").then(|| Errand {
                connected_url: field(body, "/connected_url"),
                api_key: field(body, "/daily_api_key"),
                call_id: field(body, "/dialin_settings/call_id"),
                call_domain: field(body, "/dialin_settings/call_domain"),
            }),
        }
    }

    async fn run(self) {
        let wrong = self.shared.options.misbehaviour.clone();
        if wrong.bot_early_ready {
            self.report(&self.sip_uri).await;
        }
        if wrong.bot_never_joins || !self.join().await {
            return;
        }
        let Some(endpoint) = self.wait_for_ready().await else { return };
        if wrong.bot_never_ready {
            return;
        }
        if !wrong.bot_early_ready {
            self.report(&endpoint).await;
        }
        if wrong.bot_duplicate_ready {
            self.report(&endpoint).await;
        }
        if let Some(errand) = self.errand.as_ref().filter(|_| !wrong.bot_never_connects)
            && self.connect(errand, &endpoint).await
            && !wrong.bot_never_tells
        {
            let _ = self.shared.client.post(&errand.connected_url).bearer_auth(&self.ready_token).send().await;
        }
        if let Some(milliseconds) = wrong.bot_leaves_after_ms {
            clock::sleep(Duration::from_millis(milliseconds)).await;
            let _ = self.shared.client.post(self.sim("leave")).send().await;
        }
    }

    fn sim(&self, action: &str) -> String {
        format!("{}/sim/rooms/{}/{action}", self.base, self.room)
    }

    async fn join(&self) -> bool {
        let answer = self.shared.client.post(self.sim("join")).bearer_auth(&self.token).send().await;
        let joined = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
        if !joined {
            self.shared
                .violations
                .add(format!("the bot could not join {} with what it was given: {answer:?}", self.room));
        }
        joined
    }

    async fn wait_for_ready(&self) -> Option<String> {
        let answer = self.shared.client.get(self.sim("dialin-ready")).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        body.pointer("/sipEndpoint").and_then(Value::as_str).map(str::to_owned)
    }

    /// `pinlessCallUpdate`, as Pipecat's Daily transport does by itself.
    async fn connect(&self, errand: &Errand, endpoint: &str) -> bool {
        let update = json!({ "callId": errand.call_id, "callDomain": errand.call_domain, "sipUri": endpoint });
        let request = self.shared.client.post(format!("{}/v1/dialin/pinlessCallUpdate", self.base));
        let request = request.bearer_auth(&errand.api_key).header("x-simulated-bot", "1").json(&update);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }

    async fn report(&self, endpoint: &str) {
        let observer = &self.shared.options.observer;
        observer.saw(Observation::new(&self.call_id, Lane::Bot, Lane::Trunkline, "POST ready").detail(endpoint));
        let token = if self.shared.options.misbehaviour.bot_wrong_token { "another" } else { &self.ready_token };
        let request =
            self.shared.client.post(&self.ready_url).bearer_auth(token).json(&json!({ "sipEndpoint": endpoint }));
        let status = request.send().await.map(|answer| answer.status().as_u16());
        let what = status.as_ref().map_or_else(|_| "no answer".to_owned(), u16::to_string);
        observer.saw(Observation::new(&self.call_id, Lane::Trunkline, Lane::Bot, what));
        let expected = !self.shared.options.misbehaviour.bot_wrong_token;
        if expected && !status.as_ref().is_ok_and(|status| (200..300).contains(status)) {
            self.shared.violations.add(format!("ready of {} was not accepted: {status:?}", self.call_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({
            "room_url": "http://127.0.0.1:1/call-1", "token": "t", "sip_uri": "sip:call-1.0@sip.example.com",
            "call_id": "tl00-0123456789abcdef01234567", "ready_url": "http://127.0.0.1:1/rooms/call-1/ready",
            "ready_token": "r", "caller": "+15550101", "called": "+15550100",
            "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
            "dialin_settings": {
                "call_id": "c", "call_domain": "d", "From": "sip:a@example.com", "To": "sip:b@example.com",
                "from": "sip:a@example.com", "to": "sip:b@example.com", "sip_headers": {},
            },
        })
    }

    fn shared(token: Option<&str>) -> Shared {
        Shared {
            options: BotOptions { token: token.map(str::to_owned), ..BotOptions::default() },
            client: web::client(Duration::from_secs(1)).unwrap(),
            violations: Violations::default(),
            starts: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    #[test]
    fn a_complete_start_is_accepted_and_says_where_the_room_is() {
        let shared = Arc::new(shared(None));
        assert_eq!(judge(&shared, &HeaderMap::new(), &body()), Ok(()));
        assert_eq!(shared.violations.list(), Vec::<String>::new());
        let session = Session::new(shared, &body());
        assert_eq!(session.sim("join"), "http://127.0.0.1:1/sim/rooms/call-1/join");
    }

    #[test]
    fn every_missing_field_is_named() {
        for pointer in STRINGS {
            let (shared, mut body) = (shared(None), body());
            *body.pointer_mut(pointer).unwrap() = Value::Null;
            assert_eq!(judge(&shared, &HeaderMap::new(), &body), Err(400), "{pointer}");
            assert!(shared.violations.list()[0].contains(pointer));
        }
    }

    #[test]
    fn a_start_without_the_bearer_token_is_refused() {
        let shared = shared(Some("secret"));
        assert_eq!(judge(&shared, &HeaderMap::new(), &body()), Err(401));
    }
}
