//! Calls that come to us: RFC 3261 §13.3, §17.2.1.

use super::*;

#[test]
fn an_invite_gets_100_at_once_and_comes_up_once_however_often_it_is_sent() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.receive(INVITE);
    assert_eq!(bench.said(), ["100 INVITE"]);
    bench.endpoint.provisional(bench.now, leg, StatusCode::RINGING, None, Headers::new(), None).unwrap();
    bench.receive(INVITE);
    assert_eq!(bench.said(), ["180 INVITE", "180 INVITE"]);
    assert!(bench.happened().is_empty());
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn responses_copy_the_request_and_add_what_is_ours() {
    let mut bench = Bench::new();
    let request = INVITE
        .replace("Max-Forwards", "Via: SIP/2.0/TCP a.example.com, SIP/2.0/UDP b.example.com;branch=1\nTimestamp: 54.5\nRecord-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr;x=%41>\nMax-Forwards");
    bench.receive(&request);
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.answer(bench.now, leg, vec![("X-Room".into(), "r".to_owned())], Some(sdp())).unwrap();
    let sent = bench.sent();
    let answer = &sent[1];
    let vias: Vec<_> = answer.values(HeaderName::Via).map(|via| String::from_utf8_lossy(via).into_owned()).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 192.0.2.10:5066;branch=z9hG4bKin1;rport=5066;received=192.0.2.10",
            "SIP/2.0/TCP a.example.com",
            "SIP/2.0/UDP b.example.com;branch=1"
        ]
    );
    assert_eq!(text(answer, HeaderName::RecordRoute), "<sip:p1.example.com;lr>, <sip:p2.example.com;lr;x=%41>");
    assert_eq!(text(answer, HeaderName::From), "\"Anna\" <sip:+15550199@pbx.example.com>;tag=anna");
    assert!(text(answer, HeaderName::To).starts_with("<sip:+15550100@gw.example.com>;tag="));
    assert_eq!(text(answer, HeaderName::CSeq), "10 INVITE");
    assert_eq!(text(answer, HeaderName::Contact), "<sip:+15550100@gw.example.com>");
    assert_eq!(text(answer, HeaderName::Allow), ALLOW);
    assert_eq!(text(answer, HeaderName::Server), "Trunkline/test");
    assert_eq!(answer.named("X-Room").next(), Some(&b"r"[..]));
    assert_eq!(answer.body(), b"v=0\r\n");
    assert_eq!(sent[0].to_tag(), answer.to_tag());
    assert_eq!((sent[0].named("Timestamp").count(), answer.named("Timestamp").count()), (1, 0), "§8.2.6.1");
    assert_eq!(sent[0].value(HeaderName::Contact), None, "100 forms no dialog");
}

#[test]
fn a_2xx_is_repeated_until_its_ack_which_comes_up_once() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.pass(Duration::from_millis(3500));
    assert_eq!(bench.said(), ["200 INVITE"; 3], "after 0.5, 1.5 and 3.5 s");
    bench.receive(INVITE);
    assert!(bench.said().is_empty(), "RFC 6026: absorbed");
    bench.receive(&in_dialog("ACK", 9, &tag, "ack0"));
    assert!(bench.happened().is_empty(), "an ACK to something else");
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    bench.receive(&in_dialog("ACK", 10, &tag, "ack2"));
    assert_eq!(bench.happened(), ["Acknowledged"]);
    bench.pass(seconds(40));
    assert!(bench.said().is_empty());
    assert!(bench.happened().is_empty());
    bench.receive(&in_dialog("BYE", 11, &tag, "bye"));
    assert_eq!(
        (bench.said(), bench.happened()),
        (vec!["200 BYE".to_owned()], vec!["HungUp".to_owned(), "Closed".to_owned()])
    );
    bench.finish();
}

#[test]
fn a_2xx_without_ack_is_reported_after_64_t1_and_nothing_is_hung_up() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    bench.pass(Duration::from_millis(31_999));
    assert_eq!(bench.said(), ["200 INVITE"; 11], "the first, then after 0.5 1 2 4 4 4 4 4 4 4 s");
    assert!(bench.happened().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.happened(), ["Unacknowledged"]);
    assert!(bench.said().is_empty());
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.said(), ["BYE"]);
    bench.finish();
}

#[test]
fn a_rejected_call_is_closed_at_once_while_its_answer_is_repeated_until_the_ack() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    let headers = vec![("Reason".into(), "Q.850;cause=17".to_owned())];
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, Some("No Room"), headers).unwrap();
    assert_eq!(bench.happened(), ["Closed"]);
    let sent = bench.sent();
    assert_eq!(
        (sent[0].reason().as_ref(), text(&sent[0], HeaderName::Reason)),
        ("No Room", "Q.850;cause=17".to_owned())
    );
    let tag = String::from_utf8(sent[0].to_tag().unwrap().to_vec()).unwrap();
    bench.pass(Duration::from_millis(1500));
    assert_eq!(bench.said(), ["486 INVITE"; 2]);
    bench.receive(&in_dialog("ACK", 10, &tag, "in1"));
    bench.pass(seconds(4));
    assert!(bench.said().is_empty());
    assert_eq!(bench.endpoint.census().transactions, 1, "Timer I");
    assert_eq!(
        bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()),
        Err(CommandError::NoSuchLeg)
    );
    bench.finish();
}

