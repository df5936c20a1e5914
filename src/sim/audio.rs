//! The voices of the simulation: one tone each, in G.711, that a person hears and the other side recognises packet by
//! packet. The coding is written a second time here because the simulators must not share code with what they test.

use serde::Serialize;
use std::f64::consts::TAU;

/// Samples of one packet: 20 ms at 8 kHz.
pub const FRAME: usize = 160;

/// Who is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voice {
    /// The caller at the PBX.
    Caller,
    /// Daily's hold music.
    HoldMusic,
    /// The bot in the room.
    Bot,
    /// A person at the PBX who takes the call when the bot cannot.
    Human,
}

/// A G.711 law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// PCMU.
    Mu,
    /// PCMA.
    A,
}

/// An endless tone that is handed out frame by frame.
#[derive(Debug, Clone)]
pub struct Tone {
    voice: Voice,
    law: Law,
    position: u64,
}

// === impl Voice ===

impl Voice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Caller, Self::HoldMusic, Self::Bot, Self::Human];

    /// Its tone in Hz: a multiple of 50, so that whole periods fill a frame and the tones do not leak into each other.
    #[must_use]
    pub const fn hertz(self) -> u32 {
        match self {
            Self::Caller => 600,
            Self::HoldMusic => 450,
            Self::Bot => 900,
            Self::Human => 1_200,
        }
    }

    /// The voice that speaks in a payload, if one voice clearly does.
    #[must_use]
    pub fn recognise(law: Law, payload: &[u8]) -> Option<Self> {
        let samples: Vec<f64> = payload.iter().map(|byte| f64::from(law.decode(*byte))).collect();
        let energy: f64 = samples.iter().map(|sample| sample * sample).sum();
        // Silence, comfort noise and stray packets speak for nobody.
        if samples.len() < FRAME / 4 || energy / samples.len() as f64 <= 10_000.0 {
            return None;
        }
        Self::ALL.into_iter().find(|voice| power(&samples, voice.hertz()) > 0.7 * energy)
    }
}

/// The share of the energy at `hertz` (Goertzel), in the unit of the summed squares.
fn power(samples: &[f64], hertz: u32) -> f64 {
    let omega = TAU * f64::from(hertz) / 8_000.0;
    let coefficient = 2.0 * omega.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = sample + coefficient * last - before;
        before = last;
        last = next;
    }
    2.0 * (last * last + before * before - coefficient * last * before) / samples.len() as f64
}

// === impl Law ===

impl Law {
    /// The static payload type (RFC 3551).
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The encoding name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    /// One sample to one byte (ITU-T G.711).
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_mu(sample),
            Self::A => encode_a(sample),
        }
    }

    /// One byte to one sample.
    #[must_use]
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Mu => decode_mu(byte),
            Self::A => decode_a(byte),
        }
    }
}

fn encode_mu(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    let magnitude = i32::from(sample).abs().min(32_635) + BIAS;
    let segment = (magnitude >> 8).max(0).checked_ilog2().map_or(0, |bit| bit + 1).min(7);
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((sign | (segment as i32) << 4 | mantissa) as u8)
}

fn decode_mu(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = (((i32::from(byte & 0x0f) << 3) + 0x84) << ((byte & 0x70) >> 4)) - 0x84;
    (if byte & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 { (0xd5, i32::from(sample)) } else { (0x55, -1 - i32::from(sample)) };
    let segment = (magnitude >> 8).checked_ilog2().map_or(0, |bit| bit + 1);
    let shift = if segment < 2 { 4 } else { segment + 3 };
    (((segment as i32) << 4 | (magnitude >> shift) & 0x0f) as u8) ^ sign
}

fn decode_a(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (segment, mantissa) = ((byte & 0x70) >> 4, i32::from(byte & 0x0f) << 4);
    let magnitude = match segment {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (segment - 1),
    };
    (if byte & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

// === impl Tone ===

impl Tone {
    /// `voice` in `law`, from its beginning.
    #[must_use]
    pub const fn new(voice: Voice, law: Law) -> Self {
        Self { voice, law, position: 0 }
    }

    /// Somebody else speaks.
    pub const fn say(&mut self, voice: Voice) {
        self.voice = voice;
    }

    /// The next 20 ms.
    #[must_use]
    pub fn frame(&mut self) -> Vec<u8> {
        let first = self.position;
        self.position += FRAME as u64;
        let step = TAU * f64::from(self.voice.hertz()) / 8_000.0;
        (first..self.position)
            .map(|n| self.law.encode(((n % 8_000) as f64 * step).sin().mul_add(8_000.0, 0.0) as i16))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_voice_is_recognised_in_both_laws_and_never_taken_for_another() {
        for law in [Law::Mu, Law::A] {
            for voice in Voice::ALL {
                let mut tone = Tone::new(voice, law);
                for _ in 0..60 {
                    assert_eq!(Voice::recognise(law, &tone.frame()), Some(voice));
                }
            }
        }
    }

    #[test]
    fn silence_noise_and_the_wrong_law_are_nobody() {
        assert_eq!(Voice::recognise(Law::Mu, &[0xff; FRAME]), None);
        assert_eq!(Voice::recognise(Law::A, &[0xd5; FRAME]), None);
        assert_eq!(Voice::recognise(Law::Mu, &[]), None);
        let noise: Vec<u8> = (0..FRAME as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert_eq!(Voice::recognise(Law::Mu, &noise), None);
    }

    #[test]
    fn known_values_of_both_laws() {
        // ITU-T G.711 tables: the ends of the range and the values next to zero.
        assert_eq!((Law::Mu.encode(0), Law::Mu.encode(32_767), Law::Mu.encode(-32_768)), (0xff, 0x80, 0x00));
        assert_eq!((Law::Mu.decode(0xff), Law::Mu.decode(0x80), Law::Mu.decode(0x00)), (0, 32_124, -32_124));
        assert_eq!((Law::A.encode(0), Law::A.encode(32_767), Law::A.encode(-32_768)), (0xd5, 0xaa, 0x2a));
        assert_eq!((Law::A.decode(0xd5), Law::A.decode(0xaa), Law::A.decode(0x2a)), (8, 32_256, -32_256));
    }

    #[test]
    fn coding_what_was_decoded_gives_the_same_byte() {
        for byte in 0..=255u8 {
            assert_eq!(Law::A.encode(Law::A.decode(byte)), byte);
            // 0x7f is minus zero, which comes back as plus zero.
            assert!(byte == 0x7f || Law::Mu.encode(Law::Mu.decode(byte)) == byte);
        }
    }
}
