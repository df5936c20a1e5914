//! What we write, read back by ourselves and by an independent reader.

use super::*;
use crate::sdp::negotiate;
use proptest::prelude::*;
use webrtc_sdp::address::ExplicitlyTypedAddress;
use webrtc_sdp::media_type::SdpFormatList;

fn audio(formats: Vec<Format>) -> LocalAudio {
    let address = "203.0.113.10".to_owned();
    LocalAudio { address, port: 20000, formats, direction: Direction::SendRecv, ptime: Some(20), maxptime: None }
}

fn parse(body: &[u8]) -> Description {
    Description::parse(body).unwrap()
}

/// Must be readable without a remark by an implementation that is not ours.
fn oracle(body: &Bytes) -> webrtc_sdp::SdpSession {
    webrtc_sdp::parse_sdp(std::str::from_utf8(body).unwrap(), true).unwrap()
}

const OFFER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
    m=video 4002 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\nm=audio 4000 RTP/AVPF 0 120\r\n\
    a=rtpmap:120 telephone-event/8000\r\nm=image 4900 udptl t38\r\nm=audio 4004 RTP/SAVP 0\r\n";

#[test]
fn an_offer_is_exactly_this() {
    let opus = Format { channels: 2, ..Format::new(111, "opus", 48000).with_fmtp("useinbandfec=1; maxptime=40") };
    let formats = vec![Format::new(0, "PCMU", 8000), opus, Format::new(101, "telephone-event", 8000)];
    let body = offer(&mut Origin::new(77), &audio(formats));
    assert_eq!(
        std::str::from_utf8(&body).unwrap(),
        "v=0\r\no=- 77 1 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 0 111 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 useinbandfec=1; maxptime=40\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    );
    oracle(&body);
}

#[test]
fn an_answer_has_the_media_lines_of_the_offer_in_order_and_refuses_the_others() {
    let body = answer(&mut Origin::new(77), &parse(OFFER), &audio(parse(OFFER).audio().unwrap().formats.clone()));
    let lines: Vec<&str> = std::str::from_utf8(&body).unwrap().lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        ["m=video 0 RTP/AVP 96 97", "m=audio 20000 RTP/AVPF 0 120", "m=image 0 udptl t38", "m=audio 0 RTP/SAVP 0"]
    );
    assert_eq!(parse(&body).audio().unwrap().index, 1);
}

#[test]
fn an_answer_without_formats_refuses_everything() {
    let body = answer(&mut Origin::new(77), &parse(OFFER), &audio(vec![]));
    assert!(parse(&body).media().iter().all(|media| media.port == 0));
}

const FAX: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
    m=audio 0 RTP/AVP 0\r\nm=image 4900 udptl t38\r\na=T38FaxVersion:0\r\n";

fn fax() -> LocalImage {
    LocalImage { address: "203.0.113.10".to_owned(), port: 20000, attributes: vec!["T38FaxVersion:0".to_owned()] }
}

fn media_lines(body: &[u8]) -> Vec<&str> {
    std::str::from_utf8(body).unwrap().lines().filter(|line| line.starts_with("m=")).collect()
}

#[test]
fn voice_and_fax_change_within_one_place_and_back() {
    let mut origin = Origin::new(7);
    let local = audio(vec![Format::new(0, "PCMU", 8000)]);
    offer(&mut origin, &local);
    assert_eq!(media_lines(&offer_image(&mut origin, &fax())), ["m=image 20000 udptl t38"]);
    assert_eq!(origin.version(), 2);
    assert_eq!(media_lines(&offer(&mut origin, &local)), ["m=audio 20000 RTP/AVP 0"]);
    assert_eq!(origin.version(), 3);
}

#[test]
fn fax_is_answered_in_its_place_and_the_audio_beside_it_stays_off() {
    let mut origin = Origin::new(7);
    let body = answer_image(&mut origin, &parse(FAX), &fax());
    assert_eq!(media_lines(&body), ["m=audio 0 RTP/AVP 0", "m=image 20000 udptl t38"]);
    assert!(body.ends_with(b"a=T38FaxVersion:0\r\n"));
    assert!(parse(&body).is_fax());
}

#[test]
fn the_longest_packet_time_is_told() {
    let local = LocalAudio { maxptime: Some(60), ..audio(vec![Format::new(0, "PCMU", 8000)]) };
    assert_eq!(parse(&offer(&mut Origin::new(1), &local)).audio().unwrap().maxptime, Some(60));
}

#[test]
fn the_version_rises_only_with_a_change() {
    let mut origin = Origin::new(77);
    let mut local = audio(vec![Format::new(0, "PCMU", 8000)]);
    let first = offer(&mut origin, &local);
    assert_eq!(offer(&mut origin, &local), first);
    assert_eq!(origin.version(), 1);
    local.direction = Direction::SendOnly;
    let held = offer(&mut origin, &local);
    assert_eq!(origin.version(), 2);
    assert!(held.starts_with(b"v=0\r\no=- 77 2 IN IP4 203.0.113.10\r\n"));
    assert_eq!(offer(&mut origin, &local), held);
    assert_eq!(origin.last(), Some(&held));
    local.direction = Direction::SendRecv;
    offer(&mut origin, &local);
    assert_eq!(origin.version(), 3);
}

