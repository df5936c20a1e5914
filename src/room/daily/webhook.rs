//! What Daily's webhooks say, as types. Reading is lenient in everything but the names that we act on, because fields
//! come, go and change their type, and a held caller should not pay for that.

use crate::record::CallId;
use serde_json::{Map, Value};

/// The header that carries our name for the call through Daily.
pub const CALL_HEADER: &str = "x-trunkline-call";

/// Names longer than this are nobody's.
const LONGEST_NAME: usize = 256;

/// `room_creation_api`: a call is on hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DialIn {
    /// `callId`, with which the call is connected.
    pub call_id: String,
    /// `callDomain`, likewise.
    pub call_domain: String,
    /// `From`, as it came; empty if it did not.
    pub from: String,
    /// `To`, as it came; empty if it did not.
    pub to: String,
    /// `sipHeaders`, in order.
    pub sip_headers: Vec<(String, String)>,
}

/// A request of `room_creation_api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// It has no `callId`: Daily tries whether we are there.
    Probe,
    /// It has one, so it must be signed, whatever else is wrong with it.
    Call(Result<DialIn, Unusable>),
}

/// An event of the domain's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its own name, for telling repetitions.
    pub id: Option<String>,
    /// What happened.
    pub kind: EventKind,
    /// In which room.
    pub room: String,
    /// Our name for the call that it is about, if the event carries the call's SIP headers.
    pub call: Option<CallId>,
}

/// The events that concern held calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// `dialin.ready`: this SIP endpoint may be dialled now.
    Ready(Option<String>),
    /// `dialin.connected`: a SIP caller is in the room.
    Connected,
    /// `dialin.stopped`: it is no longer.
    Stopped,
    /// `dialin.warning`, with its words.
    Warning(String),
    /// `dialin.error`, with its words.
    Error(String),
}

/// A request of the domain's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It has no `type`: Daily tries whether we are there.
    Probe,
    /// One that concerns us.
    Event(Event),
    /// One that does not.
    Other,
}

/// Why a request cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is no JSON object.
    #[error("the body is no JSON object: {0}")]
    NoObject(String),
    /// A field is missing, empty or of the wrong type.
    #[error("`{0}` is missing, empty, too long or no text")]
    Field(&'static str),
}

// === impl DialIn ===

impl DialIn {
    /// Our name for the call, if its INVITE carried one. Whether Daily keeps the case of header names is not
    /// documented, so it does not matter.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        our_call(&self.sip_headers)
    }
}

fn our_call(headers: &[(String, String)]) -> Option<CallId> {
    let mut ours = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(CALL_HEADER));
    ours.find_map(|(_, value)| CallId::parse(value))
}

// === impl Announcement ===

impl Announcement {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no JSON object, so that not even a probe can be seen in it.
    pub fn read(body: &[u8]) -> Result<Self, Unusable> {
        let object = object(body)?;
        if !object.contains_key("callId") {
            return Ok(Self::Probe);
        }
        Ok(Self::Call(dial_in(&object)))
    }
}

fn dial_in(object: &Map<String, Value>) -> Result<DialIn, Unusable> {
    Ok(DialIn {
        call_id: name(object, "callId")?,
        call_domain: name(object, "callDomain")?,
        from: object.get("From").and_then(text).unwrap_or_default(),
        to: object.get("To").and_then(text).unwrap_or_default(),
        sip_headers: object.get("sipHeaders").map(sip_headers).unwrap_or_default(),
    })
}

/// An object of names and values; a value may be a list. Anything else counts as no headers.
fn sip_headers(value: &Value) -> Vec<(String, String)> {
    let mut headers = vec![];
    for (name, value) in value.as_object().into_iter().flatten() {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        headers.extend(values.iter().filter_map(text).map(|value| (name.clone(), value)));
    }
    headers
}

// === impl Notice ===

impl Notice {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no JSON object, or an event of ours without what it is about.
    pub fn read(body: &[u8]) -> Result<Self, Unusable> {
        let object = object(body)?;
        let Some(kind) = object.get("type") else { return Ok(Self::Probe) };
        let empty = Map::new();
        let payload = object.get("payload").and_then(Value::as_object).unwrap_or(&empty);
        let words = || payload.get("error_msg").and_then(text).unwrap_or_default();
        let kind = match kind.as_str() {
            Some("dialin.ready") => EventKind::Ready(payload.get("sip_endpoint").and_then(text)),
            Some("dialin.connected") => EventKind::Connected,
            Some("dialin.stopped") => EventKind::Stopped,
            Some("dialin.warning") => EventKind::Warning(words()),
            Some("dialin.error") => EventKind::Error(words()),
            _ => return Ok(Self::Other),
        };
        let id = object.get("id").and_then(text).filter(|id| !id.is_empty() && id.len() <= LONGEST_NAME);
        let call = payload.get("sip_headers").map(sip_headers).and_then(|headers| our_call(&headers));
        Ok(Self::Event(Event { id, kind, room: name(payload, "room")?, call }))
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Unusable> {
    serde_json::from_slice(body).map_err(|error| Unusable::NoObject(error.to_string()))
}

fn name(object: &Map<String, Value>, field: &'static str) -> Result<String, Unusable> {
    let usable = |text: &String| !text.is_empty() && text.len() <= LONGEST_NAME;
    object.get(field).and_then(text).filter(usable).ok_or(Unusable::Field(field))
}

/// Text, or what can stand for text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Result<DialIn, Unusable> {
        match Announcement::read(body.as_bytes()).unwrap() {
            Announcement::Call(call) => call,
            Announcement::Probe => panic!("taken for a probe: {body}"),
        }
    }

