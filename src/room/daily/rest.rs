//! The bodies that go to Daily's REST interface and what is read from its answers. Pure functions, so that their exact
//! form is tested without a server; sending them is `client`'s.

use crate::config::room::Create;
use crate::record::CallFacts;
use crate::room::request::Room;
use serde_json::{Map, Value, json};

use super::webhook::DialIn;

/// SIP addresses longer than this are nobody's.
const LONGEST_ADDRESS: usize = 512;

/// Body of `POST /rooms`. `now` is Unix time in seconds, from which the room lives for `create.expires`.
#[must_use]
pub fn create_room(name: &str, display_name: &str, create: &Create, now: u64) -> Value {
    let mut sip = json!({
        "display_name": display_name,
        "sip_mode": "dial-in",
        "num_endpoints": 1,
        "video": false,
    });
    if let (Some(codecs), Some(sip)) = (&create.codecs, sip.as_object_mut()) {
        let audio: Vec<String> = codecs.iter().map(|codec| codec.to_ascii_uppercase()).collect();
        sip.insert("codecs".to_owned(), json!({ "audio": audio }));
    }
    let mut properties = Map::new();
    properties.insert("sip".to_owned(), sip);
    properties.insert("exp".to_owned(), json!(now.saturating_add(create.expires.get().as_secs())));
    // Joining ends at `exp`; a conversation that is on goes on.
    properties.insert("eject_at_room_exp".to_owned(), json!(false));
    if let Some(geo) = &create.geo {
        properties.insert("geo".to_owned(), json!(geo));
    }
    merge(&mut properties, &create.properties);
    json!({ "name": name, "privacy": "private", "properties": properties })
}

/// Body of `POST /meeting-tokens`: the bot owns the room, so that the room ends with it.
#[must_use]
pub fn create_token(room: &str, expires_at: u64) -> Value {
    json!({ "properties": { "room_name": room, "is_owner": true, "exp": expires_at } })
}

/// Body of `POST /dialin/pinlessCallUpdate`.
#[must_use]
pub fn update(call_id: &str, call_domain: &str, sip_uri: &str) -> Value {
    json!({ "callId": call_id, "callDomain": call_domain, "sipUri": sip_uri })
}

/// A SIP address that tells Daily how to show the caller: `?x-daily_display_name=`, percent-encoded.
#[must_use]
pub fn with_display_name(sip_uri: &str, shown: &str) -> String {
    const LONGEST: usize = 64;
    let shown: String = shown.trim().chars().filter(|char| !char.is_control()).take(LONGEST).collect();
    let told = sip_uri.to_ascii_lowercase().contains("x-daily_display_name=");
    if shown.is_empty() || told {
        return sip_uri.to_owned();
    }
    let joint = if sip_uri.contains('?') { '&' } else { '?' };
    format!("{sip_uri}{joint}x-daily_display_name={}", path_segment(&shown))
}

/// What the bot is told at its start. The caller's half of it comes from the webhook as Daily sent it, in both
/// spellings that bots in the field expect.
#[derive(Debug)]
pub struct BotStart<'a> {
    /// The call.
    pub facts: &'a CallFacts,
    /// The webhook.
    pub dial_in: &'a DialIn,
    /// The room.
    pub room: &'a Room,
    /// The meeting token.
    pub token: &'a str,
    /// Where it reports ready.
    pub ready_url: &'a str,
    /// Where it reports that it connected the caller, if that is its affair.
    pub connected_url: Option<&'a str>,
    /// With which bearer token.
    pub ready_token: &'a str,
    /// W3C trace context.
    pub traceparent: &'a str,
    /// The plan's `bot.body`.
    pub extra: &'a Map<String, Value>,
}

// === impl BotStart ===

