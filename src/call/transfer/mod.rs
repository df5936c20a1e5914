//! Transfers (RFC 3515, 3891): a party asks for somebody else in its place. The new party is called as a leg of its own
//! while both others stay as they are, so that a transfer that comes to nothing has changed nothing.

mod destination;
mod passing;
mod referrer;
mod replacing;

use super::bridge::{Happened, State};
use super::desk::{Answer, CallTimer, Desk, Output};
use super::events::Notice;
use super::leg::{Leg, Phase};
use super::negotiation::{self, Kind};
use super::setup::silence;
use super::state::{Attempt, Call, Hold};
use super::teardown::EndedBy;
use crate::config::target::Transfer;
use crate::error::{Cause, Termination};
use crate::identity;
use crate::media::{RelayCommand, Side};
use crate::record::{CallState, Lane, Step};
use crate::room;
use crate::sdp::{Direction, Format, negotiate};
use crate::sip::endpoint::{Headers, Invite, LegId, RequestId, SentId};
use crate::sip::header::ReferTo;
use crate::sip::timer::TimerKey;
use crate::sip::{HeaderName, Message, StatusCode};
use destination::Destination;
use passing::Passed;
use referrer::Referrer;
pub(super) use replacing::{arrived, refuse};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// How long the new party may ring: as long as RFC 3261's Timer C keeps a proxy waiting.
const RING: Duration = Duration::from_secs(180);
/// Headers that a REFER may hand to the new INVITE, at most, and their longest value.
const MOST_CONTEXT: usize = 16;
const LONGEST_CONTEXT: usize = 512;

/// The transfers of one call.
#[derive(Debug, Default)]
pub(super) struct Referrals {
    pending: Option<Pending>,
    departing: Option<Departing>,
    passed: Option<Passed>,
    /// Whether a side has asked before: the second time its subscription has a name (RFC 3515 §2.4.6).
    asked: [bool; 2],
}

/// A new party is being called.
#[derive(Debug)]
struct Pending {
    /// Whose place it takes.
    side: Side,
    leg: Leg,
    to: Destination,
    referrer: Option<Referrer>,
    ring: Option<TimerKey>,
    /// Who is to be replaced has hung up: the other party waits for the new one.
    orphaned: bool,
}

/// A party that was replaced and is still to hear that it went well, before it is hung up.
#[derive(Debug)]
struct Departing {
    leg: Leg,
    lane: Lane,
    told: SentId,
}

/// A REFER that is not followed: the status and why.
type Refusal = (StatusCode, String);

// === impl Referrals ===

impl Referrals {
    /// Its legs that may still have to close.
    pub fn legs(&self) -> impl Iterator<Item = LegId> {
        let pending = self.pending.as_ref().map(|pending| pending.leg.id);
        pending.into_iter().chain(self.departing.as_ref().map(|departing| departing.leg.id))
    }

    /// Is this the leg of a new party that has not answered?
    pub fn awaits(&self, leg: LegId) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.leg.id == leg)
    }

    /// The side that has nobody until a new party answers.
    pub fn orphaned(&self) -> Option<Side> {
        self.pending.as_ref().filter(|pending| pending.orphaned).map(|pending| pending.side)
    }
}

// === impl Call ===

impl Call {
    /// A REFER of `side`.
    pub(super) fn referred(&mut self, desk: &mut Desk, now: Instant, side: Side, id: RequestId, request: &Message) {
        let named = request.text(HeaderName::ReferTo).map(Cow::into_owned).unwrap_or_default();
        let begun = match self.policy_of(side) {
            Transfer::Refuse => Err((StatusCode::DECLINE, "`transfer` is set to refuse".to_owned())),
            Transfer::Pass => self.pass_refer(desk, now, side, id, request),
            Transfer::Local => self.transfer_here(desk, now, side, id, request),
        };
        let by = if side == Side::A { "a" } else { "b" };
        let outcome = match begun {
            Ok(outcome) => outcome,
            Err((status, why)) => {
                let reason = format!("SIP;cause={};text=\"{}\"", status.get(), why.replace(['"', '\\'], "'"));
                self.respond_to(desk, now, side, id, status, vec![(Cow::Borrowed("Reason"), reason)], None);
                format!("refused with {}: {why}", status.get())
            }
        };
        self.journal.step(Step::Transfer { by: by.to_owned(), to: named, outcome });
    }

