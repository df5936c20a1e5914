//! The dial-in entries and domain webhooks of a simulated Daily, with the sharp edges of the real one: the array is replaced
//! whole, and an entry that is sent without its secret gets another. Plain state; what harms an entry is a violation.

use super::rooms::State;
use base64::Engine as _;
use serde_json::{Map, Value, json};

/// What is configured at Daily.
#[derive(Debug, Default)]
pub(in crate::sim) struct Account {
    pub(super) entries: Vec<Entry>,
    pub(super) webhooks: Vec<Map<String, Value>>,
    /// Requests that wrote.
    pub(super) writes: u32,
    /// Answers never show a secret.
    pub(super) hide_secrets: bool,
    /// After so many reads somebody else adds an entry.
    pub(super) meddle_after: Option<u32>,
    /// Addresses handed out.
    addresses: u32,
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: String,
    /// With `hmac` and `sip_uri`.
    pub(super) fields: Map<String, Value>,
}

/// Why a request is refused: status and words.
pub(super) type Refused = (u16, String);

// === impl Entry ===

impl Entry {
    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    fn title(&self) -> String {
        format!("{} ({})", self.id, self.text("name_prefix").unwrap_or("no name"))
    }
}

// === impl Account ===

impl Account {
    /// `config.pinless_dialin`: neither ids nor types.
    pub(super) fn array(&self) -> Value {
        let shown = self.entries.iter().map(|entry| {
            let mut fields = self.shown(&entry.fields);
            fields.shift_remove("type");
            Value::Object(fields)
        });
        shown.collect()
    }

    pub(super) fn entry(&self, id: &str) -> Option<Value> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| self.object(entry))
    }

    /// One page of the list.
    pub(super) fn page(&self, limit: usize, after: Option<&str>) -> Value {
        let start = after.and_then(|after| self.entries.iter().position(|entry| entry.id == after));
        let page = self.entries.iter().skip(start.map_or(0, |at| at + 1)).take(limit);
        let data: Vec<Value> = page.map(|entry| self.object(entry)).collect();
        json!({ "total_count": self.entries.len(), "data": data })
    }

    fn object(&self, entry: &Entry) -> Value {
        let mut config = self.shown(&entry.fields);
        let kind = config.shift_remove("type").unwrap_or_else(|| json!("pinless_dialin"));
        json!({ "id": entry.id, "type": kind, "config": config })
    }

    fn shown(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        let mut fields = fields.clone();
        if self.hide_secrets {
            fields.shift_remove("hmac");
        }
        fields
    }

    pub(super) fn hooks(&self) -> Value {
        self.webhooks.iter().map(|hook| Value::Object(self.shown(hook))).collect()
    }

    fn hook_mut(&mut self, uuid: &str) -> Option<&mut Map<String, Value>> {
        self.webhooks.iter_mut().find(|hook| hook.get("uuid").and_then(Value::as_str) == Some(uuid))
    }
}

// === impl State ===

impl State {
    /// Counts a read; after some of them somebody else changes the account.
    pub(super) fn read_account(&mut self) {
        let Some(left) = self.account.meddle_after else { return };
        self.account.meddle_after = left.checked_sub(1);
        if left == 1 {
            self.account.meddle_after = None;
            let fields = json!({ "name_prefix": "meddler", "room_creation_api": "https://meddler.example.com/hook" });
            let _ = self.create_entry(fields.as_object().cloned().unwrap_or_default());
            self.account.writes = self.account.writes.saturating_sub(1);
        }
    }

