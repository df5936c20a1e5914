//! What the guard costs a packet: `cargo bench --bench guard`. A loop and a clock are enough to tell forty nanoseconds from
//! a microsecond.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use trunkline::clock;
use trunkline::config::guard::Guard as Settings;
use trunkline::guard::Guard;

const ROUNDS: u32 = 2_000_000;

const MESSAGE: &[u8] = b"INVITE sip:+15550100999@192.0.2.1 SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds\r\nMax-Forwards: 70\r\n\
From: \"Test Caller\" <sip:+15550100123@192.0.2.10>;tag=1928301774\r\nTo: <sip:+15550100999@192.0.2.1>\r\n\
Call-ID: a84b4c76e66710@192.0.2.10\r\nCSeq: 314159 INVITE\r\nContact: <sip:pbx@192.0.2.10>\r\n\
P-Asserted-Identity: \"Test Caller\" <sip:+15550100123@pbx.example.com>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n\
Supported: timer, replaces\r\nSession-Expires: 1800\r\nUser-Agent: Example PBX 10.2\r\n\
Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n";

/// Time that this thread had a processor for: what else runs on the machine does not count.
fn busy() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn measure<T>(what: &str, mut one: impl FnMut(u32) -> T) {
    let start = busy();
    for round in 0..ROUNDS {
        black_box(one(round));
    }
    println!("{what:<58} {:7.1} ns", (busy() - start) / f64::from(ROUNDS));
}

fn main() {
    let peers: Vec<ipnet::IpNet> = (1..=20).map(|host| IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)).into()).collect();
    // No limit, so that every packet takes the whole way.
    let settings = Settings { rate: 1_000_000_000, ban_after: 0, ..Settings::default() };
    let (guard, now) = (Guard::new(&settings, &peers), clock::now());
    let peer = IpAddr::from([192, 0, 2, 10]);
    measure("a peer's packet", |_| guard.packet(now, black_box(peer), MESSAGE));
    let cloud = IpAddr::from([198, 51, 100, 7]);
    guard.acquaint(cloud);
    measure("a packet of a cloud that we called", |_| guard.packet(now, black_box(cloud), MESSAGE));
    measure("noting whom a request goes to", |_| guard.acquaint(black_box(cloud)));
    let stranger = IpAddr::from([203, 0, 113, 9]);
    measure("a stranger's packet, its User-Agent looked at", |_| guard.packet(now, stranger, MESSAGE));
    measure("packets of ever new strangers", |round| {
        let source = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + round));
        guard.packet(now, source, MESSAGE)
    });
    let denied = Settings { rate: 1, ..Settings::default() };
    let guard = Guard::new(&denied, &peers);
    measure("a stranger beyond its rate", |_| guard.packet(now, stranger, MESSAGE));
    let scan: Vec<u8> = String::from_utf8_lossy(MESSAGE).replace("Example PBX 10.2", "friendly-scanner").into_bytes();
    let _ = guard.packet(now, IpAddr::from([203, 0, 113, 10]), &scan);
    let banned = IpAddr::from([203, 0, 113, 10]);
    measure("a banned stranger's packet", |_| guard.packet(now, banned, MESSAGE));
}
