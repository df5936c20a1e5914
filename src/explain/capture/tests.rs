//! Captures written byte by byte: each link layer, fragments, streams as networks deliver them, and damage.

use super::*;
use etherparse::PacketBuilder;

const LITTLE: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
const ETHERNET: u32 = 1;
const RAW: u32 = 101;

fn invite(call_id: &str) -> Vec<u8> {
    format!(
        "INVITE sip:5000@203.0.113.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK{call_id}\r\n\
         From: <sip:1@192.0.2.10>;tag=1\r\nTo: <sip:5000@203.0.113.10>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:1@192.0.2.10>\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    .into_bytes()
}

/// An IP packet with a datagram.
fn udp(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv4([192, 0, 2, 10], [203, 0, 113, 10], 64).udp(5062, 5060);
    let mut packet = vec![];
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn udp6(payload: &[u8]) -> Vec<u8> {
    let source = "2001:db8::a".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let destination = "2001:db8::b".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut packet = vec![];
    PacketBuilder::ipv6(source, destination, 64).udp(5062, 5060).write(&mut packet, payload).unwrap();
    packet
}

fn tcp(sequence: u32, payload: &[u8], syn: bool) -> Vec<u8> {
    let builder = PacketBuilder::ipv4([192, 0, 2, 10], [203, 0, 113, 10], 64).tcp(40_000, 5060, sequence, 1000);
    let builder = if syn { builder.syn() } else { builder.ack(1) };
    let mut packet = vec![];
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// A packet behind the header of a link layer.
fn framed(header: &[u8], packet: &[u8]) -> Vec<u8> {
    [header, packet].concat()
}

fn ethernet(tags: &[u8], ether_type: u16, packet: &[u8]) -> Vec<u8> {
    [&[2; 12], tags, &ether_type.to_be_bytes(), packet].concat()
}

fn pcap_of(magic: [u8; 4], link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let little = magic[0] != 0xa1;
    let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let half = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let mut file = [&magic[..], &half(2), &half(4), &word(0), &word(0), &word(65_535), &word(link)].concat();
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap();
        file.extend([&word(1_700_000_000)[..], &word(500_000), &word(length), &word(length), packet].concat());
    }
    file
}

fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    pcap_of(LITTLE, link, packets)
}

fn pcapng(link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, content: &[u8]| {
        let padded = content.len().next_multiple_of(4);
        let length = u32::try_from(padded + 12).unwrap().to_le_bytes();
        let mut block = [&kind.to_le_bytes()[..], &length, content].concat();
        block.resize(padded + 8, 0);
        block.extend(length);
        block
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &1_u16.to_le_bytes(), &0_u16.to_le_bytes(), &[0xff; 8]].concat();
    let interface = [&link.to_le_bytes()[..], &[0; 2], &65_535_u32.to_le_bytes()].concat();
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    let at = 1_700_000_000_500_000_u64;
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
        let (high, low) = (((at >> 32) as u32).to_le_bytes(), (at as u32).to_le_bytes());
        file.extend(block(6, &[&[0; 4], &high[..], &low, &length, &length, packet].concat()));
    }
    file
}

fn only(file: &[u8]) -> Captured {
    assert!(is_capture(file));
    let capture = read(file).unwrap();
    assert_eq!(capture.invites.len(), 1, "{:?}", capture.remarks);
    capture.invites.into_iter().next().unwrap()
}

#[test]
fn every_link_layer_and_file_format_gives_the_same_invite() {
    let (packet, packet6) = (udp(&invite("a")), udp6(&invite("a")));
    let mut cooked = vec![0; 14];
    cooked.extend([0x08, 0x00]);
    let cooked2 = [&[0x08, 0x00][..], &[0; 18]].concat();
    let vlan = [0x81, 0x00, 0x00, 0x0a];
    let double = [0x88, 0xa8, 0x00, 0x0a, 0x81, 0x00, 0x00, 0x0b];
    for (link, frame) in [
        (ETHERNET, ethernet(&[], 0x0800, &packet)),
        (ETHERNET, ethernet(&[], 0x86dd, &packet6)),
        (ETHERNET, ethernet(&vlan, 0x0800, &packet)),
        (ETHERNET, ethernet(&double, 0x86dd, &packet6)),
        (0, framed(&[2, 0, 0, 0], &packet)),
        (0, framed(&[0, 0, 0, 30], &packet6)),
        (108, framed(&[0, 0, 0, 2], &packet)),
        (RAW, packet.clone()),
        (12, packet6.clone()),
        (228, packet.clone()),
        (229, packet6.clone()),
        (113, framed(&cooked, &packet)),
        (276, framed(&cooked2, &packet)),
    ] {
        let frames = [frame];
        for file in [pcap(link, &frames), pcapng(u16::try_from(link).unwrap(), &frames)] {
            let found = only(&file);
            assert_eq!(found.message, invite("a"), "{link}");
            assert_eq!((found.source.port(), found.destination.port(), found.protocol), (5062, 5060, Protocol::Udp));
            assert_eq!(crate::record::moment::rfc3339(found.at.unwrap()), "2023-11-14T22:13:20.500Z", "{link}");
        }
    }
}

