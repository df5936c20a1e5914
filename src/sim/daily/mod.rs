//! A simulated Daily: the static SIP address with its hold music, the signed webhook, the REST interface and the rooms.
//! It follows what is known of the product and turns every misuse of it (an early update, a second one, a wrong key)
//! into a recorded violation, because the real one would only drop the call.

mod account;
mod call;
mod misbehaviour;
mod provisioning;
mod rest;
mod rooms;
mod webhook;

pub use misbehaviour::{Endpoint, Misbehaviour, RestFault, Stage, WebhookFault};

use super::leg::Timing;
use super::line::{Line, Reporting};
use super::observation::{Observer, Violations, locked};
use super::rtp::Heard;
use super::task::Task;
use super::web::{self, Server};
use crate::clock::Entropy;
use crate::record::moment::Lane;
use rooms::State;
use serde::Serialize;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How a simulated Daily is set up.
#[derive(Debug, Clone)]
pub struct DailyOptions {
    /// SIP socket; port 0 picks one.
    pub sip: SocketAddr,
    /// REST listener; port 0 picks one.
    pub api: SocketAddr,
    /// User part of the static address.
    pub user: String,
    /// `room_creation_api`; may be set later with [`Daily::announce_to`].
    pub webhook: Option<String>,
    /// The domain webhook for `dialin.ready`, if any.
    pub events: Option<String>,
    /// The key that REST requests must bear.
    pub api_key: String,
    /// Secret of the pinless entry, base64.
    pub hmac: String,
    /// Secret of the domain webhook, base64.
    pub events_hmac: String,
    /// Unit of the webhook's timestamp.
    pub timestamp: TimestampUnit,
    /// From a bot's joining to `dialin-ready`.
    pub ready_delay: Duration,
    /// `dialin-ready` never comes.
    pub never_ready: bool,
    /// Before every REST answer.
    pub rest_delay: Duration,
    /// REST failures.
    pub rest_faults: Vec<RestFault>,
    /// Dial-in entries that are there already.
    pub entries: Vec<serde_json::Value>,
    /// Domain webhooks that are there already.
    pub webhooks: Vec<serde_json::Value>,
    /// No answer shows a secret.
    pub hide_secrets: bool,
    /// What is wrong with every call.
    pub misbehaviour: Misbehaviour,
    /// What is wrong with the first calls, one after the other; then `misbehaviour` applies.
    pub script: Vec<Misbehaviour>,
    /// How long a call may stay on hold.
    pub hold_limit: Duration,
    /// SIP timers.
    pub timing: Timing,
    /// Who is told.
    pub observer: Observer,
    /// Where tags and ids come from.
    pub entropy: Entropy,
}

/// Unit of `X-Pinless-Timestamp`; the documentation does not say, traffic shows milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum TimestampUnit {
    /// Unix milliseconds.
    #[default]
    Ms,
    /// Unix seconds.
    S,
}

/// One call as Daily knows it.
#[derive(Debug, Clone, Serialize)]
pub struct DailyCall {
    /// `callId`.
    pub call_id: String,
    /// `callDomain`.
    pub call_domain: String,
    /// The SIP `Call-ID`.
    pub sip_call_id: String,
    /// `From` of the webhook.
    pub from: String,
    /// `To` of the webhook.
    pub to: String,
    /// `sipHeaders` of the webhook.
    pub sip_headers: serde_json::Map<String, serde_json::Value>,
    /// Statuses that the webhook was answered with.
    pub webhook_answers: Vec<u16>,
    /// Where it stands.
    pub stage: Stage,
    /// The final status that was sent or received, 200 if it was answered.
    pub status: Option<u16>,
    /// The room it was connected to.
    pub room: Option<String>,
    /// How many updates it got.
    pub updates: u32,
    /// Who ended it: `far` or `daily`.
    pub ended_by: Option<&'static str>,
    /// `Reason` of the far side's BYE.
    pub reason: Option<String>,
    /// Packets.
    pub heard: Heard,
    /// Packets of the caller's voice that the room heard.
    pub heard_in_room: u64,
}

/// A running simulated Daily. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Daily {
    shared: Arc<Shared>,
    api: Server,
    _calls: Task,
}

/// What all parts of it share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: DailyOptions,
    pub(super) line: Line,
    pub(super) violations: Violations,
    pub(super) client: reqwest::Client,
    pub(super) state: Mutex<State>,
    /// Webhooks in flight: they outlive their call, but not the simulation.
    background: Mutex<Vec<Task>>,
}

// === impl DailyOptions ===

impl Default for DailyOptions {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            sip: loopback,
            api: loopback,
            user: "static-address--1".to_owned(),
            webhook: None,
            events: None,
            api_key: "simulated-api-key".to_owned(),
            hmac: "c2ltdWxhdGVkLXBpbmxlc3MtaG1hYy1zZWNyZXQ=".to_owned(),
            events_hmac: "c2ltdWxhdGVkLWV2ZW50cy1obWFjLXNlY3JldA==".to_owned(),
            timestamp: TimestampUnit::Ms,
            ready_delay: Duration::from_millis(50),
            never_ready: false,
            rest_delay: Duration::ZERO,
            rest_faults: vec![],
            entries: vec![],
            webhooks: vec![],
            hide_secrets: false,
            misbehaviour: Misbehaviour::default(),
            script: vec![],
            hold_limit: Duration::from_secs(120),
            timing: Timing::default(),
            observer: Observer::silent(),
            entropy: Entropy::from_system(),
        }
    }
}

