//! The ringback tone that a caller hears whom we answered before the far side did: by country, as RTP packets of 20 ms.
//! Apart from the worker because it is arithmetic: the same calls give the same packets, so every tone is a test.

use std::f64::consts::TAU;
use std::time::Duration;

/// What a tone is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Its frequencies in Hz, sounded together; 0 for none.
    pub frequencies: [u16; 2],
    /// How long it sounds and rests, in ms, over and over; pairs of zero are none.
    pub cadence: [(u16, u16); 2],
}

/// The codecs that a tone can be written in without a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// G.711 µ-law, 8000 Hz.
    Pcmu,
    /// G.711 A-law, 8000 Hz.
    Pcma,
    /// RFC 3551 §4.5.11: 16 bits, network byte order, one channel, at this rate.
    L16(u32),
}

/// What a relay is told to play.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The tone.
    pub plan: Plan,
    /// How it is written.
    pub coding: Coding,
    /// Payload type that the peer knows this codec by.
    pub payload_type: u8,
    /// Of the stream; random (RFC 3550 §8.1).
    pub ssrc: u32,
    /// The first sequence number; random.
    pub sequence: u16,
    /// The first timestamp; random.
    pub timestamp: u32,
    /// How long it waits for somebody to speak before it begins.
    pub after: Duration,
}

/// A tone being played.
#[derive(Debug, Clone)]
pub struct Tone {
    score: Score,
    /// Samples from the start of the cadence.
    position: u32,
    voices: [Voice; 2],
    /// Packets that are not played yet.
    waits: u32,
    started: bool,
}

/// One frequency, as the recurrence `y[n] = 2 cos(w) y[n-1] - y[n-2]`: no sine per sample.
#[derive(Debug, Clone, Copy, Default)]
struct Voice {
    coefficient: f64,
    last: f64,
    before: f64,
}

/// Time in a packet.
pub const PACKET_MS: u32 = 20;

/// The longest packet: L16 at 48 kHz.
pub const LONGEST: usize = HEADER + 48 * PACKET_MS as usize * 2;

const HEADER: usize = 12;

/// Level of each frequency: together some -13 dBm0, as E.180 has it.
const AMPLITUDE: f64 = 3_600.0;

const fn one(frequency: u16, on: u16, off: u16) -> Plan {
    Plan { frequencies: [frequency, 0], cadence: [(on, off), (0, 0)] }
}

const fn two(first: u16, second: u16, on: u16, off: u16) -> Plan {
    Plan { frequencies: [first, second], cadence: [(on, off), (0, 0)] }
}

/// Two rings and a rest, as in the countries that had British exchanges.
const fn double(first: u16, second: u16, rest: u16) -> Plan {
    Plan { frequencies: [first, second], cadence: [(400, 200), (400, rest)] }
}

/// ITU-T E.180 recommends 425 Hz, one second in five; most countries do so.
const USUAL: Plan = one(425, 1_000, 4_000);

/// The ringback tones that differ from the usual one (ITU-T E.180 Supplement 2), by ISO 3166 region.
const PLANS: &[(&[&str], Plan)] = &[
    (
        &[
            "US", "CA", "PR", "DO", "JM", "BS", "BB", "BM", "TT", "GU", "VI", "AG", "AI", "AS", "DM", "GD", "KN", "KY",
            "LC", "MP", "MS", "SX", "TC", "VC", "VG",
        ],
        two(440, 480, 2_000, 4_000),
    ),
    (&["GB", "IE", "AU", "NZ", "MT", "GG", "JE", "IM", "AE", "BH", "QA", "ZW"], double(400, 450, 2_000)),
    (&["ZA", "IN", "LK"], double(400, 0, 2_000)),
    (&["SG", "MY", "BN"], double(425, 0, 2_000)),
    (&["HK", "MO"], double(440, 480, 3_000)),
    (&["FR", "MC"], one(440, 1_500, 3_500)),
    (&["ES", "AD"], one(425, 1_500, 3_000)),
    (&["BE"], one(425, 1_000, 3_000)),
    (&["SE", "PT"], one(425, 1_000, 5_000)),
    (&["AT"], one(420, 1_000, 5_000)),
    (&["HU"], one(425, 1_250, 3_750)),
    (&["RO", "MD"], one(425, 1_850, 4_150)),
    (&["RU", "KZ"], one(425, 800, 3_200)),
    (&["TR"], one(450, 2_000, 4_000)),
    (&["IL", "CL"], one(400, 1_000, 3_000)),
    (&["CN"], one(450, 1_000, 4_000)),
    // 400 Hz, modulated with 16 Hz: that is its two side frequencies.
    (&["JP"], two(384, 416, 1_000, 2_000)),
    (&["KR", "TW"], two(440, 480, 1_000, 2_000)),
    (&["PH"], two(425, 480, 1_000, 4_000)),
    (&["TH"], one(400, 1_000, 4_000)),
    (&["AR"], one(425, 1_000, 4_500)),
];

// === impl Plan ===

impl Plan {
    /// The ringback tone of a country, by its ISO 3166 region.
    #[must_use]
    pub fn ringback(country: &str) -> Plan {
        let known = PLANS.iter().find(|(countries, _)| countries.iter().any(|one| one.eq_ignore_ascii_case(country)));
        known.map_or(USUAL, |(_, plan)| *plan)
    }

