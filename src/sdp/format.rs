//! One media format of an audio stream: payload type, encoding, clock, channels and parameters. Apart because both
//! reading and negotiating turn on when two formats are the same codec, and that must be decided in one place.

use std::fmt;

/// A format as a description lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Format {
    /// RTP payload type, 0..=127.
    pub payload_type: u8,
    /// Encoding name as written; compare with [`Format::is`] (names have no case, RFC 4855 §3).
    pub encoding: String,
    /// RTP clock rate in Hz, as written.
    pub clock: u32,
    /// Channels, 1 when nothing is said.
    pub channels: u8,
    /// The value of `a=fmtp`, behind the payload type, as written.
    pub fmtp: Option<String>,
}

/// What a format carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Speech: what a call needs one of.
    Voice,
    /// Key presses and tones (RFC 4733).
    Event,
    /// Comfort noise (RFC 3389).
    Noise,
    /// Redundancy or repair of other formats, by their payload types inside the payload (RFC 2198, 5109, 4588): cannot
    /// be relayed once payload types differ per leg, so it is never negotiated.
    Wrapper,
}

/// Static payload types of RFC 3551 §6 that need no `a=rtpmap`.
const STATIC: [(u8, &str, u32, u8); 17] = [
    (0, "PCMU", 8000, 1),
    (3, "GSM", 8000, 1),
    (4, "G723", 8000, 1),
    (5, "DVI4", 8000, 1),
    (6, "DVI4", 16000, 1),
    (7, "LPC", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (10, "L16", 44100, 2),
    (11, "L16", 44100, 1),
    (12, "QCELP", 8000, 1),
    (13, "CN", 8000, 1),
    (14, "MPA", 90000, 1),
    (15, "G728", 8000, 1),
    (16, "DVI4", 11025, 1),
    (17, "DVI4", 22050, 1),
    (18, "G729", 8000, 1),
];

/// Parameters that make two formats of one encoding different on the wire: AMR (RFC 4867), iLBC (RFC 3952),
/// G.722.1 and its relatives (RFC 5577), AAC (RFC 6416).
const SHAPING: [&str; 7] = ["octet-align", "crc", "robust-sorting", "interleaving", "mode", "bitrate", "config"];

// === impl Format ===

impl Format {
    /// One channel, no parameters.
    #[must_use]
    pub fn new(payload_type: u8, encoding: &str, clock: u32) -> Self {
        Self { payload_type: payload_type & 0x7f, encoding: encoding.to_owned(), clock, channels: 1, fmtp: None }
    }

    /// The format that a static payload type means by itself.
    #[must_use]
    pub fn of_static(payload_type: u8) -> Option<Self> {
        let (number, encoding, clock, channels) = STATIC.into_iter().find(|entry| entry.0 == payload_type)?;
        Some(Self { channels, ..Self::new(number, encoding, clock) })
    }

    /// The same with parameters.
    #[must_use]
    pub fn with_fmtp(self, fmtp: &str) -> Self {
        Self { fmtp: Some(fmtp.to_owned()), ..self }
    }

    /// Has it this encoding name, in any case?
    #[must_use]
    pub fn is(&self, encoding: &str) -> bool {
        self.encoding.eq_ignore_ascii_case(encoding)
    }

    /// What it carries.
    #[must_use]
    pub fn role(&self) -> Role {
        let name = self.encoding.to_ascii_lowercase();
        match name.as_str() {
            "telephone-event" | "tone" => Role::Event,
            "cn" => Role::Noise,
            "red" | "rtx" | "ulpfec" | "parityfec" | "flexfec" => Role::Wrapper,
            _ => Role::Voice,
        }
    }

    /// The clock rate that its RTP time stamps run at.
    ///
    /// RFC 3551 §4.5.2: G722 samples at 16 kHz but its clock is 8000 by decree; some stacks write 16000.
    #[must_use]
    pub fn effective_clock(&self) -> u32 {
        if self.is("G722") { 8000 } else { self.clock }
    }

    /// Channels as they count for comparing: RFC 7587 §7 has opus always write 2, and some stacks forget it.
    fn effective_channels(&self) -> u8 {
        if self.is("opus") { 2 } else { self.channels }
    }

    /// Same encoding, clock and channels; payload type and parameters do not matter.
    #[must_use]
    pub fn same_codec(&self, other: &Self) -> bool {
        self.is(&other.encoding)
            && self.effective_clock() == other.effective_clock()
            && self.effective_channels() == other.effective_channels()
    }

    /// Do the parameters describe the same bits on the wire? Only those that shape the payload count.
    #[must_use]
    pub fn same_shape(&self, other: &Self) -> bool {
        SHAPING.iter().all(|name| self.parameter(name) == other.parameter(name))
    }

    /// The static payload type that means this codec, if there is one.
    #[must_use]
    pub fn static_number(&self) -> Option<u8> {
        STATIC
            .into_iter()
            .find(|(_, encoding, clock, channels)| {
                self.is(encoding) && self.effective_clock() == *clock && self.channels == *channels
            })
            .map(|entry| entry.0)
    }

    /// The value of one `name=value` of its parameters, blanks around both ignored; `0` counts as not given, which is
    /// what the flags of RFC 4867 default to.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.as_deref()?.split(';').find_map(|pair| {
            let (found, value) = pair.split_once('=')?;
            (found.trim().eq_ignore_ascii_case(name) && value.trim() != "0").then_some(value.trim())
        })
    }
}

/// As `a=rtpmap` has it: `opus/48000/2`.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.encoding, self.clock)?;
        if self.channels > 1 { write!(f, "/{}", self.channels) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_channels_default_to_one() {
        let written = Format { channels: 1, ..Format::new(8, "pcma", 8000) };
        assert!(written.same_codec(&Format::of_static(8).unwrap()));
        assert_eq!(written.static_number(), Some(8));
    }

    #[test]
    fn g722_at_16000_is_the_same_codec_as_at_8000() {
        assert!(Format::new(99, "G722", 16000).same_codec(&Format::new(9, "g722", 8000)));
    }

    #[test]
    fn channels_tell_codecs_apart_except_for_opus_which_always_has_two() {
        let stereo = |name: &str, clock| Format { channels: 2, ..Format::new(111, name, clock) };
        assert!(!stereo("L16", 44100).same_codec(&Format::new(11, "L16", 44100)));
        assert!(stereo("opus", 48000).same_codec(&Format::new(111, "opus", 48000)));
        assert_eq!(stereo("opus", 48000).to_string(), "opus/48000/2");
    }

    #[test]
    fn amr_packings_differ_in_shape_but_opus_preferences_do_not() {
        let aligned = Format::new(96, "AMR", 8000).with_fmtp("mode-set=7; octet-align=1");
        let efficient = Format::new(97, "AMR", 8000).with_fmtp("octet-align=0");
        assert!(!aligned.same_shape(&efficient));
        assert!(efficient.same_shape(&Format::new(98, "AMR", 8000)));
        let opus = Format::new(111, "opus", 48000);
        assert!(opus.clone().with_fmtp("useinbandfec=1").same_shape(&opus));
    }
}
