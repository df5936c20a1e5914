//! Transfers that meet something else: fax, changes and refreshes of the session, credentials, the fallback, a companion
//! that gives up. Apart from transfers that have the call for themselves.

use super::*;
use crate::sip::auth::Credentials;

const AUTH: &str = "auth = { username = \"pbx\", password = \"secret\" }";
const FAX: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=image 4900 udptl t38\r\n";

/// The body of the last re-INVITE that reached this leg of a peer.
fn offered(events: &[Event], to: LegId) -> Option<String> {
    events.iter().rev().find_map(|event| match event {
        Event::Reinvited { leg, request } if *leg == to => Some(String::from_utf8_lossy(request.body()).into_owned()),
        _ => None,
    })
}

fn fax() -> Option<Body> {
    Some(Body { content_type: "application/sdp", bytes: FAX.into() })
}

fn cancelled(events: &[Event], which: LegId) -> bool {
    events.iter().any(|event| matches!(event, Event::Cancelled { leg, .. } if *leg == which))
}

/// The status that this leg of a peer was refused with.
fn refused_with(events: &[Event], which: LegId) -> Option<u16> {
    events.iter().find_map(|event| match event {
        Event::Refused { leg, response } if *leg == which => response.status().map(StatusCode::get),
        _ => None,
    })
}

impl Bench {
    /// Carries messages between the gateway and a cloud that takes no UPDATE.
    fn pump_without_update(&mut self) {
        loop {
            while let Some(transmit) = self.cloud.poll_transmit() {
                let text = String::from_utf8(transmit.payload.to_vec()).unwrap().replace("PRACK, UPDATE, ", "");
                self.shard.receive(self.now, source(CLOUD, GATEWAY), text.into());
            }
            self.pump();
            let Some(at) = self.cloud.next_timeout().filter(|at| *at <= self.now) else { break };
            self.cloud.expire(at);
        }
    }

    /// The dialog of this call of the PBX, as `Replaces` names it.
    fn dialog_of(&self, a: LegId) -> Replaces {
        let tags = self.pbx_events.iter().find_map(|event| match event {
            Event::Answered { leg, response } if *leg == a => {
                let text = |tag: Option<&[u8]>| String::from_utf8_lossy(tag.unwrap()).into_owned();
                Some((text(response.to_tag()), text(response.from_tag())))
            }
            _ => None,
        });
        let (to_tag, from_tag) = tags.unwrap();
        Replaces { call_id: self.pbx.call_id(a).unwrap().to_owned(), to_tag, from_tag, early_only: false }
    }

    /// Both sides went over to fax.
    fn faxing(&mut self) -> (LegId, LegId) {
        let (a, b) = self.connected();
        self.pbx.reinvite(self.now, a, vec![], fax()).unwrap();
        self.pump();
        self.cloud.answer(self.now, b, vec![], fax()).unwrap();
        self.pump();
        self.pbx.acknowledge(self.now, a, None).unwrap();
        self.pump();
        (a, b)
    }
}

#[test]
fn whoever_takes_the_place_of_a_fax_is_spoken_with_by_the_other_side_too() {
    let mut bench = Bench::with("t38 = \"pass\"", "");
    let (a, b) = bench.faxing();
    bench.cloud_events.clear();
    let newcomer = bench.newcomer(&bench.dialog_of(a), Some(audio("sendrecv", "0")));
    bench.pbx.acknowledge(bench.now, newcomer, None).unwrap();
    bench.pump();
    let offer = offered(&bench.cloud_events, b).expect("the other side is told");
    assert!(offer.contains("m=audio 20002 RTP/AVP 0"), "{offer}");
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    assert_eq!(bench.told(Side::B).payload_map.0[0], Some(0));
}

