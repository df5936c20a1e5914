//! Who is let in, what OPTIONS is told, and which targets are passed over.

use super::*;
use crate::record::Step;
use crate::sip::Message;
use crate::trunk::health::{Sign, Witness};

const STRANGER: &str = "203.0.113.66:5060";

impl Bench {
    /// Sends a request without a dialog from there; the status, `Reason` and `Retry-After` of the answer, if one comes.
    fn knock(&mut self, from: &str, method: &str, number: u32) -> Option<(u16, String, String)> {
        let request = format!(
            "{method} sip:100@{GATEWAY} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{number}\r\n\
             Max-Forwards: 0\r\nFrom: <sip:a@{from}>;tag=1\r\nTo: <sip:100@{GATEWAY}>\r\n\
             Call-ID: {method}{number}\r\nCSeq: 1 {method}\r\nContact: <sip:a@{from}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.shard.receive(self.now, source(from, GATEWAY), request.into());
        let answer = std::iter::from_fn(|| self.shard.poll_transmit()).last()?;
        let answer = Message::parse(answer.payload).unwrap();
        let text = |name| answer.named(name).next().map(|value| String::from_utf8_lossy(value).into_owned());
        let (reason, retry) = (text("Reason").unwrap_or_default(), text("Retry-After").unwrap_or_default());
        Some((answer.status().unwrap().get(), reason, retry))
    }

    /// The whole records of the live calls.
    fn live(&mut self) -> Vec<CallRecord> {
        let page = self.shard.page(0, |_| true).records;
        page.iter().filter_map(|outline| self.shard.record(&outline.call_id)).collect()
    }

    fn down(&self, target: &str) {
        let target = self.policy.routes.target(target).unwrap();
        target.health.note(self.now, Witness::Probe, Sign::Unavailable(None));
    }
}

#[test]
fn options_tells_the_truth() {
    let mut bench = Bench::new("");
    assert_eq!(bench.knock(PBX, "OPTIONS", 1).unwrap().0, 200);
    bench.down("daily");
    assert_eq!(bench.knock(PBX, "OPTIONS", 2).unwrap().0, 200, "one is left");
    bench.down("spare");
    let (status, reason, retry) = bench.knock(PBX, "OPTIONS", 3).unwrap();
    assert_eq!((status, retry.as_str()), (503, "30"));
    assert!(reason.contains("every target is down") && reason.contains("targets_down"), "{reason}");
    bench.shard.drain();
    assert!(bench.knock(PBX, "OPTIONS", 4).unwrap().1.contains("draining"));
}

#[test]
fn options_says_when_the_trunk_is_full_and_when_there_is_room_again() {
    let mut bench = Bench::new("");
    bench.policy.trunks.all()[0].admission.set_limits(Some(1), None);
    let (a, _) = bench.connected();
    let (status, reason, retry) = bench.knock(PBX, "OPTIONS", 1).unwrap();
    assert_eq!((status, retry.as_str()), (503, "5"));
    assert!(reason.contains("trunk_full"), "{reason}");
    bench.pbx.bye(bench.now, a, vec![]).unwrap();
    bench.pump();
    assert_eq!(bench.knock(PBX, "OPTIONS", 2).unwrap().0, 200);
}

#[test]
fn a_stranger_is_told_why_until_it_is_banned() {
    let mut bench = Bench::new("[guard]\nban_after = 2");
    let (status, reason, _) = bench.knock(STRANGER, "OPTIONS", 1).unwrap();
    assert_eq!(status, 403);
    assert!(reason.contains("203.0.113.66") && reason.contains("unknown_source"), "{reason}");
    let strikes = |bench: &Bench| bench.policy.guard.bans(bench.now).len();
    for _ in 0..5 {
        assert_eq!(bench.knock(STRANGER, "OPTIONS", 1).unwrap().0, 403, "a repetition, answered by its transaction");
    }
    assert_eq!(strikes(&bench), 0);
    bench.knock(STRANGER, "OPTIONS", 2).unwrap();
    assert_eq!(strikes(&bench), 1);
}

#[test]
fn strangers_hear_nothing_where_they_are_dropped() {
    let mut bench = Bench::new("[guard]\nunknown = \"drop\"");
    for method in ["OPTIONS", "INVITE", "REGISTER", "CANCEL", "BYE", "FROB"] {
        assert_eq!(bench.knock(STRANGER, method, 1), None, "{method}");
    }
    assert_eq!(bench.shard.census().transactions, 0);
    assert_eq!(bench.knock(PBX, "OPTIONS", 1).unwrap().0, 200);
}

#[test]
fn a_call_goes_on_with_a_far_side_that_is_a_stranger() {
    let mut bench = Bench::new("[guard]\nunknown = \"drop\"");
    let (_, b) = bench.connected();
    bench.cloud.bye(bench.now, b, vec![]).unwrap();
    bench.pump();
    assert_eq!(bench.records.len(), 1, "its BYE belongs to a dialog of ours");
}

#[test]
fn a_target_that_is_down_is_passed_over_and_the_record_says_why() {
    let mut bench = Bench::new("");
    bench.down("daily");
    bench.call(Some(audio("sendrecv", "0 8")));
    let record = bench.live().remove(0);
    assert_eq!(record.target.as_deref(), Some("spare"));
    let said = record.decisions.iter().any(|step| match step {
        Step::Route { failed: Some(why), .. } => why.starts_with("`daily` is passed over: it is down for 0 s (503"),
        _ => false,
    });
    assert!(said, "{:?}", record.decisions);
}

#[test]
fn the_last_target_is_tried_whatever_is_known_of_it() {
    let mut bench = Bench::new("");
    bench.down("daily");
    bench.down("spare");
    bench.call(Some(audio("sendrecv", "0 8")));
    assert_eq!(bench.live()[0].target.as_deref(), Some("daily"), "all are down: in their order");
}

#[test]
fn silence_of_calls_takes_a_target_away_and_an_answer_brings_it_back() {
    let mut bench = Bench::new("retry_on = [599]");
    for _ in 0..3 {
        bench.call(Some(audio("sendrecv", "0 8")));
        while !bench.live().is_empty() {
            bench.now += Duration::from_millis(500);
            bench.shard.expire(bench.now);
            while bench.shard.poll_transmit().is_some() {}
        }
    }
    bench.pump();
    let daily = bench.policy.routes.target("daily").unwrap().clone();
    assert!(daily.health.is_down());
    bench.now += Duration::from_secs(31);
    bench.connected();
    assert!(!daily.health.is_down(), "the trial found it there");
}

#[test]
fn invites_without_final_response_are_bounded_for_a_peer_too() {
    let mut bench = Bench::new("[guard]\nhalf_open = 1");
    let (a, b) = bench.call(Some(audio("sendrecv", "0 8")));
    bench.call(Some(audio("sendrecv", "0 8")));
    assert_eq!(status_of_refusal(&bench.pbx_events).unwrap().0, 503);
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.call(Some(audio("sendrecv", "0 8")));
    assert_eq!(bench.live().len(), 2);
}
