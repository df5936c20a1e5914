//! A room that exists is shared: the call needs one of its SIP addresses for itself before anything is done with it.

use super::{Effect, Held, Ready, Spare, Stage};
use crate::room::leases::same;
use std::time::Instant;

// === impl Held ===

impl Held {
    /// Asks for an address; the one that was reported ready already, if any, before the others.
    pub(super) fn ask_for_lease(&self, out: &mut Vec<Effect>) {
        let mut addresses: Vec<String> = self.room.endpoint.iter().chain(&self.room.more_endpoints).cloned().collect();
        if let Some(ready) = self.ready.as_ref().and_then(|ready| ready.endpoint.as_deref()) {
            addresses.sort_by_key(|address| !same(address, ready));
        }
        out.push(Effect::Lease(addresses));
    }

    pub(super) fn lent(&mut self, now: Instant, address: String, out: &mut Vec<Effect>) {
        if self.stage != Stage::Room {
            return;
        }
        self.decide("room", format!("{address} is this call's"), out);
        // The bot is told the address that is the call's.
        self.room.endpoint = Some(address.clone());
        self.lease = Some(address);
        // That another address of the room is ready says nothing about this one.
        let ready = self.ready.take();
        self.ready = ready.filter(|ready| self.may_use(ready));
        self.go_into_room(now, out);
    }

    pub(super) fn all_lent(&mut self, out: &mut Vec<Effect>) {
        let full = format!("every SIP address of {} has a caller", self.names.room);
        self.last_failure = Some(full.clone());
        if self.spare == Spare::Another {
            self.decide("room", format!("{full}, so the next plan is tried"), out);
            out.push(Effect::NextPlan);
        } else {
            self.decide("room", format!("{full}; the call waits for one"), out);
        }
    }

    /// Whether a ready signal is about the call's own address, as far as can be told.
    pub(in crate::room) fn may_use(&self, ready: &Ready) -> bool {
        match (&self.lease, &ready.endpoint) {
            (Some(own), Some(reported)) => same(own, reported),
            _ => true,
        }
    }
}
