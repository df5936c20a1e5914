//! A target that makes the offer itself (`offer = "late"`): its INVITE carries none, its 2xx or a reliable provisional
//! response brings one, and our ACK or PRACK answers it (RFC 3261 §13.2.1, RFC 3262 §5). Apart from the answer of a target
//! that was offered something, because here the caller's answer may have to come before ours.

use super::desk::Desk;
use super::exchange::Far;
use super::leg::Phase;
use super::negotiation;
use super::state::Call;
use crate::error::{Cause, Termination};
use crate::media::Side;
use crate::record::Lane;
use crate::sdp::{Description, Format, negotiate};
use crate::sip::endpoint::Body;
use crate::sip::{HeaderName, Message};
use std::time::Instant;

/// What is known of the offer that the peer of a leg makes.
#[derive(Debug, Default)]
pub struct Late {
    /// The early dialogs, by To tag, whose offer was answered in a PRACK.
    settled: Vec<Vec<u8>>,
    /// Its 2xx waits for the ACK until the caller's answer is there.
    owed: bool,
}

impl Call {
    /// Is leg B's peer the one that offers?
    pub fn is_late(&self) -> bool {
        self.b.as_ref().is_some_and(|b| b.late.is_some())
    }

    /// 2xx of leg B: what it describes is taken, and it gets its ACK, with our answer if the offer is the peer's.
    pub fn take_and_acknowledge(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        message: Option<&Message>,
    ) -> Result<(), Termination> {
        if !self.is_late() || self.is_settled(message) {
            self.acknowledge(desk, now, Side::B);
            return self.take_answer(desk, message);
        }
        match self.take_answer(desk, message) {
            Ok(()) if self.caller_answers_first() => {
                if let Some(late) = self.b.as_mut().and_then(|b| b.late.as_mut()) {
                    late.owed = true;
                }
                Ok(())
            }
            Ok(()) => {
                let answer = self.answer_to_b(desk);
                self.acknowledge_with(desk, now, answer);
                Ok(())
            }
            Err(end) => {
                let offer = message.map_or(Ok(None), |it| negotiation::description(it, Cause::TargetBadAnswer));
                let refusal = offer.ok().flatten().and_then(|offer| self.refuse_offer_of_b(desk, &offer));
                self.acknowledge_with(desk, now, refusal);
                Err(end)
            }
        }
    }

    /// The caller's ACK brought the answer to the offer that was leg B's: it goes on to leg B, in what both can.
    ///
    /// # Errors
    /// [`Cause::NoUsableMedia`] when nothing is left of the offer.
    pub fn pass_late_answer(&mut self, desk: &mut Desk, now: Instant) -> Result<(), Termination> {
        let Some(b) = self.b.as_mut().filter(|b| b.late.as_ref().is_some_and(|late| late.owed)) else {
            self.reconcile(desk, now, Side::B);
            return Ok(());
        };
        let Some(offer) = b.remote.clone() else { return Ok(()) };
        b.formats = answered(&offer, &self.a.formats);
        b.theirs.clone_from(&b.formats);
        if b.formats.is_empty() {
            let detail = "the answer has no codec of the target's offer";
            return Err(Termination::with_detail(Cause::NoUsableMedia, detail));
        }
        let answer = self.answer_to_b(desk);
        self.acknowledge_with(desk, now, answer);
        Ok(())
    }

    /// The call ends, or leg B is left, before its 2xx got the ACK: its offer is turned down there, or the peer would be
    /// left with an offer without an answer.
    pub fn turn_down(&mut self, desk: &mut Desk, now: Instant) {
        if self.b.as_ref().is_some_and(|b| b.late.as_ref().is_some_and(|late| late.owed)) {
            let offer = self.b.as_ref().and_then(|b| b.remote.clone());
            let refusal = offer.and_then(|offer| self.refuse_offer_of_b(desk, &offer));
            self.acknowledge_with(desk, now, refusal);
        }
    }