impl BotStart<'_> {
    /// The body. The contract's own fields win over `bot.body`.
    #[must_use]
    pub fn body(&self) -> Map<String, Value> {
        let sip_headers: Map<String, Value> =
            self.dial_in.sip_headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let dial_in = self.dial_in;
        let fields = [
            ("room_url", json!(self.room.url)),
            ("token", json!(self.token)),
            ("sip_uri", json!(self.room.endpoint)),
            ("call_id", json!(self.facts.call_id)),
            ("ready_url", json!(self.ready_url)),
            ("ready_token", json!(self.ready_token)),
            (
                "dialin_settings",
                json!({
                    "call_id": dial_in.call_id,
                    "call_domain": dial_in.call_domain,
                    "From": dial_in.from,
                    "To": dial_in.to,
                    "from": dial_in.from,
                    "to": dial_in.to,
                    "sip_headers": sip_headers,
                }),
            ),
            ("caller", json!(self.facts.caller)),
            ("called", json!(self.facts.called)),
            ("traceparent", json!(self.traceparent)),
        ];
        let mut body = self.extra.clone();
        body.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        if let Some(url) = self.connected_url {
            body.insert("connect".to_owned(), json!("bot"));
            body.insert("connected_url".to_owned(), json!(url));
        }
        body
    }
}

/// The body for Pipecat Cloud's `/start`. The room is ours, so that its SIP address is known; what the bot is told goes in
/// `body`, with the SIP headers where Pipecat's example bots look for them too.
#[must_use]
pub fn pipecat_cloud(mut told: Map<String, Value>) -> Map<String, Value> {
    let sip_headers = told.get("dialin_settings").and_then(|settings| settings.get("sip_headers")).cloned();
    if let Some(sip_headers) = sip_headers {
        told.entry("sip_headers").or_insert(sip_headers);
    }
    Map::from_iter([("createDailyRoom".to_owned(), json!(false)), ("body".to_owned(), Value::Object(told))])
}

/// Reads a room. The SIP address stood at `config.sip_uri.endpoint` in every sample; the neighbours are looked at too.
#[must_use]
pub fn room(answer: &Value) -> Room {
    let spots = ["/config/sip_uri/endpoint", "/config/sip_uri", "/sip_uri/endpoint", "/sip_uri"];
    let endpoint = spots.iter().find_map(|spot| answer.pointer(spot).and_then(Value::as_str)).and_then(sip_uri);
    let url = answer.get("url").and_then(Value::as_str).filter(|url| !url.is_empty());
    let more = ["/config/sip_uri/extra_endpoints", "/sip_uri/extra_endpoints"];
    let more = more.iter().find_map(|spot| answer.pointer(spot).and_then(Value::as_array));
    let more_endpoints = more.into_iter().flatten().filter_map(Value::as_str).filter_map(sip_uri).collect();
    Room { url: url.map(str::to_owned), endpoint, more_endpoints }
}

/// Reads a meeting token.
#[must_use]
pub fn token(answer: &Value) -> Option<String> {
    answer.get("token").and_then(Value::as_str).filter(|token| !token.is_empty()).map(str::to_owned)
}

