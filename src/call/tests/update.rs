//! UPDATE with an offer, before and after the answer, from either side.

use super::*;
use crate::sip::endpoint::{Headers, RequestId, Terms};
use crate::sip::session::reliable::Wish;
use crate::sip::{HeaderName, Message, Method};

fn allows_update() -> Headers {
    vec![("Allow".into(), "INVITE, ACK, CANCEL, BYE, UPDATE".to_owned())]
}

/// The last UPDATE that reached a peer.
fn updated(events: &[Event]) -> Option<(RequestId, String)> {
    events.iter().rev().find_map(|event| match event {
        Event::Requested { id, request, .. } if request.method() == Method::Update => {
            Some((*id, String::from_utf8_lossy(request.body()).into_owned()))
        }
        _ => None,
    })
}

/// The last answer to a request of this peer.
fn replied(events: &[Event]) -> Option<(u16, Option<&Message>)> {
    events.iter().rev().find_map(|event| match event {
        Event::Replied { status, response, .. } => Some((status.get(), response.as_ref())),
        _ => None,
    })
}

fn status(events: &[Event]) -> u16 {
    replied(events).map_or(0, |(status, _)| status)
}

fn body(events: &[Event]) -> String {
    let response = replied(events).and_then(|(_, response)| response).expect("a response");
    String::from_utf8_lossy(response.body()).into_owned()
}

impl Bench {
    fn update(&mut self, from: Side, leg: LegId, offer: &Body) {
        let peer = if from == Side::A { &mut self.pbx } else { &mut self.cloud };
        peer.send_inside(self.now, leg, Method::Update, &Headers::new(), Some(offer)).unwrap();
        self.pump();
    }
}

#[test]
fn an_update_is_passed_as_one_to_a_side_that_takes_it() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    let (id, offer) = updated(&bench.cloud_events).expect("our own stack allows UPDATE");
    assert!(offer.contains("a=sendonly"), "{offer}");
    bench.cloud.respond(bench.now, id, StatusCode::OK, None, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(status(&bench.pbx_events), 200);
    assert!(body(&bench.pbx_events).contains("a=recvonly"));
    assert_eq!(bench.told(Side::A).send, Flow::Held);
    // And the other way round.
    bench.update(Side::B, b, &audio("inactive", "0"));
    let (id, offer) = updated(&bench.pbx_events).expect("the PBX is asked");
    assert!(offer.contains("a=inactive"), "{offer}");
    bench.pbx.respond(bench.now, id, StatusCode::OK, None, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    assert!(body(&bench.cloud_events).contains("a=inactive"));
}

#[test]
fn an_update_becomes_a_reinvite_for_a_side_that_does_not_take_it() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    let plain = vec![("Allow".into(), "INVITE, ACK, CANCEL, BYE".to_owned())];
    bench.cloud.answer(bench.now, b, plain, Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    let (id, _) = updated(&bench.cloud_events).expect("its stack says UPDATE in Allow");
    bench.cloud.respond(bench.now, id, StatusCode::METHOD_NOT_ALLOWED, None, vec![], None).unwrap();
    bench.pump();
    assert!(bench.cloud_events.iter().any(|event| matches!(event, Event::Reinvited { leg, .. } if *leg == b)));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(status(&bench.pbx_events), 200);
    assert!(body(&bench.pbx_events).contains("a=recvonly"));
    // It is remembered.
    bench.update(Side::A, a, &audio("sendrecv", "0 8"));
    let offers = bench.cloud_events.iter().filter(|event| matches!(event, Event::Reinvited { .. })).count();
    assert_eq!(offers, 2);
}

#[test]
fn a_second_update_before_the_answer_gets_500_and_when_to_come_again() {
    let mut bench = Bench::new("");
    let (a, _) = bench.connected();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    bench.update(Side::A, a, &audio("inactive", "0 8"));
    let (status, response) = replied(&bench.pbx_events).unwrap();
    assert_eq!(status, 500);
    let after: u64 = response.unwrap().text(HeaderName::RetryAfter).unwrap().parse().unwrap();
    assert!(after <= 10);
}

#[test]
fn an_update_that_meets_an_offer_of_ours_gets_491() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0 8"))).unwrap();
    bench.pump();
    bench.update(Side::B, b, &audio("inactive", "0"));
    assert_eq!(status(&bench.cloud_events), 491);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::ReinviteAnswered { .. })));
}

#[test]
fn a_reinvite_that_meets_our_update_gets_491() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    assert_eq!(refused(&bench.cloud_events), Some(491));
}

#[test]
fn an_update_that_changes_nothing_or_offers_nothing_is_answered_here() {
    let mut bench = Bench::new("");
    let (a, _) = bench.connected();
    bench.update(Side::A, a, &audio("sendrecv", "0 8"));
    assert_eq!(status(&bench.pbx_events), 200);
    assert!(body(&bench.pbx_events).contains("a=sendrecv"));
    bench.pbx.send_inside(bench.now, a, Method::Update, &Headers::new(), None).unwrap();
    bench.pump();
    assert_eq!((status(&bench.pbx_events), body(&bench.pbx_events).as_str()), (200, ""));
    assert!(updated(&bench.cloud_events).is_none());
}

#[test]
fn a_refused_update_keeps_the_session() {
    let mut bench = Bench::new("");
    let (a, _) = bench.connected();
    bench.update(Side::A, a, &audio("sendonly", "18"));
    assert_eq!(status(&bench.pbx_events), 488, "daily takes no G729");
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    let (id, _) = updated(&bench.cloud_events).unwrap();
    bench.cloud.respond(bench.now, id, StatusCode::NOT_ACCEPTABLE_HERE, None, vec![], None).unwrap();
    bench.pump();
    assert_eq!(status(&bench.pbx_events), 488);
    assert_eq!(bench.told(Side::A).send, Flow::Open);
    assert!(bench.records.is_empty());
}

