//! Requests of ours that are challenged: what goes out again, what the layer above hears of it, and when it ends.

use super::*;
use crate::sip::Method;
use crate::sip::auth::Credentials;
use crate::sip::auth::authorization::Authorization;
use crate::sip::auth::digest::Sum;
use std::sync::Arc;

const BY_PROXY: &str = "\nProxy-Authenticate: Digest realm=\"cloud\", nonce=\"p1\", algorithm=MD5, qop=\"auth\"";
const BY_SERVER: &str = "\nWWW-Authenticate: Digest realm=\"cloud\", nonce=\"s1\", algorithm=SHA-256, qop=\"auth\"";

fn credentials() -> Arc<Credentials> {
    Arc::new(Credentials { username: "gw".to_owned(), password: "secret".to_owned(), realm: None })
}

/// A call of ours with credentials; gives the INVITE.
fn calling(bench: &mut Bench) -> (LegId, Message) {
    let (leg, invite) = bench.calling();
    bench.endpoint.answer_challenges(leg, credentials());
    (leg, invite)
}

/// What a request claims in this header, if the password is right.
fn proven(request: &Message, name: HeaderName) -> Option<Authorization> {
    let claim = Authorization::parse(request.value(name)?)?;
    assert_eq!(claim.uri.as_bytes(), request.request_uri().unwrap(), "the URI that is asked for");
    let method = request.method();
    let sum = Sum {
        algorithm: claim.algorithm,
        username: "gw",
        realm: "cloud",
        password: "secret",
        nonce: &claim.nonce,
        cnonce: &claim.cnonce,
        count: &claim.count,
        qop: claim.qop,
        method: method.as_str(),
        uri: &claim.uri,
        body: request.body(),
    };
    (sum.response() == claim.response).then_some(claim)
}

fn count(request: &Message, name: HeaderName) -> u32 {
    proven(request, name).expect("no valid credentials").counted().unwrap()
}

/// The refusal is ACKed and the request sent again: gives the second one.
fn sent_again(bench: &mut Bench, refused: &Message, status: &str, challenge: &str) -> Message {
    bench.receive(&response(refused, status, "challenger", challenge));
    let mut sent = bench.sent();
    if refused.method() == Method::Invite {
        let ack = sent.remove(0);
        let tag = refused.to_tag().unwrap_or(b"challenger");
        assert_eq!((summary(&ack).as_str(), ack.to_tag()), ("ACK", Some(tag)));
        assert_eq!(text(&ack, HeaderName::Via), text(refused, HeaderName::Via));
    }
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), [refused.method().as_str()]);
    sent.remove(0)
}

/// A call that a proxy and the server behind it challenged, answered and ACKed; gives the INVITE that was taken.
fn proven_call(bench: &mut Bench) -> (LegId, Message) {
    let (leg, invite) = calling(bench);
    let again = sent_again(bench, &invite, "407 Proxy Authentication Required", BY_PROXY);
    let again = sent_again(bench, &again, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&again, "200 OK", "bob", CONTACT));
    assert_eq!(bench.happened(), ["Answered"]);
    (leg, again)
}

#[test]
fn a_challenged_invite_is_sent_again_and_the_leg_stays_the_same() {
    let mut bench = Bench::new();
    let (leg, invite) = calling(&mut bench);
    bench.receive(&response(&invite, "180 Ringing", "early", ""));
    assert_eq!(bench.happened(), ["Progress"]);
    let again = sent_again(&mut bench, &invite, "407 Proxy Authentication Required", BY_PROXY);
    for same in [HeaderName::CallId, HeaderName::From, HeaderName::To, HeaderName::Contact, HeaderName::MaxForwards] {
        assert_eq!(text(&again, same), text(&invite, same));
    }
    assert_eq!(text(&again, HeaderName::CSeq), "2 INVITE");
    assert_ne!(text(&again, HeaderName::Via), text(&invite, HeaderName::Via));
    assert_eq!((again.body(), again.named("x-caller").next()), (invite.body(), Some(&b"+15550199"[..])));
    assert_eq!(proven(&again, HeaderName::ProxyAuthorization).unwrap().count, "00000001");
    assert!(bench.happened().is_empty(), "the layer above hears nothing of it");
    assert_eq!(bench.endpoint.census().dialogs, 0, "what rang before is forgotten");
    bench.receive(&response(&again, "200 OK", "bob", CONTACT));
    let [Event::Answered { leg: answered, .. }] = bench.events()[..] else { panic!() };
    assert_eq!(answered, leg);
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    let ack = bench.sent().remove(0);
    assert_eq!(text(&ack, HeaderName::CSeq), "2 ACK");
    assert_eq!(text(&ack, HeaderName::ProxyAuthorization), text(&again, HeaderName::ProxyAuthorization), "§22.1");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.sent().remove(0);
    assert_eq!((text(&bye, HeaderName::CSeq).as_str(), count(&bye, HeaderName::ProxyAuthorization)), ("3 BYE", 2));
    bench.receive(&response(&bye, "200 OK", "bob", ""));
    bench.finish();
}

