//! Relays over loopback sockets.

use super::*;
use crate::media::latch::PROBATION;
use crate::media::worker::Worker;
use crate::media::{Flow, MediaEvent, PayloadMap, Side, SideConfig, SilenceClock, Timeouts};
use proptest::prelude::*;
use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_secs(2);

/// A plane with one worker on some free ports, and what its worker tells.
struct Bench {
    plane: SocketPlane,
    events: mpsc::Receiver<MediaEvent>,
}

/// A telephone: one RTP and one RTCP socket on an address of 127.0.0.0/8.
struct Phone {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Bench {
    fn new(bind: IpAddr, ports: u16) -> Self {
        let (sender, events) = mpsc::channel();
        let worker = Worker::spawn(
            "media-test",
            Box::new(move |event| {
                let _ = sender.send(event);
            }),
        )
        .unwrap();
        let first = UdpSocket::bind((bind, 0)).unwrap().local_addr().unwrap().port();
        let first = (first & !1).min(65_535 - ports);
        let plane = SocketPlane::new(bind, first..=first + ports - 1, REST, vec![worker], crate::clock::now);
        Self { plane, events }
    }

    /// Waits until commands so far are obeyed.
    fn settle(&self) {
        self.plane.shared.state.borrow().workers[0].settle();
    }

    /// Waits, with round trips to the worker, until it has dealt with what was sent: loopback delivers in its own time.
    fn until(&self, done: impl Fn() -> bool) {
        let start = crate::clock::now();
        while !done() {
            self.settle();
            assert!(crate::clock::now() - start < PATIENCE, "the packets did not arrive");
        }
    }

    /// Waits until so many RTP packets were received or dropped on each side.
    fn until_counted(&self, relay: &Relay, expected: [u64; 2]) {
        self.until(|| {
            let counts = relay.counts();
            (0..2).all(|side| counts.received[side] + counts.dropped[side] >= expected[side])
        });
    }

    /// A relay between two phones that declare their true addresses.
    fn call(&mut self, a: &Phone, b: &Phone) -> Relay {
        let relay = self.plane.open(7).unwrap();
        configure(&relay, Side::A, a.config());
        configure(&relay, Side::B, b.config());
        self.settle();
        relay
    }
}

impl Phone {
    fn at(address: IpAddr) -> Self {
        for _ in 0..200 {
            let rtp = UdpSocket::bind((address, 0)).unwrap();
            let next = rtp.local_addr().unwrap().port().saturating_add(1);
            if let Ok(rtcp) = UdpSocket::bind((address, next)) {
                rtp.set_read_timeout(Some(PATIENCE)).unwrap();
                rtcp.set_read_timeout(Some(PATIENCE)).unwrap();
                return Self { rtp, rtcp };
            }
        }
        panic!("no two free ports in a row");
    }

    fn new() -> Self {
        Self::at(LOCAL)
    }

    fn address(&self) -> SocketAddr {
        self.rtp.local_addr().unwrap()
    }

    fn config(&self) -> SideConfig {
        SideConfig {
            remote: Some(self.address()),
            remote_rtcp: None,
            may_come_from: Vec::new(),
            payload_map: PayloadMap::identity(),
            send: Flow::Open,
            receive: Flow::Open,
            traffic: crate::media::Traffic::Rtp,
        }
    }

    fn say(&self, relay: &Relay, side: Side, packet: &[u8]) {
        self.rtp.send_to(packet, (self.address().ip(), relay.port(side))).unwrap();
    }

    fn hear(&self) -> (Vec<u8>, SocketAddr) {
        hear(&self.rtp)
    }

