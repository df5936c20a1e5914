//! Whom the caller dialled before the call was redirected, and why it was: Diversion (RFC 5806) or History-Info
//! (RFC 7044). It stands apart because nothing of the call depends on it but two header templates.

use super::extract::Party;
use super::normalise::normalise;
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::{NameAddr, decode};
use crate::sip::{HeaderName, Message};
use crate::trunk::Trunk;

/// A redirection before the call reached us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Who was dialled first.
    pub party: Party,
    /// Why it was redirected from there.
    pub reason: Option<String>,
}

/// Finds the first redirection. Only a trusted trunk is believed.
pub fn find(request: &Message, trunk: &Trunk, called_key: &str, steps: &mut Vec<Step>) -> Option<Redirect> {
    let header =
        [HeaderName::Diversion, HeaderName::HistoryInfo].into_iter().find(|name| request.value(*name).is_some())?;
    let mut look = |value: &[u8], verdict: &str| {
        let value = super::clean(&decode(value));
        let source = header.as_str().to_owned();
        steps.push(Step::Identity { number: Number::Called, source, value, verdict: verdict.to_owned() });
    };
    if !trunk.config.trust {
        look(request.value(header).unwrap_or_default(), "not believed: `trust` of the trunk is false");
        return None;
    }
    let elements: Vec<&[u8]> = request.elements(header).collect();
    // RFC 5806 §4: the topmost Diversion is the latest. History-Info starts with the first target (RFC 7044 §5).
    let first = if header == HeaderName::Diversion { elements.last() } else { elements.first() };
    let element = *first?;
    let party = match Party::from_element(element) {
        Ok(party) => party,
        Err(why) => {
            look(element, &why);
            return None;
        }
    };
    if header == HeaderName::HistoryInfo {
        let key = normalise(&party.user, party.context.as_deref(), &trunk.region).key;
        if key == called_key || elements.len() < 2 {
            look(element, "not redirected: it is the called number");
            return None;
        }
    }
    look(element, "taken as original called number");
    let reason = match header {
        HeaderName::Diversion => param(element, "reason"),
        _ => elements.iter().find_map(|element| cause(element)).map(str::to_owned),
    };
    Some(Redirect { party, reason })
}

fn param(element: &[u8], name: &str) -> Option<String> {
    let address = NameAddr::parse(element).ok()?;
    let value = super::clean(&decode(&address.params.unquoted(name)?));
    Some(value).filter(|value| !value.is_empty())
}

/// RFC 4458 §2: the `cause` parameter of the URI that the call was redirected to, in the words of RFC 5806.
fn cause(element: &[u8]) -> Option<&'static str> {
    let address = NameAddr::parse(element).ok()?;
    let uri = address.uri().ok()?;
    match uri.params.get("cause")? {
        b"302" => Some("unconditional"),
        b"404" => Some("unknown"),
        b"408" => Some("no-answer"),
        b"480" | b"487" => Some("deflection"),
        b"486" => Some("user-busy"),
        b"503" => Some("unavailable"),
        _ => None,
    }
}
