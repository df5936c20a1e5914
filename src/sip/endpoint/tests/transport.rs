//! Where things are sent: RFC 3261 §18.2, RFC 3581, and the connection that is already there.

use super::*;
use crate::sip::ConnectionId;
use crate::sip::endpoint::aim::Errand;

fn hop_of_answer(protocol: Protocol, change: impl Fn(&str) -> String) -> Hop {
    let mut bench = Bench::over(protocol);
    bench.receive(&change(INVITE));
    bench.transmits().remove(0).hop
}

#[test]
fn responses_go_to_the_source_port_only_if_the_peer_asked_for_it() {
    let behind_nat = |text: &str| text.replace("UDP 192.0.2.10:5066", "UDP 10.0.0.5:5080");
    assert_eq!(hop_of_answer(Protocol::Udp, behind_nat), udp("192.0.2.10:5066"));
    let without_rport = |text: &str| behind_nat(text).replace(";rport", "");
    assert_eq!(hop_of_answer(Protocol::Udp, without_rport), udp("192.0.2.10:5080"));
    let without_port = |text: &str| without_rport(text).replace(":5080", "");
    assert_eq!(hop_of_answer(Protocol::Udp, without_port), udp("192.0.2.10:5060"));
}

#[test]
fn responses_leave_from_the_address_that_the_request_came_to() {
    let mut bench = Bench::over(Protocol::Udp);
    for text in [INVITE.to_owned(), INVITE.to_owned(), INVITE.replace("Call-ID", "Nobody").replace("INVITE", "OPTIONS")]
    {
        bench.receive(&text);
    }
    let sent = bench.transmits();
    assert_eq!(sent.len(), 3, "the 100, the 100 again, and a 400");
    assert!(sent.iter().all(|transmit| transmit.from == Some(bench.source.local)), "{sent:?}");
}

#[test]
fn responses_over_a_stream_go_back_by_it_and_name_the_port_for_when_it_is_gone() {
    let hop = hop_of_answer(Protocol::Tcp, |text| text.replace("UDP 192.0.2.10:5066", "TCP 192.0.2.10:5090"));
    let address = socket("192.0.2.10:5090");
    assert_eq!(hop, Hop { protocol: Protocol::Tcp, address, connection: Some(ConnectionId(7)) });
}

#[test]
fn our_bye_takes_the_connection_that_the_peer_called_by() {
    for contact in ["192.0.2.10:5090;transport=tcp", "192.0.2.10:5090"] {
        let mut bench = Bench::over(Protocol::Tcp);
        bench.receive(&INVITE.replace("anna@192.0.2.10:5066", &format!("anna@{contact}")));
        let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
        bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
        let sent = bench.sent();
        assert_eq!(text(&sent[1], HeaderName::Contact), "<sip:+15550100@gw.example.com;transport=tcp>");
        let tag = String::from_utf8(sent[1].to_tag().unwrap().to_vec()).unwrap();
        bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
        bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
        let bye = bench.transmits().remove(0);
        assert_eq!((bye.hop.protocol, bye.hop.connection), (Protocol::Tcp, Some(ConnectionId(7))), "{contact}");
        assert_eq!(bye.hop.address, socket("192.0.2.10:5090"));
    }
}

#[test]
fn another_address_or_protocol_is_not_sent_down_the_old_connection() {
    for (contact, protocol) in
        [("192.0.2.99;transport=tcp", Protocol::Tcp), ("192.0.2.10;transport=udp", Protocol::Udp)]
    {
        let mut bench = Bench::over(Protocol::Tcp);
        bench.receive(&INVITE.replace("anna@192.0.2.10:5066", &format!("anna@{contact}")));
        let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
        bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
        let tag = String::from_utf8(bench.sent()[1].to_tag().unwrap().to_vec()).unwrap();
        bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
        bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
        let hop = bench.transmits().remove(0).hop;
        assert_eq!((hop.protocol, hop.connection), (protocol, None), "{contact}");
    }
}

#[test]
fn a_name_that_we_called_over_a_stream_is_reached_by_the_stream_that_answered() {
    let mut bench = Bench::over(Protocol::Tcp);
    let name = HopAddress::Name { host: "daily.example.com".to_owned(), port: None };
    let hop = Hop { protocol: Protocol::Tcp, address: name, connection: None };
    let leg = bench.endpoint.invite(bench.now, Invite { hop: hop.clone(), ..invite() });
    let Some(Errand::Locate { transaction, .. }) = bench.endpoint.poll_errand() else { panic!() };
    let found = Hop { address: socket("192.0.2.10:5066"), ..hop.clone() };
    bench.endpoint.located(bench.now, transaction, Ok((vec![found], "address")));
    bench.happened();
    let invite = bench.sent().remove(0);
    assert!(text(&invite, HeaderName::Via).starts_with("SIP/2.0/TCP gw.example.com;"));
    bench.receive(&response(&invite, "200 OK", "bob", "\nContact: <sip:bob@daily.example.com;transport=tcp>"));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    let address = HopAddress::Server { host: "daily.example.com".to_owned(), address: bench.source.peer };
    assert_eq!(bench.transmits()[0].hop, Hop { address, connection: Some(ConnectionId(7)), ..hop });
}

#[test]
fn the_advertised_address_follows_protocol_and_family() {
    let mut bench = Bench::new();
    bench.endpoint.invite(bench.now, Invite { hop: udp("[2001:db8::99]:5060"), ..invite() });
    let invite = bench.sent().remove(0);
    assert!(text(&invite, HeaderName::Via).starts_with("SIP/2.0/UDP [2001:db8::1]:5060;branch="));
    assert_eq!(text(&invite, HeaderName::Contact), "<sip:+15550199@[2001:db8::1]:5060>");
}

#[test]
fn over_a_stream_nothing_is_retransmitted_but_the_2xx() {
    let mut bench = Bench::over(Protocol::Tcp);
    let hop = Hop { protocol: Protocol::Tcp, address: socket("192.0.2.10:5060"), connection: None };
    bench.endpoint.invite(bench.now, Invite { hop, ..invite() });
    bench.pass(seconds(31));
    assert_eq!(bench.said(), ["INVITE"]);
    let leg = {
        bench.receive(INVITE);
        bench.happened();
        bench.said();
        bench.receive(&INVITE.replace("in1", "x").replace("in-1", "in-2"));
        let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
        leg
    };
    bench.said();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    bench.pass(Duration::from_millis(1600));
    assert_eq!(bench.said().iter().filter(|said| *said == "200 INVITE").count(), 3);
}
