//! Several addresses for one name (RFC 3263 §4.3), requests too large for a datagram (RFC 3261 §18.1.1), and peers behind
//! NAT.

use super::super::aim::{Errand, Large, Nat, Path, Reach};
use super::super::extensions::Terms;
use super::*;
use crate::sip::transaction::ClientId;

fn by_name() -> Hop {
    let address = HopAddress::Domain { host: "daily.example.com".to_owned() };
    Hop { protocol: Protocol::Udp, address, connection: None }
}

fn server(protocol: Protocol, address: &str) -> Hop {
    let address = HopAddress::Server { host: "daily.example.com".to_owned(), address: address.parse().unwrap() };
    Hop { protocol, address, connection: None }
}

impl Bench {
    fn errands(&mut self) -> Vec<Errand> {
        std::iter::from_fn(|| self.endpoint.poll_errand()).collect()
    }

    /// A call of ours to a name; gives the transaction that waits for its addresses.
    fn calling_a_name(&mut self) -> (LegId, ClientId) {
        let leg = self.endpoint.invite(self.now, Invite { hop: by_name(), ..invite() });
        assert!(self.said().is_empty(), "nothing is sent before there is an address");
        let [Errand::Locate { transaction, hop }] = &self.errands()[..] else { panic!("nobody is asked") };
        assert_eq!(*hop, by_name());
        (leg, *transaction)
    }

    /// The notes since the last time; no other event came.
    fn notes(&mut self) -> Vec<String> {
        let note = |event| match event {
            Event::Noted { note, .. } => note,
            other => panic!("{other:?}"),
        };
        self.events().into_iter().map(note).collect()
    }

    fn transmitted(&mut self) -> (Transmit, Message) {
        let mut transmits = self.transmits();
        assert_eq!(transmits.len(), 1, "{transmits:?}");
        let transmit = transmits.remove(0);
        let message = Message::parse(transmit.payload.clone()).unwrap();
        assert_eq!(message.check(), Ok(()));
        (transmit, message)
    }
}

fn branch(message: &Message) -> Vec<u8> {
    message.top_via().unwrap().branch.unwrap().to_vec()
}

#[test]
fn an_address_that_cannot_be_reached_is_followed_by_the_next_with_a_new_branch() {
    let mut bench = Bench::new();
    let (leg, transaction) = bench.calling_a_name();
    let hops = vec![server(Protocol::Tcp, "192.0.2.31:5061"), server(Protocol::Udp, "192.0.2.32:5060")];
    bench.endpoint.located(bench.now, transaction, Ok((hops.clone(), "NAPTR")));
    assert_eq!(bench.notes(), ["daily.example.com is tcp 192.0.2.31:5061 by NAPTR, and 1 more to try"]);
    let (first, invite) = bench.transmitted();
    assert_eq!(first.hop, hops[0]);
    assert!(text(&invite, HeaderName::Via).starts_with("SIP/2.0/TCP gw.example.com;"));
    assert_eq!(text(&invite, HeaderName::Contact), "<sip:+15550199@gw.example.com;transport=tcp>");
    bench.endpoint.undelivered(bench.now, first.transaction.unwrap(), "connection refused");
    assert_eq!(bench.errands(), [Errand::Avoid { hop: hops[0].clone(), span: None }]);
    let words = bench.notes();
    assert_eq!(words[0], "tcp 192.0.2.31:5061: connection refused");
    assert_eq!(words[1], "tcp 192.0.2.31:5061: cannot be reached; next udp 192.0.2.32:5060");
    let (second, again) = bench.transmitted();
    assert_eq!(second.hop, hops[1]);
    assert_ne!(branch(&again), branch(&invite));
    assert!(text(&again, HeaderName::Via).starts_with("SIP/2.0/UDP gw.example.com;"));
    assert_eq!(text(&again, HeaderName::Contact), "<sip:+15550199@gw.example.com>");
    for name in [HeaderName::CallId, HeaderName::From, HeaderName::To, HeaderName::CSeq] {
        assert_eq!(text(&again, name), text(&invite, name), "the same call");
    }
    assert_eq!(again.body(), invite.body());
    assert_eq!(again.named("x-caller").count(), 1);
    bench.receive(&response(&again, "200 OK", "bob", CONTACT));
    assert_eq!(bench.happened(), ["Answered"]);
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.said(), ["ACK", "BYE"]);
    bench.finish();
}

