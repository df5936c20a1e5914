//! What a datagram on a media port is, as far as a relay needs to know, and the one byte of it that a relay may change.
//! Apart from the latch and the relay so that everything that reads untrusted bytes stands in one place.

use super::PayloadMap;
use rtp_rs::RtpReader;

/// What arrived on an RTP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram {
    /// RTP with a sound header (RFC 3550 appendix A.1).
    Rtp(Stamp),
    /// RTCP on the RTP port (RFC 5761 §4).
    Rtcp,
    /// Neither: STUN, DTLS, keep-alives, noise.
    Other,
}

/// What tells one RTP stream and one of its packets from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
}

/// [`PayloadMap`] as the worker reads it: one byte for each payload type, one of them for "drop".
#[derive(Debug, Clone)]
pub struct Renumbering([u8; 128]);

/// No payload type has the top bit.
const CLOSED: u8 = 0x80;

/// Top two bits of both RTP and RTCP.
const VERSION_2: u8 = 2;

/// The second byte of RTCP packets that may share a port with RTP: RFC 5761 §4 keeps payload types 64-95 free for them.
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// Tells what came in on an RTP port.
///
/// rtp-rs does the checking: with version, CSRC list, extension and padding it costs 6 ns of the 4 µs that the two
/// system calls of a packet take, where a look at length and version alone costs 2 ns. For those 4 ns no packet that a
/// decoder behind us would stumble over is passed on.
#[must_use]
pub fn datagram(bytes: &[u8]) -> Datagram {
    match bytes {
        [_, second, ..] if RTCP_TYPES.contains(second) => {
            if rtcp(bytes) {
                Datagram::Rtcp
            } else {
                Datagram::Other
            }
        }
        _ => match RtpReader::new(bytes) {
            Ok(reader) => Datagram::Rtp(Stamp { ssrc: reader.ssrc(), sequence: u16::from(reader.sequence_number()) }),
            Err(_) => Datagram::Other,
        },
    }
}

/// The number of a UDPTL datagram (ITU-T T.38 §9.1.3), for the probation of its source; it names no stream.
#[must_use]
pub fn udptl(bytes: &[u8]) -> Option<Stamp> {
    match bytes {
        [high, low, _, ..] => Some(Stamp { ssrc: 0, sequence: u16::from_be_bytes([*high, *low]) }),
        _ => None,
    }
}

/// Does this look like a compound RTCP packet: version 2, a known packet type, and room for header and SSRC (RFC 3550
/// appendix A.2)?
#[must_use]
pub fn rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, second, _, _, _, _, _, _, ..] if first >> 6 == VERSION_2 && RTCP_TYPES.contains(second))
}

// === impl Renumbering ===

impl Renumbering {
    /// Nothing passes.
    #[must_use]
    pub const fn closed() -> Self {
        Self([CLOSED; 128])
    }

    /// Rewrites the payload type in place and keeps the marker bit (RFC 3550 §5.1). False when this payload type does
    /// not pass; the packet is unchanged then.
    #[must_use]
    pub fn apply(&self, packet: &mut [u8]) -> bool {
        let [_, second, ..] = packet else { return false };
        match self.0.get(usize::from(*second & 0x7f)) {
            Some(&number) if number != CLOSED => {
                *second = (*second & 0x80) | number;
                true
            }
            _ => false,
        }
    }
}