    /// A provisional response of a leg B that offers: whether there is something for the caller to hear. Only a reliable
    /// one makes an offer, which the PRACK answers.
    ///
    /// # Errors
    /// [`Cause::TargetBadAnswer`] when the offer cannot be used; it is turned down already.
    pub fn take_early_offer(
        &mut self,
        desk: &mut Desk,
        now: Instant,
        tag: &[u8],
        message: &Message,
    ) -> Result<bool, Termination> {
        let Some(id) = self.b.as_ref().map(|b| b.id) else { return Ok(false) };
        let described = negotiation::description(message, Cause::TargetBadAnswer).ok().flatten();
        if !is_reliable(message) {
            // A preview, if anything: a 2xx without description may mean it.
            if let Some(description) = described.filter(|it| it.usable_audio().is_ok()) {
                self.early.note(tag, &description);
            }
            return Ok(false);
        }
        let Some(offer) = described.filter(|_| !self.is_settled(Some(message))) else {
            if !message.body().is_empty() {
                let _ = desk.endpoint.prack(now, id, message, None);
            }
            return Ok(false);
        };
        let taken = self
            .refuse_loop(desk, &offer, Cause::TargetBadAnswer)
            .and_then(|()| self.take_from_b(offer.clone()))
            .map(|()| self.answer_to_b(desk));
        let (answer, end) = match taken {
            Ok(answer) => (answer, None),
            Err(end) => (self.refuse_offer_of_b(desk, &offer), Some(end)),
        };
        let _ = desk.endpoint.prack(now, id, message, answer.as_ref());
        let lane = self.lane(Side::B);
        self.journal.moment(now, Lane::Trunkline, lane, "PRACK", None);
        if let Some(late) = self.b.as_mut().and_then(|b| b.late.as_mut()) {
            late.settled.push(tag.to_vec());
        }
        self.early.note(tag, &offer);
        self.early.agree();
        end.map_or(Ok(true), Err)
    }

    /// What an offer of leg B's peer settles: its own formats as far as the caller has them.
    pub fn settle_offer_of_b(&self, offer: &Description) -> Option<(Vec<Format>, Vec<Format>)> {
        let b = self.b.as_ref()?;
        let formats = if self.caller_answers_first() {
            // The caller has said nothing yet: all of it, as far as the configuration has it.
            let theirs = negotiate::restrict(&offer.audio()?.formats, b.takes.as_deref());
            negotiate::restrict(&theirs, self.a.takes.as_deref())
        } else if self.offerless && self.a.remote.is_some() {
            answered(offer, &self.a.formats)
        } else {
            answered(offer, &b.offered)
        };
        (!formats.is_empty()).then(|| (formats.clone(), formats))
    }

    /// Has the offer of the dialog that this belongs to been answered in a PRACK?
    fn is_settled(&self, message: Option<&Message>) -> bool {
        let tag = message.and_then(Message::to_tag).unwrap_or_default();
        let late = self.b.as_ref().and_then(|b| b.late.as_ref());
        late.is_some_and(|late| late.settled.iter().any(|known| known == tag))
    }

    /// A caller without offer gets leg B's in its 200, and its ACK has the answer for both. One that rings on, or was
    /// offered something before, is not waited for.
    fn caller_answers_first(&self) -> bool {
        self.offerless
            && self.a.remote.is_none()
            && !self.answered()
            && !self.rings_until_met()
            && !self.early.is_given()
            && self
                .b
                .as_ref()
                .is_some_and(|b| b.phase == Phase::Up && b.late.as_ref().is_some_and(|late| late.settled.is_empty()))
    }

    /// The answer to the offer that leg B has made.
    fn answer_to_b(&mut self, desk: &Desk) -> Option<Body> {
        let offer = self.b.as_ref()?.remote.clone()?;
        let far = Far::Audio(self.a.direction());
        self.describe_answer(desk, Side::B, &offer, &far)
    }

    /// The answer that takes nothing of an offer: each stream with port 0 (RFC 3264 §6).
    fn refuse_offer_of_b(&mut self, desk: &Desk, offer: &Description) -> Option<Body> {
        self.b.as_mut()?.formats.clear();
        self.describe_answer(desk, Side::B, offer, &Far::Audio(self.a.direction()))
    }

    fn acknowledge_with(&mut self, desk: &mut Desk, now: Instant, body: Option<Body>) {
        let lane = self.lane(Side::B);
        let Some(b) = self.b.as_mut() else { return };
        if let Some(late) = b.late.as_mut() {
            late.owed = false;
        }
        let detail = body.as_ref().map(|_| "with our answer to its offer".to_owned());
        if desk.endpoint.acknowledge(now, b.id, body).is_ok() {
            self.journal.moment(now, Lane::Trunkline, lane, "ACK", detail);
        }
    }
}

/// Does this response want a PRACK (RFC 3262 §4)?
pub(super) fn is_reliable(response: &Message) -> bool {
    response.lists(HeaderName::Require, "100rel") && response.value(HeaderName::RSeq).is_some()
}

/// The formats of an offer, with its numbers, that are also among `wanted`.
fn answered(offer: &Description, wanted: &[Format]) -> Vec<Format> {
    let theirs = offer.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
    negotiate::restrict(&negotiate::for_caller(&theirs, wanted), None)
}
