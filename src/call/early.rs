//! Before the far side answers: how its early dialogs look to the caller, whose media the caller hears, and the ringback
//! tone where there is none. Apart from the answer, because a target may have many early dialogs and the PBX sees one.

use super::desk::Desk;
use super::events::Notice;
use super::late;
use super::negotiation::{self, Kind};
use super::state::Call;
use super::teardown::EndedBy;
use crate::config::session::Answer;
use crate::error::Cause;
use crate::media::tone::{Coding, Plan, Score};
use crate::media::{RelayCommand, Side};
use crate::record::{CallState, Lane};
use crate::sdp::Description;
use crate::sip::endpoint::{Acknowledges, Body, Headers, RequestId};
use crate::sip::{Message, StatusCode};
use std::time::{Duration, Instant};

/// How long a far side that described its early media may be silent before the caller is played a tone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Descriptions of early dialogs that are kept; a fork to more phones than this still rings.
const MOST: usize = 16;

/// RFC 6228: an early dialog has ended, the call has not.
const EARLY_DIALOG_TERMINATED: u16 = 199;

/// What leg B's early dialogs have said so far.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// The descriptions by To tag, the latest last: that is the one that is heard.
    sessions: Vec<(Vec<u8>, Description)>,
    /// The latest came in a reliable response: it is an answer that holds, and may be changed (RFC 3311 §5.1).
    agreed: bool,
    /// It was changed since, or is being: what the final response repeats is out of date.
    pub changed: bool,
    /// Leg A was sent a description: it listens to us and plays no tone of its own.
    given: bool,
    /// Leg B was heard.
    heard: bool,
    /// Leg A was told that it rings.
    rung: bool,
    /// A tone is being played.
    pub playing: bool,
}

// === impl Early ===

impl Early {
    /// Keeps the latest description of an early dialog.
    pub fn note(&mut self, tag: &[u8], description: &Description) {
        self.sessions.retain(|(known, _)| known != tag);
        if self.sessions.len() < MOST {
            self.sessions.push((tag.to_vec(), description.clone()));
        }
    }

    /// An early dialog has ended; what is heard now, if that has changed.
    fn forget(&mut self, tag: &[u8]) -> Option<Option<Description>> {
        let position = self.sessions.iter().position(|(known, _)| known == tag)?;
        let was_last = position + 1 == self.sessions.len();
        self.sessions.remove(position);
        was_last.then(|| self.sessions.last().map(|(_, description)| description.clone()))
    }

    /// Can the session of leg B's early dialog be changed? Not while there are several.
    pub fn can_change(&self) -> bool {
        self.agreed && self.sessions.len() == 1
    }

    /// The latest description is agreed on.
    pub fn agree(&mut self) {
        self.agreed = true;
    }

    /// Was leg A sent a description?
    pub fn is_given(&self) -> bool {
        self.given
    }

    /// What the dialog that answered had described.
    pub fn of(&self, tag: &[u8]) -> Option<Description> {
        self.sessions.iter().find(|(known, _)| known == tag).map(|(_, description)| description.clone())
    }
}

// === impl Call ===

impl Call {
    /// 1xx of leg B: towards leg A while that is unanswered, with a description of ours if it brought one.
    pub fn pass_progress(&mut self, desk: &mut Desk, now: Instant, notice: &Notice) {
        let Some(status) = StatusCode::new(notice.status) else { return };
        let tag = notice.message.as_ref().and_then(Message::to_tag).unwrap_or_default().to_vec();
        if notice.status == EARLY_DIALOG_TERMINATED {
            self.early_dialog_ended(desk, &tag);
            return;
        }
        let described = match &notice.message {
            Some(message) if self.is_late() => match self.take_early_offer(desk, now, &tag, message) {
                Ok(described) => described,
                Err(end) => {
                    self.lose_b(desk, now, end);
                    return;
                }
            },
            message => message.as_ref().is_some_and(|message| self.take_preview(desk, &tag, message)),
        };
        if self.answered() {
            self.progress_of_answered(desk, described);
        } else if self.rings_until_met() {
            self.ring_once(desk, now);
        } else {
            self.tell_progress(desk, now, status, described);
        }
        if self.journal.record().state == CallState::Calling {
            self.journal.record_mut().state = CallState::Ringing;
        }
    }

