//! `trunkline schema`: the JSON Schema of the configuration, made from the types that read it.

use crate::config::Config;
use std::io::Write as _;
use std::process::ExitCode;

/// Writes the schema to stdout. Exit status 1 if it cannot be written.
#[must_use]
pub fn run() -> ExitCode {
    let Ok(mut text) = serde_json::to_string_pretty(&schema()) else { return ExitCode::FAILURE };
    text.push('\n');
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The schema; descriptions are the documentation of the fields.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The keys of the documentation; those of later versions too, which the schema refuses by name.
    const DOCUMENTED: [(&str, &[&str]); 15] = [
        ("sip", &["listen", "advertise", "user_agent", "tls", "t1", "t2"]),
        ("media", &["bind", "advertise", "ports", "workers", "timeout_initial", "timeout", "timeout_hold"]),
        ("http", &["listen", "public_url", "tls"]),
        ("admin", &["listen", "tokens"]),
        ("numbers", &["country", "format"]),
        (
            "trunk",
            &[
                "name",
                "profile",
                "peers",
                "address",
                "auth",
                "register",
                "country",
                "trust",
                "identity",
                "called",
                "translate",
                "extensions",
                "extensions_csv",
                "privacy",
                "pass_headers",
                "max_calls",
                "max_rate",
                "keepalive",
                "srtp",
                "codecs",
                "dtmf",
                "session_timer",
                "reliable",
                "answer",
                "causes",
            ],
        ),
        (
            "target",
            &[
                "name",
                "kind",
                "uri",
                "outbound_proxy",
                "auth",
                "register",
                "headers",
                "header_limit",
                "pass_headers",
                "privacy",
                "srtp",
                "codecs",
                "keepalive",
                "max_calls",
                "max_rate",
                "peers",
                "transfer",
            ],
        ),
        (
            "route",
            &["trunk", "target", "called", "caller", "header", "targets", "retry_on", "ring_timeout", "fallback"],
        ),
        ("daily", &["api_key", "api_url", "hmac", "events_hmac", "max_skew"]),
        (
            "room",
            &["trunk", "called", "caller", "header", "use", "create", "bot", "connect", "ready_timeout", "on_failure"],
        ),
        (
            "guard",
            &[
                "unknown",
                "rate",
                "rate_all",
                "half_open",
                "connections",
                "ban_after",
                "ban_window",
                "ban_time",
                "deny",
                "scanners",
            ],
        ),
        ("signalwire", &[]),
        ("store", &[]),
        ("cluster", &[]),
        ("observe", &["log", "redact_numbers", "otlp", "hep"]),
    ];

    /// Follows `$ref`, `items` and the non-null side of `anyOf` to an object's schema.
    fn resolve<'s>(root: &'s Value, mut at: &'s Value) -> &'s Value {
        loop {
            if let Some(name) = at["$ref"].as_str() {
                at = &root["$defs"][name.rsplit('/').next().unwrap()];
            } else if let Some(items) = at.get("items") {
                at = items;
            } else if let Some(sides) = at["anyOf"].as_array() {
                at = sides.iter().find(|side| side["type"] != "null").unwrap();
            } else {
                return at;
            }
        }
    }

    fn root() -> Value {
        serde_json::to_value(schema()).unwrap()
    }

    #[test]
    fn the_schema_has_every_documented_key_with_a_description() {
        let root = root();
        for (section, keys) in DOCUMENTED {
            let property = &root["properties"][section];
            assert!(property["description"].is_string(), "{section}");
            let object = resolve(&root, property);
            for key in keys {
                let property = &object["properties"][key];
                assert!(property["description"].is_string(), "{section}.{key}: {property}");
            }
        }
    }

    #[test]
    fn the_schema_refuses_unknown_keys_everywhere() {
        let root = root();
        assert_eq!(root["additionalProperties"], false);
        for (section, keys) in DOCUMENTED.iter().filter(|(_, keys)| !keys.is_empty()) {
            let object = resolve(&root, &root["properties"][section]);
            assert_eq!(object["additionalProperties"], false, "{section}: {keys:?}");
        }
        for (section, key) in
            [("room", "bot"), ("room", "create"), ("room", "header"), ("trunk", "translate"), ("admin", "tokens")]
        {
            let object = resolve(&root, &root["properties"][section]);
            let inner = resolve(&root, &object["properties"][key]);
            assert_eq!(inner["additionalProperties"], false, "{section}.{key}");
        }
    }

    #[test]
    fn keys_of_later_versions_are_in_the_schema_and_take_no_value() {
        let root = root();
        let trunk = resolve(&root, &root["properties"]["trunk"]);
        assert_eq!(resolve(&root, &trunk["properties"]["srtp"])["not"], serde_json::json!({}));
    }

    #[test]
    fn required_keys_and_defaults_are_shown() {
        let root = root();
        let target = resolve(&root, &root["properties"]["target"]);
        assert_eq!(target["required"], serde_json::json!(["name", "kind", "uri"]));
        let sip = resolve(&root, &root["properties"]["sip"]);
        assert_eq!(sip["properties"]["t1"]["default"], "500ms");
        assert_eq!(resolve(&root, &root["properties"]["route"])["properties"]["ring_timeout"]["default"], "1m");
    }
}
