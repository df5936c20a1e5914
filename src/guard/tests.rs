//! The guard as packets meet it, under a virtual clock.

use super::*;
use crate::config::guard::{Guard as Settings, Unknown};
use crate::config::value::{Network, Span};

const OPTIONS: &[u8] = b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nUser-Agent: PBX\r\n\r\n";
const SCAN: &[u8] = b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|_| IpNet::from(address(text)))).collect()
}

fn settings() -> Settings {
    Settings {
        rate: 10,
        ban_after: 3,
        ban_window: Span::from_secs(60),
        ban_time: Span::from_secs(600),
        ..Settings::default()
    }
}

fn guard(settings: &Settings) -> Guard {
    Guard::new(settings, &nets(&["192.0.2.10", "198.51.100.0/24", "2001:db8:1::5"]))
}

#[test]
fn a_peer_is_never_limited_or_banned_whatever_comes_in_its_name() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    for peer in ["192.0.2.10", "198.51.100.77", "2001:db8:1::5", "::ffff:192.0.2.10"].map(address) {
        for call in 0..1_000_u32 {
            guard.packet(now, peer, SCAN).unwrap();
            guard.failed_login(now, peer);
            let _ = guard.new_request(now, peer, &call.to_be_bytes());
        }
        assert!(guard.packet(now, peer, OPTIONS).is_ok());
        assert_eq!(guard.connection(now, peer), Ok(Caller::Known));
    }
    assert!(guard.bans(now).is_empty());
    assert_eq!(guard.ban(now, "192.0.2.0/24".parse().unwrap(), None), Err(Unbannable::Peer));
    assert_eq!(guard.ban(now, "198.51.100.9/32".parse().unwrap(), None), Err(Unbannable::Peer));
}

#[test]
fn a_stranger_may_send_a_burst_and_then_only_at_its_rate() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    let passed =
        |at, count: usize| (0..count).filter(|_| guard.packet(at, address("203.0.113.1"), OPTIONS).is_ok()).count();
    assert_eq!(passed(now, 100), 20);
    assert_eq!(guard.packet(now, address("203.0.113.1"), OPTIONS), Err(Refusal::Rate));
    assert!(guard.packet(now, address("203.0.113.2"), OPTIONS).is_ok(), "its neighbour is another one");
    assert_eq!(passed(now + Duration::from_secs(1), 100), 10);
    assert!(guard.bans(now).is_empty(), "too fast is not yet hostile");
}

#[test]
fn a_network_of_ipv6_is_one_stranger() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    let passed = (0..100_u16)
        .filter(|host| guard.packet(now, Ipv6Addr::new(0x2001, 0xdb8, 7, 7, 0, 0, 0, *host).into(), OPTIONS).is_ok());
    assert_eq!(passed.count(), 20);
    assert!(guard.packet(now, address("2001:db8:7:8::1"), OPTIONS).is_ok());
}

#[test]
fn responses_pass_because_we_may_wait_for_them() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    for _ in 0..1_000 {
        guard.packet(now, address("203.0.113.1"), b"SIP/2.0 200 OK\r\nUser-Agent: sipvicious\r\n\r\n").unwrap();
    }
}

#[test]
fn a_scanner_is_dropped_and_banned_at_once_until_its_time_is_over() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    let scanner = address("203.0.113.66");
    assert_eq!(guard.packet(now, scanner, SCAN), Err(Refusal::Scanner));
    assert_eq!(guard.packet(now, scanner, OPTIONS), Err(Refusal::Banned));
    assert_eq!(guard.connection(now, scanner), Err(Refusal::Banned));
    let bans = guard.bans(now);
    assert_eq!((bans.len(), bans[0].source.to_string(), bans[0].reason), (1, "203.0.113.66/32".to_owned(), "scanner"));
    assert!(guard.packet(now + Duration::from_secs(601), scanner, OPTIONS).is_ok());
}

