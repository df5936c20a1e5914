//! Transfers through a whole shard: who is called, who is told, and who is left when it comes to nothing.

mod crossing;

use super::*;
use crate::sip::endpoint::{Headers, RequestId};
use crate::sip::header::Replaces;
use crate::sip::{HeaderName, Message, Method};

const TO_7001: &str = "<sip:7001@pbx.example.com>";

/// A party that sends a REFER in its dialog and hears what follows.
struct Heard {
    status: u16,
    notified: Vec<String>,
}

fn headers(to: &str) -> Headers {
    vec![("Refer-To".into(), to.to_owned()), ("Referred-By".into(), "<sip:bot@cloud.example.com>".to_owned())]
}

/// Answers every NOTIFY and gives what they said; the final status of the REFER.
fn heard(peer: &mut Endpoint, now: Instant, events: &mut Vec<Event>) -> Heard {
    let mut heard = Heard { status: 0, notified: vec![] };
    let mut kept = vec![];
    for event in events.drain(..) {
        match event {
            Event::Replied { status, .. } => heard.status = status.get(),
            Event::Requested { id, request, .. } if request.method() == Method::Notify => {
                heard.notified.push(String::from_utf8_lossy(request.body()).trim().to_owned());
                peer.respond(now, id, StatusCode::OK, None, vec![], None).unwrap();
            }
            other => kept.push(other),
        }
    }
    *events = kept;
    heard
}

impl Bench {
    fn cloud_refers(&mut self, b: LegId, to: &str) {
        self.cloud.send_inside(self.now, b, Method::Refer, &headers(to), None).unwrap();
        self.pump();
    }

    fn cloud_heard(&mut self) -> Heard {
        let heard = heard(&mut self.cloud, self.now, &mut self.cloud_events);
        self.pump();
        heard
    }

    fn pbx_heard(&mut self) -> Heard {
        let heard = heard(&mut self.pbx, self.now, &mut self.pbx_events);
        self.pump();
        heard
    }

    /// The INVITE that reached the PBX for somebody there.
    fn called_at_pbx(&self) -> (LegId, Message) {
        let found = self.pbx_events.iter().rev().find_map(|event| match event {
            Event::Invited { leg, request, .. } => Some((*leg, request.clone())),
            _ => None,
        });
        found.expect("somebody at the PBX was called")
    }

    fn hangs_up(&mut self, leg: LegId) {
        self.pbx.bye(self.now, leg, vec![]).unwrap();
        self.pump();
    }
}

fn hung_up(events: &[Event], which: LegId) -> bool {
    events.iter().any(|event| matches!(event, Event::HungUp { leg, .. } if *leg == which))
}

#[test]
fn a_blind_transfer_of_the_cloud_puts_the_named_party_into_its_place() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.cloud_refers(b, "<sip:7001@pbx.example.com?X-Case=42>");
    let Heard { status, notified } = bench.cloud_heard();
    assert_eq!((status, notified), (202, vec!["SIP/2.0 100 Trying".to_owned()]));
    let (human, invite) = bench.called_at_pbx();
    assert_eq!(invite.request_uri(), Some(format!("sip:7001@{PBX}").as_bytes()));
    assert_eq!(invite.text(HeaderName::ReferredBy).as_deref(), Some("<sip:bot@cloud.example.com>"));
    assert_eq!(invite.named("x-case").next(), Some(&b"42"[..]));
    bench.pbx.provisional(bench.now, human, StatusCode::RINGING, None, vec![], None).unwrap();
    bench.pump();
    assert_eq!(bench.cloud_heard().notified, ["SIP/2.0 180 Ringing"]);
    assert!(!hung_up(&bench.cloud_events, b), "the caller and the bot still talk");
    bench.pbx.answer(bench.now, human, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert!(!hung_up(&bench.cloud_events, b), "not before it knows");
    assert_eq!(bench.cloud_heard().notified, ["SIP/2.0 200 OK"]);
    assert!(hung_up(&bench.cloud_events, b));
    assert_eq!(bench.told(Side::B).remote, Some("192.0.2.9:4000".parse().unwrap()));
    bench.hangs_up(a);
    assert!(hung_up(&bench.pbx_events, human));
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.records.len(), 1);
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::CallerHungUp);
    assert_eq!((bench.shard.remaining(), bench.shard.census().legs), (0, 0));
}