#[test]
fn a_503_is_acked_and_followed_by_the_next_address_and_avoided_as_long_as_it_says() {
    let mut bench = Bench::new();
    let (_, transaction) = bench.calling_a_name();
    let hops = vec![server(Protocol::Udp, "192.0.2.31:5060"), server(Protocol::Udp, "192.0.2.32:5060")];
    bench.endpoint.located(bench.now, transaction, Ok((hops.clone(), "SRV")));
    let (_, invite) = bench.transmitted();
    bench.notes();
    bench.receive(&response(&invite, "503 Service Unavailable", "a", "\nRetry-After: 120"));
    let sent = bench.transmits();
    assert_eq!(sent.iter().map(|transmit| transmit.hop.clone()).collect::<Vec<_>>(), hops, "the ACK, then the INVITE");
    let again = Message::parse(sent[1].payload.clone()).unwrap();
    assert_eq!(bench.errands(), [Errand::Avoid { hop: hops[0].clone(), span: Some(seconds(120)) }]);
    // The old server did not get the ACK: that concerns nobody else.
    bench.receive(&response(&invite, "503 Service Unavailable", "a", ""));
    assert_eq!(bench.said(), ["ACK"]);
    bench.notes();
    bench.receive(&response(&again, "503 Service Unavailable", "b", ""));
    assert_eq!(bench.happened(), ["Refused", "Closed"], "the last one's word is the call's");
    bench.finish();
}

#[test]
fn a_silent_address_is_given_up_early_and_whatever_it_says_later_is_ended() {
    for (status, said) in [("180 Ringing", vec!["CANCEL"]), ("200 OK", vec!["ACK", "BYE"])] {
        let mut bench = Bench::new();
        let (_, transaction) = bench.calling_a_name();
        let hops = vec![server(Protocol::Udp, "192.0.2.31:5060"), server(Protocol::Udp, "192.0.2.32:5060")];
        bench.endpoint.located(bench.now, transaction, Ok((hops, "SRV")));
        let (_, first) = bench.transmitted();
        bench.pass(Duration::from_millis(3_999));
        assert_eq!(bench.said(), ["INVITE", "INVITE", "INVITE"]);
        bench.pass(Duration::from_millis(1));
        let (second, invite) = bench.transmitted();
        assert_eq!(second.hop.to_string(), "udp 192.0.2.32:5060");
        assert!(bench.notes()[1].contains("no answer"), "the timeline says why");
        bench.receive(&response(&first, status, "late", CONTACT));
        assert_eq!(bench.said(), said, "{status}");
        assert!(bench.happened().is_empty());
        bench.receive(&response(&invite, "486 Busy Here", "bob", ""));
        assert_eq!(bench.happened(), ["Refused", "Closed"]);
        bench.finish();
    }
}

#[test]
fn the_last_address_has_all_the_time_of_timer_b() {
    let mut bench = Bench::new();
    let (_, transaction) = bench.calling_a_name();
    bench.endpoint.located(bench.now, transaction, Ok((vec![server(Protocol::Udp, "192.0.2.31:5060")], "address")));
    bench.notes();
    bench.pass(seconds(31));
    assert!(bench.happened().is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.happened(), ["Unanswered", "Closed"]);
}

#[test]
fn a_name_without_addresses_ends_the_call_with_its_reason() {
    let mut bench = Bench::new();
    let (_, transaction) = bench.calling_a_name();
    bench.pass(seconds(3));
    assert!(bench.said().is_empty(), "an INVITE without address is not repeated");
    bench.endpoint.located(bench.now, transaction, Err("daily.example.com does not resolve: no addresses"));
    let events = bench.events();
    assert!(matches!(&events[0], Event::Noted { note, .. } if note.contains("no addresses")), "{events:?}");
    assert!(matches!(events[1], Event::Unanswered { why: Silence::Transport, .. }));
    bench.finish();
}

