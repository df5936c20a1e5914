//! What one target sees of a call's numbers. It stands apart from the numbers themselves because the same call may go to
//! a target that may know its caller after one that may not.

use super::number::Telephone;
use super::privacy::Withheld;
use super::redirect::Redirected;
use super::{ANONYMOUS, Numbers};
use crate::config::numbers::NumberFormat;
use crate::config::trunk::PrivacyPolicy;
use crate::record::Step;

/// The numbers as a target sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The caller; [`ANONYMOUS`] if unknown or withheld.
    pub caller: String,
    /// The called number.
    pub called: String,
    /// The caller's display name, unless it is withheld.
    pub caller_name: Option<String>,
    /// What is not shown.
    pub withheld: Withheld,
}

/// Who wants to see a call's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'v> {
    /// The target's name.
    pub target: &'v str,
    /// `privacy` of the trunk that the call came from.
    pub trunk: Option<PrivacyPolicy>,
    /// `privacy` of the target.
    pub own: Option<PrivacyPolicy>,
}

// === impl Numbers ===

impl Numbers {
    /// What this viewer sees; a step tells what it does not.
    pub fn shown(&self, viewer: Viewer<'_>, steps: &mut Vec<Step>) -> Shown {
        let withheld = self.wish.withheld(viewer.target, viewer.trunk, viewer.own, steps);
        Shown {
            caller: self.caller_in(self.form, withheld),
            called: self.called.written(self.form).0,
            caller_name: self.caller_name.clone().filter(|_| !withheld.name),
            withheld,
        }
    }

    /// The caller in a form of its own.
    #[must_use]
    pub fn caller_in(&self, form: NumberFormat, withheld: Withheld) -> String {
        match &self.caller {
            Some(caller) if !withheld.number => caller.written(form).0,
            _ => ANONYMOUS.to_owned(),
        }
    }

    /// A redirecting number in a form of its own; empty if there is none.
    #[must_use]
    pub fn redirected_in(&self, redirected: Option<&Redirected>, form: NumberFormat, withheld: Withheld) -> String {
        match redirected {
            None => String::new(),
            Some(redirected) if withheld.hides(redirected) => ANONYMOUS.to_owned(),
            Some(redirected) => redirected.number.written(form).0,
        }
    }

    /// Whether text holds the caller's digits, and so would tell whom a policy hides. Extensions are too short to be
    /// told from other digits.
    #[must_use]
    pub fn betrays_caller(&self, text: &str) -> bool {
        const TELLING: usize = 7;
        const MOST: usize = 9;
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let number = |caller: &Telephone| digits(&caller.key);
        let Some(own) = self.caller.as_ref().map(number).filter(|own| own.len() >= TELLING) else { return false };
        let tail = own.get(own.len().saturating_sub(MOST)..).unwrap_or(&own);
        digits(text).contains(tail)
    }
}

// === impl Withheld ===

impl Withheld {
    /// Whether this redirecting party is hidden.
    #[must_use]
    pub fn hides(self, redirected: &Redirected) -> bool {
        self.history || (self.redirecting && redirected.is_private)
    }
}
