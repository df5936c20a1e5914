//! The sessions of the two legs: which offer leg B gets from leg A's, which answer leg A gets from leg B's, and what
//! the relay has to know. Every description is built from negotiated state by one function of `sdp` (never edited).

use super::desk::Desk;
use super::leg::Leg;
use super::state::Call;
use crate::error::{Cause, Termination};
use crate::media::{Flow, PayloadMap, RelayCommand, Side, SideConfig, Timeouts};
use crate::record::Step;
use crate::sdp::{self, Description, Direction, Format, LocalAudio, negotiate};
use crate::sip::endpoint::Body;
use crate::sip::{HeaderName, Message};
use std::net::{IpAddr, SocketAddr};

/// The media type of a session description.
const APPLICATION_SDP: &str = "application/sdp";

/// Reads the session description of a message, if it carries one.
///
/// # Errors
/// `fault` with the place of the problem, when there is a description that cannot be used.
pub(super) fn description(message: &Message, fault: Cause) -> Result<Option<Description>, Termination> {
    if message.body().is_empty() {
        return Ok(None);
    }
    let content_type = message.value(HeaderName::ContentType).unwrap_or(APPLICATION_SDP.as_bytes());
    let Some(body) = sdp::body::find(content_type, message.body()) else {
        return Ok(None);
    };
    Description::parse(body).map(Some).map_err(|error| Termination::with_detail(fault, error.to_string()))
}

/// Refuses a description that wants its audio at one of our own ports: it would go round in this machine for ever.
///
/// # Errors
/// `fault`, with the address.
pub(super) fn refuse_loop(desk: &Desk, described: &Description, fault: Cause) -> Result<(), Termination> {
    let Some((audio, address)) = described.audio().and_then(|audio| Some((audio, audio.address?))) else {
        return Ok(());
    };
    let rtcp = audio.rtcp.unwrap_or(SocketAddr::new(address, audio.port));
    let own = [SocketAddr::new(address, audio.port), rtcp]
        .into_iter()
        .find(|wanted| wanted.ip() == desk.settings.media_address && desk.plane.is_ours(wanted.port()));
    match own {
        Some(own) => Err(Termination::with_detail(fault, format!("it names {own}, a media port of this gateway"))),
        None => Ok(()),
    }
}

/// The formats of a description's audio, or why there are none.
pub(super) fn audio_formats(description: &Description) -> Result<Vec<Format>, Termination> {
    match description.usable_audio() {
        Ok(audio) => Ok(audio.formats.clone()),
        Err(why) => Err(Termination::with_detail(Cause::NoUsableMedia, why.to_string())),
    }
}

/// What an answer settles on a leg that was offered `ours`: our numbers for what we receive, the peer's for what we
/// send. `None` if the answer has no codec of the offer.
pub(super) fn settle(ours: &[Format], answer: &Description) -> Option<(Vec<Format>, Vec<Format>)> {
    let theirs = negotiate::restrict(&answer.audio()?.formats, None);
    let formats = negotiate::for_caller(ours, &theirs);
    (!formats.is_empty()).then_some((formats, theirs))
}

/// Wraps a description that we built.
pub(super) fn body(bytes: bytes::Bytes) -> Body {
    Body { content_type: APPLICATION_SDP, bytes }
}

impl Call {
    /// The description for `side`: an answer to what its peer offered, or an offer of ours.
    pub fn describe(&mut self, desk: &Desk, side: Side, direction: Direction, kind: Kind<'_>) -> Option<Body> {
        let port = self.relay.as_ref()?.port(side);
        let ptime = self.ptime(side.other());
        let leg = self.leg_mut(side)?;
        let local = LocalAudio {
            address: desk.settings.media_address.to_string(),
            port,
            formats: leg.formats.clone(),
            direction,
            ptime,
        };
        let bytes = match kind {
            Kind::Offer => sdp::build::offer(&mut leg.origin, &local),
            Kind::Answer(to) => sdp::build::answer(&mut leg.origin, to, &local),
        };
        Some(body(bytes))
    }

    /// What packet length the peer of `side` asked for, milliseconds.
    fn ptime(&self, side: Side) -> Option<u32> {
        self.leg(side)?.remote.as_ref()?.audio()?.ptime
    }

    /// The offer for a new leg B: what the PBX offered, or a general one if it made no offer.
    ///
    /// # Errors
    /// [`Cause::NoUsableMedia`] when nothing is left that the far side takes.
    pub fn formats_for(&self, takes: Option<&[String]>) -> Result<Vec<Format>, Termination> {
        let formats = match (&self.a.remote, self.answered()) {
            // Once answered, only what is in use may be offered: leg A is not asked again, and what it sends is the
            // first codec of its answer. Another one is a fallback's last resort.
            (_, true) if !self.a.formats.is_empty() => {
                let spoken: Vec<String> =
                    self.a.formats.first().map(|format| format.encoding.clone()).into_iter().collect();
                let in_use = negotiate::restrict(&self.a.formats, Some(&spoken));
                match negotiate::for_target(&in_use, takes) {
                    formats if formats.is_empty() => negotiate::for_target(&self.a.formats, takes),
                    formats => formats,
                }
            }
            (Some(description), _) => {
                let offered = audio_formats(description)?;
                let allowed = negotiate::for_target(&offered, self.a.takes.as_deref());
                negotiate::for_target(&allowed, takes)
            }
            (None, _) => negotiate::generic_offer(takes),
        };
        if formats.is_empty() {
            let detail =
                format!("no codec in common with {}", takes.map_or_else(String::new, |takes| takes.join(", ")));
            return Err(Termination::with_detail(Cause::NoUsableMedia, detail));
        }
        Ok(formats)
    }