#[test]
fn a_repeated_challenge_is_only_acknowledged() {
    let mut bench = Bench::new();
    let (_, invite) = calling(&mut bench);
    sent_again(&mut bench, &invite, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&invite, "401 Unauthorized", "challenger", BY_SERVER));
    assert_eq!(bench.said(), ["ACK"]);
    bench.pass(seconds(32));
    assert_eq!(bench.happened(), ["Unanswered", "Closed"]);
    bench.finish();
}

#[test]
fn a_proxy_and_the_server_behind_it_are_both_answered_in_each_request_of_the_dialog() {
    let mut bench = Bench::new();
    let (leg, again) = proven_call(&mut bench);
    assert_eq!(text(&again, HeaderName::CSeq), "3 INVITE");
    assert_eq!((count(&again, HeaderName::ProxyAuthorization), count(&again, HeaderName::Authorization)), (2, 1));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    bench.sent();
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let reinvite = bench.sent().remove(0);
    assert_eq!((count(&reinvite, HeaderName::ProxyAuthorization), count(&reinvite, HeaderName::Authorization)), (3, 2));
}

#[test]
fn a_second_refusal_ends_and_the_layer_above_sees_it() {
    let mut bench = Bench::new();
    let (_, invite) = calling(&mut bench);
    let again = sent_again(&mut bench, &invite, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&again, "401 Unauthorized", "challenger", &BY_SERVER.replace("s1", "s2")));
    assert_eq!((bench.said(), bench.happened()), (vec!["ACK".to_owned()], vec!["Refused".into(), "Closed".into()]));
    bench.finish();
}

#[test]
fn a_nonce_that_was_too_old_is_replaced_once() {
    let mut bench = Bench::new();
    let (_, invite) = calling(&mut bench);
    let stale = |nonce: &str| BY_SERVER.replace("s1", nonce) + ", stale=true";
    let second = sent_again(&mut bench, &invite, "401 Unauthorized", BY_SERVER);
    let third = sent_again(&mut bench, &second, "401 Unauthorized", &stale("s2"));
    let claim = proven(&third, HeaderName::Authorization).unwrap();
    assert_eq!((claim.nonce.as_str(), claim.counted()), ("s2", Some(1)));
    bench.receive(&response(&third, "401 Unauthorized", "challenger", &stale("s3")));
    assert_eq!(bench.happened(), ["Refused", "Closed"]);
    bench.sent();
    bench.finish();
}

#[test]
fn without_credentials_a_challenge_is_a_refusal() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.receive(&response(&invite, "407 Proxy Authentication Required", "x", BY_PROXY));
    assert_eq!((bench.said(), bench.happened()), (vec!["ACK".to_owned()], vec!["Refused".into(), "Closed".into()]));
    bench.finish();
}

#[test]
fn the_credentials_of_one_leg_do_not_answer_for_another() {
    let mut bench = Bench::new();
    let (_, invite) = calling(&mut bench);
    let (_, other) = bench.calling();
    sent_again(&mut bench, &invite, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&other, "401 Unauthorized", "x", BY_SERVER));
    assert_eq!(bench.said(), ["ACK"]);
    assert_eq!(bench.happened(), ["Refused", "Closed"]);
}

#[test]
fn who_cancelled_does_not_try_again() {
    let mut bench = Bench::new();
    let (leg, invite) = calling(&mut bench);
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    bench.receive(&response(&invite, "401 Unauthorized", "x", BY_SERVER));
    assert_eq!((bench.said(), bench.happened()), (vec!["ACK".to_owned()], vec!["Refused".into(), "Closed".into()]));
    bench.finish();
}

#[test]
fn a_cancel_goes_to_the_invite_that_was_sent_again() {
    let mut bench = Bench::new();
    let (leg, invite) = calling(&mut bench);
    let again = sent_again(&mut bench, &invite, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&again, "180 Ringing", "bob", ""));
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    let cancel = bench.sent().remove(0);
    assert_eq!(text(&cancel, HeaderName::CSeq), "2 CANCEL");
    assert_eq!(text(&cancel, HeaderName::Via), text(&again, HeaderName::Via));
    assert_eq!(text(&cancel, HeaderName::Authorization), "");
}

