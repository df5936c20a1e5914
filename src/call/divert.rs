//! When the bot cannot be reached: the next target, the fallback, or an honest end. A caller who was answered stays on
//! the line, hears what plays, and is joined to the fallback when it answers.

use super::bridge::State;
use super::desk::{Desk, Output};
use super::leg::Phase;
use super::setup::Outgoing;
use super::state::{Attempt, Call, Hold};
use super::teardown::EndedBy;
use super::terms;
use crate::config::route::{Fallback, TrunkFallback};
use crate::config::session::Offer;
use crate::error::{Cause, Termination};
use crate::media::{RelayCommand, Side};
use crate::record::{CallState, Lane, Step};
use crate::sip::Hop;
use crate::sip::endpoint::Headers;
use crate::sip::uri::escape_user;
use crate::trunk::Trunk;
use crate::{identity, room};
use std::borrow::Cow;
use std::time::Instant;

/// Where a call to a trunk goes.
struct Destination {
    request_uri: String,
    to: Option<String>,
    hop: Hop,
    routes: Headers,
}

impl Call {
    /// A target failed before the caller was answered: the route's next one if the failure allows, else the fallback.
    pub fn next_target(&mut self, desk: &mut Desk, now: Instant, failure: Termination) {
        self.disarm_ring(desk);
        self.drop_exchange(desk, now);
        self.target_slot = None;
        if let Some(b) = self.b.take() {
            self.released.push(b.id);
        }
        let position = match &self.attempt {
            Attempt::Fallback { after } => {
                let detail = format!("{failure}; tried after: {after}");
                self.end(desk, now, Termination::with_detail(Cause::FallbackFailed, detail), EndedBy::Gateway);
                return;
            }
            Attempt::Transferred { .. } => {
                self.end(desk, now, failure, EndedBy::Gateway);
                return;
            }
            Attempt::Target { position, .. } => *position,
        };
        let retry = self.route.retry_on.includes(failure.retry_status());
        if retry && position + 1 < self.route.targets.len() {
            if let Some(relay) = &self.relay {
                relay.command(RelayCommand::Reset(Side::B));
            }
            self.try_target(desk, now, position + 1);
        } else {
            self.divert_or_end(desk, now, failure);
        }
    }

    /// Sends the caller to the route's fallback, or ends the call when there is none.
    pub fn divert_or_end(&mut self, desk: &mut Desk, now: Instant, failure: Termination) {
        if matches!(self.attempt, Attempt::Fallback { .. }) || self.state == State::Ending {
            return; // already on the way
        }
        if self.referrals.orphaned() == Some(Side::A) {
            return self.end(desk, now, failure, EndedBy::Gateway); // the caller has left for somebody else
        }
        if self.state == State::Waiting {
            // The caller never heard this leg: it rings for the next one.
            if let Some(b) = self.b.take() {
                let lane = self.lane(Side::B);
                self.let_go(desk, now, b, lane, &failure.reason_header());
            }
            self.state = State::Calling;
        }
        match self.route.fallback.clone() {
            Some(Fallback::Trunk(to)) => self.divert(desk, now, failure, &to),
            Some(Fallback::Status(status)) => {
                let words = status.reason.as_deref().unwrap_or_default();
                let outcome = format!("refused with {} {words}", status.status).trim_end().to_owned();
                self.journal.step(Step::Companion { stage: "fallback".to_owned(), outcome });
                let end = Termination { status: Some(status.status), phrase: status.reason, ..failure };
                self.end(desk, now, end, EndedBy::Gateway);
            }
            None => self.end(desk, now, failure, EndedBy::Gateway),
        }
    }