// === impl Daily ===

impl Daily {
    /// Opens its sockets and serves.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub async fn start(mut options: DailyOptions) -> io::Result<Self> {
        let violations = Violations::default();
        let reporting =
            Reporting { observer: options.observer.clone(), violations: violations.clone(), own: Lane::CloudSip };
        let (line, mut calls) = Line::open(options.sip, reporting).await?;
        let script = VecDeque::from(std::mem::take(&mut options.script));
        let entropy = options.entropy.fork();
        let state = State::new(&options, script, entropy);
        let client = web::client(Duration::from_secs(12))?;
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { options, line, violations, client, state, background: Mutex::default() });
        let api = Server::start(shared.options.api, rest::router(Arc::clone(&shared))).await?;
        shared.furnish(api.address());
        let serving = Arc::clone(&shared);
        let accept = async move {
            let mut live: Vec<Task> = vec![];
            while let Some((invite, inbox)) = calls.recv().await {
                live.retain(|task| !task.is_finished());
                live.push(Task::spawn(call::serve(Arc::clone(&serving), invite, inbox)));
            }
        };
        Ok(Self { shared, api, _calls: Task::spawn(accept) })
    }

    /// The static address as Daily hands it out.
    #[must_use]
    pub fn sip_uri(&self) -> String {
        self.shared.static_uri()
    }

    /// Where it takes calls.
    #[must_use]
    pub fn sip_address(&self) -> SocketAddr {
        self.shared.line.address()
    }

    /// Base of the REST interface, with `/v1`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}/v1", self.api.address())
    }

    /// Sets or changes `room_creation_api`.
    pub fn announce_to(&self, webhook: impl Into<String>) {
        locked(&self.shared.state).webhook = Some(webhook.into());
    }

    /// Sets or changes the domain webhook.
    pub fn tell_events_to(&self, url: impl Into<String>) {
        locked(&self.shared.state).events = Some(url.into());
    }

    /// What is wrong with all calls from now on.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        locked(&self.shared.state).misbehaviour = misbehaviour;
    }

    /// Which REST requests fail from now on.
    pub fn break_rest(&self, faults: Vec<RestFault>) {
        locked(&self.shared.state).rest_faults = faults;
    }

    /// Somebody else adds an entry after so many reads of the entries from now on.
    pub fn meddle_after(&self, reads: u32) {
        locked(&self.shared.state).account.meddle_after = Some(reads);
    }

    /// What is configured: `entries`, `webhooks`, and how many requests wrote (`writes`).
    #[must_use]
    pub fn account(&self) -> serde_json::Value {
        self.shared.account()
    }

    /// All calls so far, in order of their INVITEs.
    #[must_use]
    pub fn calls(&self) -> Vec<DailyCall> {
        locked(&self.shared.state).calls()
    }

    /// Counts the changes of [`Daily::calls`], to wait on; packets are none.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        locked(&self.shared.state).changes()
    }

    /// What the gateway (or a bot) did wrong.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations.list()
    }
}

impl Drop for Daily {
    fn drop(&mut self) {
        // The tasks hold what holds them.
        locked(&self.shared.background).clear();
    }
}

// === impl Shared ===

impl Shared {
    /// What is there before anybody asks.
    fn furnish(&self, api: SocketAddr) {
        let mut state = locked(&self.state);
        state.api = Some(api);
        state.static_address = self.static_uri().trim_start_matches("sip:").to_owned();
        for fields in self.options.entries.iter().filter_map(serde_json::Value::as_object) {
            let _ = state.create_entry(fields.clone());
        }
        for fields in self.options.webhooks.iter().filter_map(serde_json::Value::as_object) {
            let state_of = fields.get("state").cloned();
            let _ = state.create_hook(fields.clone());
            if let (Some(state_of), Some(hook)) = (state_of, state.account.webhooks.last_mut()) {
                hook.insert("state".to_owned(), state_of);
            }
        }
        state.account.hide_secrets = self.options.hide_secrets;
        state.account.writes = 0;
    }

    fn account(&self) -> serde_json::Value {
        let state = locked(&self.state);
        let entries: Vec<_> = state.account.entries.iter().map(|entry| serde_json::json!(entry.fields)).collect();
        serde_json::json!({ "entries": entries, "webhooks": state.account.webhooks, "writes": state.account.writes })
    }

    pub(super) fn static_uri(&self) -> String {
        format!("sip:{}@{}", self.options.user, self.line.address())
    }

    pub(super) fn in_background(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut background = locked(&self.background);
        background.retain(|task| !task.is_finished());
        background.push(Task::spawn(future));
    }

    pub(super) fn violation(&self, what: impl Into<String>) {
        self.violations.add(what);
    }
}