    /// What this peer's transfers come to: the target's say, or the trunk's for a party at the PBX.
    fn policy_of(&self, side: Side) -> Transfer {
        match (side, self.target()) {
            (Side::B, Some(target)) => target.transfer,
            _ => self.trunk.config.transfer,
        }
    }

    fn transfer_here(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        id: RequestId,
        request: &Message,
    ) -> Result<String, Refusal> {
        if self.state != State::Up || self.referrals.pending.is_some() || self.referrals.departing.is_some() {
            return Err((StatusCode::REQUEST_PENDING, "another change of the call is in progress".to_owned()));
        }
        let mut values = request.elements(HeaderName::ReferTo);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err((StatusCode::BAD_REQUEST, "there has to be exactly one Refer-To".to_owned()));
        };
        let to = ReferTo::parse(value).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let destination =
            destination::resolve(&self.policy, &self.trunk, &to).map_err(|why| (StatusCode::NOT_FOUND, why))?;
        let formats = self
            .formats_towards(side, destination.takes.as_deref())
            .map_err(|end| (StatusCode::NOT_ACCEPTABLE_HERE, end.text()))?;
        let Some(leg) = self.leg(side).map(|leg| leg.id) else {
            return Err((StatusCode::NO_SUCH_TRANSACTION, "the leg is gone".to_owned()));
        };
        let again = self.referrals.asked.get(side.index()).copied().unwrap_or_default();
        let referrer = Referrer::of(leg, request, again);
        if let Some(asked) = self.referrals.asked.get_mut(side.index()) {
            *asked = true;
        }
        self.respond_to(desk, now, side, id, StatusCode::ACCEPTED, referrer.headers(), None);
        let headers = context_of(&self.id.to_string(), &to, request);
        let outcome = format!("calling {}", destination.name);
        self.call_instead(desk, now, side, (destination, formats, headers), Some(referrer));
        Ok(outcome)
    }

    /// Calls the new party.
    fn call_instead(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        side: Side,
        (to, formats, headers): (Destination, Vec<Format>, Headers),
        mut referrer: Option<Referrer>,
    ) {
        if let Some(referrer) = &mut referrer {
            referrer.tell(desk, now, StatusCode::TRYING.get(), StatusCode::TRYING.reason());
        }
        let mut leg = Leg::new(LegId(0), Phase::Outgoing, desk.entropy.next_u64() >> 1);
        leg.offered.clone_from(&formats);
        leg.formats = formats;
        leg.takes.clone_from(&to.takes);
        leg.media_address = to.media_address;
        leg.signalling = to.address();
        let body = self.in_place(side, &mut leg, |call| call.describe(desk, side, Direction::SendRecv, Kind::Offer));
        // Whom the new party will talk to: the caller, or for a caller's replacement whoever was called.
        let wish = &self.numbers.wish;
        let talks_to = match side {
            Side::B if wish.number => identity::ANONYMOUS,
            Side::B => self.numbers.caller_key(),
            Side::A => self.numbers.called_key(),
        };
        let name = self.numbers.caller_name.as_deref().filter(|_| side == Side::B && !wish.name);
        let invite = Invite {
            to: format!("<{}>", to.request_uri),
            request_uri: to.request_uri.clone(),
            hop: to.hop.clone(),
            from: self.sender_for(desk, talks_to, name),
            contact_user: "trunkline".to_owned(),
            max_forwards: self.request.max_forwards().unwrap_or(70).saturating_sub(1),
            headers,
            body,
        };
        leg.id = desk.endpoint.invite_by(now, invite, to.path.clone(), &to.terms);
        desk.legs.insert(leg.id, self.key);
        self.journal.moment(now, Lane::Trunkline, to.lane, "INVITE", Some(to.request_uri.clone()));
        let ring = Some(desk.timers.insert(now + RING, (self.key, CallTimer::Transfer)));
        self.referrals.pending = Some(Pending { side, leg, to, referrer, ring, orphaned: false });
    }

    /// What a new party at `side` is offered: what the other one speaks now, so that nobody else has to change.
    fn formats_towards(&self, side: Side, takes: Option<&[String]>) -> Result<Vec<Format>, Termination> {
        let other = self.leg(side.other()).ok_or_else(|| Termination::new(Cause::Internal))?;
        let spoken: Vec<String> = other.formats.first().map(|format| format.encoding.clone()).into_iter().collect();
        let in_use = negotiate::restrict(&other.formats, Some(&spoken));
        let formats = match negotiate::for_target(&in_use, takes) {
            formats if formats.is_empty() => negotiate::for_target(&other.formats, takes),
            formats => formats,
        };
        if formats.is_empty() {
            return Err(Termination::with_detail(Cause::NoUsableMedia, "no codec in common with the new party"));
        }
        Ok(formats)
    }

    /// Does something as if this leg stood at `side` already.
    fn in_place<T>(&mut self, side: Side, leg: &mut Leg, work: impl FnOnce(&mut Self) -> T) -> T {
        let Some(there) = self.leg_mut(side) else { return work(self) };
        std::mem::swap(there, leg);
        let done = work(self);
        if let Some(there) = self.leg_mut(side) {
            std::mem::swap(there, leg);
        }
        done
    }

    // --- what becomes of it

    /// Takes an event of a leg that is neither A nor B; `false` if it is none of a transfer's.
    pub(super) fn on_transfer_leg(&mut self, desk: &mut Desk, now: Instant, leg: LegId, notice: &Notice) -> bool {
        if let Some(departing) = self.referrals.departing.take_if(|departing| departing.leg.id == leg) {
            match notice.happened {
                Happened::HungUp => self.released.push(leg),
                _ => self.referrals.departing = Some(departing),
            }
            return true;
        }
        let Some(lane) = self.referrals.pending.as_ref().filter(|one| one.leg.id == leg).map(|one| one.to.lane) else {
            return false;
        };
        let status = notice.message.as_ref().filter(|message| !message.is_request());
        let what = status
            .map_or_else(|| "no response".to_owned(), |message| format!("{} {}", notice.status, message.reason()));
        self.journal.moment(now, lane, Lane::Trunkline, what, None);
        match notice.happened {
            Happened::Progress => {
                if let Some(referrer) = self.referrals.pending.as_mut().and_then(|one| one.referrer.as_mut()) {
                    let reason = status.map(Message::reason).unwrap_or_default();
                    referrer.tell(desk, now, notice.status, &reason);
                }
            }
            Happened::Answered => self.take_new_party(desk, now, notice.message.as_ref()),
            Happened::Refused | Happened::Unanswered | Happened::HungUp => {
                self.released.push(leg);
                // A BYE before the answer has no status, and silence no phrase.
                let code = StatusCode::new(notice.status).unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
                let heard = status.map_or(Cow::Borrowed(code.reason()), Message::reason);
                self.transfer_failed(desk, now, code.get(), &heard);
            }
            _ => {}
        }
        true
    }

    /// The new party answered.
    fn take_new_party(&mut self, desk: &mut Desk, now: Instant, message: Option<&Message>) {
        let Some(mut pending) = self.referrals.pending.take() else { return };
        silence(desk, &mut pending.ring);
        let _ = desk.endpoint.acknowledge(now, pending.leg.id, None);
        self.journal.moment(now, Lane::Trunkline, pending.to.lane, "ACK", None);
        pending.leg.phase = Phase::Up;
        let described = message.map_or(Ok(None), |answer| negotiation::description(answer, Cause::TargetBadAnswer));
        let usable = described.ok().flatten().filter(|answer| answer.usable_audio().is_ok()).and_then(|answer| {
            self.refuse_loop(desk, &answer, Cause::TargetBadAnswer).ok()?;
            let settled = negotiation::settle(&pending.leg.offered, &answer)?;
            Some((answer, settled))
        });
        let Some((answer, (formats, theirs))) = usable else {
            let (leg, lane) = (pending.leg, pending.to.lane);
            let spare = Leg::new(leg.id, Phase::Released, 0);
            self.let_go(desk, now, leg, lane, "SIP;cause=488;text=\"no usable answer\"");
            self.referrals.pending = Some(Pending { leg: spare, ..pending });
            return self.transfer_failed(desk, now, 488, StatusCode::NOT_ACCEPTABLE_HERE.reason());
        };
        pending.leg.formats = formats;
        pending.leg.theirs = theirs;
        pending.leg.remote = Some(answer);
        self.join(desk, now, pending);
    }

    fn join(&mut self, desk: &mut Desk, now: Instant, pending: Pending) {
        let Pending { side, leg, to, referrer, orphaned, .. } = pending;
        let old_lane = self.lane(side);
        let Some(old) = self.put(desk, now, side, leg) else { return };
        if side == Side::B {
            self.attempt = Attempt::Transferred { lane: to.lane };
        }
        self.adjust(desk, now, side);
        let by = if side == Side::A { "a" } else { "b" };
        let outcome = "joined".to_owned();
        self.journal.step(Step::Transfer { by: by.to_owned(), to: to.name, outcome });
        if orphaned {
            self.released.push(old.id);
            return;
        }
        let told = referrer.and_then(|mut referrer| referrer.tell(desk, now, 200, StatusCode::OK.reason()));
        match told {
            // It is hung up once it knows: a BYE that overtakes the good news looks like a failure.
            Some(told) => self.referrals.departing = Some(Departing { leg: old, lane: old_lane, told }),
            None => self.let_go(desk, now, old, old_lane, "Q.850;cause=16;text=\"transferred\""),
        }
    }

    /// Puts a leg into the place of another, which comes back.
    fn put(&mut self, desk: &mut Desk, now: Instant, side: Side, leg: Leg) -> Option<Leg> {
        self.abandon_exchange(desk, now, side);
        if side == Side::B {
            self.target_slot = None;
            if self.hold != Hold::None {
                desk.outputs.push_back(Output::Report(room::Report::Ended(self.id.clone())));
                self.hold = Hold::None;
                self.journal.record_mut().state = CallState::Connected;
            }
        }
        self.leg_mut(side).map(|there| std::mem::replace(there, leg))
    }

    /// Turns the relay to the new party and ends a hold or a fax that the old one began.
    fn adjust(&mut self, desk: &mut Desk, now: Instant, side: Side) {
        if let Some(relay) = &self.relay {
            relay.command(RelayCommand::Reset(side));
        }
        self.configure_relay();
        self.watch_media();
        self.note_media(side);
        let other = side.other();
        let astray = self
            .leg(other)
            .is_some_and(|leg| leg.is_fax() || matches!(leg.direction(), Direction::RecvOnly | Direction::Inactive));
        if astray || self.behind.is_some_and(|behind| behind.side == other) {
            self.align(desk, now, other);
        }
    }

    /// The new party cannot be had: who asked is told and stays, or the other one is looked after if it is gone.
    fn transfer_failed(&mut self, desk: &mut Desk, now: Instant, status: u16, reason: &str) {
        let Some(mut pending) = self.referrals.pending.take() else { return };
        silence(desk, &mut pending.ring);
        let outcome = format!("failed: {status} {reason}").trim_end().to_owned();
        let by = if pending.side == Side::A { "a" } else { "b" };
        let to = pending.to.name.clone();
        self.journal.step(Step::Transfer { by: by.to_owned(), to: to.clone(), outcome: outcome.clone() });
        if let Some(mut referrer) = pending.referrer {
            referrer.tell(desk, now, status, reason);
        }
        if pending.orphaned {
            let end = Termination::with_detail(Cause::TransferFailed, format!("{to}: {outcome}"));
            match pending.side {
                Side::A => self.end(desk, now, end, EndedBy::Gateway),
                // Who left was the fallback: there is no other.
                Side::B if matches!(self.attempt, Attempt::Fallback { .. }) => {
                    self.end(desk, now, end, EndedBy::Gateway);
                }
                Side::B => self.divert_or_end(desk, now, end),
            }
        }
    }

    /// The new party has rung for long enough.
    pub(super) fn transfer_rang_out(&mut self, desk: &mut Desk, now: Instant) {
        let Some(pending) = self.referrals.pending.as_mut() else { return };
        pending.ring = None;
        let (id, lane) = (pending.leg.id, pending.to.lane);
        let _ = desk.endpoint.cancel(now, id, Headers::new());
        self.journal.moment(now, Lane::Trunkline, lane, "CANCEL", None);
        self.released.push(id);
        self.transfer_failed(desk, now, 408, StatusCode::REQUEST_TIMEOUT.reason());
    }

    /// The party that asked hangs up before the new one is there, as many PBXs do: the call goes on without it.
    pub(super) fn orphan(&mut self, side: Side) -> bool {
        let Some(pending) = self.referrals.pending.as_mut().filter(|pending| pending.side == side) else {
            return false;
        };
        pending.orphaned = true;
        pending.referrer = None;
        if let Some(relay) = &self.relay {
            relay.command(RelayCommand::Reset(side));
        }
        true
    }

    /// Does the call go on without this leg, because another is on its way to take its place?
    pub(super) fn outlives(&self, leg: LegId) -> bool {
        let orphaned = self.referrals.orphaned();
        orphaned.is_some() && self.side_of(leg) == orphaned
    }

    /// The call ends: so does every transfer of it.
    pub(super) fn end_transfers(&mut self, desk: &mut Desk, now: Instant, reason: &str) {
        if let Some(mut pending) = self.referrals.pending.take() {
            silence(desk, &mut pending.ring);
            if let Some(mut referrer) = pending.referrer {
                referrer.tell(desk, now, 487, StatusCode::REQUEST_TERMINATED.reason());
            }
            self.let_go(desk, now, pending.leg, pending.to.lane, reason);
        }
        if let Some(departing) = self.referrals.departing.take() {
            self.let_go(desk, now, departing.leg, departing.lane, reason);
        }
    }

    /// What came of a NOTIFY or REFER of ours.
    pub(super) fn on_transfer_reply(&mut self, desk: &mut Desk, now: Instant, sent: SentId, answer: &Answer) {
        if let Some(departing) = self.referrals.departing.take_if(|departing| departing.told == sent) {
            return self.let_go(desk, now, departing.leg, departing.lane, "Q.850;cause=16;text=\"transferred\"");
        }
        if let Some(referrer) = self.referrals.pending.as_mut().and_then(|pending| pending.referrer.as_mut()) {
            referrer.heard(sent, answer.status);
        }
        self.on_passed_reply(desk, now, sent, answer);
    }
}