#[test]
fn a_transfer_that_fails_leaves_the_call_as_it_was() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.pbx.reject(bench.now, human, StatusCode::BUSY_HERE, None, vec![]).unwrap();
    bench.pump();
    assert_eq!(bench.cloud_heard().notified, ["SIP/2.0 100 Trying", "SIP/2.0 486 Busy Here"]);
    assert!(!hung_up(&bench.cloud_events, b));
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.pbx.answer(bench.now, human, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.cloud_heard().notified, ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"], "it may be tried again");
}

#[test]
fn a_party_that_rings_for_ever_is_given_up() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.pbx.provisional(bench.now, human, StatusCode::RINGING, None, vec![], None).unwrap();
    bench.pump();
    bench.cloud_heard();
    bench.pass(Duration::from_secs(181));
    assert_eq!(bench.cloud_heard().notified, ["SIP/2.0 408 Request Timeout"]);
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Cancelled { leg, .. } if *leg == human)));
}

#[test]
fn who_asks_for_a_transfer_and_hangs_up_is_not_waited_for() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.cloud.bye(bench.now, b, vec![]).unwrap();
    bench.pump();
    assert!(!hung_up(&bench.pbx_events, a), "the caller waits for the new party");
    bench.pbx.answer(bench.now, human, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.hangs_up(human);
    assert!(hung_up(&bench.pbx_events, a));
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::CalleeHungUp);
    assert_eq!(bench.shard.remaining(), 0);
}

#[test]
fn a_caller_whose_bot_left_for_nobody_goes_to_the_fallback() {
    let mut bench = Bench::new(TO_PBX);
    let (a, b) = bench.connected();
    bench.cloud_refers(b, "<tel:+14155550111>");
    let (human, invite) = bench.called_at_pbx();
    assert_eq!(invite.request_uri(), Some(format!("sip:+14155550111@{PBX}").as_bytes()));
    bench.cloud.bye(bench.now, b, vec![]).unwrap();
    bench.pump();
    bench.pbx.reject(bench.now, human, StatusCode::NOT_FOUND, None, vec![]).unwrap();
    bench.pump();
    let (fallback, invite) = bench.called_at_pbx();
    assert_ne!(fallback, human, "{invite:?}");
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert!(!hung_up(&bench.pbx_events, a));
    assert_eq!(bench.state(), CallState::Connected);
}

#[test]
fn without_a_fallback_a_caller_who_is_left_by_everybody_is_told_why() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.cloud.bye(bench.now, b, vec![]).unwrap();
    bench.pump();
    bench.pbx.reject(bench.now, human, StatusCode::NOT_FOUND, None, vec![]).unwrap();
    bench.pump();
    assert!(hung_up(&bench.pbx_events, a));
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::TransferFailed);
}

#[test]
fn a_caller_who_hangs_up_takes_the_transfer_along() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.pbx.provisional(bench.now, human, StatusCode::RINGING, None, vec![], None).unwrap();
    bench.pump();
    bench.hangs_up(a);
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Cancelled { leg, .. } if *leg == human)));
    assert_eq!(bench.cloud_heard().notified.last().map(String::as_str), Some("SIP/2.0 487 Request Terminated"));
    bench.pass(Duration::from_secs(40));
    assert_eq!((bench.shard.remaining(), bench.shard.census().legs), (0, 0));
}