#[test]
fn a_call_that_is_cancelled_before_it_has_an_address_is_never_sent() {
    let mut bench = Bench::new();
    let (leg, transaction) = bench.calling_a_name();
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.happened(), ["Unanswered", "Closed"]);
    bench.endpoint.located(bench.now, transaction, Ok((vec![server(Protocol::Udp, "192.0.2.31:5060")], "SRV")));
    assert!(bench.said().is_empty());
    bench.finish();
}

#[test]
fn a_cancel_goes_to_the_address_that_its_invite_went_to_and_no_other_is_tried() {
    let mut bench = Bench::new();
    let (leg, transaction) = bench.calling_a_name();
    let hops = vec![server(Protocol::Udp, "192.0.2.31:5060"), server(Protocol::Udp, "192.0.2.32:5060")];
    bench.endpoint.located(bench.now, transaction, Ok((hops.clone(), "SRV")));
    let (_, invite) = bench.transmitted();
    bench.receive(&response(&invite, "180 Ringing", "bob", ""));
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    let (cancel, _) = bench.transmitted();
    assert_eq!(cancel.hop, hops[0]);
    bench.receive(&response(&invite, "503 Service Unavailable", "bob", ""));
    assert_eq!(bench.said(), ["ACK"], "nobody wants the call any more");
}

#[test]
fn an_icmp_message_ends_the_transaction_whose_branch_it_quotes_and_no_other() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    let to = "192.0.2.10:5066".parse().unwrap();
    let elsewhere = "192.0.2.11:5066".parse().unwrap();
    let mut forged = invite.bytes().to_vec();
    let at = forged.windows(7).position(|piece| piece == b"z9hG4bK").unwrap();
    forged[at + 8] ^= 1;
    bench.endpoint.undeliverable(bench.now, to, &forged);
    bench.endpoint.undeliverable(bench.now, elsewhere, invite.bytes());
    bench.endpoint.undeliverable(bench.now, to, b"");
    assert!(bench.happened().is_empty());
    bench.endpoint.undeliverable(bench.now, to, &invite.bytes()[..300]);
    assert_eq!(bench.happened(), ["Noted", "Unanswered", "Closed"]);
    bench.finish();
}

fn large() -> Invite {
    let headers = vec![("x-filler".into(), "a".repeat(1300))];
    Invite { headers, ..invite() }
}

#[test]
fn a_request_too_large_for_a_datagram_goes_by_tcp_and_by_udp_if_that_is_refused() {
    let mut bench = Bench::new();
    bench.endpoint.invite(bench.now, large());
    let (stream, invite) = bench.transmitted();
    assert_eq!(stream.hop.protocol, Protocol::Tcp);
    assert!(text(&invite, HeaderName::Via).starts_with("SIP/2.0/TCP "), "§18.1.1: the Via says so too");
    assert_eq!(text(&invite, HeaderName::Contact), "<sip:+15550199@gw.example.com;transport=tcp>");
    assert!(bench.notes()[0].contains("too many for a datagram"));
    bench.endpoint.undelivered(bench.now, stream.transaction.unwrap(), "connection refused");
    let (datagram, again) = bench.transmitted();
    assert_eq!(datagram.hop, udp("192.0.2.10:5066"));
    assert!(text(&again, HeaderName::Via).starts_with("SIP/2.0/UDP "));
    // The peer has no TCP: the next one does not cost a connection.
    bench.endpoint.invite(bench.now, large());
    assert_eq!(bench.transmitted().0.hop.protocol, Protocol::Udp);
    bench.now += seconds(600);
    bench.endpoint.invite(bench.now, large());
    assert_eq!(bench.transmitted().0.hop.protocol, Protocol::Tcp, "asked again after ten minutes");
}

#[test]
fn large_requests_stay_datagrams_where_that_is_configured() {
    let mut bench = Bench::new();
    let path = Path { large: Large::Datagram, ..Path::default() };
    bench.endpoint.invite_by(bench.now, large(), path, &Terms::PLAIN);
    assert_eq!(bench.transmitted().0.hop.protocol, Protocol::Udp);
    bench.endpoint.set_reach(Reach { datagram: None, ..Reach::default() });
    bench.endpoint.invite(bench.now, large());
    assert_eq!(bench.transmitted().0.hop.protocol, Protocol::Udp);
}

