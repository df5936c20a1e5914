//! What a relay does with each packet.

use super::*;
use crate::media::{Counts, PayloadMap, SilenceClock, Traffic};
use proptest::prelude::*;
use rtp_rs::{RtpPacketBuilder, Seq};
use std::cell::RefCell;
use std::time::Duration;

const A: &str = "192.0.2.1:4000";
const B: &str = "203.0.113.2:5000";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn open(remote: &str) -> SideConfig {
    SideConfig {
        remote: Some(at(remote)),
        remote_rtcp: None,
        may_come_from: Vec::new(),
        payload_map: PayloadMap::identity(),
        send: Flow::Open,
        receive: Flow::Open,
        traffic: Traffic::Rtp,
    }
}

fn unconfigured() -> Forwarder {
    let mut relay = Forwarder::at_rest(&Arc::default());
    relay.open(42, &Arc::default());
    relay
}

fn relay() -> Forwarder {
    let mut relay = unconfigured();
    relay.configure(Side::A, open(A));
    relay.configure(Side::B, open(B));
    relay
}

fn rtp(payload_type: u8, sequence: u16) -> Vec<u8> {
    let builder = RtpPacketBuilder::new().payload_type(payload_type).sequence(Seq::from(sequence)).ssrc(7);
    builder.payload(&[0xd5; 160]).build().unwrap()
}

fn rtcp() -> Vec<u8> {
    vec![0x80, 201, 0, 1, 0, 0, 0, 7]
}

fn to(channel: Channel, address: &str) -> Option<Forward> {
    Some(Forward { channel, to: at(address) })
}

fn counts(relay: &Forwarder) -> Counts {
    relay.halves[0].counters.read()
}

#[test]
fn speech_goes_to_the_other_side_and_only_the_first_packet_is_an_event() {
    let mut relay = relay();
    let step = relay.rtp(Side::A, at(A), &mut rtp(0, 1));
    assert_eq!(step, Step { forward: to(Channel::Rtp, B), first: Some(42) });
    let step = relay.rtp(Side::A, at(A), &mut rtp(0, 2));
    assert_eq!(step, Step { forward: to(Channel::Rtp, B), first: None });
    let step = relay.rtp(Side::B, at(B), &mut rtp(0, 1));
    assert_eq!(step, Step { forward: to(Channel::Rtp, A), first: Some(42) });
    relay.sent(Side::A, Channel::Rtp, &Ok(()));
    relay.sent(Side::A, Channel::Rtp, &Err(std::io::Error::from(std::io::ErrorKind::WouldBlock)));
    relay.sent(Side::B, Channel::Rtp, &Ok(()));
    let expected = Counts { received: [2, 1], bytes: [344, 172], sent: [1, 1], unsent: [0, 1], ..Counts::default() };
    assert_eq!(counts(&relay), expected);
}

#[test]
fn a_payload_type_is_renumbered_for_the_other_side_or_stopped() {
    let mut relay = relay();
    let mut map = PayloadMap::closed();
    map.set(101, 96);
    relay.configure(Side::A, SideConfig { payload_map: map, ..open(A) });
    let mut packet = rtp(101, 1);
    assert!(relay.rtp(Side::A, at(A), &mut packet).forward.is_some());
    assert_eq!(packet[1], 96);
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(8, 2)), ENDS_HERE);
    assert_eq!(counts(&relay).dropped, [1, 0]);
}

#[test]
fn strangers_noise_and_probation_are_dropped_and_counted() {
    let mut relay = relay();
    for mut packet in [rtp(0, 1), b"noise".to_vec(), Vec::new(), rtcp()] {
        assert_eq!(relay.rtp(Side::A, at("198.51.100.1:4000"), &mut packet), ENDS_HERE);
    }
    assert_eq!(relay.rtp(Side::A, at(A), &mut [0; 172]), ENDS_HERE);
    assert_eq!(relay.rtcp(Side::A, at("198.51.100.1:4001"), &rtcp()), ENDS_HERE);
    assert_eq!(relay.rtcp(Side::A, at("192.0.2.1:4001"), b"noise"), ENDS_HERE);
    assert_eq!(relay.rtp(Side::A, at("192.0.2.1:4444"), &mut rtp(0, 1)), ENDS_HERE);
    assert_eq!(counts(&relay), Counts { dropped: [8, 0], ..Counts::default() });
}

