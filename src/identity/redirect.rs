//! Whom the caller dialled before the call was redirected, who sent it to us, and why: Diversion (RFC 5806), else
//! History-Info (RFC 7044, `history`), else Cisco's Remote-Party-ID. It stands apart because a call is the same without.

use super::choose::{UNTRUSTED, look, rpid_param};
use super::elements::{Element, List, of_line};
use super::extract::{Party, Standing};
use super::history;
use super::number::Telephone;
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::decode;
use crate::sip::{HeaderName, Message};
use crate::trunk::Trunk;

/// One redirection before the call reached us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Who was called, and passed the call on.
    pub party: Party,
    /// Why, in the words of RFC 5806.
    pub reason: Option<String>,
    /// Whether that party asked not to be shown.
    pub is_private: bool,
    /// The header that told it.
    pub source: HeaderName,
}

/// All of them, as far as the message tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    /// From whom the caller dialled.
    pub first: Option<Redirect>,
    /// From whoever sent the call to us; the same as the first if there was one.
    pub last: Option<Redirect>,
    /// How many there were.
    pub count: u32,
}

/// A redirection with its number read.
#[derive(Debug, Clone)]
pub struct Redirected {
    /// The number that was redirected.
    pub number: Telephone,
    /// Why.
    pub reason: Option<String>,
    /// Whether it must not be shown.
    pub is_private: bool,
}

/// What is said of a redirecting party's own wish, beside the verdict.
const PRIVATE: &str = "; it asked not to be shown";

// === impl Redirects ===

impl Redirects {
    /// Finds them. Only a trusted trunk is believed.
    pub fn find(request: &Message, trunk: &Trunk, steps: &mut Vec<Step>) -> Self {
        for (header, read) in [
            (HeaderName::Diversion, diversion as fn(&Message, &Trunk, &mut Vec<Step>) -> Self),
            (HeaderName::HistoryInfo, history::read),
            (HeaderName::RemotePartyId, cisco),
        ] {
            let Some(value) = request.value(header) else { continue };
            if !trunk.config.trust {
                if header != HeaderName::RemotePartyId {
                    look(steps, Number::OriginalCalled, header.as_str(), value, UNTRUSTED.to_owned());
                }
                continue;
            }
            let found = read(request, trunk, steps);
            if found.first.is_some() {
                return found;
            }
        }
        Self::default()
    }

    /// From redirections in the order in which they happened.
    pub(super) fn in_order(mut all: Vec<Redirect>, count: usize) -> Self {
        let last = all.pop();
        let first = all.into_iter().next().or_else(|| last.clone());
        Self { first, last, count: u32::try_from(count).unwrap_or(u32::MAX) }
    }

    /// Reads the numbers of the first and the last one; each is a step.
    pub fn read(&self, trunk: &Trunk, steps: &mut Vec<Step>) -> (Option<Redirected>, Option<Redirected>) {
        let single = self.first == self.last;
        let mut read = |redirect: &Redirect, role: &str| {
            let number = Telephone::read(&redirect.party, Number::OriginalCalled, trunk, steps)?;
            steps.push(Step::Redirection {
                role: role.to_owned(),
                source: redirect.source.as_str().to_owned(),
                number: number.key.clone(),
                reason: redirect.reason.clone(),
                count: self.count,
            });
            Some(Redirected { number, reason: redirect.reason.clone(), is_private: redirect.is_private })
        };
        let first = self.first.as_ref().and_then(|first| read(first, if single { "only" } else { "original" }));
        if single {
            return (first.clone(), first);
        }
        let last = self.last.as_ref().and_then(|last| read(last, "last"));
        (first, last)
    }
}

/// RFC 5806 §4: the topmost Diversion is the latest. Its `counter` says how many redirections it stands for.
fn diversion(request: &Message, _: &Trunk, steps: &mut Vec<Step>) -> Redirects {
    let mut all = vec![];
    let mut count = 0;
    let lines = request.values(HeaderName::Diversion).flat_map(|line| of_line(line, List::Commas));
    for element in lines {
        match redirect(&element, HeaderName::Diversion) {
            Ok(redirect) => {
                let counter = param(&element, "counter").and_then(|counter| counter.parse::<usize>().ok());
                count += counter.unwrap_or(1).clamp(1, 100);
                let private = if redirect.is_private { PRIVATE } else { "" };
                let verdict = format!("redirected the call{private}");
                look(steps, Number::OriginalCalled, HeaderName::Diversion.as_str(), element.raw, verdict);
                all.push(redirect);
            }
            Err(why) => look(steps, Number::OriginalCalled, HeaderName::Diversion.as_str(), element.raw, why),
        }
    }
    all.reverse();
    Redirects::in_order(all, count)
}

/// CUCM tells the number that was dialled first in a Remote-Party-ID of its own `party`, where it sends no Diversion.
fn cisco(request: &Message, _: &Trunk, steps: &mut Vec<Step>) -> Redirects {
    let lines = request.values(HeaderName::RemotePartyId).flat_map(|line| of_line(line, List::Commas));
    let is_original = |element: &Element<'_>| {
        rpid_param(element.raw, "party").is_some_and(|party| party.eq_ignore_ascii_case("x-cisco-original-called"))
    };
    let Some(element) = lines.into_iter().find(is_original) else { return Redirects::default() };
    let read = redirect(&element, HeaderName::RemotePartyId);
    let verdict = read.as_ref().map_or_else(Clone::clone, |_| "is the number that was dialled first".to_owned());
    look(steps, Number::OriginalCalled, HeaderName::RemotePartyId.as_str(), element.raw, verdict);
    read.map_or_else(|_| Redirects::default(), |redirect| Redirects::in_order(vec![redirect], 1))
}

fn redirect(element: &Element<'_>, source: HeaderName) -> Result<Redirect, String> {
    let party = Party::from_element(element)?;
    let wish = param(element, "privacy").unwrap_or_default().to_ascii_lowercase();
    let is_private = matches!(wish.split('-').next(), Some("full" | "uri")) || party.standing != Standing::Named;
    let reason = param(element, "reason").map(|reason| reason.to_ascii_lowercase());
    Ok(Redirect { party, reason, is_private, source })
}

fn param(element: &Element<'_>, name: &str) -> Option<String> {
    let address = element.address.as_ref().ok()?;
    let value = super::clean(&decode(&address.params.unquoted(name)?));
    Some(value).filter(|value| !value.is_empty())
}
