//! `keepalive` of trunks and targets: how often they are asked by OPTIONS, and when they count as down and up again.

use super::value::Span;
use serde::{Deserialize, Serialize, de};
use std::fmt;

/// `"30s"`, or `{ interval, timeout, down_after, up_after }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Keepalive {
    /// Between two questions.
    pub interval: Span,
    /// How long an answer may take [5s].
    pub timeout: Span,
    /// Down after so many failures in a row [3].
    pub down_after: u32,
    /// Up again after so many answers in a row [2].
    pub up_after: u32,
}

/// The long form.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Between two questions.
    interval: Span,
    /// How long an answer may take.
    #[serde(default = "timeout")]
    timeout: Span,
    /// Down after so many failures in a row.
    #[serde(default = "down_after")]
    down_after: u32,
    /// Up again after so many answers in a row.
    #[serde(default = "up_after")]
    up_after: u32,
}

fn timeout() -> Span {
    Span::from_secs(5)
}

fn down_after() -> u32 {
    Keepalive::DOWN_AFTER
}

fn up_after() -> u32 {
    2
}

// === impl Keepalive ===

impl Keepalive {
    /// Failures in a row after which a peer counts as down, asked or not.
    pub const DOWN_AFTER: u32 = 3;

    /// Every so often, the rest as usual.
    #[must_use]
    pub fn every(interval: Span) -> Self {
        Self { interval, timeout: timeout(), down_after: down_after(), up_after: up_after() }
    }
}

impl<'de> Deserialize<'de> for Keepalive {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: that would lose the place and the words of an error inside.
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Keepalive;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration, or a table with `interval`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Keepalive, E> {
                Span::deserialize(de::value::StrDeserializer::new(text)).map(Keepalive::every)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Keepalive, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let Table { interval, timeout, down_after, up_after } = table;
                Ok(Keepalive { interval, timeout, down_after, up_after })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl schemars::JsonSchema for Keepalive {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Keepalive".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (span, table) = (generator.subschema_for::<Span>(), Table::json_schema(generator));
        schemars::json_schema!({ "anyOf": [span, table] })
    }
}
