//! A target that answers 3xx (RFC 3261 §8.1.3.4): its Contacts are called instead, best first, or the PBX gets them, as
//! the target's `redirect` says. Apart from `divert`, which goes where the configuration says and not where a peer says.

use super::desk::Desk;
use super::state::Call;
use super::teardown::EndedBy;
use crate::config::target::Redirect;
use crate::error::Termination;
use crate::media::{RelayCommand, Side};
use crate::record::Step;
use crate::route::Target;
use crate::sip::header::NameAddr;
use crate::sip::uri::{self, Uri};
use crate::sip::{HeaderName, Hop, Message};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Addresses tried for one call at one target, at most: two that point at each other must not go on for ever.
const MOST: usize = 8;

/// Where a target sent us.
#[derive(Debug, Default)]
pub(super) struct Redirection {
    seen: Vec<String>,
    open: VecDeque<(String, Hop)>,
}

// === impl Redirection ===

impl Redirection {
    /// Is somebody else called than the target itself?
    pub(super) fn is_elsewhere(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Takes the Contacts of a 3xx that were not named before, best first.
    fn take(&mut self, response: &Message) {
        let mut found: Vec<(u16, String, Hop)> = Vec::new();
        for element in response.elements(HeaderName::Contact) {
            let Ok(contact) = NameAddr::parse(element) else { continue };
            let Some((uri, hop)) = request_uri(contact.uri) else { continue };
            if self.seen.len() < MOST && !self.seen.contains(&uri) {
                self.seen.push(uri.clone());
                found.push((preference(contact.param("q")), uri, hop));
            }
        }
        // A stable sort: equals stay in the order in which they were written.
        found.sort_by_key(|(preference, ..)| std::cmp::Reverse(*preference));
        for (_, uri, hop) in found.into_iter().rev() {
            self.open.push_front((uri, hop));
        }
    }
}

/// A Contact as a Request-URI, and where it leads.
fn request_uri(contact: &[u8]) -> Option<(String, Hop)> {
    let uri = Uri::parse(contact).ok()?;
    let hop = uri::hop(&uri)?;
    let end = contact.len() - uri.headers.len();
    let text = std::str::from_utf8(contact.get(..end)?).ok()?;
    Some((text.trim_end_matches('?').to_owned(), hop))
}

/// `q` in thousandths; 1 if it says nothing (RFC 3261 §20.10).
fn preference(q: Option<&[u8]>) -> u16 {
    let Some(text) = q.and_then(|q| std::str::from_utf8(q).ok()) else { return 1_000 };
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let thousandths = format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or(0);
    if whole == "1" { 1_000 } else { thousandths }
}

// === impl Call ===

impl Call {
    /// Leg B's INVITE got a 3xx, or an address that an earlier one named failed: the next address, or the PBX gets the
    /// redirection. `false` when the failure is to be treated like any other.
    pub fn redirected(&mut self, desk: &mut Desk, now: Instant, status: u16, response: Option<&Message>) -> bool {
        let Some(target) = self.target().cloned() else { return false };
        if let Some(response) = response.filter(|_| (300..400).contains(&status)) {
            match target.redirect {
                Redirect::Refuse => return false,
                // Who was answered already cannot be sent elsewhere.
                Redirect::Pass if self.answered() => return false,
                Redirect::Pass => return self.pass_redirection(desk, now, status, response),
                Redirect::Follow => self.redirection.take(response),
            }
        }
        let Some((uri, hop)) = self.redirection.open.pop_front() else { return false };
        self.try_contact(desk, now, &target, (uri, hop))
    }

    fn try_contact(&mut self, desk: &mut Desk, now: Instant, target: &Arc<Target>, (uri, hop): (String, Hop)) -> bool {
        self.disarm_ring(desk);
        self.target_slot = None;
        if let Some(b) = self.b.take() {
            self.released.push(b.id);
        }
        if let Some(relay) = &self.relay {
            relay.command(RelayCommand::Reset(Side::B));
        }
        // A proxy that the configuration names stays between, wherever the redirection leads.
        let hop = if target.proxied { target.hop.clone() } else { hop };
        let mut step = |failed: Option<String>| {
            let targets = vec![format!("{} redirected to {uri}", target.name)];
            self.journal.step(Step::Route { route: self.route.index, targets, failed });
        };
        step(None);
        match self.invite_target_at(desk, now, target, (uri.clone(), hop)) {
            Ok(()) => true,
            Err(termination) => {
                self.next_target(desk, now, termination);
                true
            }
        }
    }

    fn pass_redirection(&mut self, desk: &mut Desk, now: Instant, status: u16, response: &Message) -> bool {
        let contacts: Vec<String> = response
            .elements(HeaderName::Contact)
            .map(|contact| String::from_utf8_lossy(contact).into_owned())
            .collect();
        let end = Termination {
            status: Some(status),
            contact: Some(contacts.join(", ")).filter(|contacts| !contacts.is_empty()),
            ..Termination::from_target(status, &response.reason())
        };
        self.end(desk, now, end, EndedBy::Gateway);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_contact_comes_first_and_none_twice() {
        let response = Message::parse(bytes::Bytes::from_static(
            b"SIP/2.0 302 Moved\r\nContact: <sip:low@192.0.2.7>;q=0.2, <sip:first@192.0.2.8>, <sip:second@192.0.2.9;transport=tcp>;q=1.0\r\n\
              Contact: <mailto:a@example.com>;q=0.9, <sip:mid@192.0.2.10?x=1>;q=0.75\r\n\r\n",
        ))
        .unwrap();
        let mut redirection = Redirection::default();
        redirection.take(&response);
        redirection.take(&response);
        let order: Vec<&str> = redirection.open.iter().map(|(uri, _)| uri.as_str()).collect();
        let expected =
            ["sip:first@192.0.2.8", "sip:second@192.0.2.9;transport=tcp", "sip:mid@192.0.2.10", "sip:low@192.0.2.7"];
        assert_eq!(order, expected);
    }
}