#[test]
fn a_later_offer_keeps_every_place_that_was_ever_taken() {
    let mut origin = Origin::new(77);
    let local = audio(vec![Format::new(0, "PCMU", 8000)]);
    let answered = answer(&mut origin, &parse(OFFER), &local);
    assert_eq!(offer(&mut origin, &local), answered);
    // After the whole call was refused, the refused place of the audio is taken again.
    let mut refused = Origin::new(78);
    answer(&mut refused, &parse(OFFER), &audio(vec![]));
    let body = offer(&mut refused, &local);
    assert_eq!(parse(&body).media().len(), 4);
    assert_eq!(parse(&body).audio().unwrap().index, 1);
}

#[test]
fn an_ipv6_address_is_written_as_such_and_a_name_as_ipv4() {
    let mut local = audio(vec![Format::new(0, "PCMU", 8000)]);
    local.address = "[2001:db8::7]".to_owned();
    let session = oracle(&offer(&mut Origin::new(1), &local));
    let connection = session.get_connection().as_ref().unwrap();
    assert_eq!(connection.address, ExplicitlyTypedAddress::Ip("2001:db8::7".parse().unwrap()));
    local.address = "media.example.com".to_owned();
    let body = offer(&mut Origin::new(1), &local);
    assert!(body.windows(27).any(|window| window == b"c=IN IP4 media.example.com\r"));
    oracle(&body);
}

#[test]
fn nothing_in_a_value_can_begin_a_line_of_its_own() {
    let evil = Format::new(96, "x\r\na=inactive", 8000).with_fmtp("y\nc=IN IP4 198.51.100.1");
    let mut local = audio(vec![evil]);
    local.address = "203.0.113.10\r\na=x".to_owned();
    let body = offer(&mut Origin::new(1), &local);
    assert_eq!(parse(&body).lines().count(), 10);
}

#[test]
fn a_session_number_fits_a_signed_integer() {
    assert_eq!(Origin::new(u64::MAX).id(), i64::MAX.unsigned_abs());
    assert_eq!(Origin::new(5).id(), 5);
}

#[test]
fn a_media_line_that_nobody_can_read_is_still_answered_in_its_place() {
    let body = answer(&mut Origin::new(1), &parse(b"v=0\r\nm=\r\nm=audio x\r\n"), &audio(vec![]));
    assert_eq!(parse(&body).media().len(), 2);
    oracle(&body);
}

fn direction() -> impl Strategy<Value = Direction> {
    proptest::sample::select(Direction::ALL.to_vec())
}

fn formats() -> impl Strategy<Value = Vec<Format>> {
    let known = negotiate::generic_offer(Some(&["pcmu", "pcma", "g722", "g729", "gsm", "opus"].map(str::to_owned)));
    let count = known.len();
    proptest::sample::subsequence(known, 1..=count)
}

proptest! {
    #[test]
    fn what_is_built_is_read_back_the_same_by_us_and_by_the_oracle(
        formats in formats(), direction in direction(), port in 1u16.., ptime in proptest::option::of(1u32..200)
    ) {
        let local = LocalAudio { direction, ptime, port, ..audio(formats.clone()) };
        let body = offer(&mut Origin::new(9), &local);
        let description = parse(&body);
        let read = description.audio().unwrap();
        prop_assert_eq!(&read.formats, &formats);
        prop_assert_eq!((read.direction, read.port, read.ptime), (direction, port, ptime));
        let session = oracle(&body);
        prop_assert_eq!(session.media.len(), 1);
        prop_assert_eq!(session.media[0].get_port(), u32::from(port));
        let numbers: Vec<u32> = formats.iter().map(|format| u32::from(format.payload_type)).collect();
        let SdpFormatList::Integers(listed) = session.media[0].get_formats() else { panic!("no payload types") };
        prop_assert_eq!(listed, &numbers);
    }

    #[test]
    fn any_offer_is_answered_line_by_line(
        kinds in proptest::collection::vec(("(audio|video|image|x)", 0u16..4, "(RTP/AVP|RTP/SAVP|udptl|)", "[0-9 a-z]{0,8}"), 0..6),
        direction in direction()
    ) {
        let media: String = kinds.iter().map(|(kind, port, protocol, rest)| format!("m={kind} {port} {protocol} {rest}\r\n")).collect();
        let offered = parse(format!("v=0\r\n{media}").as_bytes());
        let local = LocalAudio { direction, ..audio(vec![Format::new(0, "PCMU", 8000)]) };
        let answered = parse(&answer(&mut Origin::new(3), &offered, &local));
        prop_assert_eq!(answered.media().len(), offered.media().len());
        prop_assert_eq!(answered.audio().map(|audio| audio.index), offered.audio().map(|audio| audio.index));
        for (theirs, ours) in offered.media().iter().zip(answered.media()) {
            prop_assert!(theirs.kind.is_empty() || theirs.kind == ours.kind);
            prop_assert!(ours.port == 0 || offered.audio().map(|audio| audio.index) == Some(ours.index));
        }
    }
}
