//! `[observe]`: logs and where else to tell.

use super::value::Later;
use serde::{Deserialize, Serialize};

/// The section.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// Form of the log on stderr.
    pub log: LogFormat,
    /// Replace the middle of phone numbers in logs.
    pub redact_numbers: bool,
    /// Not in this version.
    pub otlp: Option<Later>,
    /// Not in this version.
    pub hep: Option<Later>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Observe {
    fn default() -> Self {
        Self { log: LogFormat::Text, redact_numbers: true, otlp: None, hep: None }
    }
}
