//! One leg of a simulator against a scripted peer.

use super::*;
use crate::clock;
use std::time::Duration;

fn ends(request_uri: &str, address: &str, hop: &str) -> Ends {
    Ends {
        call_id: "call-1".into(),
        local: "<sip:cm@pbx.example.com>".into(),
        remote: "<sip:gw@pbx.example.com>".into(),
        request_uri: request_uri.into(),
        contact_user: "sim".into(),
        address: address.parse().unwrap(),
        hop: hop.parse().unwrap(),
        extra: vec![],
        vias: vec!["SIP/2.0/TCP 192.0.2.10:5061;branch=z9hG4bKlower".into()],
        record_routes: vec![format!("sip:{address};lr;hop=1"), format!("sip:{address};lr;hop=2")],
        timing: Timing::default(),
    }
}

const A: &str = "127.0.0.1:5071";
const B: &str = "127.0.0.1:5072";

struct Pair {
    a: Leg,
    b: Option<Leg>,
    violations: Violations,
    now: Instant,
    lose: usize,
}

impl Pair {
    fn new(faults: Faults) -> (Self, Vec<LegEvent>, Vec<LegEvent>) {
        let now = clock::now();
        let violations = Violations::default();
        let a = Leg::call(now, ends("sip:+15550100@127.0.0.1:5072", A, B), b"", violations.clone(), Entropy::seeded(1));
        let mut pair = Self { a, b: None, violations, now, lose: 0 };
        let invite = pair.a.transmit().remove(0);
        let invite = Incoming::read(A.parse().unwrap(), &invite.bytes).unwrap();
        let mut b = ends("", B, A);
        b.vias = vec![];
        let mut b = Leg::called(b, &invite, pair.violations.clone(), Entropy::seeded(2));
        b.misbehave(faults);
        pair.b = Some(b);
        (pair, vec![], vec![])
    }

    fn b(&mut self) -> &mut Leg {
        self.b.as_mut().unwrap()
    }

    /// Carries datagrams until nobody sends any more.
    fn settle(&mut self) -> (Vec<LegEvent>, Vec<LegEvent>) {
        let (mut at_a, mut at_b) = (vec![], vec![]);
        loop {
            let from_a = self.a.transmit();
            let from_b = self.b().transmit();
            if from_a.is_empty() && from_b.is_empty() {
                return (at_a, at_b);
            }
            let now = self.now;
            for datagram in from_a {
                if self.lose > 0 {
                    self.lose -= 1;
                    continue;
                }
                let message = Incoming::read(A.parse().unwrap(), &datagram.bytes).unwrap();
                at_b.extend(self.b().receive(now, &message));
            }
            for datagram in from_b {
                let message = Incoming::read(B.parse().unwrap(), &datagram.bytes).unwrap();
                at_a.extend(self.a.receive(now, &message));
            }
        }
    }

    fn advance(&mut self, by: Duration) -> (Vec<LegEvent>, Vec<LegEvent>) {
        self.now += by;
        let now = self.now;
        let mut at_a = self.a.expire(now);
        let mut at_b = self.b().expire(now);
        let (a, b) = self.settle();
        at_a.extend(a);
        at_b.extend(b);
        (at_a, at_b)
    }

    fn answered() -> Self {
        let (mut pair, ..) = Self::new(Faults::default());
        let now = pair.now;
        pair.b().respond(now, 200, b"");
        let (at_a, _) = pair.settle();
        assert_eq!(at_a, [LegEvent::Answered(vec![])]);
        pair.a.acknowledge(b"");
        let (_, at_b) = pair.settle();
        assert_eq!(at_b, [LegEvent::Acknowledged(vec![])]);
        pair
    }
}

#[test]
fn a_call_with_record_routes_is_answered_and_ended_by_each_side_without_a_complaint() {
    let mut pair = Pair::answered();
    let now = pair.now;
    // The far side of each leg would route through the other's proxies; here both stand on the wire themselves.
    pair.b().routes = pair.a.ends.record_routes.clone();
    pair.b().bye(now, Some("Q.850;cause=16"));
    let (at_a, at_b) = pair.settle();
    assert_eq!(at_a, [LegEvent::HungUp { reason: Some("Q.850;cause=16".into()) }]);
    assert_eq!(at_b, [LegEvent::Done(Method::Bye, 200)]);
    assert!(!pair.a.is_busy() && !pair.b().is_busy());
    assert_eq!(pair.violations.list(), Vec::<String>::new());
}

