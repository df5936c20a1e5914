//! Changes of the session while the call is up, and what each leg hears of them.

use super::*;
use crate::media::Traffic;
use crate::sip::HeaderName;

/// The body of the last re-INVITE that reached this leg of a peer.
fn offered(events: &[Event], to: LegId) -> Option<String> {
    events.iter().rev().find_map(|event| match event {
        Event::Reinvited { leg, request } if *leg == to => Some(String::from_utf8_lossy(request.body()).into_owned()),
        _ => None,
    })
}

fn offers(events: &[Event], to: LegId) -> usize {
    events.iter().filter(|event| matches!(event, Event::Reinvited { leg, .. } if *leg == to)).count()
}

/// The body of the last 2xx to a re-INVITE of this peer.
fn answered(events: &[Event]) -> Option<String> {
    events.iter().rev().find_map(|event| match event {
        Event::ReinviteAnswered { response, .. } => Some(String::from_utf8_lossy(response.body()).into_owned()),
        _ => None,
    })
}

/// A header of the last failure to a re-INVITE of this peer.
fn explained(events: &[Event], name: HeaderName) -> Option<String> {
    events.iter().rev().find_map(|event| match event {
        Event::ReinviteRefused { response: Some(response), .. } => response.text(name).map(|text| text.into_owned()),
        _ => None,
    })
}

fn direction(body: &str) -> &str {
    let lines = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    lines.into_iter().find(|line| body.contains(*line)).unwrap_or("nothing")
}

fn sdp(text: &str) -> Body {
    Body { content_type: "application/sdp", bytes: text.to_owned().into() }
}

/// Audio at an address of its own, with more lines.
fn at(address: &str, port: u16, formats: &str, more: &str) -> Body {
    let family = if address.contains(':') { 6 } else { 4 };
    sdp(&format!(
        "v=0\r\no=- 1 2 IN IP{family} {address}\r\ns=-\r\nc=IN IP{family} {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\n{more}"
    ))
}

impl Bench {
    /// The PBX asks for a change, the cloud answers it if it is asked, and the PBX acknowledges.
    fn change(&mut self, a: LegId, b: LegId, offer: Option<Body>, answer: Option<Body>) {
        self.pbx_events.clear();
        self.cloud_events.clear();
        self.pbx.reinvite(self.now, a, vec![], offer).unwrap();
        self.pump();
        if let Some(answer) = answer {
            self.cloud.answer(self.now, b, vec![], Some(answer)).unwrap();
            self.pump();
        }
        if answered(&self.pbx_events).is_some() {
            self.pbx.acknowledge(self.now, a, None).unwrap();
            self.pump();
        }
    }

    /// Both sides' flows: may the peer be sent something, may it send.
    fn flows(&self, side: Side) -> (Flow, Flow) {
        (self.told(side).send, self.told(side).receive)
    }
}

#[test]
fn every_hold_is_passed_and_answered_as_rfc_3264_has_it_and_a_resume_restores_both_legs() {
    let rows = [
        ("sendonly", "recvonly", "a=recvonly"),
        ("sendonly", "sendrecv", "a=recvonly"),
        ("sendonly", "inactive", "a=inactive"),
        ("recvonly", "sendonly", "a=sendonly"),
        ("inactive", "inactive", "a=inactive"),
        ("inactive", "sendrecv", "a=inactive"),
    ];
    for (hold, far, expected) in rows {
        let mut bench = Bench::new("");
        let (a, b) = bench.connected();
        bench.change(a, b, Some(audio(hold, "0 8")), Some(audio(far, "0")));
        let passed = offered(&bench.cloud_events, b).unwrap();
        assert_eq!(direction(&passed), format!("a={hold}"), "{hold}");
        assert_eq!(direction(&answered(&bench.pbx_events).unwrap()), expected, "{hold} {far}");
        let sends = |open| if open { Flow::Open } else { Flow::Held };
        assert_eq!(bench.flows(Side::A), (sends(hold == "recvonly"), sends(hold == "sendonly")), "{hold}");
        bench.change(a, b, Some(audio("sendrecv", "0 8")), Some(audio("sendrecv", "0")));
        assert_eq!(direction(&answered(&bench.pbx_events).unwrap()), "a=sendrecv");
        assert_eq!(bench.flows(Side::A), (Flow::Open, Flow::Open));
        assert_eq!(bench.flows(Side::B), (Flow::Open, Flow::Open));
    }
}

