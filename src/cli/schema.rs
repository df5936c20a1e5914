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