/// Where our BYE goes after a call from `source` with this Contact.
fn bye_of(nat: Nat, source: &str, contact: &str) -> Transmit {
    let mut bench = Bench::new();
    bench.source.peer = source.parse().unwrap();
    bench.receive(&INVITE.replace("anna@192.0.2.10:5066", contact));
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.set_path(leg, Path { nat, ..Path::default() });
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    let tag = String::from_utf8(bench.sent()[1].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.transmits().remove(0)
}

#[test]
fn a_private_contact_from_a_public_address_is_not_followed_unless_told() {
    for (nat, source, contact, to) in [
        (Nat::Auto, "203.0.113.9:41000", "anna@10.0.0.5:5060", "203.0.113.9:41000"),
        (Nat::Auto, "203.0.113.9:41000", "anna@100.64.0.5", "203.0.113.9:41000"),
        (Nat::Auto, "203.0.113.9:41000", "anna@127.0.0.1:5062", "203.0.113.9:41000"),
        (Nat::Auto, "203.0.113.9:41000", "anna@198.51.100.7:5062", "198.51.100.7:5062"),
        (Nat::Auto, "10.1.0.9:5060", "anna@10.0.0.5:5062", "10.0.0.5:5062"),
        (Nat::Off, "203.0.113.9:41000", "anna@10.0.0.5:5060", "10.0.0.5:5060"),
        (Nat::On, "10.1.0.9:5060", "anna@10.0.0.5:5062", "10.1.0.9:5060"),
        (Nat::On, "203.0.113.9:41000", "anna@pbx.example.com", "203.0.113.9:41000"),
    ] {
        assert_eq!(bye_of(nat, source, contact).hop, udp(to), "{nat:?} {source} {contact}");
    }
}

#[test]
fn our_requests_leave_from_the_address_that_the_call_came_to() {
    let bye = bye_of(Nat::Auto, "192.0.2.10:5066", "anna@192.0.2.10:5066");
    assert_eq!(bye.from, Some("192.0.2.1:5060".parse().unwrap()));
}

#[test]
fn a_peer_can_know_us_by_an_address_of_its_own() {
    let mut bench = Bench::new();
    let path = || Path { advertised: Some("203.0.113.5".to_owned()), ..Path::default() };
    bench.receive(INVITE);
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.set_path(leg, path());
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    let answer = bench.sent().pop().unwrap();
    assert_eq!(text(&answer, HeaderName::Contact), "<sip:+15550100@203.0.113.5:5060>");
    bench.endpoint.invite_by(bench.now, invite(), path(), &Terms::PLAIN);
    let (_, invite) = bench.transmitted();
    assert!(text(&invite, HeaderName::Via).starts_with("SIP/2.0/UDP 203.0.113.5:5060;"));
    assert_eq!(text(&invite, HeaderName::Contact), "<sip:+15550199@203.0.113.5:5060>");
}

#[test]
fn what_is_asked_for_by_sips_has_a_sips_contact_on_both_sides() {
    let mut bench = Bench::over(Protocol::Tls);
    bench.receive(&INVITE.replace("INVITE sip:", "INVITE sips:").replace("UDP", "TLS"));
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    assert!(text(&bench.sent()[1], HeaderName::Contact).starts_with("<sips:+15550100@"));
    let hop = server(Protocol::Tls, "192.0.2.31:5061");
    let request_uri = "sips:room@daily.example.com".to_owned();
    bench.endpoint.invite(bench.now, Invite { hop, request_uri, ..invite() });
    let (transmit, invite) = bench.transmitted();
    assert_eq!(transmit.hop.protocol, Protocol::Tls);
    assert!(text(&invite, HeaderName::Via).starts_with("SIP/2.0/TLS "));
    assert!(text(&invite, HeaderName::Contact).starts_with("<sips:+15550199@"));
}
