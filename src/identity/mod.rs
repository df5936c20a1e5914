//! Who called, and whom: from the headers of the PBX's INVITE to the numbers the cloud sees. Every source that was
//! looked at and every rewrite becomes a step, because the first question about a wrong number is where it came from.

pub mod choose;
pub mod extract;
pub mod normalise;
mod plans;
pub mod redirect;
pub mod region;
pub mod survey;
pub mod template;
pub mod user_to_user;

use crate::config;
use crate::config::numbers::NumberFormat;
use crate::error::{Cause, Termination};
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::Message;
use crate::trunk::Trunk;
use extract::Party;
use normalise::{Normalised, normalise};

/// What stands for a caller who is not known or asked not to be shown.
pub const ANONYMOUS: &str = "anonymous";

/// The numbers of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The caller as the target sees it; [`ANONYMOUS`] if it must not.
    pub caller: String,
    /// The called number as the target sees it.
    pub called: String,
    /// The caller's display name, unless it must not be shown.
    pub caller_name: Option<String>,
    /// The caller that routes match on: normalised, and the real one even if the target sees none.
    pub caller_key: String,
    /// The called number that routes match on, normalised.
    pub called_key: String,
    /// Whom the caller dialled before the call was redirected, as the target sees it.
    pub original_called: Option<String>,
    /// Why it was redirected, in the words of RFC 5806: `no-answer`, `unconditional`.
    pub redirect_reason: Option<String>,
}

/// Reads the numbers of an INVITE as the trunk's configuration says.
///
/// # Errors
/// [`Cause::NoCalledNumber`] if none of the configured sources holds one.
pub fn decide(
    request: &Message,
    trunk: &Trunk,
    numbers: &config::numbers::Numbers,
    steps: &mut Vec<Step>,
) -> Result<Numbers, Termination> {
    let form = numbers.format;
    let caller = choose::caller(request, trunk, steps);
    let caller_number = caller.party.map(|party| Reading::of(&party, Number::Caller, trunk, form, steps));
    let called = choose::called(request, trunk, steps)
        .map(|party| Reading::of(&party, Number::Called, trunk, form, steps))
        .filter(|reading| !reading.key.is_empty())
        .ok_or_else(|| Termination::new(Cause::NoCalledNumber))?;
    let redirect = redirect::find(request, trunk, &called.key, steps);
    let original = redirect.as_ref().map(|redirect| {
        let number = normalise(&redirect.party.user, redirect.party.context.as_deref(), &trunk.region);
        normalise::write(&number, &redirect.party.user, form, &trunk.region).0
    });
    let unknown = || Reading { key: ANONYMOUS.to_owned(), written: ANONYMOUS.to_owned() };
    let caller_number = caller_number.filter(|reading| !reading.key.is_empty()).unwrap_or_else(unknown);
    Ok(Numbers {
        caller: if caller.withheld { ANONYMOUS.to_owned() } else { caller_number.written },
        called: called.written,
        caller_name: caller.name.filter(|_| !caller.withheld),
        caller_key: caller_number.key,
        called_key: called.key,
        original_called: original,
        redirect_reason: redirect.and_then(|redirect| redirect.reason),
    })
}

/// One number in its two forms.
struct Reading {
    key: String,
    written: String,
}

// === impl Reading ===

impl Reading {
    /// Translates, normalises and formats the user part of a party; each change is a step.
    fn of(party: &Party, number: Number, trunk: &Trunk, form: NumberFormat, steps: &mut Vec<Step>) -> Self {
        let mut received = party.user.clone();
        for (position, rule) in trunk.config.translate.iter().enumerate().filter(|(_, rule)| rule.number == number) {
            if rule.pattern.regex().is_match(&received) {
                let after = clean(&rule.pattern.regex().replace(&received, &rule.replace));
                rewrite(steps, number, format!("translate[{position}]"), &received, &after, None);
                received = after;
            }
        }
        let Normalised { key, is_e164, note } = normalise(&received, party.context.as_deref(), &trunk.region);
        if key != received || note.is_some() {
            rewrite(steps, number, "normalise".to_owned(), &received, &key, note);
        }
        let normalised = Normalised { key, is_e164, note: None };
        let (written, note) = normalise::write(&normalised, &received, form, &trunk.region);
        if written != normalised.key || (note.is_some() && form != NumberFormat::E164) {
            rewrite(steps, number, "format".to_owned(), &normalised.key, &written, note);
        }
        Self { key: normalised.key, written }
    }
}

fn rewrite(steps: &mut Vec<Step>, number: Number, rule: String, before: &str, after: &str, note: Option<String>) {
    steps.push(Step::Rewrite { number, rule, before: before.to_owned(), after: after.to_owned(), note });
}

/// Longest value that is passed on, in characters: many peers refuse header lines much above 1024 bytes.
const LONGEST: usize = 1000;

/// Text that may stand in a header field: control characters become blanks, ends are trimmed, length is bounded.
#[must_use]
pub fn clean(text: &str) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    let text: String = text.chars().take(LONGEST).map(plain).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests;
