//! The first message to a gateway that has only just started is answered like any other: nobody's first call may wait
//! for a retransmission.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use trunkline::config;
use trunkline::gateway::Gateway;

const CONFIGURATION: &str = r#"
    [sip]
    listen = ["udp:127.0.0.1:0"]
    shards = 4
    [media]
    ports = "20000-29999"
    [http]
    listen = "127.0.0.1:0"
    [admin]
    listen = "127.0.0.1:0"
    [[trunk]]
    name = "pbx"
    peers = ["127.0.0.1"]
    [[target]]
    name = "far"
    kind = "sip"
    uri = "sip:far@127.0.0.1:9"
    [[route]]
    targets = ["far"]
"#;

fn options(number: usize, from: SocketAddr, to: SocketAddr) -> String {
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK-first-{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:probe@{from}>;tag=t{number}\r\nTo: <sip:{to}>\r\nCall-ID: first-{number}@example.com\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_messages_to_a_fresh_gateway_are_answered_without_a_retransmission() {
    for _ in 0..4 {
        let mut gateway = Gateway::start(config::parse(CONFIGURATION).unwrap()).await.unwrap();
        let (_, to) = *gateway.addresses().sip.first().unwrap();
        // Whichever shard a message comes to, another one owns it three times out of four.
        let peers: Vec<UdpSocket> = (0..16).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for (number, peer) in peers.iter().enumerate() {
            let message = options(number, peer.local_addr().unwrap(), to);
            peer.send_to(message.as_bytes(), to).unwrap();
        }
        let answers = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 2_000];
            peers
                .iter()
                .filter(|peer| {
                    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                    peer.recv(&mut buffer).is_ok_and(|length| buffer.get(..length).unwrap().starts_with(b"SIP/2.0 200"))
                })
                .count()
        });
        assert_eq!(answers.await.unwrap(), 16);
        gateway.stop().await;
    }
}