#[test]
fn the_pbx_may_put_another_of_its_parties_into_the_callers_place() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.pbx.reinvite(bench.now, a, vec![], Some(audio("sendonly", "0"))).unwrap();
    bench.pump();
    bench.cloud.answer(bench.now, b, vec![], Some(audio("recvonly", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.pbx.send_inside(bench.now, a, Method::Refer, &headers("<sip:7002@192.0.2.2:5060>"), None).unwrap();
    bench.pump();
    let (other, _) = bench.called_at_pbx();
    bench.pbx.answer(bench.now, other, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.pbx_heard().notified.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    assert!(hung_up(&bench.pbx_events, a));
    let resumed = bench.cloud_events.iter().rev().find_map(|event| match event {
        Event::Reinvited { request, .. } => Some(String::from_utf8_lossy(request.body()).into_owned()),
        _ => None,
    });
    assert!(resumed.is_some_and(|sdp| sdp.contains("a=sendrecv") || !sdp.contains("a=sendonly")), "the hold is over");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.hangs_up(other);
    assert!(hung_up(&bench.cloud_events, b));
}

#[test]
fn an_attended_transfer_hands_the_dialog_to_replace_to_the_pbx() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    bench.cloud_refers(b, "<sip:7001@192.0.2.2?Replaces=consult%40pbx%3Bto-tag%3Dx%3Bfrom-tag%3Dy>");
    let (_, invite) = bench.called_at_pbx();
    assert_eq!(invite.text(HeaderName::Replaces).as_deref(), Some("consult@pbx;to-tag=x;from-tag=y"));
}

#[test]
fn a_new_call_with_replaces_takes_the_callers_place() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    let acked = bench.pbx.call_id(a).unwrap().to_owned();
    let tags = bench.pbx_events.iter().find_map(|event| match event {
        Event::Answered { response, .. } => {
            let text = |tag: Option<&[u8]>| String::from_utf8_lossy(tag.unwrap()).into_owned();
            Some((text(response.to_tag()), text(response.from_tag())))
        }
        _ => None,
    });
    let (to_tag, from_tag) = tags.unwrap();
    let replaces = Replaces { call_id: acked, to_tag, from_tag, early_only: false };
    let newcomer = bench.newcomer(&replaces, Some(audio("sendrecv", "8 0")));
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Answered { leg, .. } if *leg == newcomer)));
    bench.pbx.acknowledge(bench.now, newcomer, None).unwrap();
    bench.pump();
    assert!(hung_up(&bench.pbx_events, a));
    assert!(!hung_up(&bench.cloud_events, b));
    bench.hangs_up(newcomer);
    assert!(hung_up(&bench.cloud_events, b));
    bench.pass(Duration::from_secs(40));
    assert_eq!((bench.records.len(), bench.shard.remaining()), (1, 0));
    let again = bench.newcomer(&replaces, Some(audio("sendrecv", "0")));
    let refused = bench.pbx_events.iter().any(
        |event| matches!(event, Event::Refused { leg, response } if *leg == again && response.status() == Some(StatusCode::NO_SUCH_TRANSACTION)),
    );
    assert!(refused);
}

#[test]
fn a_refer_that_cannot_be_followed_says_why_and_changes_nothing() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    for (to, status) in [("<sip:7001@x;method=BYE>", 400), ("<http://x>", 404), ("<sip:pbx.example.com>", 404)] {
        bench.cloud_refers(b, to);
        assert_eq!(bench.cloud_heard().status, status, "{to}");
    }
    bench.cloud.send_inside(bench.now, b, Method::Refer, &vec![], None).unwrap();
    bench.pump();
    assert_eq!(bench.cloud_heard().status, 400);
    bench.cloud.send_inside(bench.now, b, Method::Notify, &vec![("Event".into(), "refer".to_owned())], None).unwrap();
    bench.pump();
    assert_eq!(bench.cloud_heard().status, 481);
}

