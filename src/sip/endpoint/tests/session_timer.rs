//! Session timers: RFC 4028, both roles, on both sides.

use super::*;
use crate::sip::session::session_timer::{Policy, Preference, Wish};

const ACCEPT: Terms = Terms { session_timer: Policy::ACCEPT, ..Terms::PLAIN };
const ALLOWS: &str = "\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE";

fn asking(expires: u64, refresher: Preference) -> Terms {
    let wish = Wish::Ask { expires: seconds(expires), refresher };
    Terms { session_timer: Policy { wish, min_se: seconds(90) }, ..Terms::PLAIN }
}

impl Bench {
    /// A call of the peer on terms, answered and ACKed; gives our 200.
    fn timed_call(&mut self, extra: &str, terms: Terms) -> (LegId, Message) {
        self.receive(&INVITE.replace("\nMax-Forwards", &format!("{extra}\nMax-Forwards")));
        let [Event::Invited { leg, .. }] = self.events()[..] else { panic!("no call") };
        self.endpoint.agree(leg, terms).unwrap();
        self.endpoint.answer(self.now, leg, Headers::new(), Some(sdp())).unwrap();
        let answer = self.sent().remove(1);
        let tag = String::from_utf8(answer.to_tag().unwrap().to_vec()).unwrap();
        self.receive(&in_dialog("ACK", 10, &tag, "ack1"));
        assert_eq!(self.happened(), ["Acknowledged"]);
        (leg, answer)
    }

    /// A call of ours on terms, answered with these header fields and ACKed.
    fn timed_leg(&mut self, extra: &str, terms: Terms) -> LegId {
        let leg = self.endpoint.invite_on(self.now, invite(), &terms);
        let invite = self.sent().remove(0);
        self.receive(&response(&invite, "200 OK", "bob", &format!("{CONTACT}{extra}")));
        self.endpoint.acknowledge(self.now, leg, None).unwrap();
        assert_eq!((self.happened(), self.said()), (vec!["Answered".to_owned()], vec!["ACK".to_owned()]));
        leg
    }

    fn only(&mut self) -> Message {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(summary).collect::<Vec<_>>());
        sent.remove(0)
    }
}

fn expires(message: &Message) -> String {
    text(message, HeaderName::SessionExpires)
}

fn tag_of(message: &Message) -> String {
    String::from_utf8(message.to_tag().unwrap().to_vec()).unwrap()
}