#[test]
fn an_update_to_a_side_that_lost_its_dialog_ends_the_call() {
    let mut bench = Bench::new("");
    let (a, _) = bench.connected();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    let (id, _) = updated(&bench.cloud_events).unwrap();
    bench.cloud.respond(bench.now, id, StatusCode::NO_SUCH_TRANSACTION, None, vec![], None).unwrap();
    bench.pump();
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::CloudLostDialog);
    assert_eq!(status(&bench.pbx_events), 487, "its own UPDATE is answered all the same");
}

#[test]
fn an_update_of_the_far_side_that_overtakes_the_callers_ack_waits_for_it() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.update(Side::B, b, &audio("sendonly", "0"));
    assert_eq!(status(&bench.cloud_events), 0);
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    let (id, _) = updated(&bench.pbx_events).expect("passed after the ACK");
    bench.pbx.respond(bench.now, id, StatusCode::OK, None, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(status(&bench.cloud_events), 200);
}

/// Early media from the cloud: both legs have described themselves before the answer.
fn early() -> (Bench, LegId, LegId) {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    let progress = StatusCode::SESSION_PROGRESS;
    bench.cloud.provisional(bench.now, b, progress, None, allows_update(), Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    (bench, a, b)
}

#[test]
fn an_update_of_the_far_side_before_the_answer_is_passed_to_a_caller_that_takes_it() {
    let (mut bench, _, b) = early();
    bench.update(Side::B, b, &audio("sendonly", "0"));
    let (id, offer) = updated(&bench.pbx_events).expect("the caller is asked");
    assert!(offer.contains("a=sendonly"));
    bench.pbx.respond(bench.now, id, StatusCode::OK, None, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(status(&bench.cloud_events), 200);
    assert!(body(&bench.cloud_events).contains("a=recvonly"));
}

#[test]
fn an_update_before_any_answer_is_out_of_turn() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.provisional(bench.now, b, StatusCode::RINGING, None, vec![], None).unwrap();
    bench.pump();
    bench.update(Side::B, b, &audio("sendonly", "0"));
    assert_eq!(status(&bench.cloud_events), 491, "our own offer is unanswered");
}

#[test]
fn a_change_before_the_answer_that_is_open_when_the_target_refuses_gets_its_answer() {
    let (mut bench, _, b) = early();
    bench.update(Side::B, b, &audio("sendonly", "0"));
    bench.cloud.reject(bench.now, b, StatusCode::new(486).unwrap(), None, vec![]).unwrap();
    bench.pump();
    assert_eq!(status_of_refusal(&bench.pbx_events).map(|(status, _)| status), Some(486));
}

/// Early media that the cloud described reliably: its answer holds, and may be changed.
fn early_and_agreed() -> (Bench, LegId, LegId) {
    let mut bench = Bench::new_with("reliable = \"supported\"", "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    let reliable = Terms { reliable: Wish::Supported, ..Terms::PLAIN };
    bench.cloud.agree(b, reliable).unwrap();
    let progress = StatusCode::SESSION_PROGRESS;
    bench.cloud.provisional(bench.now, b, progress, None, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    (bench, a, b)
}

#[test]
fn an_update_of_the_caller_before_the_answer_is_passed_in_the_early_dialog() {
    let (mut bench, a, b) = early_and_agreed();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    let (id, offer) = updated(&bench.cloud_events).expect("the cloud is asked");
    assert!(offer.contains("a=sendonly"), "{offer}");
    assert!(replied(&bench.pbx_events).is_none(), "not before the cloud's answer");
    bench.cloud.respond(bench.now, id, StatusCode::OK, None, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    assert_eq!(status(&bench.pbx_events), 200);
    assert!(body(&bench.pbx_events).contains("a=recvonly"));
    assert_eq!(bench.told(Side::A).send, Flow::Held);
    // The answer repeats what the 183 said; the UPDATE has gone further.
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!((bench.told(Side::A).send, bench.state()), (Flow::Held, CallState::Held));
    // The confirmed dialog counts on from the early one.
    bench.update(Side::A, a, &audio("sendrecv", "0 8"));
    let (id, offer) = updated(&bench.cloud_events).expect("another UPDATE");
    assert!(offer.contains("a=sendrecv"), "{offer}");
    bench.cloud.respond(bench.now, id, StatusCode::OK, None, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::A).send, Flow::Open);
}

#[test]
fn an_update_of_the_caller_whose_target_has_not_agreed_on_anything_is_answered_here() {
    let (mut bench, a, _) = early();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    assert!(updated(&bench.cloud_events).is_none(), "its description came without a promise");
    assert_eq!(status(&bench.pbx_events), 200);
    assert!(body(&bench.pbx_events).contains("a=recvonly"));
}

#[test]
fn a_refusal_of_an_early_update_keeps_what_was_agreed_on() {
    let (mut bench, a, b) = early_and_agreed();
    bench.update(Side::A, a, &audio("sendonly", "0 8"));
    let (id, _) = updated(&bench.cloud_events).expect("the cloud is asked");
    bench.cloud.respond(bench.now, id, StatusCode::NOT_ACCEPTABLE_HERE, None, vec![], None).unwrap();
    bench.pump();
    assert_eq!(status(&bench.pbx_events), 488);
    bench.cloud.answer(bench.now, b, vec![], None).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    assert_eq!((bench.told(Side::A).send, bench.state()), (Flow::Open, CallState::Held));
}
