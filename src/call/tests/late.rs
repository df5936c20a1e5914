//! Targets that make the offer (`offer = "late"`): their INVITE has no body, and our ACK or PRACK answers them.

use super::*;
use crate::sip::Message;
use crate::sip::endpoint::Terms;
use crate::sip::session::reliable::Wish;

const LATE: &str = "offer = \"late\"";

const RELIABLE: Terms = Terms { reliable: Wish::Supported, ..Terms::PLAIN };

/// What a message of the gateway carried.
fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

fn stream(body: &str) -> &str {
    body.lines().find(|line| line.starts_with("m=")).unwrap_or_default()
}

/// The body of the last INVITE that the cloud got.
fn invite(bench: &Bench) -> String {
    let last = bench.cloud_events.iter().rev().find_map(|event| match event {
        Event::Invited { request, .. } => Some(text(request)),
        _ => None,
    });
    last.expect("the cloud was called")
}

/// The bodies of the ACKs that the cloud got.
fn acknowledged(bench: &Bench) -> Vec<String> {
    let body = |event: &Event| match event {
        Event::Acknowledged { request, .. } => Some(text(request)),
        _ => None,
    };
    bench.cloud_events.iter().filter_map(body).collect()
}

fn answered(bench: &Bench) -> Option<String> {
    bench.pbx_events.iter().rev().find_map(|event| match event {
        Event::Answered { response, .. } => Some(text(response)),
        _ => None,
    })
}

fn hung_up(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::HungUp { .. }))
}

#[test]
fn a_late_target_makes_the_offer_and_our_ack_answers_it_with_what_the_caller_offered() {
    let mut bench = Bench::new_with(LATE, "");
    let (a, b) = bench.call(Some(audio("sendrecv", "8 0")));
    assert_eq!(invite(&bench), "");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0 8 9"))).unwrap();
    bench.pump();
    let acks = acknowledged(&bench);
    assert_eq!(acks.len(), 1);
    assert_eq!(stream(&acks[0]), "m=audio 20002 RTP/AVP 0 8", "what both have, as `codecs` orders it");
    assert_eq!(stream(&answered(&bench).unwrap()), "m=audio 20000 RTP/AVP 0 8");
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    for side in [Side::A, Side::B] {
        let told = bench.told(side);
        assert_eq!((told.remote, told.send), (Some("192.0.2.9:4000".parse().unwrap()), Flow::Open), "{side:?}");
        assert_eq!((told.payload_map.0[0], told.payload_map.0[8]), (Some(0), Some(8)), "{side:?}");
    }
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.state(), CallState::Held);
}

#[test]
fn a_caller_and_a_target_without_offer_talk_in_what_the_callers_ack_takes() {
    let mut bench = Bench::new_with("offer = \"late\"\ncodecs = [\"PCMU\", \"PCMA\", \"G722\"]", "");
    let (a, b) = bench.call(None);
    assert_eq!(invite(&bench), "");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendonly", "9 8"))).unwrap();
    bench.pump();
    let offer = answered(&bench).unwrap();
    assert_eq!(stream(&offer), "m=audio 20000 RTP/AVP 8 9", "the target's offer, in the order of its `codecs`");
    assert!(offer.contains("a=sendonly"), "{offer}");
    assert!(acknowledged(&bench).is_empty(), "the answer is the caller's to give");
    bench.pbx.acknowledge(bench.now, a, Some(audio("recvonly", "9"))).unwrap();
    bench.pump();
    let acks = acknowledged(&bench);
    assert_eq!(acks.len(), 1);
    assert_eq!(stream(&acks[0]), "m=audio 20002 RTP/AVP 9");
    assert!(acks[0].contains("a=recvonly"), "{}", acks[0]);
    assert_eq!(bench.told(Side::B).payload_map.0[9], Some(9));
    bench.pass(Duration::from_secs(40));
    assert_eq!((bench.state(), bench.records.len()), (CallState::Held, 0));
}

#[test]
fn a_caller_without_offer_whose_ack_has_no_answer_leaves_the_target_a_refused_stream() {
    for answer in [None, Some(audio("sendrecv", "18"))] {
        let mut bench = Bench::new_with(LATE, "");
        let (a, b) = bench.call(None);
        bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
        bench.pump();
        bench.pbx.acknowledge(bench.now, a, answer).unwrap();
        bench.pump();
        assert_eq!(stream(&acknowledged(&bench)[0]), "m=audio 0 RTP/AVP 0");
        assert!(hung_up(&bench.cloud_events) && hung_up(&bench.pbx_events));
        let cause = bench.records[0].termination.as_ref().map(|end| end.cause);
        assert_eq!(cause, Some(Cause::NoUsableMedia));
    }
}