#[test]
fn we_refresh_with_an_update_that_changes_nothing() {
    let mut bench = Bench::new();
    let leg = bench.timed_leg(&format!("{ALLOWS}\nRequire: timer\nSession-Expires: 1800;refresher=uac"), ACCEPT);
    bench.pass(seconds(899));
    assert!(bench.said().is_empty());
    bench.pass(seconds(1));
    let update = bench.only();
    assert_eq!((summary(&update).as_str(), update.body()), ("UPDATE", &b""[..]));
    assert_eq!((expires(&update).as_str(), update.lists(HeaderName::Supported, "timer")), ("1800;refresher=uac", true));
    assert!(update.value(HeaderName::Contact).is_some(), "it refreshes the target too");
    bench.receive(&response(&update, "200 OK", "", "\nSession-Expires: 1800;refresher=uac"));
    bench.pass(seconds(900));
    assert_eq!((bench.said(), bench.happened()), (vec!["UPDATE".to_owned()], vec![]));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn a_peer_without_update_is_refreshed_by_a_reinvite_with_the_description_it_has() {
    let mut bench = Bench::new();
    let leg = bench.timed_leg("\nRequire: timer\nSession-Expires: 1800;refresher=uac", ACCEPT);
    bench.pass(seconds(900));
    assert_eq!((bench.said(), bench.happened()), (vec![], vec!["RefreshDue".to_owned()]));
    bench.endpoint.refresh(bench.now, leg, Some(&sdp())).unwrap();
    let reinvite = bench.only();
    assert_eq!((summary(&reinvite).as_str(), expires(&reinvite).as_str()), ("INVITE", "1800;refresher=uac"));
    assert_eq!(bench.endpoint.reinvite(bench.now, leg, Headers::new(), None), Err(CommandError::Pending));
    bench.receive(&response(&reinvite, "200 OK", "", &format!("{CONTACT}\nSession-Expires: 1800;refresher=uas")));
    assert_eq!((bench.said(), bench.happened()), (vec!["ACK".to_owned()], vec!["Refreshed".to_owned()]));
    bench.pass(seconds(1767));
    assert!(bench.said().is_empty(), "the roles were swapped: it is the peer's turn now");
    bench.pass(seconds(1));
    assert_eq!(bench.happened(), ["SessionExpired"]);
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn a_405_to_the_update_makes_a_reinvite_of_it() {
    let mut bench = Bench::new();
    bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 90;refresher=uac"), ACCEPT);
    bench.pass(seconds(45));
    let update = bench.only();
    bench.receive(&response(&update, "405 Method Not Allowed", "", ""));
    assert_eq!(bench.happened(), ["RefreshDue"]);
}

#[test]
fn a_refresh_of_the_peer_is_answered_inside_and_starts_the_clock_anew() {
    let mut bench = Bench::new();
    let (leg, answer) = bench.timed_call("\nSupported: timer\nSession-Expires: 90;refresher=uac", ACCEPT);
    assert_eq!((expires(&answer).as_str(), text(&answer, HeaderName::Require).as_str()), ("90;refresher=uac", "timer"));
    bench.pass(seconds(45));
    let update = in_dialog("UPDATE", 11, &tag_of(&answer), "u1").replace(
        "\nContact: <sip:anna@192.0.2.10:5066>",
        "\nContact: <sip:anna@192.0.2.30>\nSupported: timer\nSession-Expires: 90;refresher=uac",
    );
    bench.receive(update.trim_end_matches("\nContent-Type: application/sdp\n\nv=0"));
    let ok = bench.only();
    assert_eq!((summary(&ok).as_str(), expires(&ok).as_str()), ("200 UPDATE", "90;refresher=uac"));
    assert!(ok.value(HeaderName::Contact).is_some());
    bench.pass(seconds(59));
    assert_eq!(bench.happened(), Vec::<String>::new());
    bench.pass(seconds(1));
    assert_eq!(bench.happened(), ["SessionExpired"], "60 s after the refresh");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let bye = bench.only();
    assert_eq!(bye.request_uri(), Some(&b"sip:anna@192.0.2.30"[..]), "the target was refreshed");
    bench.finish();
}

#[test]
fn a_reinvite_of_the_peer_refreshes_the_session_too() {
    let mut bench = Bench::new();
    let (leg, answer) = bench.timed_call("\nSupported: timer\nSession-Expires: 90;refresher=uac", ACCEPT);
    bench.pass(seconds(45));
    let reinvite = in_dialog("INVITE", 11, &tag_of(&answer), "r1");
    bench.receive(&reinvite.replace("\nContact", "\nSupported: timer\nSession-Expires: 90;refresher=uac\nContact"));
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    assert_eq!(expires(&bench.sent()[1]), "90;refresher=uac");
    bench.receive(&in_dialog("ACK", 11, &tag_of(&answer), "ack2"));
    bench.pass(seconds(59));
    assert_eq!(bench.happened(), ["Reinvited", "Acknowledged"]);
}

#[test]
fn too_small_an_interval_gets_422_in_every_request() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace("\nMax-Forwards", "\nSupported: timer\nSession-Expires: 60\nMax-Forwards"));
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    let unfit = bench.endpoint.agree(leg, ACCEPT).unwrap_err();
    assert_eq!((unfit.status().get(), unfit.headers()), (422, vec![("Min-SE".into(), "90".to_owned())]));
    let mut bench = Bench::new();
    let (_, answer) = bench.timed_call("\nSupported: timer\nSession-Expires: 90;refresher=uac", ACCEPT);
    for (method, number) in [("UPDATE", 11), ("INVITE", 12)] {
        let request = in_dialog(method, number, &tag_of(&answer), method);
        bench.receive(&request.replace("\nContact", "\nSupported: timer\nSession-Expires: 30\nContact"));
        let refusal = bench.only();
        assert_eq!((summary(&refusal), text(&refusal, HeaderName::MinSe)), (format!("422 {method}"), "90".to_owned()));
    }
}