#[test]
fn a_subscription_that_nobody_wants_is_not_made() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    let quiet = [headers(TO_7001), vec![("Refer-Sub".into(), "false".to_owned())]].concat();
    bench.cloud.send_inside(bench.now, b, Method::Refer, &quiet, None).unwrap();
    bench.pump();
    let (human, _) = bench.called_at_pbx();
    bench.pbx.answer(bench.now, human, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    let Heard { status, notified } = bench.cloud_heard();
    assert_eq!((status, notified), (202, vec![]));
    assert!(hung_up(&bench.cloud_events, b));
}

#[test]
fn a_refused_policy_declines_and_a_passing_one_asks_the_other_leg() {
    let mut bench = Bench::new_with("transfer = \"refuse\"", "");
    let (_, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    assert_eq!(bench.cloud_heard().status, 603);
    let mut bench = Bench::new_with("transfer = \"pass\"", "");
    let (a, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let asked: Option<RequestId> = bench.pbx_events.iter().find_map(|event| match event {
        Event::Requested { id, request, .. } if request.method() == Method::Refer => {
            assert_eq!(request.text(HeaderName::ReferTo).as_deref(), Some(TO_7001));
            Some(*id)
        }
        _ => None,
    });
    bench.pbx.respond(bench.now, asked.unwrap(), StatusCode::ACCEPTED, None, vec![], None).unwrap();
    bench.pump();
    let told: Headers = vec![
        ("Event".into(), "refer".to_owned()),
        ("Subscription-State".into(), "terminated;reason=noresource".to_owned()),
    ];
    let body = Body { content_type: "message/sipfrag", bytes: "SIP/2.0 200 OK\r\n".into() };
    bench.pbx.send_inside(bench.now, a, Method::Notify, &told, Some(&body)).unwrap();
    bench.pump();
    let Heard { status, notified } = bench.cloud_heard();
    assert_eq!((status, notified), (202, vec!["SIP/2.0 200 OK".to_owned()]));
}

impl Bench {
    /// A new call of the PBX that asks for the place of another.
    fn newcomer(&mut self, replaces: &Replaces, offer: Option<Body>) -> LegId {
        let headers = vec![("Replaces".into(), replaces.to_string()), ("Require".into(), "replaces".to_owned())];
        self.place_from("7003", headers, offer)
    }
}

#[test]
fn a_redirected_call_goes_where_the_target_says_and_the_pbx_hears_nothing_of_it() {
    let mut bench = Bench::new("");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    let contacts = format!("<sip:busy@{CLOUD}>;q=0.9, <sip:free@{CLOUD}>;q=0.5");
    let moved = StatusCode::new(302).unwrap();
    bench.cloud.reject(bench.now, b, moved, None, vec![("Contact".into(), contacts)]).unwrap();
    bench.pump();
    let second = bench.invited_cloud();
    bench.cloud.reject(bench.now, second, StatusCode::BUSY_HERE, None, vec![]).unwrap();
    bench.pump();
    let third = bench.invited_cloud();
    assert!(b != second && second != third);
    bench.cloud.answer(bench.now, third, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Answered { leg, .. } if *leg == a)));
}

#[test]
fn a_passed_redirection_reaches_the_pbx_with_its_contact_and_a_refused_one_is_a_failure() {
    for (policy, status, contact) in [("pass", 302, Some("<sip:there@198.51.100.7>")), ("refuse", 502, None)] {
        let mut bench = Bench::new_with(&format!("redirect = \"{policy}\""), "");
        let (_, b) = bench.call(Some(audio("sendrecv", "0")));
        let contacts = vec![("Contact".into(), "<sip:there@198.51.100.7>".to_owned())];
        bench.cloud.reject(bench.now, b, StatusCode::new(302).unwrap(), None, contacts).unwrap();
        bench.pump();
        let refused = bench.pbx_events.iter().find_map(|event| match event {
            Event::Refused { response, .. } => {
                Some((response.status()?.get(), response.text(HeaderName::Contact).map(|c| c.into_owned())))
            }
            _ => None,
        });
        assert_eq!(refused, Some((status, contact.map(str::to_owned))), "{policy}");
    }
}