    /// Reads the description of a provisional response. A broken preview does not cost the call: the answer will tell.
    fn take_preview(&mut self, desk: &Desk, tag: &[u8], message: &Message) -> bool {
        let described = negotiation::description(message, Cause::TargetBadAnswer).ok().flatten();
        let usable = described.filter(|it| self.refuse_loop(desk, it, Cause::TargetBadAnswer).is_ok());
        let Some(description) = usable.filter(|it| it.usable_audio().is_ok()) else { return false };
        self.early.note(tag, &description);
        self.early.agreed = late::is_reliable(message);
        self.take_from_b(description).is_ok()
    }

    fn tell_progress(&mut self, desk: &mut Desk, now: Instant, status: StatusCode, described: bool) {
        let body = if described { self.preview_for_a(desk) } else { self.offer_in_advance(desk) };
        if described {
            self.configure_relay();
        }
        self.early.given |= body.is_some();
        if desk.endpoint.provisional(now, self.a.id, status, None, Vec::new(), body).is_ok() {
            let what = format!("{} {}", status.get(), status.reason());
            self.journal.moment(now, Lane::Trunkline, Lane::Pbx, what, None);
        }
        match (status, described) {
            // A description promises to be heard; some far sides describe themselves and are silent.
            (_, true) => self.ring_back(desk, PATIENCE),
            (StatusCode::RINGING, false) => self.ring_back(desk, Duration::ZERO),
            _ => {}
        }
    }

    /// Leg A listens already: nothing can be told, but media of leg B, or that it rings, can be heard.
    fn progress_of_answered(&mut self, desk: &mut Desk, described: bool) {
        if self.parting.is_some() {
            return; // what plays goes on
        }
        if described {
            self.configure_relay();
        }
        self.ring_back(desk, if described { PATIENCE } else { Duration::ZERO });
    }

    /// What leg A is told of leg B's early media. Without an offer of its own it needs ours, and that needs a PRACK to
    /// bring the answer (RFC 3261 §13.2.1, RFC 3262 §5).
    fn preview_for_a(&mut self, desk: &Desk) -> Option<Body> {
        let can_offer = desk.endpoint.acknowledges(self.a.id) != Acknowledges::No && !self.early.given;
        if self.offerless && (!can_offer || self.a.remote.is_some()) {
            return None;
        }
        self.describe_for_a(desk)
    }

    /// A PBX without offer that takes only reliable responses: the first one has to bring the offer, whether leg B has
    /// said anything or not. It is what leg B was offered.
    fn offer_in_advance(&mut self, desk: &Desk) -> Option<Body> {
        let wanted = self.offerless && !self.early.given && self.a.remote.is_none();
        if !wanted || desk.endpoint.acknowledges(self.a.id) != Acknowledges::Only {
            return None;
        }
        self.a.formats = self.b.as_ref()?.offered.clone();
        let direction = self.a.direction();
        self.describe(desk, Side::A, direction, Kind::Offer)
    }

    /// 199: one of several early dialogs has ended. The PBX knows only one, and that goes on with what is left.
    fn early_dialog_ended(&mut self, desk: &mut Desk, tag: &[u8]) {
        let Some(left) = self.early.forget(tag) else { return };
        match left {
            Some(description) => {
                let _ = self.take_from_b(description);
                self.configure_relay();
            }
            None => {
                if let Some(b) = self.b.as_mut() {
                    b.remote = None;
                }
                if let Some(relay) = &self.relay {
                    relay.command(RelayCommand::Reset(Side::B));
                }
                self.early.heard = false;
                self.ring_back(desk, Duration::ZERO);
            }
        }
    }

