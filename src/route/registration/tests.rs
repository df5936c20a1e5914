//! A registrar that says what the test makes it say.

use super::*;
use crate::sip::{HopAddress, Protocol};
use bytes::Bytes;

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"cloud\", nonce=\"n1\", qop=\"auth\"";

struct Bench {
    registration: Registration,
    now: Instant,
    entropy: Entropy,
}

fn hop(address: &str) -> Hop {
    Hop { protocol: Protocol::Udp, address: HopAddress::Socket(address.parse().unwrap()), connection: None }
}

fn bench() -> Bench {
    let mut entropy = Entropy::seeded(5);
    let credentials = Credentials { username: "gw".to_owned(), password: "secret".to_owned(), realm: None };
    let plan = Plan {
        target: "cloud".to_owned(),
        registrar: "sip:cloud.example.com".to_owned(),
        aor: "<sip:gw@cloud.example.com>".to_owned(),
        hop: hop("192.0.2.20:5060"),
        advertised: None,
        credentials: Arc::new(credentials),
        expires: Duration::from_secs(600),
        own: vec!["203.0.113.1".to_owned(), "203.0.113.1:5070".to_owned()],
        call_id_prefix: "tl00-".to_owned(),
    };
    let registration = Registration::new(plan, &mut entropy);
    Bench { registration, now: crate::clock::now(), entropy }
}

// === impl Bench ===

impl Bench {
    fn request(&mut self) -> Standalone {
        let hop = self.registration.hop().clone();
        self.registration.request(hop)
    }

    fn hears(&mut self, status: u16, lines: &[&str]) -> Outcome {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let response = Message::parse(Bytes::from(format!("SIP/2.0 {status} Words\r\n{lines}\r\n"))).unwrap();
        let status = StatusCode::new(status).unwrap();
        self.registration.answered(self.now, status, Some(&response), &mut self.entropy)
    }

    fn hears_nothing(&mut self) -> Outcome {
        self.registration.answered(self.now, StatusCode::REQUEST_TIMEOUT, None, &mut self.entropy)
    }
}

fn pause(outcome: &Outcome) -> Duration {
    match outcome.next {
        Next::Wait(pause) => pause,
        _ => panic!("{outcome:?}"),
    }
}

fn header<'a>(request: &'a Standalone, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn between(outcome: &Outcome, least: u64, most: u64) {
    let pause = pause(outcome);
    assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&pause), "{pause:?}");
}

#[test]
fn the_first_challenge_is_answered_and_the_registration_refreshed_before_it_ends() {
    let mut bench = bench();
    let first = bench.request();
    assert_eq!(
        (first.number, first.request_uri.as_str(), header(&first, "Authorization")),
        (1, "sip:cloud.example.com", None)
    );
    assert!(matches!(bench.hears(401, &[CHALLENGE]), Outcome { next: Next::Send, news: None }));
    let second = bench.request();
    assert_eq!((second.number, &second.call_id), (2, &first.call_id));
    assert!(header(&second, "Authorization").unwrap().contains("nc=00000001"));
    assert_eq!(second.contact.as_ref().unwrap().parameters, ";expires=600");
    let taken = bench.hears(200, &["Contact: <sip:gw@203.0.113.1>;expires=100"]);
    assert_eq!(taken.news, Some(News::Registered { granted: Duration::from_secs(100) }));
    between(&taken, 80, 90);
    bench.now += Duration::from_secs(85);
    let refresh = bench.request();
    assert!(header(&refresh, "Authorization").unwrap().contains("nc=00000002"), "the nonce is used on");
    assert_eq!(bench.hears(200, &["Expires: 100"]).news, None, "that is no news");
    assert_eq!(bench.registration.until(bench.now), Some(bench.now + Duration::from_secs(100)));
}

#[test]
fn our_own_contact_among_others_says_how_long_it_holds() {
    for (lines, granted) in [
        (
            &[
                "Contact: <sip:gw@198.51.100.7>;expires=50, <sip:other@203.0.113.1>;expires=60",
                "Contact: <sip:gw@203.0.113.1:5060>;expires=70",
            ][..],
            70,
        ),
        (&["Contact: <sip:gw@198.51.100.7:1024>;expires=50"], 50),
        (&["Contact: <sip:a@198.51.100.7>;expires=50, <sip:b@198.51.100.7>;expires=60", "Expires: 90"], 90),
        (&[], 600),
        (&["Contact: <sip:gw@203.0.113.1>;expires=0"], 5),
    ] {
        let mut bench = bench();
        bench.request();
        let news = bench.hears(200, lines).news;
        assert_eq!(news, Some(News::Registered { granted: Duration::from_secs(granted) }), "{lines:?}");
    }
}

