//! The latch, row by row.

use super::*;
use proptest::prelude::*;

const DECLARED: &str = "192.0.2.1:4000";
const SAME_HOST: &str = "192.0.2.1:9999";
const NAT: &str = "198.51.100.7:61000";
const STRANGER: &str = "203.0.113.9:4000";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn stamp(ssrc: u32, sequence: u16) -> Stamp {
    Stamp { ssrc, sequence }
}

/// A latch whose peer declares [`DECLARED`] and signals from the address of [`NAT`].
fn declared() -> Latch {
    let mut latch = Latch::default();
    latch.declare(Some(at(DECLARED)), None, vec![at(NAT).ip()]);
    latch
}

fn locked_to(source: &str) -> Latch {
    let mut latch = declared();
    for sequence in 0..3 {
        latch.admit(at(source), stamp(7, sequence));
    }
    assert_eq!(latch.target(), Some(at(source)));
    latch
}

#[test]
fn one_row_for_each_source_and_state() {
    use Admission::{Accepted, Latched, Probation, Stranger};
    // (state, packets as (source, ssrc, sequence), what becomes of each, where RTP goes afterwards)
    type Row = (&'static str, &'static [(&'static str, u32, u16)], &'static [Admission], &'static str);
    let rows: &[Row] = &[
        (
            "the declared address is taken at once",
            &[(DECLARED, 1, 9), (DECLARED, 1, 10)],
            &[Latched, Accepted],
            DECLARED,
        ),
        ("and may change its stream", &[(DECLARED, 1, 9), (DECLARED, 2, 500)], &[Latched, Accepted], DECLARED),
        (
            "another port of its host is on probation",
            &[(SAME_HOST, 1, 9), (SAME_HOST, 1, 10), (SAME_HOST, 1, 11)],
            &[Probation, Probation, Latched],
            SAME_HOST,
        ),
        (
            "so is an allowed address",
            &[(NAT, 1, 65_534), (NAT, 1, 65_535), (NAT, 1, 0), (NAT, 1, 1)],
            &[Probation, Probation, Latched, Accepted],
            NAT,
        ),
        (
            "a gap starts the row again",
            &[(NAT, 1, 1), (NAT, 1, 2), (NAT, 1, 4), (NAT, 1, 5), (NAT, 1, 6)],
            &[Probation, Probation, Probation, Probation, Latched],
            NAT,
        ),
        ("so does another stream", &[(NAT, 1, 1), (NAT, 1, 2), (NAT, 2, 3), (NAT, 1, 4)], &[Probation; 4], DECLARED),
        (
            "so does another allowed source",
            &[(NAT, 1, 1), (NAT, 1, 2), (SAME_HOST, 1, 3), (NAT, 1, 3)],
            &[Probation; 4],
            DECLARED,
        ),
        ("a repeated packet is no progress", &[(NAT, 1, 1), (NAT, 1, 1), (NAT, 1, 1)], &[Probation; 3], DECLARED),
        ("a stranger is refused", &[(STRANGER, 1, 1), (STRANGER, 1, 2), (STRANGER, 1, 3)], &[Stranger; 3], DECLARED),
        (
            "and does not break a row",
            &[(NAT, 1, 1), (STRANGER, 9, 9), (NAT, 1, 2), (STRANGER, 9, 10), (NAT, 1, 3)],
            &[Probation, Stranger, Probation, Stranger, Latched],
            NAT,
        ),
        (
            "the declared address ends a probation",
            &[(NAT, 1, 1), (NAT, 1, 2), (DECLARED, 3, 1), (NAT, 1, 3)],
            &[Probation, Probation, Latched, Stranger],
            DECLARED,
        ),
        (
            "a locked latch refuses other allowed sources",
            &[(DECLARED, 1, 1), (SAME_HOST, 2, 1), (SAME_HOST, 2, 2), (SAME_HOST, 2, 3), (NAT, 2, 4)],
            &[Latched, Stranger, Stranger, Stranger, Stranger],
            DECLARED,
        ),
    ];
    for (name, packets, expected, target) in rows {
        let mut latch = declared();
        let verdicts: Vec<_> =
            packets.iter().map(|&(source, ssrc, n)| latch.admit(at(source), stamp(ssrc, n))).collect();
        assert_eq!(verdicts, *expected, "{name}");
        assert_eq!(latch.target(), Some(at(target)), "{name}");
    }
}

#[test]
fn nothing_is_accepted_before_the_sdp_is_known() {
    let mut latch = Latch::default();
    assert_eq!(latch.admit(at(DECLARED), stamp(1, 1)), Admission::Stranger);
    assert!(!latch.admit_rtcp(at("192.0.2.1:4001")));
    assert!(!latch.knows(at(DECLARED)));
    assert_eq!((latch.target(), latch.rtcp_target()), (None, None));
    latch.declare(None, None, vec![at(NAT).ip()]);
    assert_eq!(latch.admit(at(NAT), stamp(1, 1)), Admission::Stranger);
    assert!(!latch.is_declared());
}

#[test]
fn an_unspecified_address_or_port_zero_declares_nothing() {
    for address in ["0.0.0.0:4000", "[::]:4000", "[::ffff:0.0.0.0]:4000", "192.0.2.1:0"] {
        let mut latch = declared();
        latch.declare(Some(at(address)), None, vec![]);
        assert_eq!(latch.target(), None, "{address}");
    }
}

#[test]
fn the_declared_address_takes_over_from_a_silent_source_after_the_same_probation() {
    let mut latch = locked_to(NAT);
    assert_eq!(latch.admit(at(DECLARED), stamp(9, 1)), Admission::Probation);
    assert_eq!(latch.admit(at(DECLARED), stamp(9, 2)), Admission::Probation);
    assert_eq!(latch.admit(at(DECLARED), stamp(9, 3)), Admission::Latched);
    assert_eq!(latch.admit(at(NAT), stamp(7, 3)), Admission::Stranger, "there is no way back but by signalling");
}

#[test]
fn a_stream_that_was_latched_first_cannot_keep_the_declared_address_out() {
    let mut latch = locked_to(SAME_HOST);
    for (sequence, verdict) in [(1, Admission::Probation), (2, Admission::Probation), (3, Admission::Latched)] {
        assert_eq!(latch.admit(at(SAME_HOST), stamp(7, 10 + sequence)), Admission::Accepted);
        assert_eq!(latch.admit(at(DECLARED), stamp(9, sequence)), verdict);
    }
}

#[test]
fn a_single_packet_with_the_declared_address_moves_nothing() {
    let mut latch = locked_to(NAT);
    assert_eq!(latch.admit(at(DECLARED), stamp(9, 1)), Admission::Probation);
    assert_eq!(latch.target(), Some(at(NAT)));
}

#[test]
fn the_same_declaration_again_keeps_the_lock_and_another_one_unlocks() {
    let mut latch = locked_to(NAT);
    latch.declare(Some(at(DECLARED)), None, vec![at(NAT).ip()]);
    assert_eq!(latch.target(), Some(at(NAT)), "re-INVITE without change");
    latch.declare(Some(at("192.0.2.1:4002")), None, vec![at(NAT).ip()]);
    assert_eq!(latch.target(), Some(at("192.0.2.1:4002")));
    assert_eq!(latch.admit(at(NAT), stamp(7, 3)), Admission::Probation);
    assert_eq!(latch.admit(at("192.0.2.1:4002"), stamp(7, 3)), Admission::Latched);
}

/// A latch that heard one packet at rest and then got a call whose peer declares [`DECLARED`].
fn reused_after(source: &str, ssrc: u32) -> Latch {
    let mut latch = locked_to(NAT);
    latch.rest();
    assert_eq!(latch.admit(at(source), stamp(ssrc, 1)), Admission::Stranger);
    latch.wake();
    assert_eq!(latch.target(), None);
    latch.declare(Some(at(DECLARED)), None, vec![]);
    latch
}

#[test]
fn a_stream_heard_at_rest_never_latches_but_its_device_may_call_again() {
    let mut latch = reused_after(SAME_HOST, 1);
    for sequence in 0..10 {
        assert_eq!(latch.admit(at(SAME_HOST), stamp(1, sequence)), Admission::Stranger);
    }
    for (sequence, verdict) in [(0, Admission::Probation), (1, Admission::Probation), (2, Admission::Latched)] {
        assert_eq!(latch.admit(at(SAME_HOST), stamp(2, sequence)), verdict);
    }
    let mut latch = reused_after(DECLARED, 1);
    assert_eq!(latch.admit(at(DECLARED), stamp(1, 5)), Admission::Latched, "signalling names this very source");
}

#[test]
fn a_peer_that_speaks_before_its_sdp_is_known_is_not_taken_for_a_stale_one() {
    let mut latch = Latch::default();
    latch.rest();
    latch.wake();
    assert_eq!(latch.admit(at(SAME_HOST), stamp(1, 1)), Admission::Stranger);
    latch.declare(Some(at(DECLARED)), None, vec![]);
    for (sequence, verdict) in [(2, Admission::Probation), (3, Admission::Probation), (4, Admission::Latched)] {
        assert_eq!(latch.admit(at(SAME_HOST), stamp(1, sequence)), verdict);
    }
}

#[test]
fn rtcp_comes_from_its_declared_port_or_from_where_rtp_is_locked() {
    let mut latch = declared();
    assert!(!latch.admit_rtcp(at("192.0.2.1:7777")), "RTP is not locked yet");
    assert!(latch.admit_rtcp(at("192.0.2.1:4001")), "port + 1");
    assert_eq!(latch.rtcp_target(), Some(at("192.0.2.1:4001")));
    latch.admit(at(DECLARED), stamp(1, 1));
    assert!(latch.admit_rtcp(at("192.0.2.1:7777")), "same address as RTP");
    assert_eq!(latch.rtcp_target(), Some(at("192.0.2.1:7777")));
    assert!(!latch.admit_rtcp(at("203.0.113.9:4001")));
    assert!(latch.admit_rtcp(at("192.0.2.1:4001")), "the declared port wins");
    assert_eq!(latch.rtcp_target(), Some(at("192.0.2.1:4001")));
}

#[test]
fn a_declared_rtcp_address_replaces_port_plus_one() {
    let mut latch = Latch::default();
    latch.declare(Some(at(DECLARED)), Some(at("192.0.2.2:5001")), vec![]);
    assert_eq!(latch.rtcp_target(), Some(at("192.0.2.2:5001")));
    assert!(latch.admit_rtcp(at("192.0.2.2:5001")));
    assert!(!latch.admit_rtcp(at("192.0.2.1:4001")));
    latch.declare(Some(at(DECLARED)), Some(at("192.0.2.2:5003")), vec![]);
    assert_eq!(latch.rtcp_target(), Some(at("192.0.2.2:5003")));
}

#[test]
fn behind_a_nat_rtcp_follows_the_rtp_source_until_it_shows_its_own() {
    let mut latch = locked_to(NAT);
    assert_eq!(latch.rtcp_target(), Some(at("198.51.100.7:61001")));
    assert!(latch.admit_rtcp(at("198.51.100.7:62222")));
    assert_eq!(latch.rtcp_target(), Some(at("198.51.100.7:62222")));
}

#[test]
fn port_65535_has_no_rtcp_port_after_it() {
    let mut latch = Latch::default();
    latch.declare(Some(at("192.0.2.1:65535")), None, vec![]);
    assert_eq!(latch.rtcp_target(), None);
    assert!(!latch.admit_rtcp(at("192.0.2.1:65535")));
}

#[test]
fn ipv4_in_ipv6_clothes_is_ipv4_and_scopes_do_not_divide() {
    assert_eq!(canonical(at("[::ffff:192.0.2.1]:4000")), at(DECLARED));
    let mut latch = Latch::default();
    latch.declare(Some(at("[fe80::1]:4000")), None, vec![]);
    let source = canonical(at("[fe80::1%3]:4000"));
    assert_eq!(latch.admit(source, stamp(1, 1)), Admission::Latched);
    assert_eq!(latch.target(), Some(source), "the reply needs the scope");
    assert_eq!(latch.admit(source, stamp(1, 2)), Admission::Accepted);
}

proptest! {
    /// Whatever is sent, RTP only ever goes to an address that signalling allows, and strangers never latch.
    #[test]
    fn the_target_is_always_allowed(packets in proptest::collection::vec((0usize..4, 0u32..2, 0u16..4), 0..200)) {
        let sources = [DECLARED, SAME_HOST, NAT, STRANGER];
        let mut latch = declared();
        let mut by_signalling = false;
        for (source, ssrc, sequence) in packets {
            let verdict = latch.admit(at(sources[source]), stamp(ssrc, sequence));
            prop_assert!(source != 3 || verdict == Admission::Stranger);
            let target = latch.target().unwrap();
            prop_assert_ne!(target, at(STRANGER));
            prop_assert!(!by_signalling || target == at(DECLARED), "once the declared address is locked it stays");
            by_signalling |= verdict == Admission::Latched && source == 0;
        }
    }
}
