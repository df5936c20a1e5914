//! Calls that we place: RFC 3261 §13.2, §17.1.1.

use super::*;

#[test]
fn the_invite_has_everything_that_an_invite_must_have() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    assert_eq!(invite.request_uri(), Some(&b"sip:room@daily.example.com"[..]));
    let via = invite.top_via().unwrap();
    assert!(via.branch.unwrap().starts_with(b"z9hG4bK"));
    assert_eq!((via.host, via.port, via.rport), (&b"gw.example.com"[..], None, Some(None)));
    assert_eq!(invite.max_forwards(), Some(69));
    assert!(text(&invite, HeaderName::From).starts_with("\"Anna\" <sip:+15550199@gw.example.com>;tag="));
    assert_eq!(text(&invite, HeaderName::To), "<sip:room@daily.example.com>");
    assert_eq!(text(&invite, HeaderName::Contact), "<sip:+15550199@gw.example.com>");
    assert_eq!(text(&invite, HeaderName::Allow), ALLOW);
    assert_eq!(text(&invite, HeaderName::UserAgent), "Trunkline/test");
    assert!(text(&invite, HeaderName::CallId).starts_with("s0-"));
    assert_eq!(bench.endpoint.call_id(leg), invite.text(HeaderName::CallId).as_deref());
    assert_eq!(invite.named("X-Caller").next(), Some(&b"+15550199"[..]));
    assert_eq!(invite.body(), b"v=0\r\n");
}

#[test]
fn an_invite_without_response_is_repeated_by_timer_a_and_given_up_by_timer_b() {
    let mut bench = Bench::new();
    bench.calling();
    bench.pass(Duration::from_millis(31_999));
    assert_eq!(bench.said(), ["INVITE"; 6], "after 0.5 1 2 4 8 16 s");
    bench.pass(Duration::from_millis(1));
    let events = bench.events();
    assert!(
        matches!(events[..], [Event::Unanswered { why: Silence::Timeout, .. }, Event::Closed { .. }]),
        "{events:?}"
    );
    bench.finish();
}

#[test]
fn a_transport_failure_ends_the_call_at_once() {
    let mut bench = Bench::new();
    bench.endpoint.invite(bench.now, invite());
    let transaction = bench.transmits()[0].transaction.unwrap();
    bench.endpoint.transport_failed(bench.now, transaction);
    bench.endpoint.transport_failed(bench.now, transaction);
    let events = bench.events();
    assert!(
        matches!(events[..], [Event::Unanswered { why: Silence::Transport, .. }, Event::Closed { .. }]),
        "{events:?}"
    );
    assert_eq!(bench.endpoint.census(), Census::default());
}

#[test]
fn the_ack_to_a_2xx_is_kept_and_sent_again_for_each_2xx_that_comes_again() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    let ok = response(&invite, "200 OK", "bob", CONTACT);
    bench.receive(&response(&invite, "100 Trying", "bob", ""));
    bench.receive(&response(&invite, "180 Ringing", "bob", CONTACT));
    bench.receive(&ok);
    bench.receive(&ok);
    assert_eq!(bench.happened(), ["Progress", "Answered"]);
    assert!(bench.said().is_empty(), "absorbed until the layer above has its ACK");
    bench.endpoint.acknowledge(bench.now, leg, Some(sdp())).unwrap();
    assert_eq!(bench.endpoint.acknowledge(bench.now, leg, None), Err(CommandError::WrongState));
    let first = bench.transmits();
    assert_eq!(first[0].transaction, None);
    bench.receive(&ok);
    let again = bench.transmits();
    assert_eq!((&first[0].payload, &first[0].hop), (&again[0].payload, &again[0].hop));
    let ack = Message::parse(first[0].payload.clone()).unwrap();
    assert_eq!((text(&ack, HeaderName::CSeq).as_str(), ack.body()), ("1 ACK", &b"v=0\r\n"[..]));
    assert_ne!(ack.top_via().unwrap().branch, invite.top_via().unwrap().branch);
    assert_eq!(ack.request_uri(), Some(&b"sip:bob@192.0.2.10:5066"[..]));
    bench.pass(seconds(32));
    bench.receive(&ok);
    assert!(bench.said().is_empty(), "Timer M is over");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.sent().remove(0);
    assert_eq!(text(&bye, HeaderName::CSeq), "2 BYE");
    bench.receive(&response(&bye, "200 OK", "", ""));
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn requests_in_the_dialog_follow_the_record_route_of_the_answer() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    let routes = "\nRecord-Route: <sip:p2.example.com;lr>, <sip:192.0.2.20:5080;lr;x=%41>\nContact: <sip:bob@10.1.1.1>";
    bench.receive(&response(&invite, "200 OK", "bob", routes));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    for transmit in bench.transmits() {
        assert_eq!(transmit.hop, udp("192.0.2.20:5080"));
        let message = Message::parse(transmit.payload).unwrap();
        assert_eq!(message.request_uri(), Some(&b"sip:bob@10.1.1.1"[..]));
        let route: Vec<_> = message.values(HeaderName::Route).collect();
        assert_eq!(route, [&b"<sip:192.0.2.20:5080;lr;x=%41>"[..], b"<sip:p2.example.com;lr>"]);
    }
}

#[test]
fn a_route_with_a_name_is_left_to_the_transport_to_resolve() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.receive(&response(
        &invite,
        "200 OK",
        "bob",
        "\nRecord-Route: <sip:P.example.com:5070;lr;transport=tcp>\nContact: <sip:b@x>",
    ));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    let hop = bench.transmits().remove(0).hop;
    let address = HopAddress::Name { host: "p.example.com".to_owned(), port: Some(5070) };
    assert_eq!(hop, Hop { protocol: Protocol::Tcp, address, connection: None });
}

