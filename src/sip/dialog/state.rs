//! One dialog (RFC 3261 §12.1): the two addresses with their tags, the remote target, the route set and the sequence
//! numbers. Apart from the leg because forks have a dialog each and a leg has one that won.

use super::super::header::address::NameAddr;
use super::super::{HeaderName, Message};
use super::{OutOfOrder, Plan, RouteSet, Sequence};

/// A dialog, seen from our end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    local: Box<[u8]>,
    remote: Box<[u8]>,
    remote_tag: Option<Box<[u8]>>,
    target: Box<[u8]>,
    routes: RouteSet,
    sequence: Sequence,
}

// === impl Dialog ===

impl Dialog {
    /// The callee's dialog (§12.1.1). `fallback` is the target if the Contact cannot be read.
    #[must_use]
    pub fn of_invite(request: &Message, local_tag: &str, fallback: &[u8]) -> Self {
        let to = request.value(HeaderName::To).unwrap_or_default();
        Self {
            local: tagged(to, local_tag).into(),
            remote: request.value(HeaderName::From).unwrap_or_default().into(),
            remote_tag: request.from_tag().map(Box::from),
            target: contact_of(request).unwrap_or(fallback).into(),
            routes: RouteSet::of_request(request),
            sequence: Sequence::new(0, request.cseq().map(|cseq| cseq.number)),
        }
    }

    /// The caller's dialog (§12.1.2), from a 2xx and our own From. `fallback` is the target if the answer has no
    /// Contact, as RFC 2543 allowed.
    #[must_use]
    pub fn of_answer(response: &Message, local: &[u8], fallback: &[u8]) -> Self {
        Self {
            local: local.into(),
            remote: response.value(HeaderName::To).unwrap_or_default().into(),
            remote_tag: response.to_tag().map(Box::from),
            target: contact_of(response).unwrap_or(fallback).into(),
            routes: RouteSet::of_response(response),
            sequence: Sequence::new(response.cseq().map_or(0, |cseq| cseq.number), None),
        }
    }

    /// Goes on where an early dialog with the same tags was (§13.2.2.4): the route set is this one's, the sequence that one's.
    pub fn resume(&mut self, early: &Dialog) {
        self.sequence = early.sequence;
    }

    /// The From of our requests.
    #[must_use]
    pub fn local(&self) -> &[u8] {
        &self.local
    }

    /// The To of our requests.
    #[must_use]
    pub fn remote(&self) -> &[u8] {
        &self.remote
    }

    /// The peer's tag; `None` for an RFC 2543 peer.
    #[must_use]
    pub fn remote_tag(&self) -> Option<&[u8]> {
        self.remote_tag.as_deref()
    }

    /// The URI that the peer wants requests at.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// The proxies between.
    #[must_use]
    pub fn routes(&self) -> &RouteSet {
        &self.routes
    }

    /// How the next request is addressed.
    #[must_use]
    pub fn plan(&self) -> Plan<'_> {
        self.routes.plan(&self.target)
    }

    /// The number for our next request.
    pub fn advance(&mut self) -> u32 {
        self.sequence.advance()
    }

    /// Takes the number of the peer's request.
    ///
    /// # Errors
    /// [`OutOfOrder`] if it is lower than an earlier one.
    pub fn take(&mut self, number: u32) -> Result<(), OutOfOrder> {
        self.sequence.take(number)
    }

    /// Target refresh (§12.2): the Contact of a re-INVITE or of its 2xx. The route set never changes.
    pub fn refresh(&mut self, message: &Message) {
        if let Some(contact) = contact_of(message) {
            self.target = contact.into();
        }
    }
}

/// The URI of the first Contact.
fn contact_of(message: &Message) -> Option<&[u8]> {
    let element = message.elements(HeaderName::Contact).next()?;
    NameAddr::parse(element).ok().filter(|contact| contact.uri().is_ok()).map(|contact| contact.uri)
}

/// An address with our tag.
#[must_use]
pub fn tagged(address: &[u8], tag: &str) -> Vec<u8> {
    [address, b";tag=", tag.as_bytes()].concat()
}
