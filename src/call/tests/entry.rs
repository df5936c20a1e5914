//! Who comes in: a PBX that has to prove itself, one that registers, and a target that asks us.

use super::*;
use crate::sip::auth::Credentials;
use crate::sip::endpoint::Standalone;
use crate::sip::{HeaderName, Message, Method};

const AUTH: &str = "auth = { username = \"pbx\", password = \"secret\" }";

fn credentials(password: &str) -> Arc<Credentials> {
    Arc::new(Credentials { username: "pbx".to_owned(), password: password.to_owned(), realm: None })
}

fn gateway() -> Hop {
    Hop { protocol: Protocol::Udp, address: HopAddress::Socket(GATEWAY.parse().unwrap()), connection: None }
}

/// A trunk that is known by its user alone, and may register.
fn bench(trunk: &str) -> Bench {
    let text = configuration_text("", "", "").replace("peers = [\"192.0.2.2\"]", trunk);
    Bench::with_configuration(config::parse(&text).unwrap())
}

// === impl Bench ===

impl Bench {
    /// A call of the PBX with this password.
    fn dial(&mut self, password: Option<&str>) -> LegId {
        let uri = format!("sip:+14155550199@{GATEWAY}");
        let invite = Invite {
            request_uri: uri.clone(),
            hop: gateway(),
            from: "<sip:+14155550123@192.0.2.2>".to_owned(),
            to: format!("<{uri}>"),
            contact_user: "pbx".to_owned(),
            max_forwards: 70,
            headers: vec![],
            body: Some(audio("sendrecv", "0 8")),
        };
        let leg = self.pbx.invite(self.now, invite);
        if let Some(password) = password {
            self.pbx.answer_challenges(leg, credentials(password));
        }
        self.pump();
        leg
    }

    /// A REGISTER of the PBX without credentials; gives the answer.
    fn registers(&mut self, account: Option<&mut crate::sip::auth::Account>, number: u32) -> (StatusCode, Message) {
        let uri = format!("sip:{GATEWAY}");
        let subject = crate::sip::auth::client::Subject { method: "REGISTER", uri: &uri, body: b"" };
        let mut headers = account.map(|account| account.authorize(&subject)).unwrap_or_default();
        headers.push(("Contact".into(), format!("<sip:line-7@{PBX};line=abc>;expires=600")));
        let request = Standalone {
            method: Method::Register,
            request_uri: uri.clone(),
            hop: gateway(),
            advertised: None,
            from: format!("<sip:pbx@{GATEWAY}>"),
            to: format!("<sip:pbx@{GATEWAY}>"),
            call_id: Some("reg-1".to_owned()),
            number,
            contact: None,
            max_forwards: None,
            headers,
            body: None,
        };
        self.pbx.send_standalone(self.now, request);
        self.pump();
        match self.pbx_events.pop() {
            Some(Event::Replied { status, response: Some(response), .. }) => (status, response),
            other => panic!("{other:?}"),
        }
    }

    /// Registers with the right password.
    fn register(&mut self) -> Message {
        let (status, challenge) = self.registers(None, 1);
        assert_eq!(status.get(), 401);
        let mut account = crate::sip::auth::Account::new(credentials("secret"));
        let mut tries = crate::sip::auth::Tries::default();
        assert!(account.challenged(&challenge, &mut tries, &mut Entropy::seeded(9)));
        let (status, taken) = self.registers(Some(&mut account), 2);
        assert_eq!(status.get(), 200);
        taken
    }

    fn refusal(&self) -> (u16, Cause) {
        let status = self.pbx_events.iter().rev().find_map(|event| match event {
            Event::Refused { response, .. } => response.status().map(StatusCode::get),
            _ => None,
        });
        (status.expect("a refusal"), self.records.last().unwrap().termination.as_ref().unwrap().cause)
    }
}

