//! `answer = "immediate"`: the caller is answered before anybody was called, in one codec, and hears the ringback tone until
//! somebody answers. Apart from the answer that follows the target's, which has a description to answer with.

use super::bridge::State;
use super::desk::Desk;
use super::leg::Phase;
use super::negotiation::Kind;
use super::state::Call;
use crate::media::Side;
use crate::media::tone::Coding;
use crate::record::Lane;
use crate::sdp::{Direction, Format, negotiate};
use std::time::{Duration, Instant};

impl Call {
    /// Answers leg A. Without a codec that the first target takes nothing is answered: the target's refusal will tell.
    pub fn answer_at_once(&mut self, desk: &mut Desk, now: Instant) {
        let takes = self.route.targets.first().and_then(|target| target.codecs.clone());
        let Ok(formats) = self.formats_for(takes.as_deref()) else { return };
        // The numbers are the caller's own (RFC 3264 §6.1); the codec is the only one that a target is offered later,
        // because nothing is transcoded.
        let offered = self.a.remote.as_ref().and_then(|offer| offer.audio()).map(|audio| audio.formats.clone());
        let formats = offered.map_or_else(|| formats.clone(), |offered| negotiate::for_caller(&offered, &formats));
        let Some(spoken) = spoken(&formats) else { return };
        self.a.formats = negotiate::restrict(&formats, Some(&[spoken]));
        let body = match self.a.remote.clone() {
            Some(offer) => {
                self.a.theirs.clone_from(&self.a.formats);
                let direction = negotiate::answer_direction(self.a.direction(), Direction::SendRecv);
                self.describe(desk, Side::A, direction, Kind::Answer(&offer))
            }
            None => self.describe(desk, Side::A, Direction::SendRecv, Kind::Offer),
        };
        if desk.endpoint.answer(now, self.a.id, Vec::new(), body).is_err() {
            return;
        }
        self.a.phase = Phase::AwaitingAck;
        self.pending = None;
        self.state = State::Diverting;
        let elapsed = self.journal.elapsed_ms(now);
        self.journal.record_mut().answered_ms = Some(elapsed);
        let why = Some("at once: `answer` of the trunk".to_owned());
        self.journal.moment(now, Lane::Trunkline, Lane::Pbx, "200 OK", why);
        self.note_media(Side::A);
        self.configure_relay();
        self.ring_back(desk, Duration::ZERO);
    }
}

/// The codec to speak: the first that a tone can be written in, else the first.
fn spoken(formats: &[Format]) -> Option<String> {
    let playable = formats.iter().find(|format| Coding::of(&format.encoding, format.clock).is_some());
    playable.or(formats.first()).map(|format| format.encoding.clone())
}
