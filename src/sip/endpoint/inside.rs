//! Requests in dialogs (RFC 3261 §12.2.2, §14.2, §15.1.2): re-INVITE, BYE, OPTIONS, and those that the layer above
//! answers. Apart from requests outside,
//! because here the sequence decides, and because the races between the two ends meet here.

use super::super::{Method, StatusCode};
use super::compose::Reply;
use super::inbound::Fresh;
use super::leg::{Bye, Leg};
use super::outside::{Refusal, refusal_of_extension, refusal_of_hops, refusal_of_method};
use super::{Endpoint, Event, Headers, LegId, RequestId};

use std::time::Instant;

/// §14.2: a second INVITE is to be tried again after a random time up to this many seconds.
const RETRY_AFTER: u64 = 10;

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn inside(&mut self, now: Instant, fresh: Fresh) {
        let key = self.keyer.leg(fresh.message.call_id(), fresh.message.to_tag().unwrap_or_default());
        let id = self.leg_index.get(&key).copied();
        let number = fresh.message.cseq().map_or(0, |cseq| cseq.number);
        let taken = id.and_then(|id| self.legs.get_mut(id)).and_then(|leg| leg.take(fresh.message.from_tag(), number));
        let refusal = refusal_of_method(&fresh.method).or_else(|| match taken {
            None => Some((StatusCode::NO_SUCH_TRANSACTION, Headers::new())),
            // §12.2.2: out of order.
            Some(Err(_)) => Some((StatusCode::SERVER_INTERNAL_ERROR, Headers::new())),
            Some(Ok(())) => refusal_of_extension(&fresh.message)
                .or_else(|| refusal_of_hops(&fresh))
                .or_else(|| self.refusal_of_refresh(id, &fresh)),
        });
        if let Some((status, headers)) = refusal {
            return self.refuse(now, fresh, status, &headers);
        }
        let id = LegId(id.unwrap_or_default());
        if let Some((status, headers)) = self.doubted(now, id, &fresh) {
            return self.refuse(now, fresh, status, &headers);
        }
        let Some(leg) = self.legs.get_mut(id.0) else { return };
        leg.peer = Some(fresh.source);
        match fresh.method {
            Method::Invite => self.reinvited(now, id, fresh),
            Method::Bye => self.hung_up(now, id, fresh),
            // §11.2: OPTIONS in a dialog asks for the capabilities that were told already.
            Method::Options => self.refuse(now, fresh, StatusCode::OK, &Headers::new()),
            Method::Prack => self.pracked(now, id, fresh),
            _ => self.requested(now, id, fresh),
        }
    }

    /// Why a request that would refresh the session cannot be taken: its interval is too small (RFC 4028 §9).
    fn refusal_of_refresh(&self, id: Option<u64>, fresh: &Fresh) -> Option<Refusal> {
        matches!(fresh.method, Method::Invite | Method::Update).then_some(())?;
        self.refusal_of_interval(LegId(id?), &fresh.message)
    }

    fn requested(&mut self, now: Instant, id: LegId, fresh: Fresh) {
        let Some(leg) = self.legs.get(id.0) else { return };
        if !matches!(leg.bye, Bye::No) {
            // §15.1.1: the session is terminated with the BYE.
            return self.refuse(now, fresh, StatusCode::NO_SUCH_TRANSACTION, &Headers::new());
        }
        // An UPDATE that changes nothing is a refresh (RFC 4028 §7.4, RFC 3311 §5.2).
        if fresh.method == Method::Update && fresh.message.body().is_empty() {
            return self.refreshed(now, id, fresh);
        }
        let (request, tag) = (fresh.message.clone(), leg.local_tag.clone());
        let Some(server) = self.open(now, fresh, tag, Some(id)) else { return };
        self.events.push_back(Event::Requested { leg: id, id: RequestId(server), request });
    }

    fn reinvited(&mut self, now: Instant, id: LegId, fresh: Fresh) {
        let retry_after = self.entropy.below(RETRY_AFTER + 1);
        let Some(leg) = self.legs.get_mut(id.0) else { return };
        if let Some((status, headers)) = refusal_of_glare(leg, retry_after) {
            return self.refuse(now, fresh, status, &headers);
        }
        let (request, tag) = (fresh.message.clone(), leg.local_tag.clone());
        let Some(server) = self.open(now, fresh, tag, Some(id)) else { return };
        if let Some(leg) = self.legs.get_mut(id.0) {
            leg.incoming = Some(server);
        }
        self.reply(now, server, &Reply::bare(StatusCode::TRYING));
        self.events.push_back(Event::Reinvited { leg: id, request });
    }

    /// §15.1.2. A BYE is taken before the ACK, and on an early dialog too: whoever sends it wants no call.
    fn hung_up(&mut self, now: Instant, id: LegId, fresh: Fresh) {
        let request = fresh.message.clone();
        self.refuse(now, fresh, StatusCode::OK, &Headers::new());
        let Some(leg) = self.legs.get_mut(id.0) else { return };
        let ours_went_first = !matches!(leg.bye, Bye::No);
        leg.cancelled = true;
        if let Some(pending) = leg.incoming.take() {
            self.reply(now, pending, &Reply::bare(StatusCode::REQUEST_TERMINATED));
        }
        if !ours_went_first {
            self.events.push_back(Event::HungUp { leg: id, request });
        }
        self.end_leg(now, id);
    }
}

/// Why an INVITE in the dialog cannot be taken now.
fn refusal_of_glare(leg: &Leg, retry_after: u64) -> Option<Refusal> {
    if matches!(leg.bye, Bye::Sent) {
        // §15.1.1: the session is terminated with the BYE.
        return Some((StatusCode::NO_SUCH_TRANSACTION, Headers::new()));
    }
    if leg.incoming.is_some() {
        // §14.2: theirs, while we have not answered the one before.
        return Some((StatusCode::SERVER_INTERNAL_ERROR, vec![("Retry-After".into(), retry_after.to_string())]));
    }
    // §14.2: ours is in progress. RFC 5407 §3.1.5: so is theirs while the answer in its ACK is missing.
    let ours = leg.outgoing.is_some() || leg.to_acknowledge.is_some();
    let offer_open = leg.unacknowledged.iter().any(|waiting| waiting.offered_by_us);
    (ours || offer_open || matches!(leg.bye, Bye::Deferred(_))).then(|| (StatusCode::REQUEST_PENDING, Headers::new()))
}
