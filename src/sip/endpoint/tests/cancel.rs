//! CANCEL and its races: RFC 3261 §9.

use super::*;

fn cancel() -> String {
    INVITE.replace("INVITE", "CANCEL").replace("Max-Forwards", "Require: 100rel\nMax-Forwards")
}

#[test]
fn a_cancel_ends_the_pending_invite_once() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.receive(&cancel());
    bench.receive(&cancel());
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE", "200 CANCEL"]);
    assert_eq!(sent[0].to_tag(), sent[1].to_tag());
    assert_eq!(bench.happened(), ["Cancelled", "Closed"]);
    assert_eq!(bench.endpoint.answer(bench.now, leg, Headers::new(), None), Err(CommandError::NoSuchLeg));
    bench.finish();
}

#[test]
fn a_cancel_of_nothing_gets_481() {
    let mut bench = Bench::new();
    bench.receive(&cancel());
    assert_eq!(bench.said(), ["481 CANCEL"]);
    bench.invited();
    bench.receive(&cancel().replace("in1", "in2"));
    assert_eq!(bench.said(), ["481 CANCEL"]);
    assert!(bench.happened().is_empty());
}

#[test]
fn a_cancel_after_our_answer_gets_200_and_changes_nothing() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&cancel());
    assert_eq!(bench.said(), ["200 CANCEL"]);
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    assert_eq!(bench.happened(), ["Acknowledged"]);
}

#[test]
fn a_cancel_of_an_invite_without_cookie_is_matched_too() {
    let mut bench = Bench::new();
    let old = |text: &str| text.replace(";branch=z9hG4bKin1;rport", "");
    bench.receive(&old(INVITE));
    bench.receive(&old(&cancel()));
    assert_eq!(bench.said(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
}

#[test]
fn our_cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.endpoint.cancel(bench.now, leg, vec![("Reason".into(), "SIP;cause=487".to_owned())]).unwrap();
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    assert!(bench.said().is_empty());
    bench.receive(&response(&invite, "100 Trying", "", ""));
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["CANCEL"]);
    let cancel = &sent[0];
    assert_eq!(text(cancel, HeaderName::Via), text(&invite, HeaderName::Via));
    for same in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
        assert_eq!(cancel.value(same), invite.value(same));
    }
    assert_eq!((cancel.request_uri(), text(cancel, HeaderName::CSeq).as_str()), (invite.request_uri(), "1 CANCEL"));
    assert_eq!(text(cancel, HeaderName::Reason), "SIP;cause=487");
    bench.receive(&response(cancel, "200 OK", "bob", ""));
    bench.receive(&response(&invite, "180 Ringing", "bob", ""));
    assert!(bench.happened().is_empty(), "ringing is no news any more");
    bench.receive(&response(&invite, "487 Request Terminated", "bob", ""));
    assert_eq!(
        (bench.said(), bench.happened()),
        (vec!["ACK".to_owned()], vec!["Refused".to_owned(), "Closed".to_owned()])
    );
    bench.finish();
}

#[test]
fn an_invite_that_nobody_answers_ends_by_timer_b_cancelled_or_not() {
    let mut bench = Bench::new();
    let (leg, _) = bench.calling();
    bench.pass(seconds(10));
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    bench.pass(seconds(22));
    assert!(bench.said().iter().all(|said| said == "INVITE"), "no CANCEL without a provisional response");
    assert_eq!(bench.happened(), ["Unanswered", "Closed"]);
    bench.finish();
}

#[test]
fn after_cancel_the_final_response_is_waited_for_64_t1() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.receive(&response(&invite, "180 Ringing", "bob", ""));
    bench.pass(seconds(100));
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    bench.pass(Duration::from_millis(31_999));
    assert_eq!(bench.happened(), ["Progress"]);
    bench.pass(Duration::from_millis(1));
    let events = bench.events();
    assert!(
        matches!(events[..], [Event::Unanswered { why: Silence::Timeout, .. }, Event::Closed { .. }]),
        "{events:?}"
    );
    bench.said();
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    assert_eq!(bench.said(), ["ACK", "BYE"], "an answer that late is hung up");
    bench.finish();
}

#[test]
fn an_answer_that_wins_against_our_cancel_is_acked_and_byed_and_only_closed_comes_up() {
    for provisional_first in [true, false] {
        let mut bench = Bench::new();
        let (leg, invite) = bench.calling();
        if provisional_first {
            bench.receive(&response(&invite, "180 Ringing", "bob", ""));
        }
        bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
        bench.said();
        bench.happened();
        let ok = response(&invite, "200 OK", "bob", CONTACT);
        bench.receive(&ok);
        bench.receive(&ok);
        assert_eq!(bench.said(), ["ACK", "BYE", "ACK"]);
        assert_eq!(bench.happened(), ["Closed"]);
        bench.finish();
    }
}

#[test]
fn a_cancel_after_the_answer_is_refused_by_the_endpoint() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    assert_eq!(bench.endpoint.cancel(bench.now, leg, Headers::new()), Err(CommandError::WrongState));
}

#[test]
fn a_reinvite_can_be_cancelled_from_both_sides_and_the_dialog_stands() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    bench.receive(&in_dialog("CANCEL", 11, &tag, "re1"));
    assert_eq!(bench.said(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(bench.happened(), ["Reinvited", "Cancelled"]);
    bench.receive(&in_dialog("ACK", 11, &tag, "re1"));
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), None).unwrap();
    let invite = bench.sent().remove(0);
    bench.receive(&response(&invite, "100 Trying", "", ""));
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.said(), ["CANCEL"]);
    bench.receive(&response(&invite, "487 Request Terminated", "", ""));
    assert_eq!(bench.happened(), ["ReinviteRefused"]);
    assert_eq!(bench.endpoint.census().legs, 1);
}