#[test]
fn a_wrong_password_is_not_tried_often() {
    let mut bench = bench();
    bench.request();
    bench.hears(401, &[CHALLENGE]);
    bench.request();
    let refused = bench.hears(401, &[CHALLENGE]);
    between(&refused, 300, 450);
    let Some(News::Failed { what, remedy, .. }) = refused.news else { panic!() };
    assert_eq!(what, "401 Words");
    assert!(remedy.contains("`auth`"));
    bench.request();
    assert!(matches!(bench.hears(401, &[CHALLENGE]).next, Next::Send), "the next attempt is a new one");
}

#[test]
fn an_outage_is_waited_out_with_growing_pauses_and_its_end_is_news() {
    let mut bench = bench();
    bench.request();
    bench.hears(200, &[]);
    let until = bench.registration.until(bench.now);
    for (least, most) in
        [(2, 3), (4, 6), (8, 12), (16, 24), (32, 48), (64, 96), (128, 192), (256, 384), (300, 450), (300, 450)]
    {
        bench.request();
        between(&bench.hears_nothing(), least, most);
    }
    assert_eq!(bench.registration.until(bench.now), until, "what was given holds until it ends");
    bench.now = until.unwrap();
    assert_eq!(bench.registration.until(bench.now), None);
    bench.request();
    assert_eq!(bench.hears(200, &[]).news, Some(News::Registered { granted: Duration::from_secs(600) }));
    bench.request();
    between(&bench.hears_nothing(), 2, 3);
}

#[test]
fn retry_after_is_obeyed_and_bounded() {
    let mut bench = bench();
    for (value, least, most) in [("17 (busy);duration=3", 17, 26), ("99999999", 3600, 5400), ("soon", 8, 12)] {
        bench.request();
        between(&bench.hears(503, &[&format!("Retry-After: {value}")]), least, most);
    }
}

#[test]
fn a_longer_registration_is_asked_for_when_the_registrar_wants_one() {
    let mut bench = bench();
    bench.request();
    assert!(matches!(bench.hears(423, &["Min-Expires: 1800"]).next, Next::Send));
    let request = bench.request();
    assert_eq!(header(&request, "Expires"), Some("1800"));
    let again = bench.hears(423, &["Min-Expires: 1800"]);
    between(&again, 300, 450);
}

#[test]
fn a_redirection_is_followed_three_times_and_then_given_up() {
    let mut bench = bench();
    for port in 5071..5074 {
        bench.request();
        let outcome = bench.hears(302, &[&format!("Contact: <sip:x@192.0.2.30:{port}>")]);
        assert!(matches!(outcome.next, Next::Send));
        assert_eq!(*bench.registration.hop(), hop(&format!("192.0.2.30:{port}")));
        assert_eq!(bench.request().request_uri, format!("sip:192.0.2.30:{port}"));
    }
    let outcome = bench.hears(302, &["Contact: <sip:192.0.2.30:5074>"]);
    between(&outcome, 2, 3);
    assert_eq!(*bench.registration.hop(), hop("192.0.2.20:5060"), "the configured one is tried again");
}

#[test]
fn what_was_registered_is_taken_back_once() {
    let mut bench = bench();
    assert!(!bench.registration.leave(bench.now), "there is nothing to take back");
    let mut bench = super::tests::bench();
    bench.request();
    bench.hears(200, &[]);
    assert!(bench.registration.leave(bench.now));
    let request = bench.request();
    assert_eq!(header(&request, "Expires"), Some("0"));
    assert_eq!(request.contact.unwrap().parameters, ";expires=0");
    assert!(matches!(bench.hears(401, &[CHALLENGE]).next, Next::Send));
    bench.request();
    assert!(matches!(bench.hears(401, &[CHALLENGE]).next, Next::Done), "whatever comes, it ends");
    assert_eq!(bench.registration.until(bench.now), None);
}

#[test]
fn the_registrar_is_the_target_without_its_user() {
    for (uri, registrar) in [
        ("sip:bot@sip.example.com?x=y", "sip:sip.example.com"),
        ("sip:bot@[2001:db8::1]:5070;transport=tcp;lr", "sip:[2001:db8::1]:5070;transport=tcp"),
    ] {
        assert_eq!(registrar_of(&Uri::parse(uri.as_bytes()).unwrap()).as_deref(), Some(registrar));
    }
}

#[test]
fn a_contact_at_the_host_that_this_registrar_knows_us_by_is_our_own() {
    let mut bench = bench();
    bench.registration.plan.advertised = Some("gw.example.net".to_owned());
    assert_eq!(bench.request().advertised.as_deref(), Some("gw.example.net"));
    let contacts = "Contact: <sip:gw@192.0.2.99>;expires=900, <sip:gw@gw.example.net:5070>;expires=300";
    let outcome = bench.hears(200, &[contacts]);
    let granted = Duration::from_secs(300);
    assert!(matches!(outcome.news, Some(News::Registered { granted: given }) if given == granted), "{outcome:?}");
}