#[test]
fn refusals_within_the_window_ban_and_repetitions_of_one_call_count_once() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    let stranger = address("203.0.113.5");
    for _ in 0..50 {
        assert!(guard.new_request(now, stranger, b"one").is_ok() || guard.bans(now).is_empty());
    }
    assert!(guard.bans(now).is_empty(), "one call, however often");
    let _ = guard.new_request(now, stranger, b"two");
    let late = now + Duration::from_secs(61);
    let _ = guard.new_request(late, stranger, b"three");
    assert!(guard.bans(late).is_empty(), "the first two are too long ago");
    let _ = guard.new_request(late, stranger, b"four");
    guard.failed_login(late, stranger);
    assert_eq!(guard.bans(late)[0].reason, "login");
    assert!(guard.unban(late, "203.0.113.5/32".parse().unwrap()));
    assert!(guard.packet(late, stranger, OPTIONS).is_ok());
    assert!(!guard.unban(late, "203.0.113.5/32".parse().unwrap()));
}

#[test]
fn all_strangers_together_have_a_rate_too() {
    let settings = Settings { rate_all: 5, ..settings() };
    let (guard, now) = (guard(&settings), crate::clock::now());
    let outcomes: Vec<_> =
        (0..8_u8).map(|host| guard.new_request(now, Ipv4Addr::new(203, 0, 113, host).into(), &[host])).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    assert_eq!(outcomes.last(), Some(&Err(Refusal::RateAll)));
}

#[test]
fn dropping_the_unknown_is_a_choice() {
    let settings = Settings { unknown: Unknown::Drop, ..settings() };
    let (guard, now) = (guard(&settings), crate::clock::now());
    assert_eq!(guard.new_request(now, address("203.0.113.1"), b"x"), Err(Refusal::Unknown));
}

#[test]
fn whom_we_spoke_to_is_no_stranger() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    let cloud = address("203.0.113.200");
    assert!(guard.is_stranger(cloud));
    guard.acquaint(cloud);
    assert!(!guard.is_stranger(cloud));
    for _ in 0..1_000 {
        guard.packet(now, cloud, SCAN).unwrap();
    }
}

#[test]
fn the_deny_list_and_bans_by_hand_cover_networks_and_a_reload_keeps_the_latter() {
    let settings = Settings { deny: vec![Network("203.0.113.0/25".parse().unwrap())], ..settings() };
    let (guard, now) = (guard(&settings), crate::clock::now());
    assert_eq!(guard.packet(now, address("203.0.113.5"), OPTIONS), Err(Refusal::Denied));
    assert!(guard.packet(now, address("203.0.113.130"), OPTIONS).is_ok());
    guard.ban(now, "203.0.113.128/26".parse().unwrap(), Some(Duration::from_secs(5))).unwrap();
    let guard = Guard::after(&guard, &settings, &[]);
    assert_eq!(guard.packet(now, address("203.0.113.130"), OPTIONS), Err(Refusal::Banned));
    assert!(guard.packet(now, address("203.0.113.200"), OPTIONS).is_ok());
    assert!(guard.packet(now + Duration::from_secs(6), address("203.0.113.130"), OPTIONS).is_ok());
}

#[test]
fn half_open_invites_are_counted_by_source_and_given_back() {
    let (guard, source) = (guard(&Settings { half_open: 2, ..settings() }), address("192.0.2.10"));
    let first = guard.pending(source).unwrap();
    let _second = guard.pending(source).unwrap();
    assert_eq!(guard.pending(source).unwrap_err(), Refusal::HalfOpen);
    assert!(guard.pending(address("192.0.2.11")).is_ok());
    drop(first);
    assert!(guard.pending(source).is_ok());
}

#[test]
fn a_flood_of_forged_sources_takes_no_more_room_and_does_not_free_the_banned() {
    let (guard, now) = (guard(&settings()), crate::clock::now());
    let scanner = address("203.0.113.66");
    let _ = guard.packet(now, scanner, SCAN);
    let places = || guard.memory.strangers.places();
    for host in 0..200_000_u32 {
        let _ = guard.packet(now, Ipv4Addr::from(0x0a00_0000 + host).into(), OPTIONS);
    }
    assert!(places() <= 16_384, "{}", places());
    assert_eq!(guard.packet(now, scanner, OPTIONS), Err(Refusal::Banned));
    assert!(guard.packet(now, address("192.0.2.10"), OPTIONS).is_ok());
}
