//! Values that the companion's tests share: one call, its webhook, its settings. In one place, so that a test shows only
//! what it is about.

use crate::config::room::RoomPlan;
use crate::config::value::Secret;
use crate::record::{CallFacts, CallId};
use crate::room::budget::Limits;
use crate::room::daily::webhook::DialIn;
use crate::room::{Evidence, Meter, Settings};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A plan with a bot, as in the smallest useful file.
pub const WITH_BOT: &str = "[[room]]\nbot = { start_url = 'http://bots.example.com/start', token = 'bot-key' }\n";

/// What was counted of webhooks, in order.
#[derive(Default)]
pub struct Counts(Mutex<Vec<(&'static str, &'static str)>>, Mutex<Vec<&'static str>>);

// === impl Counts ===

impl Counts {
    /// Source and result of each.
    pub fn all(&self) -> Vec<(&'static str, &'static str)> {
        self.0.lock().unwrap().clone()
    }

    /// How starts of bots ended.
    pub fn bots(&self) -> Vec<&'static str> {
        self.1.lock().unwrap().clone()
    }
}

impl Meter for Counts {
    fn stage(&self, _: &'static str, _: Duration) {}
    fn webhook(&self, source: &'static str, result: &'static str) {
        self.0.lock().unwrap().push((source, result));
    }
    fn bot_start(&self, result: &'static str) {
        self.1.lock().unwrap().push(result);
    }
    fn leases(&self, _: usize, _: usize) {}
    fn rest_queue(&self, _: &'static str, _: usize) {}
    fn rest_wait(&self, _: &'static str, _: Duration) {}
    fn rest_unsent(&self, reason: &'static str) {
        self.0.lock().unwrap().push(("rest", reason));
    }
}

/// The one call.
pub fn call() -> CallId {
    numbered_call(1)
}

/// One of many calls.
pub fn numbered_call(number: u64) -> CallId {
    CallId::new(0, &format!("{number:024x}"))
}

/// What is known of it.
pub fn facts() -> CallFacts {
    facts_of(call())
}

/// What is known of some call.
pub fn facts_of(call_id: CallId) -> CallFacts {
    CallFacts {
        call_id,
        trunk: "pbx".to_owned(),
        target: "daily".to_owned(),
        caller: "+15550123".to_owned(),
        called: "+15550100".to_owned(),
        caller_name: None,
        pbx_call_id: "pbx-1@192.0.2.10".to_owned(),
        headers: vec![("x-queue".to_owned(), "sales".to_owned())],
    }
}

/// The webhook of the one call.
pub fn dial_in(call_id: &str) -> DialIn {
    dial_in_of(&call(), call_id)
}

/// The webhook of some call.
pub fn dial_in_of(call: &CallId, call_id: &str) -> DialIn {
    DialIn {
        call_id: call_id.to_owned(),
        call_domain: "d-1".to_owned(),
        from: "sip:from@example.com".to_owned(),
        to: "sip:to@example.com".to_owned(),
        sip_headers: vec![("X-Trunkline-Call".to_owned(), call.as_str().to_owned())],
    }
}

/// The room plans of a piece of configuration.
pub fn plans(toml: &str) -> Vec<Arc<RoomPlan>> {
    let config: crate::config::Config = toml::from_str(toml).unwrap();
    config.rooms.into_iter().map(Arc::new).collect()
}

/// Settings with these room plans and round figures.
pub fn settings(rooms: &str) -> Settings {
    Settings {
        api_url: "http://127.0.0.1:9".to_owned(),
        api_key: Secret::new("api-key"),
        webhook_timeout: Duration::from_secs(15),
        rest_timeout: Duration::from_secs(5),
        limits: Limits { all: 10_000, updates: None },
        memory: Duration::from_secs(600),
        evidence: Evidence::Nothing,
        public_url: "https://gw.example.com".to_owned(),
        user_agent: "test".to_owned(),
        plans: plans(rooms),
    }
}
