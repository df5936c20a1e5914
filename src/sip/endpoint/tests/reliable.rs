//! Reliable provisional responses: RFC 3262, both sides.

use super::*;
use crate::sip::Method;
use crate::sip::session::reliable::Wish;

const SUPPORTED: Terms = Terms { reliable: Wish::Supported, ..Terms::PLAIN };
const REQUIRED: Terms = Terms { reliable: Wish::Required, ..Terms::PLAIN };

const OFFERLESS: &str = "\nContent-Type: application/sdp\n\nv=0";

impl Bench {
    /// A call of a peer with these header fields that is put on terms.
    fn invited_on(&mut self, extra: &str, terms: Terms) -> (LegId, Result<(), Unfit>) {
        self.receive(&INVITE.replace("Max-Forwards", &format!("{extra}\nMax-Forwards")));
        self.said();
        let [Event::Invited { leg, .. }] = self.events()[..] else { panic!("no call") };
        (leg, self.endpoint.agree(leg, terms))
    }

    fn ring(&mut self, leg: LegId, status: u16, body: Option<Body>) {
        let status = StatusCode::new(status).unwrap();
        self.endpoint.provisional(self.now, leg, status, None, Headers::new(), body).unwrap();
    }

    /// The PRACK of the peer to a reliable response of ours.
    fn prack(&mut self, response: &Message, number: u32) {
        let rseq = text(response, HeaderName::RSeq);
        let tag = String::from_utf8(response.to_tag().unwrap().to_vec()).unwrap();
        let prack = prack(&tag, number, &format!("{rseq} 10 INVITE"));
        self.receive(prack.trim_end_matches("\nContent-Type: application/sdp\n\nv=0"));
    }

    /// What went out that is no 100.
    fn one(&mut self) -> Message {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(summary).collect::<Vec<_>>());
        sent.remove(0)
    }
}

fn prack(tag: &str, number: u32, rack: &str) -> String {
    in_dialog("PRACK", number, tag, &format!("p{number}")).replace("\nContact", &format!("\nRAck: {rack}\nContact"))
}

/// A reliable provisional response of the peer to our INVITE.
fn reliable(invite: &Message, status: &str, tag: &str, rseq: u32) -> String {
    let route = "\nRecord-Route: <sip:192.0.2.20;lr>\nRecord-Route: <sip:192.0.2.10;lr>";
    response(invite, status, tag, &format!("{CONTACT}{route}\nRequire: 100rel\nRSeq: {rseq}"))
}

#[test]
fn a_provisional_response_is_repeated_until_its_prack_and_no_longer() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 180, None);
    let ringing = bench.one();
    assert_eq!((text(&ringing, HeaderName::Require).as_str(), ringing.to_tag().is_some()), ("100rel", true));
    assert!(ringing.value(HeaderName::Contact).is_some() && ringing.lists(HeaderName::Allow, "PRACK"));
    bench.pass(Duration::from_millis(1600));
    let again = bench.sent();
    assert_eq!(
        again.iter().map(|message| text(message, HeaderName::RSeq)).collect::<Vec<_>>(),
        vec![text(&ringing, HeaderName::RSeq); 2]
    );
    bench.prack(&ringing, 11);
    assert_eq!(bench.said(), ["200 PRACK"]);
    bench.pass(seconds(40));
    assert_eq!((bench.said(), bench.happened()), (vec![], vec![]));
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn a_prack_that_fits_nothing_gets_481_and_a_repeated_one_its_200_again() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 180, None);
    let ringing = bench.one();
    let tag = String::from_utf8(ringing.to_tag().unwrap().to_vec()).unwrap();
    let rseq: u32 = text(&ringing, HeaderName::RSeq).parse().unwrap();
    for (number, rack) in [(11, format!("{} 10 INVITE", rseq + 1)), (12, format!("{rseq} 10 UPDATE"))] {
        bench.receive(&prack(&tag, number, &rack));
        assert_eq!(bench.said(), ["481 PRACK"], "{rack}");
    }
    bench.receive(&prack(&tag, 13, "once upon a time"));
    assert_eq!(bench.said(), ["400 PRACK"]);
    bench.prack(&ringing, 14);
    bench.prack(&ringing, 14);
    assert_eq!(bench.said(), ["200 PRACK", "200 PRACK"], "the transaction repeats itself");
    bench.prack(&ringing, 15);
    assert_eq!(bench.said(), ["481 PRACK"], "another PRACK for it finds nothing");
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn a_prack_for_another_invite_does_not_use_the_response_up() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 180, None);
    let ringing = bench.one();
    let tag = String::from_utf8(ringing.to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&prack(&tag, 11, &format!("{} 9 INVITE", text(&ringing, HeaderName::RSeq))));
    assert_eq!(bench.said(), ["481 PRACK"]);
    bench.prack(&ringing, 12);
    assert_eq!(bench.said(), ["200 PRACK"]);
    bench.endpoint.reject(bench.now, leg, StatusCode::BUSY_HERE, None, Headers::new()).unwrap();
    bench.finish();
}