#[test]
fn a_lost_200_is_repeated_and_a_lost_ack_too() {
    let (mut pair, ..) = Pair::new(Faults { lose_first: Some(200), ..Faults::default() });
    let now = pair.now;
    pair.b().respond(now, 200, b"");
    assert_eq!(pair.settle(), (vec![], vec![]));
    let (at_a, _) = pair.advance(Duration::from_millis(500));
    assert_eq!(at_a, [LegEvent::Answered(vec![])]);
    pair.lose = 1;
    pair.a.acknowledge(b"");
    assert_eq!(pair.settle(), (vec![], vec![]));
    let (_, at_b) = pair.advance(Duration::from_secs(1));
    assert_eq!(at_b, [LegEvent::Acknowledged(vec![])]);
}

#[test]
fn an_answer_without_ack_is_given_up_after_64_t1() {
    let (mut pair, ..) = Pair::new(Faults::default());
    let now = pair.now;
    pair.b().respond(now, 200, b"");
    pair.settle();
    let mut at_b = vec![];
    for _ in 0..12 {
        at_b.extend(pair.advance(Duration::from_secs(3)).1);
    }
    assert_eq!(at_b, [LegEvent::Unacknowledged]);
}

#[test]
fn cancel_waits_for_the_first_provisional_response() {
    let (mut pair, ..) = Pair::new(Faults::default());
    let now = pair.now;
    pair.a.cancel(now);
    assert_eq!(pair.settle(), (vec![], vec![]));
    pair.b().respond(now, 180, b"");
    let (at_a, at_b) = pair.settle();
    assert_eq!(at_b, [LegEvent::Cancelled]);
    let [LegEvent::Provisional(180), LegEvent::Done(Method::Cancel, 200), LegEvent::Refused { status: 487, .. }] =
        &at_a[..]
    else {
        panic!("{at_a:?}")
    };
    assert_eq!(pair.violations.list(), Vec::<String>::new());
}

#[test]
fn a_reordered_provisional_response_comes_after_the_answer() {
    let (mut pair, ..) = Pair::new(Faults { reorder: true, ..Faults::default() });
    let now = pair.now;
    pair.b().respond(now, 180, b"");
    assert_eq!(pair.settle(), (vec![], vec![]));
    pair.b().respond(now, 200, b"");
    assert_eq!(pair.settle().0, [LegEvent::Answered(vec![])]);
}

#[test]
fn an_unanswered_invite_is_repeated_and_given_up_after_64_t1() {
    let now = clock::now();
    let mut leg = Leg::call(now, ends("sip:1@127.0.0.1:5072", A, B), b"", Violations::default(), Entropy::seeded(1));
    let (mut sent, mut events) = (leg.transmit().len(), vec![]);
    for step in 1..=80 {
        events.extend(leg.expire(now + Duration::from_millis(500 * step)));
        sent += leg.transmit().len();
    }
    assert_eq!((sent, events), (7, vec![LegEvent::Silent(Method::Invite)]));
}

#[test]
fn requests_that_break_the_dialog_are_named() {
    let mut pair = Pair::answered();
    let now = pair.now;
    pair.b().routes = vec!["sip:127.0.0.1:5071;lr".into()];
    pair.b().cseq = 0;
    pair.a.far_cseq = Some(7);
    pair.b().target = "sip:somebody@127.0.0.1:5071".into();
    pair.b().bye(now, None);
    pair.settle();
    let violations = pair.violations.list().join("\n");
    for part in ["with Route", "with CSeq 1 after Some(7)", "instead of our Contact"] {
        assert!(violations.contains(part), "{violations}");
    }
}

#[test]
fn a_bye_that_nobody_answers_is_given_up() {
    let mut pair = Pair::answered();
    let now = pair.now;
    pair.b().misbehave(Faults { deaf_to_bye: true, ..Faults::default() });
    pair.a.routes = pair.b().ends.record_routes.iter().rev().cloned().collect();
    pair.a.bye(now, None);
    let mut at_a = vec![];
    for _ in 0..12 {
        at_a.extend(pair.advance(Duration::from_secs(3)).0);
    }
    assert_eq!(at_a, [LegEvent::Silent(Method::Bye)]);
}