#[test]
fn a_refresh_after_a_refused_change_offers_what_holds_and_not_what_was_refused() {
    let timer = "session_timer = { expires = \"90s\", refresher = \"us\" }";
    let mut bench = Bench::with_lines("t38 = \"pass\"", timer, "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump_without_update();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.pbx.reinvite(bench.now, a, vec![], fax()).unwrap();
    bench.pump();
    assert!(offered(&bench.cloud_events, b).unwrap().contains("m=image"));
    bench.cloud.reject(bench.now, b, StatusCode::NOT_ACCEPTABLE_HERE, None, vec![]).unwrap();
    bench.pump();
    bench.cloud_events.clear();
    bench.pass(Duration::from_secs(46));
    let refresh = offered(&bench.cloud_events, b).expect("a refresh");
    assert!(refresh.contains("m=audio 20002") && !refresh.contains("m=image"), "{refresh}");
}

#[test]
fn a_fallback_that_transfers_the_caller_to_nobody_and_leaves_ends_the_call() {
    let mut bench = Bench::with_lines("", "", TO_PBX);
    let (a, _) = bench.connected();
    bench.fail(OnFailure::Fallback);
    let (fallback, _) = bench.called_at_pbx();
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.send_inside(bench.now, fallback, Method::Refer, &headers(TO_7001), None).unwrap();
    bench.pump();
    let (human, _) = bench.called_at_pbx();
    assert_ne!(human, fallback);
    bench.hangs_up(fallback);
    assert!(!hung_up(&bench.pbx_events, a), "the caller waits for the new party");
    bench.pbx.reject(bench.now, human, StatusCode::BUSY_HERE, None, vec![]).unwrap();
    bench.pump();
    assert!(hung_up(&bench.pbx_events, a), "nobody is left to talk to");
    assert_eq!(bench.records[0].termination.as_ref().unwrap().cause, Cause::TransferFailed);
}

#[test]
fn a_caller_who_is_diverted_is_not_transferred_any_more() {
    let mut bench = Bench::with_lines("", "", TO_PBX);
    let (a, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.pbx.provisional(bench.now, human, StatusCode::RINGING, None, vec![], None).unwrap();
    bench.pump();
    bench.fail(OnFailure::Fallback);
    assert!(cancelled(&bench.pbx_events, human), "one of the two is enough");
    let (fallback, _) = bench.called_at_pbx();
    bench.pbx.answer(bench.now, fallback, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pass(Duration::from_secs(200));
    assert!(!hung_up(&bench.pbx_events, a) && bench.records.is_empty());
    bench.hangs_up(a);
    bench.pass(Duration::from_secs(40));
    assert_eq!((bench.shard.remaining(), bench.shard.census().legs), (0, 0));
}

#[test]
fn a_new_party_that_hangs_up_before_it_answers_is_a_failure_that_is_told() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, invite) = bench.called_at_pbx();
    bench.pbx.provisional(bench.now, human, StatusCode::RINGING, None, vec![], None).unwrap();
    let ringing = Message::parse(bench.pbx.poll_transmit().unwrap().payload).unwrap();
    bench.shard.receive(bench.now, source(PBX, GATEWAY), ringing.bytes().clone());
    let text = |name| ringing.text(name).unwrap().into_owned();
    let bye = format!(
        "BYE sip:trunkline@{GATEWAY} SIP/2.0\r\nVia: SIP/2.0/UDP {PBX};branch=z9hG4bKearly\r\nMax-Forwards: 70\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        text(HeaderName::To),
        invite.text(HeaderName::From).unwrap(),
        text(HeaderName::CallId),
    );
    bench.shard.receive(bench.now, source(PBX, GATEWAY), bye.into());
    bench.pump();
    let last = bench.cloud_heard().notified.pop().unwrap();
    assert_eq!(last, "SIP/2.0 480 Temporarily Unavailable");
}

#[test]
fn an_early_update_of_the_new_party_comes_too_soon_and_does_not_cost_its_dialog() {
    let mut bench = Bench::new("");
    let (_, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.pbx.provisional(bench.now, human, StatusCode::RINGING, None, vec![], None).unwrap();
    bench.pump();
    let offer = audio("sendrecv", "0");
    bench.pbx.send_inside(bench.now, human, Method::Update, &vec![], Some(&offer)).unwrap();
    bench.pump();
    assert_eq!(bench.pbx_heard().status, 491);
}

#[test]
fn a_caller_who_takes_a_change_of_a_party_that_was_replaced_is_told_what_holds() {
    let mut bench = Bench::new("");
    let (a, b) = bench.connected();
    bench.cloud_refers(b, TO_7001);
    let (human, _) = bench.called_at_pbx();
    bench.cloud.reinvite(bench.now, b, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.pbx.answer(bench.now, human, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.answer(bench.now, a, vec![], Some(audio("inactive", "0"))).unwrap();
    bench.pump();
    bench.pbx_events.clear();
    bench.pass(Duration::from_secs(5));
    let offer = offered(&bench.pbx_events, a).expect("a new offer");
    assert!(!offer.contains("a=inactive"), "{offer}");
}

#[test]
fn a_trunk_that_has_to_prove_itself_proves_its_replaces_too() {
    for trunk in [AUTH.to_owned(), format!("peers = [\"192.0.2.2\"]\n{AUTH}")] {
        let text = configuration_text("", "", "").replace("peers = [\"192.0.2.2\"]", &trunk);
        let mut bench = Bench::with_configuration(config::parse(&text).unwrap());
        let credentials = || {
            let (username, password) = ("pbx".to_owned(), "secret".to_owned());
            Arc::new(Credentials { username, password, realm: None })
        };
        let a = bench.place(None);
        assert_eq!(refused_with(&bench.pbx_events, a), Some(401));
        let a = bench.place_proven(vec![], credentials());
        let b = bench.invited_cloud();
        bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
        bench.pump();
        bench.pbx.acknowledge(bench.now, a, None).unwrap();
        bench.pump();
        let replaces = bench.dialog_of(a);
        let stranger = bench.newcomer(&replaces, Some(audio("sendrecv", "0")));
        assert_eq!(refused_with(&bench.pbx_events, stranger), Some(401), "{trunk}");
        assert!(!hung_up(&bench.pbx_events, a));
        let known = bench.place_proven(vec![("Replaces".into(), replaces.to_string())], credentials());
        assert!(bench.pbx_events.iter().any(|event| matches!(event, Event::Answered { leg, .. } if *leg == known)));
        assert!(hung_up(&bench.pbx_events, a));
    }
}

#[test]
fn whoever_takes_a_place_is_shown_the_address_that_its_trunk_knows_us_by() {
    let mut bench = Bench::with("advertise = \"203.0.113.9\"", "");
    let (a, _) = bench.connected();
    let newcomer = bench.newcomer(&bench.dialog_of(a), Some(audio("sendrecv", "0")));
    let contact = bench.pbx_events.iter().find_map(|event| match event {
        Event::Answered { leg, response } if *leg == newcomer => {
            response.text(HeaderName::Contact).map(std::borrow::Cow::into_owned)
        }
        _ => None,
    });
    assert!(contact.as_deref().is_some_and(|contact| contact.contains("@203.0.113.9")), "{contact:?}");
}

#[test]
fn a_caller_who_was_answered_at_once_follows_a_redirection_of_the_target() {
    let mut bench = Bench::with("answer = \"immediate\"", "");
    let (a, b) = bench.call(Some(audio("sendrecv", "0")));
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    let contact = vec![("Contact".into(), format!("<sip:elsewhere@{CLOUD}>"))];
    bench.cloud.reject(bench.now, b, StatusCode::new(302).unwrap(), None, contact).unwrap();
    bench.pump();
    let called = bench.cloud_events.iter().rev().find_map(|event| match event {
        Event::Invited { request, .. } => request.request_uri().map(|uri| String::from_utf8_lossy(uri).into_owned()),
        _ => None,
    });
    assert_eq!(called, Some(format!("sip:elsewhere@{CLOUD}")));
}

#[test]
fn a_caller_who_was_answered_at_once_is_no_half_open_call() {
    let text = configuration_text("answer = \"immediate\"", "", "") + "[guard]\nhalf_open = 1";
    let mut bench = Bench::with_configuration(config::parse(&text).unwrap());
    for _ in 0..2 {
        let a = bench.place(Some(audio("sendrecv", "0")));
        assert_eq!(refused_with(&bench.pbx_events, a), None);
        bench.pbx.acknowledge(bench.now, a, None).unwrap();
        bench.pump();
    }
}

impl Bench {
    /// A call of the PBX that proves itself.
    fn place_proven(&mut self, headers: Headers, credentials: Arc<Credentials>) -> LegId {
        let uri = format!("sip:+14155550199@{GATEWAY}");
        let address = HopAddress::Socket(GATEWAY.parse().unwrap());
        let invite = Invite {
            request_uri: uri.clone(),
            hop: Hop { protocol: Protocol::Udp, address, connection: None },
            from: "<sip:7003@192.0.2.2>".to_owned(),
            to: format!("<{uri}>"),
            contact_user: "pbx".to_owned(),
            max_forwards: 70,
            headers,
            body: Some(audio("sendrecv", "0")),
        };
        let leg = self.pbx.invite(self.now, invite);
        self.pbx.answer_challenges(leg, credentials);
        self.pump();
        leg
    }
}