#[test]
fn the_hold_of_rfc_2543_is_a_sendonly_for_the_other_side_and_nothing_is_sent_to_zeros() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(at("0.0.0.0", 4000, "0", "")), Some(audio("recvonly", "0")));
    assert_eq!(direction(&offered(&bench.cloud_events, b).unwrap()), "a=sendonly");
    let answer = answered(&bench.pbx_events).unwrap();
    assert_eq!(direction(&answer), "a=recvonly");
    assert!(answer.contains("c=IN IP4 192.0.2.1\r\n"), "our own address is no zero: {answer}");
    assert_eq!((bench.told(Side::A).remote, bench.told(Side::A).send), (None, Flow::Held));
    bench.change(a, b, Some(at("192.0.2.9", 4000, "0", "")), Some(audio("sendrecv", "0")));
    assert_eq!(bench.told(Side::A).remote, Some("192.0.2.9:4000".parse().unwrap()));
}

#[test]
fn a_hold_by_port_0_is_an_inactive_for_the_other_side_and_is_answered_with_port_0() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(at("192.0.2.9", 0, "0 8", "")), Some(audio("inactive", "0")));
    assert_eq!(direction(&offered(&bench.cloud_events, b).unwrap()), "a=inactive");
    assert!(answered(&bench.pbx_events).unwrap().contains("m=audio 0 RTP/AVP 0 8\r\n"));
    assert_eq!(bench.told(Side::A).remote, None);
    // The same again is no news, and the way back is as from any hold.
    bench.change(a, b, Some(at("192.0.2.9", 0, "0 8", "")), None);
    assert!(answered(&bench.pbx_events).unwrap().contains("m=audio 0 "));
    bench.change(a, b, Some(audio("sendrecv", "0 8")), Some(audio("sendrecv", "0")));
    assert!(answered(&bench.pbx_events).unwrap().contains("m=audio 20000 RTP/AVP 0\r\n"));
    assert_eq!(bench.flows(Side::A), (Flow::Open, Flow::Open));
    assert_eq!(bench.flows(Side::B), (Flow::Open, Flow::Open));
}

#[test]
fn a_direction_of_the_whole_session_counts_where_the_stream_says_nothing() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    let held = "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=inactive\r\nm=audio 4000 RTP/AVP 0\r\n";
    bench.change(a, b, Some(sdp(held)), Some(audio("inactive", "0")));
    assert_eq!(direction(&offered(&bench.cloud_events, b).unwrap()), "a=inactive");
    let both = format!("{held}a=sendonly\r\n");
    bench.change(a, b, Some(sdp(&both)), Some(audio("recvonly", "0")));
    assert_eq!(direction(&offered(&bench.cloud_events, b).unwrap()), "a=sendonly");
}

#[test]
fn a_call_may_begin_inactive() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("inactive", "0")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!(bench.flows(Side::A), (Flow::Held, Flow::Held));
    bench.change(a, b, Some(audio("sendrecv", "0")), Some(audio("sendrecv", "0")));
    assert_eq!(bench.flows(Side::A), (Flow::Open, Flow::Open));
}

#[test]
fn a_description_that_changes_nothing_is_answered_without_the_other_side() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(audio("sendrecv", "0 8")), None);
    let answer = answered(&bench.pbx_events).expect("an answer of our own");
    assert_eq!(offers(&bench.cloud_events, b), 0);
    assert_eq!(direction(&answer), "a=sendrecv");
    let version = |body: &str| body.lines().nth(1).unwrap().to_owned();
    bench.change(
        a,
        b,
        Some(sdp(&String::from_utf8_lossy(&audio("sendrecv", "0 8").bytes).replace("o=- 1 1", "o=- 1 5"))),
        None,
    );
    assert_eq!(version(&answered(&bench.pbx_events).unwrap()), version(&answer), "our version is for changes");
}

#[test]
fn a_repeated_hold_is_answered_as_the_first_one_was() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(audio("sendonly", "0 8")), Some(audio("recvonly", "0")));
    bench.change(a, b, Some(audio("sendonly", "0 8")), None);
    assert_eq!(offers(&bench.cloud_events, b), 0);
    assert_eq!(direction(&answered(&bench.pbx_events).unwrap()), "a=recvonly");
}

#[test]
fn a_moved_stream_moves_its_rtcp_too_and_keeps_the_other_side() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    let moved = at("198.51.100.7", 6000, "0", "a=rtcp:6100 IN IP4 198.51.100.8\r\n");
    bench.change(a, b, Some(moved), Some(audio("sendrecv", "0")));
    let told = bench.told(Side::A);
    assert_eq!(told.remote, Some("198.51.100.7:6000".parse().unwrap()));
    assert_eq!(told.remote_rtcp, Some("198.51.100.8:6100".parse().unwrap()));
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.9:4000".parse().unwrap()));
}