    #[test]
    fn the_documented_webhook_is_read_whole() {
        let dial_in = call(
            r#"{"From":"sip:a@192.0.2.1","To":"sip:static@example.com","callId":"c-1","callDomain":"d-1",
                "sipHeaders":{"x-caller":"+15550123","X-Trunkline-Call":"tl00-0123456789abcdef"}}"#,
        )
        .unwrap();
        assert_eq!((dial_in.from.as_str(), dial_in.to.as_str()), ("sip:a@192.0.2.1", "sip:static@example.com"));
        assert_eq!((dial_in.call_id.as_str(), dial_in.call_domain.as_str()), ("c-1", "d-1"));
        assert_eq!(dial_in.sip_headers.len(), 2);
        assert_eq!(dial_in.call(), CallId::parse("tl00-0123456789abcdef"));
    }

    #[test]
    fn a_body_without_call_id_is_a_probe_whatever_else_it_holds() {
        for body in ["{}", r#"{"To":"+15550100"}"#, r#"{"Test":"test"}"#, r#"{"test":"test","callid":"x"}"#] {
            assert_eq!(Announcement::read(body.as_bytes()), Ok(Announcement::Probe), "{body}");
        }
    }

    #[test]
    fn a_call_id_of_any_type_is_no_probe() {
        for body in [r#"{"callId":null}"#, r#"{"callId":""}"#, r#"{"callId":[]}"#, r#"{"callId":{}}"#] {
            assert_eq!(call(body), Err(Unusable::Field("callId")), "{body}");
        }
        assert_eq!(call(r#"{"callId":"a"}"#), Err(Unusable::Field("callDomain")));
        let long = format!(r#"{{"callId":"{}","callDomain":"d"}}"#, "a".repeat(257));
        assert_eq!(call(&long), Err(Unusable::Field("callId")));
    }

    #[test]
    fn what_is_no_object_cannot_be_used() {
        for body in ["", "[]", "\"text\"", "null", "7", "{", "{\"a\":1} trailing", "\u{0}"] {
            assert!(matches!(Announcement::read(body.as_bytes()), Err(Unusable::NoObject(_))), "{body}");
        }
        let deep = format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert!(matches!(Announcement::read(deep.as_bytes()), Err(Unusable::NoObject(_))));
    }

    #[test]
    fn odd_header_objects_lose_their_oddities_only() {
        let headers = |json: &str| {
            call(&format!(r#"{{"callId":"c","callDomain":"d","sipHeaders":{json}}}"#)).unwrap().sip_headers
        };
        for none in ["null", "[]", "\"x\"", "7", "{}", r#"{"x-a":null}"#, r#"{"x-a":{"b":1}}"#] {
            assert_eq!(headers(none), [], "{none}");
        }
        let kept = headers(r#"{"x-a":"1","x-b":2,"x-c":true,"x-d":["3",4,null]}"#);
        let expected = [("x-a", "1"), ("x-b", "2"), ("x-c", "true"), ("x-d", "3"), ("x-d", "4")];
        assert_eq!(kept, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_call_header_that_is_not_ours_is_passed_over() {
        let dial_in = |value: &str| DialIn {
            call_id: "c".to_owned(),
            call_domain: "d".to_owned(),
            from: String::new(),
            to: String::new(),
            sip_headers: vec![("X-TRUNKLINE-CALL".to_owned(), value.to_owned())],
        };
        assert_eq!(dial_in("someone else's").call(), None);
        assert!(dial_in(" tl01-00112233445566778899aabb ").call().is_some());
    }

    #[test]
    fn events_are_told_apart_and_unknown_ones_are_none_of_ours() {
        let read = |kind: &str, payload: &str| {
            Notice::read(format!(r#"{{"version":"1","type":"{kind}","id":"e-1","payload":{payload}}}"#).as_bytes())
        };
        let event =
            |kind| Ok(Notice::Event(Event { id: Some("e-1".to_owned()), kind, room: "r".to_owned(), call: None }));
        let ready = EventKind::Ready(Some("sip:r@example.com".to_owned()));
        assert_eq!(read("dialin.ready", r#"{"room":"r","sip_endpoint":"sip:r@example.com"}"#), event(ready));
        assert_eq!(read("dialin.ready", r#"{"room":"r"}"#), event(EventKind::Ready(None)));
        assert_eq!(read("dialin.connected", r#"{"room":"r"}"#), event(EventKind::Connected));
        let ours = r#"{"room":"r","sip_headers":{"X-Trunkline-Call":"tl00-0123456789abcdef"}}"#;
        let Ok(Notice::Event(named)) = read("dialin.connected", ours) else { panic!("no event") };
        assert_eq!(named.call, CallId::parse("tl00-0123456789abcdef"));
        assert_eq!(read("dialin.stopped", r#"{"room":"r"}"#), event(EventKind::Stopped));
        let words = r#"{"room":"r","error_msg":"no"}"#;
        assert_eq!(read("dialin.error", words), event(EventKind::Error("no".to_owned())));
        assert_eq!(read("dialin.warning", words), event(EventKind::Warning("no".to_owned())));
        assert_eq!(read("meeting.started", "{}"), Ok(Notice::Other));
        assert_eq!(read("dialin.ready", "{}"), Err(Unusable::Field("room")));
        assert_eq!(Notice::read(br#"{"test":"test"}"#), Ok(Notice::Probe));
        assert_eq!(Notice::read(br#"{"type":7}"#), Ok(Notice::Other));
    }
}
