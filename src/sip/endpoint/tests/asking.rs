//! Requests of ours that make no dialog, and the peer's in a dialog that the layer above answers.

use super::*;
use crate::sip::Method;

fn options() -> Standalone {
    Standalone {
        method: Method::Options,
        request_uri: "sip:pbx.example.com".to_owned(),
        hop: udp("192.0.2.10:5066"),
        advertised: None,
        from: "<sip:gw.example.com>".to_owned(),
        to: "<sip:pbx.example.com>".to_owned(),
        call_id: None,
        number: 1,
        contact: None,
        max_forwards: Some(0),
        headers: Headers::new(),
        body: None,
    }
}

/// What was said of a request of ours: its status, and whether a response came.
fn replies(bench: &mut Bench) -> Vec<(SentId, u16, bool)> {
    let told = |event| match event {
        Event::Replied { sent, status, response, .. } => Some((sent, status.get(), response.is_some())),
        _ => None,
    };
    bench.events().into_iter().filter_map(told).collect()
}

#[test]
fn a_request_outside_of_dialogs_is_repeated_until_its_answer_which_is_told_once() {
    let mut bench = Bench::new();
    let sent = bench.endpoint.send_standalone(bench.now, options());
    let request = bench.sent().remove(0);
    assert_eq!((text(&request, HeaderName::MaxForwards).as_str(), request.max_forwards()), ("0", Some(0)));
    bench.pass(seconds(4));
    assert_eq!(bench.said(), ["OPTIONS"; 3], "T1, 2*T1, 4*T1");
    let ok = response(&request, "200 OK", "x", "");
    bench.receive(&response(&request, "100 Trying", "x", ""));
    bench.receive(&ok);
    bench.receive(&ok);
    assert_eq!(replies(&mut bench), [(sent, 200, true)]);
    bench.finish();
}

#[test]
fn silence_and_a_broken_transport_have_a_status_too() {
    let mut bench = Bench::new();
    let silent = bench.endpoint.send_standalone(bench.now, options());
    let lost = bench.endpoint.send_standalone(bench.now, options());
    bench.endpoint.transport_failed(bench.now, crate::sip::transaction::ClientId(lost.0));
    assert_eq!(replies(&mut bench), [(lost, 503, false)]);
    bench.pass(seconds(32));
    assert_eq!(replies(&mut bench), [(silent, 408, false)]);
    bench.finish();
}

#[test]
fn a_registration_keeps_its_call_id_and_shows_a_contact_with_parameters() {
    let mut bench = Bench::new();
    let contact = OwnContact { user: "line 7".to_owned(), parameters: ";expires=600".to_owned() };
    let (call_id, number) = (Some("reg-1".to_owned()), 4);
    let register = Standalone { method: Method::Register, call_id, number, contact: Some(contact), ..options() };
    bench.endpoint.send_standalone(bench.now, register);
    let request = bench.sent().remove(0);
    assert_eq!(text(&request, HeaderName::CallId), "reg-1");
    assert_eq!(text(&request, HeaderName::CSeq), "4 REGISTER");
    assert_eq!(text(&request, HeaderName::Contact), "<sip:line%207@gw.example.com>;expires=600");
    bench.finish();
}

#[test]
fn a_request_outside_of_dialogs_shows_the_host_that_its_peer_knows_us_by() {
    let mut bench = Bench::new();
    let contact = Some(OwnContact { user: "line-7".to_owned(), parameters: String::new() });
    let asked = Standalone { advertised: Some("edge.example.net".to_owned()), contact, ..options() };
    bench.endpoint.send_standalone(bench.now, asked);
    let request = bench.sent().remove(0);
    let (via, contact) = (text(&request, HeaderName::Via), text(&request, HeaderName::Contact));
    assert!(via.contains(" edge.example.net:5060;"), "{via}");
    assert_eq!(contact, "<sip:line-7@edge.example.net:5060>");
    bench.finish();
}

#[test]
fn a_request_in_a_dialog_counts_on_and_its_answer_names_the_leg() {
    let mut bench = Bench::new();
    let (leg, _) = bench.established();
    let sent = bench.endpoint.send_inside(bench.now, leg, Method::Update, &Headers::new(), Some(&sdp())).unwrap();
    let update = bench.sent().remove(0);
    assert_eq!(text(&update, HeaderName::CSeq), "2 UPDATE");
    assert_eq!(text(&update, HeaderName::Contact), "<sip:+15550199@gw.example.com>");
    bench.receive(&response(&update, "200 OK", "", ""));
    let [Event::Replied { sent: told, leg: Some(its), .. }] = bench.events()[..] else { panic!() };
    assert_eq!((told, its), (sent, leg));
    bench.endpoint.bye(bench.now, leg, Headers::new()).unwrap();
    let late = bench.endpoint.send_inside(bench.now, leg, Method::Info, &Headers::new(), None);
    assert_eq!(late, Err(CommandError::WrongState));
}

#[test]
fn nothing_is_told_of_a_closed_leg() {
    let mut bench = Bench::new();
    let (leg, invite) = bench.established();
    bench.endpoint.send_inside(bench.now, leg, Method::Info, &Headers::new(), None).unwrap();
    let info = bench.sent().remove(0);
    bench.receive(&from_callee(&invite, "BYE", 1, "bob", "b1"));
    assert_eq!(bench.happened(), ["HungUp", "Closed"]);
    bench.receive(&response(&info, "481 Gone", "", ""));
    assert_eq!(bench.happened(), Vec::<String>::new());
    bench.finish();
}

#[test]
fn a_request_in_a_dialog_is_the_layer_aboves_to_answer_and_repeated_answers_are_ours() {
    let mut bench = Bench::new();
    let (leg, tag) = bench.answered_call();
    let info = in_dialog("INFO", 11, &tag, "i1");
    bench.receive(&info);
    bench.receive(&info);
    let [Event::Requested { leg: its, id, .. }] = bench.events()[..] else { panic!() };
    assert_eq!(its, leg);
    bench.endpoint.respond(bench.now, id, StatusCode::OK, None, Headers::new(), None).unwrap();
    bench.receive(&info);
    assert_eq!(bench.said(), ["200 INFO", "200 INFO"]);
    bench.receive(&in_dialog("INFO", 10, &tag, "i2"));
    assert_eq!((bench.said(), bench.happened()), (vec!["500 INFO".to_owned()], vec![]), "out of order");
}

#[test]
fn a_request_that_belongs_into_a_dialog_gets_481_outside_of_one() {
    let mut bench = Bench::new();
    bench.receive(&INVITE.replace("INVITE", "INFO"));
    bench.receive(&in_dialog("INFO", 1, "nobody", "i1"));
    assert_eq!(bench.said(), ["481 INFO", "481 INFO"]);
    assert!(bench.happened().is_empty());
}