    fn hears_nothing(&self) {
        self.rtp.set_nonblocking(true).unwrap();
        assert_eq!(self.rtp.recv(&mut [0; 1500]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        self.rtp.set_nonblocking(false).unwrap();
    }
}

fn hear(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

fn configure(relay: &Relay, side: Side, config: SideConfig) {
    relay.command(RelayCommand::Configure { side, config });
}

fn rtp(payload_type: u8, ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let builder = RtpPacketBuilder::new().payload_type(payload_type).ssrc(ssrc).sequence(Seq::from(sequence));
    builder.marked(sequence == 1).payload(payload).build().unwrap()
}

#[test]
fn speech_crosses_both_ways_intact_and_renumbered() {
    for bind in [LOCAL, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let mut bench = Bench::new(bind, 40);
        let (a, b) = (Phone::at(bind), Phone::at(bind));
        let relay = bench.plane.open(7).unwrap();
        let mut map = PayloadMap::identity();
        map.set(101, 96);
        configure(&relay, Side::A, SideConfig { payload_map: map, ..a.config() });
        configure(&relay, Side::B, b.config());
        bench.settle();
        let payload: Vec<u8> = (0..160).map(|byte: u8| byte.wrapping_mul(7)).collect();
        a.say(&relay, Side::A, &rtp(101, 1, 1, &payload));
        let (packet, from) = b.hear();
        assert_eq!(from.port(), relay.port(Side::B));
        let heard = RtpReader::new(&packet).unwrap();
        assert_eq!((heard.payload_type(), heard.mark(), heard.ssrc(), heard.payload()), (96, true, 1, &payload[..]));
        b.say(&relay, Side::B, &rtp(0, 2, 5, &payload));
        let (packet, from) = a.hear();
        assert_eq!((packet, from.port()), (rtp(0, 2, 5, &payload), relay.port(Side::A)));
        bench.until(|| relay.counts().sent == [1, 1]);
        let counts = relay.counts();
        assert_eq!((counts.received, counts.sent, counts.bytes), ([1, 1], [1, 1], [172, 172]));
        let first = |side| MediaEvent::FirstPacket { owner: 7, side };
        assert_eq!(bench.events.recv_timeout(PATIENCE), Ok(first(Side::A)));
        assert_eq!(bench.events.recv_timeout(PATIENCE), Ok(first(Side::B)));
    }
}

#[test]
fn the_largest_datagram_crosses_whole() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    let packet = rtp(0, 1, 1, &vec![0x55; 65_000]);
    a.say(&relay, Side::A, &packet);
    assert_eq!(b.hear().0, packet);
}

#[test]
fn another_port_of_the_declared_host_is_heard_after_probation_and_answered_there() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b, real) = (Phone::new(), Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    for sequence in 1..=4 {
        real.say(&relay, Side::A, &rtp(0, 1, sequence, b"hello"));
    }
    assert_eq!(b.hear().0, rtp(0, 1, u16::from(PROBATION), b"hello"));
    assert_eq!(b.hear().0, rtp(0, 1, 4, b"hello"));
    b.say(&relay, Side::B, &rtp(0, 2, 1, b"yes"));
    assert_eq!(real.hear().0, rtp(0, 2, 1, b"yes"));
    a.hears_nothing();
    bench.until_counted(&relay, [4, 1]);
    assert_eq!(relay.counts().dropped, [2, 0]);
}

#[test]
fn an_allowed_address_behind_a_nat_is_heard_and_a_stranger_is_not() {
    let mut bench = Bench::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 40);
    let b = Phone::new();
    let (nat, stranger) = (Phone::at([127, 0, 0, 7].into()), Phone::at([127, 0, 0, 8].into()));
    let relay = bench.plane.open(7).unwrap();
    let private = Some("192.0.2.55:4000".parse().unwrap());
    configure(&relay, Side::A, SideConfig { remote: private, may_come_from: vec![nat.address().ip()], ..b.config() });
    configure(&relay, Side::B, b.config());
    bench.settle();
    for sequence in 1..=5 {
        stranger.say(&relay, Side::A, &rtp(0, 9, sequence, b"intruder"));
    }
    for sequence in 1..=3 {
        nat.say(&relay, Side::A, &rtp(0, 1, sequence, b"caller"));
    }
    assert_eq!(b.hear().0, rtp(0, 1, 3, b"caller"));
    stranger.say(&relay, Side::A, &rtp(0, 9, 6, b"intruder"));
    bench.until_counted(&relay, [9, 0]);
    b.hears_nothing();
    assert_eq!((relay.counts().received, relay.counts().dropped), ([1, 0], [8, 0]));
}

#[test]
fn a_configured_new_remote_replaces_the_old_peer() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b, moved) = (Phone::new(), Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    b.say(&relay, Side::B, &rtp(0, 1, 1, b"one"));
    a.hear();
    configure(&relay, Side::B, moved.config());
    bench.settle();
    a.say(&relay, Side::A, &rtp(0, 2, 1, b"to the new place"));
    assert_eq!(moved.hear().0, rtp(0, 2, 1, b"to the new place"));
    moved.say(&relay, Side::B, &rtp(0, 3, 1, b"from the new place"));
    assert_eq!(a.hear().0, rtp(0, 3, 1, b"from the new place"));
    b.say(&relay, Side::B, &rtp(0, 1, 2, b"from the old place"));
    bench.until_counted(&relay, [1, 3]);
    a.hears_nothing();
    assert_eq!(relay.counts().dropped, [0, 1]);
}