#[test]
fn a_trunk_with_auth_is_challenged_and_comes_in_with_its_password() {
    for trunk in [AUTH.to_owned(), format!("peers = [\"192.0.2.2\"]\n{AUTH}")] {
        let mut bench = bench(&trunk);
        bench.dial(Some("secret"));
        let b = bench.invited_cloud();
        let call = bench.call_id();
        let record = bench.shard.record(&call).unwrap();
        assert_eq!(record.trunk.as_deref(), Some("pbx"));
        assert!(format!("{:?}", record.decisions).contains("proved to be user `pbx` of trunk `pbx`"));
        assert!(bench.records.is_empty(), "the challenge was no call");
        bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
        bench.pump();
        assert!(matches!(bench.pbx_events.last(), Some(Event::Answered { .. })));
    }
}

#[test]
fn without_credentials_nobody_comes_in_and_nothing_is_recorded() {
    let mut bench = bench(AUTH);
    bench.dial(None);
    let Some(Event::Refused { response, .. }) =
        bench.pbx_events.iter().find(|event| matches!(event, Event::Refused { .. }))
    else {
        panic!()
    };
    assert_eq!(response.status().unwrap().get(), 401);
    assert_eq!(response.values(HeaderName::WwwAuthenticate).count(), 3);
    assert!(bench.cloud_events.is_empty() && bench.records.is_empty());
    assert_eq!(bench.shard.census().legs, 0);
}

#[test]
fn a_wrong_password_is_a_call_that_was_refused_and_too_many_are_not_looked_at() {
    let mut bench = bench(AUTH);
    for _ in 0..10 {
        bench.dial(Some("guess"));
        assert_eq!(bench.refusal(), (401, Cause::WrongCredentials));
    }
    bench.dial(Some("guess"));
    assert_eq!(bench.refusal(), (403, Cause::WrongTooOften));
    assert!(bench.cloud_events.is_empty());
}

#[test]
fn in_the_call_a_request_from_elsewhere_has_to_be_proven_again() {
    let mut bench = bench(AUTH);
    let a = bench.dial(Some("secret"));
    let b = bench.invited_cloud();
    bench.cloud.answer(bench.now, b, vec![], Some(audio("sendrecv", "0"))).unwrap();
    bench.pump();
    bench.pbx.acknowledge(bench.now, a, None).unwrap();
    bench.pump();
    bench.pbx.bye(bench.now, a, vec![]).unwrap();
    let bye = std::iter::from_fn(|| bench.pbx.poll_transmit()).last().unwrap().payload;
    let text = String::from_utf8(bye.to_vec()).unwrap();
    assert!(text.contains("\r\nAuthorization: "), "{text}");
    // Somebody else says the same, without knowing the password for its own address.
    bench.shard.receive(bench.now, source("198.51.100.9:5060", GATEWAY), bye.clone());
    let answer = std::iter::from_fn(|| bench.shard.poll_transmit()).last().unwrap();
    assert_eq!(answer.hop.address, HopAddress::Socket("198.51.100.9:5060".parse().unwrap()));
    assert!(answer.payload.starts_with(b"SIP/2.0 401"), "{answer:?}");
    assert_eq!(bench.shard.active(), 1, "the call goes on");
}

#[test]
fn a_registered_pbx_is_known_by_its_address_and_gets_the_calls_to_its_trunk() {
    let route = "fallback = { trunk = \"pbx\", number = \"7000\" }";
    let text = configuration_text("", "", route)
        .replace("peers = [\"192.0.2.2\"]", &format!("{AUTH}\nregister = true"))
        .replace(&format!("address = \"sip:{PBX}\""), "");
    let mut bench = Bench::with_configuration(config::parse(&text).unwrap());
    let taken = bench.register();
    assert_eq!(taken.value(HeaderName::Contact), Some(format!("<sip:line-7@{PBX};line=abc>;expires=600").as_bytes()));
    bench.dial(Some("secret"));
    let call = bench.call_id();
    let record = bench.shard.record(&call).unwrap();
    assert!(format!("{:?}", record.decisions).contains("is where trunk `pbx` registered from"));
    for _ in 0..2 {
        let b = bench.invited_cloud();
        let _ = bench.cloud.reject(bench.now, b, StatusCode::SERVICE_UNAVAILABLE, None, vec![]);
        bench.pump();
    }
    let fallback = bench.pbx_events.iter().find_map(|event| match event {
        Event::Invited { request, .. } => Some(request.clone()),
        _ => None,
    });
    let invite = fallback.expect("the PBX is called");
    assert_eq!(invite.request_uri(), Some(format!("sip:line-7@{PBX};line=abc").as_bytes()), "as it was written");
    assert_eq!(invite.text(HeaderName::To).unwrap(), "<sip:7000@192.0.2.1>");
}