#[test]
fn peers_without_the_branch_cookie_are_served_by_the_rules_of_rfc_2543() {
    let mut bench = Bench::new();
    let old = INVITE.replace(";branch=z9hG4bKin1;rport", "");
    bench.receive(&old);
    bench.receive(&old);
    assert_eq!(bench.said(), ["100 INVITE", "100 INVITE"]);
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.receive(&old.replace("INVITE", "ACK").replace("gw.example.com>", "gw.example.com>;tag=x"));
    bench.pass(seconds(10));
    assert_eq!(bench.said(), ["486 INVITE"]);
    bench.finish();
}

#[test]
fn an_ack_to_a_2xx_that_reuses_the_branch_of_the_invite_is_taken() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("ACK", 10, &tag, "in1"));
    bench.receive(&in_dialog("ACK", 10, &tag, "in1"));
    assert_eq!(bench.happened(), ["Acknowledged"]);
}

#[test]
fn the_same_request_by_another_way_is_a_loop() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    let merged = INVITE.replace("z9hG4bKin1", "z9hG4bKother");
    bench.receive(&merged);
    bench.receive(&merged);
    assert_eq!(bench.said(), ["482 INVITE", "482 INVITE"]);
    assert!(bench.happened().is_empty());
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.pass(seconds(40));
    bench.said();
    bench.receive(&merged.replace("other", "later"));
    assert_eq!(bench.said(), ["100 INVITE"], "the first one is over");
}

#[test]
fn an_invite_that_was_challenged_may_come_again_under_its_number() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.said();
    let unauthorized = StatusCode::new(401).unwrap();
    bench.endpoint.reject(bench.now, leg, unauthorized, None, Headers::new()).unwrap();
    bench.said();
    bench.receive(&INVITE.replace("z9hG4bKin1", "z9hG4bKproof"));
    assert_eq!(bench.said(), ["100 INVITE"], "it is what was asked for");
    bench.receive(&INVITE.replace("z9hG4bKin1", "z9hG4bKother"));
    assert_eq!(bench.said(), ["482 INVITE"], "now that one is in progress");
}

#[test]
fn a_provisional_response_is_repeated_every_minute_so_that_proxies_keep_the_call() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.pass(seconds(120));
    assert!(bench.said().is_empty(), "100 says nothing to them");
    bench.endpoint.provisional(bench.now, leg, StatusCode::RINGING, None, Headers::new(), None).unwrap();
    bench.pass(seconds(130));
    assert_eq!(bench.said(), ["180 INVITE"; 3]);
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn the_bye_of_the_callee_waits_for_the_ack() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.endpoint.bye(bench.now, leg, vec![("Reason".into(), "Q.850;cause=16".to_owned())]).unwrap();
    assert!(bench.said().is_empty());
    assert_eq!(bench.endpoint.bye(bench.now, leg, Headers::new()), Err(CommandError::WrongState));
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["BYE"]);
    assert_eq!(text(&sent[0], HeaderName::Reason), "Q.850;cause=16");
    assert_eq!(sent[0].request_uri(), Some(&b"sip:anna@192.0.2.10:5066"[..]));
    assert_eq!(text(&sent[0], HeaderName::To), "\"Anna\" <sip:+15550199@pbx.example.com>;tag=anna");
    bench.receive(&response(&sent[0], "200 OK", "", ""));
    assert_eq!(bench.happened(), ["Acknowledged", "Closed"]);
    bench.finish();
}

#[test]
fn the_bye_of_the_callee_goes_out_when_the_ack_never_comes() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.pass(seconds(32));
    assert_eq!(bench.said().last().map(String::as_str), Some("BYE"));
    assert!(bench.happened().is_empty());
    bench.pass(seconds(32));
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn commands_that_do_not_fit_the_state_change_nothing() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    let now = bench.now;
    let endpoint = &mut bench.endpoint;
    let none = Headers::new;
    assert_eq!(endpoint.bye(now, leg, none()), Err(CommandError::WrongState));
    assert_eq!(endpoint.reinvite(now, leg, none(), None), Err(CommandError::WrongState));
    assert_eq!(endpoint.acknowledge(now, leg, None), Err(CommandError::WrongState));
    assert_eq!(endpoint.cancel(now, leg, none()), Err(CommandError::WrongState));
    assert_eq!(endpoint.provisional(now, leg, StatusCode::OK, None, none(), None), Err(CommandError::WrongState));
    assert_eq!(endpoint.reject(now, leg, StatusCode::OK, None, none()), Err(CommandError::WrongState));
    endpoint.answer(now, leg, none(), None).unwrap();
    assert_eq!(endpoint.answer(now, leg, none(), None), Err(CommandError::WrongState));
    assert_eq!(endpoint.reject(now, leg, StatusCode::BUSY_HERE, None, none()), Err(CommandError::WrongState));
    assert_eq!(endpoint.reinvite(now, leg, none(), None), Err(CommandError::Pending), "not before the ACK");
    assert_eq!(bench.said(), ["200 INVITE"]);
}