/// What the new INVITE carries besides numbers: who referred, which dialog it replaces, and the context that the
/// referrer wrote on the REFER or into its `Refer-To` (`x-` headers and User-to-User, RFC 7433).
fn context_of(call_id: &str, to: &ReferTo, request: &Message) -> Headers {
    let mut headers: Headers = vec![(Cow::Borrowed("x-trunkline-call"), call_id.to_owned())];
    if let Some(replaces) = &to.replaces {
        headers.push((Cow::Borrowed("Replaces"), replaces.to_string()));
    }
    if let Some(by) = request.text(HeaderName::ReferredBy) {
        headers.push((Cow::Borrowed("Referred-By"), by.into_owned()));
    }
    let written = request.headers().map(|(name, _, value)| {
        (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value).trim().to_owned())
    });
    let carried = written.chain(to.headers.iter().cloned()).filter(|(name, value)| {
        let known = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
        let ours = name.to_ascii_lowercase().starts_with("x-trunkline-");
        (known && !ours || name.eq_ignore_ascii_case("User-to-User"))
            && value.len() <= LONGEST_CONTEXT
            && crate::sip::header::is_token(name.as_bytes())
            && !value.chars().any(char::is_control)
    });
    headers.extend(carried.take(MOST_CONTEXT).map(|(name, value)| (Cow::Owned(name), value)));
    headers
}
