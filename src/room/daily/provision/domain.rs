//! The domain webhook for `/daily/events`: like an entry, but its secret is one of its own, and Daily switches it off
//! (`FAILED`) when it was not answered.

use super::plan::{Verb, Write};
use super::{Difference, MASKED, Refusal, same_url, shown_secret};
use crate::config::value::Secret;
use crate::room::daily::rest::path_segment;
use serde_json::{Map, Value, json};

/// What the gateway reads of Daily's events; others are answered and ignored, so they need not be sent.
const EVENTS: [&str; 5] = ["dialin.ready", "dialin.connected", "dialin.stopped", "dialin.warning", "dialin.error"];
/// Each message is tried five times; the default would switch the webhook off after three failures.
const RETRY: &str = "exponential";

/// What this gateway needs.
#[derive(Debug, Clone)]
pub struct DomainWanted {
    /// Its `/daily/events`, as Daily reaches it.
    pub url: String,
    /// The secret of a new webhook.
    pub hmac: Secret,
}

/// One webhook of the domain as Daily shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainHook {
    uuid: String,
    fields: Map<String, Value>,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainPlan {
    /// Ours as it is; `None` if it has to be created.
    pub before: Option<DomainHook>,
    /// What differs; empty if nothing has to be done.
    pub differences: Vec<Difference>,
    body: Map<String, Value>,
}

// === impl DomainHook ===

impl DomainHook {
    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// Its secret, if Daily shows it.
    #[must_use]
    pub fn hmac(&self) -> Option<&str> {
        shown_secret(self.fields.get("hmac"))
    }

    /// What does not change by itself.
    pub(super) fn settings(&self) -> Vec<(&str, Option<&Value>)> {
        let fields = ["url", "hmac", "basicAuth", "retryType", "eventTypes"];
        fields.into_iter().map(|field| (field, self.fields.get(field))).chain([(self.uuid.as_str(), None)]).collect()
    }

    fn events(&self) -> Vec<String> {
        let list = self.fields.get("eventTypes").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// `GET /webhooks`: the bare array, or `{"data": [..]}`.
pub(super) fn read(body: &[u8]) -> Result<Vec<DomainHook>, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|error| format!("the webhooks are no JSON: {error}"))?;
    let list = answer.as_array().or_else(|| answer.get("data").and_then(Value::as_array));
    let list = list.ok_or_else(|| "the answer has no list of webhooks".to_owned())?;
    let hook = |value: &Value| {
        let fields = value.as_object()?.clone();
        let uuid = fields.get("uuid").or_else(|| fields.get("id"))?.as_str()?.to_owned();
        Some(DomainHook { uuid, fields })
    };
    list.iter().map(hook).collect::<Option<_>>().ok_or_else(|| "a webhook of the list has no uuid".to_owned())
}

// === impl DomainPlan ===

impl DomainPlan {
    /// The difference.
    ///
    /// # Errors
    /// Ours has to be changed and its secret is not shown.
    pub(super) fn new(hooks: &[DomainHook], wanted: &DomainWanted) -> Result<Self, Refusal> {
        let ours = |hook: &&DomainHook| hook.text("url").is_some_and(|url| same_url(url, &wanted.url));
        let before = hooks.iter().find(ours);
        let mut differences = vec![];
        let mut field = |field: &'static str, from: Option<&str>, to: &str| {
            differences.push(Difference { field, from: from.map(str::to_owned), to: to.to_owned() });
        };
        if before.is_none() {
            field("url", None, &wanted.url);
        }
        // What somebody else wants to see here is kept.
        let mut events = before.map(DomainHook::events).unwrap_or_default();
        let had = events.join(", ");
        events.extend(
            EVENTS
                .iter()
                .filter(|event| !had.split(", ").any(|known| known == **event))
                .map(|event| (*event).to_owned()),
        );
        if events.join(", ") != had {
            field("eventTypes", before.map(|_| had.as_str()), &events.join(", "));
        }
        let retry = before.and_then(|hook| hook.text("retryType"));
        if retry != Some(RETRY) {
            field("retryType", retry, RETRY);
        }
        if let Some(state) =
            before.and_then(|hook| hook.text("state")).filter(|state| state.eq_ignore_ascii_case("FAILED"))
        {
            field("state", Some(state), "ACTIVE");
        }
        if before.is_none() {
            field("hmac", None, MASKED);
        }
        let secret = match before {
            None => wanted.hmac.expose(),
            Some(hook) => match hook.hmac() {
                Some(secret) => secret,
                None if differences.is_empty() => "",
                None => {
                    return Err(Refusal::new(
                        "Daily does not show the secret of this gateway's domain webhook, so changing it might change the secret too",
                        "delete the webhook at Daily and run again",
                    ));
                }
            },
        };
        let mut body = Map::new();
        body.insert("url".to_owned(), json!(before.and_then(|hook| hook.text("url")).unwrap_or(&wanted.url)));
        body.insert("eventTypes".to_owned(), json!(events));
        body.insert("retryType".to_owned(), json!(RETRY));
        body.insert("hmac".to_owned(), json!(secret));
        if let Some(login) = before.and_then(|hook| hook.fields.get("basicAuth")).filter(|login| !login.is_null()) {
            body.insert("basicAuth".to_owned(), login.clone());
        }
        Ok(Self { before: before.cloned(), differences, body })
    }

    /// The request; `None` if everything is as it should be.
    pub(super) fn next(&self) -> Option<Write> {
        if self.differences.is_empty() {
            return None;
        }
        let body = Value::Object(self.body.clone()).to_string();
        Some(match &self.before {
            None => Write { verb: Verb::Create, path: "/webhooks".to_owned(), body },
            Some(hook) => Write { verb: Verb::Set, path: format!("/webhooks/{}", path_segment(&hook.uuid)), body },
        })
    }
}
