//! Strangers without number: a flood of forged sources, all of them loopback addresses, while a known PBX calls.

use crate::gateway::{Gateway, Ports};
use crate::sipp::{self, Part, Sipp};
use crate::{PATIENCE, listening, table};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// More than the guard remembers, so that its table is full when the memory is first looked at.
const FILLING: u32 = 20_000;
/// What comes after that must find room in what is there.
const FLOOD: u32 = 60_000;
/// What the second flood may add: transactions and records of the strangers that were answered, and what an allocator
/// does with them. Without a guard the same flood adds twice as much, and would go on adding.
const GROWTH: u64 = 32 << 20;

/// One message from each of these sources: calls, questions, scans, registrations and garbage in turn.
fn flood(to: SocketAddr, sources: std::ops::Range<u32>, enough: &AtomicBool) -> u32 {
    let mut sent = 0;
    for number in sources {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        // 127.1.0.0 upwards: never 127.0.0.1, which is the PBX.
        let source = Ipv4Addr::from(0x7f01_0000 + number);
        let Ok(socket) = UdpSocket::bind((source, 0)) else { continue };
        let (method, agent) = match number % 5 {
            0 | 1 => ("INVITE", "PBX"),
            2 => ("OPTIONS", "friendly-scanner"),
            3 => ("REGISTER", "PBX"),
            _ => ("\u{7f}GARBAGE", "PBX"),
        };
        let message = format!(
            "{method} sip:{number}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{source}>;tag={number}\r\nTo: <sip:{number}@{to}>\r\nCall-ID: f{number}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:a@{source}>\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
        );
        sent += u32::from(socket.send_to(message.as_bytes(), to).is_ok());
    }
    sent
}

#[test]
fn a_call_goes_on_through_a_flood_of_forged_sources_and_the_memory_stays_bounded() {
    if !sipp::installed() {
        assert!(std::env::var_os("CI").is_none(), "sipp is not installed (apt-get install sip-tester), and this is CI");
        eprintln!("\n*** SKIPPED the flood: sipp is not installed (apt-get install sip-tester) ***\n");
        return;
    }
    let scenario = table::find("a_call_is_bridged_over_udp");
    let folder = tempfile::tempdir().unwrap();
    let mut cloud = listening(&Part::cloud(&scenario, "answers", None), folder.path());
    let ports = Ports { cloud: cloud.port(), human: None, silent: 9 };
    let mut gateway = Gateway::start(&scenario, &ports, folder.path());
    let to = gateway.sip(scenario.pbx_transport);

    let (never, enough) = (AtomicBool::new(false), AtomicBool::new(false));
    assert_eq!(flood(to, 0..FILLING, &never), FILLING);
    gateway.settles();
    let before = gateway.memory();
    let (call, sent) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let sent = flood(to, FILLING..FILLING + FLOOD, &never);
            // And on, for as long as the call takes.
            while !enough.load(Ordering::Relaxed) {
                flood(to, FILLING..FILLING + FLOOD, &enough);
            }
            sent
        });
        let call = Sipp::start(&Part::pbx(&scenario, to), folder.path()).finish(PATIENCE);
        enough.store(true, Ordering::Relaxed);
        (call, flooding.join().unwrap())
    });
    assert_eq!(sent, FLOOD);
    gateway.settles();
    let (after, transactions) = (gateway.memory(), gateway.sample("trunkline_sip_transactions"));
    let turned_away = gateway.sample(r#"trunkline_admission_refused_total{reason="strangers_rate"}"#);
    eprintln!(
        "resident: {} kB, then {} kB; {transactions} transactions; {turned_away} turned away",
        before >> 10,
        after >> 10
    );

    let mut complaints: Vec<String> = call.err().into_iter().collect();
    complaints.extend(cloud.finish(Duration::from_secs(10)).err());
    complaints.extend(gateway.empties(Duration::from_secs(10)).err());
    complaints.extend(gateway.stop(Duration::from_secs(15)).err());
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(after < before + GROWTH, "grew from {before} to {after}");
    assert!(transactions < 2_500.0, "{transactions}");
    assert!(turned_away > 10_000.0, "{turned_away}");
}
