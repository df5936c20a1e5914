//! History-Info (RFC 7044, and RFC 4244 before it): a tree of whom a call was sent to. It stands apart because finding
//! the redirections in it takes the tree's rules, where Diversion is a plain list.

use super::choose::look;
use super::elements::{List, of_line};
use super::extract::{Party, Standing};
use super::normalise::normalise;
use super::redirect::{Redirect, Redirects};
use crate::record::Step;
use crate::record::step::Number;
use crate::sip::header::{Elements, NameAddr, Reason, decode};
use crate::sip::uri::Uri;
use crate::sip::{HeaderName, Message};
use crate::trunk::Trunk;

/// Entries that are looked at: no call was redirected more often, and finding the way takes the square of them.
const MOST: usize = 64;

/// One entry.
struct Entry {
    /// `index=1.2`.
    index: Vec<u32>,
    /// `mp`, `rc` or `np`: the entry that this one came from (RFC 7044 §10.3).
    from: Option<Vec<u32>>,
    party: Party,
    /// Its number for comparison.
    key: String,
    /// `cause` of its URI (RFC 4458): why the call was sent here.
    cause: Option<&'static str>,
    /// `Reason` in its URI's header part: why the call did not stay here.
    left: Option<&'static str>,
    is_private: bool,
}

/// The redirections on the way from the first entry to the last one, which is where the call is now.
pub(super) fn read(request: &Message, trunk: &Trunk, steps: &mut Vec<Step>) -> Redirects {
    let mut entries = vec![];
    let elements = request.values(HeaderName::HistoryInfo).flat_map(|line| of_line(line, List::Commas));
    for (position, element) in elements.enumerate() {
        if position == MOST {
            let verdict = format!("not looked at, nor those behind it: {MOST} are enough");
            look(steps, Number::OriginalCalled, HeaderName::HistoryInfo.as_str(), element.raw, verdict);
            break;
        }
        let entry = Party::from_element(&element).and_then(|party| {
            let address = element.address.as_ref().map_err(Clone::clone)?;
            Ok(Entry::new(party, address, trunk))
        });
        match entry {
            Ok(entry) => entries.push((element.raw.to_vec(), entry)),
            Err(why) => look(steps, Number::OriginalCalled, HeaderName::HistoryInfo.as_str(), element.raw, why),
        }
    }
    // RFC 7044 §10.3: the index gives the order; the lines should stand in it, and do not always.
    if entries.iter().all(|(_, entry)| !entry.index.is_empty()) {
        entries.sort_by(|(_, one), (_, other)| one.index.cmp(&other.index));
    }
    let (raw, entries): (Vec<Vec<u8>>, Vec<Entry>) = entries.into_iter().unzip();
    let found = redirections(&entries, &arrived(request, trunk));
    let path = path(&entries);
    for (position, raw) in raw.iter().enumerate() {
        let verdict = match (found.iter().any(|(from, _)| *from == position), path.contains(&position)) {
            (true, _) => "redirected the call",
            (false, true) => "redirected nothing: the number stayed the same",
            (false, false) => "is beside the way that the call took",
        };
        look(steps, Number::OriginalCalled, HeaderName::HistoryInfo.as_str(), raw, verdict.to_owned());
    }
    let all: Vec<Redirect> = found
        .into_iter()
        .filter_map(|(from, reason)| {
            let entry = entries.get(from)?;
            let reason = reason.map(str::to_owned);
            let (party, is_private) = (entry.party.clone(), entry.is_private);
            Some(Redirect { party, reason, is_private, source: HeaderName::HistoryInfo })
        })
        .collect();
    let count = all.len();
    Redirects::in_order(all, count)
}

/// The number in the Request-URI, for comparison.
fn arrived(request: &Message, trunk: &Trunk) -> String {
    let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
    let party = uri.and_then(|uri| Party::from_uri(&uri).ok());
    party.map_or_else(String::new, |party| normalise(&party.user, party.context.as_deref(), &trunk.region).key)
}

/// The positions of the entries from the first one to the last, each of which came from the one before.
fn path(entries: &[Entry]) -> Vec<usize> {
    let mut path = vec![];
    let mut at = entries.len().checked_sub(1);
    while let Some(here) = at {
        path.push(here);
        at = came_from(entries, here);
    }
    path.reverse();
    path
}