#[test]
fn a_registration_needs_a_trunk_that_may() {
    let mut bench = Bench::new("");
    assert_eq!(bench.registers(None, 1).0.get(), 403, "nobody may");
    let mut bench =
        super::entry::bench(&format!("peers = [\"192.0.2.2\"]\n[[trunk]]\nname = \"other\"\n{AUTH}\nregister = true"));
    let (status, answer) = bench.registers(None, 1);
    assert_eq!(status.get(), 403, "not this one");
    assert!(answer.text(HeaderName::Reason).unwrap().contains("no_registrar"));
    assert!(bench.records.is_empty(), "it was no call");
}

#[test]
fn the_password_of_one_target_is_not_for_the_next() {
    let auth = "auth = { username = \"gw\", password = \"of-daily\" }";
    let text = configuration_text("", auth, "retry_on = [503, 403]");
    let mut bench = Bench::with_configuration(config::parse(&text).unwrap());
    bench.call(Some(audio("sendrecv", "0 8")));
    let challenge = |nonce: &str| {
        vec![("WWW-Authenticate".into(), format!("Digest realm=\"cloud\", nonce=\"{nonce}\", qop=\"auth\""))]
    };
    let rejects = |bench: &mut Bench, status: u16, headers| {
        let b = bench.invited_cloud();
        bench.cloud.reject(bench.now, b, StatusCode::new(status).unwrap(), None, headers).unwrap();
        bench.pump();
        bench.cloud_events.iter().rev().find_map(|event| match event {
            Event::Invited { request, .. } => Some(request.clone()),
            _ => None,
        })
    };
    let first = rejects(&mut bench, 401, challenge("a")).unwrap();
    assert!(first.request_uri().unwrap().starts_with(b"sip:static@"));
    assert!(first.text(HeaderName::Authorization).unwrap().contains("username=\"gw\""));
    let second = rejects(&mut bench, 403, vec![]).unwrap();
    assert!(second.request_uri().unwrap().starts_with(b"sip:spare@"));
    assert_eq!(second.value(HeaderName::Authorization), None);
    rejects(&mut bench, 401, challenge("b"));
    let end = bench.records.last().unwrap().termination.as_ref().unwrap().cause;
    assert_eq!(end, Cause::TargetWantsAuth, "the realm is the same, the target is another");
}

#[test]
fn a_call_from_a_target_that_we_are_registered_at_is_refused_with_the_reason() {
    let mut bench = Bench::new("");
    let standing = crate::route::Standing {
        until: Some(bench.now),
        addresses: vec![CLOUD.parse::<SocketAddr>().unwrap().ip()],
        failure: None,
    };
    bench.policy.standings.set("daily", &standing);
    let invite = Invite {
        request_uri: format!("sip:gw@{GATEWAY}"),
        hop: gateway(),
        from: format!("<sip:x@{CLOUD}>"),
        to: format!("<sip:gw@{GATEWAY}>"),
        contact_user: String::new(),
        max_forwards: 70,
        headers: vec![],
        body: None,
    };
    bench.cloud.invite(bench.now, invite);
    bench.pump();
    let end = bench.records.last().unwrap().termination.clone().unwrap();
    assert_eq!((end.cause, end.detail.as_deref()), (Cause::CallFromTarget, Some("target daily")));
}