    /// A PRACK that brings a description, or should (RFC 3262 §5).
    pub fn pracked(&mut self, desk: &mut Desk, now: Instant, id: RequestId, request: &Message) {
        let described = negotiation::description(request, Cause::BadSdp).and_then(|described| {
            described.as_ref().map_or(Ok(()), |it| self.refuse_loop(desk, it, Cause::MediaLoop))?;
            Ok(described)
        });
        if self.offerless && self.a.remote.is_none() {
            // Whatever it brings, it acknowledges.
            let _ = desk.endpoint.respond(now, id, StatusCode::OK, None, Headers::new(), None);
            match described.and_then(|answer| self.take_answer_of_a(answer)) {
                Ok(()) => self.configure_relay(),
                Err(end) => self.end(desk, now, end, EndedBy::Gateway),
            }
            return;
        }
        let kept = (self.a.remote.clone(), self.a.formats.clone(), self.a.theirs.clone());
        let offer = described.ok().flatten().filter(|offer| offer.usable_audio().is_ok());
        let answer = offer.and_then(|offer| {
            self.a.remote = Some(offer);
            self.describe_for_a(desk).filter(|_| !self.a.formats.is_empty())
        });
        let status = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_ACCEPTABLE_HERE };
        match &answer {
            Some(_) => self.configure_relay(),
            None => (self.a.remote, self.a.formats, self.a.theirs) = kept,
        }
        if desk.endpoint.respond(now, id, status, None, Headers::new(), answer).is_ok() {
            let what = format!("{} {}", status.get(), status.reason());
            self.journal.moment(now, Lane::Trunkline, Lane::Pbx, what, Some("PRACK".to_owned()));
        }
    }

    // --- the caller rings until it has met the bot

    /// Is the PBX to believe that it rings until the caller has met the bot?
    pub fn rings_until_met(&self) -> bool {
        self.trunk.config.answer == Answer::Ringing && self.hold_dropped()
    }

    /// Tells leg A once that it rings.
    pub fn ring_once(&mut self, desk: &mut Desk, now: Instant) {
        if std::mem::replace(&mut self.early.rung, true) {
            return;
        }
        let body = self.offer_in_advance(desk);
        self.early.given |= body.is_some();
        if desk.endpoint.provisional(now, self.a.id, StatusCode::RINGING, None, Vec::new(), body).is_ok() {
            let why = Some("until the caller has met the bot".to_owned());
            self.journal.moment(now, Lane::Trunkline, Lane::Pbx, "180 Ringing", why);
        }
    }

    // --- the ringback tone

    /// Plays the ringback tone of the trunk's country to leg A, if leg A listens to us and hears nobody.
    pub fn ring_back(&mut self, desk: &mut Desk, after: Duration) {
        let listens = self.answered() || self.early.given;
        if !listens || self.early.heard || self.early.playing || self.parting.is_some() {
            return;
        }
        let formats = if self.a.theirs.is_empty() { &self.a.formats } else { &self.a.theirs };
        let playable =
            formats.iter().find_map(|format| Some((Coding::of(&format.encoding, format.clock)?, format.payload_type)));
        let (Some((coding, payload_type)), Some(relay)) = (playable, &self.relay) else { return };
        let country = self.trunk.config.country.as_deref().unwrap_or(&self.policy.config.numbers.country);
        let bits = desk.entropy.next_u64().to_be_bytes();
        let [a, b, c, d, e, f, g, _] = bits;
        let score = Score {
            plan: Plan::ringback(country),
            coding,
            payload_type,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes([e, f]),
            timestamp: u32::from_be_bytes([g, a, c, e]),
            after,
        };
        relay.command(RelayCommand::Play { side: Side::A, score });
        self.early.playing = true;
    }

    /// The far side is heard: the tone has stopped by itself.
    pub fn far_side_heard(&mut self) {
        self.early.heard = true;
        self.early.playing = false;
    }

    /// The far side answered, or is another one now: the tone stops.
    pub fn stop_ringing_back(&mut self) {
        if std::mem::take(&mut self.early.playing)
            && let Some(relay) = &self.relay
        {
            relay.command(RelayCommand::Quiet(Side::A));
        }
    }

    /// A new leg B has said nothing yet. What leg A was told stays told.
    pub fn forget_early(&mut self) {
        let Early { given, rung, playing, .. } = self.early;
        self.early = Early { given, rung, playing, ..Early::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::Early;
    use crate::sdp::Description;

    fn description(port: u16) -> Description {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        Description::parse(text.as_bytes()).unwrap()
    }

    fn port(description: Option<Description>) -> Option<u16> {
        description.and_then(|description| description.audio().map(|audio| audio.port))
    }

    #[test]
    fn the_latest_early_dialog_is_heard_and_the_one_before_it_when_that_ends() {
        let mut early = Early::default();
        for (tag, port) in [(b"a", 1000), (b"b", 2000), (b"a", 3000)] {
            early.note(tag, &description(port));
        }
        assert_eq!((port(early.of(b"a")), port(early.of(b"b")), port(early.of(b"c"))), (Some(3000), Some(2000), None));
        assert_eq!(early.forget(b"c").map(port), None, "it never described itself");
        assert_eq!(early.forget(b"a").map(port), Some(Some(2000)));
        assert_eq!(early.forget(b"b").map(port), Some(None), "nobody is left");
    }

    #[test]
    fn the_end_of_a_dialog_that_is_not_heard_changes_nothing() {
        let mut early = Early::default();
        early.note(b"a", &description(1000));
        early.note(b"b", &description(2000));
        assert_eq!(early.forget(b"a").map(port), None);
        assert_eq!(port(early.of(b"b")), Some(2000));
    }
}