#[test]
fn the_next_response_and_the_answer_wait_for_the_prack_to_a_description() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Require: 100rel", SUPPORTED);
    bench.ring(leg, 183, Some(sdp()));
    bench.ring(leg, 180, None);
    let progress = bench.one();
    bench.prack(&progress, 11);
    let [ok, ringing] = <[Message; 2]>::try_from(bench.sent()).unwrap();
    assert_eq!((summary(&ok), summary(&ringing)), ("200 PRACK".to_owned(), "180 INVITE".to_owned()));
    bench.prack(&ringing, 12);
    bench.ring(leg, 183, Some(sdp()));
    let progress = bench.sent().remove(1);
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    assert_eq!(bench.said(), Vec::<String>::new(), "RFC 3262 §3");
    assert_eq!(bench.endpoint.answer(bench.now, leg, Headers::new(), None), Err(CommandError::WrongState));
    bench.prack(&progress, 13);
    assert_eq!(bench.said(), ["200 PRACK", "200 INVITE"]);
    let tag = String::from_utf8(progress.to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("ACK", 10, &tag, "a"));
    bench.receive(&in_dialog("BYE", 14, &tag, "b"));
    assert_eq!(bench.happened(), ["Acknowledged", "HungUp", "Closed"]);
    bench.finish();
}

#[test]
fn an_answer_does_not_wait_for_the_prack_to_mere_ringing() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 180, None);
    let ringing = bench.one();
    bench.ring(leg, 183, None);
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    assert_eq!(bench.said(), ["200 INVITE"]);
    bench.prack(&ringing, 11);
    assert_eq!(bench.said(), ["200 PRACK"], "late, but for a response that was sent; the 183 never was");
}

#[test]
fn a_response_that_is_never_acknowledged_is_given_up_after_64_t1() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 183, Some(sdp()));
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    bench.pass(seconds(31));
    assert!(bench.happened().is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.happened(), ["Unpracked"]);
    assert_eq!(bench.said(), ["183 INVITE"; 6 + 1][..7].to_vec(), "0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s, after the first");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(bench.said(), ["504 INVITE"], "the answer was promised and never sent");
    assert_eq!(bench.happened(), ["Closed"]);
    bench.finish();
}

