//! What happens in an answered call: re-INVITE, glare, BYE and its races. RFC 3261 §12.2, §14, §15.

use super::*;

#[test]
fn a_reinvite_of_the_peer_is_answered_and_moves_the_target() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1").replace("anna@192.0.2.10:5066", "anna@192.0.2.77"));
    assert_eq!((bench.said(), bench.happened()), (vec!["100 INVITE".to_owned()], vec!["Reinvited".to_owned()]));
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let answer = bench.sent().remove(0);
    assert_eq!(answer.to_tag(), Some(tag.as_bytes()));
    assert_eq!(text(&answer, HeaderName::Contact), "<sip:+15550100@gw.example.com>");
    bench.receive(&in_dialog("ACK", 11, &tag, "ack2"));
    assert_eq!(bench.happened(), ["Acknowledged"]);
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.transmits().remove(0);
    assert_eq!(bye.hop, udp("192.0.2.77:5060"));
    bench.finish();
}

#[test]
fn a_rejected_reinvite_leaves_dialog_and_target_alone() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1").replace("anna@192.0.2.10:5066", "anna@192.0.2.77"));
    bench.endpoint.reject(bench.now, leg, StatusCode::NOT_ACCEPTABLE_HERE, None, Headers::new()).unwrap();
    bench.receive(&in_dialog("ACK", 11, &tag, "re1"));
    assert_eq!(bench.happened(), ["Reinvited"]);
    bench.transmits();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.transmits()[0].hop, udp("192.0.2.10:5066"));
}

#[test]
fn a_reinvite_of_ours_is_answered_acked_and_moves_the_target() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    assert_eq!(bench.endpoint.reinvite(bench.now, leg, Headers::new(), None), Err(CommandError::Pending));
    let invite = bench.sent().remove(0);
    assert_eq!(text(&invite, HeaderName::CSeq), "2 INVITE");
    assert_eq!(text(&invite, HeaderName::Contact), "<sip:+15550199@gw.example.com>");
    let ok = response(&invite, "200 OK", "", "\nContact: <sip:bob@192.0.2.88>");
    bench.receive(&ok);
    bench.receive(&ok);
    assert_eq!(bench.happened(), ["ReinviteAnswered"]);
    assert_eq!(bench.endpoint.reinvite(bench.now, leg, Headers::new(), None), Err(CommandError::Pending), "ACK first");
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    let ack = bench.transmits().remove(0);
    assert_eq!(ack.hop, udp("192.0.2.88:5060"));
    bench.receive(&ok);
    assert_eq!(bench.transmits()[0].payload, ack.payload);
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), None).unwrap();
}

#[test]
fn a_refused_or_unanswered_reinvite_leaves_the_dialog_standing() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let invite = bench.sent().remove(0);
    bench.receive(&response(&invite, "488 Not Acceptable Here", "", ""));
    let events = bench.events();
    assert!(matches!(
        &events[..],
        [Event::ReinviteRefused { status: StatusCode::NOT_ACCEPTABLE_HERE, response: Some(_), .. }]
    ));
    assert_eq!(bench.said(), ["ACK"]);
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    bench.pass(seconds(32));
    let events = bench.events();
    assert!(matches!(
        &events[..],
        [Event::ReinviteRefused { status: StatusCode::REQUEST_TIMEOUT, response: None, .. }]
    ));
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let transaction = bench.transmits().last().unwrap().transaction.unwrap();
    bench.endpoint.transport_failed(bench.now, transaction);
    let events = bench.events();
    assert!(matches!(
        &events[..],
        [Event::ReinviteRefused { status: StatusCode::SERVICE_UNAVAILABLE, response: None, .. }]
    ));
    assert_eq!(bench.endpoint.census().legs, 1);
}

#[test]
fn a_reinvite_while_ours_is_pending_gets_491() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), None).unwrap();
    let invite = bench.sent().remove(0);
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    assert_eq!(bench.said(), ["491 INVITE"]);
    bench.receive(&response(&invite, "200 OK", "", CONTACT));
    bench.receive(&in_dialog("INVITE", 12, &tag, "re2"));
    assert_eq!(bench.said(), ["491 INVITE"], "nor before our ACK");
    assert_eq!(bench.happened(), ["ReinviteAnswered"]);
}

#[test]
fn a_second_invite_while_the_first_is_pending_gets_500_with_retry_after() {
    let mut bench = Bench::new();
    let (_, tag) = bench.answered_call();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    bench.receive(&in_dialog("INVITE", 12, &tag, "re2"));
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["100 INVITE", "500 INVITE"]);
    assert!(text(&sent[1], HeaderName::RetryAfter).parse::<u64>().unwrap() <= 10);
    assert_eq!(bench.happened(), ["Reinvited"]);
}

#[test]
fn a_reinvite_while_the_ack_owes_us_the_answer_gets_491() {
    let mut bench = Bench::new();
    let offerless = INVITE.replace("\nContent-Type: application/sdp\n\nv=0", "");
    bench.receive(&offerless);
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let tag = String::from_utf8(bench.sent()[1].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    assert_eq!(bench.said(), ["491 INVITE"]);
}

#[test]
fn a_reinvite_while_an_offer_was_made_and_answered_but_not_acked_is_taken() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    bench.receive(&in_dialog("ACK", 11, &tag, "ack2"));
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    assert_eq!(bench.happened(), ["Reinvited", "Acknowledged", "Acknowledged"]);
}

#[test]
fn a_request_with_a_lower_number_gets_500() {
    let mut bench = Bench::new();
    let (_, tag) = bench.answered_call();
    bench.receive(&in_dialog("BYE", 9, &tag, "b1"));
    assert_eq!(bench.said(), ["500 BYE"]);
    assert!(bench.happened().is_empty());
    bench.receive(&in_dialog("BYE", 99, &tag, "b2"));
    assert_eq!(bench.said(), ["200 BYE"], "gaps are legal");
}

