//! A change of the session while the call is up: offered by one leg, passed to the other, whose answer is the answer.
//! Apart from the other commands because it is the only thing in a call that two legs can do against each other.

use super::bridge::State;
use super::desk::{CallTimer, Desk};
use super::events::Notice;
use super::negotiation::{self, Kind};
use super::refusal;
use super::state::{Asked, Behind, Call, Exchange, ExchangeStage, Proposal};
use super::teardown::EndedBy;
use crate::error::{Cause, Termination};
use crate::media::Side;
use crate::record::Lane;
use crate::sdp::{Description, Direction, negotiate};
use crate::sip::endpoint::{Body, Headers, SentId};
use crate::sip::{Message, Method, StatusCode};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How long the other leg may take over a change: 64*T1. A provisional response ends the transaction's own patience
/// (RFC 3261 §17.1.1.2), and nobody rings for a re-INVITE.
const PATIENCE: Duration = Duration::from_secs(32);
/// The same for a change that was asked for by UPDATE: its sender gives up after 64*T1 and is to hear from us before.
const PATIENCE_UPDATE: Duration = Duration::from_secs(20);
/// RFC 3261 §14.2, RFC 3311 §5.2: a second offer is to be tried again after up to this many seconds.
const RETRY_AFTER: u64 = 10;

/// What the other leg does after a change.
pub(super) enum Far {
    /// It talks, in this direction.
    Audio(Direction),
    /// Its terminal faxes, and says this of itself.
    Fax(Vec<String>),
}

impl Call {
    /// A change that `side` asks for: offered to the other leg, whose answer is the answer.
    pub fn pass_change(&mut self, desk: &mut Desk, now: Instant, side: Side, asked: Asked, message: Option<&Message>) {
        if let Some(exchange) = self.exchange.as_ref().filter(|exchange| exchange.is_open()) {
            // Its own offer is unanswered yet, or another one came first.
            let (status, headers) = match asked {
                Asked::Update(_) if exchange.initiator == side && exchange.stage != ExchangeStage::Aligning => {
                    let after = desk.entropy.below(RETRY_AFTER + 1).to_string();
                    (StatusCode::SERVER_INTERNAL_ERROR, vec![(Cow::Borrowed("Retry-After"), after)])
                }
                _ => (StatusCode::REQUEST_PENDING, Headers::new()),
            };
            self.refuse_change(desk, now, side, asked, status, headers);
            return;
        }
        let offered = message.map_or(Ok(None), |request| negotiation::description(request, Cause::BadSdp));
        let offered = offered.and_then(|offered| {
            offered.as_ref().map_or(Ok(()), |offer| self.refuse_loop(desk, offer, Cause::MediaLoop))?;
            Ok(offered)
        });
        let offered = match offered {
            Ok(Some(offer)) if self.repeats(side, &offer) => {
                self.answer_unchanged(desk, now, side, asked, &offer);
                return;
            }
            Ok(offered) => offered,
            Err(end) => {
                self.refuse_change_for(desk, now, side, asked, &end);
                return;
            }
        };
        let proposal = match self.plan_change(desk, side, offered.as_ref()) {
            Ok(proposal) => proposal,
            Err(end) => {
                self.refuse_change_for(desk, now, side, asked, &end);
                return;
            }
        };
        match self.propose(desk, now, side.other(), &proposal, asked) {
            Some(sent) => {
                let stage = ExchangeStage::Offered;
                self.exchange = Some(Exchange { initiator: side, asked, offered, proposal, sent, stage });
            }
            None => self.refuse_change(desk, now, side, asked, StatusCode::REQUEST_PENDING, Headers::new()),
        }
    }

    /// The caller's ACK is there: leg A can be offered what leg B asked for in the meantime.
    pub fn pass_kept_change(&mut self, desk: &mut Desk, now: Instant) {
        let Some((asked, kept)) = self.kept_change.take_if(|_| self.state == State::Up) else { return };
        self.pass_change(desk, now, Side::B, asked, Some(&kept));
    }

    /// Does `side` describe what it described before? Then nothing changes, and nobody else has to know: a refresh of
    /// the session (RFC 4028 §7.4), or a peer that only moves its signalling.
    pub fn repeats(&self, side: Side, offer: &Description) -> bool {
        let before = self.leg(side).and_then(|leg| leg.remote.as_ref());
        before.is_some_and(|before| before.says_the_same_as(offer)) && self.behind.is_none()
    }

