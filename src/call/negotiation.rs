//! The sessions of the two legs: which offer leg B gets from leg A's, which answer leg A gets from leg B's, and what
//! the relay has to know. Every description is built from negotiated state by one function of `sdp` (never edited).

use super::desk::Desk;
use super::exchange::Far;
use super::leg::Leg;
use super::state::{Call, Proposal};
use super::{Policy, refusal};
use crate::config::trunk::T38;
use crate::error::{Cause, Termination};
use crate::media::{Flow, PayloadMap, Relay, RelayCommand, Side, SideConfig, Timeouts, Traffic};
use crate::record::Step;
use crate::sdp::body::{Found, Wrapping};
use crate::sdp::{self, Description, Direction, Format, LocalAudio, LocalImage, negotiate};
use crate::sip::endpoint::Body;
use crate::sip::{HeaderName, Message, Method};
use std::net::{IpAddr, SocketAddr};

/// The media type of a session description.
const APPLICATION_SDP: &str = "application/sdp";

/// Reads the session description of a message, if it carries one. In a request a body that has to be understood must be;
/// whatever else a response or an ACK carries, there is nobody to complain to.
///
/// # Errors
/// `fault` with the place of the problem, when there is a description that cannot be used, and what a 415 is for.
pub(super) fn description(message: &Message, fault: Cause) -> Result<Option<Description>, Termination> {
    let value = |name| message.value(name).unwrap_or_default();
    let wrapping = Wrapping {
        content_type: value(HeaderName::ContentType),
        disposition: value(HeaderName::ContentDisposition),
        encoding: value(HeaderName::ContentEncoding),
    };
    let refusable = message.is_request() && message.method() != Method::Ack;
    match sdp::body::find(wrapping, message.body()) {
        Found::Description(body) => {
            Description::parse(body).map(Some).map_err(|error| Termination::with_detail(fault, error.to_string()))
        }
        Found::UnknownType(kind) if refusable => Err(Termination::with_detail(Cause::UnknownBody, kind)),
        Found::UnknownEncoding(kind) if refusable => Err(Termination::with_detail(Cause::UnknownEncoding, kind)),
        Found::Nothing | Found::UnknownType(_) | Found::UnknownEncoding(_) => Ok(None),
    }
}

/// Refuses a description that wants its audio at a port of its own call's relay, at any address that is `ours`: it would go round in this machine for
/// ever. A port of another call is no loop: a PBX that joins two calls with direct media says just that.
///
/// # Errors
/// `fault`, with the address.
pub(super) fn refuse_loop(
    relay: &Relay,
    ours: &[Option<IpAddr>],
    described: &Description,
    fault: Cause,
) -> Result<(), Termination> {
    let Some((audio, address)) = described.audio().and_then(|audio| Some((audio, audio.address?))) else {
        return Ok(());
    };
    let rtcp = audio.rtcp.unwrap_or(SocketAddr::new(address, audio.port));
    let is_own = |port: u16| [Side::A, Side::B].into_iter().any(|side| relay.port(side) / 2 == port / 2);
    let own = [SocketAddr::new(address, audio.port), rtcp]
        .into_iter()
        .find(|wanted| ours.contains(&Some(wanted.ip())) && is_own(wanted.port()));
    match own {
        Some(own) => Err(Termination::with_detail(fault, format!("it names {own}, a media port of this very call"))),
        None => Ok(()),
    }
}

/// The formats of a description's audio, or why there are none.
pub(super) fn audio_formats(description: &Description) -> Result<Vec<Format>, Termination> {
    match description.usable_audio() {
        Ok(audio) => Ok(audio.formats.clone()),
        Err(why) => Err(refusal::no_media(why)),
    }
}