#[test]
fn an_address_of_a_family_that_media_cannot_reach_is_refused_and_the_call_stays() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(at("2001:db8::7", 6000, "0", "")), None);
    assert_eq!(refused(&bench.pbx_events), Some(488));
    assert!(explained(&bench.pbx_events, HeaderName::Warning).unwrap().starts_with("301 "));
    assert_eq!(bench.told(Side::A).remote, Some("192.0.2.9:4000".parse().unwrap()));
    assert!(bench.records.is_empty());
}

#[test]
fn another_codec_and_another_packet_time_are_passed_and_mapped() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    let more = "a=rtpmap:99 opus/48000/2\r\na=fmtp:99 useinbandfec=1\r\na=ptime:30\r\na=maxptime:60\r\n";
    let far = at("192.0.2.9", 4000, "99", "a=rtpmap:99 opus/48000/2\r\na=ptime:40\r\n");
    bench.change(a, b, Some(at("192.0.2.9", 4000, "8 99", more)), Some(far));
    let passed = offered(&bench.cloud_events, b).unwrap();
    for line in ["a=rtpmap:8 PCMA/8000", "opus/48000/2", "useinbandfec=1", "a=ptime:30", "a=maxptime:60"] {
        assert!(passed.contains(line), "{line}: {passed}");
    }
    let answer = answered(&bench.pbx_events).unwrap();
    assert!(answer.contains("RTP/AVP 99\r\n") && answer.contains("a=ptime:40\r\n"), "{answer}");
    assert_eq!(bench.told(Side::A).payload_map.0[99], Some(99));
    assert_eq!(bench.told(Side::A).payload_map.0[0], None, "PCMU is gone");
}

#[test]
fn a_payload_type_never_means_another_codec_on_a_leg_though_its_codec_was_dropped_before() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(at("192.0.2.9", 4000, "0 96", "a=rtpmap:96 opus/48000/2\r\n")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    let reused = at("192.0.2.9", 4000, "0 96", "a=rtpmap:96 telephone-event/8000\r\n");
    bench.change(a, b, Some(reused), None);
    let passed = offered(&bench.cloud_events, b).unwrap();
    assert!(passed.contains("a=rtpmap:97 telephone-event/8000"), "96 was opus towards the cloud: {passed}");
}

#[test]
fn codecs_without_a_common_one_are_refused_with_a_warning_and_the_call_stays() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(at("192.0.2.9", 4000, "18", "")), None);
    assert_eq!(refused(&bench.pbx_events), Some(488), "daily takes no G729");
    assert!(explained(&bench.pbx_events, HeaderName::Warning).unwrap().starts_with("305 192.0.2.1 "));
    assert!(explained(&bench.pbx_events, HeaderName::Reason).unwrap().contains("no_usable_media"));
    assert_eq!(offers(&bench.cloud_events, b), 0);
    assert!(bench.records.is_empty());
}

#[test]
fn a_refusal_of_the_other_side_is_passed_with_its_warning_and_nothing_changes() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(at("198.51.100.7", 6000, "8", "")), None);
    let warning = vec![("Warning".into(), "305 cloud.example.com \"not this one\"".to_owned())];
    bench.cloud.reject(bench.now, b, StatusCode::NOT_ACCEPTABLE_HERE, None, warning).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.pbx_events), Some(488));
    assert_eq!(
        explained(&bench.pbx_events, HeaderName::Warning).as_deref(),
        Some("305 cloud.example.com \"not this one\"")
    );
    assert_eq!(bench.told(Side::A).remote, Some("192.0.2.9:4000".parse().unwrap()));
}

#[test]
fn an_answer_that_switches_the_stream_off_is_refused_and_the_other_side_gets_its_session_back() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(audio("sendonly", "0 8")), Some(at("192.0.2.9", 0, "0", "")));
    assert_eq!(refused(&bench.pbx_events), Some(488));
    assert_eq!(offers(&bench.cloud_events, b), 2);
    assert_eq!(direction(&offered(&bench.cloud_events, b).unwrap()), "a=sendrecv", "what the PBX still has");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.flows(Side::B), (Flow::Open, Flow::Open));
}