    /// A random secret.
    fn secret(&mut self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.entropy.hex(32))
    }

    /// The next free address: the first one without a number is where calls really arrive.
    fn address(&mut self, number: bool) -> String {
        let taken =
            self.account.entries.iter().any(|entry| entry.text("sip_uri") == Some(self.static_address.as_str()));
        if !number && !taken {
            return self.static_address.clone();
        }
        self.account.addresses += 1;
        let host = self.static_address.split('@').nth(1).unwrap_or_default().to_owned();
        format!("static-address--other-{}@{host}", self.account.addresses)
    }

    /// `POST /domain-dialin-config`.
    pub(super) fn create_entry(&mut self, mut fields: Map<String, Value>) -> Result<Value, Refused> {
        self.account.writes += 1;
        let number = fields.get("phone_number").and_then(Value::as_str).map(str::to_owned);
        let same = |entry: &Entry| number.is_some() && entry.text("phone_number") == number.as_deref();
        if self.account.entries.iter().any(same) {
            return Err((400, "phone_number is already in use".to_owned()));
        }
        if !fields.get("room_creation_api").is_some_and(Value::is_string) {
            return Err((400, "room_creation_api is missing".to_owned()));
        }
        let id = self.uuid();
        let address = self.address(number.is_some());
        fields.insert("sip_uri".to_owned(), json!(address));
        if !fields.contains_key("hmac") {
            let secret = self.secret();
            fields.insert("hmac".to_owned(), json!(secret));
        }
        let entry = Entry { id, fields };
        let shown = self.account.object(&entry);
        self.account.entries.push(entry);
        self.follow_account();
        Ok(shown)
    }

    /// `PUT /domain-dialin-config/{id}`: replaces all fields. Violations come second.
    pub(super) fn replace_entry(&mut self, id: &str, mut fields: Map<String, Value>) -> (Option<Value>, Vec<String>) {
        self.account.writes += 1;
        let secret = self.secret();
        let Some(entry) = self.account.entries.iter_mut().find(|entry| entry.id == id) else { return (None, vec![]) };
        let mut violations = vec![];
        if !fields.contains_key("hmac") {
            violations.push(format!("the secret of {} was rotated", entry.title()));
            fields.insert("hmac".to_owned(), json!(secret));
        }
        let address = entry.fields.get("sip_uri").cloned().unwrap_or_default();
        fields.insert("sip_uri".to_owned(), address);
        entry.fields = fields;
        self.follow_account();
        (self.account.entry(id), violations)
    }

    /// `DELETE /domain-dialin-config/{id}`.
    pub(super) fn remove_entry(&mut self, id: &str) -> bool {
        self.account.writes += 1;
        let before = self.account.entries.len();
        self.account.entries.retain(|entry| entry.id != id);
        self.account.entries.len() < before
    }

    /// `POST /` with `pinless_dialin`: what is not sent is gone, what is sent without a secret gets another. An entry is
    /// known again by its address. Returns the violations.
    pub(super) fn replace_array(&mut self, sent: &[Value]) -> Vec<String> {
        self.account.writes += 1;
        let old = std::mem::take(&mut self.account.entries);
        let mut violations = vec![];
        for fields in sent.iter().filter_map(Value::as_object) {
            let mut fields = fields.clone();
            let known = old.iter().find(|entry| entry.fields.get("sip_uri") == fields.get("sip_uri"));
            if known.is_none() {
                let address = self.address(fields.contains_key("phone_number"));
                fields.insert("sip_uri".to_owned(), json!(address));
            }
            if !fields.contains_key("hmac") {
                let secret = self.secret();
                fields.insert("hmac".to_owned(), json!(secret));
                violations.extend(known.map(|entry| format!("the secret of {} was rotated", entry.title())));
            }
            let id = known.map_or_else(|| self.uuid(), |entry| entry.id.clone());
            self.account.entries.push(Entry { id, fields });
        }
        let kept = |entry: &&Entry| self.account.entries.iter().any(|new| new.id == entry.id);
        violations
            .extend(old.iter().filter(|entry| !kept(entry)).map(|entry| format!("{} was removed", entry.title())));
        self.follow_account();
        violations
    }

    /// `POST /webhooks`, after the test request went well.
    pub(super) fn create_hook(&mut self, mut fields: Map<String, Value>) -> Value {
        self.account.writes += 1;
        let (uuid, secret) = (self.uuid(), self.secret());
        fields.insert("uuid".to_owned(), json!(uuid));
        fields.insert("state".to_owned(), json!("ACTIVE"));
        fields.insert("failedCount".to_owned(), json!(0));
        fields.entry("retryType").or_insert_with(|| json!("circuit-breaker"));
        fields.entry("hmac").or_insert_with(|| json!(secret));
        self.account.webhooks.push(fields.clone());
        self.follow_account();
        Value::Object(fields)
    }

    /// `POST /webhooks/{uuid}`, after the test request went well.
    pub(super) fn change_hook(&mut self, uuid: &str, fields: Map<String, Value>) -> (Option<Value>, Vec<String>) {
        self.account.writes += 1;
        let secret = self.secret();
        let Some(hook) = self.account.hook_mut(uuid) else { return (None, vec![]) };
        let mut violations = vec![];
        if !fields.contains_key("hmac") {
            violations.push(format!("the secret of the webhook {uuid} was rotated"));
            hook.insert("hmac".to_owned(), json!(secret));
        }
        hook.extend(fields);
        hook.insert("state".to_owned(), json!("ACTIVE"));
        hook.insert("failedCount".to_owned(), json!(0));
        let shown = Value::Object(hook.clone());
        self.follow_account();
        (Some(shown), violations)
    }

    /// Calls and events follow what is configured: the entry with the real address, the newest webhook.
    fn follow_account(&mut self) {
        let own = |entry: &&Entry| entry.text("sip_uri") == Some(self.static_address.as_str());
        if let Some(entry) = self.account.entries.iter().find(own) {
            self.webhook = entry.text("room_creation_api").map(str::to_owned);
            self.hmac = entry.text("hmac").unwrap_or_default().to_owned();
        }
        if let Some(hook) = self.account.webhooks.last() {
            let text = |field: &str| hook.get(field).and_then(Value::as_str).map(str::to_owned);
            self.events = text("url");
            self.events_hmac = text("hmac").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Entropy;
    use crate::sim::daily::DailyOptions;
    use std::collections::VecDeque;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn state() -> State {
        let mut state = State::new(&DailyOptions::default(), VecDeque::new(), Entropy::seeded(1));
        state.static_address = "static@192.0.2.1".to_owned();
        let other = json!({ "name_prefix": "b", "room_creation_api": "https://b.example.com", "hmac": "Yg==", "x": { "y": [1] } });
        for entry in
            [json!({ "name_prefix": "a", "room_creation_api": "https://a.example.com", "hmac": "YQ==" }), other]
        {
            state.create_entry(fields(entry)).unwrap();
        }
        state
    }

    #[test]
    fn setting_the_array_replaces_it_and_rotates_what_comes_without_secret() {
        let mut state = state();
        let mut sent = state.account.array().as_array().unwrap().clone();
        assert_eq!(state.replace_array(&sent), Vec::<String>::new(), "the same again changes nothing");
        sent[1].as_object_mut().unwrap().shift_remove("hmac");
        let violations = state.replace_array(&sent[1..]);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert_ne!(state.account.entries[0].text("hmac"), Some("Yg=="));
        assert_eq!(state.account.entries[0].fields["x"], json!({ "y": [1] }), "unknown fields are kept");
    }

    #[test]
    fn the_first_entry_without_number_has_the_address_where_calls_arrive() {
        let state = state();
        assert_eq!(state.account.entries[0].text("sip_uri"), Some("static@192.0.2.1"));
        assert_eq!(state.webhook.as_deref(), Some("https://a.example.com"));
        assert_eq!(state.hmac, "YQ==");
        assert_ne!(state.account.entries[1].text("sip_uri"), Some("static@192.0.2.1"));
    }

    #[test]
    fn a_number_is_in_one_entry_only() {
        let mut state = state();
        let entry = json!({ "phone_number": "+15550100", "room_creation_api": "https://c.example.com" });
        assert!(state.create_entry(fields(entry.clone())).is_ok());
        assert_eq!(state.create_entry(fields(entry)).unwrap_err().0, 400);
    }

    #[test]
    fn the_list_comes_in_pages() {
        let state = state();
        let first = state.account.page(1, None);
        assert_eq!((first["total_count"].as_u64(), first["data"].as_array().unwrap().len()), (Some(2), 1));
        let id = first["data"][0]["id"].as_str().unwrap();
        assert_eq!(state.account.page(1, Some(id))["data"][0]["config"]["name_prefix"], "b");
    }
}