    /// Answers an offer that changes nothing with what holds.
    pub fn answer_unchanged(&mut self, desk: &mut Desk, now: Instant, side: Side, asked: Asked, offer: &Description) {
        let Some(other) = self.leg(side.other()) else { return };
        let far = match &other.remote {
            Some(remote) if remote.is_fax() => {
                Far::Fax(remote.image().map(|image| image.attributes.clone()).unwrap_or_default())
            }
            _ => Far::Audio(other.direction()),
        };
        let body = self.describe_answer(desk, side, offer, &far);
        self.accept_change(desk, now, side, asked, body);
        self.note_change(side, "nothing changed: answered here");
    }

    /// Offers a change to `side`, by UPDATE if that is how it was asked for and the peer takes it. `None` if nothing can
    /// be offered now, else the UPDATE if it is one.
    pub fn propose(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        proposal: &Proposal,
        asked: Asked,
    ) -> Option<Option<SentId>> {
        let body = self.describe_proposal(desk, side, proposal)?;
        let leg = self.leg_mut(side)?;
        let by_update = matches!(asked, Asked::Update(_)) && leg.updates;
        let sent = if by_update {
            desk.endpoint.send_inside(now, leg.id, Method::Update, &Headers::new(), Some(&body)).map(Some)
        } else {
            desk.endpoint.reinvite(now, leg.id, Headers::new(), Some(body)).map(|()| None)
        };
        let sent = sent.inspect_err(|_| leg.origin.take_back()).ok()?;
        let patience = if asked == Asked::Reinvite { PATIENCE } else { PATIENCE_UPDATE };
        self.disarm_exchange(desk);
        self.exchange_timer = Some(desk.timers.insert(now + patience, (self.key, CallTimer::Exchange)));
        let what = if by_update { "UPDATE" } else { "re-INVITE" };
        let lane = self.lane(side);
        self.journal.moment(now, Lane::Trunkline, lane, what, None);
        Some(sent)
    }

    /// The other leg took the change by 2xx to our re-INVITE: ACK there, and on with its answer.
    pub fn pass_reinvite_answer(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        self.acknowledge(desk, now, side);
        self.take_change_answer(desk, now, side, message);
    }

    /// The other leg took the change; its answer is the initiator's.
    pub fn take_change_answer(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        let Some(exchange) = self.exchange.take_if(|exchange| exchange.initiator != side) else { return };
        self.disarm_exchange(desk);
        let answer = message.map_or(Ok(None), |answer| negotiation::description(answer, Cause::TargetBadAnswer));
        let far = answer.ok().flatten().and_then(|answer| {
            self.refuse_loop(desk, &answer, Cause::MediaLoop).ok()?;
            self.settle_change(side, &exchange.proposal, answer)
        });
        match (exchange.stage, far) {
            (ExchangeStage::Offered | ExchangeStage::Answered, Some(far)) => {
                self.answer_initiator(desk, now, exchange, &far);
            }
            // It took what cannot be used (port 0, a codec of its own): its side of the session is put back.
            (ExchangeStage::Offered | ExchangeStage::Answered, None) => {
                let end = refusal::no_codec("the other side's answer cannot be used");
                self.refuse_change_for(desk, now, exchange.initiator, exchange.asked, &end);
                self.align(desk, now, side);
            }
            // It took a change that its initiator does not know of: it is offered what the initiator still has.
            (ExchangeStage::Withdrawn, _) => self.align(desk, now, side),
            (ExchangeStage::Aligning, _) => {
                self.aligned(desk);
                self.configure_relay();
            }
        }
    }

    fn answer_initiator(&mut self, desk: &mut Desk, now: Instant, mut exchange: Exchange, far: &Far) {
        let initiator = exchange.initiator;
        let settled = self.leg(initiator.other()).map(|leg| leg.formats.clone()).unwrap_or_default();
        let body = match (&exchange.offered, far) {
            (Some(offer), _) => {
                let asked = offer.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
                if let Some(leg) = self.leg_mut(initiator) {
                    if matches!(far, Far::Audio(_)) && !offer.is_switched_off() {
                        leg.formats = negotiate::for_caller(&asked, &settled);
                        leg.theirs.clone_from(&leg.formats);
                    }
                    leg.remote = Some(offer.clone());
                }
                self.describe_answer(desk, initiator, offer, far)
            }
            (None, Far::Audio(direction)) => {
                if let Some(leg) = self.leg_mut(initiator) {
                    leg.formats = negotiate::for_target_within(&settled, leg.takes.as_deref(), &leg.bound);
                }
                self.describe(desk, initiator, *direction, Kind::Offer)
            }
            (None, Far::Fax(_)) => None,
        };
        let nothing = self.leg(initiator).is_none_or(|leg| leg.formats.is_empty());
        if body.is_none() || nothing {
            let end = refusal::no_codec("no codec in common with the other side");
            self.refuse_change_for(desk, now, initiator, exchange.asked, &end);
            self.align(desk, now, initiator.other());
            return;
        }
        self.configure_relay();
        self.aligned(desk);
        self.note_change(initiator, "passed, and taken by the other side");
        if self.accept_change(desk, now, initiator, exchange.asked, body) && exchange.asked == Asked::Reinvite {
            exchange.stage = ExchangeStage::Answered;
            self.exchange = Some(exchange);
        }
    }

