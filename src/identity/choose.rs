//! Which of the parties that a message names is the caller, and which the called one. Trust is decided here and nowhere
//! else; privacy is not: it hides a caller, it does not choose one.

use super::elements::{Element, List, Origin, of_line};
use super::extract::{Party, Standing};
use super::redirect::Redirects;
use crate::config::trunk::{CalledSource, CallerSource};
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::decode;
use crate::sip::uri::Uri;
use crate::sip::{HeaderName, Message};
use crate::trunk::Trunk;

/// The verdict on the source that was taken.
pub(super) const TAKEN: &str = "taken";

/// The verdict on an assertion of a peer that is not believed.
pub(super) const UNTRUSTED: &str = "not believed: `trust` of the trunk is false";

/// The caller, as far as the message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is; `None` if no source named one.
    pub party: Option<Party>,
    /// The display name: of the source that was taken, else of From.
    pub name: Option<String>,
}

/// Finds the caller in the trunk's order of sources.
pub fn caller(request: &Message, trunk: &Trunk, redirects: &Redirects, steps: &mut Vec<Step>) -> Caller {
    let mut party = None;
    for source in &trunk.config.identity {
        let header = header_of(*source);
        if *source != CallerSource::From && !trunk.config.trust {
            if let Some(value) = request.value(header) {
                look(steps, Number::Caller, header.as_str(), value, UNTRUSTED.to_owned());
            }
            continue;
        }
        party = match source {
            CallerSource::Diversion | CallerSource::HistoryInfo => redirector(*source, redirects, steps),
            _ => from_header(request, header, steps),
        };
        if party.is_some() {
            break;
        }
    }
    let from = || request.value(HeaderName::From).and_then(|from| Party::from_value(from).ok());
    let name = match &party {
        Some(Party { name: Some(name), .. }) => Some(name.clone()),
        // An anonymous From has an anonymous name, which says nothing of the party that was found elsewhere.
        Some(_) => from().filter(|from| from.standing == Standing::Named).and_then(|from| from.name),
        None => None,
    };
    if party.is_none() {
        look(steps, Number::Caller, "none", b"", "no source names a caller: anonymous".to_owned());
    }
    Caller { party, name }
}

/// Finds the called party in the trunk's order of sources.
pub fn called(request: &Message, trunk: &Trunk, redirects: &Redirects, steps: &mut Vec<Step>) -> Option<Party> {
    for source in &trunk.config.called {
        let (name, value, party) = match source {
            CalledSource::RequestUri => {
                let value = request.request_uri().unwrap_or_default();
                let uri = Uri::parse(value).map_err(|error| format!("cannot be read: {error}"));
                ("Request-URI", value, uri.and_then(|uri| Party::from_uri(&uri)))
            }
            CalledSource::To => {
                let value = request.value(HeaderName::To).unwrap_or_default();
                (HeaderName::To.as_str(), value, Party::from_value(value))
            }
            CalledSource::PCalledPartyId => {
                let value = request.value(HeaderName::PCalledPartyId).unwrap_or_default();
                let party = match (value, trunk.config.trust) {
                    (b"", _) => Err("absent".to_owned()),
                    (_, false) => Err(UNTRUSTED.to_owned()),
                    (_, true) => Party::from_value(value),
                };
                (HeaderName::PCalledPartyId.as_str(), value, party)
            }
            CalledSource::Diversion | CalledSource::HistoryInfo => {
                let header = if *source == CalledSource::Diversion { "Diversion" } else { "History-Info" };
                let first = redirects.first.as_ref().filter(|first| first.source.as_str() == header);
                let party = first.map(|first| first.party.clone()).ok_or_else(|| "tells of no redirection".to_owned());
                let user = first.map_or("", |first| first.party.user.as_str());
                (header, user.as_bytes(), party)
            }
        };
        // Asterisk dials `s` where it has no number.
        let party =
            party.and_then(|party| if party.user == "s" { Err("is Asterisk's `s`".to_owned()) } else { Ok(party) });
        match party {
            Ok(party) => {
                look(steps, Number::Called, name, value, taken(&party, None));
                return Some(party);
            }
            Err(why) => look(steps, Number::Called, name, value, why),
        }
    }
    None
}

/// The party that sent the call on to us, as caller.
fn redirector(source: CallerSource, redirects: &Redirects, steps: &mut Vec<Step>) -> Option<Party> {
    let header = header_of(source);
    let party = redirects.last.as_ref().filter(|last| last.source == header && !last.is_private);
    let party = party.map(|last| last.party.clone());
    let verdict = party.as_ref().map_or_else(|| "names no redirecting party".to_owned(), |party| taken(party, None));
    let user = party.as_ref().map_or("", |party| party.user.as_str());
    look(steps, Number::Caller, header.as_str(), user.as_bytes(), verdict);
    party
}