/// The entry that an entry came from: the one it names, its parent in the tree, else the one before it. Always an
/// earlier one, so that a path ends.
fn came_from(entries: &[Entry], position: usize) -> Option<usize> {
    let entry = entries.get(position)?;
    let earlier = entries.get(..position)?;
    let of_index = |index: &[u32]| earlier.iter().position(|other| other.index == index);
    let parent = entry.index.split_last().map(|(_, parent)| parent).filter(|parent| !parent.is_empty());
    let named = entry.from.as_deref().and_then(of_index);
    named.or_else(|| parent.and_then(of_index)).or_else(|| position.checked_sub(1))
}

/// The entries that passed the call on to another number, and why.
fn redirections(entries: &[Entry], arrived: &str) -> Vec<(usize, Option<&'static str>)> {
    let path = path(entries);
    let mut found = vec![];
    for pair in path.windows(2) {
        if let [from, to] = *pair
            && let (Some(one), Some(other)) = (entries.get(from), entries.get(to))
            && one.key != other.key
        {
            found.push((from, other.cause.or(one.left)));
        }
    }
    // A proxy that keeps no history sent it here: the last entry says that the call left it, and it did.
    if let Some(last) = path.last().copied()
        && let Some(entry) = entries.get(last)
        && entry.left.is_some()
        && entry.key != arrived
    {
        found.push((last, entry.left));
    }
    found
}

// === impl Entry ===

impl Entry {
    fn new(party: Party, address: &NameAddr<'_>, trunk: &Trunk) -> Self {
        let index = |name: &str| address.param(name).map(numbers).filter(|index| !index.is_empty());
        let uri = address.uri().ok();
        let headers = || uri.iter().flat_map(Uri::header_pairs);
        let header = |wanted: &str| {
            headers()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
                .map(|(_, value)| value.into_owned())
        };
        let hides = |value: Vec<u8>| {
            let value = decode(&value).to_ascii_lowercase();
            value.split([';', ',']).any(|token| matches!(token.trim(), "history" | "header" | "id" | "user" | "full"))
        };
        let cause = uri.and_then(|uri| uri.params.get("cause").and_then(|cause| std::str::from_utf8(cause).ok()));
        Self {
            index: index("index").unwrap_or_default(),
            from: ["mp", "rc", "np"].into_iter().find_map(index),
            key: normalise(&party.user, party.context.as_deref(), &trunk.region).key,
            cause: cause.and_then(|cause| cause.parse().ok()).and_then(sip_cause),
            left: header("Reason").and_then(|value| reason(&value)),
            // RFC 7044 §10.1.2: a Privacy of its own hides one entry.
            is_private: header("Privacy").is_some_and(hides) || party.standing != Standing::Named,
            party,
        }
    }
}

/// `1.2.1`; some write blanks or quotes around it.
fn numbers(index: &[u8]) -> Vec<u32> {
    let text = decode(index);
    text.trim_matches(['"', ' ']).split('.').map_while(|part| part.trim().parse().ok()).collect()
}

/// Why a call left: the SIP status if the Reason has one (RFC 7044 §10.2), else its Q.850 cause.
fn reason(value: &[u8]) -> Option<&'static str> {
    let reasons: Vec<Reason<'_>> = Elements::new(value).filter_map(|element| Reason::parse(element).ok()).collect();
    let of = |protocol: &str| {
        reasons.iter().find(|reason| reason.protocol.eq_ignore_ascii_case(protocol)).and_then(|reason| reason.cause)
    };
    of("SIP").and_then(sip_cause).or_else(|| of("Q.850").and_then(q850_cause))
}

/// RFC 4458 §2 and RFC 7544 §7.3: SIP causes in the words of RFC 5806.
fn sip_cause(cause: u16) -> Option<&'static str> {
    match cause {
        301 | 302 | 305 | 380 => Some("unconditional"),
        404 => Some("unknown"),
        408 => Some("no-answer"),
        480 | 487 => Some("deflection"),
        486 | 600 => Some("user-busy"),
        500..=599 => Some("unavailable"),
        603 => Some("do-not-disturb"),
        _ => None,
    }
}

fn q850_cause(cause: u16) -> Option<&'static str> {
    match cause {
        17 => Some("user-busy"),
        18 | 19 => Some("no-answer"),
        20 | 27 => Some("unavailable"),
        21 => Some("do-not-disturb"),
        1 => Some("unknown"),
        _ => None,
    }
}