#[test]
fn both_byte_orders_and_clocks_of_pcap_are_read() {
    let packets = [udp(&invite("a"))];
    for magic in [LITTLE, [0xa1, 0xb2, 0xc3, 0xd4], [0x4d, 0x3c, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d]] {
        let found = only(&pcap_of(magic, RAW, &packets));
        let at = found.at.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(at.as_secs(), 1_700_000_000);
        let nanoseconds = if magic.contains(&0x3c) { 500_000 } else { 500_000_000 };
        assert_eq!(at.subsec_nanos(), nanoseconds, "{magic:?}");
    }
}

/// An IPv4 packet cut into fragments of 64 bytes of payload.
fn fragments(packet: &[u8]) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let parts: Vec<&[u8]> = payload.chunks(64).collect();
    let fragment = |(nth, part): (usize, &&[u8])| {
        let mut header = header.to_vec();
        let more = if nth + 1 < parts.len() { 0x2000 } else { 0 };
        header[2..4].copy_from_slice(&u16::try_from(20 + part.len()).unwrap().to_be_bytes());
        header[4..6].copy_from_slice(&77_u16.to_be_bytes());
        header[6..8].copy_from_slice(&(more | u16::try_from(nth * 8).unwrap()).to_be_bytes());
        [&header, *part].concat()
    };
    parts.iter().enumerate().map(fragment).collect()
}

/// An IPv6 packet cut in two (RFC 8200 §4.5).
fn fragments6(packet: &[u8]) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(40);
    let (first, second) = payload.split_at(128);
    let fragment = |part: &[u8], offset: u16, more: u16| {
        let mut header = header.to_vec();
        header[4..6].copy_from_slice(&u16::try_from(8 + part.len()).unwrap().to_be_bytes());
        header[6] = 44;
        let extension = [&[17, 0][..], &(offset << 3 | more).to_be_bytes(), &[0, 0, 0, 9]].concat();
        [&header, &extension, part].concat()
    };
    vec![fragment(first, 0, 1), fragment(second, 16, 0)]
}

#[test]
fn fragments_are_put_together_in_any_order() {
    let whole = fragments(&udp(&invite("a")));
    assert!(whole.len() > 3);
    let mut backwards = whole.clone();
    backwards.reverse();
    for packets in [whole, backwards, fragments6(&udp6(&invite("a")))] {
        assert_eq!(only(&pcap(RAW, &packets)).message, invite("a"));
    }
}

#[test]
fn a_datagram_that_lacks_a_fragment_is_told() {
    let mut packets = fragments(&udp(&invite("a")));
    packets.remove(2);
    packets.push(udp(&invite("b")));
    let capture = read(&pcap(RAW, &packets)).unwrap();
    assert_eq!(capture.remarks, ["1 datagram(s) of which a fragment is missing"]);
}

#[test]
fn endless_first_fragments_do_not_eat_the_memory() {
    // 60 bytes each, that claim to be the end of 64 KiB.
    let mut packets = vec![];
    for identification in 0..20_000_u16 {
        let mut packet = udp(&[0; 32]);
        packet[4..6].copy_from_slice(&identification.to_be_bytes());
        packet[6..8].copy_from_slice(&(0x2000_u16 | 8000).to_be_bytes());
        packets.push(packet);
    }
    packets.push(udp(&invite("a")));
    only(&pcap(RAW, &packets));
}

