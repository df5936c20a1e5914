//! INVITE with `Replaces` (RFC 3891): a new call that takes the place of a leg. It is how the second half of an attended
//! transfer, and a pick-up from another phone, arrive here.

use crate::call::bridge::State;
use crate::call::desk::Desk;
use crate::call::entry::{self, Turned, Visitor};
use crate::call::leg::{Leg, Phase};
use crate::call::negotiation::{self, Kind};
use crate::call::setup::Arrival;
use crate::call::state::{Asked, Call, Exchange, ExchangeStage, Proposal};
use crate::call::{Policy, refusal, terms};
use crate::error::Cause;
use crate::media::Side;
use crate::record::{Lane, Step};
use crate::sdp::{Description, Direction, Format, negotiate};
use crate::sip::StatusCode;
use crate::sip::endpoint::Headers;
use crate::trunk::Trunk;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// A refusal: the status and why.
type Refusal = (StatusCode, String);

/// Answers an INVITE that replaces nothing.
pub(in crate::call) fn refuse(desk: &mut Desk, now: Instant, arrival: &Arrival, (status, why): Refusal) {
    let reason = format!("SIP;cause={};text=\"{}\"", status.get(), why.replace(['"', '\\'], "'"));
    let headers: Headers = vec![(Cow::Borrowed("Reason"), reason)];
    let _ = desk.endpoint.reject(now, arrival.leg, status, None, headers);
}

/// The trunk of an INVITE that wants a place: it comes in by the door of all calls, and is on the terms of its trunk.
/// `None` if it was turned away.
pub(in crate::call) fn arrived(
    desk: &mut Desk,
    policy: &Policy,
    now: Instant,
    arrival: &Arrival,
) -> Option<Arc<Trunk>> {
    let visitor = Visitor { request: &arrival.request, source: &arrival.source };
    let (status, headers) = match entry::enter(desk, policy, now, visitor, &mut Vec::new()) {
        Ok(trunk) => match desk.endpoint.agree(arrival.leg, terms::of_caller(&trunk.config)) {
            Ok(()) => {
                if let Some(login) = &trunk.login {
                    desk.endpoint.protect(arrival.leg, trunk.config.name.clone(), Arc::clone(login));
                }
                desk.endpoint.set_path(arrival.leg, trunk.config.path());
                return Some(trunk);
            }
            Err(unfit) => (unfit.status(), unfit.headers()),
        },
        Err(Turned::Challenged(status, headers)) => (status, headers),
        Err(Turned::Refused(end, mut headers)) => {
            desk.metrics.admission_refused(end.cause.entry().code);
            headers.extend(refusal::headers(&end, &desk.settings.from_host));
            (StatusCode::new(end.sip_status()).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR), headers)
        }
    };
    let _ = desk.endpoint.reject(now, arrival.leg, status, None, headers);
    None
}

// === impl Call ===

impl Call {
    /// Takes the new leg in place of `side`'s, or says why not.
    pub(in crate::call) fn replace(&mut self, desk: &mut Desk, now: Instant, side: Side, arrival: &Arrival) {
        let lane = self.lane(side);
        self.journal.moment(now, lane, Lane::Trunkline, "INVITE with Replaces", None);
        let to = String::from_utf8_lossy(arrival.request.call_id()).into_owned();
        let outcome = match self.take_place(desk, now, side, arrival) {
            Ok(()) => "took the place".to_owned(),
            Err((status, why)) => {
                let outcome = format!("refused with {}: {why}", status.get());
                refuse(desk, now, arrival, (status, why));
                outcome
            }
        };
        self.journal.step(Step::Transfer { by: "replaces".to_owned(), to, outcome });
    }

    fn take_place(&mut self, desk: &mut Desk, now: Instant, side: Side, arrival: &Arrival) -> Result<(), Refusal> {
        if self.state != State::Up || self.referrals.orphaned().is_some() {
            return Err((StatusCode::REQUEST_PENDING, "another change of the call is in progress".to_owned()));
        }
        let offer = negotiation::description(&arrival.request, Cause::BadSdp)
            .map_err(|end| (StatusCode::BAD_REQUEST, end.text()))?;
        let formats = self.formats_for_newcomer(side, offer.as_ref())?;
        let mut leg = Leg::new(arrival.leg, Phase::AwaitingAck, desk.entropy.next_u64() >> 1);
        leg.signalling = Some(arrival.source.peer.ip().to_canonical());
        leg.takes = self.leg(side).and_then(|leg| leg.takes.clone());
        leg.media_address = self.leg(side).and_then(|leg| leg.media_address);
        leg.theirs.clone_from(&formats);
        leg.formats = formats;
        leg.remote.clone_from(&offer);
        leg.learn(&arrival.request);
        let body = self.in_place(side, &mut leg, |call| match &offer {
            Some(offer) => {
                let asked = offer.audio().map_or(Direction::SendRecv, |audio| audio.direction);
                let direction = negotiate::answer_direction(asked, Direction::SendRecv);
                call.describe(desk, side, direction, Kind::Answer(offer))
            }
            None => call.describe(desk, side, Direction::SendRecv, Kind::Offer),
        });
        if desk.endpoint.answer(now, arrival.leg, Headers::new(), body).is_err() {
            return Err((StatusCode::REQUEST_TERMINATED, "it was cancelled".to_owned()));
        }
        let lane = self.lane(side);
        self.journal.moment(now, Lane::Trunkline, lane, "200 OK", None);
        desk.legs.insert(arrival.leg, self.key);
        self.end_transfers(desk, now, "SIP;cause=487;text=\"replaced\"");
        let Some(old) = self.put(desk, now, side, leg) else { return Ok(()) };
        self.let_go(desk, now, old, lane, "Q.850;cause=16;text=\"replaced\"");
        if offer.is_none() {
            // The answer comes with the ACK, as it does for a re-INVITE without offer.
            let formats = self.leg(side).map(|leg| leg.formats.clone()).unwrap_or_default();
            self.exchange = Some(Exchange {
                initiator: side,
                asked: Asked::Reinvite,
                offered: None,
                proposal: Proposal::Audio { formats, direction: Direction::SendRecv, ptime: None, maxptime: None },
                sent: None,
                stage: ExchangeStage::Answered,
            });
        }
        self.adjust(desk, now, side);
        Ok(())
    }

    /// What the newcomer shares with the party that stays.
    fn formats_for_newcomer(&self, side: Side, offer: Option<&Description>) -> Result<Vec<Format>, Refusal> {
        let not_acceptable = |why: String| (StatusCode::NOT_ACCEPTABLE_HERE, why);
        let Some(offer) = offer else {
            return self.formats_towards(side, None).map_err(|end| not_acceptable(end.text()));
        };
        let asked = negotiation::audio_formats(offer).map_err(|end| not_acceptable(end.text()))?;
        let spoken = self.leg(side.other()).map(|leg| leg.formats.clone()).unwrap_or_default();
        let formats = negotiate::for_caller(&asked, &spoken);
        if formats.is_empty() {
            return Err(not_acceptable("no codec in common with the party that stays".to_owned()));
        }
        Ok(formats)
    }
}