    /// Takes what leg B described in a provisional or final response.
    ///
    /// # Errors
    /// [`Cause::TargetBadAnswer`] when it cannot be used.
    pub fn take_from_b(&mut self, answer: Description) -> Result<(), Termination> {
        let Some(b) = self.b.as_mut() else { return Err(Termination::new(Cause::Internal)) };
        if let Err(why) = answer.usable_audio() {
            return Err(Termination::with_detail(Cause::TargetBadAnswer, why.to_string()));
        }
        let Some((formats, theirs)) = settle(&b.offered, &answer) else {
            return Err(Termination::with_detail(Cause::TargetBadAnswer, "the answer has no codec of the offer"));
        };
        b.formats = formats;
        b.theirs = theirs;
        b.remote = Some(answer);
        Ok(())
    }

    /// Settles leg A's formats from leg B's choice, and builds what leg A gets.
    pub fn describe_for_a(&mut self, desk: &Desk) -> Option<Body> {
        let b = self.b.as_ref()?;
        let far = b.direction();
        let offer = self.a.remote.clone();
        match &offer {
            Some(offer) => {
                let offered = offer.audio().map(|audio| audio.formats.clone()).unwrap_or_default();
                self.a.formats = negotiate::for_caller(&offered, &b.formats);
                self.a.theirs.clone_from(&self.a.formats);
                let direction = negotiate::answer_direction(self.a.direction(), far);
                self.describe(desk, Side::A, direction, Kind::Answer(offer))
            }
            None => {
                self.a.formats.clone_from(&b.formats);
                self.describe(desk, Side::A, far, Kind::Offer)
            }
        }
    }

    /// Takes leg A's answer to the offer of our 200, from its ACK.
    ///
    /// # Errors
    /// [`Cause::NoUsableMedia`] when there is none or it has no codec in common.
    pub fn take_answer_of_a(&mut self, answer: Option<Description>) -> Result<(), Termination> {
        let Some(answer) = answer else {
            return Err(Termination::with_detail(Cause::NoUsableMedia, "the ACK carries no answer to our offer"));
        };
        audio_formats(&answer)?;
        let Some((formats, theirs)) = settle(&self.a.formats, &answer) else {
            return Err(Termination::with_detail(Cause::NoUsableMedia, "the answer has no codec of our offer"));
        };
        self.a.formats = formats;
        self.a.theirs = theirs;
        self.a.remote = Some(answer);
        Ok(())
    }

    /// Tells the relay what both legs negotiated.
    pub fn configure_relay(&self) {
        let (Some(relay), Some(b)) = (&self.relay, &self.b) else { return };
        for (side, leg, other) in [(Side::A, &self.a, b), (Side::B, b, &self.a)] {
            relay.command(RelayCommand::Configure { side, config: side_config(leg, other) });
        }
    }

    /// Starts the silence clocks.
    pub fn watch_media(&self) {
        let media = &self.policy.config.media;
        if let Some(relay) = &self.relay {
            relay.command(RelayCommand::Watch(Timeouts {
                initial: media.timeout_initial.get(),
                ongoing: media.timeout.get(),
                held: media.timeout_hold.get(),
            }));
        }
    }

    /// Notes what a leg negotiated.
    pub fn note_media(&mut self, side: Side) {
        let Some(leg) = self.leg(side) else { return };
        let codecs = leg.formats.iter().map(|f| format!("{} {}/{}", f.payload_type, f.encoding, f.clock)).collect();
        let audio = leg.remote.as_ref().and_then(Description::audio);
        let note = audio.map(|audio| format!("peer at {}:{}", audio.host, audio.port));
        let leg = if side == Side::A { "a" } else { "b" }.to_owned();
        self.journal.step(Step::Media { leg, codecs, note });
    }
}

/// Whether a description answers one of the peer's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// It is an offer.
    Offer,
    /// It answers this.
    Answer(&'a Description),
}

/// What the relay has to know of one side.
fn side_config(leg: &Leg, other: &Leg) -> SideConfig {
    let audio = leg.remote.as_ref().and_then(Description::audio);
    // An address of zeros is the old way to hold (RFC 3264 §8.4): nothing is sent there.
    let address = audio.and_then(|audio| audio.address).filter(|address| !address.is_unspecified());
    let remote = audio.zip(address).map(|(audio, address)| SocketAddr::new(address, audio.port));
    let direction = leg.direction();
    let flow = |open: bool| if open { Flow::Open } else { Flow::Held };
    SideConfig {
        remote,
        remote_rtcp: audio.and_then(|audio| audio.rtcp),
        may_come_from: leg.signalling.into_iter().collect::<Vec<IpAddr>>(),
        payload_map: payload_map(leg, other),
        send: flow(matches!(direction, Direction::SendRecv | Direction::RecvOnly)),
        receive: flow(matches!(direction, Direction::SendRecv | Direction::SendOnly)),
    }
}

/// Payload types from `leg` to `other`. A peer that sends with its own numbers instead of ours is understood as long
/// as that is unambiguous.
fn payload_map(leg: &Leg, other: &Leg) -> PayloadMap {
    let mut map = negotiate::payload_map(&leg.formats, &other.theirs);
    let own = negotiate::payload_map(&leg.theirs, &other.theirs);
    for (slot, lenient) in map.iter_mut().zip(own.iter()) {
        *slot = slot.or(*lenient);
    }
    PayloadMap(map)
}