#[test]
fn a_cancel_overtakes_an_answer_that_waits_for_its_prack() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 183, Some(sdp()));
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let progress = bench.one();
    bench.receive(&INVITE.replace("INVITE sip", "CANCEL sip").replace("10 INVITE", "10 CANCEL"));
    assert_eq!(bench.said(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(bench.happened(), ["Cancelled", "Closed"]);
    bench.prack(&progress, 11);
    assert_eq!(bench.said(), ["481 PRACK"]);
    bench.finish();
}

#[test]
fn a_bye_overtakes_an_answer_that_waits_for_its_prack() {
    let mut bench = Bench::new();
    let (leg, _) = bench.invited_on("Supported: 100rel", SUPPORTED);
    bench.ring(leg, 183, Some(sdp()));
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    let tag = String::from_utf8(bench.one().to_tag().unwrap().to_vec()).unwrap();
    bench.receive(&in_dialog("BYE", 11, &tag, "b"));
    assert_eq!(bench.said(), ["200 BYE", "487 INVITE"]);
    assert_eq!(bench.happened(), ["HungUp", "Closed"]);
    bench.finish();
}

#[test]
fn an_invite_that_does_not_fit_says_what_it_has_to_be_refused_with() {
    let refusal = |extra: &str, terms| {
        let (_, verdict) = Bench::new().invited_on(extra, terms);
        verdict.err().map(|unfit| (unfit.status().get(), unfit.headers()))
    };
    let header = |name: &'static str| vec![(name.into(), "100rel".to_owned())];
    assert_eq!(refusal("Require: 100rel", Terms::PLAIN), Some((420, header("Unsupported"))));
    assert_eq!(refusal("Supported: timer", REQUIRED), Some((421, header("Require"))));
    assert_eq!(refusal("k: timer, 100REL", REQUIRED), None);
    assert_eq!(refusal("Supported: 100rel", Terms::PLAIN), None);
}

#[test]
fn nothing_is_reliable_for_a_peer_that_cannot_or_a_leg_that_will_not() {
    for (extra, terms) in [("Supported: timer", SUPPORTED), ("Supported: 100rel", Terms::PLAIN)] {
        let mut bench = Bench::new();
        let (leg, _) = bench.invited_on(extra, terms);
        bench.ring(leg, 180, None);
        assert_eq!(bench.one().value(HeaderName::RSeq), None, "{extra}");
    }
}

#[test]
fn without_an_offer_the_first_reliable_response_brings_ours_and_its_prack_the_answer() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace(OFFERLESS, "").replace("Max-Forwards", "Require: 100rel\nMax-Forwards"));
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.agree(leg, SUPPORTED).unwrap();
    bench.said();
    bench.ring(leg, 180, None);
    assert_eq!(bench.said(), Vec::<String>::new(), "a reliable 180 without the offer would be illegal");
    bench.ring(leg, 183, Some(sdp()));
    let progress = bench.one();
    let tag = String::from_utf8(progress.to_tag().unwrap().to_vec()).unwrap();
    bench.endpoint.answer(bench.now, leg, Headers::new(), Some(sdp())).unwrap();
    bench.receive(&prack(&tag, 11, &format!("{} 10 INVITE", text(&progress, HeaderName::RSeq))));
    let [Event::Requested { id, ref request, .. }] = bench.events()[..] else { panic!("the answer is for above") };
    assert_eq!((request.method(), request.body()), (Method::Prack, &b"v=0"[..]));
    assert_eq!(bench.said(), Vec::<String>::new());
    bench.endpoint.respond(bench.now, id, StatusCode::OK, None, Headers::new(), None).unwrap();
    let [ok, answer] = <[Message; 2]>::try_from(bench.sent()).unwrap();
    assert_eq!((summary(&ok), summary(&answer)), ("200 PRACK".to_owned(), "200 INVITE".to_owned()));
    assert_eq!(answer.body(), b"", "another description would be another offer");
}

#[test]
fn a_caller_without_offer_that_only_supports_it_hears_plain_ringing() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace(OFFERLESS, "").replace("Max-Forwards", "Supported: 100rel\nMax-Forwards"));
    let [Event::Invited { leg, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.agree(leg, SUPPORTED).unwrap();
    bench.said();
    bench.ring(leg, 180, None);
    assert_eq!(bench.one().value(HeaderName::RSeq), None);
}

// --- the calling side

#[test]
fn the_invite_says_what_we_can_and_what_we_want() {
    for (terms, supported, required) in
        [(SUPPORTED, ", 100rel", ""), (REQUIRED, ", 100rel", "100rel"), (Terms::PLAIN, "", "")]
    {
        let mut bench = Bench::new();
        bench.endpoint.invite_on(bench.now, invite(), &terms);
        let invite = bench.one();
        assert_eq!(
            (text(&invite, HeaderName::Supported).as_str(), text(&invite, HeaderName::Require).as_str()),
            (format!("{}{supported}", crate::sip::endpoint::SUPPORTED).as_str(), required)
        );
    }
}

#[test]
fn a_reliable_response_is_acknowledged_on_the_route_of_its_early_dialog() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.receive(&reliable(&invite, "180 Ringing", "bob", 7));
    let transmit = bench.transmits().remove(0);
    assert_eq!(transmit.hop, udp("192.0.2.10:5060"), "the first of the route set");
    let prack = Message::parse(transmit.payload).unwrap();
    assert_eq!(prack.request_uri(), Some(&b"sip:bob@192.0.2.10:5066"[..]));
    let routes: Vec<_> = prack.values(HeaderName::Route).collect();
    assert_eq!(routes, [&b"<sip:192.0.2.10;lr>"[..], b"<sip:192.0.2.20;lr>"]);
    assert_eq!(
        (text(&prack, HeaderName::RAck).as_str(), text(&prack, HeaderName::CSeq).as_str()),
        ("7 1 INVITE", "2 PRACK")
    );
    assert_eq!(prack.to_tag(), Some(&b"bob"[..]));
    assert_eq!(bench.happened(), ["Progress"]);
    bench.receive(&response(&prack, "200 OK", "", ""));
    bench.receive(&response(&invite, "200 OK", "bob", CONTACT));
    bench.endpoint.acknowledge(bench.now, leg, None).unwrap();
    assert_eq!(text(&bench.one(), HeaderName::CSeq), "1 ACK");
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    assert_eq!(text(&bench.one(), HeaderName::CSeq), "3 BYE", "the numbers go on after those of the early dialog");
}