#[test]
fn a_caller_who_leaves_before_the_ack_leaves_the_target_a_refused_stream() {
    let mut bench = Bench::new_with(LATE, "");
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.bye(bench.now, a, vec![]).unwrap();
    bench.pump();
    assert_eq!(stream(&acknowledged(&bench)[0]), "m=audio 0 RTP/AVP 0");
    assert!(hung_up(&bench.cloud_events));
}

#[test]
fn a_target_without_a_usable_offer_is_turned_down_and_the_next_one_is_called() {
    for (offer, acknowledgement) in [(None, ""), (Some(audio("sendrecv", "18")), "m=audio 0 RTP/AVP 18")] {
        let mut bench = Bench::new_with(LATE, "retry_on = [503]");
        let (_, b) = bench.call(Some(audio("sendrecv", "0")));
        bench.cloud.answer(bench.now, b, vec![], offer).unwrap();
        bench.pump();
        assert_eq!(stream(&acknowledged(&bench)[0]), acknowledgement);
        assert!(hung_up(&bench.cloud_events), "{acknowledgement}");
        assert!(answered(&bench).is_none());
        let ended = bench.records.first().and_then(|record| record.termination.as_ref()).map(|end| end.cause);
        let next = bench.invited_cloud();
        assert!(next != b || ended == Some(Cause::TargetBadAnswer), "{ended:?}");
    }
}

#[test]
fn an_offer_in_a_reliable_183_is_answered_in_the_prack_and_the_200_needs_none() {
    let mut bench = Bench::new_with("offer = \"late\"\nreliable = \"supported\"", "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.cloud.agree(b, RELIABLE).unwrap();
    let progress = StatusCode::new(183).unwrap();
    bench.cloud.provisional(bench.now, b, progress, None, vec![], Some(audio("sendrecv", "8 9"))).unwrap();
    bench.pump();
    let (id, prack) = bench
        .cloud_events
        .iter()
        .find_map(|event| match event {
            Event::Requested { id, request, .. } => Some((*id, text(request))),
            _ => None,
        })
        .expect("a PRACK with the answer");
    assert_eq!(stream(&prack), "m=audio 20002 RTP/AVP 8");
    bench.cloud.respond(bench.now, id, StatusCode::OK, None, vec![], None).unwrap();
    bench.pump();
    let heard = bench.pbx_events.iter().any(|event| match event {
        Event::Progress { response, .. } => stream(&text(response)) == "m=audio 20000 RTP/AVP 8",
        _ => false,
    });
    assert!(heard, "the caller hears early media: {:?}", bench.pbx_events);
    bench.cloud.answer(bench.now, b, vec![], None).unwrap();
    bench.pump();
    assert_eq!(acknowledged(&bench), [""]);
    assert_eq!(stream(&answered(&bench).unwrap()), "m=audio 20000 RTP/AVP 8");
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.state(), CallState::Held);
}

#[test]
fn a_reliable_offer_without_common_codec_is_turned_down_in_the_prack_and_the_target_is_left() {
    let mut bench = Bench::new_with("offer = \"late\"\nreliable = \"supported\"", "");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.agree(b, RELIABLE).unwrap();
    let progress = StatusCode::new(183).unwrap();
    bench.cloud.provisional(bench.now, b, progress, None, vec![], Some(audio("sendrecv", "18"))).unwrap();
    bench.pump();
    let turned_down = bench.cloud_events.iter().any(|event| match event {
        Event::Requested { request, .. } => stream(&text(request)) == "m=audio 0 RTP/AVP 18",
        _ => false,
    });
    assert!(turned_down, "{:?}", bench.cloud_events);
    assert!(bench.cloud_events.iter().any(|event| matches!(event, Event::Cancelled { .. })));
}

#[test]
fn a_caller_who_was_answered_at_once_is_joined_to_a_late_target_in_the_codec_it_speaks() {
    let mut bench = Bench::with_lines("answer = \"immediate\"", LATE, "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "8 0"))).unwrap();
    bench.pump();
    assert_eq!(stream(&acknowledged(&bench)[0]), "m=audio 20002 RTP/AVP 0");
    assert_eq!(bench.state(), CallState::Held);
}