#[test]
fn a_held_flow_stops_and_starts() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    configure(&relay, Side::A, SideConfig { send: Flow::Held, ..a.config() });
    bench.settle();
    b.say(&relay, Side::B, &rtp(0, 1, 1, b"held"));
    a.say(&relay, Side::A, &rtp(0, 2, 1, b"music"));
    assert_eq!(b.hear().0, rtp(0, 2, 1, b"music"));
    bench.until_counted(&relay, [1, 1]);
    a.hears_nothing();
    configure(&relay, Side::A, a.config());
    bench.settle();
    b.say(&relay, Side::B, &rtp(0, 1, 2, b"back"));
    assert_eq!(a.hear().0, rtp(0, 1, 2, b"back"));
    bench.until_counted(&relay, [1, 2]);
    assert_eq!(relay.counts().dropped, [0, 1]);
}

#[test]
fn fax_datagrams_cross_untouched_and_speech_comes_back_after_them() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    for (side, phone) in [(Side::A, &a), (Side::B, &b)] {
        let traffic = crate::media::Traffic::Opaque;
        configure(&relay, side, SideConfig { traffic, payload_map: PayloadMap::closed(), ..phone.config() });
    }
    bench.settle();
    let udptl: &[u8] = &[0x00, 0x00, 0x01, 0x06, 0x00, 0x00];
    a.say(&relay, Side::A, udptl);
    assert_eq!(b.hear().0, udptl);
    // What would pass for RTP is renumbered no more than the rest.
    let alike = rtp(0, 7, 1, b"x");
    b.say(&relay, Side::B, &alike);
    assert_eq!(a.hear().0, alike);
    configure(&relay, Side::A, a.config());
    configure(&relay, Side::B, b.config());
    bench.settle();
    a.say(&relay, Side::A, &rtp(0, 7, 1, b"hello"));
    assert_eq!(b.hear().0, rtp(0, 7, 1, b"hello"));
}

#[test]
fn a_peer_that_moves_to_the_other_address_family_is_followed() {
    let mut bench = Bench::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 40);
    let (a, b, moved) = (Phone::new(), Phone::new(), Phone::at(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    let relay = bench.call(&a, &b);
    a.say(&relay, Side::A, &rtp(0, 7, 1, b"from 4"));
    assert_eq!(b.hear().0, rtp(0, 7, 1, b"from 4"));
    configure(&relay, Side::A, moved.config());
    bench.settle();
    b.say(&relay, Side::B, &rtp(0, 8, 1, b"to 6"));
    assert_eq!(moved.hear().0, rtp(0, 8, 1, b"to 6"));
    moved.say(&relay, Side::A, &rtp(0, 9, 1, b"from 6"));
    assert_eq!(b.hear().0, rtp(0, 9, 1, b"from 6"));
    a.hears_nothing();
}

#[test]
fn rtcp_crosses_both_ways_also_from_the_rtp_port() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    a.rtcp.send_to(&report, (LOCAL, relay.port(Side::A) + 1)).unwrap();
    let (packet, from) = hear(&b.rtcp);
    assert_eq!((&packet[..], from.port()), (&report[..], relay.port(Side::B) + 1));
    b.rtcp.send_to(&report, (LOCAL, relay.port(Side::B) + 1)).unwrap();
    assert_eq!(hear(&a.rtcp).1.port(), relay.port(Side::A) + 1);
    a.say(&relay, Side::A, &report);
    assert_eq!(hear(&b.rtcp).0, report);
    bench.until(|| relay.counts().rtcp_sent == [1, 2]);
}