/// What an error answer says, short enough for a record: Daily's `error` and `info`, or what others write.
#[must_use]
pub fn complaint(body: &[u8]) -> Option<String> {
    const LONGEST: usize = 200;
    let words = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => {
            let fields = ["error", "info", "code", "message", "detail", "title"];
            let parts = fields.iter().filter_map(|field| object.get(*field).and_then(Value::as_str));
            parts.filter(|part| !part.is_empty()).take(2).collect::<Vec<_>>().join(": ")
        }
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let line: String = words.chars().map(|char| if char.is_control() { ' ' } else { char }).take(LONGEST).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// A SIP address with its scheme, which Daily's answers have or lack; `None` if it cannot be one.
#[must_use]
pub fn sip_uri(text: &str) -> Option<String> {
    let text = text.trim();
    let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let plausible = (3..=LONGEST_ADDRESS).contains(&text.len())
        && text.contains('@')
        && !text.chars().any(|char| char.is_whitespace() || char.is_control() || "<>\"".contains(char));
    plausible.then(|| if scheme("sip:") || scheme("sips:") { text.to_owned() } else { format!("sip:{text}") })
}

/// `text` as one segment of a path.
#[must_use]
pub fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Lays `over` on `under`: objects field by field, anything else replaces.
fn merge(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        match (under.get_mut(name), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            _ => {
                under.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::held::fixture;

    #[test]
    fn a_room_is_asked_for_exactly_so() {
        let body = create_room("call-1", "+15550123", &Create::default(), 1_000);
        let expected = json!({
            "name": "call-1",
            "privacy": "private",
            "properties": {
                "sip": { "display_name": "+15550123", "sip_mode": "dial-in", "num_endpoints": 1, "video": false },
                "exp": 4_600,
                "eject_at_room_exp": false,
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn pipecat_cloud_gets_the_contracts_body_inside_its_own() {
        let told = |headers: Value| {
            let settings = json!({ "call_id": "c", "sip_headers": headers });
            Map::from_iter([("room_url".to_owned(), json!("u")), ("dialin_settings".to_owned(), settings)])
        };
        let body = pipecat_cloud(told(json!({ "x-a": "1" })));
        let expected = json!({
            "createDailyRoom": false,
            "body": {
                "room_url": "u",
                "dialin_settings": { "call_id": "c", "sip_headers": { "x-a": "1" } },
                "sip_headers": { "x-a": "1" },
            },
        });
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn every_sip_address_of_a_room_is_read() {
        let answer = json!({
            "url": "u",
            "config": { "sip_uri": {
                "endpoint": "r.0@example.com", "extra_endpoints": ["sip:r.1@example.com", 7, "nonsense", "r.2@example.com"],
            } },
        });
        let expected = Room {
            url: Some("u".to_owned()),
            endpoint: Some("sip:r.0@example.com".to_owned()),
            more_endpoints: vec!["sip:r.1@example.com".to_owned(), "sip:r.2@example.com".to_owned()],
        };
        assert_eq!(room(&answer), expected);
    }

    #[test]
    fn a_display_name_is_appended_once_and_encoded() {
        let cases = [
            (
                "sip:a@example.com",
                "Ann Müller & Co",
                "sip:a@example.com?x-daily_display_name=Ann%20M%C3%BCller%20%26%20Co",
            ),
            ("sip:a@example.com?x-a=1", "+15550123", "sip:a@example.com?x-a=1&x-daily_display_name=%2B15550123"),
            ("sip:a@example.com?X-Daily_Display_Name=b", "c", "sip:a@example.com?X-Daily_Display_Name=b"),
            ("sip:a@example.com", " \r\n", "sip:a@example.com"),
        ];
        for (address, shown, expected) in cases {
            assert_eq!(with_display_name(address, shown), expected);
        }
        assert!(with_display_name("sip:a@example.com", &"€".repeat(1_000)).len() < 700);
    }

    #[test]
    fn further_properties_are_merged_deeply_and_win() {
        let create = Create {
            geo: Some("eu-central-1".to_owned()),
            codecs: Some(vec!["opus".to_owned(), "PCMU".to_owned()]),
            properties: json!({ "sip": { "provider": "daily", "video": true }, "exp": 7, "start_video_off": true })
                .as_object()
                .unwrap()
                .clone(),
            ..Create::default()
        };
        let properties = create_room("r", "n", &create, 0)["properties"].clone();
        assert_eq!(properties["sip"]["codecs"], json!({ "audio": ["OPUS", "PCMU"] }));
        assert_eq!(properties["sip"]["provider"], "daily");
        assert_eq!(properties["sip"]["video"], true);
        assert_eq!(properties["sip"]["sip_mode"], "dial-in");
        assert_eq!((&properties["exp"], &properties["geo"]), (&json!(7), &json!("eu-central-1")));
        assert_eq!(properties["start_video_off"], true);
    }

    #[test]
    fn a_token_opens_one_room_for_an_owner_until_it_expires() {
        let expected = json!({ "properties": { "room_name": "r", "is_owner": true, "exp": 9 } });
        assert_eq!(create_token("r", 9), expected);
    }

    #[test]
    fn the_bot_is_told_what_the_contract_says_and_its_own_fields_besides() {
        let extra = json!({ "voice": "calm", "token": "not this" }).as_object().unwrap().clone();
        let body = BotStart {
            facts: &fixture::facts(),
            dial_in: &fixture::dial_in("c-1"),
            room: &Room {
                url: Some("https://x.example.com/r".to_owned()),
                endpoint: Some("sip:r@example.com".to_owned()),
                ..Room::default()
            },
            token: "t",
            ready_url: "https://gw.example.com/rooms/r/ready",
            connected_url: None,
            ready_token: "secret",
            traceparent: "00-1-2-01",
            extra: &extra,
        }
        .body();
        let expected = json!({
            "voice": "calm",
            "token": "t",
            "room_url": "https://x.example.com/r",
            "sip_uri": "sip:r@example.com",
            "call_id": fixture::call().as_str(),
            "ready_url": "https://gw.example.com/rooms/r/ready",
            "ready_token": "secret",
            "dialin_settings": {
                "call_id": "c-1",
                "call_domain": "d-1",
                "From": "sip:from@example.com",
                "To": "sip:to@example.com",
                "from": "sip:from@example.com",
                "to": "sip:to@example.com",
                "sip_headers": { "X-Trunkline-Call": fixture::call().as_str() },
            },
            "caller": "+15550123",
            "called": "+15550100",
            "traceparent": "00-1-2-01",
        });
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn rooms_are_read_in_every_known_shape() {
        let shapes = [
            json!({ "url": "u", "config": { "sip_uri": { "endpoint": "r.0@d.example.com" } } }),
            json!({ "url": "u", "config": { "sip_uri": { "endpoint": "sip:r.0@d.example.com" } } }),
            json!({ "url": "u", "config": { "sip_uri": "r.0@d.example.com" } }),
            json!({ "url": "u", "sip_uri": { "endpoint": "sip:r.0@d.example.com" } }),
            json!({ "url": "u", "sip_uri": "sip:r.0@d.example.com" }),
        ];
        for shape in shapes {
            let expected = Room {
                url: Some("u".to_owned()),
                endpoint: Some("sip:r.0@d.example.com".to_owned()),
                ..Room::default()
            };
            assert_eq!(room(&shape), expected, "{shape}");
        }
        assert_eq!(room(&json!({ "url": "", "config": { "sip_uri": {} } })), Room::default());
        assert_eq!(room(&json!([])), Room::default());
    }

    #[test]
    fn addresses_get_their_scheme_once_and_nonsense_is_none() {
        for (text, expected) in [
            ("r@d.example.com", Some("sip:r@d.example.com")),
            (" sip:r@d.example.com ", Some("sip:r@d.example.com")),
            ("SIP:r@d.example.com", Some("SIP:r@d.example.com")),
            ("sips:r@d.example.com;transport=tls", Some("sips:r@d.example.com;transport=tls")),
            ("", None),
            ("no address", None),
            ("a b@example.com", None),
            ("a@example.com\r\nx: y", None),
            ("\"a\"<sip:a@example.com>", None),
        ] {
            assert_eq!(sip_uri(text).as_deref(), expected, "{text}");
        }
        assert_eq!(sip_uri(&format!("a@{}", "b".repeat(600))), None);
    }

    #[test]
    fn complaints_are_short_and_in_one_line() {
        let daily = br#"{"error":"rate-limit-error","info":"too many requests"}"#;
        assert_eq!(complaint(daily).as_deref(), Some("rate-limit-error: too many requests"));
        assert_eq!(complaint(br#"{"status":429,"code":"429"}"#).as_deref(), Some("429"));
        assert_eq!(complaint(b"upstream\r\ntimed out").as_deref(), Some("upstream  timed out"));
        assert_eq!(complaint(b"{}"), None);
        assert_eq!(complaint(b""), None);
        assert_eq!(complaint(&[b'x'; 10_000]).unwrap().len(), 200);
    }

    #[test]
    fn a_path_segment_stays_one() {
        assert_eq!(path_segment("lobby-1_A"), "lobby-1_A");
        assert_eq!(path_segment("a/../b?c"), "a%2F..%2Fb%3Fc");
    }
}