#[test]
fn speech_is_sent_to_where_the_other_peer_really_is() {
    let mut relay = relay();
    for sequence in 0..3 {
        relay.rtp(Side::B, at("203.0.113.2:5555"), &mut rtp(0, sequence));
    }
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(0, 1)).forward, to(Channel::Rtp, "203.0.113.2:5555"));
    relay.configure(Side::B, open("203.0.113.2:6000"));
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(0, 2)).forward, to(Channel::Rtp, "203.0.113.2:6000"));
}

#[test]
fn a_held_side_stops_the_flow_it_says_and_no_other() {
    let flows = [(Flow::Held, Flow::Open), (Flow::Open, Flow::Held), (Flow::Held, Flow::Held)];
    for (send, receive) in flows {
        let mut relay = relay();
        relay.configure(Side::B, SideConfig { send, receive, ..open(B) });
        let towards = relay.rtp(Side::A, at(A), &mut rtp(0, 1)).forward.is_some();
        let back = relay.rtp(Side::B, at(B), &mut rtp(0, 1)).forward.is_some();
        assert_eq!((towards, back), (send == Flow::Open, receive == Flow::Open));
        assert!(relay.rtcp(Side::A, at("192.0.2.1:4001"), &rtcp()).forward.is_some(), "RTCP flows while held");
        relay.configure(Side::B, open(B));
        assert!(relay.rtp(Side::A, at(A), &mut rtp(0, 2)).forward.is_some(), "and speech again afterwards");
    }
}

#[test]
fn early_speech_is_the_first_packet_though_nobody_can_hear_it() {
    let mut relay = unconfigured();
    relay.configure(Side::A, open(A));
    relay.configure(Side::B, SideConfig { remote: None, ..open(B) });
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(0, 1)), Step { forward: None, first: Some(42) });
    let expected = Counts { received: [1, 0], bytes: [172, 0], unsent: [0, 1], ..Counts::default() };
    assert_eq!(counts(&relay), expected);
}

#[test]
fn a_reset_side_takes_nothing_until_it_is_configured_and_then_starts_anew() {
    let mut relay = relay();
    assert!(relay.rtp(Side::B, at(B), &mut rtp(0, 1)).first.is_some());
    relay.reset(Side::B);
    assert_eq!(relay.rtp(Side::B, at(B), &mut rtp(0, 2)), ENDS_HERE);
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(0, 2)), ENDS_HERE, "nobody is there to be sent to");
    relay.configure(Side::B, open("203.0.113.9:7000"));
    let step = relay.rtp(Side::B, at("203.0.113.9:7000"), &mut rtp(0, 1));
    assert_eq!(step, Step { forward: to(Channel::Rtp, A), first: Some(42) });
}

#[test]
fn rtcp_goes_to_the_rtcp_port_whichever_port_it_came_in_on() {
    let mut relay = relay();
    let expected = Step { forward: to(Channel::Rtcp, "203.0.113.2:5001"), first: None };
    assert_eq!(relay.rtcp(Side::A, at("192.0.2.1:4001"), &rtcp()), expected);
    let mut muxed = rtcp();
    assert_eq!(relay.rtp(Side::A, at(A), &mut muxed), expected);
    assert_eq!(muxed, rtcp(), "untouched");
    relay.configure(Side::B, SideConfig { remote_rtcp: Some(at("203.0.113.3:8001")), ..open(B) });
    assert_eq!(relay.rtcp(Side::A, at("192.0.2.1:4001"), &rtcp()).forward, to(Channel::Rtcp, "203.0.113.3:8001"));
    relay.sent(Side::A, Channel::Rtcp, &Ok(()));
    assert_eq!(counts(&relay), Counts { rtcp_sent: [0, 1], ..Counts::default() });
}