/// Can our media sockets reach the address of a description's stream?
///
/// # Errors
/// [`Cause::NoUsableMedia`] when its family is not ours.
pub(super) fn in_reach(policy: &Policy, media: IpAddr, offer: &Description) -> Result<(), Termination> {
    let bound = policy.config.media.bind.unwrap_or(media);
    let audio = offer.audio().and_then(|audio| audio.address);
    let Some(theirs) = audio.or_else(|| offer.image().and_then(|image| image.address)) else { return Ok(()) };
    // `[::]` speaks both.
    let both = bound.is_ipv6() && (bound.is_unspecified() || policy.config.media.bind.is_none());
    if both || bound.is_ipv4() == theirs.is_ipv4() {
        return Ok(());
    }
    let (family, remedy) = if theirs.is_ipv6() { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
    let detail = format!("media at an {family} address, and `bind` of [media] is {remedy} only");
    Err(Termination::with_detail(Cause::NoUsableMedia, detail).warning(301))
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
    /// As [`refuse_loop`], for a description of a call under way.
    pub fn refuse_loop(&self, desk: &Desk, described: &Description, fault: Cause) -> Result<(), Termination> {
        let own = |leg: &Leg| leg.media_address;
        let ours = [Some(desk.settings.media_address), own(&self.a), self.b.as_ref().and_then(own)];
        self.relay.as_ref().map_or(Ok(()), |relay| refuse_loop(relay, &ours, described, fault))
    }

    /// The description for `side`: an answer to what its peer offered, or an offer of ours.
    pub fn describe(&mut self, desk: &Desk, side: Side, direction: Direction, kind: Kind<'_>) -> Option<Body> {
        let formats = self.leg(side)?.formats.clone();
        let (ptime, maxptime) = self.leg(side.other()).map_or((None, None), |leg| pace(leg.remote.as_ref()));
        self.write(desk, side, Proposal::Audio { formats, direction, ptime, maxptime }, kind)
    }

    /// The offer of a change to `side`; what is in use stays until the answer says otherwise.
    pub fn describe_proposal(&mut self, desk: &Desk, side: Side, proposal: &Proposal) -> Option<Body> {
        self.write(desk, side, proposal.clone(), Kind::Offer)
    }

    /// The answer to an offer of `side`, given what the other leg does.
    pub fn describe_answer(&mut self, desk: &Desk, side: Side, offer: &Description, far: &Far) -> Option<Body> {
        match far {
            Far::Audio(far) => {
                let direction = offer.audio().map_or(*far, |audio| negotiate::answer_direction(audio.direction, *far));
                self.describe(desk, side, direction, Kind::Answer(offer))
            }
            Far::Fax(attributes) => {
                self.write(desk, side, Proposal::Fax { attributes: attributes.clone() }, Kind::Answer(offer))
            }
        }
    }

    fn write(&mut self, desk: &Desk, side: Side, content: Proposal, kind: Kind<'_>) -> Option<Body> {
        let port = self.relay.as_ref()?.port(side);
        let leg = self.leg_mut(side)?;
        let address = leg.media_address.unwrap_or(desk.settings.media_address).to_string();
        let bytes = match content {
            Proposal::Audio { formats, direction, ptime, maxptime } => {
                leg.bind(&formats);
                let audio = LocalAudio { address, port, formats, direction, ptime, maxptime };
                match kind {
                    Kind::Offer => sdp::build::offer(&mut leg.origin, &audio),
                    Kind::Answer(to) => sdp::build::answer(&mut leg.origin, to, &audio),
                }
            }
            Proposal::Fax { attributes } => {
                let image = LocalImage { address, port, attributes };
                match kind {
                    Kind::Offer => sdp::build::offer_image(&mut leg.origin, &image),
                    Kind::Answer(to) => sdp::build::answer_image(&mut leg.origin, to, &image),
                }
            }
        };
        Some(body(bytes))
    }

    /// What the other leg is offered for a change of `side`.
    ///
    /// # Errors
    /// [`Cause::NoUsableMedia`] when nothing is left that it could be offered.
    pub fn plan_change(&self, desk: &Desk, side: Side, offered: Option<&Description>) -> Result<Proposal, Termination> {
        let (Some(asking), Some(other)) = (self.leg(side), self.leg(side.other())) else {
            return Err(Termination::new(Cause::Internal));
        };
        let Some(offered) = offered else {
            let (ptime, maxptime) = pace(asking.remote.as_ref());
            let formats = other.formats.clone();
            return Ok(Proposal::Audio { formats, direction: Direction::SendRecv, ptime, maxptime });
        };
        in_reach(&self.policy, desk.settings.media_address, offered)?;
        if offered.is_fax() {
            return self.plan_fax(offered);
        }
        if offered.is_switched_off() {
            // A hold that some PBXs prefer to a direction; the other side hears of it in the common words.
            let (formats, direction) = (other.formats.clone(), Direction::Inactive);
            return Ok(Proposal::Audio { formats, direction, ptime: None, maxptime: None });
        }
        let allowed = negotiate::restrict(&audio_formats(offered)?, asking.takes.as_deref());
        let formats = negotiate::for_target_within(&allowed, other.takes.as_deref(), &other.bound);
        if formats.is_empty() {
            return Err(refusal::no_codec("no codec in common with the other side"));
        }
        let direction = offered.audio().map(|audio| audio.direction).unwrap_or_default();
        let (ptime, maxptime) = pace(Some(offered));
        Ok(Proposal::Audio { formats, direction, ptime, maxptime })
    }

    fn plan_fax(&self, offered: &Description) -> Result<Proposal, Termination> {
        match (self.trunk.config.t38, offered.image()) {
            (T38::Pass, Some(image)) => Ok(Proposal::Fax { attributes: image.attributes.clone() }),
            _ => {
                let detail = format!("fax over T.38 is refused for trunk {}; audio stays", self.trunk.config.name);
                Err(Termination::with_detail(Cause::NoUsableMedia, detail).warning(304))
            }
        }
    }

    /// Takes what `side` answered to a proposal; `None` if it cannot be used, and then nothing changes.
    pub fn settle_change(&mut self, side: Side, proposal: &Proposal, answer: Description) -> Option<Far> {
        let leg = self.leg_mut(side)?;
        let far = match proposal {
            Proposal::Audio { formats, .. } => {
                let far = answer.audio().map(|audio| audio.direction)?;
                (leg.formats, leg.theirs) = settle(formats, &answer)?;
                Far::Audio(far)
            }
            Proposal::Fax { .. } => Far::Fax(answer.image().filter(|_| answer.is_fax())?.attributes.clone()),
        };
        leg.remote = Some(answer);
        Some(far)
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
            return Err(refusal::no_codec(detail));
        }
        Ok(formats)
    }

    /// Takes what leg B described in a provisional or final response.
    ///
    /// # Errors
    /// [`Cause::TargetBadAnswer`] when it cannot be used.
    pub fn take_from_b(&mut self, answer: Description) -> Result<(), Termination> {
        let Some(b) = &self.b else { return Err(Termination::new(Cause::Internal)) };
        if let Err(why) = answer.usable_audio() {
            return Err(Termination::with_detail(Cause::TargetBadAnswer, why.to_string()));
        }
        let (settled, lacking) = if b.late.is_some() {
            (self.settle_offer_of_b(&answer), "the target's offer has no codec of the caller's")
        } else {
            (settle(&b.offered, &answer), "the answer has no codec of the offer")
        };
        let (Some((formats, theirs)), Some(b)) = (settled, self.b.as_mut()) else {
            return Err(Termination::with_detail(Cause::TargetBadAnswer, lacking));
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

    /// Tells the relay what both legs negotiated; leg A alone while there is no leg B.
    pub fn configure_relay(&self) {
        let Some(relay) = &self.relay else { return };
        let Some(b) = &self.b else {
            let config = SideConfig { payload_map: PayloadMap::closed(), ..side_config(&self.a, &self.a) };
            relay.command(RelayCommand::Configure { side: Side::A, config });
            return;
        };
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

/// Packet time and longest packet time of a description, in milliseconds.
fn pace(description: Option<&Description>) -> (Option<u32>, Option<u32>) {
    let audio = description.and_then(Description::audio);
    (audio.and_then(|audio| audio.ptime), audio.and_then(|audio| audio.maxptime))
}

/// What the relay has to know of one side.
fn side_config(leg: &Leg, other: &Leg) -> SideConfig {
    let may_come_from = leg.signalling.into_iter().collect::<Vec<IpAddr>>();
    if let Some(image) = leg.remote.as_ref().filter(|remote| remote.is_fax()).and_then(Description::image) {
        return SideConfig {
            remote: image.address.map(|address| SocketAddr::new(address, image.port)),
            remote_rtcp: None,
            may_come_from,
            payload_map: PayloadMap::closed(),
            send: Flow::Open,
            receive: Flow::Open,
            traffic: Traffic::Opaque,
        };
    }
    let audio = leg.remote.as_ref().and_then(Description::audio);
    // An address of zeros is the old way to hold (RFC 3264 §8.4): nothing is sent there.
    let address = audio.and_then(|audio| audio.address).filter(|address| !address.is_unspecified());
    let remote = audio.zip(address).map(|(audio, address)| SocketAddr::new(address, audio.port));
    let direction = leg.direction();
    let flow = |open: bool| if open { Flow::Open } else { Flow::Held };
    SideConfig {
        remote,
        remote_rtcp: audio.and_then(|audio| audio.rtcp),
        may_come_from,
        payload_map: payload_map(leg, other),
        send: flow(matches!(direction, Direction::SendRecv | Direction::RecvOnly)),
        receive: flow(matches!(direction, Direction::SendRecv | Direction::SendOnly)),
        traffic: Traffic::Rtp,
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