#[test]
fn a_2xx_without_contact_leaves_the_request_uri_as_target() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.receive(&response(&invite, "200 OK", "bob", ""));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    assert_eq!(bench.sent()[0].request_uri(), Some(&b"sip:room@daily.example.com"[..]));
}

#[test]
fn a_failure_is_acked_with_the_branch_of_the_invite_and_closes_the_leg() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    let busy = response(&invite, "486 Busy Here", "bob", "");
    bench.receive(&busy);
    assert_eq!(bench.happened(), ["Refused", "Closed"]);
    bench.receive(&busy);
    assert!(bench.happened().is_empty());
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["ACK", "ACK"]);
    assert_eq!(sent[0].top_via().unwrap().branch, invite.top_via().unwrap().branch);
    assert_eq!(sent[0].request_uri(), invite.request_uri());
    assert_eq!(sent[0].to_tag(), Some(&b"bob"[..]));
    bench.finish();
}

#[test]
fn several_early_dialogs_live_until_one_wins() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.receive(&response(&invite, "180 Ringing", "one", CONTACT));
    bench.receive(&response(&invite, "183 Session Progress", "two", CONTACT));
    bench.receive(&response(&invite, "180 Ringing", "one", CONTACT));
    assert_eq!(bench.happened(), ["Progress"; 3]);
    assert_eq!(bench.endpoint.census().dialogs, 2);
    bench.receive(&from_callee(&invite, "OPTIONS", 5, "two", "o1"));
    bench.receive(&from_callee(&invite, "OPTIONS", 5, "three", "o2"));
    assert_eq!(bench.said(), ["200 OPTIONS", "481 OPTIONS"]);
    bench.receive(&response(&invite, "200 OK", "two", CONTACT));
    assert_eq!(bench.endpoint.census().dialogs, 1);
    bench.receive(&from_callee(&invite, "OPTIONS", 6, "one", "o3"));
    assert_eq!(bench.said(), ["481 OPTIONS"]);
}

#[test]
fn the_answer_of_a_fork_that_lost_is_acked_and_byed_inside() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.established();
    let loser =
        response(&invite, "200 OK", "loser", "\nRecord-Route: <sip:192.0.2.30;lr>\nContact: <sip:loser@192.0.2.31>");
    bench.receive(&loser);
    let transmits = bench.transmits();
    let sent: Vec<_> = transmits.iter().map(|transmit| Message::parse(transmit.payload.clone()).unwrap()).collect();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(transmits.iter().all(|transmit| transmit.hop == udp("192.0.2.30:5060")));
    assert!(sent.iter().all(|message| message.to_tag() == Some(b"loser")));
    assert!(sent.iter().all(|message| message.from_tag() == invite.from_tag()));
    assert_eq!(
        (text(&sent[0], HeaderName::CSeq).as_str(), text(&sent[1], HeaderName::CSeq).as_str()),
        ("1 ACK", "2 BYE")
    );
    bench.receive(&loser);
    assert_eq!(bench.said(), ["ACK"], "its repetition gets the ACK again and no second BYE");
    assert!(bench.happened().is_empty());
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    assert_eq!(bench.said(), ["ACK"]);
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn an_answer_after_timer_b_is_acked_and_byed_inside() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.pass(seconds(40));
    bench.said();
    assert_eq!(bench.happened(), ["Unanswered", "Closed"]);
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    assert_eq!(bench.said(), ["ACK", "BYE", "ACK"]);
    assert!(bench.happened().is_empty());
    bench.finish();
}

#[test]
fn a_bye_before_our_ack_still_gets_the_2xx_its_ack() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    bench.receive(&from_callee(&invite, "BYE", 1, "bob", "b1"));
    assert_eq!(bench.said(), ["200 BYE", "ACK"]);
    assert_eq!(bench.happened(), ["Answered", "HungUp", "Closed"]);
    assert_eq!(bench.endpoint.acknowledge(bench.now, leg, None), Err(CommandError::NoSuchLeg));
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    assert_eq!(bench.said(), ["ACK"]);
    bench.finish();
}

#[test]
fn hanging_up_before_acknowledging_acks_first() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.said(), ["ACK", "BYE"]);
    bench.finish();
}

#[test]
fn a_response_that_is_not_ours_is_dropped() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    let ok = response(&invite, "200 OK", "bob", CONTACT);
    bench.receive(&ok.replace("z9hG4bK", "z9hG4bKx"));
    bench.receive(&ok.replace("From:", "Via: SIP/2.0/UDP other.example.com;branch=z9hG4bK1\nFrom:"));
    bench.receive(&ok.replace("1 INVITE", "1 OPTIONS"));
    bench.receive(&ok.replace("To: <sip:room@daily.example.com>;tag=bob\n", ""));
    assert!(bench.happened().is_empty());
    assert!(bench.said().is_empty());
}

#[test]
fn an_answer_of_another_fork_behind_a_failure_is_acked_and_byed_inside() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.receive(&response(&invite, "486 Busy Here", "one", ""));
    bench.receive(&response(&invite, "200 OK", "two", CONTACT));
    assert_eq!(bench.said(), ["ACK", "ACK", "BYE"]);
    assert_eq!(bench.happened(), ["Refused", "Closed"]);
    bench.finish();
}