#[test]
fn repeated_and_overtaking_responses_are_not_looked_at() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.receive(&reliable(&invite, "180 Ringing", "bob", 7));
    bench.receive(&reliable(&invite, "180 Ringing", "bob", 7));
    bench.receive(&reliable(&invite, "183 Session Progress", "bob", 9));
    assert_eq!((bench.said(), bench.happened()), (vec!["PRACK".to_owned()], vec!["Progress".to_owned()]));
    bench.receive(&reliable(&invite, "183 Session Progress", "bob", 8));
    bench.receive(&reliable(&invite, "183 Session Progress", "bob", 9));
    assert_eq!((bench.said().len(), bench.happened().len()), (2, 2), "now in order");
}

#[test]
fn each_early_dialog_counts_for_itself() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    for (tag, rseq) in [("bob", 900), ("carol", 7), ("bob", 901), ("carol", 8)] {
        bench.receive(&reliable(&invite, "183 Session Progress", tag, rseq));
    }
    let pracks = bench.sent();
    let told = |message: &Message| {
        let tag = String::from_utf8(message.to_tag().unwrap().to_vec()).unwrap();
        (tag, text(message, HeaderName::RAck), text(message, HeaderName::CSeq))
    };
    let row = |tag: &str, rack: &str, cseq: &str| (tag.to_owned(), rack.to_owned(), cseq.to_owned());
    assert_eq!(
        pracks.iter().map(told).collect::<Vec<_>>(),
        [
            row("bob", "900 1 INVITE", "2 PRACK"),
            row("carol", "7 1 INVITE", "2 PRACK"),
            row("bob", "901 1 INVITE", "3 PRACK"),
            row("carol", "8 1 INVITE", "3 PRACK"),
        ]
    );
}

#[test]
fn a_lost_prack_is_repeated_until_its_answer() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling();
    bench.receive(&reliable(&invite, "180 Ringing", "bob", 7));
    let prack = bench.one();
    bench.pass(Duration::from_millis(1600));
    assert_eq!(bench.said(), ["PRACK", "PRACK"]);
    bench.receive(&response(&prack, "200 OK", "", ""));
    bench.pass(seconds(10));
    assert_eq!((bench.said(), bench.happened()), (vec![], vec!["Progress".to_owned()]));
}

#[test]
fn an_offer_of_the_peer_waits_for_its_answer_from_above() {
    let mut bench = Bench::new();
    let leg = bench.endpoint.invite_on(bench.now, Invite { body: None, ..invite() }, &SUPPORTED);
    let invite = bench.one();
    let offer = reliable(&invite, "183 Session Progress", "bob", 7) + "\nContent-Type: application/sdp\n\nv=0";
    bench.receive(&offer);
    assert_eq!(bench.said(), Vec::<String>::new());
    let [Event::Progress { ref response, .. }] = bench.events()[..] else { panic!() };
    bench.endpoint.prack(bench.now, leg, response, Some(&sdp())).unwrap();
    let prack = bench.one();
    assert_eq!((text(&prack, HeaderName::RAck).as_str(), prack.body()), ("7 1 INVITE", &b"v=0\r\n"[..]));
}

#[test]
fn a_call_that_is_cancelled_still_acknowledges_what_rings() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.calling();
    bench.endpoint.cancel(bench.now, leg, Headers::new()).unwrap();
    bench.receive(&reliable(&invite, "180 Ringing", "bob", 7));
    assert_eq!((bench.said(), bench.happened()), (vec!["PRACK".to_owned(), "CANCEL".to_owned()], vec![]));
    bench.receive(&response(&invite, "487 Request Terminated", "bob", ""));
    assert_eq!(bench.happened(), ["Refused", "Closed"]);
    bench.finish();
}
