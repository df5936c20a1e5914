//! Descriptions as real peers write them, and what we make of them.

use super::*;
use crate::sdp::{Direction, Format};
use std::net::{IpAddr, SocketAddr};

fn parse(body: &str) -> Description {
    Description::parse(body.as_bytes()).unwrap()
}

/// A session around the given media lines.
fn around(media: &str) -> Description {
    parse(&format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n{media}"))
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn a_communication_manager_offer_is_read_whole() {
    let description = around(
        "a=avf:avc=n prio=n\r\nm=audio 35010 RTP/AVP 0 8 18 120\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n\
         a=fmtp:18 annexb=no\r\na=rtpmap:120 telephone-event/8000\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n",
    );
    let audio = description.audio().unwrap();
    assert_eq!((audio.index, audio.port, audio.address), (0, 35010, address("192.0.2.2")));
    assert_eq!((audio.ptime, audio.maxptime, audio.direction), (Some(20), Some(60), Direction::SendRecv));
    assert_eq!(
        audio.formats,
        [
            Format::new(0, "PCMU", 8000),
            Format::new(8, "PCMA", 8000),
            Format::new(18, "G729", 8000).with_fmtp("annexb=no"),
            Format::new(120, "telephone-event", 8000),
        ]
    );
}

#[test]
fn o_s_and_t_may_be_missing_and_any_line_ending_will_do() {
    for ending in ["\r\n", "\n", "\r"] {
        let body = ["v=0", "c=IN IP4 192.0.2.2", "m=audio 4000 RTP/AVP 0", "a=sendonly\0"].join(ending);
        let description = parse(&body);
        let audio = description.audio().unwrap();
        assert_eq!((audio.port, audio.direction), (4000, Direction::SendOnly), "{ending:?}");
    }
}

#[test]
fn bytes_that_are_no_utf8_and_an_origin_that_is_no_number_cost_nothing() {
    let body =
        b"v=0\r\no=J\xfcrgen abc def IN IP4 192.0.2.1\r\ns=\xff\r\nc=IN IP4 192.0.2.2\r\nm=audio 4000 RTP/AVP 0\r\n";
    let description = Description::parse(body).unwrap();
    assert!(description.audio().is_some());
    assert_eq!(description.bytes().as_ref(), body);
}

#[test]
fn what_is_no_description_is_refused_with_line_text_and_remedy() {
    let error = Description::parse(b"\r\n<xml>not sdp</xml>\r\n").unwrap_err();
    assert_eq!((error.line, error.text.as_str()), (2, "<xml>not sdp</xml>"));
    assert!(error.to_string().contains("RFC 8866"), "{error}");
    assert!(Description::parse(b"").unwrap_err().to_string().contains("empty"));
}

#[test]
fn the_connection_of_the_stream_beats_that_of_the_session() {
    let description = around("m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nc=IN IP4 192.0.2.9\r\n");
    assert_eq!(description.audio().unwrap().address, address("192.0.2.9"));
}

#[test]
fn without_any_connection_the_origin_has_to_do() {
    let description = parse("v=0\r\no=John Doe 1 1 IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(description.audio().unwrap().address, address("192.0.2.1"));
    let bare = parse("v=0\r\no=broken\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert_eq!((bare.audio().unwrap().address, bare.audio().unwrap().host.as_str()), (None, ""));
}

#[test]
fn a_name_an_ipv6_address_and_a_group_are_told_apart() {
    let with = |connection: &str| {
        let description = parse(&format!("v=0\r\n{connection}\r\nm=audio 4000 RTP/AVP 0\r\n"));
        let audio = description.audio().unwrap().clone();
        (audio.host, audio.address)
    };
    assert_eq!(with("c=IN IP4 media.example.com"), ("media.example.com".to_owned(), None));
    assert_eq!(with("c=IN IP6 2001:db8::2"), ("2001:db8::2".to_owned(), address("2001:db8::2")));
    assert_eq!(with("c=IN IP6 ::ffff:192.0.2.7").1, address("192.0.2.7"));
    assert_eq!(with("c=IN IP4 224.2.36.42/127"), ("224.2.36.42".to_owned(), None));
}

#[test]
fn a_zero_address_is_hold_in_either_family() {
    for (connection, said, meant) in [
        ("IN IP4 0.0.0.0", "a=sendrecv", Direction::SendOnly),
        ("IN IP4 0.0.0.0", "a=x", Direction::SendOnly),
        ("IN IP4 0.0.0.0", "a=recvonly", Direction::Inactive),
        ("IN IP6 ::", "a=inactive", Direction::Inactive),
    ] {
        let description = parse(&format!("v=0\r\nc={connection}\r\nm=audio 4000 RTP/AVP 0\r\n{said}\r\n"));
        let audio = description.audio().unwrap();
        assert_eq!((audio.direction, audio.address), (meant, None), "{connection} {said}");
    }
}

#[test]
fn direction_and_packet_time_of_the_session_hold_until_the_stream_says_otherwise() {
    let session = "v=0\r\nc=IN IP4 192.0.2.2\r\na=sendonly\r\na=ptime:30\r\nm=audio 4000 RTP/AVP 0\r\n";
    let audio = parse(session).audio().unwrap().clone();
    assert_eq!((audio.direction, audio.ptime), (Direction::SendOnly, Some(30)));
    let audio = parse(&format!("{session}a=recvonly\r\na=ptime:20 \r\n")).audio().unwrap().clone();
    assert_eq!((audio.direction, audio.ptime), (Direction::RecvOnly, Some(20)));
}

#[test]
fn an_odd_packet_time_is_rounded_down_or_forgotten() {
    for (written, read) in [("20.0", Some(20)), ("0.125", None), ("0", None), ("4294967296", None), ("x", None)] {
        let description = around(&format!("m=audio 4000 RTP/AVP 0\r\na=ptime:{written}\r\n"));
        assert_eq!(description.audio().unwrap().ptime, read, "{written}");
    }
}

#[test]
fn rtcp_may_say_where_it_wants_to_go() {
    let with = |line: &str| around(&format!("m=audio 4000 RTP/AVP 0\r\n{line}\r\n")).audio().unwrap().rtcp;
    let socket = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
    assert_eq!(with("a=rtcp:6005"), socket("192.0.2.2:6005"));
    assert_eq!(with("a=rtcp:6005 IN IP4 192.0.2.3"), socket("192.0.2.3:6005"));
    assert_eq!(with("a=rtcp:6005 IN IP6 2001:db8::3"), socket("[2001:db8::3]:6005"));
    assert_eq!(with("a=rtcp:6005 IN IP4 224.0.0.1"), None);
    assert_eq!(with("a=rtcp:0"), None);
    assert_eq!(with("a=rtcp-mux"), None);
}

#[test]
fn formats_are_named_once_each_and_nameless_ones_are_passed_over() {
    let description = around(
        "m=audio 6000/2 RTP/AVP 0 0 8 97 98 200 x\r\na=rtpmap:8 pcma/8000/1\r\na=rtpmap:98  opus/48000/2\r\n\
         a=rtpmap:99 FOO/8000\r\na=fmtp:98 annexb = no\r\n",
    );
    let audio = description.audio().unwrap();
    assert_eq!(audio.port, 6000);
    let opus = Format { channels: 2, ..Format::new(98, "opus", 48000).with_fmtp("annexb = no") };
    assert_eq!(audio.formats, [Format::new(0, "PCMU", 8000), Format::new(8, "pcma", 8000), opus]);
}

#[test]
fn the_first_plain_stream_that_is_on_carries_the_call() {
    let description = around(
        "m=audio 4000 RTP/SAVP 0\r\na=inactive\r\nm=image 4002 udptl t38\r\nm=audio 4004 rtp/avpf 8\r\na=sendonly\r\n\
         m=audio 4006 RTP/AVP 0\r\na=recvonly\r\n",
    );
    let audio = description.audio().unwrap();
    assert_eq!((audio.index, audio.port, audio.direction), (2, 4004, Direction::SendOnly));
    assert_eq!(description.media().len(), 4);
}

#[test]
fn an_unusable_description_says_why() {
    let why = |media: &str| around(media).usable_audio().unwrap_err().clone();
    assert_eq!(why(""), Unusable::NoMedia);
    assert_eq!(why("m=image 4900 udptl t38\r\n"), Unusable::NoAudio("image".to_owned()));
    assert_eq!(why("m=image 4900 udptl t38\r\nm=audio 0 RTP/AVP 0\r\n"), Unusable::Disabled);
    let savp = why("m=audio 0 RTP/AVP 0\r\nm=audio 4000 UDP/TLS/RTP/SAVP 0\r\n");
    assert_eq!(savp, Unusable::Profile("UDP/TLS/RTP/SAVP".to_owned()));
    assert!(savp.to_string().contains("UDP/TLS/RTP/SAVP"));
    assert!(matches!(why("m=audio 70000 RTP/AVP 0\r\n"), Unusable::Malformed { line: 6, .. }));
    assert!(matches!(why("m=audio\r\n"), Unusable::Malformed { .. }));
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        let _ = Description::parse(&body);
    }

    #[test]
    fn no_soup_of_plausible_pieces_makes_it_panic_or_lose_a_byte(
        pieces in proptest::collection::vec("(v=|o=|c=|m=|a=|IN IP4 |audio |RTP/AVP|rtpmap:|fmtp:|rtcp:|ptime:|[0-9]{1,6}|/|:| |\\PC|\r\n|\n|\r|\0)", 0..60)
    ) {
        let body = pieces.concat();
        if let Ok(description) = Description::parse(body.as_bytes()) {
            let written: Vec<u8> = description.lines().flat_map(|line| [line.text, line.ending].concat()).collect();
            proptest::prop_assert_eq!(written, body.as_bytes());
            if let Some(audio) = description.audio() {
                proptest::prop_assert!(audio.port > 0);
                proptest::prop_assert!(audio.formats.iter().all(|format| format.payload_type < 128));
            }
        }
    }
}

#[test]
fn descriptions_say_the_same_whatever_their_origin_line_and_line_ends_are() {
    let one = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let same = |other: &str| {
        let read = |text: &str| Description::parse(text.as_bytes()).unwrap();
        read(one).says_the_same_as(&read(other))
    };
    assert!(same(&one.replace("o=- 1 1", "o=- 1 2")));
    assert!(same(&one.replace("\r\n", "\n")));
    assert!(!same(&one.replace("4000", "4002")));
    assert!(!same(&format!("{one}a=sendonly\r\n")));
}
