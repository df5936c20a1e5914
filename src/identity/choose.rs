//! Which of the parties that a message names is the caller, and which the called one. Trust and privacy are decided
//! here and nowhere else.

use super::extract::Party;
use crate::config::trunk::{CalledSource, CallerSource};
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::{NameAddr, decode};
use crate::sip::uri::Uri;
use crate::sip::{HeaderName, Message};
use crate::trunk::Trunk;

/// The caller, as far as the message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is; `None` if no source named one.
    pub party: Option<Party>,
    /// The display name: of the source that was taken, else of From.
    pub name: Option<String>,
    /// The caller asked not to be shown.
    pub withheld: bool,
}

/// What a look at one party came to.
enum Verdict {
    Taken,
    Passed(String),
}

/// Finds the caller in the trunk's order of sources.
pub fn caller(request: &Message, trunk: &Trunk, steps: &mut Vec<Step>) -> Caller {
    let mut party = None;
    for source in &trunk.config.identity {
        let header = header_of(*source);
        let asserted = *source != CallerSource::From;
        if asserted && !trunk.config.trust {
            if let Some(value) = request.value(header) {
                let verdict = "not believed: `trust` of the trunk is false".to_owned();
                look(steps, Number::Caller, header.as_str(), value, Verdict::Passed(verdict));
            }
            continue;
        }
        party = from_header(request, header, steps);
        if party.is_some() {
            break;
        }
    }
    let from = || request.value(HeaderName::From).and_then(|from| Party::from_element(from).ok());
    let name = match &party {
        Some(Party { name: Some(name), .. }) => Some(name.clone()),
        // An anonymous From has an anonymous name, which says nothing of the party that was found elsewhere.
        Some(_) => from().filter(|from| !from.is_anonymous).and_then(|from| from.name),
        None => None,
    };
    let withheld = privacy(request, steps);
    if party.is_none() {
        let verdict = "no source names a caller: anonymous".to_owned();
        look(steps, Number::Caller, "none", b"", Verdict::Passed(verdict));
    }
    Caller { party, name, withheld }
}

/// Finds the called party in the trunk's order of sources.
pub fn called(request: &Message, trunk: &Trunk, steps: &mut Vec<Step>) -> Option<Party> {
    for source in &trunk.config.called {
        let (name, value, party) = match source {
            CalledSource::RequestUri => {
                let value = request.request_uri().unwrap_or_default();
                let uri = Uri::parse(value).map_err(|error| format!("cannot be read: {error}"));
                ("Request-URI", value, uri.and_then(|uri| Party::from_uri(&uri)))
            }
            CalledSource::To => {
                let value = request.value(HeaderName::To).unwrap_or_default();
                ("To", value, Party::from_element(value))
            }
        };
        // Asterisk dials `s` where it has no number.
        let party =
            party.and_then(|party| if party.user == "s" { Err("is Asterisk's `s`".to_owned()) } else { Ok(party) });
        match party {
            Ok(party) => {
                look(steps, Number::Called, name, value, Verdict::Taken);
                return Some(party);
            }
            Err(why) => look(steps, Number::Called, name, value, Verdict::Passed(why)),
        }
    }
    None
}

/// The best party of one header: the first with a number, else the first with a name, if none is anonymous.
fn from_header(request: &Message, header: HeaderName, steps: &mut Vec<Step>) -> Option<Party> {
    let elements: Vec<&[u8]> = match header {
        // No list: a comma in an unquoted display name does not end it.
        HeaderName::From => request.value(header).into_iter().collect(),
        _ => request.elements(header).collect(),
    };
    let read: Vec<(&[u8], Result<Party, String>)> =
        elements.into_iter().map(|element| (element, usable(header, element))).collect();
    let good = || read.iter().enumerate().filter_map(|(at, (_, party))| Some((at, party.as_ref().ok()?)));
    let best = good().find(|(_, party)| party.is_number()).or_else(|| good().next()).map(|(at, _)| at);
    if read.is_empty() {
        look(steps, Number::Caller, header.as_str(), b"", Verdict::Passed("absent".to_owned()));
    }
    for (at, (element, party)) in read.iter().enumerate() {
        let verdict = match party {
            Ok(_) if best == Some(at) => Verdict::Taken,
            Ok(_) => Verdict::Passed("another value of this header is preferred".to_owned()),
            Err(why) => Verdict::Passed(why.clone()),
        };
        look(steps, Number::Caller, header.as_str(), element, verdict);
    }
    best.and_then(|best| read.into_iter().nth(best)).and_then(|(_, party)| party.ok())
}

fn usable(header: HeaderName, element: &[u8]) -> Result<Party, String> {
    if header == HeaderName::RemotePartyId
        && let Some(party) = rpid_param(element, "party")
        && !party.eq_ignore_ascii_case("calling")
    {
        // draft-ietf-sip-privacy-04 §5: without `party`, a request speaks of the calling one.
        return Err(format!("party={party} is not the caller"));
    }
    let party = Party::from_element(element)?;
    if party.is_anonymous { Err("anonymous".to_owned()) } else { Ok(party) }
}

/// Whether the caller asked not to be shown: RFC 3323 `Privacy`, or `privacy` of Remote-Party-ID. A wish is honoured
/// whoever sends it.
fn privacy(request: &Message, steps: &mut Vec<Step>) -> bool {
    let hides = |token: &str| matches!(token.to_ascii_lowercase().as_str(), "id" | "user" | "header" | "full");
    let withheld = |steps: &mut Vec<Step>, header: HeaderName, value: &[u8]| {
        let verdict = "asked for: caller and name are withheld from the target".to_owned();
        look(steps, Number::Caller, header.as_str(), value, Verdict::Passed(verdict));
        true
    };
    for value in request.values(HeaderName::Privacy) {
        if decode(value).split([';', ',']).any(|token| hides(token.trim())) {
            return withheld(steps, HeaderName::Privacy, value);
        }
    }
    for element in request.elements(HeaderName::RemotePartyId) {
        let ours = rpid_param(element, "party").is_none_or(|party| party.eq_ignore_ascii_case("calling"));
        let wish = rpid_param(element, "privacy").unwrap_or_default().to_ascii_lowercase();
        if ours && matches!(wish.split('-').next(), Some("full" | "uri")) {
            return withheld(steps, HeaderName::RemotePartyId, element);
        }
    }
    false
}

fn rpid_param(element: &[u8], name: &str) -> Option<String> {
    let address = NameAddr::parse(element).ok()?;
    let value = address.params.unquoted(name)?;
    Some(decode(&value).trim().to_owned())
}

fn header_of(source: CallerSource) -> HeaderName {
    match source {
        CallerSource::PAssertedIdentity => HeaderName::PAssertedIdentity,
        CallerSource::RemotePartyId => HeaderName::RemotePartyId,
        CallerSource::From => HeaderName::From,
    }
}

fn look(steps: &mut Vec<Step>, number: Number, source: &str, value: &[u8], verdict: Verdict) {
    let verdict = match verdict {
        Verdict::Taken => "taken".to_owned(),
        Verdict::Passed(why) => why,
    };
    steps.push(Step::Identity { number, source: source.to_owned(), value: super::clean(&decode(value)), verdict });
}
