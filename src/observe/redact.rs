//! How a phone number looks in a log line: its middle is hidden unless the configuration shows it. The log is
//! process-wide, and so is this switch; records, API answers and SIP messages are never touched by it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether logs show numbers whole. They do not until [`set`] says so, so that nothing leaks before the configuration
/// is read.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// What logs do with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// The middle becomes asterisks.
    Hide,
    /// They stay as they are.
    Show,
}

/// A number on its way into a log line: `tracing::info!(caller = %redact::number(caller), ...)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    number: &'a str,
    redaction: Redaction,
}

/// Sets the process-wide switch, from `redact_numbers` of `[observe]`.
pub fn set(redaction: Redaction) {
    SHOWN.store(redaction == Redaction::Show, Ordering::Relaxed);
}

/// A number, or the user part of a URI, as logs may show it.
#[must_use]
pub fn number(number: &str) -> Shown<'_> {
    let redaction = if SHOWN.load(Ordering::Relaxed) { Redaction::Show } else { Redaction::Hide };
    Shown { number, redaction }
}

// === impl Redaction ===

impl From<&crate::config::observe::Observe> for Redaction {
    fn from(section: &crate::config::observe::Observe) -> Self {
        if section.redact_numbers { Self::Hide } else { Self::Show }
    }
}

// === impl Shown ===

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `anonymous` (RFC 3261 §8.1.1.3) identifies nobody, and it explains a call.
        if self.redaction == Redaction::Show || self.number.eq_ignore_ascii_case("anonymous") {
            return f.write_str(self.number);
        }
        let total = self.number.chars().filter(|c| c.is_alphanumeric()).count();
        // A quarter at each end, three and two at most: the country and the end to tell calls apart, no more.
        let (head, tail) = ((total / 4).min(3), (total / 4).min(2));
        let mut seen = 0;
        for c in self.number.chars() {
            if !c.is_alphanumeric() {
                fmt::Write::write_char(f, c)?;
                continue;
            }
            let kept = seen < head || seen >= total - tail;
            fmt::Write::write_char(f, if kept { c } else { '*' })?;
            seen += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(number: &str) -> String {
        Shown { number, redaction: Redaction::Hide }.to_string()
    }

    #[test]
    fn the_middle_of_a_number_is_hidden() {
        assert_eq!(hidden("+15550100123"), "+15*******23");
        assert_eq!(hidden("555-010-0123"), "55*-***-**23");
    }

    #[test]
    fn an_extension_keeps_a_digit_at_each_end_and_less_keeps_nothing() {
        assert_eq!(hidden("1000"), "1**0");
        assert_eq!(hidden("112"), "***");
        assert_eq!(hidden(""), "");
    }

    #[test]
    fn a_name_as_user_is_hidden_too_and_anonymous_is_not() {
        assert_eq!(hidden("reception.desk"), "rec******.**sk");
        assert_eq!(hidden("Anonymous"), "Anonymous");
    }

    #[test]
    fn shown_means_untouched() {
        assert_eq!(Shown { number: "+15550100123", redaction: Redaction::Show }.to_string(), "+15550100123");
    }

    #[test]
    fn the_configuration_decides() {
        let section = crate::config::observe::Observe::default();
        assert_eq!(Redaction::from(&section), Redaction::Hide);
    }
}
