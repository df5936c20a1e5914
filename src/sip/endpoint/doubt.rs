//! Requests in a dialog that do not come from where it began (RFC 3261 §22.1): of a peer that proved itself once, whoever
//! else speaks in its name has to prove it again. Apart from the rules of dialogs, which believe the tags.

use super::super::auth::server::Asked;
use super::super::auth::{Guard, Login};
use super::super::{Message, Method, Source};
use super::inbound::Fresh;
use super::outside::Refusal;
use super::{Endpoint, Event, LegId};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Who a leg belongs to.
#[derive(Debug)]
pub(super) struct Protection {
    scope: String,
    login: Arc<Login>,
    /// Where it proved itself last.
    address: IpAddr,
}

// === impl Endpoint ===

impl Endpoint {
    /// The door that requests are checked at, here and by the layer above.
    pub fn set_guard(&mut self, guard: Guard) {
        self.guard = Some(guard);
    }

    /// The door.
    pub fn guard(&mut self) -> Option<&mut Guard> {
        self.guard.as_mut()
    }

    /// The peer of this leg proved to be `login` of the trunk `scope`: its requests are taken from its address, and have to
    /// be proven from any other. ACK and CANCEL never are (§22.1): nobody could answer.
    pub fn protect(&mut self, leg: LegId, scope: String, login: Arc<Login>) {
        if let Some(state) = self.legs.get_mut(leg.0)
            && let Some(peer) = state.peer
        {
            state.protection = Some(Box::new(Protection { scope, login, address: peer.peer.ip() }));
        }
    }

    /// Why a request in the dialog is not believed.
    pub(super) fn doubted(&mut self, now: Instant, leg: LegId, fresh: &Fresh) -> Option<Refusal> {
        let protection = self.legs.get_mut(leg.0)?.protection.as_mut()?;
        let (source, request): (&Source, &Message) = (&fresh.source, &fresh.message);
        let here = source.peer.ip();
        if here == protection.address || matches!(fresh.method, Method::Ack | Method::Cancel) {
            return None;
        }
        let guard = self.guard.as_mut()?;
        let asked = Asked { scope: &protection.scope, source: here, request };
        match guard.check(now, &asked, &[&protection.login]) {
            Ok(_) => {
                protection.address = here;
                None
            }
            Err(why) => {
                let refusal = guard.turn_away(now, &asked, &protection.login.hashes, why);
                self.events.push_back(Event::Doubted { leg, why });
                Some(refusal)
            }
        }
    }
}