    /// The other leg keeps the session as it is, and so does the initiator.
    pub fn pass_reinvite_refusal(&mut self, desk: &mut Desk, now: Instant, notice: &Notice) {
        self.take_change_refusal(desk, now, notice.status, notice.message.as_ref());
    }

    pub fn take_change_refusal(&mut self, desk: &mut Desk, now: Instant, status: u16, message: Option<&Message>) {
        let Some(exchange) = self.exchange.take() else { return };
        self.disarm_exchange(desk);
        if let Some(leg) = self.leg_mut(exchange.initiator.other()) {
            leg.origin.take_back();
        }
        let heard = status;
        let status = match status {
            // Credentials and repairs between us and the other leg are not the initiator's business.
            401 | 407 | 420 | 421 | 422 | 0..=399 => StatusCode::NOT_ACCEPTABLE_HERE,
            status => StatusCode::new(status).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE),
        };
        match exchange.stage {
            ExchangeStage::Offered | ExchangeStage::Answered => {
                let headers = refusal::passed_on(message, status);
                self.note_change(exchange.initiator, format!("refused by the other side with {heard}"));
                self.refuse_change(desk, now, exchange.initiator, exchange.asked, status, headers);
            }
            // The initiator has its answer already; both legs have what they had.
            ExchangeStage::Withdrawn => {}
            ExchangeStage::Aligning if heard == 491 => self.try_later(desk, now, exchange.initiator.other()),
            ExchangeStage::Aligning => {
                self.note_change(exchange.initiator, format!("the other side keeps what it had: {heard}"));
                self.aligned(desk);
                self.configure_relay();
            }
        }
    }

    /// The initiator's ACK; with an answer in it if the offer was ours.
    pub fn finish_exchange(&mut self, desk: &mut Desk, now: Instant, side: Side, message: Option<&Message>) {
        let finished =
            |exchange: &mut Exchange| exchange.initiator == side && exchange.stage == ExchangeStage::Answered;
        let Some(exchange) = self.exchange.take_if(finished) else { return };
        if exchange.offered.is_none() {
            let answer = message.map_or(Ok(None), |ack| negotiation::description(ack, Cause::BadSdp));
            let usable = answer.ok().flatten().and_then(|answer| {
                self.refuse_loop(desk, &answer, Cause::MediaLoop).ok()?;
                let settled = negotiation::settle(&self.leg(side)?.formats, &answer)?;
                Some((answer, settled))
            });
            let (Some((answer, (formats, theirs))), Some(leg)) = (usable, self.leg_mut(side)) else {
                let end = Termination::with_detail(Cause::NoUsableMedia, "the ACK carries no answer to our offer");
                self.end(desk, now, end, EndedBy::Gateway);
                return;
            };
            leg.formats = formats;
            leg.theirs = theirs;
            leg.remote = Some(answer);
            self.configure_relay();
            self.reconcile(desk, now, side.other());
        }
        self.catch_up(desk, now);
    }

    // --- answering the initiator

    /// The initiator gets 200; false if it is too late for that.
    pub fn accept_change(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        asked: Asked,
        body: Option<Body>,
    ) -> bool {
        let Some(id) = self.leg(side).map(|leg| leg.id) else { return false };
        let sent = match asked {
            Asked::Reinvite => desk.endpoint.answer(now, id, Headers::new(), body),
            Asked::Update(request) => desk.endpoint.respond(now, request, StatusCode::OK, None, Headers::new(), body),
        };
        if sent.is_ok() {
            let lane = self.lane(side);
            self.journal.moment(now, Lane::Trunkline, lane, "200 OK", None);
        }
        sent.is_ok()
    }

    /// The initiator is refused, and keeps the session as it was.
    pub fn refuse_change(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        asked: Asked,
        status: StatusCode,
        headers: Headers,
    ) {
        match asked {
            Asked::Reinvite => self.refuse(desk, now, side, status, headers),
            Asked::Update(id) => self.respond_to(desk, now, side, id, status, headers, None),
        }
    }

    /// The same for a reason of the catalogue.
    pub fn refuse_change_for(&mut self, desk: &mut Desk, now: Instant, side: Side, asked: Asked, end: &Termination) {
        self.note_change(side, format!("refused: {}", end.text()));
        let headers = refusal::headers(end, &desk.settings.from_host);
        self.refuse_change(desk, now, side, asked, refusal::status(end), headers);
    }

    // --- changes that come to nothing

    /// The initiator cancelled its change; the endpoint has answered it 487.
    pub fn withdraw_change(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        if side == Side::B {
            self.kept_change.take_if(|(asked, _)| *asked == Asked::Reinvite);
        }
        let open = |exchange: &&mut Exchange| {
            let asked = exchange.initiator == side && exchange.asked == Asked::Reinvite;
            asked && exchange.stage == ExchangeStage::Offered
        };
        if self.exchange.as_mut().filter(open).is_some() {
            self.withdraw(desk, now);
        }
    }

    /// The other leg has taken too long.
    pub fn give_up_exchange(&mut self, desk: &mut Desk, now: Instant) {
        let Some(Exchange { initiator, stage, asked, .. }) = self.exchange else { return };
        if stage == ExchangeStage::Offered {
            // Not 408: that would end the initiator's dialog (RFC 3261 §12.2.1.2).
            self.refuse_change(desk, now, initiator, asked, StatusCode::SERVER_TIMEOUT, Headers::new());
        }
        if stage != ExchangeStage::Withdrawn {
            self.withdraw(desk, now);
        }
    }

    /// Asks the other leg to forget the change. Its answer may win all the same: then it is offered the old session.
    fn withdraw(&mut self, desk: &mut Desk, now: Instant) {
        let Some(exchange) = self.exchange.as_mut() else { return };
        exchange.stage = ExchangeStage::Withdrawn;
        let (other, by_reinvite) = (exchange.initiator.other(), exchange.sent.is_none());
        let Some(id) = self.leg(other).map(|leg| leg.id) else { return };
        // An UPDATE cannot be cancelled; it is answered soon, one way or the other.
        if by_reinvite && desk.endpoint.cancel(now, id, Vec::new()).is_ok() {
            let lane = self.lane(other);
            self.journal.moment(now, Lane::Trunkline, lane, "CANCEL", None);
        }
    }

    /// Leg B is about to be replaced: a change that waits for it, or came from it, has lost its other half.
    pub fn drop_exchange(&mut self, desk: &mut Desk, now: Instant) {
        self.drop_kept_change(desk, now);
        if let Some(behind) = self.behind.take_if(|behind| behind.side == Side::B) {
            // Who replaces it is told what holds from the beginning.
            self.note_change(behind.side, "not told any more: the leg is replaced");
        }
        let lost = |exchange: &mut Exchange| exchange.initiator == Side::B || exchange.stage != ExchangeStage::Answered;
        let Some(exchange) = self.exchange.take_if(lost) else { return };
        self.disarm_exchange(desk);
        if exchange.stage == ExchangeStage::Offered {
            let (side, asked) = (exchange.initiator, exchange.asked);
            self.refuse_change(desk, now, side, asked, StatusCode::REQUEST_PENDING, Headers::new());
        }
        if exchange.initiator == Side::B {
            // Leg A may yet take what nobody wants any more: it is told what holds once there is another leg B.
            self.behind = Some(Behind { side: Side::A, tries: 0 });
        }
    }

    /// The leg of `side` is about to be replaced in a call that goes on: a change that it began, or was asked for, is
    /// over; one that only waits for an ACK of the other leg is not.
    pub fn abandon_exchange(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        self.drop_kept_change(desk, now);
        let behind = self.behind.filter(|behind| behind.side != side);
        self.aligned(desk);
        self.behind = behind;
        let lost = |exchange: &mut Exchange| exchange.initiator == side || exchange.stage != ExchangeStage::Answered;
        let Some(exchange) = self.exchange.take_if(lost) else { return };
        self.disarm_exchange(desk);
        if exchange.stage == ExchangeStage::Offered {
            let (side, asked) = (exchange.initiator, exchange.asked);
            self.refuse_change(desk, now, side, asked, StatusCode::REQUEST_PENDING, Headers::new());
        }
        if exchange.initiator == side && exchange.stage != ExchangeStage::Answered {
            // The party that stays may yet take what nobody wants any more: it is told what holds.
            self.behind = Some(Behind { side: side.other(), tries: 0 });
        }
    }

    fn drop_kept_change(&mut self, desk: &mut Desk, now: Instant) {
        if let Some((asked, _)) = self.kept_change.take() {
            self.refuse_change(desk, now, Side::B, asked, StatusCode::REQUEST_PENDING, Headers::new());
        }
    }

    pub fn disarm_exchange(&mut self, desk: &mut Desk) {
        if let Some(timer) = self.exchange_timer.take() {
            desk.timers.cancel(timer);
        }
    }
}
