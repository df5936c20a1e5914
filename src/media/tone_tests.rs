//! Ringback tones: what is heard, and how it is packed.

use super::*;
use rtp_rs::RtpReader;

fn score(country: &str, coding: Coding) -> Score {
    let plan = Plan::ringback(country);
    Score {
        plan,
        coding,
        payload_type: 96,
        ssrc: 0xfeed_f00d,
        sequence: 65_535,
        timestamp: u32::MAX - 100,
        after: Duration::ZERO,
    }
}

/// The samples of the first seconds of a tone.
fn listen(country: &str, seconds: usize) -> Vec<i16> {
    let mut tone = Tone::new(score(country, Coding::L16(8_000)));
    let mut buffer = [0; LONGEST];
    (0..seconds * 50)
        .flat_map(|_| {
            let length = tone.packet(&mut buffer);
            let payload = RtpReader::new(&buffer[..length]).unwrap().payload().to_vec();
            payload.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>()
        })
        .collect()
}

/// How much of a frequency is in some samples (Goertzel), 1.0 for all of it.
fn share(samples: &[i16], frequency: f64) -> f64 {
    let step = TAU * frequency / 8_000.0;
    let (mut real, mut imaginary, mut energy) = (0.0, 0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let sample = f64::from(*sample);
        real += sample * (step * at as f64).cos();
        imaginary += sample * (step * at as f64).sin();
        energy += sample * sample;
    }
    2.0 * (real * real + imaginary * imaginary) / (energy * samples.len() as f64)
}

fn sounds(samples: &[i16]) -> bool {
    samples.iter().any(|sample| *sample != 0)
}

#[test]
fn america_hears_440_and_480_hz_two_seconds_in_six() {
    let heard = listen("US", 8);
    let ring = &heard[..16_000];
    assert!((0.4..0.6).contains(&share(ring, 440.0)) && (0.4..0.6).contains(&share(ring, 480.0)));
    assert!(share(ring, 425.0) < 0.01);
    assert!(!sounds(&heard[16_000..48_000]), "four seconds of silence");
    assert!(sounds(&heard[48_000..48_100]), "and again");
}

#[test]
fn britain_hears_two_rings_and_germany_one() {
    let heard = listen("GB", 4);
    assert!(sounds(&heard[..3_200]) && !sounds(&heard[3_200..4_800]), "400 ms, 200 ms");
    assert!(sounds(&heard[4_800..8_000]) && !sounds(&heard[8_000..24_000]), "400 ms, 2 s");
    let heard = listen("DE", 5);
    assert!(share(&heard[..8_000], 425.0) > 0.98);
    assert!(!sounds(&heard[8_000..]));
}

#[test]
fn a_country_without_a_row_hears_what_most_do() {
    assert_eq!(Plan::ringback("NO"), USUAL);
    assert_eq!(Plan::ringback("us"), Plan::ringback("CA"));
}

#[test]
fn no_country_stands_in_two_rows_and_no_cadence_is_empty() {
    let mut countries: Vec<&str> = PLANS.iter().flat_map(|(countries, _)| countries.iter().copied()).collect();
    countries.sort_unstable();
    let all = countries.len();
    countries.dedup();
    assert_eq!(countries.len(), all);
    assert!(PLANS.iter().all(|(_, plan)| plan.period(8_000) >= 8_000 && plan.frequencies[0] > 0));
}

#[test]
fn packets_are_rtp_of_20_ms_with_numbers_that_run_on_over_their_ends() {
    for (coding, payload, step) in [(Coding::Pcmu, 160, 160), (Coding::Pcma, 160, 160), (Coding::L16(16_000), 640, 320)]
    {
        let mut tone = Tone::new(score("US", coding));
        let mut buffer = [0; LONGEST];
        let (mut sequences, mut timestamps, mut markers) = (vec![], vec![], vec![]);
        for _ in 0..3 {
            let length = tone.packet(&mut buffer);
            let packet = RtpReader::new(&buffer[..length]).unwrap();
            assert_eq!((packet.payload().len(), packet.payload_type(), packet.ssrc()), (payload, 96, 0xfeed_f00d));
            sequences.push(u16::from(packet.sequence_number()));
            timestamps.push(packet.timestamp());
            markers.push(packet.mark());
        }
        assert_eq!(sequences, [65_535, 0, 1]);
        assert_eq!(timestamps, [u32::MAX - 100, step - 101, 2 * step - 101]);
        assert_eq!(markers, [true, false, false]);
    }
}

#[test]
fn a_tone_that_waits_begins_after_its_wait_with_its_first_number() {
    let mut tone = Tone::new(Score { after: Duration::from_millis(60), ..score("US", Coding::Pcmu) });
    let mut buffer = [0; LONGEST];
    let lengths: Vec<usize> = (0..4).map(|_| tone.packet(&mut buffer)).collect();
    assert_eq!(lengths, [0, 0, 0, 172]);
    assert_eq!(u16::from(RtpReader::new(&buffer[..172]).unwrap().sequence_number()), 65_535);
}

#[test]
fn a_buffer_that_is_too_short_is_left_alone() {
    let mut buffer = [7; 171];
    assert_eq!(Tone::new(score("US", Coding::Pcmu)).packet(&mut buffer), 0);
    assert_eq!(buffer, [7; 171]);
}

#[test]
fn g711_is_that_of_the_standard() {
    // ITU-T G.711 tables 1 and 2: zero, both ends, and the first step of some segments.
    for (sample, byte) in [(0, 0xff), (32_767, 0x80), (-32_768, 0x00), (1_000, 0xce), (-1_000, 0x4e), (8, 0xfe)] {
        assert_eq!(mu_law(sample), byte, "mu-law of {sample}");
    }
    for (sample, byte) in [(0, 0xd5), (-1, 0x55), (32_767, 0xaa), (-32_768, 0x2a), (1_000, 0xfa), (-1_000, 0x7a)] {
        assert_eq!(a_law(sample), byte, "A-law of {sample}");
    }
}

#[test]
fn only_codecs_that_need_no_library_can_be_played() {
    assert_eq!(Coding::of("pcmu", 8_000), Some(Coding::Pcmu));
    assert_eq!(Coding::of("L16", 16_000), Some(Coding::L16(16_000)));
    assert_eq!(Coding::of("L16", 44_100), None);
    assert_eq!((Coding::of("G722", 8_000), Coding::of("opus", 48_000)), (None, None));
}

#[test]
fn every_g711_byte_decodes_to_itself() {
    // Decoders written the other way round, so that one mistake does not hide the other.
    for byte in 0..=255u8 {
        let inverted = !byte;
        let (exponent, mantissa) = ((inverted >> 4) & 7, i32::from(inverted & 15));
        let level = (((mantissa << 3) + 0x84) << exponent) - 0x84;
        let sample = if inverted & 0x80 != 0 { -level } else { level };
        if sample != 0 {
            assert_eq!(mu_law(i16::try_from(sample).unwrap()), byte, "mu-law {byte:02x} is {sample}");
        }
        let code = byte ^ 0x55;
        let (exponent, mantissa) = ((code >> 4) & 7, i32::from(code & 15));
        let level = if exponent == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (exponent - 1) };
        let sample = if code & 0x80 == 0 { -level } else { level };
        assert_eq!(a_law(i16::try_from(sample).unwrap()), byte, "A-law {byte:02x} is {sample}");
    }
}
