//! The body that sets `pinless_dialin`. It replaces the whole array at Daily, so every entry that is not ours goes back
//! with the bytes it came in: an entry left out would be removed, one without its `hmac` would get another secret.

use super::entry::Entry;
use super::plan::Step;
use super::{Refusal, shown_secret};
use serde_json::{Map, Value};

/// The body of `POST /`: all entries in their order, those of `steps` with their new fields, new ones behind.
///
/// # Errors
/// An entry whose secret Daily does not show: it cannot be sent back unchanged.
pub(super) fn body(all: &[Entry], steps: &[Step]) -> Result<String, Refusal> {
    let mut texts = vec![];
    for entry in all {
        let step = steps.iter().find(|step| step.before.as_ref() == Some(entry));
        match step.filter(|step| !step.differences.is_empty()) {
            Some(step) => texts.push(written(&step.after)?),
            None if entry.hmac().is_some() => texts.push(entry.raw.clone()),
            None => return Err(not_shown(&entry.title())),
        }
    }
    for step in steps.iter().filter(|step| step.before.is_none()) {
        texts.push(written(&step.after)?);
    }
    Ok(format!("{{\"properties\":{{\"pinless_dialin\":[{}]}}}}", texts.join(",")))
}

fn written(fields: &Map<String, Value>) -> Result<String, Refusal> {
    if shown_secret(fields.get("hmac")).is_none() {
        return Err(not_shown("of this gateway"));
    }
    serde_json::to_string(fields)
        .map_err(|error| Refusal::new(format!("an entry cannot be written: {error}"), "report it"))
}

fn not_shown(title: &str) -> Refusal {
    Refusal::new(
        format!(
            "Daily does not show the secret of the entry {title}, and setting the array without it would change it"
        ),
        "use --api entries, which leaves other entries alone",
    )
}
