//! Who called, and whom: from the headers of the PBX's INVITE to the numbers the cloud sees. Every source that was
//! looked at and every rewrite becomes a step, because the first question about a wrong number is where it came from.

pub mod budget;
pub mod choose;
pub mod correlation;
pub mod display;
pub mod elements;
pub mod extract;
pub mod headers;
mod history;
pub mod normalise;
pub mod number;
mod plans;
pub mod privacy;
pub mod redirect;
pub mod region;
pub mod shown;
pub mod survey;
pub mod template;
pub mod user_to_user;

use crate::config;
use crate::config::numbers::NumberFormat;
use crate::error::{Cause, Termination};
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::{HeaderName, Message};
use crate::trunk::Trunk;
use choose::{UNTRUSTED, look};
use correlation::Correlation;
use extract::Party;
use number::Telephone;
use privacy::Wish;
use redirect::{Redirected, Redirects};
use user_to_user::UserToUser;

/// What stands for a caller who is not known or asked not to be shown.
pub const ANONYMOUS: &str = "anonymous";

/// Who is in a call, as the PBX told it: the truth, whatever a target may see of it ([`shown::Shown`]).
#[derive(Debug, Clone)]
pub struct Numbers {
    /// The caller; `None` if no source named one.
    pub caller: Option<Telephone>,
    /// The called number.
    pub called: Telephone,
    /// The caller's display name.
    pub caller_name: Option<String>,
    /// What the caller wishes to keep from others.
    pub wish: Wish,
    /// Whom the caller dialled before the call was redirected.
    pub original_called: Option<Redirected>,
    /// Who sent the call to us; the same as the original if it was redirected once.
    pub last_redirecting: Option<Redirected>,
    /// How often it was redirected.
    pub redirect_count: u32,
    /// Who transferred the call (RFC 3892).
    pub referred_by: Option<Telephone>,
    /// User-to-User.
    pub uui: UserToUser,
    /// Identifiers of the PBX's systems.
    pub correlation: Correlation,
    /// The form of numbers in headers where a template asks for none.
    pub form: NumberFormat,
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
    let redirects = Redirects::find(request, trunk, steps);
    let choose::Caller { party, name } = choose::caller(request, trunk, &redirects, steps);
    let mut wish = Wish::read(request, steps);
    let caller = party.and_then(|party| Telephone::read(&party, Number::Caller, trunk, steps));
    if let Some(caller) = &caller {
        caller.note_form(form, Number::Caller, steps);
    }
    let called = choose::called(request, trunk, &redirects, steps)
        .and_then(|party| Telephone::read(&party, Number::Called, trunk, steps))
        .ok_or_else(|| Termination::new(Cause::NoCalledNumber))?;
    called.note_form(form, Number::Called, steps);
    let (original_called, last_redirecting) = redirects.read(trunk, steps);
    let private = [&original_called, &last_redirecting].into_iter().flatten().any(|redirected| redirected.is_private);
    if let Some(first) = redirects.first.as_ref().filter(|_| private) {
        wish.redirecting(first.source);
    }
    let referred_by = referred_by(request, trunk, steps);
    let uui = UserToUser::read(request, steps);
    let correlation = Correlation::read(request, &uui, steps);
    let redirect_count = redirects.count;
    Ok(Numbers {
        caller,
        called,
        caller_name: name,
        wish,
        original_called,
        last_redirecting,
        redirect_count,
        referred_by,
        uui,
        correlation,
        form,
    })
}

/// RFC 3892 §3: who transferred the call, if the trunk is believed.
fn referred_by(request: &Message, trunk: &Trunk, steps: &mut Vec<Step>) -> Option<Telephone> {
    let value = request.value(HeaderName::ReferredBy)?;
    let party = if trunk.config.trust { Party::from_value(value) } else { Err(UNTRUSTED.to_owned()) };
    let verdict = party.as_ref().map_or_else(Clone::clone, |_| "transferred the call".to_owned());
    look(steps, Number::ReferredBy, HeaderName::ReferredBy.as_str(), value, verdict);
    Telephone::read(&party.ok()?, Number::ReferredBy, trunk, steps)
}

// === impl Numbers ===

impl Numbers {
    /// The calling number that routes match on: the real one even if no target may see it.
    #[must_use]
    pub fn caller_key(&self) -> &str {
        self.caller.as_ref().map_or(ANONYMOUS, |caller| caller.key.as_str())
    }

    /// The called number that routes match on.
    #[must_use]
    pub fn called_key(&self) -> &str {
        &self.called.key
    }
}

/// The longest text that is kept of a value, in characters. No line of ours gets as long (see [`budget`]); this keeps a
/// hostile one from growing in the record.
const LONGEST: usize = 4000;

/// Text that may stand in a header field: control characters become blanks, ends are trimmed, length is bounded.
#[must_use]
pub fn clean(text: &str) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    let text: String = text.chars().take(LONGEST).map(plain).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests;
