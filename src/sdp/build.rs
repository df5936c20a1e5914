//! Writes the descriptions that we send, always new and whole, from negotiated state. Apart and alone: no other code
//! makes SDP, so an address or a version that is wrong in one answer cannot be right in another.

use super::description::Description;
use super::direction::Direction;
use super::format::{Format, Role};
use bytes::Bytes;
use std::fmt::Write as _;

/// Our side of one leg's session: its `o=` line, and the streams that were ever spoken of. One per leg, as long as the
/// leg lives.
#[derive(Debug, Clone)]
pub struct Origin {
    id: u64,
    version: u64,
    last: Option<Bytes>,
    /// What was sent before that, as long as it may be gone back to.
    before: Option<Bytes>,
    slots: Vec<Slot>,
}

/// The audio stream as we offer or answer it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalAudio {
    /// The address or host name that peers see; with a colon in it, it is IPv6.
    pub address: String,
    /// Our RTP port; RTCP is the next one.
    pub port: u16,
    /// The formats, in order of preference.
    pub formats: Vec<Format>,
    /// What we do on this stream, seen by us.
    pub direction: Direction,
    /// Packet time in ms, if known.
    pub ptime: Option<u32>,
    /// Longest packet time in ms, if known.
    pub maxptime: Option<u32>,
}

/// The fax stream (T.38 over UDPTL) as we offer or answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// The address or host name that peers see; with a colon in it, it is IPv6.
    pub address: String,
    /// Our UDPTL port.
    pub port: u16,
    /// Its attributes, `name` or `name:value`, in order: what the other leg's terminal said of itself.
    pub attributes: Vec<String>,
}

/// What the call's stream carries.
#[derive(Clone, Copy)]
enum Content<'a> {
    Audio(&'a LocalAudio),
    Image(&'a LocalImage),
}

/// What stands at one place among the `m=` lines. RFC 3264 §8: a place once taken is never given up.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// The call's audio, with its profile.
    Audio(String),
    /// The call's fax.
    Image,
    /// A stream that was refused: kind, protocol and formats as the other side wrote them.
    Closed { kind: String, protocol: String, formats: String },
}

// === impl Origin ===

impl Origin {
    /// A session with this number. Only 63 bits are used: several stacks read it into a signed integer.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self { id: id & i64::MAX.unsigned_abs(), version: 1, last: None, before: None, slots: Vec::new() }
    }

    /// The session number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The version of what was sent last.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What was sent last: the answer to a re-INVITE that changes nothing, the offer for one without an offer.
    #[must_use]
    pub fn last(&self) -> Option<&Bytes> {
        self.last.as_ref()
    }

    /// Writes the description; a change since the last one raises the version by one (RFC 3264 §8).
    fn publish(&mut self, content: Content<'_>) -> Bytes {
        let unchanged = compose(self, content);
        let bytes = match &self.last {
            Some(last) if last.as_ref() == unchanged.as_bytes() => last.clone(),
            Some(_) => {
                self.version = self.version.saturating_add(1);
                Bytes::from(compose(self, content))
            }
            None => Bytes::from(unchanged),
        };
        if self.last.as_ref() != Some(&bytes) {
            self.before = self.last.replace(bytes.clone());
        }
        bytes
    }

    /// What was sent last was an offer, and it was refused: what was sent before holds (RFC 3261 §14.1). Its version is
    /// not used again.
    pub fn take_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.last = Some(before);
        }
    }

    /// Gives the call's stream its place: the one it has, a refused one of its kind, or a new one. RFC 3264 §8.3.3 has
    /// voice and fax change within one place.
    fn place(&mut self, stream: Slot) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| matches!(slot, Slot::Audio(_) | Slot::Image)) {
            if std::mem::discriminant(slot) != std::mem::discriminant(&stream) {
                *slot = stream;
            }
            return;
        }
        // RFC 3264 §8.1: a refused place may be taken again.
        match self.slots.iter_mut().find(|slot| slot.is_closed_audio()) {
            Some(slot) => *slot = stream,
            None => self.slots.push(stream),
        }
    }

    /// The places of an answer to `to`: the stream at `taken` as `stream`, all others refused.
    fn mirror(&mut self, to: &Description, taken: Option<usize>, stream: &Slot) {
        self.slots = to
            .media()
            .iter()
            .map(|media| {
                if taken == Some(media.index) {
                    return match stream {
                        Slot::Audio(_) => Slot::Audio(media.protocol.clone()),
                        other => other.clone(),
                    };
                }
                Slot::Closed {
                    kind: token(&media.kind, "audio"),
                    protocol: token(&media.protocol, "RTP/AVP"),
                    formats: token(&media.formats.join(" "), "0"),
                }
            })
            .collect();
    }
}