#[test]
fn a_bye_ends_the_call_once_and_the_pending_reinvite_gets_487() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    bench.happened();
    bench.said();
    bench.receive(&in_dialog("BYE", 12, &tag, "b1"));
    bench.receive(&in_dialog("BYE", 12, &tag, "b1"));
    assert_eq!(bench.said(), ["200 BYE", "487 INVITE", "200 BYE"]);
    assert_eq!(bench.happened(), ["HungUp", "Closed"]);
    bench.receive(&in_dialog("BYE", 13, &tag, "b2"));
    assert_eq!(bench.said(), ["481 BYE"]);
    assert_eq!(bench.endpoint.bye(bench.now, leg, Headers::new()), Err(CommandError::NoSuchLeg));
    bench.finish();
}

#[test]
fn a_bye_before_the_ack_ends_the_call_and_stops_the_2xx() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.answer(bench.now, leg, Headers::new(), None).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("BYE", 11, &tag, "b1"));
    bench.receive(&in_dialog("ACK", 10, &tag, "ack1"));
    bench.pass(seconds(40));
    assert_eq!(bench.said(), ["200 BYE"]);
    assert_eq!(bench.happened(), ["HungUp", "Closed"]);
    bench.finish();
}

#[test]
fn a_bye_of_the_caller_on_an_early_dialog_ends_the_invite_with_487() {
    let mut bench = Bench::new();
    let leg = bench.invited();
    bench.endpoint.provisional(bench.now, leg, StatusCode::RINGING, None, Headers::new(), None).unwrap();
    let tag = String::from_utf8(bench.sent()[0].to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("BYE", 11, &tag, "b1"));
    assert_eq!(bench.said(), ["200 BYE", "487 INVITE"]);
    assert_eq!(bench.happened(), ["HungUp", "Closed"]);
    bench.finish();
}

#[test]
fn a_bye_that_overtakes_the_answer_ends_the_call_and_the_answer_is_acked_and_byed() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.receive(&response(&invite, "180 Ringing", "bob", CONTACT));
    bench.receive(&from_callee(&invite, "BYE", 1, "bob", "b1"));
    assert_eq!(bench.said(), ["200 BYE", "CANCEL"]);
    assert_eq!(bench.happened(), ["Progress", "HungUp", "Closed"]);
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    assert_eq!(bench.said(), ["ACK", "BYE"]);
    bench.finish();
}

#[test]
fn a_bye_during_our_reinvite_ends_everything() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), None).unwrap();
    let invite = bench.sent().remove(0);
    bench.receive(&response(&invite, "100 Trying", "", ""));
    bench.receive(&in_dialog("BYE", 11, &tag, "b1"));
    assert_eq!(bench.happened(), ["HungUp", "Closed"]);
    bench.said();
    let mut answered = bench;
    answered.receive(&response(&invite, "200 OK", "", CONTACT));
    assert_eq!(answered.said(), ["ACK"], "its dialog is over already");
    assert!(answered.happened().is_empty());
    answered.finish();
}

#[test]
fn our_bye_during_our_reinvite_leaves_nothing_behind_even_if_the_peer_is_dead() {
    let mut bench = Bench::new();
    let (leg, _) = bench.answered_call();
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), None).unwrap();
    let invite = bench.sent().remove(0);
    bench.receive(&response(&invite, "100 Trying", "", ""));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.pass(seconds(32));
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn our_bye_answers_the_pending_reinvite_with_487() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.receive(&in_dialog("INVITE", 11, &tag, "re1"));
    bench.said();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.said(), ["487 INVITE", "BYE"]);
    assert_eq!(bench.endpoint.answer(bench.now, leg, Headers::new(), None), Err(CommandError::WrongState));
    bench.receive(&in_dialog("INVITE", 12, &tag, "re2"));
    assert_eq!(bench.said(), ["481 INVITE"]);
}

#[test]
fn byes_that_cross_close_the_leg_once() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.sent().remove(0);
    bench.receive(&in_dialog("BYE", 11, &tag, "b1"));
    assert_eq!(bench.said(), ["200 BYE"]);
    bench.receive(&response(&bye, "481 Call Does Not Exist", "", ""));
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn a_bye_that_nobody_answers_closes_the_leg_by_timer_f() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.pass(Duration::from_millis(31_999));
    assert_eq!(bench.said(), ["BYE"; 11]);
    assert!(bench.happened().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn options_in_the_dialog_is_answered_inside_and_unknown_methods_get_405() {
    let mut bench = Bench::new();
    let (_, tag) = bench.answered_call();
    bench.receive(&in_dialog("OPTIONS", 11, &tag, "o1"));
    bench.receive(&in_dialog("PUBLISH", 12, &tag, "i1"));
    bench.receive(&in_dialog("FOO", 13, &tag, "f1"));
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["200 OPTIONS", "405 PUBLISH", "405 FOO"]);
    assert!(sent.iter().all(|message| text(message, HeaderName::Allow) == ALLOW));
    assert!(bench.happened().is_empty());
}

#[test]
fn a_request_with_the_wrong_tag_of_the_peer_belongs_to_no_dialog() {
    let mut bench = Bench::new();
    let (_, tag) = bench.answered_call();
    bench.receive(&in_dialog("BYE", 11, &tag, "b1").replace("tag=anna", "tag=eve"));
    bench.receive(&in_dialog("BYE", 11, "wrong", "b2"));
    assert_eq!(bench.said(), ["481 BYE", "481 BYE"]);
    assert!(bench.happened().is_empty());
}
