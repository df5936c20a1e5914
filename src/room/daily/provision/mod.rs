//! `provision daily`: makes the account hold what this gateway needs, and touches nothing else in it. What is there and
//! what is wanted become a difference, and the difference becomes requests (`plan`, `domain`: pure functions); `perform`
//! sends them, and looks before and after each.

mod array;
mod domain;
mod entry;
mod explain;
mod perform;
mod plan;

pub use domain::{DomainHook, DomainPlan, DomainWanted};
pub use entry::{Current, Entry};
pub use explain::Trouble;
pub use perform::Provisioner;
pub use plan::{Adopt, Api, Line, Plan, Step, Wanted};

use serde_json::Value;

/// One field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, as Daily names it.
    pub field: &'static str,
    /// What it is; `None` if it is not there.
    pub from: Option<String>,
    /// What it will be.
    pub to: String,
}

/// What a secret looks like in a difference.
pub const MASKED: &str = "***";

/// Why nothing can be planned, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

// === impl Difference ===

impl Difference {
    /// `field: from -> to`.
    #[must_use]
    pub fn line(&self) -> String {
        match &self.from {
            Some(from) => format!("{}: {from} -> {}", self.field, self.to),
            None => format!("{}: {}", self.field, self.to),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: remedy.into() }
    }
}

/// Do two URLs lead to the same place? Text that is no URL only equals itself.
fn same_url(one: &str, other: &str) -> bool {
    match (reqwest::Url::parse(one.trim()), reqwest::Url::parse(other.trim())) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.trim() == other.trim(),
    }
}

/// A secret that Daily shows whole. One that is masked or left out must never be written back.
fn shown_secret(value: Option<&Value>) -> Option<&str> {
    let text = value?.as_str()?;
    let whole = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte));
    (!text.is_empty() && whole).then_some(text)
}

#[cfg(test)]
mod tests;
