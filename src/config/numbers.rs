//! `[numbers]`: how numbers are read and written unless a trunk says otherwise.

use serde::{Deserialize, Serialize};

/// The section.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Numbers {
    /// ISO 3166 region in which numbers without country code are read.
    pub country: String,
    /// Form of numbers in the headers to the target.
    pub format: NumberFormat,
}

/// Form of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NumberFormat {
    /// `+15551234567`.
    #[default]
    E164,
    /// `15551234567`.
    Digits,
    /// As dialled inside the country: `5551234567`.
    National,
    /// Untouched.
    AsReceived,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { country: "US".to_owned(), format: NumberFormat::E164 }
    }
}
