//! Requests outside of dialogs (RFC 3261 §8.2): what is refused, and what becomes a call or a question for the layer
//! above. Apart from requests in dialogs, which have other rules and another order of them.

use super::super::dialog::Dialog;
use super::super::header::NameAddr;
use super::super::uri::{Scheme, Uri};
use super::super::{HeaderName, Message, Method, StatusCode};
use super::aim::Path;
use super::compose::{ContactScheme, Reply, contact_back};
use super::inbound::Fresh;
use super::leg::{Bye, Leg};
use super::{Endpoint, Event, Headers, LegId, RequestId, methods};

use smallvec::SmallVec;
use std::time::Instant;

/// A refusal: the status and the header fields that explain it.
pub(super) type Refusal = (StatusCode, Headers);

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn outside(&mut self, now: Instant, fresh: Fresh) {
        if let Some((status, headers)) = self.refusal_outside(&fresh) {
            return self.refuse(now, fresh, status, &headers);
        }
        match fresh.method {
            Method::Invite => self.invited(now, fresh),
            _ => self.asked(now, fresh),
        }
    }

    /// In the order of §8.2.
    fn refusal_outside(&self, fresh: &Fresh) -> Option<Refusal> {
        if let Some(refusal) = refusal_of_method(&fresh.method) {
            return Some(refusal);
        }
        let scheme = fresh.message.request_uri().and_then(|uri| Uri::parse(uri).ok()).map(|uri| uri.scheme);
        if !matches!(scheme, Some(Scheme::Sip | Scheme::Sips | Scheme::Tel)) {
            return Some((StatusCode::UNSUPPORTED_URI_SCHEME, Headers::new()));
        }
        // §8.2.2.2: the same request came by another way while this one is in progress.
        if self.keyer.merge(&fresh.message).is_some_and(|merge| self.merge_index.contains_key(&merge)) {
            return Some((StatusCode::LOOP_DETECTED, Headers::new()));
        }
        if let Some(refusal) = refusal_of_extension(&fresh.message) {
            return Some(refusal);
        }
        if !methods::begins(&fresh.method) {
            return Some((StatusCode::NO_SUCH_TRANSACTION, Headers::new()));
        }
        refusal_of_hops(fresh)
    }

    fn invited(&mut self, now: Instant, fresh: Fresh) {
        let tag = self.entropy.hex(16);
        let request = fresh.message.clone();
        let source = fresh.source;
        let user = request.request_uri().and_then(|uri| Uri::parse(uri).ok()).and_then(|uri| uri.user);
        let scheme = ContactScheme::of_dialog(&request);
        let contact = contact_back(&self.settings, &source, user.unwrap_or_default(), scheme, None);
        let fallback = request.address(HeaderName::From).map_or(&b""[..], |from: NameAddr<'_>| from.uri);
        let call_id = String::from_utf8_lossy(request.call_id()).into_owned();
        let key = self.keyer.leg(request.call_id(), tag.as_bytes());
        let id = self.legs.insert(Leg {
            call_id,
            local_tag: tag.clone(),
            contact,
            peer: Some(source),
            sent_to: None,
            path: Path::default(),
            from: Vec::new(),
            dialog: Some(Dialog::of_invite(&request, &tag, fallback)),
            early: Vec::new(),
            answered: false,
            confirmed: false,
            incoming: None,
            unacknowledged: SmallVec::new(),
            outgoing: None,
            to_acknowledge: None,
            cancelled: false,
            offered: !request.body().is_empty(),
            extensions: None,
            bye: Bye::No,
            proof: None,
            protection: None,
        });
        let leg = LegId(id);
        let Some(server) = self.open(now, fresh, tag, Some(leg)) else {
            self.legs.remove(id);
            return;
        };
        self.leg_index.insert(key, id);
        self.dialogs += 1;
        if let Some(entry) = self.legs.get_mut(id) {
            entry.incoming = Some(server);
        }
        self.reply(now, server, &Reply::bare(StatusCode::TRYING));
        self.events.push_back(Event::Invited { leg, request, source });
    }

    /// Says how the peer of a leg that called us is reached, before our first answer with a Contact.
    pub fn set_path(&mut self, leg: LegId, path: Path) {
        let Some(state) = self.legs.get_mut(leg.0) else { return };
        let request = state.incoming.and_then(|id| self.servers.get(id)).and_then(|entry| entry.request.as_deref());
        if let (Some(request), Some(source)) = (request, state.peer) {
            let user = request.request_uri().and_then(|uri| Uri::parse(uri).ok()).and_then(|uri| uri.user);
            let (scheme, host) = (ContactScheme::of_dialog(request), path.advertised.as_deref());
            state.contact = contact_back(&self.settings, &source, user.unwrap_or_default(), scheme, host);
        }
        state.path = path;
    }

    fn asked(&mut self, now: Instant, fresh: Fresh) {
        let tag = self.entropy.hex(16);
        let (source, request) = (fresh.source, fresh.message.clone());
        if let Some(id) = self.open(now, fresh, tag, None) {
            self.events.push_back(Event::OutOfDialog { id: RequestId(id), request, source });
        }
    }
}

/// §8.2.1.
pub(super) fn refusal_of_method(method: &Method) -> Option<Refusal> {
    let known = matches!(method, Method::Ack | Method::Cancel) || methods::begins(method) || methods::continues(method);
    // `Allow` comes with every 405.
    (!known).then(|| (StatusCode::METHOD_NOT_ALLOWED, Headers::new()))
}

/// §8.2.2.3: only what is supported can be required.
pub(super) fn refusal_of_extension(message: &Message) -> Option<Refusal> {
    let mut unsupported = String::new();
    for option in
        message.elements(HeaderName::Require).filter(|option| !option.is_empty() && !methods::supports(option))
    {
        if !unsupported.is_empty() {
            unsupported.push_str(", ");
        }
        unsupported.push_str(&String::from_utf8_lossy(option));
    }
    (!unsupported.is_empty()).then(|| (StatusCode::BAD_EXTENSION, vec![("Unsupported".into(), unsupported)]))
}

/// A call that has used up its hops is in a loop. OPTIONS is answered all the same (§11.2: by whom it reaches with 0;
/// CUCM pings so).
pub(super) fn refusal_of_hops(fresh: &Fresh) -> Option<Refusal> {
    let spent = fresh.method == Method::Invite && fresh.message.max_forwards() == Some(0);
    spent.then(|| (StatusCode::TOO_MANY_HOPS, Headers::new()))
}