#[test]
fn a_change_without_offer_is_answered_with_one_of_what_the_other_side_takes() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], None).unwrap();
    bench.pump();
    assert!(offered(&bench.cloud_events, b).unwrap().contains("m=audio"), "the other side is asked with an offer");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    let offer = answered(&bench.pbx_events).unwrap();
    assert!(offer.contains("RTP/AVP 0\r\n"), "{offer}");
    bench.pbx.acknowledge(bench.now, a, Some(at("198.51.100.7", 6000, "0", ""))).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::A).remote, Some("198.51.100.7:6000".parse().unwrap()));
}

#[test]
fn a_change_without_offer_whose_ack_brings_no_answer_leaves_the_session_as_it_was() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(audio("sendonly", "0 8")), Some(audio("recvonly", "0")));
    let held = bench.flows(Side::A);
    bench.change(a, b, None, Some(audio("sendrecv", "0")));
    assert_eq!(direction(&answered(&bench.pbx_events).unwrap()), "a=sendrecv", "our offer, which nobody answers");
    assert!(bench.records.is_empty(), "the call goes on");
    assert_eq!(offers(&bench.cloud_events, b), 2, "the cloud hears that nothing came of it");
    assert_eq!(direction(&offered(&bench.cloud_events, b).unwrap()), "a=sendonly");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.flows(Side::A), held);
    // And the PBX can resume as others do.
    bench.change(a, b, Some(audio("sendrecv", "0 8")), Some(audio("sendrecv", "0")));
    assert_eq!(bench.flows(Side::A), (Flow::Open, Flow::Open));
    assert_eq!(bench.flows(Side::B), (Flow::Open, Flow::Open));
}

#[test]
fn an_ack_without_an_answer_keeps_the_codecs_of_before_whatever_the_other_side_took_meanwhile() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, None, Some(audio("sendrecv", "8")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert!(bench.records.is_empty());
    assert_eq!(bench.told(Side::A).payload_map.0[0], Some(0), "the caller still speaks PCMU");
    assert_eq!(bench.flows(Side::A), (Flow::Open, Flow::Open));
}

#[test]
fn a_caller_without_offer_that_takes_less_than_the_far_side_speaks_brings_it_down_to_that() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0 8"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    let offer = offered(&bench.cloud_events, b).expect("the far side would speak PCMU to a caller of PCMA");
    assert!(offer.contains("RTP/AVP 8\r\n"), "{offer}");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::B).payload_map.0[8], Some(8));
}

#[test]
fn a_caller_without_offer_that_takes_what_the_far_side_speaks_costs_no_second_offer() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0 8"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(offers(&bench.cloud_events, b), 0);
}

#[test]
fn our_own_offer_that_meets_another_one_is_tried_again_after_the_time_of_the_owner() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0 8"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    bench.cloud.reject(bench.now, b, StatusCode::REQUEST_PENDING, None, vec![]).unwrap();
    bench.pump();
    bench.pass(Duration::from_millis(2_050));
    assert_eq!(offers(&bench.cloud_events, b), 1, "the Call-ID is ours: not before 2.1 s");
    bench.pass(Duration::from_millis(2_000));
    assert_eq!(offers(&bench.cloud_events, b), 2, "and not after 4 s");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    for _ in 0..10 {
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(offers(&bench.cloud_events, b), 2, "once it is taken, that is all");
}

#[test]
fn endless_glare_is_given_up_and_the_call_goes_on() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0 8"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, Some(audio("sendrecv", "8"))).unwrap();
    bench.pump();
    for _ in 0..60 {
        let _ = bench.cloud.reject(bench.now, b, StatusCode::REQUEST_PENDING, None, vec![]);
        bench.pump();
        bench.pass(Duration::from_millis(500));
    }
    assert_eq!(offers(&bench.cloud_events, b), 5);
    assert!(bench.records.is_empty());
}

#[test]
fn changes_of_both_sides_at_the_same_time_get_491_on_both() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0 8"))).unwrap();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    // The gateway's offer to the cloud and the cloud's own cross on the wire.
    while let Some(transmit) = bench.pbx.poll_transmit() {
        bench.shard.receive(bench.now, source(PBX, GATEWAY), transmit.payload);
    }
    while let Some(transmit) = bench.cloud.poll_transmit() {
        bench.shard.receive(bench.now, source(CLOUD, GATEWAY), transmit.payload);
    }
    bench.pump();
    assert_eq!(refused(&bench.cloud_events), Some(491));
    assert_eq!(refused(&bench.pbx_events), Some(491), "the cloud could not take it");
    bench.change(a, b, Some(audio("sendonly", "0 8")), Some(audio("recvonly", "0")));
    assert_eq!(direction(&answered(&bench.pbx_events).unwrap()), "a=recvonly");
}

