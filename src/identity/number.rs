//! One number of a call: what was received, what routes compare, and every form it can be written in. It stands apart so
//! that the order translate, extensions, normalise is in one place, whoever's number it is.

use super::clean;
use super::extract::Party;
use super::normalise::{self, Normalised, normalise};
use super::region::Region;
use crate::config::numbers::NumberFormat;
use crate::record::Step;
use crate::record::step::Number;
use crate::trunk::Trunk;
use std::sync::Arc;

/// A number that a party had.
#[derive(Debug, Clone)]
pub struct Telephone {
    /// As received, after `translate` and `extensions`.
    pub received: String,
    /// What routes and room plans match on: `+` and digits, or what was received if it is no telephone number.
    pub key: String,
    /// Whether [`Telephone::key`] is `+` and digits.
    pub is_e164: bool,
    /// Its extension (`ext` of RFC 3966).
    pub extension: Option<String>,
    region: Arc<Region>,
}

// === impl Telephone ===

impl Telephone {
    /// Translates, looks up and normalises the user part of a party; each change is a step. `None` if nothing is left.
    pub fn read(party: &Party, number: Number, trunk: &Trunk, steps: &mut Vec<Step>) -> Option<Self> {
        let mut received = party.user.clone();
        for (position, rule) in trunk.config.translate.iter().enumerate().filter(|(_, rule)| rule.number == number) {
            if rule.pattern.regex().is_match(&received) {
                let after = clean(&rule.pattern.regex().replace(&received, &rule.replace));
                rewrite(steps, number, format!("translate[{position}]"), &received, &after, None);
                received = after;
            }
        }
        if let Some(direct) = trunk.extensions.get(&received) {
            rewrite(steps, number, "extensions".to_owned(), &received, direct, None);
            received.clone_from(direct);
        }
        let Normalised { key, is_e164, note } = normalise(&received, party.context.as_deref(), &trunk.region);
        if key != received || note.is_some() {
            rewrite(steps, number, "normalise".to_owned(), &received, &key, note);
        }
        let region = Arc::clone(&trunk.region);
        let telephone = Self { received, key, is_e164, extension: party.extension.clone(), region };
        (!telephone.key.is_empty()).then_some(telephone)
    }

    /// The number in this form, and why it is not in it if it cannot be.
    #[must_use]
    pub fn written(&self, form: NumberFormat) -> (String, Option<String>) {
        normalise::write(&self.key, self.is_e164, &self.received, form, &self.region)
    }

    /// Notes the form that `format` of `[numbers]` gives it, where that is not the normalised one.
    pub fn note_form(&self, form: NumberFormat, number: Number, steps: &mut Vec<Step>) {
        let (written, note) = self.written(form);
        if written != self.key || (note.is_some() && form != NumberFormat::E164) {
            rewrite(steps, number, "format".to_owned(), &self.key, &written, note);
        }
    }
}

fn rewrite(steps: &mut Vec<Step>, number: Number, rule: String, before: &str, after: &str, note: Option<String>) {
    steps.push(Step::Rewrite { number, rule, before: before.to_owned(), after: after.to_owned(), note });
}