#[test]
fn a_bye_that_is_challenged_is_sent_again_before_the_leg_closes() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.answer_challenges(leg, credentials());
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.sent().remove(0);
    let again = sent_again(&mut bench, &bye, "401 Unauthorized", BY_SERVER);
    assert_eq!((text(&again, HeaderName::CSeq).as_str(), count(&again, HeaderName::Authorization)), ("3 BYE", 1));
    assert!(bench.happened().is_empty());
    bench.receive(&response(&again, "200 OK", "bob", ""));
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn a_bye_that_is_refused_for_good_ends_the_leg_all_the_same() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.answer_challenges(leg, credentials());
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.sent().remove(0);
    let again = sent_again(&mut bench, &bye, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&again, "401 Unauthorized", "bob", BY_SERVER));
    assert_eq!((bench.said(), bench.happened()), (vec![], vec!["Closed".to_owned()]));
    bench.finish();
}

#[test]
fn a_reinvite_that_is_challenged_stays_one_reinvite() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.answer_challenges(leg, credentials());
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let first = bench.sent().remove(0);
    let again = sent_again(&mut bench, &first, "407 Proxy Authentication Required", BY_PROXY);
    assert_eq!(bench.endpoint.reinvite(bench.now, leg, Headers::new(), None), Err(CommandError::Pending));
    bench.receive(&response(&again, "200 OK", "bob", CONTACT));
    assert_eq!(bench.happened(), ["ReinviteAnswered"]);
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    let ack = bench.sent().remove(0);
    assert_eq!(text(&ack, HeaderName::CSeq), "3 ACK");
    assert_eq!(text(&ack, HeaderName::ProxyAuthorization), text(&again, HeaderName::ProxyAuthorization));
}

#[test]
fn a_question_in_the_dialog_keeps_its_name_across_the_challenge_and_the_next_nonce_is_taken() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    bench.endpoint.answer_challenges(leg, credentials());
    let sent = bench.endpoint.send_inside(bench.now, leg, Method::Refer, &Headers::new(), None).unwrap();
    let refer = bench.sent().remove(0);
    let again = sent_again(&mut bench, &refer, "401 Unauthorized", BY_SERVER);
    bench.receive(&response(&again, "202 Accepted", "bob", "\nAuthentication-Info: nextnonce=\"s9\""));
    let [Event::Replied { sent: told, status, .. }] = bench.events()[..] else { panic!() };
    assert_eq!((told, status.get()), (sent, 202));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.sent().remove(0);
    let claim = proven(&bye, HeaderName::Authorization).unwrap();
    assert_eq!((claim.nonce.as_str(), claim.counted()), ("s9", Some(1)));
}

#[test]
fn a_challenge_over_a_stream_is_answered_on_the_stream() {
    let mut bench = Bench::over(Protocol::Tcp);
    let hop = Hop { protocol: Protocol::Tcp, ..udp("192.0.2.10:5066") };
    let leg = bench.endpoint.invite(bench.now, Invite { hop, ..super::invite() });
    bench.endpoint.answer_challenges(leg, credentials());
    let invite = bench.sent().remove(0);
    bench.receive(&response(&invite, "401 Unauthorized", "x", BY_SERVER));
    let transmits = bench.transmits();
    assert_eq!(transmits.len(), 2, "the ACK and the INVITE");
    for transmit in transmits {
        assert_eq!(transmit.hop.connection, bench.source.connection);
        assert!(
            transmit.payload.starts_with(b"ACK") || transmit.payload.windows(12).any(|text| text == b"SIP/2.0/TCP ")
        );
    }
}

#[test]
fn a_server_that_challenges_and_then_has_no_room_is_followed_by_the_next_address() {
    let mut bench = Bench::new();
    let address = HopAddress::Domain { host: "daily.example.com".to_owned() };
    let hop = Hop { protocol: Protocol::Udp, address, connection: None };
    let leg = bench.endpoint.invite(bench.now, Invite { hop, ..invite() });
    bench.endpoint.answer_challenges(leg, credentials());
    let Some(crate::sip::endpoint::aim::Errand::Locate { transaction, .. }) = bench.endpoint.poll_errand() else {
        panic!("nobody is asked")
    };
    let hops = vec![udp("192.0.2.10:5066"), udp("192.0.2.11:5066")];
    bench.endpoint.located(bench.now, transaction, Ok((hops, "SRV")));
    let first = bench.sent().remove(0);
    let again = sent_again(&mut bench, &first, "407 Proxy Authentication Required", BY_PROXY);
    bench.receive(&response(&again, "503 Service Unavailable", "full", ""));
    let sent = bench.transmits();
    assert_eq!(sent.last().unwrap().hop, udp("192.0.2.11:5066"));
    let last = Message::parse(sent.last().unwrap().payload.clone()).unwrap();
    bench.events();
    bench.receive(&response(&last, "200 OK", "bob", CONTACT));
    assert_eq!(bench.happened(), ["Answered"]);
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}