const FAX: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=image 4900 udptl t38\r\n\
    a=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n";

#[test]
fn fax_is_refused_unless_the_trunk_says_otherwise_and_audio_stays() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(sdp(FAX)), None);
    assert_eq!(refused(&bench.pbx_events), Some(488));
    assert!(explained(&bench.pbx_events, HeaderName::Warning).unwrap().starts_with("304 "));
    assert_eq!(offers(&bench.cloud_events, b), 0);
    assert_eq!(bench.told(Side::A).traffic, Traffic::Rtp);
    // Asked by the other side it is the same.
    bench.cloud.reinvite(bench.now, b, vec![], Some(sdp(FAX))).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.cloud_events), Some(488));
}

#[test]
fn fax_is_passed_where_the_trunk_says_so_and_the_way_back_to_audio_too() {
    let mut bench = Bench::with("t38 = \"pass\"", "");
    let (a, b) = bench.connected();
    let far = FAX.replace("4900", "5900").replace("14400", "9600");
    bench.change(a, b, Some(sdp(FAX)), Some(sdp(&far)));
    let passed = offered(&bench.cloud_events, b).unwrap();
    assert!(passed.contains("m=image 20002 udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n"), "{passed}");
    let answer = answered(&bench.pbx_events).unwrap();
    assert!(answer.contains("m=image 20000 udptl t38\r\n") && answer.contains("a=T38MaxBitRate:9600\r\n"), "{answer}");
    for (side, remote) in [(Side::A, "192.0.2.9:4900"), (Side::B, "192.0.2.9:5900")] {
        assert_eq!(bench.told(side).traffic, Traffic::Opaque);
        assert_eq!(bench.told(side).remote, Some(remote.parse().unwrap()));
    }
    bench.change(a, b, Some(audio("sendrecv", "0 8")), Some(audio("sendrecv", "0")));
    assert!(answered(&bench.pbx_events).unwrap().contains("m=audio 20000 RTP/AVP 0\r\n"));
    assert_eq!(bench.told(Side::A).traffic, Traffic::Rtp);
    assert_eq!(bench.told(Side::A).payload_map.0[0], Some(0));
}

#[test]
fn fax_that_the_other_side_refuses_leaves_the_call_as_it_was() {
    let mut bench = Bench::with("t38 = \"pass\"", "");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(sdp(FAX)), None);
    bench.cloud.reject(bench.now, b, StatusCode::NOT_ACCEPTABLE_HERE, None, vec![]).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.pbx_events), Some(488));
    assert_eq!(bench.told(Side::A).traffic, Traffic::Rtp);
    bench.change(a, b, Some(audio("sendonly", "0 8")), Some(audio("recvonly", "0")));
    assert!(offered(&bench.cloud_events, b).unwrap().contains("m=audio 20002"));
}

#[test]
fn a_body_that_has_to_be_understood_is_refused_before_and_during_the_call() {
    let text = Body { content_type: "text/plain", bytes: "hello".into() };
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.change(a, b, Some(text.clone()), None);
    assert_eq!(refused(&bench.pbx_events), Some(415));
    assert!(explained(&bench.pbx_events, HeaderName::Accept).unwrap().starts_with("application/sdp"));
    assert_eq!(offers(&bench.cloud_events, b), 0);
    let aside = vec![("Content-Disposition".into(), "render;handling=optional".to_owned())];
    bench.pbx.reinvite(bench.now, a, aside, Some(text)).unwrap();
    bench.pump();
    assert_eq!(offers(&bench.cloud_events, b), 1, "what may be left aside makes it a change without offer");
}

#[test]
fn a_caller_who_took_a_change_of_a_bot_that_is_gone_is_told_what_holds_with_the_fallback() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.connected();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    // The caller takes it before the fallback answers.
    bench.pbx.answer(bench.now, a, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx_events.clear();
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(direction(&offered(&bench.pbx_events, a).expect("a new offer")), "a=sendrecv");
    bench.pbx.answer(bench.now, a, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.flows(Side::A), (Flow::Open, Flow::Open));
}

#[test]
fn a_caller_who_is_held_by_a_bot_that_is_gone_without_a_word_goes_to_the_fallback() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    bench.cloud.reject(bench.now, b, StatusCode::NO_SUCH_TRANSACTION, None, vec![]).unwrap();
    bench.pump();
    let fallback = invited(&bench.pbx_events).expect("the PBX was called back");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.state(), CallState::Connected);
    assert!(bench.records.is_empty());
}
