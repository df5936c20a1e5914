//! What a provisioning tells: JSON on stdout for machines, lines on stderr for people. Secrets are masked in both, but in
//! what the operator has to set by hand.

use super::places::{ToSet, Written};
use crate::room::daily::provision::{Difference, DomainPlan, Plan, Step};
use serde::Serialize;
use std::io::Write as _;

/// Everything, as it goes to stdout.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) dry_run: bool,
    /// Whether anything was written at Daily (with `dry_run`: would be); unknown after an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changed: Option<bool>,
    /// `entries` or `array`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) api: Option<&'static str>,
    pub(super) entries: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<Part>,
    /// Files that were written (with `dry_run`: would be).
    pub(super) files: Vec<Written>,
    /// What has to be set by hand; with its secrets, unless `dry_run`.
    pub(super) set: Vec<ToSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// An entry or the webhook.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    /// `interconnect`, a number or `events`.
    pub(super) of: String,
    /// `create`, `update` or `none`.
    pub(super) action: &'static str,
    pub(super) differences: Vec<Line>,
}

#[derive(Debug, Serialize)]
pub(super) struct Line {
    field: &'static str,
    from: Option<String>,
    to: String,
}

// === impl Report ===

impl Report {
    pub(super) fn entries(&mut self, plan: &Plan) {
        self.api = Some(plan.api.name());
        self.entries = plan.steps.iter().map(Part::of_step).collect();
        self.say_parts(&format!("dial-in entries ({})", plan.api.name()));
        for stray in &plan.strays {
            eprintln!(
                "note: the entry {stray} posts to this gateway too and is not configured here; it stays as it is"
            );
        }
    }

    pub(super) fn events(&mut self, plan: &DomainPlan) {
        let part = Part::new("events", plan.before.is_some(), &plan.differences);
        part.say(self.dry_run);
        self.events = Some(part);
    }

    fn say_parts(&self, what: &str) {
        eprintln!("{what}:");
        self.entries.iter().for_each(|part| part.say(self.dry_run));
    }

    pub(super) fn wrote(&mut self, written: Written) {
        let (would, path) = (if self.dry_run { "would " } else { "" }, written.path.display());
        match written.action {
            "replace" => eprintln!("{would}replace {path}: `{}` read something else there", written.key),
            _ => eprintln!("{would}write {path}, where `{}` is read", written.key),
        }
        self.files.push(written);
    }

    pub(super) fn ask_to_set(&mut self, set: ToSet) {
        match &set.env {
            Some(name) => eprintln!("set the environment variable {name} (`{}`) to the value on stdout", set.key),
            None => eprintln!("set `{}` in the configuration to the value on stdout", set.key),
        }
        self.set.push(set);
    }

    /// The last words.
    pub(super) fn print(&self) -> bool {
        if !self.set.is_empty() && !self.dry_run {
            eprintln!("warning: stdout holds secrets");
        }
        if (!self.set.is_empty() || !self.files.is_empty()) && !self.dry_run {
            eprintln!("restart the gateway, so that it reads them");
        }
        match (&self.error, self.dry_run, self.changed) {
            (Some(error), _, _) => eprintln!("{error}"),
            (None, true, Some(true)) => eprintln!("dry run: nothing was sent that writes"),
            (None, false, Some(true)) => eprintln!("done"),
            (None, _, _) => eprintln!("Daily has everything already: nothing to change there"),
        }
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        writeln!(std::io::stdout(), "{text}").is_ok()
    }
}

// === impl Part ===

impl Part {
    fn of_step(step: &Step) -> Self {
        Self::new(step.line.name(), step.before.is_some(), &step.differences)
    }

    fn new(of: &str, is_there: bool, differences: &[Difference]) -> Self {
        let action = match (is_there, differences) {
            (false, _) => "create",
            (true, []) => "none",
            (true, _) => "update",
        };
        let line = |difference: &Difference| Line {
            field: difference.field,
            from: difference.from.clone(),
            to: difference.to.clone(),
        };
        Self { of: of.to_owned(), action, differences: differences.iter().map(line).collect() }
    }

    fn say(&self, dry_run: bool) {
        let will = if dry_run { "would " } else { "" };
        match self.action {
            "none" => eprintln!("  {}: as it should be", self.of),
            action => eprintln!("  {}: {will}{action}", self.of),
        }
        for Line { field, from, to } in &self.differences {
            match from {
                Some(from) => eprintln!("    {field}: {from} -> {to}"),
                None => eprintln!("    {field}: {to}"),
            }
        }
    }
}