#[test]
fn a_sender_that_missed_the_end_of_its_call_is_not_heard_in_the_next_one_on_its_ports() {
    let mut bench = Bench::new(LOCAL, 4);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    let port = relay.port(Side::A);
    a.say(&relay, Side::A, &rtp(0, 1, 1, b"first call"));
    b.hear();
    drop(relay);
    bench.settle();
    a.rtp.send_to(&rtp(0, 1, 2, b"stale"), (LOCAL, port)).unwrap();
    bench.until(|| bench.plane.gauges().strays() == 1);
    let (a2, b2) = (Phone::new(), Phone::new());
    let relay = bench.call(&a2, &b2);
    assert_eq!(relay.port(Side::A), port, "the only ports there are");
    assert_eq!(bench.plane.gauges().short_rests.load(Ordering::Relaxed), 1);
    for sequence in 3..20 {
        a.say(&relay, Side::A, &rtp(0, 1, sequence, b"stale"));
    }
    a2.say(&relay, Side::A, &rtp(0, 5, 1, b"second call"));
    assert_eq!(b2.hear().0, rtp(0, 5, 1, b"second call"));
    bench.until_counted(&relay, [18, 0]);
    b2.hears_nothing();
    assert_eq!((relay.counts().received, relay.counts().dropped), ([1, 0], [17, 0]));
}

#[test]
fn silence_is_told_for_the_side_that_is_silent_and_in_the_words_of_its_clock() {
    let mut bench = Bench::new(LOCAL, 40);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    configure(&relay, Side::B, SideConfig { receive: Flow::Held, ..b.config() });
    bench.settle();
    let brief = Duration::from_millis(1);
    relay.command(RelayCommand::Watch(Timeouts { initial: PATIENCE, ongoing: brief, held: brief }));
    bench.settle();
    a.say(&relay, Side::A, &rtp(0, 1, 1, b"one packet"));
    let mut told: Vec<_> = (0..3).map(|_| bench.events.recv_timeout(PATIENCE).unwrap()).collect();
    told.sort_by_key(|event| match event {
        MediaEvent::FirstPacket { side, .. } => (0, side.index()),
        MediaEvent::Silent { side, .. } => (1, side.index()),
    });
    let expected = [
        MediaEvent::FirstPacket { owner: 7, side: Side::A },
        MediaEvent::Silent { owner: 7, side: Side::A, clock: SilenceClock::Ongoing },
        MediaEvent::Silent { owner: 7, side: Side::B, clock: SilenceClock::Held },
    ];
    assert_eq!(told, expected);
}

#[test]
fn thousands_of_relays_come_and_go_and_leave_no_port_in_use() {
    let mut bench = Bench::new(LOCAL, 64);
    let gauges = bench.plane.gauges();
    let mut open = Vec::new();
    for round in 0..4_000 {
        if open.len() == 8 {
            drop(open.swap_remove(round % 8));
        }
        let relay = bench.plane.open(round as u64).unwrap();
        relay.command(RelayCommand::Watch(Timeouts { initial: REST, ongoing: REST, held: REST }));
        open.push(relay);
    }
    assert_eq!(bench.plane.ports_in_use(), 32);
    assert_eq!(gauges.in_use.load(Ordering::Relaxed), 32);
    drop(open);
    assert_eq!(bench.plane.ports_in_use(), 0);
    assert_eq!(gauges.in_use.load(Ordering::Relaxed), 0);
    assert_eq!(gauges.total.load(Ordering::Relaxed), 64);
    let bound = gauges.bound.load(Ordering::Relaxed);
    assert!(bound <= 64, "{bound} ports bound");
    bench.settle();
}