#[test]
fn a_422_to_our_invite_is_followed_in_the_same_leg_with_the_next_number() {
    let mut bench = Bench::new();
    let leg = bench.endpoint.invite_on(bench.now, invite(), &asking(120, Preference::Us));
    let first = bench.only();
    assert_eq!(expires(&first), "120;refresher=uac");
    bench.receive(&response(&first, "180 Ringing", "bob", CONTACT));
    bench.receive(&response(&first, "422 Session Interval Too Small", "bob", "\nMin-SE: 600"));
    let [ack, second] = <[Message; 2]>::try_from(bench.sent()).unwrap();
    assert_eq!((summary(&ack).as_str(), summary(&second).as_str()), ("ACK", "INVITE"));
    assert_eq!((expires(&second).as_str(), text(&second, HeaderName::MinSe).as_str()), ("600;refresher=uac", "600"));
    assert_eq!((text(&second, HeaderName::CSeq).as_str(), second.call_id()), ("2 INVITE", first.call_id()));
    assert_eq!((second.body(), second.to_tag(), second.from_tag()), (first.body(), None, first.from_tag()));
    assert!(second.lists(HeaderName::Supported, "timer"));
    assert_ne!(second.top_via().unwrap().branch, first.top_via().unwrap().branch);
    assert_eq!(second.named("x-caller").next(), Some(&b"+15550199"[..]));
    assert_eq!(bench.happened(), ["Progress"], "the layer above never hears of the 422");
    bench.receive(&response(&second, "200 OK", "carol", &format!("{CONTACT}\nSession-Expires: 600;refresher=uac")));
    assert_eq!(bench.happened(), ["Answered"]);
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    assert_eq!(text(&bench.only(), HeaderName::CSeq), "2 ACK");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(text(&bench.only(), HeaderName::CSeq), "3 BYE");
    bench.finish();
}

#[test]
fn a_422_that_makes_no_sense_is_a_refusal() {
    for min_se in ["", "\nMin-SE: 60", "\nMin-SE: soon"] {
        let mut bench = Bench::new();
        bench.endpoint.invite_on(bench.now, invite(), &asking(120, Preference::Us));
        let first = bench.only();
        bench.receive(&response(&first, "422 Session Interval Too Small", "bob", min_se));
        assert_eq!(
            (bench.said(), bench.happened()),
            (vec!["ACK".to_owned()], vec!["Refused".to_owned(), "Closed".to_owned()])
        );
        bench.finish();
    }
}

#[test]
fn a_422_to_a_call_that_is_cancelled_is_its_end() {
    let mut bench = Bench::new();
    let leg = bench.endpoint.invite_on(bench.now, invite(), &asking(120, Preference::Us));
    let first = bench.only();
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    bench.receive(&response(&first, "422 Session Interval Too Small", "bob", "\nMin-SE: 600"));
    assert_eq!(bench.said(), ["ACK"]);
    assert_eq!(bench.happened(), ["Refused", "Closed"]);
    bench.finish();
}

#[test]
fn a_422_to_a_refresh_is_followed_at_once() {
    let mut bench = Bench::new();
    bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 90;refresher=uac"), ACCEPT);
    bench.pass(seconds(45));
    let update = bench.only();
    bench.receive(&response(&update, "422 Session Interval Too Small", "", "\nMin-SE: 300"));
    let again = bench.only();
    assert_eq!((expires(&again).as_str(), text(&again, HeaderName::MinSe).as_str()), ("300;refresher=uac", "300"));
    assert_eq!(text(&again, HeaderName::CSeq), "3 UPDATE");
}