#[test]
fn each_side_has_its_own_silence_clocks_and_rtcp_counts_as_life() {
    let start = crate::clock::now();
    let second = |n| start + Duration::from_secs(n);
    let timeouts =
        Timeouts { initial: Duration::from_secs(30), ongoing: Duration::from_secs(60), held: Duration::from_secs(600) };
    let told = RefCell::new(Vec::new());
    let tell = |event| told.borrow_mut().push(event);
    let mut relay = relay();
    relay.sweep(second(5_000), &tell);
    assert!(told.take().is_empty() && !relay.is_watched(), "no clock runs before watch");
    relay.watch(timeouts, start);
    relay.rtp(Side::A, at(A), &mut rtp(0, 1));
    relay.rtp(Side::B, at("198.51.100.1:1"), &mut rtp(0, 1));
    relay.sweep(second(30), &tell);
    let silent = |side, clock| MediaEvent::Silent { owner: 42, side, clock };
    assert_eq!(told.take(), [silent(Side::B, SilenceClock::Initial)], "a stranger is no sign of life");
    relay.rtcp(Side::A, at("192.0.2.1:4001"), &rtcp());
    relay.sweep(second(60), &tell);
    assert!(told.take().is_empty());
    relay.sweep(second(120), &tell);
    assert_eq!(told.take(), [silent(Side::A, SilenceClock::Ongoing)]);
    relay.configure(Side::A, SideConfig { send: Flow::Held, ..open(A) });
    relay.sweep(second(121), &tell);
    relay.sweep(second(720), &tell);
    assert!(told.take().is_empty());
    relay.sweep(second(721), &tell);
    assert_eq!(told.take(), [silent(Side::A, SilenceClock::Held)]);
    relay.reset(Side::A);
    relay.sweep(second(9_000), &tell);
    assert!(told.take().is_empty() && relay.is_watched(), "nobody is expected");
}

#[test]
fn at_rest_everything_is_refused_and_counted_by_nobody() {
    let nobody = Arc::<Counters>::default();
    let mut relay = relay();
    relay.watch(
        Timeouts { initial: Duration::ZERO, ongoing: Duration::ZERO, held: Duration::ZERO },
        crate::clock::now(),
    );
    let before = Arc::clone(&relay.halves[0].counters);
    relay.close(&nobody);
    assert!(!relay.is_open() && !relay.is_watched());
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(0, 1)), ENDS_HERE);
    assert_eq!(relay.rtcp(Side::B, at("203.0.113.2:5001"), &rtcp()), ENDS_HERE);
    assert_eq!((before.read(), nobody.read().dropped), (Counts::default(), [1, 1]));
}

#[test]
fn a_stream_heard_at_rest_does_not_cross_into_the_next_call() {
    let mut relay = relay();
    relay.close(&Arc::default());
    relay.rtp(Side::A, at("192.0.2.1:4444"), &mut rtp(0, 0));
    relay.open(43, &Arc::default());
    relay.configure(Side::A, open(A));
    relay.configure(Side::B, open(B));
    for sequence in 1..20 {
        assert_eq!(relay.rtp(Side::A, at("192.0.2.1:4444"), &mut rtp(0, sequence)), ENDS_HERE);
    }
    assert_eq!(relay.rtp(Side::A, at(A), &mut rtp(0, 1)), Step { forward: to(Channel::Rtp, B), first: Some(43) });
}

proptest! {
    #[test]
    fn any_datagram_from_anywhere_is_accounted_for_once(
        datagrams in proptest::collection::vec((any::<bool>(), any::<bool>(), 0usize..4, proptest::collection::vec(any::<u8>(), 0..64)), 0..60)
    ) {
        let mut relay = relay();
        let sources = [A, B, "192.0.2.1:4001", "198.51.100.1:9"].map(at);
        let mut forwarded = 0;
        let total = datagrams.len() as u64;
        for (to_a, on_rtp, source, mut bytes) in datagrams {
            let side = if to_a { Side::A } else { Side::B };
            let step = if on_rtp {
                relay.rtp(side, sources[source], &mut bytes)
            } else {
                relay.rtcp(side, sources[source], &bytes)
            };
            forwarded += u64::from(step.forward.is_some());
        }
        let counts = counts(&relay);
        prop_assert_eq!(forwarded + counts.dropped.iter().sum::<u64>(), total);
    }
}