#[test]
fn an_exhausted_range_is_an_error_and_recovers() {
    let mut bench = Bench::new(LOCAL, 4);
    let relay = bench.plane.open(1).unwrap();
    let error = bench.plane.open(2).unwrap_err();
    assert!(relay.port(Side::A) >= error.first && relay.port(Side::B) < error.last);
    assert_eq!(bench.plane.ports_in_use(), 4);
    drop(relay);
    bench.plane.open(3).unwrap();
}

#[test]
fn a_plane_whose_worker_ended_refuses_relays_and_still_frees_the_old_ones() {
    let mut bench = Bench::new(LOCAL, 40);
    let relay = bench.plane.open(1).unwrap();
    bench.plane.shared.state.borrow_mut().workers[0].stop();
    relay.command(RelayCommand::Reset(Side::A));
    drop(relay);
    assert!(bench.plane.open(2).is_err());
    assert_eq!(bench.plane.ports_in_use(), 0);
}

#[test]
fn relays_spread_over_the_workers_and_outlive_their_plane() {
    let workers = (0..2).map(|_| Worker::spawn("media-test", Box::new(drop)).unwrap()).collect();
    let first = UdpSocket::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port().min(65_000);
    let mut plane = SocketPlane::new(LOCAL, first..=first + 99, REST, workers, crate::clock::now);
    let relays: Vec<_> = (0..4).map(|owner| plane.open(owner).unwrap()).collect();
    let berths: Vec<_> = plane.shared.state.borrow().workers.iter().map(WorkerHandle::berths).collect();
    assert_eq!(berths, [2, 2]);
    drop(plane);
    relays[0].command(RelayCommand::Reset(Side::B));
}

#[test]
fn the_file_limit_goes_up_to_what_is_allowed() {
    let limit = raise_file_limit().unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), limit);
}

#[test]
fn media_sockets_leave_descriptors_to_webhooks_and_streams() {
    assert!(leaves_room(800, 1_024));
    assert!(!leaves_room(896, 1_024));
    assert!(leaves_room(30, 100) && !leaves_room(50, 100), "a very low limit is halved");
    assert!(leaves_room(100_000, u64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn garbage_on_any_port_is_survived(packets in proptest::collection::vec((0u16..4, proptest::collection::vec(any::<u8>(), 0..100)), 1..40)) {
        let mut bench = Bench::new(LOCAL, 40);
        let (a, b) = (Phone::new(), Phone::new());
        let relay = bench.call(&a, &b);
        for (port, packet) in &packets {
            let side = if port & 2 == 0 { Side::A } else { Side::B };
            a.rtp.send_to(packet, (LOCAL, relay.port(side) + (port & 1))).unwrap();
        }
        a.say(&relay, Side::A, &rtp(0, 1, 1, b"still here"));
        while b.hear().0 != rtp(0, 1, 1, b"still here") {}
        prop_assert!(relay.counts().received[0] >= 1);
    }
}

#[test]
fn a_tone_is_heard_at_its_pace_until_the_far_side_speaks() {
    use crate::media::tone::{Coding, Plan, Score};
    let mut bench = Bench::new(IpAddr::from([127, 0, 0, 1]), 64);
    let (a, b) = (Phone::new(), Phone::new());
    let relay = bench.call(&a, &b);
    let score = Score {
        plan: Plan::ringback("US"),
        coding: Coding::Pcmu,
        payload_type: 0,
        ssrc: 77,
        sequence: 10,
        timestamp: 0,
        after: std::time::Duration::ZERO,
    };
    relay.command(RelayCommand::Play { side: Side::A, score });
    let numbers: Vec<u8> = (0..5).map(|_| a.hear().0[3]).collect();
    assert_eq!(numbers, [10, 11, 12, 13, 14]);
    b.say(&relay, Side::B, &rtp(0, 9, 1, b"speech"));
    while !a.hear().0.ends_with(b"speech") {}
    a.hears_nothing();
}
