//! A peer whose description names our own media ports: audio would go round in this machine for ever.

use super::*;

fn at(address: &str, port: u16) -> Option<Body> {
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    );
    Some(Body { content_type: "application/sdp", bytes: text.into() })
}

#[test]
fn an_offer_of_our_own_media_port_is_refused_with_its_reason() {
    let mut bench = Bench::new("");
    bench.place(at("192.0.2.1", 20_000));
    let (status, phrase) = status_of_refusal(&bench.pbx_events).expect("a refusal");
    assert_eq!((status, phrase.as_str()), (488, "media would loop within this gateway"));
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::MediaLoop);
    assert_eq!(invited(&bench.cloud_events), None);
}

#[test]
fn an_address_or_a_port_alone_that_is_like_ours_is_no_loop() {
    for (address, port) in [("192.0.2.1", 30_000), ("192.0.2.9", 20_000)] {
        let mut bench = Bench::new("");
        bench.place(at(address, port));
        assert_eq!(status_of_refusal(&bench.pbx_events), None, "{address}:{port}");
    }
}

#[test]
fn a_target_that_sends_our_own_description_back_is_hung_up_and_the_next_one_is_called() {
    let mut bench = Bench::new("");
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud_events.clear();
    bench.cloud.answer(bench.now, b, vec![], at("192.0.2.1", 20_002)).unwrap();
    bench.pump();
    assert!(bench.cloud_events.iter().any(|event| matches!(event, Event::HungUp { leg, .. } if *leg == b)));
    assert!(invited(&bench.cloud_events).is_some(), "the spare target");
    assert!(bench.told.sides.borrow().is_empty(), "no audio was sent anywhere");
}

#[test]
fn an_answer_in_the_ack_that_names_our_own_port_ends_the_call() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(None);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, at("192.0.2.1", 20_001)).unwrap();
    bench.pump();
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::MediaLoop);
}

#[test]
fn the_address_that_a_trunk_sends_media_to_is_ours_as_well() {
    let mut bench = Bench::with("advertise_media = \"203.0.113.9\"", "");
    bench.place(at("203.0.113.9", 20_000));
    assert_eq!(status_of_refusal(&bench.pbx_events).map(|(status, _)| status), Some(488));
    // The far side may say it, too: it was never told, but a loop it is.
    let (_, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.answer(bench.now, b, vec![], at("203.0.113.9", 20_002)).unwrap();
    bench.pump();
    assert!(bench.cloud_events.iter().any(|event| matches!(event, Event::HungUp { leg, .. } if *leg == b)));
}