impl From<&PayloadMap> for Renumbering {
    fn from(map: &PayloadMap) -> Self {
        let mut numbers = [CLOSED; 128];
        for (number, sent) in numbers.iter_mut().zip(map.0.iter()) {
            *number = sent.map_or(CLOSED, |sent| sent & 0x7f);
        }
        Self(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtp_rs::{RtpPacketBuilder, Seq};

    fn g711(payload_type: u8, marker: bool) -> Vec<u8> {
        RtpPacketBuilder::new()
            .payload_type(payload_type)
            .marked(marker)
            .ssrc(0x0102_0304)
            .sequence(Seq::from(65_535))
            .timestamp(160)
            .payload(&[0xd5; 160])
            .build()
            .unwrap()
    }

    #[test]
    fn an_rtp_packet_shows_its_stream_and_number() {
        let stamp = Stamp { ssrc: 0x0102_0304, sequence: 65_535 };
        assert_eq!(datagram(&g711(8, false)), Datagram::Rtp(stamp));
    }

    #[test]
    fn short_and_foreign_datagrams_are_neither() {
        let packet = g711(0, false);
        assert_eq!(datagram(&packet[..11]), Datagram::Other, "shorter than a header");
        let mut other_version = packet.clone();
        other_version[0] = 0x40;
        assert_eq!(datagram(&other_version), Datagram::Other, "version 1");
        let mut csrc = packet[..14].to_vec();
        csrc[0] |= 0x0f;
        assert_eq!(datagram(&csrc), Datagram::Other, "CSRC list beyond the end");
        let mut padding = packet.clone();
        padding[0] |= 0x20;
        padding.truncate(13);
        padding[12] = 200;
        assert_eq!(datagram(&padding), Datagram::Other, "more padding than packet");
        assert_eq!(datagram(b"\r\n"), Datagram::Other, "keep-alive");
        assert_eq!(datagram(b""), Datagram::Other);
        let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(datagram(&stun), Datagram::Other, "STUN");
    }

    #[test]
    fn rtcp_on_the_rtp_port_is_told_by_its_second_byte() {
        for second in 192..=223 {
            assert_eq!(datagram(&[0x80, second, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]), Datagram::Rtcp);
        }
        assert!(matches!(datagram(&g711(63, true)), Datagram::Rtp(_)), "191: payload type 63 with the marker");
        assert!(matches!(datagram(&g711(96, true)), Datagram::Rtp(_)), "224: payload type 96 with the marker");
        assert!(matches!(datagram(&g711(72, false)), Datagram::Rtp(_)), "72 without the marker");
        assert_eq!(datagram(&[0x80, 200, 0, 1]), Datagram::Other, "no room for an SSRC");
        assert!(!rtcp(&[0x40, 200, 0, 1, 0, 0, 0, 1]), "version 1");
    }

    #[test]
    fn renumbering_keeps_the_marker_and_the_payload() {
        let mut map = PayloadMap::closed();
        map.set(0, 0);
        map.set(101, 96);
        let map = Renumbering::from(&map);
        let mut packet = g711(101, true);
        let before = packet.clone();
        assert!(map.apply(&mut packet));
        assert_eq!(packet[1], 0x80 | 96);
        assert_eq!((packet[0], &packet[2..]), (before[0], &before[2..]));
        let mut plain = g711(101, false);
        assert!(map.apply(&mut plain));
        assert_eq!(plain[1], 96);
    }

    #[test]
    fn a_payload_type_outside_the_map_does_not_pass_and_is_left_alone() {
        let mut map = PayloadMap::closed();
        map.set(0, 0);
        let mut packet = g711(8, true);
        let before = packet.clone();
        assert!(!Renumbering::from(&map).apply(&mut packet));
        assert!(!Renumbering::closed().apply(&mut packet));
        assert_eq!(packet, before);
        assert!(!Renumbering::closed().apply(&mut []));
    }

    proptest! {
        #[test]
        fn no_datagram_panics_and_the_verdict_agrees_with_rtp_rs(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let verdict = datagram(&bytes);
            if let Datagram::Rtp(stamp) = verdict {
                let reader = RtpReader::new(&bytes).unwrap();
                prop_assert_eq!(reader.ssrc(), stamp.ssrc);
                prop_assert!(bytes.len() >= 12 && bytes[0] >> 6 == 2);
            }
            let _ = rtcp(&bytes);
            let _ = Renumbering::from(&PayloadMap::identity()).apply(&mut bytes);
        }

        #[test]
        fn every_packet_that_rtp_rs_builds_is_rtp(payload_type in 0u8..128, sequence: u16, ssrc: u32, payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let packet = RtpPacketBuilder::new().payload_type(payload_type).sequence(Seq::from(sequence)).ssrc(ssrc).payload(&payload).build().unwrap();
            prop_assert_eq!(datagram(&packet), Datagram::Rtp(Stamp { ssrc, sequence }));
        }
    }
}
