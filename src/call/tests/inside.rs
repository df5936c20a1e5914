//! Requests in the dialogs of a call, and outside of all calls.

use super::*;
use crate::sip::Method;
use crate::sip::endpoint::{Headers, Standalone};

#[test]
fn an_empty_info_is_answered_and_one_with_a_body_is_not_understood() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    let digits = Body { content_type: "application/dtmf-relay", bytes: "Signal=1".into() };
    bench.pbx.send_inside(bench.now, a, Method::Info, &Headers::new(), None).unwrap();
    bench.cloud.send_inside(bench.now, b, Method::Info, &Headers::new(), Some(&digits)).unwrap();
    bench.pump();
    let status = |events: &[Event]| match events.last() {
        Some(Event::Replied { status, .. }) => status.get(),
        other => panic!("{other:?}"),
    };
    assert_eq!((status(&bench.pbx_events), status(&bench.cloud_events)), (200, 415));
}

#[test]
fn a_question_outside_of_all_calls_comes_back_with_its_answer() {
    let mut bench = Bench::new("");
    let question = Standalone {
        method: Method::Options,
        request_uri: "sip:192.0.2.2".to_owned(),
        hop: Hop { protocol: Protocol::Udp, address: HopAddress::Socket(PBX.parse().unwrap()), connection: None },
        advertised: None,
        from: "<sip:192.0.2.1>".to_owned(),
        to: "<sip:192.0.2.2>".to_owned(),
        call_id: None,
        number: 1,
        contact: None,
        max_forwards: None,
        headers: vec![],
        body: None,
    };
    let sent = bench.shard.ask(bench.now, question);
    bench.pump();
    let Some(Event::OutOfDialog { id, .. }) = bench.pbx_events.last() else { panic!("{:?}", bench.pbx_events) };
    bench.pbx.respond(bench.now, *id, StatusCode::OK, None, vec![], None).unwrap();
    bench.pump();
    let [(told, answer)] = &bench.answers[..] else { panic!("{:?}", bench.answers) };
    assert_eq!((*told, answer.status), (sent, StatusCode::OK));
}
