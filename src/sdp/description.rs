//! A received session description: its bytes, its lines, and what they mean for a call. Reading is one pass and refuses
//! only what is no description at all; everything odd but recognisable is kept and, where it matters, explained.

use super::image::Image;
use super::line::{Line, Lines, text, words};
use super::media::{Audio, Media, Section, Unusable};
use bytes::Bytes;

/// A description as received.
#[derive(Debug, Clone)]
pub struct Description {
    bytes: Bytes,
    media: Vec<Media>,
    audio: Result<Audio, Unusable>,
    image: Option<Image>,
}

/// The body is no session description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \"{text}\" is not SDP: {remedy}")]
pub struct SdpError {
    /// The first line with anything on it, from 1.
    pub line: usize,
    /// That line, shortened.
    pub text: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Longest piece of a foreign line that an error shows.
const SHOWN: usize = 60;

// === impl Description ===

impl Description {
    /// Reads a body.
    ///
    /// # Errors
    /// [`SdpError`] if not one line is a `v=`, `o=` or `m=` line.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if !Lines::of(body).any(|line| matches!(line.kind(), Some(b'v' | b'o' | b'm'))) {
            return Err(SdpError::about(body));
        }
        let mut session = Section::default();
        let mut origin = None;
        let mut media: Vec<Media> = Vec::new();
        // What belongs to the stream that the call uses; other streams need no reading beyond their m= line.
        let mut own = Section::default();
        let mut chosen: Option<usize> = None;
        for line in Lines::of(body) {
            match line.kind() {
                Some(b'm') => {
                    let next = Media::parse(media.len(), &line);
                    if chosen.is_none() && next.unusable.is_none() {
                        chosen = Some(next.index);
                    }
                    media.push(next);
                }
                Some(b'o') if origin.is_none() => origin = Some(line.value()),
                _ if media.is_empty() => session.read(&line),
                _ if chosen.is_some_and(|index| index + 1 == media.len()) => own.read(&line),
                _ => {}
            }
        }
        let audio = match chosen.and_then(|index| media.get(index)) {
            Some(stream) => Ok(Audio::build(stream, &own, &session, origin.filter(has_address))),
            None => Err(why_unusable(&media)),
        };
        let image = Image::find(body, &media);
        Ok(Self { bytes: Bytes::copy_from_slice(body), media, audio, image })
    }

    /// The bytes as received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The lines as received; their text and endings together are [`Self::bytes`].
    #[must_use]
    pub fn lines(&self) -> Lines<'_> {
        Lines::of(&self.bytes)
    }

    /// The media sections in order.
    #[must_use]
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// The audio stream for the call: the first that is switched on and plain RTP.
    #[must_use]
    pub fn audio(&self) -> Option<&Audio> {
        self.audio.as_ref().ok()
    }

    /// The fax stream (T.38 over UDPTL), if there is one that is switched on.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        self.image.as_ref()
    }

    /// Does it want the call to go over to fax: fax is on and audio is not?
    #[must_use]
    pub fn is_fax(&self) -> bool {
        self.audio.is_err() && self.image.is_some()
    }

    /// Does it switch its audio off by port 0, with nothing in its place (RFC 3264 §8.2)?
    #[must_use]
    pub fn is_switched_off(&self) -> bool {
        self.image.is_none() && matches!(self.audio, Err(Unusable::Disabled))
    }

    /// Does it say the same as `other`? Everything but the `o=` line counts: its version should tell, but there are
    /// peers that raise it without a change, and peers that change without raising it.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let meant = |line: &Line<'_>| line.kind() != Some(b'o') && !line.text.trim_ascii().is_empty();
        self.lines().filter(meant).map(|line| line.text).eq(other.lines().filter(meant).map(|line| line.text))
    }

    /// The audio stream, or why there is none.
    ///
    /// # Errors
    /// [`Unusable`], in words fit for a decision record and the reason of a 488.
    pub fn usable_audio(&self) -> Result<&Audio, &Unusable> {
        self.audio.as_ref()
    }
}

// === impl SdpError ===

impl SdpError {
    fn about(body: &[u8]) -> Self {
        let first = Lines::of(body).find(|line| !line.text.trim_ascii().is_empty());
        let Line { number, text: line, .. } = first.unwrap_or(Line { number: 1, text: b"", ending: b"" });
        let remedy = if line.is_empty() {
            "the body is empty; send a description, or no Content-Type"
        } else {
            "no v=, o= or m= line in the whole body; send application/sdp as RFC 8866 has it"
        };
        Self { line: number, text: text(line).chars().take(SHOWN).collect(), remedy }
    }
}

/// `o=<user> <id> <version> IN IP4 <address>`: only a line with all its words can stand in for `c=`.
fn has_address(origin: &&[u8]) -> bool {
    words(origin).count() >= 6
}

/// The most telling reason: an encrypted offer before one that is off, and that before one without any audio.
fn why_unusable(media: &[Media]) -> Unusable {
    let weight = |reason: &Unusable| match reason {
        Unusable::Profile(_) => 0,
        Unusable::Malformed { .. } => 1,
        Unusable::Disabled => 2,
        Unusable::NoAudio(_) | Unusable::NoMedia => 3,
    };
    media.iter().filter_map(|stream| stream.unusable.clone()).min_by_key(weight).unwrap_or(Unusable::NoMedia)
}

#[cfg(test)]
#[path = "description_tests.rs"]
mod tests;