/// The best party of one header: the first with a number, else the first with a name, if none is anonymous. Its name
/// is its own, else that of another value of the header: a `tel:` beside a `sip:` has none.
fn from_header(request: &Message, header: HeaderName, steps: &mut Vec<Step>) -> Option<Party> {
    let elements: Vec<Element<'_>> = match header {
        // No list: a comma in an unquoted display name does not end it.
        HeaderName::From => request.value(header).map(|value| of_line(value, List::One)).unwrap_or_default(),
        _ => request.values(header).flat_map(|value| of_line(value, List::Commas)).collect(),
    };
    let read: Vec<(&[u8], Result<Party, String>)> =
        elements.iter().map(|element| (element.raw, usable(header, element))).collect();
    let good = || read.iter().enumerate().filter_map(|(at, (_, party))| Some((at, party.as_ref().ok()?)));
    let best = good().find(|(_, party)| party.is_number()).or_else(|| good().next()).map(|(at, _)| at);
    if read.is_empty() {
        look(steps, Number::Caller, header.as_str(), b"", "absent".to_owned());
    }
    for (at, (element, party)) in read.iter().enumerate() {
        let verdict = match party {
            Ok(party) if best == Some(at) => taken(party, remark(header, element)),
            Ok(_) => "another value of this header is preferred".to_owned(),
            Err(why) => why.clone(),
        };
        look(steps, Number::Caller, header.as_str(), element, verdict);
    }
    let beside = good().find_map(|(_, party)| party.name.clone());
    let party = best.and_then(|best| read.into_iter().nth(best)).and_then(|(_, party)| party.ok())?;
    Some(Party { name: party.name.or(beside), ..party })
}

fn usable(header: HeaderName, element: &Element<'_>) -> Result<Party, String> {
    if header == HeaderName::RemotePartyId
        && let Some(party) = rpid_param(element.raw, "party")
        && !party.eq_ignore_ascii_case("calling")
    {
        // draft-ietf-sip-privacy-04 §5: without `party`, a request speaks of the calling one.
        return Err(format!("party={party} is not the caller"));
    }
    let party = Party::from_element(element)?;
    match party.standing {
        Standing::Named => Ok(party),
        Standing::Anonymous => Err("anonymous".to_owned()),
        Standing::Unknown => Err("says that the caller is not known".to_owned()),
    }
}

/// What else there is to say of a value that was taken.
fn remark(header: HeaderName, element: &[u8]) -> Option<String> {
    let unscreened = header == HeaderName::RemotePartyId
        && rpid_param(element, "screen").is_some_and(|screen| screen.eq_ignore_ascii_case("no"));
    unscreened.then(|| "screen=no: nobody verified it".to_owned())
}

fn taken(party: &Party, remark: Option<String>) -> String {
    let recovered =
        (party.origin == Origin::Recovered).then(|| "recovered: its display name breaks the grammar".to_owned());
    let extension = party.extension.as_ref().map(|extension| format!("extension {extension} is kept apart"));
    let context = party.context.as_ref().map(|context| format!("phone-context {context}"));
    let remarks = [recovered, remark, extension, context].into_iter().flatten();
    std::iter::once(TAKEN.to_owned()).chain(remarks).collect::<Vec<_>>().join("; ")
}

/// A parameter of a Remote-Party-ID, quotes taken off.
pub(super) fn rpid_param(element: &[u8], name: &str) -> Option<String> {
    let element = of_line(element, List::One).into_iter().next()?;
    let value = element.address.ok()?.params.unquoted(name)?.into_owned();
    Some(decode(&value).trim().to_owned())
}

fn header_of(source: CallerSource) -> HeaderName {
    match source {
        CallerSource::PAssertedIdentity => HeaderName::PAssertedIdentity,
        CallerSource::RemotePartyId => HeaderName::RemotePartyId,
        CallerSource::PPreferredIdentity => HeaderName::PPreferredIdentity,
        CallerSource::From => HeaderName::From,
        CallerSource::ReferredBy => HeaderName::ReferredBy,
        CallerSource::Diversion => HeaderName::Diversion,
        CallerSource::HistoryInfo => HeaderName::HistoryInfo,
    }
}

/// Notes what a source held and what came of it.
pub(super) fn look(steps: &mut Vec<Step>, number: Number, source: &str, value: &[u8], verdict: String) {
    steps.push(Step::Identity { number, source: source.to_owned(), value: super::clean(&decode(value)), verdict });
}