#[test]
fn streams_are_put_together_whatever_the_network_did() {
    let both = [invite("a"), invite("b")].concat();
    let cut = |from: usize, to: usize, first: u32| {
        tcp(first.wrapping_add(u32::try_from(from).unwrap()), &both[from..to], false)
    };
    // The second row passes the end of the sequence numbers.
    for first in [1001, u32::MAX - 100] {
        let open = tcp(first.wrapping_sub(1), b"", true);
        let (one, two, three) = (cut(0, 40, first), cut(40, 400, first), cut(400, both.len(), first));
        for packets in [
            vec![open.clone(), one.clone(), two.clone(), three.clone()],
            vec![open.clone(), three.clone(), one.clone(), two.clone()],
            vec![open.clone(), one.clone(), one.clone(), two.clone(), two.clone(), three.clone()],
            vec![open.clone(), one.clone(), cut(0, 400, first), three.clone()],
            vec![one.clone(), two.clone(), three.clone()],
        ] {
            let capture = read(&pcap(RAW, &packets)).unwrap();
            let found: Vec<_> = capture.invites.iter().map(|invite| invite.message.clone()).collect();
            assert_eq!(found, [invite("a"), invite("b")]);
            assert_eq!(capture.invites[0].protocol, Protocol::Tcp);
            assert!(capture.remarks.is_empty(), "{:?}", capture.remarks);
        }
    }
}

#[test]
fn a_capture_that_begins_within_a_message_finds_the_next_one() {
    let packets = [tcp(500, b"f a message\r\nContent-Length: 0\r\n\r\n", false), tcp(534, &invite("a"), false)];
    assert_eq!(only(&pcap(RAW, &packets)).message, invite("a"));
}

#[test]
fn a_gap_costs_what_was_in_it_and_is_told() {
    let mut packets = vec![tcp(0, b"", true), tcp(1, &invite("a")[..50], false)];
    for nth in 0..70_u32 {
        packets.push(tcp(10_000 + nth * 1000, &invite(&format!("b{nth}")), false));
    }
    let capture = read(&pcap(RAW, &packets)).unwrap();
    assert!(!capture.invites.is_empty());
    assert!(capture.remarks[0].contains("gap"), "{:?}", capture.remarks);
}

#[test]
fn what_begins_no_call_is_counted_and_left_out() {
    let again = String::from_utf8(invite("a"))
        .unwrap()
        .replace("To: <sip:5000@203.0.113.10>", "To: <sip:5000@203.0.113.10>;tag=9");
    let packets = [
        udp(&invite("a")),
        udp(&invite("a")),
        udp(again.as_bytes()),
        udp(b"\r\n\r\n"),
        udp(b"OPTIONS sip:a SIP/2.0\r\n\r\n"),
        udp(&[0x80, 0, 1, 2, 3]),
        vec![1, 2, 3],
    ];
    let capture = read(&pcap(RAW, &packets)).unwrap();
    assert_eq!(capture.invites.len(), 1);
    let remarks = capture.remarks.join("; ");
    for said in ["1 repeated INVITE", "1 re-INVITE", "1 packet(s) that are damaged"] {
        assert!(remarks.contains(said), "{remarks}");
    }
}

#[test]
fn a_capture_without_an_invite_says_what_it_has() {
    let hello = [0x16, 0x03, 0x01, 0x00, 0x05, 1, 2, 3, 4, 5];
    let error = read(&pcap(RAW, &[tcp(0, b"", true), tcp(1, &hello, false)])).unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
    let error = read(&pcap(147, &[vec![0; 40]])).unwrap_err().to_string();
    assert!(error.contains("1 packet(s) of a link type that is not read"), "{error}");
    let error = read(&pcap(RAW, &[])).unwrap_err().to_string();
    assert!(error.contains("in 0 packets"), "{error}");
    let error = read(&LITTLE).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn a_file_that_ends_early_gives_what_it_has() {
    for mut file in
        [pcap(RAW, &[udp(&invite("a")), udp(&invite("b"))]), pcapng(101, &[udp(&invite("a")), udp(&invite("b"))])]
    {
        file.truncate(file.len() - 30);
        let capture = read(&file).unwrap();
        assert_eq!(capture.invites.len(), 1);
        assert!(capture.remarks[0].contains("ends within a packet"), "{:?}", capture.remarks);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_reading(damage in proptest::collection::vec((0_usize..900, 0_u8..=255), 0..12), cut in 0_usize..900) {
        for mut file in [
            pcap(ETHERNET, &[ethernet(&[], 0x0800, &udp(&invite("a"))), ethernet(&[], 0x0800, &tcp(1, &invite("b"), false))]),
            pcapng(101, &fragments(&udp(&invite("a")))),
        ] {
            for (at, byte) in &damage {
                if let Some(slot) = file.get_mut(*at) {
                    *slot = *byte;
                }
            }
            file.truncate(file.len().saturating_sub(cut));
            let _ = read(&file);
        }
    }
}