    /// Does it sound at this sample of the cadence, and has it just begun to?
    fn sounds(&self, position: u32, rate: u32) -> (bool, bool) {
        let mut start = 0;
        for (on, off) in self.cadence {
            let (on, off) = (samples(on, rate), samples(off, rate));
            if (start..start + on).contains(&position) {
                return (true, position == start);
            }
            start += on + off;
        }
        (false, false)
    }

    fn period(&self, rate: u32) -> u32 {
        self.cadence.iter().map(|(on, off)| samples(*on, rate) + samples(*off, rate)).sum()
    }
}

fn samples(milliseconds: u16, rate: u32) -> u32 {
    u32::from(milliseconds) * (rate / 1_000)
}

// === impl Coding ===

impl Coding {
    /// The coding of a codec by the name and clock of its `rtpmap`; `None` for those that need a library.
    #[must_use]
    pub fn of(encoding: &str, clock: u32) -> Option<Coding> {
        if encoding.eq_ignore_ascii_case("PCMU") && clock == 8_000 {
            Some(Self::Pcmu)
        } else if encoding.eq_ignore_ascii_case("PCMA") && clock == 8_000 {
            Some(Self::Pcma)
        } else if encoding.eq_ignore_ascii_case("L16") && matches!(clock, 8_000 | 16_000 | 24_000 | 32_000 | 48_000) {
            Some(Self::L16(clock))
        } else {
            None
        }
    }

    fn rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::L16(rate) => rate,
        }
    }
}

// === impl Tone ===

impl Tone {
    /// A tone from its beginning.
    #[must_use]
    pub fn new(score: Score) -> Self {
        let waits = u32::try_from(score.after.as_millis()).unwrap_or(u32::MAX) / PACKET_MS;
        Self { score, position: 0, voices: [Voice::default(); 2], waits, started: false }
    }

    /// Writes the next packet of 20 ms and gives back its length; 0 if it still waits, or there is no room for it.
    pub fn packet(&mut self, out: &mut [u8]) -> usize {
        if self.waits > 0 {
            self.waits -= 1;
            return 0;
        }
        let rate = self.score.coding.rate();
        let count = rate / 1_000 * PACKET_MS;
        let width = if matches!(self.score.coding, Coding::L16(_)) { 2 } else { 1 };
        let length = HEADER + count as usize * width;
        let Some((header, payload)) = out.get_mut(..length).and_then(|room| room.split_at_mut_checked(HEADER)) else {
            return 0;
        };
        self.header(header);
        for chunk in payload.chunks_exact_mut(width) {
            let sample = self.sample(rate);
            match (self.score.coding, chunk) {
                (Coding::Pcmu, [byte]) => *byte = mu_law(sample),
                (Coding::Pcma, [byte]) => *byte = a_law(sample),
                (_, chunk) => chunk.copy_from_slice(&sample.to_be_bytes()),
            }
        }
        self.score.sequence = self.score.sequence.wrapping_add(1);
        self.score.timestamp = self.score.timestamp.wrapping_add(count);
        self.started = true;
        length
    }

    /// RFC 3550 §5.1; the marker shows where a talkspurt begins (RFC 3551 §4.1).
    fn header(&self, out: &mut [u8]) {
        let Score { payload_type, ssrc, sequence, timestamp, .. } = self.score;
        let marker = if self.started { 0 } else { 0x80 };
        let fields = [0x80, marker | (payload_type & 0x7f)].into_iter().chain(sequence.to_be_bytes());
        let fields = fields.chain(timestamp.to_be_bytes()).chain(ssrc.to_be_bytes());
        for (slot, byte) in out.iter_mut().zip(fields) {
            *slot = byte;
        }
    }

    fn sample(&mut self, rate: u32) -> i16 {
        let (sounds, begins) = self.score.plan.sounds(self.position, rate);
        if begins {
            for (voice, frequency) in self.voices.iter_mut().zip(self.score.plan.frequencies) {
                *voice = Voice::new(frequency, rate);
            }
        }
        self.position = (self.position + 1) % self.score.plan.period(rate).max(1);
        if !sounds {
            return 0;
        }
        let level: f64 = self.voices.iter_mut().map(Voice::next).sum();
        // Two voices of this level are far from the ends of the scale.
        level as i16
    }
}

// === impl Voice ===

impl Voice {
    fn new(frequency: u16, rate: u32) -> Self {
        let step = TAU * f64::from(frequency) / f64::from(rate);
        Self { coefficient: 2.0 * step.cos(), last: 0.0, before: -AMPLITUDE * step.sin() }
    }

    fn next(&mut self) -> f64 {
        let now = self.coefficient * self.last - self.before;
        (self.before, self.last) = (self.last, now);
        now
    }
}

/// G.711 µ-law of a 16-bit sample.
fn mu_law(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = 24 - magnitude.leading_zeros(); // the bias makes bit 7 the lowest that can lead
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// G.711 A-law of a 16-bit sample.
fn a_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = if sample < 0 { !i32::from(sample) } else { i32::from(sample) } >> 4;
    let code = if magnitude < 16 {
        magnitude
    } else {
        let exponent = 28 - magnitude.leading_zeros();
        (exponent as i32) << 4 | (magnitude >> (exponent - 1)) & 0x0f
    };
    (sign | code as u8) ^ 0x55
}

#[cfg(test)]
#[path = "tone_tests.rs"]
mod tests;