#[test]
fn glare_and_500_are_tried_again_and_481_and_silence_end_the_session() {
    for (status, extra, wait) in [("491 Request Pending", "", 4), ("500 Later", "\nRetry-After: 5 (busy)", 5)] {
        let mut bench = Bench::new();
        bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 1800;refresher=uac"), ACCEPT);
        bench.pass(seconds(900));
        let update = bench.only();
        bench.receive(&response(&update, status, "", extra));
        bench.pass(seconds(wait));
        assert_eq!((bench.said(), bench.happened()), (vec!["UPDATE".to_owned()], vec![]), "{status}");
    }
    let mut bench = Bench::new();
    let leg = bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 1800;refresher=uac"), ACCEPT);
    bench.pass(seconds(900));
    let update = bench.only();
    bench.receive(&response(&update, "481 Gone", "", ""));
    assert_eq!(bench.happened(), ["ReinviteRefused"]);
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
    let mut bench = Bench::new();
    let leg = bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 1800;refresher=uac"), ACCEPT);
    bench.pass(seconds(932));
    assert_eq!(bench.happened(), ["ReinviteRefused"], "64*T1 after the UPDATE");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn a_refresh_waits_while_the_session_is_being_changed() {
    let mut bench = Bench::new();
    let leg = bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 90;refresher=uac"), ACCEPT);
    bench.pass(seconds(44));
    bench.endpoint.reinvite(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let reinvite = bench.only();
    assert_eq!(expires(&reinvite), "90;refresher=uac", "a change is a refresh");
    bench.receive(&response(&reinvite, "100 Trying", "", ""));
    bench.pass(seconds(2));
    assert!(bench.said().is_empty());
    bench.receive(&response(&reinvite, "200 OK", "", &format!("{CONTACT}\nSession-Expires: 90;refresher=uac")));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    assert_eq!(bench.said(), ["ACK"]);
    bench.pass(seconds(44));
    assert!(bench.said().is_empty(), "the change has refreshed the session");
    bench.pass(seconds(1));
    assert_eq!(bench.said(), ["UPDATE"]);
}

#[test]
fn no_refresh_follows_a_bye() {
    let mut bench = Bench::new();
    let leg = bench.timed_leg(&format!("{ALLOWS}\nSession-Expires: 90;refresher=uac"), ACCEPT);
    bench.pass(seconds(44));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.pass(seconds(31));
    assert!(bench.said().iter().all(|said| said == "BYE"));
    bench.finish();
}

#[test]
fn a_caller_that_requires_timers_where_they_are_off_is_told_so() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace("\nMax-Forwards", "\nRequire: timer\nMax-Forwards"));
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    assert_eq!(bench.endpoint.agree(leg, Terms::PLAIN), Err(Unfit::Off("timer")));
}

#[test]
fn a_422_is_followed_over_a_stream_too_where_the_transaction_is_gone_with_its_ack() {
    let mut bench = Bench::over(Protocol::Tcp);
    let hop = Hop { protocol: Protocol::Tcp, address: socket("192.0.2.10:5066"), connection: None };
    let leg = bench.endpoint.invite_on(bench.now, Invite { hop, ..invite() }, &asking(90, Preference::Any));
    let first = bench.only();
    bench.receive(&response(&first, "422 Session Interval Too Small", "bob", "\nMin-SE: 600"));
    let sent = bench.sent();
    assert_eq!(sent.iter().map(summary).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert!(expires(&sent[1]).starts_with("600"));
    bench.receive(&response(&sent[1], "200 OK", "bob", CONTACT));
    assert_eq!(bench.happened(), ["Answered"]);
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn a_refresh_of_a_peer_that_goes_by_a_name_is_acknowledged_wherever_the_name_leads() {
    let mut bench = Bench::new();
    let leg = bench.endpoint.invite_on(bench.now, invite(), &ACCEPT);
    let first = bench.only();
    let contact = "\nContact: <sip:bob@pbx.example.com>\nRequire: timer\nSession-Expires: 1800;refresher=uac";
    bench.receive(&response(&first, "200 OK", "bob", contact));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    bench.transmits();
    bench.pass(seconds(900));
    bench.endpoint.refresh(bench.now, leg, Some(&sdp())).unwrap();
    let located = std::iter::from_fn(|| bench.endpoint.poll_errand());
    let transaction = located.last().map(|errand| match errand {
        crate::sip::endpoint::aim::Errand::Locate { transaction, .. } => transaction,
        other => panic!("{other:?}"),
    });
    let hops = vec![udp("192.0.2.10:5066"), udp("192.0.2.11:5066")];
    bench.endpoint.located(bench.now, transaction.unwrap(), Ok((hops, "SRV")));
    bench.transmits();
    // The first address is silent, the second one answers.
    bench.pass(seconds(4));
    let again = bench.sent().pop().unwrap();
    assert_eq!(summary(&again), "INVITE");
    bench.events();
    bench.receive(&response(&again, "200 OK", "", &format!("{contact}\nSupported: timer")));
    assert_eq!(bench.happened(), ["Refreshed"]);
    // The ACK goes to a name, too: nothing of the leg is left in the way of the next change.
    assert_eq!(bench.endpoint.reinvite(bench.now, leg, Headers::new(), None), Ok(()));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    bench.finish();
}
