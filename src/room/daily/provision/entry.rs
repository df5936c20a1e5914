//! One dial-in entry as Daily shows it, in either of its two interfaces. Apart from the planning, because the shapes vary
//! and everything in them that we do not know has to survive.

use super::shown_secret;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id; entries of the array have none.
    pub id: Option<String>,
    /// All of its fields, flat, as they came.
    pub fields: Map<String, Value>,
    /// Its text, byte for byte.
    pub(super) raw: String,
}

/// What the account holds; `None` where an interface was not asked or is not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Current {
    /// `GET /domain-dialin-config`.
    pub entries: Option<Vec<Entry>>,
    /// `config.pinless_dialin` of `GET /`.
    pub array: Option<Vec<Entry>>,
}

/// One page of `GET /domain-dialin-config`.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) total: Option<usize>,
    pub(super) entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct RawDomain {
    config: RawConfig,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    pinless_dialin: Option<Vec<Box<RawValue>>>,
}

// === impl Entry ===

/// Two entries are the same if they say the same; the order of fields and blanks say nothing.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.fields == other.fields
    }
}

impl Entry {
    /// An element of the array.
    fn element(raw: &RawValue) -> Option<Self> {
        let fields = serde_json::from_str(raw.get()).ok()?;
        Some(Self { id: None, fields, raw: raw.get().to_owned() })
    }

    /// An object of the per-entry interface: its fields are under `config`, or beside the id.
    pub(super) fn object(value: &Value) -> Option<Self> {
        let mut fields = value.as_object()?.clone();
        let id = fields.remove("id")?.as_str().filter(|id| !id.is_empty())?.to_owned();
        if let Some(Value::Object(config)) = fields.remove("config") {
            fields.extend(config);
        }
        Some(Self { id: Some(id), fields, raw: value.to_string() })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// Its phone number; the SIP interconnect has none.
    #[must_use]
    pub fn number(&self) -> Option<&str> {
        self.text("phone_number")
    }

    /// `name_prefix`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text("name_prefix")
    }

    /// `room_creation_api`.
    #[must_use]
    pub fn webhook(&self) -> Option<&str> {
        self.text("room_creation_api")
    }

    /// Its secret, if Daily shows it.
    #[must_use]
    pub fn hmac(&self) -> Option<&str> {
        shown_secret(self.fields.get("hmac"))
    }

    /// The address that calls go to, with scheme.
    #[must_use]
    pub fn sip_uri(&self) -> Option<String> {
        crate::room::daily::rest::sip_uri(self.text("sip_uri")?)
    }

    /// `hold_music_url`.
    #[must_use]
    pub fn hold_music(&self) -> Option<&str> {
        self.text("hold_music_url")
    }

    /// `timeout_config.message`.
    #[must_use]
    pub fn timeout_message(&self) -> Option<&str> {
        self.fields.get("timeout_config")?.get("message")?.as_str()
    }

    /// Does a caller have to type a PIN? Such entries are none of ours.
    #[must_use]
    pub fn asks_for_pin(&self) -> bool {
        self.text("type").is_some_and(|kind| kind != "pinless_dialin")
    }

    /// What people know it by.
    #[must_use]
    pub fn title(&self) -> String {
        let name = self.name().unwrap_or("(no name)");
        match self.number() {
            Some(number) => format!("`{name}` of {number}"),
            None => format!("`{name}`"),
        }
    }
}

// === reading answers ===

/// The array of `GET /`. A domain whose `config` is missing shows nothing at all, which is not the same as an empty list.
pub(super) fn read_domain(body: &[u8]) -> Result<Vec<Entry>, String> {
    let domain: RawDomain =
        serde_json::from_slice(body).map_err(|error| format!("the domain's configuration is not readable: {error}"))?;
    let raw = domain.config.pinless_dialin.unwrap_or_default();
    let entries: Option<Vec<Entry>> = raw.iter().map(|raw| Entry::element(raw)).collect();
    entries.ok_or_else(|| "an entry of `pinless_dialin` is no object".to_owned())
}

/// One page of the list: `{"total_count", "data": [..]}`, or the bare array.
pub(super) fn read_page(body: &[u8]) -> Result<Page, String> {
    let answer: Value = serde_json::from_slice(body).map_err(|error| format!("the list is no JSON: {error}"))?;
    let total = answer.get("total_count").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok());
    let list = answer.as_array().or_else(|| answer.get("data").and_then(Value::as_array));
    let list = list.ok_or_else(|| "the answer has no list of entries".to_owned())?;
    let entries: Option<Vec<Entry>> = list.iter().map(Entry::object).collect();
    let entries = entries.ok_or_else(|| "an entry of the list has no id".to_owned())?;
    Ok(Page { total, entries })
}