#[test]
fn a_tone_sounds_until_the_other_side_is_heard_and_no_longer() {
    let mut relay = relay();
    let mut buffer = [0; 200];
    assert_eq!(relay.tone(Side::A, &mut buffer), None, "none is played");
    relay.rtp(Side::B, at(B), &mut rtp(0, 1));
    relay.play(Side::A, score());
    assert_eq!(relay.tone(Side::A, &mut buffer), Some((172, at(A))));
    assert_eq!(relay.tone(Side::B, &mut buffer), None);
    relay.rtp(Side::A, at(A), &mut rtp(0, 1));
    assert!(relay.plays(Side::A), "the caller itself may speak");
    let step = relay.rtp(Side::B, at(B), &mut rtp(0, 2));
    assert_eq!((step.first, relay.plays(Side::A)), (Some(42), false), "the far side is heard, and that is told");
    assert_eq!(relay.tone(Side::A, &mut buffer), None);
}

#[test]
fn a_tone_is_not_sent_to_a_peer_that_holds_or_is_not_known() {
    let mut relay = unconfigured();
    let mut buffer = [0; 200];
    relay.play(Side::A, score());
    assert_eq!(relay.tone(Side::A, &mut buffer), None);
    relay.configure(Side::A, SideConfig { send: Flow::Held, ..open(A) });
    assert_eq!(relay.tone(Side::A, &mut buffer), None);
    relay.configure(Side::A, open(A));
    assert!(relay.tone(Side::A, &mut buffer).is_some());
    relay.quiet(Side::A);
    assert!(!relay.plays(Side::A));
}

#[test]
fn a_strangers_packet_stops_no_tone_and_the_end_of_the_call_does() {
    let mut relay = relay();
    relay.play(Side::A, score());
    relay.rtp(Side::B, at("198.51.100.66:5000"), &mut rtp(0, 1));
    assert!(relay.plays(Side::A));
    relay.close(&Arc::default());
    assert!(!relay.plays(Side::A));
}

fn score() -> Score {
    let plan = crate::media::tone::Plan::ringback("US");
    let coding = crate::media::tone::Coding::Pcmu;
    Score { plan, coding, payload_type: 0, ssrc: 1, sequence: 1, timestamp: 1, after: Duration::ZERO }
}

#[test]
fn opaque_datagrams_pass_as_they_are_and_only_from_where_signalling_allows() {
    let mut relay = relay();
    for (side, remote) in [(Side::A, A), (Side::B, B)] {
        relay.configure(
            side,
            SideConfig { traffic: Traffic::Opaque, payload_map: PayloadMap::closed(), ..open(remote) },
        );
    }
    let mut udptl = vec![0x00, 0x01, 0x01, 0x06, 0x00];
    let before = udptl.clone();
    let step = relay.rtp(Side::A, at(A), &mut udptl);
    assert_eq!((step.forward, udptl), (to(Channel::Rtp, B), before));
    assert_eq!(relay.rtp(Side::A, at("198.51.100.9:4000"), &mut [0, 2, 1]).forward, None, "a stranger");
    assert_eq!(relay.rtp(Side::A, at(A), &mut []).forward, None, "nothing in it");
    assert_eq!(counts(&relay).received, [1, 0]);
}

#[test]
fn an_opaque_peer_behind_a_nat_is_believed_after_its_probation() {
    let mut relay = relay();
    for (side, remote) in [(Side::A, A), (Side::B, B)] {
        relay.configure(side, SideConfig { traffic: Traffic::Opaque, ..open(remote) });
    }
    let mapped = at("192.0.2.1:61000");
    let passed: Vec<bool> = (1..=3u8).map(|n| relay.rtp(Side::A, mapped, &mut [0, n, 0]).forward.is_some()).collect();
    assert_eq!(passed, [false, false, true]);
    assert_eq!(relay.rtp(Side::B, at(B), &mut [0, 1, 0]).forward, Some(Forward { channel: Channel::Rtp, to: mapped }));
}

#[test]
fn fax_is_silent_for_long_and_nobody_minds() {
    let mut relay = relay();
    relay.configure(Side::A, SideConfig { traffic: Traffic::Opaque, ..open(A) });
    assert_eq!(relay.halves[0].expectation(), Expectation::Held);
}