/// An offer on this leg. Streams that were refused before stay where they were, refused.
pub fn offer(origin: &mut Origin, audio: &LocalAudio) -> Bytes {
    origin.place(Slot::Audio("RTP/AVP".to_owned()));
    origin.publish(Content::Audio(audio))
}

/// An offer to go over to fax on this leg.
pub fn offer_image(origin: &mut Origin, image: &LocalImage) -> Bytes {
    origin.place(Slot::Image);
    origin.publish(Content::Image(image))
}

/// An answer to `to`: as many `m=` lines in the same order (RFC 3264 §6). The first usable audio is taken, everything
/// else refused with port 0; with no formats in `audio`, that is refused too.
pub fn answer(origin: &mut Origin, to: &Description, audio: &LocalAudio) -> Bytes {
    let taken = to.audio().map(|stream| stream.index).filter(|_| !audio.formats.is_empty());
    origin.mirror(to, taken, &Slot::Audio(String::new()));
    origin.publish(Content::Audio(audio))
}

/// An answer that takes the fax of `to` and nothing else.
pub fn answer_image(origin: &mut Origin, to: &Description, image: &LocalImage) -> Bytes {
    origin.mirror(to, to.image().map(|stream| stream.index), &Slot::Image);
    origin.publish(Content::Image(image))
}

// === impl Slot ===

impl Slot {
    fn is_closed_audio(&self) -> bool {
        matches!(self, Self::Closed { kind, .. } if kind.eq_ignore_ascii_case("audio"))
    }
}

fn compose(origin: &Origin, content: Content<'_>) -> String {
    let address = match content {
        Content::Audio(audio) => &audio.address,
        Content::Image(image) => &image.address,
    };
    let host = token(address.trim_matches(['[', ']']), "0.0.0.0");
    let family = if host.contains(':') { "IP6" } else { "IP4" };
    let mut out = String::with_capacity(512);
    let Origin { id, version, slots, .. } = origin;
    // Writing to a String cannot fail.
    let _ = write!(out, "v=0\r\no=- {id} {version} IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n");
    for slot in slots {
        match (slot, content) {
            (Slot::Audio(protocol), Content::Audio(audio)) => {
                write_audio(&mut out, &token(protocol, "RTP/AVP"), audio);
            }
            (Slot::Image, Content::Image(image)) => write_image(&mut out, image),
            // Places follow the content; one that does not is a stream that is off.
            (Slot::Audio(protocol), Content::Image(_)) => {
                let _ = write!(out, "m=audio 0 {} 0\r\n", token(protocol, "RTP/AVP"));
            }
            (Slot::Image, Content::Audio(_)) => out.push_str("m=image 0 udptl t38\r\n"),
            (Slot::Closed { kind, protocol, formats }, _) => {
                let _ = write!(out, "m={kind} 0 {protocol} {formats}\r\n");
            }
        }
    }
    out
}

fn write_audio(out: &mut String, protocol: &str, audio: &LocalAudio) {
    if audio.formats.is_empty() {
        let _ = write!(out, "m=audio 0 {protocol} 0\r\n");
        return;
    }
    let _ = write!(out, "m=audio {} {protocol}", audio.port);
    for format in &audio.formats {
        let _ = write!(out, " {}", format.payload_type);
    }
    out.push_str("\r\n");
    for format in &audio.formats {
        let number = format.payload_type;
        let _ = write!(out, "a=rtpmap:{number} {}\r\n", token(&format.to_string(), "x/8000"));
        // RFC 4733 §2.4.1: who lists no events means 0 to 15.
        let default = (format.role() == Role::Event).then_some("0-15");
        if let Some(fmtp) = format.fmtp.as_deref().or(default) {
            let _ = write!(out, "a=fmtp:{number} {}\r\n", token(fmtp, "-"));
        }
    }
    if let Some(ptime) = audio.ptime {
        let _ = write!(out, "a=ptime:{ptime}\r\n");
    }
    if let Some(maxptime) = audio.maxptime {
        let _ = write!(out, "a=maxptime:{maxptime}\r\n");
    }
    let _ = write!(out, "a={}\r\n", audio.direction.as_str());
}

fn write_image(out: &mut String, image: &LocalImage) {
    let _ = write!(out, "m=image {} udptl t38\r\n", image.port);
    for attribute in &image.attributes {
        let _ = write!(out, "a={}\r\n", token(attribute, "T38FaxVersion:0"));
    }
}

/// A value fit for a line: a control character, above all a line break, must not begin a line of somebody else's.
fn token(value: &str, otherwise: &str) -> String {
    let clean: String = value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let clean = clean.trim();
    if clean.is_empty() { otherwise.to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