    fn divert(&mut self, desk: &mut Desk, now: Instant, failure: Termination, to: &TrunkFallback) {
        let destination = self.policy.trunks.by_name(&to.trunk).and_then(|trunk| {
            let destination = self.destination(desk, now, &trunk, &to.number)?;
            Some((trunk, destination))
        });
        let Some((trunk, destination)) = destination else {
            let detail = format!("trunk {} has no address and is not registered; tried after: {failure}", to.trunk);
            self.end(desk, now, Termination::with_detail(Cause::FallbackFailed, detail), EndedBy::Gateway);
            return;
        };
        // Of two that are on their way to the same place one is enough.
        self.end_transfers(desk, now, &failure.reason_header());
        self.drop_exchange(desk, now);
        self.abandon_b(desk, now, &failure);
        if self.parting.is_none()
            && let Some(relay) = &self.relay
        {
            // Nothing of the old leg plays on: its early media, or what it sends after its BYE, is nobody's.
            relay.command(RelayCommand::Reset(Side::B));
        }
        self.leave_companion(desk);
        // A trunk's limits are for calls that come from it: a caller in need is never refused by one of ours.
        self.target_slot = None;
        let formats = match self.formats_for(trunk.config.codecs.as_deref()) {
            Ok(formats) => formats,
            Err(error) => {
                let detail = format!("{error}; tried after: {failure}");
                self.end(desk, now, Termination::with_detail(Cause::FallbackFailed, detail), EndedBy::Gateway);
                return;
            }
        };
        self.journal.step(Step::Companion {
            stage: "fallback".to_owned(),
            outcome: format!("calling {} at trunk {}", to.number, to.trunk),
        });
        self.journal.record_mut().state = CallState::Diverting;
        self.journal.record_mut().fallback = Some(to.trunk.clone());
        self.attempt = Attempt::Fallback { after: failure };
        if self.state != State::Calling {
            self.state = State::Diverting;
        }
        // The PBX knows its own form of the number; a caller who withheld it is withheld there too.
        let wish = &self.numbers.wish;
        let caller = if wish.number { identity::ANONYMOUS } else { self.numbers.caller_key() };
        let name = self.numbers.caller_name.as_deref().filter(|_| !wish.name);
        let mut headers = destination.routes;
        headers.push((Cow::Borrowed("x-trunkline-call"), self.id.to_string()));
        let outgoing = Outgoing {
            request_uri: destination.request_uri,
            to: destination.to,
            credentials: None,
            hop: destination.hop,
            from: self.sender_for(desk, caller, name),
            headers,
            takes: trunk.config.codecs.clone(),
            path: trunk.config.path(),
            media_address: trunk.config.media_address(),
            formats,
            ring: to.ring_timeout.get(),
            to_lane: Lane::Pbx,
            terms: terms::of_fallback(&trunk.config),
            offer: Offer::Early,
        };
        self.send_invite(desk, now, outgoing);
    }

    /// Where a call to a number at a trunk goes: its address, or else where it registered from.
    fn destination(&self, desk: &Desk, now: Instant, trunk: &Trunk, number: &str) -> Option<Destination> {
        if let Some(address) = &trunk.address {
            let (request_uri, hop) = (address.request_uri(number), address.hop.clone());
            return Some(Destination { request_uri, to: None, hop, routes: Headers::new() });
        }
        let contact = self.policy.registrar.contact_of(now, &trunk.config.name)?;
        let routes = contact.path.iter().map(|path| (Cow::Borrowed("Route"), path.clone()));
        Some(Destination {
            // RFC 3261 §16.6: the Contact as it was written; a PBX knows its line by it and the number by To.
            request_uri: contact.uri.clone(),
            to: Some(format!("<sip:{}@{}>", escape_user(number), desk.settings.from_host)),
            hop: contact.hop(),
            routes: routes.collect(),
        })
    }

    /// Parts with leg B: a leg that plays goes on until its replacement answers, one that does not is let go.
    pub fn abandon_b(&mut self, desk: &mut Desk, now: Instant, why: &Termination) {
        self.disarm_ring(desk);
        self.turn_down(desk, now);
        let Some(b) = self.b.take() else { return };
        match b.phase {
            Phase::Up => self.parting = Some(b),
            Phase::Outgoing => {
                let lane = self.lane(Side::B);
                self.let_go(desk, now, b, lane, &why.reason_header());
            }
            _ => self.released.push(b.id),
        }
    }

    /// The fallback, or the target of a caller who was answered at once, answered: the relay turns to it and the old leg, if
    /// there is one, is hung up.
    pub fn join_fallback(&mut self, desk: &mut Desk, now: Instant) {
        self.stop_ringing_back();
        if let Some(relay) = &self.relay {
            relay.command(RelayCommand::Reset(Side::B));
        }
        self.configure_relay();
        self.watch_media();
        self.note_media(Side::B);
        self.disarm_ring(desk);
        self.state = match self.a.phase {
            Phase::AwaitingAck => State::Answering,
            _ => State::Up,
        };
        self.journal.record_mut().state = CallState::Connected;
        if self.hold_dropped() {
            self.journal.record_mut().state = CallState::Held;
            desk.outputs.push_back(Output::Report(room::Report::Answered(self.id.clone())));
        }
        let reason = match &self.attempt {
            Attempt::Fallback { after } => after.reason_header(),
            Attempt::Target { .. } | Attempt::Transferred { .. } => String::new(),
        };
        if let Some(parting) = self.parting.take() {
            self.let_go(desk, now, parting, Lane::CloudSip, &reason);
        }
        self.catch_up(desk, now);
    }

    /// Tells the companion that this call is no longer its business.
    pub fn leave_companion(&mut self, desk: &mut Desk) {
        if self.hold == Hold::Waiting {
            desk.outputs.push_back(Output::Report(room::Report::Ended(self.id.clone())));
        }
        self.hold = Hold::None;
    }

    /// Leg B hung up while it held the caller: the bot was never met.
    pub fn hold_dropped(&self) -> bool {
        self.hold == Hold::Waiting
    }
}
